//! Tracebacks: plain, chained, of exception groups, in rich's boxes; and the part that printed
//! them.
//!
//! Python prints an uncaught exception with the whole stack, from `<module>` on. If a traceback
//! begins in a function, or stands below a logger's line, some code caught the exception and the
//! process may go on.

mod part;

use std::ops::Range;

use super::frame;
use crate::cause::entry::LogLevel;
use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::runtimes::shape::{below, is_like};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;
use part::{MESSAGE, Style, body, group, is_exception, is_syntax_error, part, style};

const CONTEXT: &str = "During handling of the above exception, another exception occurred:";
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
/// Number of first lines in which a traceback may begin without its header, because the log was cut
/// there.
const CUT: usize = 4;

/// Reads the traceback that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let lines = spot.lines;
    let trace = trace(lines, spot.at)?;
    if was_never_retrieved(lines, spot.at) {
        return Some(Finding::nothing(trace.lines));
    }
    if trace.what.contains("<HaltServer 'Worker failed to boot.'") {
        // gunicorn's arbiter ends because of its worker's error.
        let last = trace.lines.end - 1;
        return Some(super::server::give_up(
            spot,
            last,
            &trace.what,
            &[Code(1), Code(3)],
        ));
    }
    let printer = printer(lines, &trace);
    let (kind, ends) = kind(&trace);
    let end = epilogue(lines, trace.lines.end);
    let finding = Finding::at(printer.start..end, kind, trace.what).quoted(trace.quoted);
    let finding = finding.place(trace.place);
    // If the exit code is not the interpreter's, the program caught the exception and gave up by
    // itself.
    let any = if kind == Death::KilledBySignal {
        ends
    } else {
        &[]
    };
    Some(if printer.is_interpreter {
        finding.last_words(ends).or_said(any)
    } else {
        finding.said(any)
    })
}

/// A traceback with those that it is chained to. The cause names the last exception.
struct Traceback {
    lines: Range<usize>,
    quoted: usize,
    what: String,
    place: Option<SourcePlace>,
    /// True if the stack begins where the program begins.
    from_main: bool,
}

fn trace(lines: &[LogLine], i: usize) -> Option<Traceback> {
    let text = lines.get(i)?.text.as_str();
    if let Some(style) = style(text) {
        return chain(lines, i, style);
    }
    // A syntax error in the program itself has no header. Nor has a traceback that the log's
    // beginning cut.
    let first = frame::read(text)?;
    let is_cut = first.function.is_some() && i < CUT;
    let is_program = first.function.is_none()
        && i.checked_sub(1)
            .and_then(|at| lines.get(at))
            .is_none_or(|line| !line.text.starts_with(' '));
    if !is_cut && !is_program {
        return None;
    }
    let mut trace = chain(lines, i.checked_sub(1).unwrap_or(usize::MAX), Style::Plain)?;
    trace.from_main |= is_cut;
    trace.lines.start = i;
    (is_cut || is_syntax_error(&trace.what)).then_some(trace)
}

/// Reads the parts of a chain.
fn chain(lines: &[LogLine], header: usize, style: Style) -> Option<Traceback> {
    let mut part = if style == Style::Group {
        group(lines, header)?
    } else {
        part(lines, header, style)?
    };
    let mut cause: Option<(String, Option<SourcePlace>)> = None;
    while let Some((link, next)) = link(lines, part.end) {
        let Some(style) = lines.get(next).and_then(|line| part::style(&line.text)) else {
            break;
        };
        let later = if style == Style::Group {
            group(lines, next)
        } else {
            part::part(lines, next, style)
        };
        let Some(later) = later else { break };
        // The first of a chain of causes says most.
        cause = (link == CAUSE).then(|| cause.unwrap_or((part.what, part.place)));
        part = later;
    }
    let (what, place) = match cause {
        // An exception from another process is raised again here. Its place is there.
        Some((what, place)) if what == part.what => (what, place.or(part.place)),
        // Wrappers often quote the cause already.
        Some((what, place)) if quotes(&part.what, &what) => (part.what, part.place.or(place)),
        Some((what, place)) => (
            format!("{} (caused by {what})", part.what),
            part.place.or(place),
        ),
        None => (part.what, part.place),
    };
    let from_main = part.outermost.as_ref().is_some_and(is_main);
    Some(Traceback {
        lines: header..part.end,
        quoted: part.at,
        what,
        place,
        from_main,
    })
}

/// Returns true if an exception's words contain those of another.
fn quotes(what: &str, other: &str) -> bool {
    const ENOUGH: usize = 40;
    let message = other.split_once(": ").map_or(other, |(_, message)| message);
    what.contains(
        message
            .get(..message.floor_char_boundary(ENOUGH))
            .unwrap_or_default(),
    )
}

/// Returns true if a stack that begins with this frame is complete: a script's, that of `python
/// -m`, a compiled main module's, or one without functions.
fn is_main(frame: &SourcePlace) -> bool {
    frame.function.as_deref().is_none_or(|name| {
        name == "<module>" || name == "_run_module_as_main" || name.starts_with("init ")
    })
}

/// Returns the words that chain the next traceback to the one that ends here, and the line of its
/// header.
fn link(lines: &[LogLine], end: usize) -> Option<(&'static str, usize)> {
    for (i, line) in lines.iter().enumerate().skip(end).take(MESSAGE) {
        let text = line.text.trim_start_matches([' ', '|']).trim_end();
        let found = [CONTEXT, CAUSE].into_iter().find(|words| *words == text);
        if let Some(words) = found {
            let blank = |line: &&LogLine| body(&line.text, Style::Group).trim().is_empty();
            return Some((
                words,
                i + 1 + lines.get(i + 1..)?.iter().take(3).take_while(blank).count(),
            ));
        }
        if line.entry.is_some() || style(&line.text).is_some() {
            return None;
        }
    }
    None
}

/// The program part that printed a traceback.
struct Printer {
    start: usize,
    /// True if the interpreter printed it as the process ended.
    is_interpreter: bool,
}

/// Shapes of the lines that announce an exception that does not end the process.
const ANNOUNCED: [&str; 7] = [
    "Exception in thread …",
    "Unhandled exception in thread…",
    "future: <…",
    "task: <…",
    "handle: <…",
    "Error in …",
    "Process …:",
];

fn printer(lines: &[LogLine], trace: &Traceback) -> Printer {
    let header = trace.lines.start;
    let bare = Printer {
        start: header,
        is_interpreter: trace.from_main,
    };
    let has_prefix = lines.get(header).is_some_and(|line| line.entry.is_some());
    let Some(before) = header
        .checked_sub(1)
        .and_then(|at| lines.get(at))
        .filter(|_| !has_prefix)
    else {
        return Printer {
            is_interpreter: trace.from_main && !has_prefix,
            ..bare
        };
    };
    let text = before.text.trim_end();
    if text == "Original exception was:" {
        return bare;
    }
    if is_like(text, &ANNOUNCED) {
        return Printer {
            start: header - 1,
            is_interpreter: false,
        };
    }
    let is_logged = match &before.entry {
        // JSON loggers put the traceback into the JSON.
        Some(entry) => {
            !entry.json && entry.level >= Some(LogLevel::Warn)
                || entry.level.is_none() && entry.message.ends_with(':')
        }
        None => text.ends_with(':') || before.senses().is_handled(),
    };
    Printer {
        is_interpreter: trace.from_main && !is_logged,
        ..bare
    }
}

/// Returns true if asyncio only reports a task's exception that nothing retrieved. The process does
/// not end by it.
fn was_never_retrieved(lines: &[LogLine], header: usize) -> bool {
    const NEAR: usize = 4;
    let before = lines
        .get(header.saturating_sub(NEAR)..header)
        .unwrap_or_default()
        .iter()
        .rev();
    let mut said = before
        .map(LogLine::head)
        .skip_while(|text| text.starts_with("future: <"));
    said.next()
        .is_some_and(|text| text.ends_with(" exception was never retrieved"))
}

/// Returns the kind of death of an exception, and the exits if nothing catches it.
fn kind(trace: &Traceback) -> (Death, &'static [ExpectedExit]) {
    // The name of an exception group, or of an exception with a cause, does not say most.
    let mut names = trace
        .what
        .split(": ")
        .flat_map(|part| part.split("(caused by "));
    let first = names.next().unwrap_or_default().trim_end_matches(':');
    let name = match first.rsplit('.').next().unwrap_or(first) {
        "ExceptionGroup" | "BaseExceptionGroup" => names.nth(1).unwrap_or_default(),
        name => name,
    };
    let what = trace.what.as_str();
    let kind = match name {
        "SyntaxError" | "IndentationError" | "TabError" => Death::SyntaxError,
        "ModuleNotFoundError" => Death::MissingModule,
        "ImportError" if !what.contains("cannot import name") => Death::MissingModule,
        "AssertionError" => Death::Assertion,
        "MemoryError" | "_ArrayMemoryError" => Death::OutOfMemoryHeap,
        "OSError" if what.contains("[Errno 12]") => Death::OutOfMemoryHeap,
        "RecursionError" => Death::StackOverflow,
        // Python 2's name for a recursion error.
        "RuntimeError" if what.contains("maximum recursion depth exceeded") => Death::StackOverflow,
        // Since 3.8 the process ends by the signal.
        "KeyboardInterrupt" => {
            return (Death::KilledBySignal, &[Signal("INT"), Code(1)]);
        }
        _ => Death::UncaughtException,
    };
    (kind, &[Code(1)])
}

/// Returns the line after what a process says in the end, below an error of its own.
pub fn epilogue(lines: &[LogLine], from: usize) -> usize {
    // The first is PyInstaller's.
    const LAST: [&str; 2] = ["…Failed to execute script…", "sys:1: …"];
    let mut end = from;
    loop {
        let text = line_text(lines, end);
        end = match text {
            _ if is_like(text, &LAST) => end + 1,
            _ if text.starts_with(IGNORED) => ignored(lines, end),
            "Error in atexit._run_exitfuncs:" => ignored(lines, end),
            _ => return end,
        };
    }
}

const IGNORED: &str = "Exception ignored ";

/// Reads an error after which the process goes on: what Python ignores, or an error of the logging
/// module itself.
pub fn handled(spot: &Spot) -> Finding {
    let end = if spot.text().starts_with(IGNORED) {
        ignored(spot.lines, spot.at)
    } else {
        logging_error(spot.lines, spot.at)
    };
    Finding::nothing(spot.at..end)
}

/// Returns the line after what Python ignores: `Exception ignored in: <…>`, with its traceback.
fn ignored(lines: &[LogLine], at: usize) -> usize {
    match lines.get(at + 1) {
        Some(line) if style(&line.text).is_some() => {
            trace(lines, at + 1).map_or(at + 2, |trace| trace.lines.end)
        }
        Some(line) if line.entry.is_none() && is_exception(&line.text) => at + 2,
        _ => at + 1,
    }
}

/// Returns the line after an error of the logging module itself.
fn logging_error(lines: &[LogLine], at: usize) -> usize {
    let after = below(lines, at).iter().take(200);
    let arguments = after
        .take_while(|line| line.text != "--- Logging error ---")
        .position(|line| line.text.starts_with("Arguments: "));
    arguments.map_or(at + 1, |length| at + 2 + length)
}

#[cfg(test)]
mod tests;
