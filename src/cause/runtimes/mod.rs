//! The last words of each language's runtime, read from the log.
//!
//! A runtime is one file, and one line in [`ALL`]. The file says which words the runtime has, by
//! which marks they are known, and how they are read:
//!
//! ```text
//! pub const WORDS: &[RuntimeWords] = &[
//!     RuntimeWords::new(&["\nUnhandled exception:"], uncaught).raw(),
//!     RuntimeWords::new(&["\nOut of memory."], |spot| { … }),
//! ];
//!
//! fn uncaught(spot: &Spot) -> Option<Finding> {
//!     let what = spot.text().strip_prefix("Unhandled exception: ")?;
//!     let end = past(spot.lines, spot.at + 1, |line| line.text.starts_with("  at "));
//!     Some(Finding::at(spot.at..end, Death::UncaughtException, what).last_words(&[Code(1)]))
//! }
//! ```
//!
//! Rules for all runtimes:
//!
//! - Recognise the words of the *runtime*, never those of one program.
//! - A mark is as long as it can be: a runtime is asked about each line that holds one, and only
//!   about these. Of several words in a line the first in the list that reads something counts.
//! - `lines` covers everything that was printed with the error, including blank lines and the
//!   runtime's epilogue. The runtime is not asked about them again.
//! - [`Proof::LastWords`](super::finding::Proof) is only for words that no process prints and goes
//!   on. `ends` names the exits that go with them.
//! - Read each line a bounded number of times: what stands above is looked at within a limit, or
//!   not above [`Spot::from`](words::Spot).

mod ask;
pub mod beam;
pub mod collision;
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
pub mod shape;
pub mod shell;
pub mod swift;
pub mod symfony;
pub mod systemd;
pub mod words;

pub use ask::read;
use words::RuntimeWords;

/// The words of all runtimes.
const ALL: [&[RuntimeWords]; 19] = [
    node::WORDS,
    python::WORDS,
    jvm::WORDS,
    go::WORDS,
    rust::WORDS,
    native::WORDS,
    dotnet::WORDS,
    beam::WORDS,
    ruby::WORDS,
    php::WORDS,
    perl::WORDS,
    lua::WORDS,
    shell::WORDS,
    systemd::WORDS,
    dart::WORDS,
    haskell::WORDS,
    swift::WORDS,
    symfony::WORDS,
    collision::WORDS,
];

/// Returns the findings of one runtime in a log.
#[cfg(test)]
fn found(words: &'static [RuntimeWords], log: &str) -> Vec<super::finding::Finding> {
    ask::Asker::of(&[words]).read(&super::text::read(log))
}
