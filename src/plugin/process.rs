//! A program that runs: its process group, and our ends of its pipes.

use std::io::{self, Read, Write};
use std::iter;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

/// How often to check if the main process has ended, where the kernel does not tell of it.
const TICK: Duration = Duration::from_millis(10);
/// How long to read the rest of the pipes after the end, and how long a killed process may take to
/// die.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// How much of the end of stderr is searched for its last line, in bytes.
const STDERR_TAIL: usize = 4096;

/// The program and everything that stayed in its process group.
pub(super) struct ProcessGroup {
    pub(super) child: Child,
    /// Becomes readable when the main process has ended. `None` on kernels that have no such thing.
    pidfd: Option<OwnedFd>,
}

impl ProcessGroup {
    pub(super) fn new(child: Child) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { child, pidfd }
    }

    pub(super) fn leader(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// Waits until the main process has ended or one of `others` has something to do, for `left` at
    /// most.
    fn wait<'a>(&'a self, others: impl Iterator<Item = PollFd<'a>>, left: Duration) {
        let end = self.pidfd.iter();
        let end = end.map(|pidfd| PollFd::new(pidfd, PollFlags::IN));
        let mut fds: Vec<PollFd> = others.chain(end).collect();
        let left = if self.pidfd.is_some() {
            left
        } else {
            left.min(TICK)
        };
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    }

    /// Returns true if the main process has ended. It stays a zombie, so that no other process can
    /// get its id yet, which is also the group's.
    pub(super) fn ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.leader()
            .is_none_or(|leader| !matches!(waitid(WaitId::Pid(leader), look), Ok(None)))
    }

    pub(super) fn kill(&mut self) {
        if let Some(leader) = self.leader() {
            let _ = kill_process_group(leader, Signal::KILL);
        }
        // It may have joined another group.
        let _ = self.child.kill();
    }

    /// Returns the exit status; `None` if even KILL does not end the program (it is in a system
    /// call that cannot be interrupted).
    pub(super) fn reap(&mut self) -> Option<ExitStatus> {
        let killed = Instant::now();
        loop {
            let left = GRACE.saturating_sub(killed.elapsed());
            match self.child.try_wait() {
                Ok(None) if !left.is_zero() => self.wait(iter::empty(), left),
                status => return status.ok().flatten(),
            }
        }
    }
}

/// Our ends of the three pipes. Only [`Pipes::wait`] blocks.
pub(super) struct Pipes<'a> {
    stdin: Option<ChildStdin>,
    unwritten: &'a [u8],
    pub(super) stdout: Captured<ChildStdout>,
    pub(super) stderr: Captured<ChildStderr>,
}

impl<'a> Pipes<'a> {
    pub(super) fn take(child: &mut Child, stdin: &'a [u8], max_bytes: usize) -> Self {
        Self {
            stdin: child.stdin.take().filter(unblock),
            unwritten: stdin,
            stdout: Captured::new(child.stdout.take(), max_bytes, false),
            stderr: Captured::new(child.stderr.take(), STDERR_TAIL, true),
        }
    }

    /// Waits until there is something to do or the program has ended, for `left` at most.
    pub(super) fn wait(&self, group: &ProcessGroup, left: Duration) {
        let stdin = self.stdin.iter();
        let stdin = stdin.map(|pipe| PollFd::new(pipe, PollFlags::OUT));
        let stdout = self.stdout.pipe.iter();
        let stdout = stdout.map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let stderr = self.stderr.pipe.iter();
        let stderr = stderr.map(|pipe| PollFd::new(pipe, PollFlags::IN));
        group.wait(stdin.chain(stdout).chain(stderr), left);
    }

    /// Writes and reads without waiting. Returns true if something was read.
    pub(super) fn turn(&mut self) -> bool {
        if let Some(pipe) = &mut self.stdin {
            match pipe.write(self.unwritten) {
                Ok(written) => self.unwritten = self.unwritten.get(written..).unwrap_or_default(),
                Err(why) if would_block(&why) => {}
                // The program has closed its stdin.
                Err(_) => self.unwritten = &[],
            }
            if self.unwritten.is_empty() {
                self.stdin = None;
            }
        }
        let read = self.stdout.turn();
        self.stderr.turn() || read
    }
}

/// A pipe that is read to its end, and the part of it that is kept.
pub(super) struct Captured<P> {
    pipe: Option<P>,
    pub(super) kept: Vec<u8>,
    max: usize,
    /// Keep the end, not the beginning.
    tail: bool,
    pub(super) truncated: bool,
}

impl<P: Read + AsFd> Captured<P> {
    fn new(pipe: Option<P>, max: usize, tail: bool) -> Self {
        Self {
            pipe: pipe.filter(unblock),
            kept: Vec::new(),
            max,
            tail,
            truncated: false,
        }
    }

    fn turn(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else {
            return false;
        };
        let mut buffer = [0; 16 * 1024];
        match pipe.read(&mut buffer) {
            Ok(count) if count > 0 => {
                self.keep(buffer.get(..count).unwrap_or_default());
                return true;
            }
            Err(why) if would_block(&why) => {}
            _ => self.pipe = None,
        }
        false
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = if self.tail {
            bytes.len()
        } else {
            self.max - self.kept.len()
        };
        self.truncated |= bytes.len() > room;
        self.kept.extend(bytes.iter().take(room));
        if self.kept.len() > self.max {
            self.truncated = true;
            self.kept.drain(..self.kept.len() - self.max);
        }
    }
}

/// Makes our end of a pipe non-blocking. Returns false if that fails; then the pipe is not used.
fn unblock<P: AsFd>(pipe: &P) -> bool {
    rustix::io::ioctl_fionbio(pipe, true).is_ok()
}

fn would_block(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
