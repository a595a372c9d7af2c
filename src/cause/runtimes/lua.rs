//! Lua: `lua5.4: app.lua:1: attempt to index a nil value`, and the stack beneath it, as the
//! standalone interpreter prints them before it ends with 1.

use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Maximum number of lines between a message and its stack. A missing module's message has a line
/// for each place.
const MESSAGE: usize = 60;
const HEADER: &str = "stack traceback:";

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut from = 0;
    for (header, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.text == HEADER)
    {
        let start = from.max(header.saturating_sub(MESSAGE));
        let head = lines
            .get(start..header)
            .unwrap_or_default()
            .iter()
            .rposition(|line| message(line).is_some());
        let Some(head) = head.map(|head| start + head) else {
            continue;
        };
        let frames = lines
            .get(header + 1..)
            .unwrap_or_default()
            .iter()
            .take_while(|line| line.text.starts_with('\t'));
        let end = header + 1 + frames.clone().count();
        let Some(what) = lines.get(head).and_then(message) else {
            continue;
        };
        let place = frames.into_iter().find_map(|line| place(line.text.trim()));
        let is_missing = what.contains("module '") && what.contains("' not found:");
        found.push(Finding {
            lines: head..end,
            quoted: head,
            kind: if is_missing {
                Death::MissingModule
            } else {
                Death::UncaughtException
            },
            what: what.trim_end_matches(':').to_owned(),
            place,
            proof: Proof::LastWords,
            ends: &[ExpectedExit::Code(1)],
        });
        from = end;
    }
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
    Some(SourcePlace {
        file: file.to_owned(),
        line: Some(line.parse().ok()?),
        function: None,
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn the_interpreter_s_last_words_are_read_and_no_trace_of_the_program_s_own() {
        let log = "lua5.4: app.lua:1: attempt to index a nil value (field 'a')\nstack traceback:\n\t[C]: in ?\n\tapp.lua:1: in local 'f'";
        let found = found(read, log);
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
            super::super::found(read, missing).first().unwrap().kind,
            Death::MissingModule
        );
        assert_eq!(
            super::super::found(read, "caught: x\nstack traceback:\n\tapp.lua:1: in f"),
            []
        );
    }
}
