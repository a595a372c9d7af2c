//! One exception with its stack and its message, in each of the styles that tracebacks are set in.

use super::super::frame::{self, HEADER};
use crate::cause::finding::SourcePlace;
use crate::cause::runtimes::shape::{is_like, past};
use crate::cause::text::LogLine;

const GROUP: &str = "+ Exception Group ";
const HEADER_OF_BOX: &str = " Traceback (most recent call last) ";
/// Maximum number of lines of an exception's message.
pub const MESSAGE: usize = 40;
/// Maximum number of lines of other threads within a traceback.
const OTHERS: usize = 20;

/// One exception with its stack.
pub struct TracebackPart {
    /// Line on which the type and the message begin.
    pub at: usize,
    pub end: usize,
    pub what: String,
    pub outermost: Option<SourcePlace>,
    /// Innermost of the application's own frames.
    pub place: Option<SourcePlace>,
}

/// How the lines of a traceback are set.
#[derive(Clone, Copy, PartialEq)]
pub enum Style {
    Plain,
    /// Behind `  | `, as in an exception group.
    Group,
    /// In one of rich's boxes.
    Boxed,
    /// Behind so many blanks, as some loggers set the lines after the first.
    Indented(usize),
}

/// Returns the style of the traceback with this header.
pub fn style(text: &str) -> Option<Style> {
    if text.ends_with(HEADER) {
        let inner = text.trim_start();
        let is_group = inner.starts_with(GROUP) || inner.starts_with("| ");
        return Some(match text.len() - inner.len() {
            _ if is_group => Style::Group,
            indent if indent > 0 && inner == HEADER => Style::Indented(indent),
            _ => Style::Plain,
        });
    }
    (text.starts_with(['╭', '┌', '+']) && text.contains(HEADER_OF_BOX)).then_some(Style::Boxed)
}

/// Returns a line's text inside its margin.
pub fn body(text: &str, style: Style) -> &str {
    match style {
        Style::Plain | Style::Boxed => return text,
        Style::Indented(indent) => return within(text, indent).unwrap_or(text),
        Style::Group => {}
    }
    let inner = text.trim_start();
    let is_border = inner.starts_with('+') && text.len() != inner.len();
    inner
        .strip_prefix("| ")
        .or_else(|| inner.strip_prefix('|'))
        .unwrap_or(if is_border { inner } else { text })
}

/// Returns the text behind so many blanks.
fn within(text: &str, indent: usize) -> Option<&str> {
    let (margin, inner) = text.split_at_checked(indent)?;
    margin.trim().is_empty().then_some(inner)
}

/// Reads one exception; `header` is the line before its first frame (none: `usize::MAX`).
pub fn part(lines: &[LogLine], header: usize, style: Style) -> Option<TracebackPart> {
    let (mut outermost, mut place, mut syntax) = (None, None, None);
    let (mut others, mut blank) = (0, 0);
    let mut at = header.wrapping_add(1);
    let what = loop {
        let line = lines.get(at)?;
        let text = body(&line.text, style);
        match TracebackLine::of(line, text, style)? {
            TracebackLine::Frame(frame) => {
                outermost.get_or_insert_with(|| frame.clone());
                let own = Some(&frame).filter(|frame| frame::is_own(&frame.file));
                place = own.cloned().or(place);
                syntax = Some(frame).filter(|frame| frame.function.is_none());
                blank = 0;
            }
            TracebackLine::Blank if blank < 2 => blank += 1,
            TracebackLine::Inside => blank = 0,
            TracebackLine::Foreign if others < OTHERS => others += 1,
            TracebackLine::Exception => break text,
            TracebackLine::Blank | TracebackLine::Foreign => return None,
        }
        at += 1;
    };
    outermost.as_ref()?;
    let (what, end) = message(lines, at, what, style);
    if is_syntax_error(&what) {
        place = syntax.or(place);
    }
    Some(TracebackPart {
        at,
        end,
        what,
        outermost,
        place,
    })
}

/// A line below a traceback's header.
enum TracebackLine {
    Frame(SourcePlace),
    Blank,
    /// A line of source, or a mark below one.
    Inside,
    /// The exception's type and message.
    Exception,
    /// A logger's line, which another thread wrote.
    Foreign,
}

impl TracebackLine {
    fn of(line: &LogLine, text: &str, style: Style) -> Option<Self> {
        let is_outside = |indent| within(&line.text, indent).is_none() && !line.is_blank();
        if self::style(&line.text).is_some()
            || matches!(style, Style::Indented(indent) if is_outside(indent))
        {
            return None;
        }
        let boxed = || {
            (style == Style::Boxed)
                .then(|| frame::read_boxed(text))
                .flatten()
        };
        if let Some(frame) = frame::read(text).or_else(boxed) {
            return Some(Self::Frame(frame));
        }
        if text.trim().is_empty() {
            return Some(Self::Blank);
        }
        let is_inside = text.starts_with([' ', '\t', '>'])
            || style == Style::Boxed && text.starts_with(['│', '|', '╰', '+', '└']);
        if is_inside {
            return Some(Self::Inside);
        }
        if is_exception(text) {
            return Some(Self::Exception);
        }
        line.entry.is_some().then_some(Self::Foreign)
    }
}

/// Returns true if a line is an exception's type and message: `json.decoder.JSONDecodeError:
/// Expecting value`, `KeyboardInterrupt`.
pub fn is_exception(text: &str) -> bool {
    let length = text
        .find(|c: char| !(c.is_alphanumeric() || "_.<>".contains(c)))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.len() <= 200;
    is_name
        && (rest.starts_with(':')
            || rest.trim().is_empty() && name.contains(|c: char| c.is_uppercase()))
}

/// Returns true if the program itself does not parse.
pub fn is_syntax_error(what: &str) -> bool {
    is_like(what, &["SyntaxError…", "IndentationError…", "TabError…"])
}

/// Returns the message that begins on this line, as one line, and the line after it.
fn message(lines: &[LogLine], at: usize, first: &str, style: Style) -> (String, usize) {
    let mut what = first.trim().to_owned();
    let mut end = at + 1;
    let text = |i: usize| {
        lines
            .get(i)
            .filter(|line| line.entry.is_none())
            .map(|line| body(&line.text, style))
    };
    let is_indented = |text: &str| text.starts_with([' ', '\t']) && !text.trim().is_empty();
    while let Some(next) = text(end).filter(|_| end < at + MESSAGE) {
        // pydantic prints a field's name, and its complaint indented below it.
        let heads_more = || {
            !next.trim().is_empty()
                && text(end + 1).is_some_and(is_indented)
                && style == Style::Plain
        };
        let is_sqlalchemy = is_like(
            next,
            &["(Background on this error at…", "[SQL: …", "[parameters: …"],
        );
        let is_blank_inside = next.trim().is_empty()
            && text(end + 1).is_some_and(|text| text.starts_with("(Background on"));
        if !(is_indented(next) && frame::read(next).is_none()
            || what.ends_with(':') && !next.trim().is_empty()
            || heads_more() && self::style(next).is_none() && !next.ends_with(':')
            || is_sqlalchemy
            || is_blank_inside)
        {
            break;
        }
        let next = next.trim();
        // Only a few lines fit into the cause. Carets only mark.
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

/// Reads an exception group: its own exception, and the first one in it.
pub fn group(lines: &[LogLine], header: usize) -> Option<TracebackPart> {
    let is_header = |text: &str| text.trim_start().starts_with(GROUP);
    if !is_header(&lines.get(header)?.text) {
        return None;
    }
    let is_inside = |line: &LogLine| {
        line.text.starts_with("  ")
            && line.text.trim_start().starts_with(['|', '+'])
            && !is_header(&line.text)
    };
    let end = past(lines, header + 1, is_inside);
    let block = lines.get(..end)?;
    let mut group: Option<TracebackPart> = None;
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
    group.map(|group| TracebackPart { end, ..group })
}
