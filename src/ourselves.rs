//! This process: its program's file, to start it again, its age, its umask, and where nothing comes
//! from or goes.

use std::env;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::param::clock_ticks_per_second;
use rustix::process::umask;
use rustix::time::{ClockId, clock_gettime};

/// The running program, whatever became of its file.
const RUNNING: &str = "/proc/self/exe";
/// The umask that this process was started with.
static UMASK: AtomicU32 = AtomicU32::new(0);

/// Keeps others than this process's user from writing what it makes, whatever umask its job has.
pub fn tighten_umask() {
    let was = umask(Mode::WGRP | Mode::WOTH);
    UMASK.store(was.bits(), Ordering::Relaxed);
    umask(was | Mode::WGRP | Mode::WOTH);
}

/// Takes back what [`tighten_umask`] did, in a process that becomes another program.
pub fn restore_umask() {
    umask(Mode::from_bits_truncate(UMASK.load(Ordering::Relaxed)));
}

/// Returns this program's file. Without `/proc` it is the path that we were called by, if that is a
/// whole path.
pub fn program() -> io::Result<PathBuf> {
    env::current_exe().map(still_there).or_else(|why| {
        let called = env::args_os()
            .next()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        called.ok_or(why)
    })
}

/// Returns a path that can be run although an upgrade has replaced the file. A deliverer that
/// watches and `lastwords run` live longer than that.
fn still_there(link: PathBuf) -> PathBuf {
    let is_gone = link.as_os_str().as_bytes().ends_with(b" (deleted)");
    if is_gone { RUNNING.into() } else { link }
}

/// Returns /dev/null, unless something else is there: in a chroot its user may have put a FIFO in
/// its place, which would be waited for.
pub fn null() -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let null = openat(CWD, "/dev/null", flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(fstat(&null).ok()?.st_mode);
    (kind == FileType::CharacterDevice).then_some(null)
}

/// Returns a standard stream of a process of ours that reads and writes nothing there.
///
/// # Errors
/// If not even a pipe can be had.
pub fn nothing() -> io::Result<Stdio> {
    match null() {
        Some(null) => Ok(null.into()),
        // Its other end is closed: a reader finds the end, and a writer an error.
        None => Ok(io::pipe()?.0.into()),
    }
}

/// Returns how long ago this process was made, to a hundredth of a second; zero if that is not
/// known. It may have been another program's then.
pub fn age() -> Duration {
    let since_boot = clock_gettime(ClockId::Boottime);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    let since_boot = Duration::from_secs(part(since_boot.tv_sec))
        + Duration::from_nanos(part(since_boot.tv_nsec));
    // This is about this process, not about the machine that is looked at.
    let stat = fs::read("/proc/self/stat").unwrap_or_default();
    let made = made(&stat).and_then(|ticks| {
        ticks
            .checked_mul(1000)?
            .checked_div(clock_ticks_per_second())
    });
    made.map_or(Duration::ZERO, |millis| {
        since_boot.saturating_sub(Duration::from_millis(millis))
    })
}

/// Returns when a process was made, in ticks since the boot; see `proc_pid_stat(5)`.
fn made(stat: &[u8]) -> Option<u64> {
    // The name, in brackets, may hold anything.
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    str::from_utf8(after_name)
        .ok()?
        .split_ascii_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_process_was_made_is_found_behind_whatever_name() {
        let stat = b"42 (a) 1 2 (b) R 1 1 1 0 -1 4194560 98 0 0 0 0 0 0 0 20 0 1 0 1362112 3 4";
        assert_eq!(made(stat), Some(1_362_112));
        assert_eq!(made(b""), None);
        assert_eq!(made(b"42 (a) R 1"), None);
    }

    #[test]
    fn a_program_whose_file_was_replaced_is_run_as_it_runs() {
        for (link, program) in [
            ("/usr/bin/lastwords", "/usr/bin/lastwords"),
            ("/usr/bin/lastwords (deleted)", RUNNING),
        ] {
            assert_eq!(still_there(link.into()), PathBuf::from(program));
        }
    }

    #[test]
    fn this_process_is_not_as_old_as_the_machine() {
        let age = age();
        assert!(
            age > Duration::ZERO && age < Duration::from_hours(1),
            "{age:?}"
        );
    }
}
