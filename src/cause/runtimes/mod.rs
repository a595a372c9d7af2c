//! The last words of each language's runtime, read from the log.
//!
//! A runtime is one file with one function: `fn read(lines: &[LogLine], found: &mut Vec<Finding>)`
//! adds the findings in any order. Rules for all runtimes:
//!
//! - Recognise the words of the *runtime*, never those of one program.
//! - `lines` covers everything that was printed with the error, including blank lines and the
//!   runtime's epilogue.
//! - [`Proof::LastWords`](super::finding::Proof) is only for words that no process prints and goes
//!   on.
//! - `ends` names the exits that go with the words.
//! - Read each line a bounded number of times: skip a trace's lines as a whole.

pub mod beam;
pub mod dart;
pub mod dotnet;
pub mod go;
pub mod haskell;
pub mod jvm;
pub mod lua;
pub mod native;
pub mod node;
pub mod perl;
pub mod php;
pub mod python;
pub mod ruby;
pub mod rust;
pub mod shell;
pub mod swift;
pub mod symfony;
pub mod systemd;

use super::finding::Finding;
use super::text::LogLine;

/// Adds the findings in these lines.
pub type Read = fn(&[LogLine], &mut Vec<Finding>);

/// All runtimes.
pub const ALL: [Read; 18] = [
    node::read,
    python::read,
    jvm::read,
    go::read,
    rust::read,
    native::read,
    dotnet::read,
    beam::read,
    ruby::read,
    php::read,
    perl::read,
    lua::read,
    shell::read,
    systemd::read,
    dart::read,
    haskell::read,
    swift::read,
    symfony::read,
];

/// Returns the findings of a runtime in a log.
#[cfg(test)]
fn found(read: Read, log: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    read(&super::text::read(log), &mut found);
    found
}
