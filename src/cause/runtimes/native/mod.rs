//! C and C++: the last words of the C library, the C++ runtime, the loader, the sanitizers and
//! logging libraries.

mod abort;
mod fatal_log;
mod libc;
mod loader;
mod mysqld;
mod sanitizer;
mod terminate;

use super::words::{RuntimeWords, Spot};
use crate::cause::finding::Finding;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["\nF0", "\nF1"], fatal_log::entry),
    RuntimeWords::new(&libc::DAMAGE, |spot| own(spot, libc::damage)),
    RuntimeWords::new(&libc::FAILED, |spot| own(spot, libc::assertion)),
    RuntimeWords::new(&terminate::MARKS, |spot| own(spot, terminate::read)),
    RuntimeWords::new(&["Sanitizer: ", ": runtime error: "], |spot| {
        own(spot, sanitizer::read)
    }),
    RuntimeWords::new(&loader::MARKS, |spot| own(spot, loader::read)),
    RuntimeWords::new(&["\n*** SIG", "\n*** Signal "], |spot| {
        own(spot, fatal_log::stack)
    })
    .below(2),
    RuntimeWords::new(&[" got signal "], mysqld::read),
];

/// Reads words that no logger has written. `GLib` and the sanitizers write `ERROR:` and `WARNING:`
/// too.
fn own(spot: &Spot, read: fn(&Spot) -> Option<Finding>) -> Option<Finding> {
    let entry = spot.line.entry.as_ref();
    let is_logged = entry.is_some_and(|entry| entry.json || entry.at.is_some());
    if is_logged { None } else { read(spot) }
}
