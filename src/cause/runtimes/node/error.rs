//! An error as `util.inspect` prints it: `Type: message`, the stack, and the properties in braces.
//! The properties include its causes and its parts.

use super::frame::JsFrame;
use crate::cause::runtimes::shape::is_like;
use crate::cause::text::LogLine;

/// Maximum number of lines of a message.
const MOST_LINES: usize = 200;
/// Maximum length of a message, in bytes.
const MOST_TEXT: usize = 1200;

/// An error as it was printed.
#[derive(Clone, Debug, Default)]
pub struct Printed<'a> {
    /// `Type: message`, in one line.
    pub text: String,
    pub frames: Vec<JsFrame<'a>>,
    /// Errors that led to it, the innermost last.
    pub causes: Vec<Printed<'a>>,
    /// Errors that it consists of, as an `AggregateError` does.
    pub parts: Vec<Printed<'a>>,
    /// Properties that tell what went wrong.
    pub properties: Vec<(&'static str, String)>,
    /// Indentation of its lines, in bytes.
    indent: usize,
    /// Line after the error (an index).
    pub end: usize,
}

/// Maximum length of a name, in bytes.
const LONGEST_NAME: usize = 100;

/// Returns true if a line begins as a printed error does: `TypeError`, `E2 [Error]`, `DOMException
/// [AbortError]`.
pub fn begins(text: &str) -> bool {
    let text = text.strip_prefix('[').unwrap_or(text);
    let is_named = |text: &str| {
        let name = text.len() - text.trim_start_matches(is_of_dotted).len();
        let is_name = (1..=LONGEST_NAME).contains(&name) && text.starts_with(begins_name);
        let rest = without_brackets(text.get(name..).unwrap_or_default());
        let closed = rest.strip_prefix(']');
        is_name && (ends_name(rest) || closed.is_some_and(|it| is_like(it, &["", ",…", " {…"])))
    };
    is_named(text) || text.strip_prefix("Uncaught ").is_some_and(is_named)
}

/// Returns where an error's name begins within a line. It ends as all of the language's own names
/// do.
pub fn named_within(text: &str) -> Option<usize> {
    let first = |end: &str| {
        text.match_indices(end)
            .find_map(|(at, _)| name_before(text, at, end))
    };
    let (error, exception) = (first("Error"), first("Exception"));
    error.into_iter().chain(exception).min()
}

/// Returns where the name begins that ends with this word at this place.
fn name_before(text: &str, at: usize, end: &str) -> Option<usize> {
    let (before, rest) = (text.get(..at)?, text.get(at + end.len()..)?);
    ends_name(without_brackets(rest)).then_some(())?;
    let start = before.trim_end_matches(is_of_name).len();
    let is_name = start == at || text.get(start..)?.starts_with(begins_name);
    let is_apart = |c: char| {
        c.is_ascii_whitespace() || matches!(c, '\x0b' | '(' | '[' | ':' | '\'' | '"' | '=' | '>')
    };
    let is_free = start == 0 || text.get(..start)?.ends_with(is_apart);
    (is_name && is_free && at - start <= LONGEST_NAME).then_some(start)
}

fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '$'
}

fn is_of_name(c: char) -> bool {
    begins_name(c) || c.is_ascii_digit()
}

fn is_of_dotted(c: char) -> bool {
    is_of_name(c) || c == '.'
}

/// Returns true if a message follows a name, or nothing.
fn ends_name(rest: &str) -> bool {
    rest.is_empty() || rest == ":" || rest.starts_with(": ")
}

/// Returns the text behind ` [AbortError]`.
fn without_brackets(text: &str) -> &str {
    let inner = text
        .strip_prefix(" [")
        .and_then(|text| text.split_once(']'));
    let is_name = |name: &str| {
        (1..LONGEST_NAME).contains(&name.len()) && name.chars().all(|c| is_of_dotted(c) || c == ' ')
    };
    inner
        .filter(|(name, _)| is_name(name))
        .map_or(text, |(_, rest)| rest)
}

/// Returns true if a line is a runtime's footer after an error.
pub fn is_footer(text: &str) -> bool {
    let version = text
        .strip_prefix("Node.js v")
        .or_else(|| text.strip_prefix("Bun v"));
    version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns true if an error's message cannot go on in this line.
fn is_past(line: &LogLine) -> bool {
    is_footer(&line.text)
        || line.text.starts_with("(Use `")
        || line.text == "Thrown at:"
        || line
            .entry
            .as_ref()
            .is_some_and(|entry| entry.json || entry.at.is_some())
}

impl<'a> Printed<'a> {
    /// Reads the error whose text begins with `head`, the line before `next`.
    pub fn read(head: &str, lines: &'a [LogLine], next: usize) -> Self {
        let mut this = Self::beginning(
            head.trim_start(),
            head.len() - head.trim_start().len(),
            next,
        );
        let ahead = lines
            .get(next..lines.len().min(next.saturating_add(MOST_LINES)))
            .unwrap_or_default();
        let stop = ahead
            .iter()
            .position(|line| is_past(line) || JsFrame::read(&line.text).is_some());
        let has_stack = stop
            .and_then(|stop| ahead.get(stop))
            .is_some_and(|line| JsFrame::read(&line.text).is_some());
        // An error in brackets has no stack, but its properties may have some.
        let is_end = |text: &str| text.ends_with(']') || text.ends_with("] {");
        let is_bracketed = this.text.starts_with('[');
        let is_whole = is_end(&this.text) || this.text.contains("] { ");
        let closed = || {
            ahead
                .iter()
                .position(|line| is_end(&line.text))
                .map(|at| at + 1)
        };
        let blank = || ahead.iter().position(LogLine::is_blank);
        let length = match (is_bracketed, has_stack) {
            (true, _) if is_whole => 0,
            (true, _) => closed().or(blank()).unwrap_or(ahead.len()),
            (false, true) => stop.unwrap_or(ahead.len()),
            (false, false) => blank().into_iter().chain(stop).min().unwrap_or(ahead.len()),
        };
        let mut is_listing = false;
        for line in ahead.get(..length).unwrap_or_default() {
            is_listing |= line.text.trim() == "Require stack:";
            if !is_listing {
                this.add(&line.text);
            }
        }
        this.end = next.saturating_add(length);
        let opens = if has_stack && !is_bracketed {
            this.read_frames(lines)
        } else {
            is_bracketed && this.text.ends_with(" {")
        };
        this.unbracket();
        if opens {
            this.read_properties(lines);
        }
        this
    }

    /// Reads the stack that begins at a line, if the error's text is not in the log.
    pub fn without_head(lines: &'a [LogLine], at: usize) -> Self {
        let mut this = Self {
            end: at,
            ..Self::default()
        };
        this.read_frames(lines);
        this
    }

    fn beginning(head: &str, indent: usize, end: usize) -> Self {
        let mut this = Self {
            text: head.trim_end().to_owned(),
            indent,
            end,
            ..Self::default()
        };
        this.text.truncate(this.text.floor_char_boundary(MOST_TEXT));
        this
    }

    /// Adds a further line of the message.
    fn add(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() && text != "+ actual - expected" && self.text.len() < MOST_TEXT {
            self.text.push(' ');
            self.text.push_str(text);
        }
    }

    /// Removes the brackets of `[Type: message] {`, the form of an error without a stack.
    fn unbracket(&mut self) {
        let text = self.text.trim_end_matches(',');
        let (text, properties) = match text.split_once("] { ") {
            Some((text, properties)) if text.starts_with('[') => (text, properties),
            _ => {
                let text = text.strip_suffix(" {").unwrap_or(text);
                (
                    text.strip_suffix(']')
                        .filter(|text| text.starts_with('['))
                        .unwrap_or(text),
                    "",
                )
            }
        };
        self.properties.extend(
            properties
                .trim_end_matches(" }")
                .split(", ")
                .filter_map(property),
        );
        let is_bare = text.len() < self.text.len() && text.starts_with('[');
        self.text = if is_bare {
            text.get(1..).unwrap_or_default()
        } else {
            text
        }
        .to_owned();
    }

    /// Reads the frames from `end` on. Returns true if properties follow.
    pub fn read_frames(&mut self, lines: &'a [LogLine]) -> bool {
        while let Some(line) = lines.get(self.end) {
            let text = line.text.trim();
            match JsFrame::read(&line.text) {
                Some(frame) => self.frames.push(frame),
                None if text.starts_with("-> ")
                    || text.starts_with("... ")
                    || text.starts_with("[... ")
                    || text == "Thrown at:" => {}
                None if text.starts_with("Emitted '") && text.ends_with("at:") => {}
                None => return false,
            }
            self.end += 1;
            if text.ends_with(" {") {
                return true;
            }
        }
        false
    }

    /// Reads the properties from `end` to the closing brace: nested errors, and values that tell
    /// what went wrong.
    fn read_properties(&mut self, lines: &'a [LogLine]) {
        // Indentation of the list of its parts, inside that list.
        let mut list = None;
        while let Some(line) = lines.get(self.end) {
            let inner = line.text.trim_start();
            let indent = line.text.len() - inner.len();
            if indent <= self.indent && !inner.is_empty() {
                // If no brace closes them, the log was cut.
                self.end += usize::from(inner.starts_with('}'));
                return;
            }
            self.end += 1;
            self.read_property(&line.text, &mut list);
        }
    }

    fn read_property(&mut self, text: &'a str, list: &mut Option<usize>) {
        let inner = text.trim_start();
        let indent = text.len() - inner.len();
        if let Some(cause) = cause(inner) {
            self.causes.push(Self::nested(cause, indent));
            *list = None;
            return;
        }
        if inner.starts_with("[errors]: [") {
            *list = Some(indent);
            return;
        }
        if *list == Some(indent) {
            *list = None;
            return;
        }
        let current = if list.is_some() {
            self.parts.last_mut()
        } else {
            self.causes.last_mut()
        };
        if let Some(frame) = JsFrame::read(text) {
            current
                .map_or(&mut self.frames, |inner| &mut inner.frames)
                .push(frame);
            return;
        }
        if list.is_some_and(|list| indent == list + 2) && begins(inner) {
            self.parts.push(Self::nested(inner, indent));
            return;
        }
        let Some(property) = property(inner.trim_end_matches(',')) else {
            return;
        };
        if indent == self.indent + 2 && list.is_none() {
            self.properties.push(property);
        } else if let Some(inner) = current.filter(|inner| indent == inner.indent + 2) {
            inner.properties.push(property);
        }
    }

    /// An error among the properties of another.
    fn nested(head: &str, indent: usize) -> Self {
        let mut this = Self::beginning(head, indent, 0);
        this.unbracket();
        this
    }

    /// Returns the value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the error in one line: its words, the values that they leave out, and its causes.
    pub fn what(&self) -> String {
        let mut what = self.words();
        // An error that has no words of its own shows those of its parts, as after trying several
        // addresses.
        let parts: Vec<String> = self.parts.iter().take(3).map(Self::words).collect();
        if !parts.is_empty() {
            what = format!(
                "{}: {}",
                what.trim_end_matches([':', ' ']),
                parts.join("; ")
            );
        }
        if let Some(cause) = self.causes.last() {
            let cause = cause.words();
            if !what.contains(cause.trim_start_matches("Error: ")) {
                what = format!("{what}; caused by {cause}");
            }
        }
        what
    }

    /// Returns the error's own words, and the values that they leave out.
    fn words(&self) -> String {
        let mut words = self.text.trim().to_owned();
        let known = ["MODULE_NOT_FOUND", "ERR_ASSERTION"];
        if let Some(code) = self
            .property("code")
            .filter(|code| !words.contains(code) && !known.contains(code))
        {
            let named = begins(&words).then(|| words.find(": ")).flatten();
            let at = named.unwrap_or(words.len());
            words.insert_str(at, &[" [", code, "]"].concat());
        }
        if let Some(path) = self.property("path").filter(|path| !words.contains(path)) {
            words.extend([" '", path, "'"]);
        }
        let port = self.property("port").filter(|port| !words.contains(port));
        match (
            self.property("address")
                .or_else(|| self.property("hostname")),
            port,
        ) {
            (Some(address), Some(port)) => words.extend([" ", address, ":", port]),
            (None, Some(port)) => words.extend([" port ", port]),
            (Some(address), None) if !words.contains(address) => words.extend([" ", address]),
            _ => {}
        }
        words
    }
}

/// Returns the error beneath an error: `[cause]: Error: …`, or the names that libraries used
/// before.
fn cause(text: &str) -> Option<&str> {
    let (key, value) = text.split_once(": ")?;
    match key {
        "[cause]" => Some(value),
        "cause" | "parent" | "original" | "originalError" => {
            Some(value).filter(|value| begins(value))
        }
        _ => None,
    }
}

/// Reads a property that tells what went wrong.
fn property(text: &str) -> Option<(&'static str, String)> {
    let (key, value) = text.trim().split_once(": ")?;
    let key = ["code", "path", "address", "port", "hostname"]
        .into_iter()
        .find(|it| *it == key)?;
    let value = value.trim_matches(['\'', '"', '`']);
    let is_plain = !value.is_empty()
        && value.len() <= 200
        && !value.contains(['{', '['])
        && value != "undefined";
    is_plain.then(|| (key, value.to_owned()))
}
