//! The hook's worker: a process of its own that does all that may take time, or for ever.
//!
//! A process that waits in the kernel for a disk that does not answer cannot be ended, and cannot end itself. So the hook
//! has this done by another process, waits for it a second at the most, and leaves it behind. What the worker deals with,
//! the taken marker, it has on its stdin, with the lock on it: both are its own for as long as it lives.
//!
//! On its stdout it can ask the hook to wait longer, where the job's config has a program run before the restart.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Places, ourselves};
use crate::clock::Now;
use crate::marker::Taken;

/// The worker's verb, when the hook itself calls it.
pub const CATCH: &str = "catch";
/// The same, when the hook is gone and a deliverer has found what it left.
pub const ADOPT: &str = "adopt";
/// Upstart's announcement of a stop: all that the worker gets of the job's environment.
pub const ANNOUNCEMENT: &str = "UPSTART_STOP_EVENTS";

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

/// The worker's command line.
pub fn command(verb: &str, places: &Places, taken: &Taken) -> io::Result<Command> {
    let mut command = Command::new(ourselves::program()?);
    // By a hook's name it would be a hook. The environment is the job's, and hostile.
    command.arg0("lastwords").arg(verb).arg(taken.path()).args(places.flags()).env_clear().process_group(0);
    Ok(command)
}

/// Starts a worker on this marker; `file` is the marker's, with the lock.
pub fn start(mut command: Command, file: Option<File>) -> io::Result<Worker> {
    let (said, says) = io::pipe()?;
    let stdin = file.map_or_else(Stdio::null, Stdio::from);
    // Not /dev/null: there may be none. Nobody reads what comes after the hook has left, and nobody minds.
    let child = command.stdin(stdin).stderr(says.try_clone()?).stdout(says).spawn()?;
    Ok(Worker { child, said })
}

impl Worker {
    /// Waits for its end, but only until this moment since the boot, or as much longer as it asks for.
    pub fn wait(self, until: Duration) -> Ended {
        self.hear(until).0
    }

    /// The same. Also returns what it had to complain of, where it found nobody else to tell.
    pub fn hear(mut self, mut until: Duration) -> (Ended, String) {
        let mut asked = [0; 1024];
        let mut said = String::new();
        loop {
            let left = until.saturating_sub(Now::read().monotonic);
            let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            match poll(&mut [PollFd::new(&self.said, PollFlags::IN)], Some(&left)) {
                Ok(0) => return (Ended::LeftBehind, said),
                Err(Errno::INTR) => continue,
                Err(_) => return (Ended::Failed, said),
                Ok(_) => {}
            }
            match self.said.read(&mut asked) {
                Ok(0) | Err(_) => break,
                Ok(length) => match parse(asked.get(..length).unwrap_or_default()) {
                    Ok(longer) => until = until.saturating_add(longer),
                    Err(words) => said.push_str(&words),
                },
            }
        }
        // It has let go of its end of the pipe, so it has ended.
        let done = self.child.wait().is_ok_and(|status| status.success());
        (if done { Ended::Done } else { Ended::Failed }, said)
    }
}

/// Asks whoever waits for us to wait so much longer.
pub fn ask_for(longer: Duration) {
    let _ = io::stdout().write_all(format!("{}\n", longer.as_millis()).as_bytes());
}

/// How much longer it asks for; anything else are words for people.
fn parse(asked: &[u8]) -> Result<Duration, String> {
    let text = String::from_utf8_lossy(asked);
    text.trim_end().parse().map(Duration::from_millis).map_err(|_| text.into_owned())
}

/// The worker's own arguments: its verb, the taken marker, and the flags.
pub fn arguments(args: &[OsString]) -> Option<(bool, &OsStr, &[OsString])> {
    let adopted = match args.get(1)?.to_str()? {
        CATCH => false,
        ADOPT => true,
        _ => return None,
    };
    Some((adopted, args.get(2)?, args.get(3..)?))
}
