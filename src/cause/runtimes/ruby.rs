//! Ruby: `app.rb:2:in 'owner': undefined method … (NoMethodError)` of 1.9 to 3.4, `[BUG]` reports,
//! and the refusals of Bundler.
//!
//! Nothing shows that an exception was uncaught: `full_message` looks the same. But Ruby prints it
//! at the very end, after all exit handlers.

use crate::cause::beneath;
use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Maximum number of lines between an exception's message and its stack.
const MESSAGE: usize = 40;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut i = 0;
    while let Some(line) = lines.get(i) {
        let text = line.text.as_str();
        let end = if text.contains("[BUG] ") {
            bug(lines, i, found)
        } else {
            None
        };
        i = end
            .or_else(|| logged(lines, i, found))
            .or_else(|| error(lines, i, found))
            .or_else(|| refusal(lines, i, found))
            .unwrap_or(i + 1);
    }
}

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
    if !is_class(class) {
        return None;
    }
    if let Some(message) = ["ruby: ", "/usr/bin/ruby: "]
        .iter()
        .find_map(|program| rest.strip_prefix(program))
    {
        return Some(RubyHead {
            place: None,
            message,
            class,
        });
    }
    if class == "NoMemoryError" {
        // Without memory Ruby cannot find the place.
        return Some(RubyHead {
            place: None,
            message: rest.split_once(": ")?.1,
            class,
        });
    }
    let (place, message) = place(rest)?;
    Some(RubyHead {
        place: Some(place),
        message: message.strip_prefix(": ")?,
        class,
    })
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
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let line = rest.get(..digits)?.parse().ok()?;
    let mut rest = rest.get(digits..)?;
    let mut function = None;
    if let Some(method) = rest
        .strip_prefix(":in `")
        .or_else(|| rest.strip_prefix(":in '"))
    {
        let end = method.find('\'')?;
        function = Some(method.get(..end)?.to_owned());
        rest = method.get(end + 1..)?;
    }
    if file.is_empty() || file.len() > 500 {
        return None;
    }
    Some((
        SourcePlace {
            file: file.to_owned(),
            line: Some(line),
            function,
        },
        rest,
    ))
}

fn is_own(file: &str) -> bool {
    ![
        "/gems/",
        "/lib/ruby/",
        "/rubygems/",
        "/usr/bin/",
        "/usr/local/bin/",
        "/bundle/bin/",
    ]
    .iter()
    .any(|it| file.contains(it))
        && !file.starts_with('<')
}

fn error(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let line = lines.get(i)?;
    let is_candidate = line.text.contains(':') && line.text.ends_with([')', 'n']);
    let head = head(&line.text).filter(|_| is_candidate && line.entry.is_none())?;
    let stack = stack(lines, i + 1);
    let mut end = stack.end;
    // The cause follows right below the stack, in the same form.
    let cause = lines
        .get(end)
        .filter(|_| stack.end > i + 1)
        .and_then(|line| self::head(&line.text));
    let mut what = format!("{}: {}", head.class, head.message);
    if cause.is_some() {
        end = self::stack(lines, end + 1).end;
    }
    // Ruby prints the exception of a thread that ends the process twice.
    if let Some(cause) = cause.filter(|cause| cause.message != head.message) {
        what = format!("{what} (caused by {}: {})", cause.class, cause.message);
    }
    let own = head
        .place
        .clone()
        .filter(|place| is_own(&place.file))
        .or(stack.own);
    let before = i
        .checked_sub(1)
        .and_then(|at| lines.get(at))
        .map(|line| line.text.as_str())
        .unwrap_or_default();
    let in_thread =
        before.starts_with("#<Thread:") && before.contains(" terminated with exception");
    let mut finding = Finding {
        lines: if in_thread { i - 1 } else { i }..end,
        quoted: i,
        kind: kind(head.class, head.message),
        what,
        place: own,
        proof: Proof::Said,
        ends: &[],
    };
    if finding.kind == Death::SyntaxError {
        // The place is in the file that cannot be read, not in the line that requires it.
        finding.place = self::place(head.message)
            .map(|(place, _)| place)
            .or(finding.place);
    }
    found.push(finding);
    Some(end)
}

/// Reads an exception that Ruby's logger wrote, or that a program has printed by itself: `F, […]
/// FATAL -- : MESSAGE (CLASS)`, and the bare frames beneath it.
fn logged(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let line = lines.get(i)?;
    let (said, fewest) = match &line.entry {
        Some(entry) if entry.is_error() && !entry.json => (entry.message.as_str(), 1),
        Some(_) => return None,
        None => (line.text.as_str(), 2),
    };
    let (message, class) = said.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    let frame = |line: &LogLine| {
        let (place, rest) = place(&line.text).filter(|_| line.entry.is_none())?;
        rest.is_empty().then_some(place)
    };
    let frames: Vec<SourcePlace> = lines.get(i + 1..)?.iter().map_while(frame).collect();
    let (length, first) = (frames.len(), frames.first().cloned()?);
    if length < fewest
        || !is_class(class)
        || place(message).is_some_and(|(place, _)| place.function.is_some())
    {
        return None;
    }
    found.push(Finding {
        lines: i..i + 1 + length,
        quoted: i,
        kind: kind(class, message),
        what: format!("{class}: {message}"),
        place: frames
            .into_iter()
            .find(|place| is_own(&place.file))
            .or(Some(first)),
        proof: Proof::Said,
        ends: &[],
    });
    Some(i + 1 + length)
}

struct RubyStack {
    end: usize,
    own: Option<SourcePlace>,
}

/// Reads the rest of a message and the `from` lines.
fn stack(lines: &[LogLine], start: usize) -> RubyStack {
    let is_from =
        |line: &LogLine| line.text.starts_with("\tfrom ") || line.text.starts_with("\t ... ");
    let rest = lines.get(start..).unwrap_or_default();
    let message = rest
        .iter()
        .take(MESSAGE)
        .take_while(|line| line.entry.is_none() && !is_from(line))
        .count();
    let has_stack = rest.get(message).is_some_and(is_from);
    if !has_stack {
        // Without a stack, only an excerpt of the code belongs to the message.
        let is_excerpt = |line: &&LogLine| line.is_blank() || line.text.starts_with([' ', '>']);
        let excerpt = rest.iter().take(MESSAGE).take_while(is_excerpt).count();
        let blank = rest
            .get(..excerpt)
            .unwrap_or_default()
            .iter()
            .all(LogLine::is_blank);
        return RubyStack {
            end: start + if blank { 0 } else { excerpt },
            own: None,
        };
    }
    // A message may contain the first line of another error. That error is read on its own.
    let is_other = rest
        .get(..message)
        .unwrap_or_default()
        .iter()
        .any(|line| head(&line.text).is_some());
    if is_other {
        return RubyStack {
            end: start,
            own: None,
        };
    }
    let froms = rest.get(message..).unwrap_or_default();
    let length = froms.iter().take_while(|line| is_from(line)).count();
    let mut stack = RubyStack {
        end: start + message + length,
        own: None,
    };
    for line in froms.iter().take(length) {
        let Some((place, _)) = line.text.strip_prefix("\tfrom ").and_then(place) else {
            continue;
        };
        if is_own(&place.file) {
            stack.own = Some(place);
            break;
        }
    }
    stack
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
fn bug(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let text = lines.get(i)?.text.as_str();
    let (before, what) = text.split_once("[BUG] ")?;
    let is_report = lines
        .get(i + 1..)?
        .iter()
        .take(3)
        .any(|line| line.text.starts_with("ruby ") || line.text.starts_with("-- "));
    if !is_report {
        return None;
    }
    let is_sure = |line: &LogLine| {
        line.text.starts_with("-- ")
            || line.text.contains("bugreport.html")
            || line.text.contains("[vsyscall]")
    };
    let rest = lines
        .get(i + 1..)?
        .iter()
        .take_while(|line| line.entry.is_none() && !line.text.contains("[BUG] "));
    let length = rest
        .enumerate()
        .filter(|(_, line)| is_sure(line))
        .map(|(at, _)| at + 1)
        .last()
        .unwrap_or(1);
    let (kind, what) = if what.starts_with("Segmentation fault") {
        // The address changes from crash to crash.
        (Death::Segfault, "[BUG] Segmentation fault".to_owned())
    } else {
        (Death::Abort, format!("[BUG] {what}"))
    };
    let place = place(before)
        .map(|(place, _)| place)
        .filter(|place| is_own(&place.file));
    let ends = &[ExpectedExit::Signal("ABRT"), ExpectedExit::Signal("SEGV")];
    let end = i + 1 + length;
    found.push(Finding {
        lines: i..end,
        quoted: i,
        kind,
        what,
        place,
        proof: Proof::LastWords,
        ends,
    });
    Some(end)
}

/// The interpreter's own words, which look like a logger's.
const NO_MEMORY: &str = "[FATAL] failed to allocate memory";

/// Reads how Ruby and Bundler say that they cannot begin, or cannot go on. Returns the line after
/// it.
fn refusal(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let line = lines
        .get(i)
        .filter(|line| line.entry.is_none() || line.text.starts_with(NO_MEMORY))?;
    let text = line.text.trim_end();
    if let Some((place, message)) = syntax_error(text) {
        let end = stack(lines, i + 1).end;
        found.push(Finding {
            lines: i..end,
            quoted: i,
            kind: Death::SyntaxError,
            what: message.to_owned(),
            place: Some(place),
            proof: Proof::LastWords,
            ends: &[ExpectedExit::Code(1)],
        });
        return Some(end);
    }
    let (kind, ends) = refused(lines, i, text)?;
    let kind = if kind == Death::NoSuchFile {
        kind
    } else {
        beneath::kind(text).unwrap_or(kind)
    };
    found.push(Finding {
        lines: i..i + 1,
        quoted: i,
        kind,
        what: text.to_owned(),
        place: None,
        proof: Proof::LastWords,
        ends,
    });
    Some(i + 1)
}

/// Returns the kind of death and the exits of a refusal.
fn refused(lines: &[LogLine], i: usize, text: &str) -> Option<(Death, &'static [ExpectedExit])> {
    if text == NO_MEMORY {
        return Some((Death::OutOfMemoryHeap, &[ExpectedExit::Code(1)]));
    }
    if text.starts_with("bundler: command not found: ") {
        return Some((Death::MissingModule, &[ExpectedExit::Code(127)]));
    }
    // Bundler::GemNotFound; see bundler/errors.rb.
    let advises = |words: &str| {
        lines
            .get(i + 1..)
            .is_some_and(|rest| rest.iter().take(8).any(|line| line.text.contains(words)))
    };
    if text.starts_with("Could not find ")
        && (text.contains(" in locally installed gems") || advises("bundle install"))
    {
        return Some((Death::MissingModule, &[ExpectedExit::Code(7)]));
    }
    text.starts_with("Could not locate Gemfile")
        .then_some((Death::NoSuchFile, &[ExpectedExit::Code(10)]))
}

/// Reads `app.rb:3: syntax error, unexpected end-of-input`. Ruby before 3.3 prints it for the
/// program itself.
fn syntax_error(text: &str) -> Option<(SourcePlace, &str)> {
    if !text.contains(": syntax error") {
        return None;
    }
    let (place, rest) = place(text)?;
    let message = rest.strip_prefix(": ")?;
    (message.starts_with("syntax error, unexpected") && place.function.is_none())
        .then_some((place, message))
}

#[cfg(test)]
mod tests;
