//! Tracebacks: plain, chained, of exception groups, in rich's boxes; and who prints them.
//!
//! An uncaught exception is printed with the whole stack, from `<module>` on. A traceback that begins in a function, or that
//! stands under a logger's line, was printed by somebody who caught it: the process may go on.

use std::ops::Range;

use super::frame;
use crate::cause::aftermath;
use crate::cause::entry::Level;
use crate::cause::finding::{End, Finding, Place, Proof};
use crate::cause::text::Line;
use crate::report::Death;

pub const HEADER: &str = "Traceback (most recent call last):";
const HEADER_OF_BOX: &str = " Traceback (most recent call last) ";
const CONTEXT: &str = "During handling of the above exception, another exception occurred:";
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
/// The longest message of an exception that is followed to its end, in lines.
const MESSAGE: usize = 40;
/// A traceback that the log's beginning has cut shows its first whole frame before this line.
const CUT: usize = 4;
/// Other threads write so many lines into a traceback.
const OTHERS: usize = 20;

pub fn read(lines: &[Line], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let text = lines.get(i)?.text.as_str();
    if text.starts_with("Exception ignored ") {
        return Some(ignored(lines, i, found));
    }
    if text == "Error in atexit._run_exitfuncs:" && found.last().is_some_and(|last| last.lines.end == i) {
        return Some(ignored(lines, i, found));
    }
    if text == "--- Logging error ---" {
        return Some(logging_error(lines, i));
    }
    let trace = trace(lines, i)?;
    if trace.what.contains("<HaltServer 'Worker failed to boot.'") {
        // gunicorn's arbiter, over what its worker has said.
        let end = trace.lines.end;
        return Some(super::start::give_up(lines, end - 1, &trace.what, &[End::Code(1), End::Code(3)], found));
    }
    let printer = printer(lines, &trace);
    let (kind, ends) = kind(&trace);
    let end = trace.lines.end + epilogue(lines, trace.lines.end);
    let start = printer.start;
    let finding = Finding {
        lines: start..end,
        quoted: trace.quoted,
        kind,
        what: trace.what,
        place: trace.place,
        proof: Proof::Said,
        ends: if kind == Death::KilledBySignal { ends } else { &[] },
    };
    // One that ends with another code than the interpreter's caught it, and gave up by itself.
    if printer.is_interpreter {
        found.push(Finding { proof: Proof::LastWords, ends, ..finding.clone() });
    }
    found.push(finding);
    Some(end)
}

/// A traceback with all that it is chained to; what is told is the last exception.
struct Trace {
    lines: Range<usize>,
    quoted: usize,
    what: String,
    place: Option<Place>,
    /// Whether it begins where the program begins.
    from_main: bool,
}

/// One exception with its stack.
struct Part {
    /// Which line its type and message begin on.
    at: usize,
    end: usize,
    what: String,
    outermost: Option<Place>,
    /// The innermost of the application's own frames.
    place: Option<Place>,
}

/// How its lines are set.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    /// An exception group's: behind `  | `.
    Group,
    /// rich's.
    Boxed,
}

/// The style of the traceback whose header this is.
fn style(text: &str) -> Option<Style> {
    if text.ends_with(HEADER) {
        let is_group = text.trim_start().starts_with("+ Exception Group ") || text.trim_start().starts_with("| ");
        return Some(if is_group { Style::Group } else { Style::Plain });
    }
    (text.starts_with(['╭', '┌', '+']) && text.contains(HEADER_OF_BOX)).then_some(Style::Boxed)
}

fn trace(lines: &[Line], i: usize) -> Option<Trace> {
    let text = lines.get(i)?.text.as_str();
    if let Some(style) = style(text) {
        return chain(lines, i, style);
    }
    // A syntax error in the program itself comes without a header; so does what the log's beginning has cut.
    let first = frame::read(text)?;
    let is_cut = first.function.is_some() && i < CUT;
    let is_program = first.function.is_none()
        && i.checked_sub(1).and_then(|at| lines.get(at)).is_none_or(|line| !line.text.starts_with(' '));
    if !is_cut && !is_program {
        return None;
    }
    let mut trace = chain(lines, i.checked_sub(1).unwrap_or(usize::MAX), Style::Plain)?;
    trace.from_main |= is_cut;
    trace.lines.start = i;
    (is_cut || is_syntax_error(&trace.what)).then_some(trace)
}

/// Reads the parts of a chain.
fn chain(lines: &[Line], header: usize, style: Style) -> Option<Trace> {
    let mut part = if style == Style::Group { group(lines, header)? } else { part(lines, header, style)? };
    let mut cause: Option<(String, Option<Place>)> = None;
    while let Some((link, next)) = link(lines, part.end) {
        let Some(style) = lines.get(next).and_then(|line| self::style(&line.text)) else { break };
        let later = if style == Style::Group { group(lines, next) } else { self::part(lines, next, style) };
        let Some(later) = later else { break };
        // The first of those that caused one another says most.
        cause = (link == CAUSE).then(|| cause.unwrap_or((part.what, part.place)));
        part = later;
    }
    let (what, place) = match cause {
        // What came from another process is raised again here; there it has its place.
        Some((what, place)) if what == part.what => (what, place.or(part.place)),
        Some((what, place)) => (format!("{} (caused by {what})", part.what), part.place.or(place)),
        None => (part.what, part.place),
    };
    let from_main = part.outermost.as_ref().is_some_and(is_main);
    Some(Trace { lines: header..part.end, quoted: part.at, what, place, from_main })
}

/// Whether a stack that begins here is a whole one: of a script, of `python -m`, of a compiled main module, or none at all.
fn is_main(frame: &Place) -> bool {
    frame
        .function
        .as_deref()
        .is_none_or(|name| name == "<module>" || name == "_run_module_as_main" || name.starts_with("init "))
}

/// The words that chain the next traceback to the one that ends here, and where its header is.
fn link(lines: &[Line], end: usize) -> Option<(&'static str, usize)> {
    for (i, line) in lines.iter().enumerate().skip(end).take(MESSAGE) {
        let text = line.text.trim_start_matches([' ', '|']).trim_end();
        let found = [CONTEXT, CAUSE].into_iter().find(|words| *words == text);
        if let Some(words) = found {
            let blank = |line: &&Line| body(&line.text, Style::Group).trim().is_empty();
            return Some((words, i + 1 + lines.get(i + 1..)?.iter().take(3).take_while(blank).count()));
        }
        if line.entry.is_some() || style(&line.text).is_some() {
            return None;
        }
    }
    None
}

/// What a line says inside its margin.
fn body(text: &str, style: Style) -> &str {
    if style != Style::Group {
        return text;
    }
    let inner = text.trim_start();
    let is_border = inner.starts_with('+') && text.len() != inner.len();
    inner.strip_prefix("| ").or_else(|| inner.strip_prefix('|')).unwrap_or(if is_border { inner } else { text })
}

/// Reads one exception; `header` is the line before its first frame (none: `usize::MAX`).
fn part(lines: &[Line], header: usize, style: Style) -> Option<Part> {
    let (mut outermost, mut place, mut syntax) = (None, None, None);
    let (mut others, mut blank) = (0, 0);
    let mut at = header.wrapping_add(1);
    let what = loop {
        let line = lines.get(at)?;
        let text = body(&line.text, style);
        let frame = frame::read(text).or_else(|| if style == Style::Boxed { frame::read_boxed(text) } else { None });
        if self::style(&line.text).is_some() {
            return None;
        }
        if let Some(frame) = frame {
            outermost.get_or_insert_with(|| frame.clone());
            if frame::is_own(&frame.file) {
                place = Some(frame.clone());
            }
            syntax = Some(frame).filter(|frame| frame.function.is_none());
            blank = 0;
        } else if text.trim().is_empty() {
            blank += 1;
        } else if text.starts_with([' ', '\t', '>'])
            || style == Style::Boxed && text.starts_with(['│', '|', '╰', '+', '└'])
        {
            blank = 0;
        } else if is_exception(text) {
            break text;
        } else if line.entry.is_some() && others < OTHERS {
            others += 1;
        } else {
            return None;
        }
        if blank > 2 {
            return None;
        }
        at += 1;
    };
    outermost.as_ref()?;
    let (what, end) = message(lines, at, what, style);
    if is_syntax_error(&what) {
        place = syntax.or(place);
    }
    Some(Part { at, end, what, outermost, place })
}

/// Whether a line is an exception's type and message: `json.decoder.JSONDecodeError: Expecting value`, `KeyboardInterrupt`.
fn is_exception(text: &str) -> bool {
    let length = text.find(|c: char| !(c.is_alphanumeric() || "_.<>".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.len() <= 200;
    is_name && (rest.starts_with(':') || rest.trim().is_empty() && name.contains(|c: char| c.is_uppercase()))
}

/// The message that begins on this line, as one line, and where it ends.
fn message(lines: &[Line], at: usize, first: &str, style: Style) -> (String, usize) {
    let mut what = first.trim().to_owned();
    let mut end = at + 1;
    let text = |i: usize| lines.get(i).filter(|line| line.entry.is_none()).map(|line| body(&line.text, style));
    let is_indented = |text: &str| text.starts_with([' ', '\t']) && !text.trim().is_empty();
    while let Some(next) = text(end).filter(|_| end < at + MESSAGE) {
        // pydantic's fields and the like: a word, and under it what is about it.
        let heads_more = || !next.trim().is_empty() && text(end + 1).is_some_and(is_indented) && style == Style::Plain;
        let is_sqlalchemy =
            ["(Background on this error at", "[SQL: ", "[parameters: "].iter().any(|it| next.starts_with(it));
        let is_blank_inside =
            next.trim().is_empty() && text(end + 1).is_some_and(|text| text.starts_with("(Background on"));
        if !(is_indented(next) && frame::read(next).is_none()
            || what.ends_with(':') && !next.trim().is_empty()
            || heads_more() && self::style(next).is_none() && !next.ends_with(':')
            || is_sqlalchemy
            || is_blank_inside)
        {
            break;
        }
        let next = next.trim();
        // What fits in a line; carets only mark.
        if end < at + 5
            && !next.chars().all(|c| "^~ ".contains(c))
            && !is_sqlalchemy
            && !next.starts_with("For further information")
        {
            what.push(' ');
            what.push_str(next);
        }
        end += 1;
    }
    (what, end)
}

/// Reads an exception group: its own exception, and the first of those in it.
fn group(lines: &[Line], header: usize) -> Option<Part> {
    let is_inside = |line: &&Line| line.text.starts_with("  ") && line.text.trim_start().starts_with(['|', '+']);
    let length = lines.get(header..)?.iter().take_while(is_inside).count();
    let end = header + length;
    let block = lines.get(..end)?;
    let mut group: Option<Part> = None;
    let mut next = header;
    while next < end {
        if style(&block.get(next)?.text).is_none() {
            next += 1;
            continue;
        }
        let Some(part) = part(block, next, Style::Group) else {
            next += 1;
            continue;
        };
        next = part.end;
        let is_group = part.what.contains(" sub-exception");
        match &mut group {
            None => group = Some(part),
            Some(_) if is_group => {}
            Some(group) => {
                group.what = format!("{}: {}", group.what, part.what);
                group.place = part.place.or(group.place.take());
                break;
            }
        }
    }
    group.map(|group| Part { end, ..group })
}

/// Who printed a traceback, and where what they said begins.
struct Printer {
    start: usize,
    /// The interpreter itself, as it ended the process.
    is_interpreter: bool,
}

fn printer(lines: &[Line], trace: &Trace) -> Printer {
    let header = trace.lines.start;
    let nobody = Printer { start: header, is_interpreter: trace.from_main };
    let has_prefix = lines.get(header).is_some_and(|line| line.entry.is_some());
    let Some(before) = header.checked_sub(1).and_then(|at| lines.get(at)).filter(|_| !has_prefix) else {
        return Printer { is_interpreter: trace.from_main && !has_prefix, ..nobody };
    };
    let text = before.text.trim_end();
    let starts = |words: &[&str]| words.iter().any(|words| text.starts_with(words));
    if text == "Original exception was:" {
        return nobody;
    }
    let is_announced = starts(&[
        "Exception in thread ",
        "Unhandled exception in thread",
        "Task exception was never retrieved",
        "future: <",
        "task: <",
        "handle: <",
        "Error in ",
    ]) || starts(&["Process "]) && text.ends_with(':');
    if is_announced {
        return Printer { start: header - 1, is_interpreter: false };
    }
    let is_logged = match &before.entry {
        // JSON loggers put the traceback into the JSON.
        Some(entry) => {
            !entry.json && entry.level >= Some(Level::Warn) || entry.level.is_none() && entry.message.ends_with(':')
        }
        None => text.ends_with(':') || aftermath::is_handled(&aftermath::head(before).to_ascii_lowercase()),
    };
    Printer { is_interpreter: trace.from_main && !is_logged, ..nobody }
}

/// Which death an exception is, and how it ends the process if nobody catches it.
fn kind(trace: &Trace) -> (Death, &'static [End]) {
    // Of a group, and of one that has a cause, the first exception is not the one that says most.
    let mut names = trace.what.split(": ").flat_map(|part| part.split("(caused by "));
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
        // Python 2's.
        "RuntimeError" if what.contains("maximum recursion depth exceeded") => Death::StackOverflow,
        // It ends by the signal since 3.8.
        "KeyboardInterrupt" => return (Death::KilledBySignal, &[End::Signal("INT"), End::Code(1)]),
        _ => Death::UncaughtException,
    };
    (kind, &[End::Code(1)])
}

fn is_syntax_error(what: &str) -> bool {
    ["SyntaxError", "IndentationError", "TabError"].iter().any(|name| what.starts_with(name))
}

/// How many lines follow that belong to the end of a process that said this.
fn epilogue(lines: &[Line], end: usize) -> usize {
    let is_epilogue = |line: &&Line| {
        // PyInstaller's.
        line.text.contains("Failed to execute script") || line.text.starts_with("sys:1: ")
    };
    lines.get(end..).unwrap_or_default().iter().take_while(is_epilogue).count()
}

/// Passes over what Python ignores: `Exception ignored in: <…>`, with its traceback.
fn ignored(lines: &[Line], i: usize, found: &mut [Finding]) -> usize {
    let next = lines.get(i + 1);
    let end = match next {
        Some(line) if style(&line.text).is_some() => trace(lines, i + 1).map_or(i + 2, |trace| trace.lines.end),
        Some(line) if line.entry.is_none() && is_exception(&line.text) => i + 2,
        _ => i + 1,
    };
    // As the interpreter ends, after the exception that ends it.
    for finding in found.iter_mut().rev().take_while(|finding| finding.lines.end == i) {
        finding.lines.end = end;
    }
    end
}

/// Passes over what logging says about itself: it goes on.
fn logging_error(lines: &[Line], i: usize) -> usize {
    let after = lines.get(i + 1..).unwrap_or_default().iter().take(200);
    let arguments = after
        .take_while(|line| line.text != "--- Logging error ---")
        .position(|line| line.text.starts_with("Arguments: "));
    arguments.map_or(i + 1, |length| i + 2 + length)
}
