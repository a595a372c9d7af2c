//! The program's own words before it ended, in no runtime's form: `fatal: WORKER_QUEUE is not set`,
//! nginx's `[emerg]`, Go's `log.Fatal`, a usage text.
//!
//! They count only at the very end of a failed process, and only if they speak of the end. The
//! level may tell it (fatal, critical, alert, emergency), or the words (exiting, aborting, giving
//! up, cannot start), or the system's words for an error at the end of the line, as perror(3)
//! prints them. An ordinary error proves nothing. Nor does one that was handled, that belongs to a
//! request, or that the service has survived before.

mod phrases;
mod quote;
mod strength;
mod unproven;
mod usage;
mod weight;

use super::aftermath::{Remark, names_exit, tells_exit};
use super::beneath;
use super::entry::LogLevel;
use super::finding::{Finding, message};
use super::handled::is_handled;
use super::lexicon::{Sense, Senses, is_generic};
use super::tail::{Tail, TailUnit, is_soon};
use super::text::LogLine;
use super::thing::{is_summary, names_thing};
use crate::report::{Death, Exit, signal_of_code};
use phrases::{
    has_position, is_added, is_bad_option, is_continued, is_diagnostic, is_hint, is_unset,
    names_errno,
};
use strength::{Strength, strength};
use weight::{Weight, is_work, weight};

pub use quote::text;
pub use unproven::SaidLine;

/// Maximum number of lines of one failure, and the maximum time between them in seconds.
const BURST: usize = 12;
const AT_ONCE: f64 = 5.0;

/// Maximum number of blank lines after a line that announces the next.
const MOST_BLANK: usize = 1;
/// Maximum number of ordinary lines between a complaint and what follows from it.
const MOST_BETWEEN: usize = 3;

/// timeout(1) ends so after its time limit, and says nothing.
const TIMED_OUT: Exit = Exit::Code(124);

/// Returns the program's own last words if they say why it ends.
pub fn read(tail: &Tail) -> Option<Finding> {
    if !is_failure(tail.scene.exit) || *tail.scene.exit == TIMED_OUT {
        return None;
    }
    let read = |units: &[TailUnit]| usage::read(tail, units).or_else(|| words(tail, units));
    // The lines of the next start are not the dead process's own.
    read(&tail.units).or_else(|| read(before_next_start(tail)?))
}

/// Returns what the program said last, if that may be why it ended. A log does not speak of an end
/// that came from outside.
pub fn said(tail: &Tail) -> Option<SaidLine> {
    let said = is_failure(tail.scene.exit).then(|| unproven::read(tail))??;
    let line = tail.lines.get(said.index)?;
    let can_speak = match tail.scene.exit {
        // Where nothing tells how it ended, only a fatal error tells that it failed, or an error
        // that `main` printed at the very end.
        Exit::Unknown => {
            let last = tail.units.first();
            let is_last = last.is_some_and(|unit| unit.lines.contains(&said.index));
            let is_returned = line.is_raw() && line.senses().begins(Sense::Failure);
            said.weight == Weight::Fatal || is_last && is_returned
        }
        exit if *exit == TIMED_OUT => line.senses().has(Sense::Caught),
        _ => true,
    };
    can_speak.then_some(said)
}

/// Returns true if the process failed by itself.
pub fn is_failure(exit: &Exit) -> bool {
    match exit {
        Exit::Code(code) => *code != 0 && signal_of_code(*code).is_none_or(|name| name == "ABRT"),
        Exit::Signal { .. } => exit.is_signal("ABRT"),
        Exit::Unknown => true,
    }
}

/// Returns the units before the next start, if one is the end of the log.
fn before_next_start<'a, 'b>(tail: &'b Tail<'a>) -> Option<&'b [TailUnit<'a>]> {
    let is_start = |unit: &TailUnit| unit.remark == Some(Remark::Start);
    let start = tail.units.iter().take(BURST).position(is_start)?;
    let (next, rest) = tail.units.split_at_checked(start)?;
    let count = rest.iter().take_while(|unit| is_start(unit)).count();
    let (starts, before) = rest.split_at_checked(count)?;
    let is_next = is_soon(next.iter().filter_map(|unit| unit.at))
        && !starts.iter().any(|unit| tail.is_our_start(unit));
    is_next.then_some(before)
}

/// Returns the last words in these units, which are newest first.
fn words(tail: &Tail, units: &[TailUnit]) -> Option<Finding> {
    let mut last = None;
    let (mut trailing, mut hints, mut continued) = (0, 0, 0);
    // The line that says that the program ends in failure, but not why.
    let mut failed: Option<&LogLine> = None;
    for (i, unit) in units.iter().enumerate() {
        if i - continued >= BURST {
            break;
        }
        let line = unit.line;
        let said = line.senses();
        let is_end = || {
            is_shown(tail, unit)
                || strength(tail, line).is_some()
                || failed.is_some_and(|end| is_complaint(tail, line, end))
        };
        match unit.remark {
            // A runtime's words are judged as the runtime's.
            None | Some(Remark::Request | Remark::Start) => return None,
            Some(Remark::Epilogue) => {
                let is_failure = said.has(Sense::Failure) && names_exit(line, tail.scene);
                failed = failed.or(is_failure.then_some(line));
            }
            // After `Aborting` or `Shutdown complete`, the line before may say why.
            Some(Remark::Closing) if is_generic(line.head()) => {
                let is_failure = said.has(Sense::Failure) || said.has(Sense::Abnormal);
                failed = failed.or(is_failure.then_some(line));
            }
            _ if is_end() => {
                last = Some(i);
                break;
            }
            _ if is_continued(line) && !said.is_handled() => continued += 1,
            // A line that is added to the end: `AH00015: Unable to open logs`, a hint.
            _ if hints < 3 && is_hint(line) => hints += 1,
            _ if trailing < 2 && is_added(line) => trailing += 1,
            _ => return None,
        }
    }
    let last = last?;
    let unit = units.get(last)?;
    let is_clear = is_shown(tail, unit) || strength(tail, unit.line) >= Some(Strength::End);
    if trailing > 0 && !is_clear {
        return None;
    }
    // After `Aborting`, the first complaint of the burst is the one that the others follow from.
    let first = failed.and_then(|_| unproven::read(tail));
    let first = first.filter(|first| first.weight >= Weight::Complaint);
    let root = first
        .map(|first| first.index)
        .or_else(|| root(tail, units, last))
        .unwrap_or(unit.lines.start);
    // An error of a runtime's that says why is the cause.
    let is_runtimes = units
        .iter()
        .any(|unit| unit.remark.is_none() && unit.lines.contains(&root));
    if is_runtimes || tail.was_survived(root, BURST) || tail.was_asked(root) {
        return None;
    }
    // The line that announces the chosen one belongs to it.
    let is_announced = tail.line_before(root).is_some_and(|line| {
        line.entry.is_none() && line.text.ends_with(':') && line.senses().has(Sense::BadConfig)
    });
    let root = root - usize::from(is_announced);
    let mut finding = finding(tail, root, units.first()?.lines.end)?;
    if let Some(before) = complaint_before(tail, root, &finding.what) {
        finding.what = format!("{}; before it: {before}", finding.what);
    }
    Some(finding)
}

/// How much a complaint says about the reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ReasonRank {
    None,
    /// The line names a thing.
    Thing,
    /// The line has the system's words for an error, or a runtime's.
    Told,
}

/// Returns the complaint right before a line that names no reason of its own: one that names a
/// reason, or else the first.
fn complaint_before(tail: &Tail, index: usize, what: &str) -> Option<String> {
    if beneath::kind(what).is_some() {
        return None;
    }
    let line = tail.lines.get(index)?;
    let (at, said) = (line.at, Senses::of(what));
    let concludes = is_summary(message(what))
        || said.has(Sense::GivesUp) && !said.has(Sense::FatalError)
        || said.has(Sense::Advice)
        || (said.has(Sense::CannotStart) || said.has(Sense::Closing)) && !names_thing(what);
    let adds = said.begins(Sense::Hint) || said.has(Sense::Added);
    // Else only another complaint of the same file tells of the same failure.
    let file = |text: &str| Some(text.split_once(':')?.0.to_owned()).filter(|it| it.contains('/'));
    let is_kin =
        |text: &str| concludes || adds || file(what).is_some_and(|it| text.starts_with(&it));
    let mut others = 0;
    let mut best: Option<(ReasonRank, Weight, String)> = None;
    for unit in tail.before(index) {
        let (line, said) = (unit.line, unit.line.senses());
        let is_at_once = at.zip(unit.at).is_none_or(|(at, before)| at - before < 1.0);
        let is_begin = matches!(unit.remark, Some(Remark::Start | Remark::Request));
        if !is_at_once || is_begin || tells_exit(line) || unit.lines.end + BURST < index {
            break;
        }
        let error = unit.error.filter(|error| !is_handled(tail, error));
        let weight = weight(tail, line);
        let complains = weight >= Some(Weight::Complaint)
            || concludes && others == 0 && weight == Some(Weight::Objection);
        let reason = if said.begins(Sense::Helper) {
            ReasonRank::None
        } else if error.is_some() || names_errno(said, line.head()) {
            ReasonRank::Told
        } else if names_thing(line.head()) {
            ReasonRank::Thing
        } else {
            ReasonRank::None
        };
        if (error.is_some() || complains) && is_kin(line.head()) {
            let text = error.map_or_else(|| line.head(), |error| error.what.trim());
            let weight = weight.unwrap_or(Weight::Complaint).min(Weight::Complaint);
            let is_better = best
                .as_ref()
                .is_none_or(|(why, most, _)| (reason, weight) >= (*why, *most));
            if is_better && !what.contains(text) {
                best = Some((reason, weight, text.to_owned()));
            }
        } else if is_work(line) && unit.remark == Some(Remark::Ordinary) {
            // What stands below a logger's entry belongs to that.
            others += usize::from(line.entry.is_some() || !tail.has_form);
        }
        let most = if concludes { MOST_BETWEEN } else { 0 };
        if others > most
            || others > 0
                && best
                    .as_ref()
                    .is_some_and(|(why, ..)| *why > ReasonRank::None)
        {
            break;
        }
    }
    best.map(|(.., text)| text)
}

/// Returns what was said right before of the same system error, with the thing that the finding
/// does not name.
pub fn twin(tail: &Tail, finding: &Finding) -> Option<String> {
    let kind = beneath::kind(&finding.what);
    // The last of its attempts tells less than the first.
    let gave_up = Senses::of(&finding.what).gives_up() && finding.place.is_some();
    let lacks_thing = kind.is_some() && !names_thing(message(&finding.what));
    if !lacks_thing && !gave_up {
        return None;
    }
    let start = finding.lines.start;
    let at = tail.lines.get(start)?.at;
    let is_near = |unit: &&TailUnit| {
        let is_begin = matches!(unit.remark, Some(Remark::Start | Remark::Request));
        let is_at_once = at
            .zip(unit.at)
            .is_none_or(|(at, before)| at - before < AT_ONCE);
        is_at_once && !is_begin && unit.lines.end + BURST >= start
    };
    let is_twin = |unit: &&TailUnit| {
        let line = unit.line;
        let their = beneath::kind_of(line.senses(), line.head());
        (unit.error.is_some() || weight(tail, line) >= Some(Weight::Objection))
            && names_thing(line.head())
            && their.is_some()
            && (their == kind || gave_up)
    };
    let twin = tail.before(start).take_while(is_near).find(is_twin)?;
    Some(quote::words(twin.line))
}

/// Returns true if the line before shows the input that could not be read, as Redis does.
fn is_shown(tail: &Tail, unit: &TailUnit) -> bool {
    let before = tail.line_before(unit.lines.start);
    before.is_some_and(|line| line.text.starts_with(">>> "))
}

/// Returns true if a line complains and the program said right after it that it ends in
/// failure.
fn is_complaint(tail: &Tail, line: &LogLine, end: &LogLine) -> bool {
    let level = line.level();
    level.map_or_else(
        || line.senses().has(Sense::Failure),
        |level| level >= LogLevel::Error,
    ) && line
        .at
        .zip(end.at)
        .is_none_or(|(at, end)| end - at < AT_ONCE)
        && !is_continued(line)
        && !line.is_of_request()
        && !line.senses().is_handled()
        && !tail.is_of_another(line)
}

/// Returns the line that says why, among the lines that tell the same failure: `bind: Address
/// already in use` before `Aborting`.
fn root(tail: &Tail, units: &[TailUnit], last: usize) -> Option<usize> {
    let line = units.get(last)?.line;
    let senses = line.senses();
    if beneath::kind_of(senses, line.head()).is_some() || has_position(line.head()) {
        return None;
    }
    let is_config = senses.has(Sense::BadConfig) || is_unset(line, line.head(), senses);
    let is_generic = is_generic(line.head());
    let at = line.at;
    let mut others = 0;
    for unit in units.iter().skip(last + 1).take(BURST) {
        let line = unit.line;
        let (said, text) = (line.senses(), line.head());
        let names_reason = |line: &LogLine| {
            let said = line.senses();
            names_errno(said, line.head()) && (is_generic || said.has(Sense::Step))
        };
        let is_at_once = at
            .zip(line.at)
            .is_none_or(|(at, before)| at - before < AT_ONCE);
        if !is_at_once || others > 2 || unit.remark == Some(Remark::Start) {
            return None;
        }
        if unit.remark.is_none() {
            let own = tail.lines.get(unit.lines.clone()).unwrap_or_default();
            let mut ends = own.iter().take(BURST).chain(own.iter().rev().take(BURST));
            let says_why = ends.any(names_reason);
            return says_why.then_some(unit.lines.start);
        }
        let level = line.level();
        let is_told = level != Some(LogLevel::Info) && level != Some(LogLevel::Debug);
        let tells = is_told && !said.is_handled() && !line.is_of_request();
        let fails = said.has(Sense::Failure);
        let is_place = is_config && has_position(text) && (said.has(Sense::BadConfig) || fails);
        if tells && (names_reason(line) || is_place) {
            return Some(unit.lines.start);
        }
        others += usize::from(!tells || !(level.is_some() || fails));
    }
    None
}

/// Returns the finding that quotes a line, and covers all up to the end of the log.
fn finding(tail: &Tail, index: usize, end: usize) -> Option<Finding> {
    let line = tail.lines.get(index)?;
    let mut what = quote::words(line);
    what = quote::with_added(what, tail.lines.get(index + 1..).unwrap_or_default());
    // Apache's `Syntax error on line 7 of …:` goes on in the next line.
    let rest = tail.lines.get(index + 1..).unwrap_or_default();
    let mut next = rest.iter().take(MOST_BLANK + 1);
    if what.ends_with(':')
        && let Some(next) = next.find(|next| !next.is_blank())
    {
        what = format!("{what} {}", quote::words(next));
    }
    // Redis shows the line that it cannot read before it says what is wrong.
    let shown = tail
        .line_before(index)
        .and_then(|line| line.text.strip_prefix(">>> "));
    if let Some(shown) = shown {
        what = format!("{what}: {shown}");
    }
    let said = Senses::of(&what);
    let aborted = tail.scene.exit.is_signal("ABRT") || *tail.scene.exit == Exit::Code(134);
    let kind = if is_bad_option(said) && !is_diagnostic(&what, said) {
        Death::BadArguments
    } else if shown.is_some()
        || is_diagnostic(&what, said)
        || said.has(Sense::BadConfig) && has_position(&what)
    {
        Death::SyntaxError
    } else if aborted {
        Death::Abort
    } else {
        Death::PlainExit
    };
    Some(Finding::at(index..end.max(index + 1), kind, what))
}

#[cfg(test)]
mod tests;
