//! Erlang and Elixir: the words of the BEAM as it ends. A process that crashes inside it does not
//! end it.

use super::shape::{is_like, past, past_most};
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::{Code, Signal};
use crate::cause::finding::{Finding, SourcePlace, with_cause};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["\n** ("], |spot| exception(spot.lines, spot.at)),
    RuntimeWords::new(&["\nCrash dump is being written to: "], slogan),
    RuntimeWords::new(&["_alloc: Cannot allocate "], memory),
    RuntimeWords::new(
        &[
            "\ninit terminating in do_boot (",
            "\nRuntime terminating during boot (",
            "\nKernel pid terminated (",
            "\n{\"init terminating in do_boot\"",
            "\n{\"Kernel pid terminated\",",
        ],
        |spot| Some(terminated(spot)),
    ),
];

/// Reads the end of a runtime that gets no memory.
fn memory(spot: &Spot) -> Option<Finding> {
    spot.text().contains(" bytes of memory").then_some(())?;
    let end = end(spot.lines, spot.at);
    let finding = Finding::at(spot.at..end, Death::OutOfMemoryHeap, spot.text());
    Some(finding.last_words(&[Code(1), Signal("ABRT")]))
}

/// Reads the end of a runtime whose start failed.
fn terminated(spot: &Spot) -> Finding {
    let Spot { lines, at, .. } = *spot;
    // The term repeats what was said for people before it.
    let told = told_before(lines, at);
    let (quoted, what) = told.unwrap_or_else(|| (at, spot.text().to_owned()));
    let finding = Finding::at(quoted..end(lines, at), Death::UncaughtException, what);
    finding.last_words(&[Code(1)])
}

/// Returns the line after the words of the end that begins here.
fn end(lines: &[LogLine], at: usize) -> usize {
    const ITS: [&str; 4] = [
        "init terminating in do_boot…",
        "Kernel pid terminated…",
        "Runtime terminating during boot…",
        "Crash dump is being written to…",
    ];
    past(lines, at + 1, |line| {
        line.is_blank() || is_like(&line.text, &ITS)
    })
}

/// Maximum number of lines between an error's words and its term.
const BEFORE: usize = 40;

/// Returns the words for people above the term of a start that failed, with their line: `**
/// (RuntimeError) boom`, `ERROR: epmd error`.
fn told_before(lines: &[LogLine], at: usize) -> Option<(usize, String)> {
    (at.saturating_sub(BEFORE)..at).rev().find_map(|i| {
        // A logger's copy has a time.
        let is_raw = |line: &&LogLine| line.entry.as_ref().is_none_or(|it| it.at.is_none());
        let line = lines.get(i).filter(is_raw)?;
        let what = match line.text.strip_prefix("ERROR: ") {
            Some(what) => what.to_owned(),
            None => match line.text.strip_prefix("Error during startup: ") {
                Some(what) => what.to_owned(),
                None => exception(lines, i)?.what,
            },
        };
        Some((i, what))
    })
}

/// Reads the words right before the crash dump: `erlang:halt("store is broken").`
fn slogan(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let mut above = (at.saturating_sub(2)..at).rev();
    let quoted = above.find(|i| !line_text(lines, *i).trim().is_empty())?;
    lines.get(quoted)?.entry.is_none().then_some(())?;
    let finding = Finding::at(quoted..at + 1, Death::PlainExit, line_text(lines, quoted));
    Some(finding.last_words(&[Code(1), Signal("ABRT")]))
}

/// Maximum number of further lines of a message.
const MESSAGE: usize = 8;

/// Reads Elixir's `** (RuntimeError) boom` with its frames. The script may have ended with it, or
/// only one of many processes.
fn exception(lines: &[LogLine], at: usize) -> Option<Finding> {
    let head = line_text(lines, at).trim_start().strip_prefix("** (")?;
    let (name, message) = head.split_once(") ")?;
    let is_name = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
    let is_exit = matches!(name, "throw" | "exit") || name.starts_with("EXIT from ");
    if !(is_exit || is_name && name.starts_with(|c: char| c.is_ascii_uppercase())) {
        return None;
    }
    let is_inner = |line: &LogLine| line.is_blank() || line.text.starts_with("    ");
    let more = past_most(lines, at + 1, MESSAGE, |line| {
        line.entry.is_none() && !is_inner(line)
    });
    let has_frames = lines.get(more).is_some_and(is_inner);
    let first = if has_frames { more } else { at + 1 };
    let end = past(lines, first, |line| line.entry.is_none() && is_inner(line));
    // The reasons of linked processes and of children that ended: the last is the first to fail.
    let mut beneath = (at + 1..end).rev().map(|i| line_text(lines, i).trim());
    let beneath = beneath.find_map(|text| text.strip_prefix("** ("));
    let beneath = beneath.map(|it| it.replacen(") ", ": ", 1));
    let what = format!("{name}: {message}");
    let what = match beneath {
        Some(beneath) if is_exit || message.ends_with(':') => beneath,
        Some(beneath) => with_cause(&what, &beneath),
        None => what,
    };
    let place = (at + 1..end).find_map(|i| frame(line_text(lines, i)));
    let kind = match name {
        "SyntaxError" | "TokenMissingError" | "MismatchedDelimiterError" => Death::SyntaxError,
        "OptionParser.ParseError" => Death::BadArguments,
        _ => Death::UncaughtException,
    };
    Some(
        Finding::at(at..end, kind, what)
            .place(place)
            .said(&[Code(1)]),
    )
}

/// Reads `    lib/app.ex:3: App.run/1`; a library's frame begins with `(name 1.2.3) `.
fn frame(line: &str) -> Option<SourcePlace> {
    let said = line.trim_start();
    let said = match said.strip_prefix('(') {
        None => said,
        // The application's own frames have a name and a version too, like a library's.
        Some(rest) => {
            let (application, said) = rest.split_once(") ")?;
            let name = application.split(' ').next()?;
            if [
                "elixir", "stdlib", "kernel", "mix", "logger", "ex_unit", "iex", "erts",
            ]
            .contains(&name)
            {
                return None;
            }
            said
        }
    };
    let (file, rest) = said.split_once(':')?;
    let line = rest.split(':').next()?.parse().ok()?;
    is_like(file, &["….ex", "….exs", "….erl"]).then(|| SourcePlace::new(file, Some(line)))
}
