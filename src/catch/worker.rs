//! Runs the hook's worker: a process of its own that does everything that may take long, or for
//! ever.
//!
//! A process that waits in the kernel for a disk that does not answer cannot be ended, and cannot
//! end itself. So the hook has another process do the work, waits for it for at most a second, and
//! leaves it behind. The worker has the taken marker on its stdin, with the lock on it: both are
//! its own for as long as it lives.
//!
//! On its stdout the worker can ask the hook to wait longer, if the job's config has a program run
//! before the restart. It also says when it is done, as a hanging collector may keep its process
//! from ending.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::catch::marker::Taken;
use crate::catch::priority::lower_to;
use crate::clock::Now;
use crate::ourselves;
use crate::places::Places;
use crate::rights;

/// Verb of a worker that the hook itself starts.
pub const CATCH: &str = "catch";
/// Verb of a worker that a deliverer starts for a marker that a hook left behind.
pub const ADOPT: &str = "adopt";
/// How long a worker that is done may take to end, even if the time that it had is over.
const GOODBYE: Duration = Duration::from_millis(100);
/// Word by which a worker says that it is done.
const DONE: &str = "done";

/// The process that deals with a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The hook's worker.
    Worker,
    /// A worker of the deliverer, later.
    Adopter,
    /// The hook itself, if no process can be had. It has nobody to leave behind, so it touches
    /// nothing that may hang.
    Hook,
}

/// A running worker.
pub struct Worker {
    child: Child,
    /// Ends when the worker does.
    said: PipeReader,
}

/// How the wait for a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// It failed, or was killed.
    Failed,
    /// It is still at work.
    LeftBehind,
}

/// Returns the worker's command line. The worker runs with the nice value `nice`, whatever ours is.
pub fn command(verb: &str, places: &Places, taken: &Taken, nice: i32) -> io::Result<Command> {
    let mut command = Command::new(ourselves::program()?);
    // Under a hook's name it would be a hook. The environment is the job's, and hostile.
    command
        .arg0("lastwords")
        .arg(verb)
        .arg(taken.path())
        .arg(nice.to_string())
        .args(places.flags())
        .env_clear()
        .process_group(0);
    Ok(command)
}

/// Starts a worker on this marker. `file` is the marker's, with the lock.
pub fn start(mut command: Command, file: Option<File>) -> io::Result<Worker> {
    let (said, says) = io::pipe()?;
    let stdin = file.map_or_else(ourselves::nothing, |file| Ok(file.into()))?;
    // Not /dev/null, which may be missing. Nobody reads what comes after the hook has left.
    let child = command
        .stdin(stdin)
        .stderr(says.try_clone()?)
        .stdout(says)
        .spawn()?;
    Ok(Worker { child, said })
}

impl Worker {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the worker's end until this moment since the boot, or as much longer as it asks
    /// for.
    pub fn wait(&mut self, until: Duration) -> Ended {
        self.wait_for_complaints(until).0
    }

    /// Waits until the process of a worker that is done has ended, but no longer than until this
    /// moment since the boot, or for a tenth of a second: a collector that hangs may keep it from
    /// that.
    pub fn see_off(mut self, until: Duration) {
        let left = until.saturating_sub(Now::read().monotonic).max(GOODBYE);
        let Ok(pid) = i32::try_from(self.pid()) else {
            return;
        };
        let process = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let (Some(Ok(process)), Ok(moment)) = (process, Timespec::try_from(left)) else {
            return;
        };
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&moment));
        let _ = self.child.try_wait();
    }

    /// Does what [`Self::wait`] does. Also returns the complaints for which the worker found no
    /// other place.
    pub fn wait_for_complaints(&mut self, mut until: Duration) -> (Ended, String) {
        let mut buffer = [0; 1024];
        let mut words = String::new();
        loop {
            let left = until.saturating_sub(Now::read().monotonic);
            let left = Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            });
            match poll(&mut [PollFd::new(&self.said, PollFlags::IN)], Some(&left)) {
                Ok(0) => return (Ended::LeftBehind, words),
                Err(Errno::INTR) => continue,
                Err(_) => return (Ended::Failed, words),
                Ok(_) => {}
            }
            match self.said.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    let said = Said::read(buffer.get(..length).unwrap_or_default());
                    words.push_str(&said.words);
                    until = until.saturating_add(said.longer);
                    if said.done {
                        return (Ended::Done, words);
                    }
                }
            }
        }
        // The worker has closed its end of the pipe, so it has ended.
        let done = self.child.wait().is_ok_and(|status| status.success());
        (if done { Ended::Done } else { Ended::Failed }, words)
    }
}

/// Asks the process that waits for us to wait this much longer.
pub fn ask_for(longer: Duration) {
    let _ = io::stdout().write_all(format!("{}\n", longer.as_millis()).as_bytes());
}

/// Tells the process that waits for us that there is nothing more to wait for.
pub fn say_done() {
    let _ = io::stdout().write_all(format!("{DONE}\n").as_bytes());
}

/// Words of a worker.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// How much longer it asks for.
    longer: Duration,
    done: bool,
    /// Everything else, for people.
    words: String,
}

impl Said {
    fn read(said: &[u8]) -> Self {
        let mut read = Self::default();
        for line in String::from_utf8_lossy(said).split_inclusive('\n') {
            match (line.trim_end(), line.trim_end().parse()) {
                (_, Ok(millis)) => read.longer += Duration::from_millis(millis),
                (DONE, _) => read.done = true,
                _ => read.words.push_str(line),
            }
        }
        read
    }
}

/// Reads a worker's own arguments: its verb, the taken marker, and the flags. The worker gives up
/// the priority that its parent has.
pub fn begin(args: &[OsString]) -> Option<(By, &OsStr, &[OsString])> {
    let by = match args.get(1)?.to_str()? {
        CATCH => By::Worker,
        ADOPT => {
            // The steward that started it is waiting for its words, not for its user's.
            let _ = rights::stay_apart();
            By::Adopter
        }
        _ => return None,
    };
    lower_to(args.get(3)?.to_str()?.parse().ok()?);
    Some((by, args.get(2)?, args.get(4..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_asks_for_more_time_and_says_when_it_is_done() {
        let said = |longer: u64, done, words: &str| Said {
            longer: Duration::from_millis(longer),
            done,
            words: words.into(),
        };
        assert_eq!(Said::read(b"1500\n"), said(1500, false, ""));
        assert_eq!(Said::read(b"1500\ndone\n"), said(1500, true, ""));
        assert_eq!(
            Said::read(b"lastwords: it\nfailed"),
            said(0, false, "lastwords: it\nfailed")
        );
    }
}
