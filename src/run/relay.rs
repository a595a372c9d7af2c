//! Passes on what the command writes to a pipe, a socket or /dev/null, and keeps the end of it. The
//! kernel moves it page by page.
//!
//! ```text
//! command ──> pipe ──splice──> where our own output goes
//!               └──tee──> ring, a pipe that holds the end
//! ```
//! tee(2) and splice(2) move references to pages. Nothing is copied, and the bytes enter this
//! process only once, at the end, when the ring is read. The command runs at the reader's pace:
//! nothing is taken out of the pipe that cannot be passed on. When the reader goes, the relay
//! closes the pipe's reading end, and the command gets its SIGPIPE.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};

use crate::ourselves;

/// Capacity of the ring, in bytes. Each write of the command takes a whole page of it.
const RING: usize = 1 << 20;
/// Maximum number of bytes that are passed on at a time.
const CHUNK: usize = 1 << 20;
/// How long bytes that nobody reads may stay in the pipe. Waking up for every line would slow the
/// command down.
const LAZINESS: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// The time for which a question is asked that is answered at once.
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A pipe that keeps the end of what is put into it.
pub struct Ring {
    reader: OwnedFd,
    writer: OwnedFd,
    nowhere: Option<OwnedFd>,
    /// True if it holds no more than the end of what was put into it.
    cut: Arc<AtomicBool>,
}

impl Ring {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The kernel limits pipes for each user. Then the ring is smaller.
        let _ =
            fcntl_setpipe_size(&writer, RING).or_else(|_| fcntl_setpipe_size(&writer, RING / 4));
        Ok(Self {
            reader,
            writer,
            nowhere: ourselves::null(),
            cut: Arc::default(),
        })
    }

    /// Returns true if nothing more goes in. A page that is not full takes a place too, so the
    /// bytes do not tell.
    fn is_full(&self) -> bool {
        let mut fds = [PollFd::new(&self.writer, PollFlags::OUT)];
        poll(&mut fds, Some(&AT_ONCE)) == Ok(0)
    }

    /// Drops the oldest quarter.
    fn make_room(&self) -> io::Result<()> {
        // Said before it is done: who takes what is left has to know.
        self.cut.store(true, Ordering::SeqCst);
        let held = usize::try_from(ioctl_fionread(&self.reader)?).unwrap_or(RING);
        let part = (held / 4).max(1);
        let dropped = match &self.nowhere {
            Some(nowhere) => splice(
                &self.reader,
                None,
                nowhere,
                None,
                part,
                SpliceFlags::NONBLOCK,
            )?,
            None => rustix::io::read(&self.reader, &mut vec![0; part])?,
        };
        if dropped == 0 {
            Err(io::ErrorKind::WriteZero.into())
        } else {
            Ok(())
        }
    }

    /// Takes everything out.
    fn take(&self) -> Vec<u8> {
        take(&self.reader)
    }
}

/// Takes everything out of a ring, but no more than fits in: another thread may be filling it.
fn take(reader: &OwnedFd) -> Vec<u8> {
    let (mut bytes, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    // Reading ends in EAGAIN, as this process holds the writing end too.
    while bytes.len() < RING
        && let Ok(length @ 1..) = rustix::io::read(reader, &mut part)
    {
        bytes.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    bytes
}

/// The reading end of a relay's ring, for another thread than the relay's.
pub struct RingEnd {
    reader: OwnedFd,
    cut: Arc<AtomicBool>,
}

impl RingEnd {
    /// Takes what the ring holds, from the beginning of a line. What the relay's thread has not yet
    /// put into it is missing: only that thread knows how much of the command's pipe is in the ring
    /// already.
    pub fn end(&self) -> Vec<u8> {
        let bytes = take(&self.reader);
        from_a_line(bytes, self.cut.load(Ordering::SeqCst))
    }
}

/// Removes the rest of a line from the beginning of what is left of a cut ring. It may be the rest
/// of a secret, and nothing tells any more.
fn from_a_line(mut bytes: Vec<u8>, is_cut: bool) -> Vec<u8> {
    let newline = bytes.iter().position(|byte| *byte == b'\n');
    bytes.drain(..newline.filter(|_| is_cut).map_or(0, |newline| newline + 1));
    bytes
}

/// A pipe of the command, and where it leads.
pub struct Relay {
    from: OwnedFd,
    /// `None` if nobody reads it: it leads to /dev/null.
    to: Option<OwnedFd>,
    ring: Ring,
    /// Number of bytes in the pipe that are in the ring too, and are yet to be passed on.
    owed: usize,
    /// Number of bytes that were passed on, or thrown away where nobody reads them.
    passed: u64,
    /// True if the kernel cannot splice into `to`.
    plain: bool,
}

/// Reason why a relay pauses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// There is nothing to pass on.
    Empty,
    /// The reader is behind.
    Full,
    /// Nobody writes, or nobody reads, any more.
    Over,
    /// The command has ended.
    Stopped,
}

impl Relay {
    /// Returns a relay to `to`, and the command's end of it.
    ///
    /// # Errors
    /// Returns an error if there is no pipe to be had, or if a sandbox forbids one of these calls.
    pub fn new(to: Option<OwnedFd>) -> io::Result<(Self, OwnedFd)> {
        let (from, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let ring = Ring::new()?;
        if to.is_none() {
            // With a large pipe the command need not wait for this process, which is in no hurry.
            let _ = fcntl_setpipe_size(&from, RING);
        }
        // It is better to find out before anything depends on it.
        rustix::io::write(&theirs, b"?")?;
        if tee(&from, &ring.writer, 1, SpliceFlags::NONBLOCK)? != 1 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        rustix::io::read(&from, &mut [0])?;
        ring.take();
        Ok((
            Self {
                from,
                to,
                ring,
                owed: 0,
                passed: 0,
                plain: false,
            },
            theirs,
        ))
    }

    pub fn ring_end(&self) -> io::Result<RingEnd> {
        Ok(RingEnd {
            reader: self.ring.reader.try_clone()?,
            cut: Arc::clone(&self.ring.cut),
        })
    }

    /// Passes on until the command has closed its end, nobody reads any more, or `stop` ends.
    pub fn run(&mut self, stop: impl AsFd) -> Rest {
        loop {
            let rest = match self.pass_on() {
                Rest::Over => Rest::Over,
                rest => self.wait(rest, stop.as_fd()),
            };
            if matches!(rest, Rest::Over | Rest::Stopped) {
                return rest;
            }
            if self.to.is_none() && waiting(&self.from) < RING as u64 / 8 {
                // The next look into the pipe comes before that end is noticed.
                let _ = poll(&mut [PollFd::new(&stop, PollFlags::IN)], Some(&LAZINESS));
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, rest: Rest, stop: BorrowedFd) -> Rest {
        let to = self.to.as_ref().map_or(stop, AsFd::as_fd);
        let (awaited, event) = if rest == Rest::Full {
            (to, PollFlags::OUT)
        } else {
            (self.from.as_fd(), PollFlags::IN)
        };
        let mut fds = [
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
            // Polled for no event, it tells when the reader is gone.
            PollFd::from_borrowed_fd(to, PollFlags::empty()),
            PollFd::from_borrowed_fd(awaited, event),
        ];
        while poll(&mut fds, None) == Err(Errno::INTR) {}
        let [stop, to, _] = fds.map(|fd| !fd.revents().is_empty());
        match (stop, to) {
            (true, _) => Rest::Stopped,
            (_, true) => Rest::Over,
            _ => rest,
        }
    }

    /// Passes on what is there.
    fn pass_on(&mut self) -> Rest {
        if self.owed == 0 {
            match self.keep() {
                Ok(0) => return Rest::Over,
                Ok(kept) => self.owed = kept,
                Err(Errno::AGAIN) => return Rest::Empty,
                Err(_) => return Rest::Over,
            }
        }
        while let Some(to) = self.to.as_ref().filter(|_| self.owed > 0) {
            let passed = if self.plain {
                copy(&self.from, to, self.owed)
            } else {
                splice(&self.from, None, to, None, self.owed, SpliceFlags::NONBLOCK)
            };
            match passed {
                Ok(0) => return Rest::Over,
                Ok(passed) => {
                    self.owed = self.owed.saturating_sub(passed);
                    self.passed += passed as u64;
                }
                Err(Errno::AGAIN) => return Rest::Full,
                Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::NOSYS) if !self.plain => self.plain = true,
                Err(_) => return Rest::Over,
            }
        }
        self.passed += self.owed as u64;
        self.owed = 0;
        Rest::Empty
    }

    /// Puts what is in the pipe into the ring. If nobody reads the output, this takes it out of the
    /// pipe.
    fn keep(&mut self) -> rustix::io::Result<usize> {
        loop {
            let kept = match self.to {
                Some(_) => tee(&self.from, &self.ring.writer, CHUNK, SpliceFlags::NONBLOCK),
                None => splice(
                    &self.from,
                    None,
                    &self.ring.writer,
                    None,
                    CHUNK,
                    SpliceFlags::NONBLOCK,
                ),
            };
            match kept {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if waiting(&self.from) > 0 => {
                    // Else the pipe was empty, and the command has written since.
                    if self.ring.is_full() {
                        self.ring.make_room().map_err(|_| Errno::IO)?;
                    }
                }
                kept => return kept,
            }
        }
    }

    /// Returns the end of what the command wrote, passed on or not, from the beginning of a line.
    pub fn kept(&mut self) -> Vec<u8> {
        let mut kept = self.ring.take();
        if self.to.is_none() {
            // The command's pipe holds no more than that. What comes after it is written by
            // children, which may never stop.
            let mut moved = 0;
            while moved < RING
                && let Ok(more @ 1..) = self.keep()
            {
                moved += more;
                kept.extend(self.ring.take());
            }
        } else if tee(&self.from, &self.ring.writer, CHUNK, SpliceFlags::NONBLOCK).is_ok() {
            // Bytes that are still to be passed on come before new ones, and are kept already.
            kept.extend(self.ring.take().into_iter().skip(self.owed));
        }
        from_a_line(kept, self.ring.cut.load(Ordering::SeqCst))
    }

    /// Passes on what is in the pipe now, however long the reader takes, and no more than that:
    /// children may go on writing for ever. Returns the rest of the relay if children that the
    /// command left behind still hold its end.
    pub fn flush(mut self) -> Option<(OwnedFd, Option<OwnedFd>)> {
        let all = self.passed + waiting(&self.from);
        while self.passed < all {
            match self.pass_on() {
                Rest::Over => return None,
                Rest::Full => {
                    let to = self.to.as_ref()?;
                    let mut fds = [PollFd::new(to, PollFlags::OUT)];
                    while poll(&mut fds, None) == Err(Errno::INTR) {}
                }
                Rest::Empty if waiting(&self.from) == 0 => break,
                Rest::Empty | Rest::Stopped => {}
            }
        }
        let mut fds = [PollFd::new(&self.from, PollFlags::IN)];
        let is_held =
            poll(&mut fds, Some(&AT_ONCE)).is_ok() && !fds[0].revents().contains(PollFlags::HUP);
        is_held.then_some((self.from, self.to))
    }
}

fn waiting(pipe: &OwnedFd) -> u64 {
    ioctl_fionread(pipe).unwrap_or_default()
}

/// Does what splice would do, through this process's memory.
fn copy(from: &OwnedFd, to: &OwnedFd, most: usize) -> rustix::io::Result<usize> {
    let mut bytes = vec![0; most.min(64 * 1024)];
    let length = rustix::io::read(from, &mut bytes)?;
    let mut left = bytes.get(..length).unwrap_or_default();
    while !left.is_empty() {
        match rustix::io::write(to, left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            Err(why) => return Err(why),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::thread;

    use super::Relay;

    #[test]
    fn what_is_written_while_the_relay_finds_the_pipe_empty_is_passed_on_and_kept() {
        let (stop, _running) = io::pipe().unwrap();
        for round in 0..2000 {
            let (reader, to) = io::pipe().unwrap();
            let (mut relay, theirs) = Relay::new(Some(to.into())).unwrap();
            let mut theirs = std::fs::File::from(theirs);
            let kept = thread::scope(|scope| {
                scope.spawn(move || {
                    for line in ["last\n", "words\n"] {
                        theirs.write_all(line.as_bytes()).unwrap();
                    }
                });
                relay.run(&stop);
                relay.kept()
            });
            drop(relay);
            assert_eq!(kept, b"last\nwords\n", "round {round}");
            assert_eq!(io::read_to_string(&reader).unwrap(), "last\nwords\n");
        }
    }

    #[test]
    fn the_rest_is_passed_on_although_a_child_goes_on_writing() {
        let (mut reader, to) = io::pipe().unwrap();
        let (relay, theirs) = Relay::new(Some(to.into())).unwrap();
        let mut theirs = std::fs::File::from(theirs);
        theirs.write_all(&[0; 8192]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| while reader.read(&mut [0; 4096]).unwrap() > 0 {});
            scope.spawn(move || while theirs.write_all(&[0; 8192]).is_ok() {});
            // The rest that it returns is dropped, and with it the pipes of both.
            assert!(relay.flush().is_some());
        });
    }
}
