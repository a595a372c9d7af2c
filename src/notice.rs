//! What a hook has to say about itself: a line where somebody may look, sent without waiting and
//! without fail.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::panic::PanicHookInfo;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host::Host;
use crate::redact::redact;

/// `daemon.warning` (RFC 3164, 4.1.1).
const PRIORITY: u8 = 3 * 8 + 4;

/// Says it, secrets taken out, in the system's log; where nobody listens there, or does not keep
/// up, in the kernel log; where that may not be written, on standard error. Where nobody listens at
/// all, it is not said.
pub fn say(host: &Host, text: &str) {
    send(host, &redact(text));
}

/// Says that the program itself failed, and where. Not with what words: they may hold a secret, and
/// what takes secrets out may be what failed, and would then wait for itself for ever.
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
    // Where a file stands for the device, what it holds is kept.
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let device = openat(CWD, host.path("/dev/kmsg"), flags, Mode::empty())?;
    rustix::io::write(&device, format!("{record}\n").as_bytes())?;
    Ok(())
}

/// A job's own log, or a pipe that nobody empties.
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
