//! Ruby: `app.rb:2:in 'owner': undefined method … (NoMethodError)` of 1.9 to 3.4, `[BUG]` reports,
//! and the refusals of Bundler.
//!
//! Nothing shows that an exception was uncaught: `full_message` looks the same. But Ruby prints it
//! at the very end, after all exit handlers.

use super::shape::{below, is_like, number, past, past_most};
use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::cause::thing::one_line;
use crate::report::Death;

/// Maximum number of lines between an exception's message and its stack.
const MESSAGE: usize = 40;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["[BUG] "], bug),
    RuntimeWords::new(&[")\n"], logged),
    RuntimeWords::new(&[")\n", ": unhandled exception\n"], error).raw(),
    RuntimeWords::new(&["\n[FATAL] failed to allocate memory"], no_memory),
    RuntimeWords::new(&[": syntax error, unexpected"], syntax_error).raw(),
    RuntimeWords::new(
        &[
            "\nbundler: command not found: ",
            "\nCould not find ",
            "\nCould not locate Gemfile",
        ],
        refusal,
    )
    .raw(),
];

/// The first line of an uncaught exception.
struct RubyHead<'a> {
    place: Option<SourcePlace>,
    message: &'a str,
    class: &'a str,
}

/// Reads `FILE:LINE:in 'METHOD': MESSAGE (CLASS)`. The method may be missing. After `ruby: ` the
/// place is missing too.
fn head(text: &str) -> Option<RubyHead<'_>> {
    if text.starts_with([' ', '\t', '#']) {
        return None;
    }
    let text = text.trim_end();
    if let Some(rest) = text.strip_suffix(": unhandled exception") {
        let (place, _) = place(rest).filter(|(_, rest)| rest.is_empty())?;
        return Some(RubyHead {
            place: Some(place),
            message: "unhandled exception",
            class: "RuntimeError",
        });
    }
    let (rest, class) = text.strip_suffix(')')?.rsplit_once(" (")?;
    is_class(class).then_some(())?;
    let said = |place, message| {
        Some(RubyHead {
            place,
            message,
            class,
        })
    };
    let by_ruby = ["ruby: ", "/usr/bin/ruby: "].iter();
    if let Some(message) = by_ruby.into_iter().find_map(|it| rest.strip_prefix(it)) {
        return said(None, message);
    }
    if class == "NoMemoryError" {
        // Without memory Ruby cannot find the place.
        return said(None, rest.split_once(": ")?.1);
    }
    let (place, message) = place(rest)?;
    said(Some(place), message.strip_prefix(": ")?)
}

fn is_class(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == ':' || c == '_')
}

/// Reads `FILE:LINE` or `FILE:LINE:in 'METHOD'`. Returns the place and the text after it.
fn place(text: &str) -> Option<(SourcePlace, &str)> {
    let colon = text
        .match_indices(':')
        .map(|(at, _)| at)
        .take(4)
        .find(|at| {
            text.get(at + 1..)
                .unwrap_or_default()
                .starts_with(|c: char| c.is_ascii_digit())
        })?;
    let (file, rest) = (text.get(..colon)?, text.get(colon + 1..)?);
    let (line, mut rest) = number(rest)?;
    let mut function = None;
    if let Some(method) = rest
        .strip_prefix(":in `")
        .or_else(|| rest.strip_prefix(":in '"))
    {
        let (name, after) = method.split_once('\'')?;
        (function, rest) = (Some(name), after);
    }
    let is_file = !file.is_empty() && file.len() <= 500;
    is_file.then(|| (SourcePlace::new(file, Some(line)).within(function), rest))
}

fn is_own(file: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "<…",
        "…/gems/…",
        "…/lib/ruby/…",
        "…/rubygems/…",
        "…/usr/bin/…",
        "…/usr/local/bin/…",
        "…/bundle/bin/…",
    ];
    !is_like(file, &OTHERS)
}

fn error(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let head = head(spot.text())?;
    let stack = stack(lines, at + 1);
    let mut end = stack.end;
    // A message that begins with a line break stands below.
    let below = lines.get(at + 1..stack.end).unwrap_or_default();
    let below = below.iter().take_while(|line| !line.text.starts_with('\t'));
    let message = match head.message.trim() {
        "" => one_line(below.map(|line| line.text.as_str())),
        message => message.to_owned(),
    };
    let mut what = format!("{}: {message}", head.class);
    // The cause follows right below the stack, in the same form.
    if let Some(cause) = self::head(line_text(lines, end)).filter(|_| end > at + 1) {
        end = self::stack(lines, end + 1).end;
        // Ruby prints the exception of a thread that ends the process twice.
        if cause.message != head.message {
            what = format!("{what} (caused by {}: {})", cause.class, cause.message);
        }
    }
    let kind = kind(head.class, head.message);
    let own = head.place.filter(|place| is_own(&place.file)).or(stack.own);
    // The place is in the file that cannot be read, not in the line that requires it.
    let unreadable = || Some(place(head.message)?.0).filter(|_| kind == Death::SyntaxError);
    let place = unreadable().or(own);
    let above = at.checked_sub(1);
    let is_thread = |i: &usize| {
        is_like(
            line_text(lines, *i),
            &["#<Thread:… terminated with exception…"],
        )
    };
    let start = above.filter(is_thread).unwrap_or(at);
    Some(Finding::at(start..end, kind, what).quoted(at).place(place))
}

/// Reads an exception that Ruby's logger wrote, or that a program has printed by itself: `F, […]
/// FATAL -- : MESSAGE (CLASS)`, and the bare frames beneath it.
fn logged(spot: &Spot) -> Option<Finding> {
    let Spot {
        lines, line, at, ..
    } = *spot;
    let fewest = match &line.entry {
        Some(entry) if entry.is_error() && !entry.json => 1,
        Some(_) => return None,
        None => 2,
    };
    let (message, class) = line
        .message()
        .trim_end()
        .strip_suffix(')')?
        .rsplit_once(" (")?;
    if !is_class(class) || place(message).is_some_and(|(place, _)| place.function.is_some()) {
        return None;
    }
    let frame = |line: &LogLine| {
        let (place, rest) = place(&line.text).filter(|_| line.entry.is_none())?;
        rest.is_empty().then_some(place)
    };
    let frames: Vec<SourcePlace> = below(lines, at).iter().map_while(frame).collect();
    let end = at + 1 + frames.len();
    let first = frames.first().filter(|_| frames.len() >= fewest)?.clone();
    let own = frames.into_iter().find(|place| is_own(&place.file));
    let finding = Finding::at(at..end, kind(class, message), format!("{class}: {message}"));
    Some(finding.place(own.or(Some(first))))
}

struct RubyStack {
    end: usize,
    own: Option<SourcePlace>,
}

/// Reads the rest of a message and the `from` lines.
fn stack(lines: &[LogLine], start: usize) -> RubyStack {
    let is_from = |line: &LogLine| is_like(&line.text, &["\tfrom …", "\t ... …"]);
    let froms = past_most(lines, start, MESSAGE, |line| {
        line.entry.is_none() && !is_from(line)
    });
    if !lines.get(froms).is_some_and(is_from) {
        // Without a stack, only an excerpt of the code belongs to the message.
        let excerpt = past_most(lines, start, MESSAGE, |line| {
            line.is_blank() || line.text.starts_with([' ', '>'])
        });
        let is_blank = past(lines, start, LogLine::is_blank) >= excerpt;
        let end = if is_blank { start } else { excerpt };
        return RubyStack { end, own: None };
    }
    // A message may contain the first line of another error. That error is read on its own.
    if (start..froms).any(|i| head(line_text(lines, i)).is_some()) {
        return RubyStack {
            end: start,
            own: None,
        };
    }
    let end = past(lines, froms, is_from);
    let places = (froms..end).filter_map(|i| place(line_text(lines, i).strip_prefix("\tfrom ")?));
    let own = places
        .map(|(place, _)| place)
        .find(|place| is_own(&place.file));
    RubyStack { end, own }
}

fn kind(class: &str, message: &str) -> Death {
    match class {
        "SyntaxError" => Death::SyntaxError,
        // The program itself; see `open_load_file` in ruby.c.
        "LoadError" if message.starts_with("No such file or directory -- ") => Death::NoSuchFile,
        "LoadError"
        | "Gem::LoadError"
        | "Gem::MissingSpecError"
        | "Gem::MissingSpecVersionError"
        | "Bundler::GemNotFound" => Death::MissingModule,
        "NoMemoryError" => Death::OutOfMemoryHeap,
        "SystemStackError" => Death::StackOverflow,
        "OptionParser::InvalidOption" | "OptionParser::MissingArgument" => Death::BadArguments,
        "RuntimeError" if message.starts_with("invalid option ") => Death::BadArguments,
        _ => Death::UncaughtException,
    }
}

/// Reads `app.rb:4: [BUG] Segmentation fault at 0x8`. Pages of the interpreter's state follow, then
/// SIGABRT.
fn bug(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let (before, what) = spot.text().split_once("[BUG] ")?;
    let mut first = (at + 1..at + 4).map(|i| line_text(lines, i));
    first.find(|text| is_like(text, &["ruby …", "-- …"]))?;
    let end = past(lines, at + 1, |line| {
        line.entry.is_none() && !line.text.contains("[BUG] ")
    });
    let is_sure =
        |line: &LogLine| is_like(&line.text, &["-- …", "…bugreport.html…", "…[vsyscall]…"]);
    let last = lines.get(at + 1..end)?.iter().rposition(is_sure);
    let end = at + 2 + last.unwrap_or(0);
    let (kind, what) = if what.starts_with("Segmentation fault") {
        // The address changes from crash to crash.
        (Death::Segfault, "[BUG] Segmentation fault".to_owned())
    } else {
        (Death::Abort, format!("[BUG] {what}"))
    };
    // A library's place tells too which one is broken.
    let place = place(before).map(|(place, _)| place);
    let finding = Finding::at(at..end, kind, what).place(place);
    Some(finding.last_words(&[Signal("ABRT"), Signal("SEGV")]))
}

/// Reads the interpreter's own words, which look like a logger's.
fn no_memory(spot: &Spot) -> Option<Finding> {
    let text = spot.text().trim_end();
    let finding = Finding::at(spot.at..spot.at + 1, Death::OutOfMemoryHeap, text);
    (text == "[FATAL] failed to allocate memory").then(|| finding.last_words(&[Code(1)]))
}

/// Reads `app.rb:3: syntax error, unexpected end-of-input`. Ruby before 3.3 prints it for the
/// program itself.
fn syntax_error(spot: &Spot) -> Option<Finding> {
    let (place, rest) = place(spot.text().trim_end())?;
    let message = rest
        .strip_prefix(": ")
        .filter(|_| place.function.is_none())?;
    message
        .starts_with("syntax error, unexpected")
        .then_some(())?;
    let end = stack(spot.lines, spot.at + 1).end;
    let finding = Finding::at(spot.at..end, Death::SyntaxError, message);
    Some(finding.place(Some(place)).last_words(&[Code(1)]))
}

/// Reads how Bundler says that it cannot begin; see bundler/errors.rb.
fn refusal(spot: &Spot) -> Option<Finding> {
    let text = spot.text().trim_end();
    let advises = || {
        let mut advice = below(spot.lines, spot.at).iter().take(8);
        advice.any(|line| line.text.contains("bundle install"))
    };
    let (kind, ends): (_, &[ExpectedExit]) = if text.starts_with("Could not locate Gemfile") {
        (Death::NoSuchFile, &[Code(10)])
    } else {
        let kind = beneath::kind(text).unwrap_or(Death::MissingModule);
        if text.starts_with("bundler: ") {
            (kind, &[Code(127)])
        } else if text.contains(" in locally installed gems") || advises() {
            (kind, &[Code(7)])
        } else {
            return None;
        }
    };
    Some(Finding::at(spot.at..spot.at + 1, kind, text).last_words(ends))
}

#[cfg(test)]
mod tests;
