//! The words that the program said last, as people read them.

use super::unproven::SaidLine;
use crate::cause::finding::{CAUSED, Finding, with_cause};
use crate::cause::text::LogLine;
use crate::cause::thing::one_line;

/// Maximum length of what announces more lines, in bytes.
const ANNOUNCED: usize = 200;

/// Returns the program's own words in one line, with what a line announces and the error below it.
pub fn text(said: &SaidLine, lines: &[LogLine], found: &[Finding]) -> Option<String> {
    let mut all = vec![(said.index, announced(said.index, lines, found)?)];
    for at in said.others.into_iter().flatten() {
        let Some(other) = announced(at, lines, found) else {
            continue;
        };
        let is_new = |(_, text): &(usize, String)| !repeats(text, &other) && !repeats(&other, text);
        if all.iter().all(is_new) {
            all.push((at, other));
        }
    }
    if let [(_, text)] = all.as_slice() {
        return Some(text.clone());
    }
    let length = |(_, text): &(usize, String)| text.chars().count() + 2;
    if all.iter().map(length).sum::<usize>() > MOST {
        // The third says least.
        all.truncate(2);
    }
    let shortest = all.iter().map(length).min().unwrap_or_default();
    let most = MOST - shortest.min(MOST / 2);
    all.sort_by_key(|(at, _)| *at);
    let all: Vec<String> = all.iter().map(|(_, text)| shortened(text, most)).collect();
    Some(all.join("; "))
}

/// Returns true if one text only repeats a part of another, whoever says it.
fn repeats(text: &str, part: &str) -> bool {
    let said = part
        .split_once(": ")
        .filter(|(name, _)| !name.contains(' '));
    text.contains(said.map_or(part, |(_, said)| said))
}

/// Maximum length of several lines, in characters.
const MOST: usize = 288;

/// Shortens a line. Of an error with its cause both are kept.
fn shortened(text: &str, most: usize) -> String {
    let cut = |text: &str, most: usize| {
        let end = text.char_indices().nth(most).map(|(at, _)| at);
        let mark = if end.is_some() { "…" } else { "" };
        format!(
            "{}{mark}",
            text.get(..end.unwrap_or(text.len())).unwrap_or_default()
        )
    };
    match text
        .split_once(CAUSED)
        .filter(|_| text.chars().count() > most)
    {
        Some((outer, inner)) => format!(
            "{}{CAUSED}{}",
            cut(outer, most / 3),
            cut(inner, most * 2 / 3)
        ),
        None => cut(text, most),
    }
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
    let is_frame =
        |line: &LogLine| line.text.starts_with("\tat ") || line.text.starts_with("   at ");
    if let [error, frame, ..] = rest
        && error.entry.is_none()
        && (is_frame(error) || is_frame(frame))
    {
        let outer = if is_frame(error) {
            text
        } else {
            with_cause(&text, &words(error))
        };
        let inner = causes(rest).last().unwrap_or_default();
        return Some(with_cause(&outer, inner));
    }
    // What a program adds below its own line.
    text = with_added(text, rest);
    // `cannot connect:`, `the following lines must be mended`
    while text.len() < ANNOUNCED
        && (text.ends_with(':') || text.contains("the following") || is_code(&text))
    {
        let Some(line) = next.next() else {
            break;
        };
        text = format!("{text} {}", words(line));
    }
    Some(text)
}

/// Maximum number of lines of a trace.
const TRACE: usize = 200;

/// Returns the causes in a trace.
fn causes(trace: &[LogLine]) -> impl Iterator<Item = &str> {
    let is_trace = |line: &&LogLine| line.entry.is_none() && !line.is_blank();
    let own = trace.iter().take(TRACE).take_while(is_trace);
    own.filter_map(|line| line.text.trim_start().strip_prefix("Caused by: "))
}

/// Returns true if an error's words are only its code: `Error: E1009`.
fn is_code(text: &str) -> bool {
    let code = text.strip_prefix("Error: ").unwrap_or_default();
    code.ends_with(|c: char| c.is_ascii_digit()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Maximum number of lines that add to another.
const MOST_ADDED: usize = 2;

/// Returns a text with what the lines below add to it.
pub fn with_added(mut text: String, below: &[LogLine]) -> String {
    let below = below.iter().filter(|line| !line.is_blank());
    for line in below.take(MOST_ADDED).map_while(added) {
        text = format!("{}: {line}", text.trim_end_matches(['.', ':']));
    }
    text
}

/// Returns the detail or the cause in a line that only adds to the one before.
fn added(line: &LogLine) -> Option<&str> {
    let text = line.text.trim();
    let mark = ["DETAIL:  ", "HINT:  Is ", "Caused by: ", "Reason: "];
    let found = mark.iter().find_map(|mark| {
        let (before, rest) = text.split_once(mark)?;
        (before.is_empty() || before.ends_with(' ')).then_some(rest)
    });
    found.or_else(|| text.strip_prefix("[CAUSE] "))
}

/// Returns a line as the program's own words.
pub fn words(line: &LogLine) -> String {
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
    one_line(text.lines())
}
