//! The hook's worker: a process of its own that does all that may take time, or for ever.
//!
//! A process that waits in the kernel for a disk that does not answer cannot be ended, and cannot
//! end itself. So the hook has this done by another process, waits for it a second at the most, and
//! leaves it behind. What the worker deals with, the taken marker, it has on its stdin, with the
//! lock on it: both are its own for as long as it lives.
//!
//! On its stdout it can ask the hook to wait longer, where the job's config has a program run
//! before the restart; and it says when it is done: a collector that hangs may keep its process
//! from ending.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::catch::haste::no_haste;
use crate::catch::marker::Taken;
use crate::clock::Now;
use crate::ourselves;
use crate::places::Places;

/// The worker's verb, when the hook itself calls it.
pub const CATCH: &str = "catch";
/// The same, when the hook is gone and a deliverer has found what it left.
pub const ADOPT: &str = "adopt";
/// What a worker says that is done.
const DONE: &str = "done";

/// Who deals with a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The hook's worker.
    Worker,
    /// A worker of the deliverer's, later.
    Adopter,
    /// The hook itself, for want of a process: it has nobody that it could leave behind, so it
    /// touches nothing that may hang.
    Hook,
}

/// A worker at work.
pub struct Worker {
    child: Child,
    /// Ends when the worker does.
    said: PipeReader,
}

/// How a worker's time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// It failed, or was killed.
    Failed,
    /// It is still at it.
    LeftBehind,
}

/// The worker's command line. It works with the nice value `nice`, whatever ours is.
pub fn command(verb: &str, places: &Places, taken: &Taken, nice: i32) -> io::Result<Command> {
    let mut command = Command::new(ourselves::program()?);
    // By a hook's name it would be a hook. The environment is the job's, and hostile.
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

/// Starts a worker on this marker; `file` is the marker's, with the lock.
pub fn start(mut command: Command, file: Option<File>) -> io::Result<Worker> {
    let (said, says) = io::pipe()?;
    let stdin = file.map_or_else(Stdio::null, Stdio::from);
    // Not /dev/null: there may be none. Nobody reads what comes after the hook has left, and nobody
    // minds.
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

    /// Waits for its end, but only until this moment since the boot, or as much longer as it asks
    /// for.
    pub fn wait(self, until: Duration) -> Ended {
        self.hear(until).0
    }

    /// The same. Also returns what it had to complain of, where it found nobody else to tell.
    pub fn hear(mut self, mut until: Duration) -> (Ended, String) {
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
        // It has let go of its end of the pipe, so it has ended.
        let done = self.child.wait().is_ok_and(|status| status.success());
        (if done { Ended::Done } else { Ended::Failed }, words)
    }
}

/// Asks whoever waits for us to wait so much longer.
pub fn ask_for(longer: Duration) {
    let _ = io::stdout().write_all(format!("{}\n", longer.as_millis()).as_bytes());
}

/// Tells whoever waits for us that there is nothing more to wait for.
pub fn say_done() {
    let _ = io::stdout().write_all(format!("{DONE}\n").as_bytes());
}

/// What a worker has said.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// How much longer it asks for.
    longer: Duration,
    done: bool,
    /// All else, for people.
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

/// The worker's own arguments: what its verb says of it, the taken marker, and the flags. It is no
/// longer in its parent's haste.
pub fn begin(args: &[OsString]) -> Option<(By, &OsStr, &[OsString])> {
    let by = match args.get(1)?.to_str()? {
        CATCH => By::Worker,
        ADOPT => By::Adopter,
        _ => return None,
    };
    no_haste(args.get(3)?.to_str()?.parse().ok()?);
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
