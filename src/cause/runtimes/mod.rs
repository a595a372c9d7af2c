//! What each language's runtime says when a program dies, read from the log.
//!
//! A runtime is one file with one function: `fn read(lines: &[Line], found: &mut Vec<Finding>)`
//! adds what it recognises, in any order. What rules hold for all of them:
//!
//! - The words of the *runtime* are recognised, never those of one program.
//! - `lines` covers all that was printed with it, the blank lines and the epilogue of the runtime
//!   included.
//! - [`Proof::LastWords`](super::finding::Proof) only for what no process prints that goes on.
//! - `ends` names the exits that go with it.
//! - Each line is looked at a bounded number of times: a trace's lines are passed over as a whole.

pub mod beam;
pub mod dotnet;
pub mod go;
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

use super::finding::Finding;
use super::text::LogLine;

/// Adds to the findings what stands in the lines.
pub type Read = fn(&[LogLine], &mut Vec<Finding>);

/// All runtimes.
pub const ALL: [Read; 13] = [
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
];

/// What a runtime finds in a log.
#[cfg(test)]
fn found(read: Read, log: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    read(&super::text::read(log), &mut found);
    found
}
