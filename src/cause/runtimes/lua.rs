//! Lua: `lua5.4: app.lua:1: attempt to index a nil value`, and the stack beneath it, as the
//! standalone interpreter prints them before it ends with 1.

use super::shape::past;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines between a message and its stack. A missing module's message has a line
/// for each place.
const MESSAGE: usize = 60;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&["\nstack traceback:\n"], read)];

/// Reads the message above a stack, and the stack.
fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let start = spot.from.max(at.saturating_sub(MESSAGE));
    let above = (start..at).rev();
    let (head, what) = above
        .into_iter()
        .find_map(|i| Some((i, message(lines.get(i)?)?)))?;
    let end = past(lines, at + 1, |line| line.text.starts_with('\t'));
    let is_missing = what.contains("module '") && what.contains("' not found:");
    let kind = if is_missing {
        Death::MissingModule
    } else {
        Death::UncaughtException
    };
    let place = (at + 1..end).find_map(|i| place(line_text(lines, i).trim()));
    let finding = Finding::at(head..end, kind, what.trim_end_matches(':'));
    Some(finding.place(place).last_words(&[Code(1)]))
}

/// Returns the interpreter's message behind its own name.
fn message(line: &LogLine) -> Option<&str> {
    let (program, what) = line
        .text
        .split_once(": ")
        .filter(|_| line.entry.is_none())?;
    let name = program.rsplit('/').next().unwrap_or_default();
    name.strip_prefix("lua")?
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        .then_some(what)
}

/// Reads `app.lua:1: in main chunk`; `None` for `[C]: in ?`.
fn place(frame: &str) -> Option<SourcePlace> {
    let (place, _) = frame.split_once(": in ")?;
    let (file, line) = place.rsplit_once(':')?;
    Some(SourcePlace::new(file, Some(line.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn the_interpreter_s_last_words_are_read_and_no_trace_of_the_program_s_own() {
        let log = "lua5.4: app.lua:1: attempt to index a nil value (field 'a')\nstack traceback:\n\t[C]: in ?\n\tapp.lua:1: in local 'f'";
        let found = found(WORDS, log);
        let found = found.first().unwrap();
        assert_eq!(found.kind, Death::UncaughtException);
        assert_eq!(
            found.what,
            "app.lua:1: attempt to index a nil value (field 'a')"
        );
        assert_eq!(
            (
                found.lines.clone(),
                found.place.as_ref().unwrap().to_string()
            ),
            (0..4, "app.lua:1".to_owned())
        );
        let missing = "lua: app.lua:1: module 'cjson' not found:\n\tno field package.preload['cjson']\nstack traceback:\n\t[C]: in ?";
        assert_eq!(
            super::super::found(WORDS, missing).first().unwrap().kind,
            Death::MissingModule
        );
        assert_eq!(
            super::super::found(WORDS, "caught: x\nstack traceback:\n\tapp.lua:1: in f"),
            []
        );
    }
}
