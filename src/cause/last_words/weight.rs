//! Weighs lines by how much they say about the end of a program, where nothing proves it.

use super::is_of_another;
use super::phrases::{FAILED, begins_as_fatal, is_continued, is_hint, is_of_request, names_errno};
use crate::cause::aftermath;
use crate::cause::entry::LogLevel;
use crate::cause::scene::Scene;
use crate::cause::text::LogLine;
use crate::cause::vocabulary::{self, is_generic, says};

/// The weight of a line as a reason for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// An ordinary line without a level.
    Plain,
    /// A line that says that something is wrong, as ordinary lines may do too.
    Objection,
    /// An error by its level, or by how it begins.
    Complaint,
    /// The program cannot go on.
    Fatal,
}

/// Number of last lines that show the form of the log.
const FORM: usize = 60;

/// Returns how much a line says; `None` if it cannot be why the program ended.
pub fn weight(lines: &[LogLine], scene: &Scene, line: &LogLine) -> Option<Weight> {
    let lowercase = aftermath::head(line).to_ascii_lowercase();
    let lowercase = lowercase.as_str();
    let level = line.level();
    let has_error = line
        .entry
        .as_ref()
        .is_some_and(|entry| !entry.error.is_empty());
    let is_out = is_continued(line)
        || is_of_request(line)
        || is_hint(line, lowercase)
        || is_advice(lowercase)
        || is_generic(lowercase) && !has_error
        || lowercase.len() < 4
        || is_quotation(lowercase)
        || is_of_another(lines, scene, line)
        || (level != Some(LogLevel::Fatal) && vocabulary::is_handled(lowercase));
    if is_out {
        return None;
    }
    let is_returned = is_raw(line) && line.text.to_ascii_lowercase().starts_with("error: ");
    let complains = complains(lowercase) || names_errno(lowercase);
    match level {
        _ if is_returned && has_form(lines) => Some(Weight::Fatal),
        Some(LogLevel::Fatal) => Some(Weight::Fatal),
        Some(LogLevel::Error) => Some(Weight::Complaint),
        Some(LogLevel::Warn) if complains => Some(Weight::Objection),
        Some(_) => None,
        None if warns(lowercase) => None,
        None if begins_as_fatal(lowercase) => Some(Weight::Fatal),
        None if complains => Some(Weight::Complaint),
        None if objects(lowercase) => Some(Weight::Objection),
        None => line.entry.is_none().then_some(Weight::Plain),
    }
}

/// Returns true if a line stands outside of the form of loggers: `main` speaks, not the service.
pub fn is_raw(line: &LogLine) -> bool {
    line.entry.as_ref().is_none_or(|entry| entry.at.is_none())
}

/// Returns true if a logger writes the log.
pub fn has_form(lines: &[LogLine]) -> bool {
    lines.iter().rev().take(FORM).any(|line| !is_raw(line))
}

/// Returns true if a line begins with a complaint, or one stands behind a program's name.
fn complains(lowercase: &str) -> bool {
    let inner = lowercase.trim_start_matches(['[', '(', '*', '!', '-', '=', '>', ' ']);
    let begins = |text: &str| {
        // `error rate over last 5 min: 0.0%`, `errors=0`
        let counts = |rest: &str| rest.starts_with([' ', 's', '_', '=']) && !says(text, &COMPLAINS);
        ["error", "fail"]
            .iter()
            .find_map(|stem| text.strip_prefix(stem))
            .map_or_else(
                || {
                    FAILED.iter().skip(2).any(|stem| text.starts_with(stem))
                        || text.starts_with("refus")
                },
                |rest| !counts(rest),
            )
    };
    begins(inner)
        || inner
            .split_once(": ")
            .is_some_and(|(name, rest)| !name.contains(' ') && begins(rest))
}

/// Words that make a complaint of a line that begins with `error` or `fail`.
const COMPLAINS: [&str; 9] = [
    "failed to",
    "error while",
    "error creating",
    "error loading",
    "error opening",
    "error reading",
    "error initiali",
    "error connecting",
    "error in",
];

/// Returns true if a line may object to something: to a setting, a file, a version.
fn objects(lowercase: &str) -> bool {
    const OBJECTIONS: [&str; 36] = [
        "already",
        "bad ",
        "but ",
        "cannot",
        "can't",
        "corrupt",
        "could not",
        "denied",
        "does not",
        "doesn't",
        "exceed",
        "expect",
        "failed:",
        "in use",
        "incompatible",
        "insufficient",
        "invalid",
        "is not",
        "mismatch",
        "missing",
        "must",
        "newer than",
        "no longer",
        "not found",
        "not allowed",
        "not the correct",
        "not supported",
        "older than",
        "please",
        "refus",
        "required",
        "too ",
        "unknown",
        "unrecogni",
        "unsupported",
        "wrong",
    ];
    says(lowercase, &OBJECTIONS) || lowercase.starts_with("no ")
}

/// Returns true if a line's own words give it a level below that of an error.
fn warns(lowercase: &str) -> bool {
    const LEVELS: [&str; 5] = ["warn", "notice", "info", "debug", "deprecat"];
    let inner = lowercase.trim_start_matches(['[', '(', '-', ' ']);
    LEVELS.iter().any(|level| inner.starts_with(level))
        || says(
            lowercase,
            &["warning:", "deprecationwarning", "futurewarning"],
        )
}

/// Returns true if a line quotes what somebody else said.
fn is_quotation(lowercase: &str) -> bool {
    says(
        lowercase,
        &["user report", "says", "feedback", "comment", "reported by"],
    )
}

/// Returns true if a line tells people what they can do: `If it fails to start, you can:`, `1) Use
/// a stronger password.`
fn is_advice(lowercase: &str) -> bool {
    let item = lowercase.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_item = item.len() < lowercase.len() && item.starts_with([')', '.']);
    is_item
        || lowercase.starts_with("if ")
        || says(
            lowercase,
            &[
                "you can",
                "see ",
                "please visit",
                "please read the",
                "for info",
            ],
        )
        || aftermath::is_advice(lowercase)
}

/// Returns true if a line shows the service at work, and does not only add to a complaint.
pub fn is_work(line: &LogLine) -> bool {
    let lowercase = aftermath::head(line).to_ascii_lowercase();
    let level = line.level();
    let adds = level >= Some(LogLevel::Error)
        || level.is_none() && says(&lowercase, &FAILED)
        || is_hint(line, &lowercase)
        || is_advice(&lowercase);
    !is_continued(line) && !adds && lowercase.contains(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::{Weight, weight};
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
        weight(&lines, &scene, lines.last().expect("a line"))
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
