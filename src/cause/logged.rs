//! Errors inside a logger's JSON entries: pino's `err.stack`, ECS's `error.stack_trace`, Python's
//! `exc_info`, and so on.
//!
//! Most of them were handled, so they count only as the last thing that was said. A handler of
//! uncaught exceptions writes a fatal entry right before it ends the process. Such an entry says
//! that nothing caught the error.

use super::entry::{LogEntry, LogLevel};
use super::finding::Finding;
use super::lexicon::{Sense, Senses};
use super::runtimes;
use super::text::LogLine;
use crate::report::Death;

/// Number of last lines that are read. Too much was said after earlier errors.
const LAST: usize = 60;
/// Maximum number of lines of an error's stack.
const MOST: usize = 400;

/// Adds the errors that the last entries carry.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let entries = lines.iter().enumerate().rev().take(LAST);
    for (index, line) in entries.filter(|(_, line)| !line.is_blank()) {
        found.extend(line.entry.as_ref().and_then(|entry| finding(index, entry)));
    }
}

fn finding(index: usize, entry: &LogEntry) -> Option<Finding> {
    if entry.error.is_empty() || !entry.is_error() || entry.of_request {
        return None;
    }
    let said = Senses::of(&entry.message);
    if said.is_handled() {
        return None;
    }
    let rejected = said.has(Sense::Rejected);
    let is_uncaught = said.has(Sense::Uncaught);
    let is_fatal = entry.level == Some(LogLevel::Fatal);
    // A logger's error without a stack is ordinary, unless its words are about the end.
    if !is_fatal && !is_uncaught && entry.error.len() < 2 && !said.gives_up() {
        return None;
    }
    let error = stack(&entry.error);
    let what = error
        .as_ref()
        .map(|error| error.what.clone())
        .or_else(|| entry.error.first().cloned())?;
    let kind = match &error {
        Some(error)
            if !matches!(
                error.kind,
                Death::UncaughtException | Death::UnhandledRejection
            ) =>
        {
            error.kind
        }
        _ if rejected => Death::UnhandledRejection,
        _ if entry.error.len() < 2 && !is_uncaught => Death::PlainExit,
        _ => Death::UncaughtException,
    };
    let place = error.and_then(|error| error.place);
    let finding = Finding::at(index..index + 1, kind, what.trim()).place(place);
    Some(if is_uncaught && is_fatal {
        finding.last_words(&[])
    } else {
        finding
    })
}

/// Returns the finding that the runtimes read from a stack without a log around it.
fn stack(error: &[String]) -> Option<Finding> {
    let line = |(i, text): (usize, &String)| LogLine {
        number: i + 1,
        text: text.clone(),
        ..LogLine::default()
    };
    let lines: Vec<LogLine> = error.iter().take(MOST).enumerate().map(line).collect();
    // The last to end is the outermost error. It contains its causes.
    runtimes::read(&lines)
        .into_iter()
        .max_by_key(|it| (it.lines.end, it.place.is_some(), it.lines.len()))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::cause::finding::Proof;
    use crate::cause::text;
    use crate::report::Death;

    fn found(entry: &str) -> Option<(Death, Proof, String)> {
        let mut found = Vec::new();
        read(&text::read(entry), &mut found);
        found
            .pop()
            .map(|finding| (finding.kind, finding.proof, finding.what))
    }

    #[test]
    fn the_entry_of_a_handler_of_uncaught_errors_is_last_words() {
        let pino = r#"{"level":60,"time":1,"err":{"type":"Error","message":"x","stack":"Error: x\n    at f (/srv/a.js:1:2)"},"msg":"uncaughtException"}"#;
        let (kind, proof, what) = found(pino).unwrap();
        assert_eq!(
            (kind, proof, what.as_str()),
            (Death::UncaughtException, Proof::LastWords, "Error: x")
        );
        let rejected = pino.replace("uncaughtException", "unhandledRejection");
        assert_eq!(found(&rejected).unwrap().0, Death::UnhandledRejection);
    }

    #[test]
    fn ordinary_errors_are_left_alone() {
        for entry in [
            r#"{"level":50,"time":1,"err":{"message":"x","stack":"Error: x\n    at f (/srv/a.js:1:2)"},"msg":"feed lost, will retry"}"#,
            r#"{"level":50,"time":1,"req":{"url":"/"},"err":{"message":"x","stack":"Error: x\n    at f (/srv/a.js:1:2)"},"msg":"request errored"}"#,
            r#"{"level":"error","ts":1,"msg":"webhook failed","error":"503"}"#,
            r#"{"level":"warn","ts":1,"msg":"slow","error":{"message":"x","stack":"Error: x\n    at f (/srv/a.js:1:2)"}}"#,
        ] {
            assert_eq!(found(entry), None, "{entry}");
        }
    }
}
