//! What a hook has to say about itself: a line in the system's log, sent without waiting and without fail.

use std::os::unix::net::UnixDatagram;

use crate::host::Host;

/// `daemon.warning` (RFC 3164, 4.1.1).
const PRIORITY: u8 = 3 * 8 + 4;

/// Says it in the system's log. Where nobody listens, or does not keep up, it is not said.
pub fn say(host: &Host, text: &str) {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(900).collect();
    let record = format!("<{PRIORITY}>lastwords[{}]: {line}", std::process::id());
    let _ = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(record.as_bytes(), host.path("/dev/log"))
    });
}
