//! Chooses the error in a log that the service died of.
//!
//! It is the last error that fits the exit, unless something shows that the service went on after
//! it, or that the error belongs to another life of the service:
//!
//! - **Last words** ([`Proof::LastWords`]): only a process that ends prints such an error. Exit
//!   hooks, wrappers and the next start's banner may follow it: a few lines, within a minute.
//! - **Other errors** ([`Proof::Said`]: one that was logged, or a trace on its own): programs that
//!   go on print them too. They count only as the very last word. Only wrappers' epilogues, the
//!   service's own words of going down and the next start may follow. They do not count if a
//!   logger's words or level say that the error was handled, if the service survived the same error
//!   before, or after a request to stop, because going down has errors of its own.
//! - **Another life's errors**: a start that names the dead process follows, or the dead process
//!   began to write only after the error.
//! - **A burst at the end**, with nothing ordinary in between: the last error counts. If it only
//!   repeats the one before, or only says that this is the end (`Worker failed to boot`, `Shutting
//!   down`), the one before counts.

use super::aftermath::{self, Remark};
use super::entry::LogLevel;
use super::finding::{self, Finding, Proof};
use super::fingerprint::normalized;
use super::handled::is_handled;
use super::last_words::{self, SaidLine};
use super::lexicon::{Sense, is_generic};
use super::logged;
use super::runtimes::{self, systemd};
use super::tail::{Tail, TailUnit, is_soon, time};
use super::text::LogLine;
use super::thing::is_summary;
use crate::report::Exit;

/// Maximum number of lines that exit hooks add after last words.
const AFTER_LAST_WORDS: usize = 12;
/// Maximum number of lines that the service says on its way down, after an error that it may have
/// survived.
const AFTER_SAID: usize = 6;
/// Maximum number of lines of an orderly end, and its maximum time in seconds.
const DOWN: usize = 20;
const AT_ONCE: f64 = 5.0;
/// Maximum number of lines of the next start.
const NEXT_START: usize = 30;
/// Number of lines of work after which an error counts as survived.
const WORK: usize = 12;

/// Minimum length of a message that is looked for above it.
const LEAST: usize = 12;

/// The log's word on a death.
pub enum LogEvidence {
    /// The error that the service died of, or its own last words.
    Proven(Finding),
    /// The line that it said last, where nothing proves the cause.
    Said(SaidLine),
    Nothing,
}

/// Judges what the log says. `found` are the errors that a runtime or a logger has shown.
pub fn judge(tail: &Tail, found: &[Finding]) -> LogEvidence {
    let own = last_words::read(tail);
    if let Some(mut finding) = decide(tail, found, own) {
        if let Some(twin) = last_words::twin(tail, &finding) {
            finding.what = format!("{}; before it: {twin}", finding.what);
        }
        return LogEvidence::Proven(finding);
    }
    last_words::said(tail).map_or(LogEvidence::Nothing, LogEvidence::Said)
}

/// Returns all errors in the log that a runtime or a logger has shown.
pub fn found(lines: &[LogLine]) -> Vec<Finding> {
    let mut found = runtimes::read(lines);
    logged::read(lines, &mut found);
    // The log was cut before this error said anything.
    found.retain(|it| !it.what.trim().is_empty());
    found
}

/// Chooses the finding that the service died of. `own` is what the program itself said at the very
/// end.
fn decide(tail: &Tail, found: &[Finding], own: Option<Finding>) -> Option<Finding> {
    let mut candidates: Vec<&Finding> = found
        .iter()
        .filter(|it| is_near(tail, it) && fits(tail, it) && !is_of_another_program(tail, it))
        .collect();
    // The last in the log comes last. Of two that end together, the one that says more does.
    candidates.sort_by_key(|it| (it.lines.end, it.proof, it.place.is_some(), it.lines.len()));
    let chosen = candidates
        .iter()
        .rposition(|it| ends_there(tail, it) && !survived(tail, it, &candidates));
    let Some(cause) = chosen.and_then(|chosen| root(tail, &candidates, chosen)) else {
        return own;
    };
    let own = own.filter(|own| own.lines.start >= cause.lines.end && !is_consequence(own, cause));
    own.or_else(|| Some(completed(tail, cause)))
}

/// Returns an error with what a program said of it right above: the same words, and more.
fn completed(tail: &Tail, cause: &Finding) -> Finding {
    let message = finding::message(&cause.what);
    let above = tail.line_before(cause.lines.start);
    let above = above.filter(|line| line.is_raw()).map(LogLine::head);
    let said = above.and_then(|above| above.get(above.find(message)?..));
    let goes_on = |said: &&str| {
        said.get(message.len()..)
            .is_some_and(|it| it.starts_with(": "))
    };
    let said = said.filter(|said| message.len() >= LEAST && goes_on(said));
    let kind = cause.what.strip_suffix(message).unwrap_or_default();
    Finding {
        what: said.map_or_else(|| cause.what.clone(), |said| format!("{kind}{said}")),
        ..cause.clone()
    }
}

/// Returns true if no more follows the error than may follow a death.
fn is_near(tail: &Tail, finding: &Finding) -> bool {
    tail.after(finding.lines.end).count() <= AFTER_LAST_WORDS + NEXT_START
}

/// Returns true if the later finding adds nothing to the one before it.
fn is_consequence(later: &Finding, before: &Finding) -> bool {
    before.proof == Proof::LastWords
        || is_summary(finding::message(&later.what))
        || is_same(&later.what, &before.what)
}

/// Returns true if one text only repeats the other.
fn is_same(one: &str, other: &str) -> bool {
    let words = |what: &str| {
        let what = what.trim();
        // Without `Type: `.
        let message = what
            .split_once(": ")
            .filter(|(kind, _)| !kind.contains(' '))
            .map_or(what, |(_, message)| message);
        message.trim_end_matches(['.', '!']).to_ascii_lowercase()
    };
    let (one, other) = (words(one), words(other));
    !one.is_empty() && !other.is_empty() && (one.contains(&other) || other.contains(&one))
}

/// Returns true if a process that said this may have ended with this exit. A wrapper ends in
/// its own way, so behind a wrapper any exit fits, unless somebody spoke between the two.
fn fits(tail: &Tail, finding: &Finding) -> bool {
    let wrapped = || {
        let mut after = tail.after(finding.lines.end);
        matches!(tail.scene.exit, Exit::Code(1))
            && finding.proof == Proof::LastWords
            && after
                .find(|unit| unit.remark != Some(Remark::Closing))
                .is_some_and(|unit| unit.remark == Some(Remark::Epilogue))
    };
    finding.fits(tail.scene.exit) || wrapped()
}

/// Returns true if the error is another program's: its carrier names another program than it
/// names for the dead process, or systemd speaks of another unit.
fn is_of_another_program(tail: &Tail, finding: &Finding) -> bool {
    let Some(line) = tail.lines.get(finding.quoted) else {
        return false;
    };
    let Some((pid, name)) = line.carried_from.zip(line.carried_as.as_ref()) else {
        return false;
    };
    if systemd::speaks(name) {
        return systemd::is_of_another_unit(tail.lines, line, tail.scene.job);
    }
    let ours = |line: &&LogLine| line.carried_from.is_some() && line.carried_from == tail.scene.pid;
    if Some(pid) == tail.scene.pid {
        return false;
    }
    let own = tail.lines.iter().rev().find(ours);
    if own.is_none() {
        tail.ask_above(|view| !view.above.is_empty());
    }
    own.and_then(|line| line.carried_as.as_ref())
        .is_some_and(|own| own != name)
}

/// Returns true if nothing shows that the service went on after this finding.
fn ends_there(tail: &Tail, finding: &Finding) -> bool {
    let after: Vec<&TailUnit> = tail.after(finding.lines.end).collect();
    let is_start = |unit: &&TailUnit| unit.remark == Some(Remark::Start);
    let start = after.iter().position(is_start).unwrap_or(after.len());
    let (own, next) = after.split_at(start);
    // The next life has ended too: this is no longer the last death.
    if next
        .iter()
        .skip(1)
        .any(|unit| aftermath::tells_exit(unit.line))
    {
        return false;
    }
    if next.iter().any(|unit| tail.is_our_start(unit))
        || is_of_another_life(tail, finding, &after)
        || next.len() > NEXT_START
    {
        return false;
    }
    let said: Vec<&TailUnit> = own
        .iter()
        .copied()
        .filter(|unit| unit.remark != Some(Remark::Epilogue))
        .collect();
    let times = |units: &[&TailUnit]| units.iter().filter_map(|unit| unit.at).collect::<Vec<_>>();
    let died = time(tail.lines.get(finding.lines.clone()).unwrap_or_default());
    let is_soon = is_soon(died.into_iter().chain(times(&said))) && is_soon(times(next).into_iter());
    match finding.proof {
        Proof::LastWords => {
            let goes_on = |unit: &&TailUnit| unit.line.senses().has(Sense::Survives);
            said.len() <= AFTER_LAST_WORDS && is_soon && !said.iter().take(3).any(goes_on)
        }
        Proof::Said => {
            let is_closing = |unit: &&TailUnit| unit.remark == Some(Remark::Closing);
            // The entry above a trace has the time.
            let above = finding.lines.start.saturating_sub(1);
            let died = died.or_else(|| tail.lines.get(above)?.at);
            let is_down = goes_down(died, &said);
            (is_down || said.len() <= AFTER_SAID && said.iter().all(is_closing))
                && is_soon
                && !is_handled(tail, finding)
                && !tail.was_asked(finding.lines.start)
        }
    }
}

/// Returns true if all that follows is an orderly end: the service says that it goes down, and
/// around that a logger says nothing louder than that, all of it at once.
fn goes_down(died: Option<f64>, said: &[&TailUnit]) -> bool {
    let is_closing = |unit: &TailUnit| unit.remark == Some(Remark::Closing);
    let is_quiet = |unit: &TailUnit| {
        let level = unit.line.level();
        unit.remark == Some(Remark::Ordinary) && level.is_some_and(|level| level < LogLevel::Error)
    };
    let died = died.or_else(|| said.iter().find_map(|unit| unit.at));
    let is_at_once = |unit: &TailUnit| {
        unit.at
            .zip(died)
            .is_none_or(|(at, died)| at - died < AT_ONCE)
    };
    said.iter().any(|unit| is_closing(unit))
        && said.len() <= DOWN
        && said
            .iter()
            .all(|unit| is_at_once(unit) && (is_closing(unit) || is_quiet(unit)))
}

/// Returns true if the log shows that the dead process began to write only after this finding.
fn is_of_another_life(tail: &Tail, finding: &Finding, after: &[&TailUnit]) -> bool {
    let Some(ours) = tail.scene.pid else {
        return false;
    };
    if !after.iter().any(|unit| unit.pid == Some(ours)) {
        return false;
    }
    let before = tail.lines.get(..finding.lines.end).unwrap_or_default();
    let others = before.iter().rev().take(WORK * 10).find_map(LogLine::pid);
    if others.is_none_or(|pid| pid == ours) {
        return false;
    }
    tail.ask_above(|view| !view.above.is_empty());
    !before.iter().any(|line| line.pid() == Some(ours))
}

/// Returns true if the service has survived the same error before.
fn survived(tail: &Tail, finding: &Finding, candidates: &[&Finding]) -> bool {
    if finding.proof == Proof::LastWords {
        return false;
    }
    let what = normalized(&finding.what);
    let before = candidates
        .iter()
        .rev()
        .find(|it| it.lines.end <= finding.lines.start && normalized(&it.what) == what);
    let Some(before) = before else {
        let quoted = tail.lines.get(finding.quoted).map_or("", LogLine::head);
        tail.ask_above(|view| tail.is_whole && view.may_have_above(quoted));
        return false;
    };
    let after: Vec<_> = tail
        .after(before.lines.end)
        .filter(|unit| unit.lines.start < finding.lines.start)
        .collect();
    let work = after
        .iter()
        .filter(|unit| unit.remark == Some(Remark::Ordinary))
        .count();
    let ended = after
        .iter()
        .any(|unit| matches!(unit.remark, Some(Remark::Start | Remark::Epilogue)));
    work >= WORK && !ended
}

/// Returns the error that led to the chosen one; the chosen one itself if none did.
fn root<'b>(tail: &Tail, candidates: &[&'b Finding], chosen: usize) -> Option<&'b Finding> {
    let (before, rest) = candidates.split_at_checked(chosen)?;
    let mut cause = rest.first()?;
    for earlier in before.iter().rev().take(AFTER_SAID) {
        if earlier.lines.end > cause.lines.start {
            continue;
        }
        let mut between = tail
            .after(earlier.lines.end)
            .filter(|unit| unit.lines.start < cause.lines.start);
        if between.any(|unit| !matches!(unit.remark, Some(Remark::Closing | Remark::Epilogue))) {
            break;
        }
        let says_more = earlier.place.is_some() || cause.place.is_none();
        let repeats = is_same(&earlier.what, &cause.what) && says_more;
        if (repeats || is_generic(&cause.what)) && !is_handled(tail, earlier) {
            cause = earlier;
        }
    }
    Some(cause)
}

#[cfg(test)]
mod tests;
