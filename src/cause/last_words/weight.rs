//! Weighs lines by how much they say about the end of a program, where nothing proves it.

use super::phrases::{is_continued, is_hint, names_errno};
use crate::cause::entry::LogLevel;
use crate::cause::lexicon::{self, Sense, Senses, is_generic, own_words};
use crate::cause::tail::Tail;
use crate::cause::text::LogLine;

/// The weight of a line as a reason for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// An ordinary line without a level.
    Plain,
    /// A line that speaks of a failure somewhere.
    Mention,
    /// A line that says that something is wrong, as ordinary lines may do too.
    Objection,
    /// An error by its level, or by how it begins.
    Complaint,
    /// The program cannot go on.
    Fatal,
}

/// Returns how much a line says; `None` if it cannot be why the program ended.
pub fn weight(tail: &Tail, line: &LogLine) -> Option<Weight> {
    let said = line.senses();
    let text = line.head();
    let level = line.level();
    let has_error = line
        .entry
        .as_ref()
        .is_some_and(|entry| !entry.error.is_empty());
    // `Error:` before the words in the next line.
    let announces = line.is_raw() && text.eq_ignore_ascii_case("error:");
    let is_out = is_continued(line)
        || line.is_of_request()
        || is_hint(line) && !said.has(Sense::Environment)
        || is_advice(line)
        || is_generic(text) && !has_error && !announces
        || text.len() < 4
        || said.has(Sense::Quotation)
        || said.has(Sense::Trace) && own_words(text).nth(MOST_OF_TRACE).is_none()
        || is_frame(text)
        || tail.is_of_another(line)
        || (level < Some(LogLevel::Error) && said.is_handled());
    if is_out {
        return None;
    }
    if level == Some(LogLevel::Error) && said.is_handled() {
        return Some(Weight::Mention);
    }
    let is_returned =
        line.is_raw() && line.text.to_ascii_lowercase().starts_with("error: ") || announces;
    // A fatal error may be quoted.
    let ends = said.gives_up() && !said.has(Sense::FatalError);
    let complains = complains(said) || names_errno(said, text);
    match level {
        _ if is_returned && tail.has_form => Some(Weight::Fatal),
        Some(LogLevel::Fatal) => Some(Weight::Fatal),
        Some(LogLevel::Error) if said.opens(Sense::Fatal) => Some(Weight::Fatal),
        Some(LogLevel::Error) => Some(Weight::Complaint),
        Some(LogLevel::Warn) if complains => Some(Weight::Objection),
        Some(_) => None,
        // The words give the line a level below that of an error.
        None if said.begins(Sense::Mild) || said.has(Sense::Warning) => None,
        None if said.opens(Sense::Fatal) => Some(Weight::Fatal),
        None if complains => Some(Weight::Complaint),
        None if said.has(Sense::Objection) || ends || denies(text) => Some(Weight::Objection),
        None if line.entry.is_some() => None,
        None if !said.opens(Sense::Count) && mentions_failure(text) => Some(Weight::Mention),
        None => Some(Weight::Plain),
    }
}

/// Returns true if a line begins with a complaint, or one stands behind a program's name. `error
/// rate over last 5 min: 0.0%` and `errors=0` are none.
fn complains(said: Senses) -> bool {
    said.opens(Sense::Refusal)
        || said.begins(Sense::Failure) && !said.begins(Sense::Count)
        || said.follows(Sense::Failure) && !said.follows(Sense::Count)
        || said.opens(Sense::Failure) && said.has(Sense::Complaint)
        || said.begins(Sense::BadConfig)
        || said.opens(Sense::Lost)
        || said.gives_up() && said.has(Sense::Failure) && !said.has(Sense::FatalError)
        || said.has(Sense::Failed)
}

/// Returns true if a word of a line tells of a failure: no part of a path, and no count.
fn mentions_failure(text: &str) -> bool {
    let failures = lexicon::find(text, Sense::Failure);
    failures
        .chain(lexicon::find(text, Sense::Lost))
        .any(|word| {
            let before = text.get(..word.start).unwrap_or_default();
            let after = text.get(word.end..).unwrap_or_default();
            let counted = before.trim_end().ends_with(|c: char| c.is_ascii_digit());
            // Quoted text may be anyone's words.
            let is_quoted = before.matches('"').count() % 2 == 1;
            let is_count = [" rate", " count", "s=", "=", "_"]
                .iter()
                .any(|it| after.starts_with(it));
            let is_word = before.is_empty() || before.ends_with([' ', '[', '(']);
            is_word && !counted && !is_quoted && !is_count
        })
}

/// Maximum number of words of a line that only announces a trace, less one.
const MOST_OF_TRACE: usize = 4;

/// Returns true if a logger wrote a frame of a trace: `BaseDaemon: 0. DB::f() @ 0x0000c8f2b7b`.
fn is_frame(text: &str) -> bool {
    let first = text.split(' ').find(|word| !word.ends_with(':'));
    let is_number = first.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    is_number && text.contains(" @ 0x")
}

/// Returns true if a line says that there is none of something: `no seat left`.
fn denies(text: &str) -> bool {
    // `[SDR] No devices found.`
    let named = text.strip_prefix('[').and_then(|it| it.split_once("] "));
    let text = named.map_or(text, |(_, rest)| rest);
    text.get(..3)
        .is_some_and(|it| it.eq_ignore_ascii_case("no "))
}

/// Returns true if a line tells people what they can do: `If it fails to start, you can:`, `1) Use
/// a stronger password.`
fn is_advice(line: &LogLine) -> bool {
    let text = line.head();
    let item = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_item = item.len() < text.len() && item.starts_with([')', '.']);
    let said = line.senses();
    let complains =
        line.level() >= Some(LogLevel::Error) || complains(said) || said.opens(Sense::Fatal);
    let reads_on = said.has(Sense::ReadOn) && complains && !said.begins(Sense::ReadOn);
    is_item
        || said.begins(Sense::Condition)
        || !reads_on && (said.has(Sense::Instruction) || said.has(Sense::Advice))
}

/// Maximum length of a mark that stands alone in a line, in bytes: `(EE)`.
const MARK: usize = 4;

/// Returns true if a line shows the service at work, and does not only add to a complaint.
pub fn is_work(line: &LogLine) -> bool {
    let level = line.level();
    let adds = level >= Some(LogLevel::Error)
        || level.is_none() && line.senses().has(Sense::Failure)
        || is_hint(line)
        || is_advice(line);
    let text = line.head();
    let is_end = is_generic(text) && text.contains(char::is_alphabetic);
    let says = text.len() > MARK && text.contains(char::is_alphanumeric);
    !is_continued(line) && !adds && !is_end && says
}

#[cfg(test)]
mod tests {
    use super::{Tail, Weight, weight};
    use crate::cause::window::LogWindow;
    use crate::cause::{Scene, text};
    use crate::report::Exit;

    fn weight_of(log: &str) -> Option<Weight> {
        let scene = Scene {
            job: "web",
            pid: Some(42),
            exit: &Exit::Code(1),
            log: None,
            kernel: ("", &[]),
        };
        let lines = text::read(log);
        let tail = Tail::read(&lines, LogWindow::default(), &[], &scene);
        weight(&tail, lines.last().expect("a line"))
    }

    #[test]
    fn the_level_counts_and_without_one_how_a_line_begins() {
        for (line, expected) in [
            ("2026-11-22 23:59:01 FATAL no seat", Some(Weight::Fatal)),
            ("2026-11-22 23:59:01 ERROR no seat", Some(Weight::Complaint)),
            ("2026-11-22 23:59:01 WARN seat is low", None),
            (
                "2026-11-22 23:59:01 WARN failed to bind",
                Some(Weight::Objection),
            ),
            ("2026-11-22 23:59:01 INFO cannot complain", None),
            ("panic: no seat", Some(Weight::Fatal)),
            ("cannot open the ledger", Some(Weight::Complaint)),
            ("web: error reading the ledger", Some(Weight::Complaint)),
            ("open ledger: permission denied", Some(Weight::Complaint)),
            (
                "version 44 is newer than this binary (43)",
                Some(Weight::Objection),
            ),
            (
                "the index is older than the ledger",
                Some(Weight::Objection),
            ),
            ("the form 2 is no longer read", Some(Weight::Objection)),
            ("licence expired on 2026-06-30", Some(Weight::Objection)),
            ("the licence has expired", Some(Weight::Objection)),
            ("ledger opened", Some(Weight::Plain)),
        ] {
            assert_eq!(weight_of(line), expected, "{line}");
        }
        // `main` prints its error beside a logger's lines.
        let log = "2026-11-22 23:59:01 INFO up\nError: no seat";
        assert_eq!(weight_of(log), Some(Weight::Fatal));
    }

    #[test]
    fn what_cannot_be_why_weighs_nothing() {
        for line in [
            "error rate over last 5 min: 0.0%",
            "errors=0 warnings=2",
            "cannot reach statsd, retrying",
            "cannot reach statsd, will try again",
            "user report: app says FATAL ERROR",
            "cannot sleep, reported by alice",
            "    at f (/srv/a.js:1:2)",
            "Exiting.",
            "Check the logs.",
            "it did not exit normally",
            "Examine the log output.",
            "1) Use a stronger password.",
            "If it fails to start, you can:",
            "DeprecationWarning: the failing form is no longer read",
        ] {
            let weight = weight_of(line);
            assert!(
                weight.is_none() || weight == Some(Weight::Plain),
                "{line}: {weight:?}"
            );
        }
    }
}
