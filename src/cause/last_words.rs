//! The program's own words before it ended, in no runtime's form: `fatal: WORKER_QUEUE is not set`,
//! nginx's `[emerg]`, Go's `log.Fatal`, a usage text.
//!
//! They count only at the very end of a failed process, and only if they speak of the end. The
//! level may tell it (fatal, critical, alert, emergency), or the words (exiting, aborting, giving
//! up, cannot start), or the system's words for an error at the end of the line, as perror(3)
//! prints them. An ordinary error proves nothing. Nor does one that was handled, that belongs to a
//! request, or that the service has survived before.

mod phrases;
pub mod unproven;
mod weight;

use super::aftermath::{self, Remark, remark};
use super::beneath;
use super::entry::LogLevel;
use super::finding::Finding;
use super::scene::Scene;
use super::text::{LogLine, is_same_but_digits};
use super::vocabulary::{self, is_generic, says};
use crate::report::{Death, Exit, signal_of_code};
use phrases::{
    BAD_CONFIG, CANNOT_START, FAILED, STARTING, begins_as_fatal, code_before, code_in,
    ends_with_code, ends_with_errno, ends_with_quoted_errno, has_position, is_added, is_bad_option,
    is_continued, is_diagnostic, is_hint, is_of_request, is_unset, names_errno,
};
use weight::Weight;

/// Number of last lines that are searched for a usage text.
const FAR: usize = 30;
/// Maximum number of lines of one failure, and the maximum time between them in seconds.
const BURST: usize = 12;
const AT_ONCE: f64 = 5.0;
/// Maximum time of the next start's lines, in seconds.
const SOON: f64 = 60.0;

/// Returns the program's own last words if they say why it ends.
pub fn read(lines: &[LogLine], found: &[Finding], scene: &Scene) -> Option<Finding> {
    if !is_failure(scene.exit) {
        return None;
    }
    let said: Vec<NumberedLine> = lines
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, line)| !line.is_blank())
        .take(FAR * 2)
        .collect();
    let ends = Ends {
        lines,
        found,
        scene,
    };
    ends.usage(&said).or_else(|| ends.words(&said)).or_else(|| {
        // The lines of the next start are not the dead process's own.
        let start = said
            .iter()
            .take(BURST)
            .position(|(_, line)| remark(line, scene) == Remark::Start)?;
        let times = || said.iter().take(start).filter_map(|(_, line)| line.at);
        if times()
            .reduce(f64::max)
            .zip(times().reduce(f64::min))
            .is_some_and(|(last, first)| last - first > SOON)
        {
            return None;
        }
        let is_ours = |(_, line): &NumberedLine| {
            let pid = vocabulary::pid_in(&aftermath::head(line).to_ascii_lowercase())
                .or_else(|| line.pid());
            pid.is_some() && pid == scene.pid
        };
        let starts = said
            .iter()
            .skip(start)
            .take_while(|(_, line)| remark(line, scene) == Remark::Start);
        if starts.clone().any(is_ours) {
            return None;
        }
        let before = said.get(start + starts.count()..)?;
        ends.usage(before).or_else(|| ends.words(before))
    })
}

/// A line that is not blank, with its index.
type NumberedLine<'a> = (usize, &'a LogLine);

/// Returns true if the process failed by itself.
pub fn is_failure(exit: &Exit) -> bool {
    match exit {
        // timeout(1) ends so after its time limit.
        Exit::Code(124) => false,
        Exit::Code(code) => *code != 0 && signal_of_code(*code).is_none_or(|name| name == "ABRT"),
        Exit::Signal { .. } => exit.is_signal("ABRT"),
        Exit::Unknown => true,
    }
}

struct Ends<'a> {
    lines: &'a [LogLine],
    /// Errors that a runtime or a logger has shown.
    found: &'a [Finding],
    scene: &'a Scene<'a>,
}

/// How clearly a line speaks of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// The line ends with the system's words for an error.
    Errno,
    /// The line says that this is the end.
    End,
}

impl Ends<'_> {
    /// Returns the last words in these lines, which are newest first.
    fn words(&self, said: &[NumberedLine]) -> Option<Finding> {
        let mut last = None;
        let (mut trailing, mut hints, mut continued) = (0, 0, 0);
        // The line that says that the program ends in failure, but not why.
        let mut failed: Option<&LogLine> = None;
        for (i, (index, line)) in said.iter().enumerate() {
            if i - continued >= BURST {
                break;
            }
            let lowercase = aftermath::head(line).to_ascii_lowercase();
            match remark(line, self.scene) {
                Remark::Request | Remark::Start => return None,
                Remark::Epilogue => {}
                // After `Aborting` or `Shutdown complete`, the line before may say why.
                Remark::Closing if is_generic(&lowercase) => {
                    let is_failure =
                        says(&lowercase, &["abort", "fatal", "abnormal", "fail", "error"]);
                    failed = failed.or(Some(*line).filter(|_| is_failure));
                }
                _ if self.is_shown(*index) || self.strength(line, &lowercase).is_some() => {
                    last = Some(i);
                    break;
                }
                _ if failed.is_some_and(|end| self.is_complaint(line, &lowercase, end)) => {
                    last = Some(i);
                    break;
                }
                _ if is_continued(line) && !vocabulary::is_handled(&lowercase) => continued += 1,
                // A line that is added to the end: `AH00015: Unable to open logs`, a hint.
                _ if hints < 3 && is_hint(line, &lowercase) => hints += 1,
                _ if trailing < 2 && is_added(line, &lowercase) => trailing += 1,
                _ => return None,
            }
        }
        let last = last?;
        let (index, line) = *said.get(last)?;
        let lowercase = aftermath::head(line).to_ascii_lowercase();
        if trailing > 0
            && !self.is_shown(index)
            && self.strength(line, &lowercase) < Some(Strength::End)
        {
            return None;
        }
        // After `Aborting`, the first complaint of the burst is the one that the others follow
        // from.
        let first = failed.and_then(|_| unproven::read(self.lines, self.found, self.scene));
        let first = first.filter(|first| first.weight >= Weight::Complaint);
        let root = first
            .map(|first| first.index)
            .or_else(|| self.root(said, last))
            .unwrap_or(index);
        if self.was_survived(root) || aftermath::was_asked(self.lines, root, self.scene) {
            return None;
        }
        // The line that announces the chosen one belongs to it.
        let before = root
            .checked_sub(1)
            .and_then(|before| self.lines.get(before));
        let is_announced = before.is_some_and(|line| {
            line.entry.is_none()
                && line.text.ends_with(':')
                && says(&line.text.to_ascii_lowercase(), &BAD_CONFIG)
        });
        let root = if is_announced { root - 1 } else { root };
        let mut finding = self.finding(root, said.first().map_or(index, |(end, _)| *end))?;
        if let Some(before) = self.complaint_before(root, &finding.what) {
            finding.what = format!("{}; before it: {before}", finding.what);
        }
        Some(finding)
    }

    /// Returns the first of the complaints right before a line that names no reason of its own.
    fn complaint_before(&self, index: usize, what: &str) -> Option<String> {
        let line = self.lines.get(index)?;
        if beneath::kind(what).is_some() {
            return None;
        }
        let is_at_once = |before: &LogLine| {
            line.at
                .zip(before.at)
                .is_none_or(|(at, before)| at - before < 1.0)
        };
        let complains = |line: &LogLine| {
            weight::weight(self.lines, self.scene, line) >= Some(Weight::Complaint)
        };
        let before = self.lines.get(..index)?;
        let run = before
            .iter()
            .rev()
            .take(BURST)
            .filter(|line| !line.is_blank());
        let first = run
            .take_while(|line| is_at_once(line) && (complains(line) || is_continued(line)))
            .filter(|line| complains(line))
            .last()?;
        let said = aftermath::head(first);
        (!what.contains(said)).then(|| said.to_owned())
    }

    /// Returns true if the line before shows the input that could not be read, as Redis does.
    fn is_shown(&self, index: usize) -> bool {
        index
            .checked_sub(1)
            .and_then(|before| self.lines.get(before))
            .is_some_and(|line| line.text.starts_with(">>> "))
    }

    /// Returns true if a line complains and the program said right after it that it ends in
    /// failure.
    fn is_complaint(&self, line: &LogLine, lowercase: &str, end: &LogLine) -> bool {
        let level = line.level();
        level.map_or_else(
            || says(lowercase, &FAILED),
            |level| level >= LogLevel::Error,
        ) && line
            .at
            .zip(end.at)
            .is_none_or(|(at, end)| end - at < AT_ONCE)
            && !is_continued(line)
            && !is_of_request(line)
            && !vocabulary::is_handled(lowercase)
            && !is_of_another(self.lines, self.scene, line)
    }

    /// Returns how clearly a line speaks of the end; `None` if it does not.
    fn strength(&self, line: &LogLine, lowercase: &str) -> Option<Strength> {
        let level = line.level();
        let is_trace = line.entry.is_none() && line.text.starts_with([' ', '\t']);
        // No program goes on from a fatal error, whatever it tried before.
        let is_handled = vocabulary::is_handled(lowercase)
            && !(level == Some(LogLevel::Fatal) && vocabulary::is_closing(lowercase));
        if is_trace
            || is_of_request(line)
            || is_handled
            || lowercase.len() < 4
            || is_of_another(self.lines, self.scene, line)
        {
            return None;
        }
        let is_coded = ends_with_quoted_errno(lowercase)
            || (level.is_none() && ends_with_code(aftermath::head(line)));
        // Quoted text may be anyone's words.
        let unquoted: String = lowercase.split('"').step_by(2).collect();
        let lowercase = unquoted.as_str();
        let named = code_in(lowercase);
        if let (Some(named), Exit::Code(code)) = (named, self.scene.exit) {
            return (named == *code).then_some(Strength::End);
        }
        let warns = level.is_none()
            && ["warn", "notice", "info", "debug"]
                .iter()
                .any(|word| lowercase.starts_with(word));
        if warns || level.is_some_and(|level| level < LogLevel::Error) {
            return None;
        }
        let is_fatal =
            level == Some(LogLevel::Fatal) || (level.is_none() && begins_as_fatal(lowercase));
        // A polite end (`queue drained, exiting`) is no failure. Deep in a line, `fatal error` is a
        // quotation.
        let is_quoted = says(lowercase, &["fatal:", "fatal error"]) && !begins_as_fatal(lowercase);
        let gives_up = !is_quoted
            && vocabulary::gives_up(lowercase)
            && (level.is_some() || says(lowercase, &FAILED) || says(lowercase, &["giving up"]));
        if is_fatal
            || gives_up
            || says(lowercase, &CANNOT_START)
            || says(lowercase, &BAD_CONFIG)
            || is_unset(line, lowercase)
        {
            return Some(Strength::End);
        }
        let names_code = code_before(lowercase)
            .is_some_and(|code| *self.scene.exit == Exit::Code(code))
            && says(lowercase, &FAILED);
        if names_code || is_diagnostic(lowercase) {
            return Some(Strength::End);
        }
        ((is_coded || ends_with_errno(lowercase))
            && (level.is_none() || says(lowercase, &STARTING) || says(lowercase, &FAILED))
            && *self.scene.exit != Exit::Unknown)
            .then_some(Strength::Errno)
    }

    /// Returns the line that says why, among the lines that tell the same failure: `bind: Address
    /// already in use` before `Aborting`.
    fn root(&self, said: &[NumberedLine], last: usize) -> Option<usize> {
        let (_, line) = said.get(last)?;
        let words = aftermath::head(line).to_ascii_lowercase();
        if beneath::kind(&words).is_some() || has_position(&words) {
            return None;
        }
        let is_config = says(&words, &BAD_CONFIG) || is_unset(line, &words);
        let at = line.at;
        let mut others = 0;
        for (index, line) in said.iter().skip(last + 1).take(BURST) {
            let lowercase = aftermath::head(line).to_ascii_lowercase();
            let is_at_once = at
                .zip(line.at)
                .is_none_or(|(at, before)| at - before < AT_ONCE);
            if !is_at_once || others > 2 || remark(line, self.scene) == Remark::Start {
                return None;
            }
            let level = line.level();
            let is_told = level != Some(LogLevel::Info) && level != Some(LogLevel::Debug);
            let tells = is_told && !vocabulary::is_handled(&lowercase) && !is_of_request(line);
            if tells
                && names_errno(&lowercase)
                && (is_generic(&words) || says(&lowercase, &STARTING))
            {
                return Some(*index);
            }
            if tells
                && is_config
                && has_position(&lowercase)
                && (says(&lowercase, &BAD_CONFIG) || says(&lowercase, &FAILED))
            {
                return Some(*index);
            }
            others += usize::from(!tells || !(level.is_some() || says(&lowercase, &FAILED)));
        }
        None
    }

    /// Returns true if the same line stands in the log before, with work after it.
    fn was_survived(&self, index: usize) -> bool {
        let Some(line) = self.lines.get(index) else {
            return false;
        };
        let message = aftermath::head(line);
        let before = self.lines.get(..index).unwrap_or_default();
        let Some(same) = before
            .iter()
            .position(|line| is_same_but_digits(aftermath::head(line), message))
        else {
            return false;
        };
        let after = before
            .get(same + 1..)
            .unwrap_or_default()
            .iter()
            .filter(|line| !line.is_blank())
            .take(BURST);
        let work = after
            .clone()
            .filter(|line| remark(line, self.scene) == Remark::Ordinary)
            .count();
        work == BURST
    }

    /// Reads a usage text and the error before it or in it.
    fn usage(&self, said: &[NumberedLine]) -> Option<Finding> {
        if !matches!(self.scene.exit, Exit::Code(_)) {
            return None;
        }
        let raw = || {
            said.iter()
                .take(FAR)
                .take_while(|(_, line)| line.entry.is_none() || is_bad_option(&line.text))
        };
        let end = said.first()?.0;
        // The first complaint about an option among the last lines.
        let wrong = raw()
            .take(BURST)
            .filter(|(_, line)| is_bad_option(&line.text))
            .last();
        let shows_how = |text: &str| {
            ["[", "<", " -", "...", "OPTION"]
                .iter()
                .any(|it| text.contains(it))
        };
        let usage = raw().find(|(at, line)| {
            let is_heading = line.text.len() < "usage: ".len();
            let next = self
                .lines
                .get(at + 1)
                .map(|next| next.text.as_str())
                .unwrap_or_default();
            line.text
                .get(..6)
                .is_some_and(|it| it.eq_ignore_ascii_case("usage:"))
                && (is_heading
                    || shows_how(&line.text)
                    || shows_how(next)
                    || next.starts_with([' ', '\t']))
        });
        match (wrong, usage) {
            (Some((index, _)), _) => self.finding(*index, end),
            (None, Some((index, _))) => {
                // `prog: error: …` after the usage, or the line right before it.
                let error = raw().find(|(at, line)| at > index && line.text.contains(": error: "));
                let before = said.iter().find(|(at, line)| {
                    at + 2 >= *index
                        && at < index
                        && line.entry.is_none()
                        && (says(&line.text.to_ascii_lowercase(), &FAILED)
                            || is_bad_option(&line.text))
                });
                self.finding(error.or(before).map_or(*index, |(at, _)| *at), end)
                    .map(|finding| Finding {
                        kind: Death::BadArguments,
                        ..finding
                    })
            }
            (None, None) => None,
        }
    }

    fn finding(&self, index: usize, end: usize) -> Option<Finding> {
        let line = self.lines.get(index)?;
        let message = |line: &LogLine| line.message().trim().to_owned();
        let mut what = message(line);
        // Apache's `Syntax error on line 7 of …:` goes on in the next line.
        if let Some(next) = self
            .lines
            .get(index + 1)
            .filter(|next| what.ends_with(':') && !next.is_blank())
        {
            what = format!("{what} {}", message(next));
        }
        // Redis shows the line that it cannot read before it says what is wrong.
        let shown = index
            .checked_sub(1)
            .and_then(|before| self.lines.get(before))
            .and_then(|line| line.text.strip_prefix(">>> "));
        if let Some(shown) = shown {
            what = format!("{what}: {shown}");
        }
        let lowercase = what.to_ascii_lowercase();
        let aborted = self.scene.exit.is_signal("ABRT") || *self.scene.exit == Exit::Code(134);
        let kind = if is_bad_option(&lowercase) && !is_diagnostic(&lowercase) {
            Death::BadArguments
        } else if shown.is_some()
            || is_diagnostic(&lowercase)
            || says(&lowercase, &BAD_CONFIG) && has_position(&what)
        {
            Death::SyntaxError
        } else if aborted {
            Death::Abort
        } else {
            Death::PlainExit
        };
        Some(Finding::at(index..end.max(index) + 1, kind, what))
    }
}

/// Returns true if another process wrote the line, in a log where the dead process writes too. A
/// server's processes do so, one for each client.
fn is_of_another(lines: &[LogLine], scene: &Scene, line: &LogLine) -> bool {
    let Some((pid, ours)) = line.pid().zip(scene.pid) else {
        return false;
    };
    let ours_writes = |line: &LogLine| line.pid() == Some(ours);
    let is_carried = line.carried_from == Some(ours);
    pid != ours && !is_carried && lines.iter().rev().take(FAR * 4).any(ours_writes)
}

#[cfg(test)]
mod tests;
