//! Erlang and Elixir: the words of the BEAM as it ends. A process that crashes inside it does not
//! end it.

use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut i = 0;
    while i < lines.len() {
        let finding = death(lines, i);
        i = finding.as_ref().map_or(i, |finding| finding.lines.end - 1) + 1;
        found.extend(finding);
    }
}

/// Reads the death that begins at this line.
fn death(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = line_text(lines, at);
    if line.starts_with("** (") {
        return exception(lines, at);
    }
    if line.starts_with("Crash dump is being written to: ") {
        return slogan(lines, at);
    }
    let is_alloc = line.contains("_alloc: Cannot allocate ") && line.contains(" bytes of memory");
    let is_end = [
        "init terminating in do_boot (",
        "Runtime terminating during boot (",
        "Kernel pid terminated (",
    ]
    .iter()
    .any(|start| line.starts_with(start))
        || line.starts_with("{\"init terminating in do_boot\"")
        || line.starts_with("{\"Kernel pid terminated\",");
    if !is_alloc && !is_end {
        return None;
    }
    // The term repeats what was said for people before it.
    let told = is_end.then(|| told_before(lines, at)).flatten();
    let rest = lines.get(at + 1..).unwrap_or_default();
    let is_its = |line: &&LogLine| {
        let text = line.text.as_str();
        line.is_blank()
            || [
                "init terminating in do_boot",
                "Kernel pid terminated",
                "Runtime terminating during boot",
                "Crash dump is being written to",
            ]
            .iter()
            .any(|start| text.starts_with(start))
    };
    let (quoted, what) = told.unwrap_or_else(|| (at, line.to_owned()));
    Some(Finding {
        lines: quoted..at + 1 + rest.iter().take_while(is_its).count(),
        quoted,
        kind: if is_alloc {
            Death::OutOfMemoryHeap
        } else {
            Death::UncaughtException
        },
        what,
        place: None,
        proof: Proof::LastWords,
        ends: if is_alloc {
            &[ExpectedExit::Code(1), ExpectedExit::Signal("ABRT")]
        } else {
            &[ExpectedExit::Code(1)]
        },
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
fn slogan(lines: &[LogLine], at: usize) -> Option<Finding> {
    let quoted = (at.saturating_sub(2)..at)
        .rev()
        .find(|i| !line_text(lines, *i).trim().is_empty())?;
    lines.get(quoted)?.entry.is_none().then(|| Finding {
        lines: quoted..at + 1,
        quoted,
        kind: Death::PlainExit,
        what: line_text(lines, quoted).to_owned(),
        place: None,
        proof: Proof::LastWords,
        ends: &[ExpectedExit::Code(1), ExpectedExit::Signal("ABRT")],
    })
}

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
    // The reason of the linked process that ended.
    let beneath = line_text(lines, at + 1)
        .trim()
        .strip_prefix("** (")
        .filter(|_| is_exit);
    let what = beneath.map_or_else(
        || format!("{name}: {message}"),
        |beneath| beneath.replacen(") ", ": ", 1),
    );
    let rest = lines.get(at + 1..).unwrap_or_default();
    let is_its = |line: &&LogLine| {
        line.entry.is_none() && (line.is_blank() || line.text.starts_with("    "))
    };
    let count = rest.iter().take_while(is_its).count();
    let place = rest
        .get(..count)
        .unwrap_or_default()
        .iter()
        .find_map(|line| frame(&line.text));
    let kind = match name {
        "SyntaxError" | "TokenMissingError" | "MismatchedDelimiterError" => Death::SyntaxError,
        "OptionParser.ParseError" => Death::BadArguments,
        _ => Death::UncaughtException,
    };
    Some(Finding {
        lines: at..at + 1 + count,
        quoted: at,
        kind,
        what,
        place,
        proof: Proof::Said,
        ends: &[ExpectedExit::Code(1)],
    })
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
    let is_source = [".ex", ".exs", ".erl"]
        .iter()
        .any(|end| file.ends_with(end));
    let line = rest.split(':').next()?.parse().ok()?;
    is_source.then(|| SourcePlace {
        file: file.to_owned(),
        line: Some(line),
        function: None,
    })
}
