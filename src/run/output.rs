//! Decides where the command's output goes, and keeps the end of it.
//!
//! | our own is | the command gets | what is kept |
//! |---|---|---|
//! | a pipe, a stream socket, /dev/null | a pipe, passed on by the kernel ([`mod@crate::run::relay`]) | the last megabyte, in the kernel |
//! | a file | the same | nothing: its end is read when the command has ended |
//! | a terminal, a device | the same: programs behave differently on a terminal | nothing; of Upstart's terminal, its `console log` is read |
//!
//! A socket that is also standard input is a connection, and stays as it is. If standard output and
//! error are the same, they stay the same, so that their lines keep their order.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, id};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::fs::{FileType, MemfdFlags, Stat, fstat, major, memfd_create, minor};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

use crate::collectors::output::{HELD, Stream};
use crate::ourselves;
use crate::run::relay::{Relay, Rest, RingEnd};
use crate::run::signals::Signals;

/// How long to wait for the end of the output, which the kernel holds ready. A busy machine may be
/// slow to run the thread that takes it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The rest of a relay: the reading end of the command's pipe, and where it leads.
type Left = Option<(OwnedFd, Option<OwnedFd>)>;

/// Standard output and error of the command.
#[derive(Default)]
pub struct Output {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    relays: Vec<Relayed>,
    files: Vec<Stream>,
    /// Our own descriptors of these files, for the worker to inherit.
    descriptors: Vec<File>,
}

struct Relayed {
    name: &'static str,
    kept: Receiver<Vec<u8>>,
    /// Holds the same, where the thread does not come to say so: its reader may be slow.
    ring: RingEnd,
    thread: JoinHandle<Left>,
    /// Stops the relay when it is dropped.
    running: Option<PipeWriter>,
    /// Ends with the thread.
    alive: PipeReader,
}

/// Kind of one of our own descriptors.
enum OurEnd {
    Relayed,
    Discarded,
    File(u64),
    Other,
}

impl Output {
    /// Puts a relay in front of each descriptor that can have one. Otherwise the command gets our
    /// own descriptor.
    pub fn intercept() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let (out, err) = (stdout.as_fd(), stderr.as_fd());
        let same = matches!((fstat(out), fstat(err)), (Ok(out), Ok(err)) if is_same(&out, &err));
        let mut output = Self::default();
        let name = if same {
            "standard output and error"
        } else {
            "standard output"
        };
        output.stdout = output.stream(name, out, 1);
        if same {
            output.stderr = output.stdout.as_ref().and_then(|end| end.try_clone().ok());
        } else {
            output.stderr = output.stream("standard error", err, 2);
        }
        output
    }

    /// Returns what the command gets in place of this descriptor of ours, or `None` for the
    /// descriptor itself.
    fn stream(&mut self, name: &'static str, fd: BorrowedFd, number: i32) -> Option<OwnedFd> {
        let to = match kind(fd) {
            OurEnd::Relayed => Some(fd.try_clone_to_owned().ok()?),
            OurEnd::Discarded => None,
            OurEnd::File(from) => {
                let own = fd.try_clone_to_owned().map(File::from).ok();
                let number = own.as_ref().map_or(number, AsRawFd::as_raw_fd);
                self.files.push(Stream {
                    name: name.into(),
                    path: format!("/proc/{}/fd/{number}", id()),
                    from,
                    is_inherited: own.is_some(),
                });
                self.descriptors.extend(own);
                return None;
            }
            OurEnd::Other => return None,
        };
        let (relay, theirs) = Relay::new(to).ok()?;
        self.relays.push(Relayed::start(name, relay).ok()?);
        Some(theirs)
    }

    /// Gives the command its ends.
    pub fn attach(&mut self, command: &mut Command) {
        for (end, attach) in [
            (
                self.stdout.take(),
                Command::stdout as fn(&mut Command, Stdio) -> &mut Command,
            ),
            (self.stderr.take(), Command::stderr),
        ] {
            if let Some(end) = end {
                attach(command, end.into());
            }
        }
    }

    /// Keeps the end of the command's output in files that a worker of ours can inherit. Another
    /// process can read them for as long as this one lives.
    pub fn kept(&mut self) -> (Vec<Stream>, Vec<File>) {
        for relay in &mut self.relays {
            relay.running = None;
        }
        let mut streams = self.files.clone();
        let mut held = mem::take(&mut self.descriptors);
        for relay in &self.relays {
            let bytes = relay.kept.recv_timeout(PATIENCE);
            let bytes = bytes.unwrap_or_else(|_| relay.ring.end());
            let Ok(file) = hold(&bytes) else { continue };
            let path = format!("/proc/{}/fd/{}", id(), file.as_raw_fd());
            streams.push(Stream {
                name: relay.name.into(),
                path,
                from: 0,
                is_inherited: false,
            });
            held.push(file);
        }
        (streams, held)
    }

    /// Waits until everything is passed on, as the command itself would have, or until a signal
    /// asks us to end. Output that the command's children have yet to write is left to processes of
    /// ours.
    pub fn finish(self, signals: &Signals) {
        for relay in self.relays {
            if !relay.thread.is_finished() && !signals.wait_for(&relay.alive, None) {
                return;
            }
            if let Ok(Some((from, to))) = relay.thread.join() {
                hand_over(from, to);
            }
        }
    }
}

impl Relayed {
    fn start(name: &'static str, mut relay: Relay) -> io::Result<Self> {
        let (stop, running) = io::pipe()?;
        let (alive, held) = io::pipe()?;
        let (send, kept) = channel();
        let ring = relay.ring_end()?;
        let thread = Builder::new().spawn(move || {
            let _held = held;
            let rest = relay.run(stop);
            let _ = send.send(relay.kept());
            if rest == Rest::Stopped {
                relay.flush()
            } else {
                None
            }
        })?;
        Ok(Self {
            name,
            kept,
            ring,
            thread,
            running: Some(running),
            alive,
        })
    }
}

fn kind(fd: BorrowedFd) -> OurEnd {
    let Ok(found) = fstat(fd) else {
        return OurEnd::Other;
    };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Fifo => OurEnd::Relayed,
        FileType::Socket => {
            let is_connection = fstat(io::stdin()).is_ok_and(|stdin| is_same(&stdin, &found));
            let is_stream = socket_type(fd) == Ok(SocketType::STREAM);
            if is_stream && !is_connection {
                OurEnd::Relayed
            } else {
                OurEnd::Other
            }
        }
        FileType::RegularFile => OurEnd::File(u64::try_from(found.st_size).unwrap_or_default()),
        // null(4)
        FileType::CharacterDevice if (major(found.st_rdev), minor(found.st_rdev)) == (1, 3) => {
            OurEnd::Discarded
        }
        _ => OurEnd::Other,
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Makes a file without a name, in memory.
fn hold(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(HELD, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Has a process of ours pass on the output that others than the command still write to its pipe.
/// Without it, SIGPIPE would kill them.
fn hand_over(from: OwnedFd, to: Option<OwnedFd>) {
    let Ok(program) = ourselves::program() else {
        return;
    };
    let (Ok(nothing), Ok(nowhere)) = (ourselves::nothing(), ourselves::nothing()) else {
        return;
    };
    let mut command = Command::new(program);
    command
        .arg0("lastwords")
        .arg("relay")
        .env_clear()
        .current_dir("/")
        .process_group(0);
    command
        .stdin(from)
        .stdout(to.map_or(nowhere, Stdio::from))
        .stderr(nothing);
    Signals::unblocked(&mut command);
    let _ = command.spawn();
}

/// Runs the process that [`hand_over`] starts.
pub fn relay() -> io::Result<()> {
    let from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Splices if it can.
    io::copy(&mut &from, &mut &to).map(drop)
}
