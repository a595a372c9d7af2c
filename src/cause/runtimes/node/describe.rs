//! Describes an error that was printed: its kind, its words and its place.

use super::error::Printed;
use super::frame::{self, JsFrame, Owner};
use crate::cause::finding::SourcePlace;
use crate::cause::runtimes::shape::is_like;
use crate::report::Death;

/// Returns the kind of death that a printed error tells of.
pub fn kind(printed: &Printed, is_rejection: bool) -> Death {
    const MISSING_MODULE: [&str; 6] = [
        "ERR_MODULE_NOT_FOUND",
        "MODULE_NOT_FOUND",
        "ERR_PACKAGE_PATH_NOT_EXPORTED",
        "Error: Cannot find module '",
        "Error: Cannot find package '",
        ": cannot open shared object file",
    ];
    let text = printed.text.as_str();
    let code = printed.property("code").unwrap_or_default();
    let says = |words: &str| text.contains(words) || code == words;
    if text.starts_with("AssertionError") || says("ERR_ASSERTION") {
        return Death::Assertion;
    }
    if text.contains("Maximum call stack size exceeded") {
        return Death::StackOverflow;
    }
    if says("ERR_WORKER_OUT_OF_MEMORY") {
        return Death::OutOfMemoryHeap;
    }
    if MISSING_MODULE.into_iter().any(says) {
        return Death::MissingModule;
    }
    // ts-node's and esbuild's words; TypeScript's errors from 1000 on are those of its syntax.
    if is_compiling(printed)
        || (text.starts_with("TSError") && text.contains("error TS1"))
        || text.starts_with("Error: Transform failed with")
    {
        return Death::SyntaxError;
    }
    if is_rejection || says("ERR_UNHANDLED_REJECTION") {
        return Death::UnhandledRejection;
    }
    Death::UncaughtException
}

/// Shapes of the files of node's module loader.
const LOADER: [&str; 5] = [
    "node:internal/modules/…",
    "internal/modules/…",
    "node:vm…",
    "vm.js…",
    "node:internal/vm…",
];

/// Returns true if the stack is the module loader's: a source or a JSON module does not parse.
pub fn is_compiling(printed: &Printed) -> bool {
    let first = printed.frames.iter().find(|frame| frame.line.is_some());
    let by_loader = first.is_none_or(|frame| is_like(frame.file, &LOADER));
    printed.text.starts_with("SyntaxError") && by_loader
}

/// Returns the error in one line.
pub fn what(printed: &Printed) -> String {
    if let Some((_, reason)) = printed
        .text
        .split_once("The promise rejected with the reason ")
    {
        return format!(
            "promise rejected with the reason {}",
            reason.trim_end_matches('.')
        );
    }
    let mut what = printed.what();
    if printed
        .frames
        .iter()
        .any(|frame| frame.function == Some("process._fatalException"))
    {
        what.push_str(" (thrown by the handler of uncaught exceptions)");
    }
    what
}

/// Returns the innermost frame of the application's own code. Frames of the error itself come
/// first.
pub fn place_of(printed: &Printed, excerpt: Option<SourcePlace>) -> Option<SourcePlace> {
    let of =
        |printed: &Printed, owner| frame::innermost(&printed.frames, owner).map(JsFrame::place);
    let beneath = || printed.causes.iter().rev().chain(&printed.parts);
    of(printed, Owner::App)
        .or(excerpt)
        .or_else(|| beneath().find_map(|inner| of(inner, Owner::App)))
        .or_else(|| of(printed, Owner::Dependency))
        .or_else(|| beneath().find_map(|inner| of(inner, Owner::Dependency)))
}
