//! The words that the program said last, as people read them.

use super::unproven::SaidLine;
use crate::cause::finding::{Finding, with_cause};
use crate::cause::text::LogLine;

/// Maximum length of what announces more lines, in bytes.
const ANNOUNCED: usize = 200;

/// Returns the program's own words in one line, with what a line announces and the error below it.
pub fn text(said: &SaidLine, lines: &[LogLine], found: &[Finding]) -> Option<String> {
    let text = announced(said.index, lines, found)?;
    let other = said.other.and_then(|at| announced(at, lines, found));
    let is_new = |other: &String| !text.contains(other.as_str()) && !other.contains(&text);
    let Some(other) = other.filter(is_new) else {
        return Some(text);
    };
    let is_before = said.other < Some(said.index);
    let (first, then) = if is_before {
        (&other, &text)
    } else {
        (&text, &other)
    };
    Some(format!("{}; {}", shortened(first), shortened(then)))
}

/// Maximum length of one of two lines, in characters.
const SHORTENED: usize = 145;

fn shortened(text: &str) -> String {
    let mut cut: String = text.chars().take(SHORTENED).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Returns the words of a line, with what it announces and the error below it.
fn announced(at: usize, lines: &[LogLine], found: &[Finding]) -> Option<String> {
    let line = lines.get(at)?;
    let begins = |at: usize| found.iter().rfind(move |it| it.lines.start == at);
    if let Some(error) = begins(at).filter(|_| line.entry.is_none()) {
        return Some(error.what.trim().to_owned());
    }
    let mut text = words(line);
    let rest = lines.get(at + 1..)?;
    let mut next = rest.iter().filter(|line| !line.is_blank());
    let blank = rest.iter().take_while(|line| line.is_blank()).count();
    let below = begins(at + 1 + blank).filter(|error| error.lines.len() > 1);
    if let Some(error) = below.filter(|_| blank < 2) {
        return Some(with_cause(&text, &error.what));
    }
    // An error in no runtime's form, with its stack.
    let has_stack =
        |line: &LogLine| line.text.starts_with("\tat ") || line.text.starts_with("   at ");
    if let [error, frame, ..] = rest
        && error.entry.is_none()
        && has_stack(frame)
    {
        return Some(with_cause(&text, &words(error)));
    }
    // `cannot connect:`, `the following lines must be mended`
    while text.len() < ANNOUNCED && (text.ends_with(':') || text.contains("the following")) {
        let Some(line) = next.next() else {
            break;
        };
        text = format!("{text} {}", words(line));
    }
    Some(text)
}

/// Returns a line as the program's own words.
fn words(line: &LogLine) -> String {
    let Some(entry) = &line.entry else {
        return line.text.trim().to_owned();
    };
    let message = entry.message.trim();
    let beneath = entry.error.first().map(|error| error.trim());
    let text = match beneath.filter(|error| !message.contains(error)) {
        Some(error) if message.is_empty() => error.to_owned(),
        Some(error) => format!("{}: {error}", message.trim_end_matches(['.', ':'])),
        None => message.to_owned(),
    };
    // A logger may write several lines as one entry.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
