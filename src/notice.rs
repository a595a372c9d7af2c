//! Tells the administrator about a problem of lastwords itself: one line in a log. It never waits
//! and never fails.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::panic::PanicHookInfo;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host::Host;
use crate::redact::redact;

/// `daemon.warning` (RFC 3164, 4.1.1).
const PRIORITY: u8 = 3 * 8 + 4;

/// Writes a line, without its secrets, to the system log. If there is none, or it does not keep up,
/// writes to the kernel log; if that is not allowed, to standard error. If that fails too, the line
/// is lost.
pub fn say(host: &Host, text: &str) {
    send(host, &redact(text));
}

/// Writes that the program itself failed, and where. The panic's message is left out: it may hold a
/// secret, and the redactor may be the part that failed, which would then wait for itself for ever.
pub fn say_where_it_failed(host: &Host, panic: &PanicHookInfo) {
    let place = panic
        .location()
        .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    send(
        host,
        &format!("lastwords itself failed, please report this: a panic at {place}"),
    );
}

fn send(host: &Host, text: &str) {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(900)
        .collect();
    let record = format!("<{PRIORITY}>lastwords[{}]: {line}", std::process::id());
    let _ = to_the_system_log(host, &record)
        .or_else(|_| to_the_kernel_log(host, &record))
        .or_else(|_| to_standard_error(&line));
}

fn to_the_system_log(host: &Host, record: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket
        .send_to(record.as_bytes(), host.path("/dev/log"))
        .map(drop)
}

fn to_the_kernel_log(host: &Host, record: &str) -> io::Result<()> {
    // In tests a file stands for the device: append to it.
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let device = openat(CWD, host.path("/dev/kmsg"), flags, Mode::empty())?;
    rustix::io::write(&device, format!("{record}\n").as_bytes())?;
    Ok(())
}

/// Writes to standard error: a job's own log, or a pipe that no one reads.
fn to_standard_error(line: &str) -> io::Result<()> {
    let stderr = io::stderr();
    let mut writable = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(
        &mut writable,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )? == 1
    {
        writeln!(stderr.lock(), "lastwords: {line}")?;
    }
    Ok(())
}
