//! C and C++: the last words of the C library, the C++ runtime, the loader, the sanitizers and
//! logging libraries.

mod abort;
mod fatal_log;
mod libc;
mod loader;
mod mysqld;
mod sanitizer;
mod terminate;

use super::shape::past;
use super::words::{RuntimeWords, Spot};
use crate::cause::entry::LogLevel;
use crate::cause::finding::ExpectedExit::Signal;
use crate::cause::finding::Finding;
use crate::report::Death;

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
    RuntimeWords::new(&["aught "], caught),
];

/// Reads what a program's own handler of faults says: `Caught Segmentation fault, suspect faulting
/// address 0x0`, `*** Caught signal (Segmentation fault) **`.
fn caught(spot: &Spot) -> Option<Finding> {
    const FAULTS: [&str; 4] = ["Segmentation fault", "signal 11", "SIGSEGV", "(SEGV"];
    let message = spot.line.message();
    let text = message.get(message.find("aught ")?.checked_sub(1)?..)?;
    let text = text.trim_end_matches([' ', '*', '.']);
    let is_fault = FAULTS.iter().any(|fault| text.contains(fault));
    let is_logged = spot.line.entry.is_none() || spot.line.level() >= Some(LogLevel::Error);
    let starts = text.starts_with("Caught ") || text.starts_with("caught ");
    let end = past(spot.lines, spot.at + 1, |line| {
        line.text.starts_with(' ') || line.level() == Some(LogLevel::Fatal)
    });
    let finding = Finding::at(spot.at..end, Death::Segfault, text);
    (is_fault && is_logged && starts).then(|| finding.last_words(&[Signal("SEGV")]))
}

/// Reads words that no logger has written. `GLib` and the sanitizers write `ERROR:` and `WARNING:`
/// too.
fn own(spot: &Spot, read: fn(&Spot) -> Option<Finding>) -> Option<Finding> {
    let entry = spot.line.entry.as_ref();
    let is_logged = entry.is_some_and(|entry| entry.json || entry.at.is_some());
    if is_logged { None } else { read(spot) }
}
