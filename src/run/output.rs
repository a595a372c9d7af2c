//! Where the command's output goes, and how its end is kept.
//!
//! | our own is | the command gets | what is kept |
//! |---|---|---|
//! | a pipe, a stream socket, /dev/null | a pipe, passed on by the kernel ([`crate::run::relay`]) | the last megabyte, in the kernel |
//! | a file | the same | nothing: its end is read when the command has ended |
//! | a terminal, a device | the same: programs behave differently on a terminal | nothing |
//!
//! A socket that is also standard input is a connection, and stays as it is. Two that are one stay
//! one, so that their lines keep their order.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, id};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::fs::{FileType, MemfdFlags, Stat, fstat, major, memfd_create, minor};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

use crate::collectors::output::Stream;
use crate::ourselves;
use crate::run::relay::{Relay, Rest};
use crate::run::signals::Signals;

/// How long to wait for the end of the output, which the kernel holds ready.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is left of a relay: the reading end of the command's pipe, and where it leads.
type Left = Option<(OwnedFd, Option<OwnedFd>)>;

/// The command's standard output and error.
#[derive(Default)]
pub struct Output {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    relays: Vec<Relayed>,
    files: Vec<Stream>,
}

struct Relayed {
    name: &'static str,
    kept: Receiver<Vec<u8>>,
    thread: JoinHandle<Left>,
    /// Dropped, it stops the relay.
    running: Option<PipeWriter>,
    /// Ends with the thread.
    alive: PipeReader,
}

/// What a descriptor of ours is.
enum Kind {
    Relayed,
    Discarded,
    File(u64),
    Other,
}

impl Output {
    /// Puts the relays in between that can be. Where one cannot, the command has our own
    /// descriptor.
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

    /// What the command gets in the place of this descriptor of ours, if not itself.
    fn stream(&mut self, name: &'static str, fd: BorrowedFd, number: u32) -> Option<OwnedFd> {
        let to = match kind(fd) {
            Kind::Relayed => Some(fd.try_clone_to_owned().ok()?),
            Kind::Discarded => None,
            Kind::File(from) => {
                self.files.push(Stream {
                    name: name.into(),
                    path: format!("/proc/{}/fd/{number}", id()),
                    from,
                });
                return None;
            }
            Kind::Other => return None,
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

    /// Keeps the end of what the command wrote where another process of ours can read it as long as
    /// this one lives.
    pub fn kept(&mut self) -> Vec<Stream> {
        for relay in &mut self.relays {
            relay.running = None;
        }
        let mut streams = self.files.clone();
        for relay in &self.relays {
            let bytes = relay.kept.recv_timeout(PATIENCE).unwrap_or_default();
            let Ok(file) = hold(&bytes) else { continue };
            let path = format!("/proc/{}/fd/{}", id(), file.as_raw_fd());
            streams.push(Stream {
                name: relay.name.into(),
                path,
                from: 0,
            });
            // It is this process's for as long as there is one.
            std::mem::forget(file);
        }
        streams
    }

    /// Waits until all is passed on, as the command would have, or until a signal asks us to end.
    /// What children of the command's have yet to say is left to processes of ours.
    pub fn finish(self, signals: &Signals) {
        for relay in self.relays {
            if !relay.thread.is_finished() && !crate::run::wait_for(&relay.alive, signals, None) {
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
            thread,
            running: Some(running),
            alive,
        })
    }
}

fn kind(fd: BorrowedFd) -> Kind {
    let Ok(found) = fstat(fd) else {
        return Kind::Other;
    };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Fifo => Kind::Relayed,
        FileType::Socket => {
            let is_connection = fstat(io::stdin()).is_ok_and(|stdin| is_same(&stdin, &found));
            let is_stream = socket_type(fd) == Ok(SocketType::STREAM);
            if is_stream && !is_connection {
                Kind::Relayed
            } else {
                Kind::Other
            }
        }
        FileType::RegularFile => Kind::File(u64::try_from(found.st_size).unwrap_or_default()),
        // null(4)
        FileType::CharacterDevice if (major(found.st_rdev), minor(found.st_rdev)) == (1, 3) => {
            Kind::Discarded
        }
        _ => Kind::Other,
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// A file that has no name and lies in memory.
fn hold(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("last output", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Has a process of ours pass on what others than the command still write to its pipe. Without it
/// they would be killed.
fn hand_over(from: OwnedFd, to: Option<OwnedFd>) {
    let Ok(program) = ourselves::program() else {
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
        .stdout(to.map_or_else(Stdio::null, Stdio::from))
        .stderr(Stdio::null());
    Signals::unblocked(&mut command);
    let _ = command.spawn();
}

/// The process that [`hand_over`] starts.
pub fn relay() -> io::Result<()> {
    let from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // It splices, where it can.
    io::copy(&mut &from, &mut &to).map(drop)
}
