//! A steward, as the process sees it that starts it: it has so much time, and is killed then with
//! all that it has started, whatever its user does to it.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::clock::Now;
use crate::ourselves;
use crate::places::Places;
use crate::render::one_line;

/// How long a killed steward may take to die.
const GRACE: Duration = Duration::from_millis(200);
/// Maximum length of a steward's complaint, in bytes.
const MAX_COMPLAINT: u64 = 1024;

/// A user's steward. It ends when this is dropped, with all that it has started.
pub struct Steward {
    child: Child,
    /// The end of its time, since the boot.
    until: Duration,
    /// False once it has ended and its number may be another process's.
    lives: bool,
}

impl Steward {
    /// Starts the steward of user `uid` with this task, which its flags name. It has so much time.
    pub fn start(places: &Places, uid: u32, task: &[&OsStr], patience: Duration) -> Result<Self> {
        let child = Command::new(ourselves::program()?)
            .arg0("lastwords")
            .arg("steward")
            .args(["--user", &uid.to_string()])
            .args(task)
            .args(places.flags())
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        Ok(Self {
            child,
            until: Now::read().monotonic + patience,
            lives: true,
        })
    }

    /// Returns where it hears, and what it says until its time is over. It ends when it gets no
    /// more answers.
    pub fn pipes(&mut self) -> Result<(ChildStdin, Until<ChildStdout>)> {
        let Child { stdin, stdout, .. } = &mut self.child;
        let (hears, pipe) = stdin.take().zip(stdout.take()).context("it has no pipes")?;
        let until = self.until;
        Ok((hears, Until { pipe, until }))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it failed, or its time is over.
    pub fn finish(mut self) -> Result<()> {
        let mut why = Vec::new();
        let pipe = self.child.stderr.take().context("it has no pipes")?;
        let until = self.until;
        let complaint = Until { pipe, until };
        complaint.take(MAX_COMPLAINT).read_to_end(&mut why)?;
        if let Some(status) = self.end(until).filter(|status| !status.success()) {
            let why = one_line(&String::from_utf8_lossy(&why), 300);
            bail!("its steward failed, {status}: {why}");
        }
        Ok(())
    }

    /// Waits for its end until this moment since the boot, and kills what is left then. Returns how
    /// it ended, if it has.
    fn end(&mut self, until: Duration) -> Option<ExitStatus> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)?;
        // Until it is reaped, its number is no other process's.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), look), Ok(None)) && Now::read().monotonic < until {
            thread::sleep(GRACE / 100);
        }
        let _ = kill_process_group(pid, Signal::KILL);
        self.lives = false;
        // A process that waits for a disk may not die now, and is not waited for.
        let until = Now::read().monotonic + GRACE;
        loop {
            match self.child.try_wait() {
                Ok(None) if Now::read().monotonic < until => thread::sleep(GRACE / 100),
                ended => return ended.ok().flatten(),
            }
        }
    }
}

impl Drop for Steward {
    fn drop(&mut self) {
        if self.lives {
            self.end(Duration::ZERO);
        }
    }
}

/// Reads from a pipe until this moment since the boot.
pub struct Until<P> {
    pipe: P,
    until: Duration,
}

impl<P: Read + AsFd> Read for Until<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_sub(Now::read().monotonic);
        let left = Timespec::try_from(left).unwrap_or_default();
        loop {
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Err(io::Error::other("it took too long, and was killed")),
                Err(Errno::INTR) => {}
                Err(why) => return Err(why.into()),
                Ok(_) => return self.pipe.read(buffer),
            }
        }
    }
}
