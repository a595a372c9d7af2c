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

use std::cmp::Reverse;

use super::aftermath::{self, Remark};
use super::entry::LogLevel;
use super::finding::{Finding, Proof};
use super::fingerprint::normalized;
use super::scene::Scene;
use super::text::{LogLine, is_same_but_digits};
use super::vocabulary::{self, is_generic, says};
use super::{last_words, logged, runtimes};
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
/// Maximum time between the lines of one death, in seconds.
const SOON: f64 = 60.0;
/// Number of lines of work after which an error counts as survived.
const WORK: usize = 12;

/// Returns the error in the log that the service died of.
pub fn read(lines: &[LogLine], found: &[Finding], scene: &Scene) -> Option<Finding> {
    let last = last_words::read(lines, found, scene);
    decide(found.to_vec(), last, lines, scene)
}

/// Returns all errors in the log that a runtime or a logger has shown.
pub fn found(lines: &[LogLine]) -> Vec<Finding> {
    let mut found = runtimes::read(lines);
    logged::read(lines, &mut found);
    // The log was cut before this error said anything.
    found.retain(|it| !it.what.trim().is_empty());
    found
}

/// Chooses the finding that the service died of. `last` is what the program itself said at the very
/// end.
fn decide(
    found: Vec<Finding>,
    last: Option<Finding>,
    lines: &[LogLine],
    scene: &Scene,
) -> Option<Finding> {
    // A runtime's words are judged once, as the runtime's.
    let last = last.filter(|last| !found.iter().any(|it| it.lines.contains(&last.quoted)));
    let tail = LogTail::read(&found, lines, scene);
    let mut candidates: Vec<Finding> = found
        .into_iter()
        .filter(|it| it.lines.end > tail.from && tail.fits(it) && !tail.is_of_another_program(it))
        .collect();
    // The last in the log comes last. Of two that end together, the one that says more does.
    candidates.sort_by_key(|it| (it.lines.end, it.proof, it.place.is_some(), it.lines.len()));
    let chosen = candidates
        .iter()
        .rposition(|it| tail.ends_there(it) && !tail.survived(it, &candidates));
    let Some(cause) = chosen.and_then(|chosen| tail.root(&candidates, chosen)) else {
        return last;
    };
    match last {
        Some(last) if last.lines.start >= cause.lines.end && !is_consequence(&last, cause) => {
            Some(last)
        }
        _ => Some(cause.clone()),
    }
}

/// Returns true if the later finding adds nothing to the one before it.
fn is_consequence(later: &Finding, before: &Finding) -> bool {
    before.proof == Proof::LastWords
        || is_generic(&later.what)
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

/// The end of the log in units. A unit is a line, or an error with all of its lines.
struct LogTail<'a> {
    lines: &'a [LogLine],
    scene: &'a Scene<'a>,
    units: Vec<TailUnit>,
    /// First line that can belong to this death. An error that ends before it is too old.
    from: usize,
}

struct TailUnit {
    line: usize,
    /// `None` if the unit is an error that a runtime found.
    remark: Option<Remark>,
    at: Option<f64>,
    /// The process that wrote the line, or the process that the line names as started.
    pid: Option<u32>,
}

impl<'a> LogTail<'a> {
    /// Reads the last units, newest first. Reads no more units than may follow a death.
    fn read(found: &[Finding], lines: &'a [LogLine], scene: &'a Scene<'a>) -> Self {
        let mut errors: Vec<_> = found
            .iter()
            .map(|it| (it.lines.end, Reverse(it.lines.start)))
            .collect();
        errors.sort_unstable();
        let mut tail = Self {
            lines,
            scene,
            units: Vec::new(),
            from: 0,
        };
        let mut end = lines.len();
        while end > 0 {
            if tail.units.len() > AFTER_LAST_WORDS + NEXT_START {
                tail.from = end;
                break;
            }
            if let Some(start) = take_error(&mut errors, end) {
                tail.units.push(TailUnit {
                    line: start,
                    remark: None,
                    at: time(lines, start, end),
                    pid: None,
                });
                end = start;
                continue;
            }
            end -= 1;
            let line = lines.get(end).filter(|line| !line.is_blank());
            tail.units.extend(line.map(|line| unit(end, line, scene)));
        }
        tail
    }

    /// Returns true if a process that said this may have ended with this exit. A wrapper ends in
    /// its own way, so behind a wrapper any exit fits.
    fn fits(&self, finding: &Finding) -> bool {
        let wrapped = || {
            matches!(self.scene.exit, Exit::Code(1))
                && finding.proof == Proof::LastWords
                && self
                    .after(finding)
                    .any(|unit| unit.remark == Some(Remark::Epilogue))
        };
        finding.fits(self.scene.exit) || wrapped()
    }

    /// Returns true if the error is another program's: its carrier names another program than it
    /// names for the dead process.
    fn is_of_another_program(&self, finding: &Finding) -> bool {
        let Some(line) = self.lines.get(finding.quoted) else {
            return false;
        };
        let Some((pid, name)) = line.carried_from.zip(line.carried_as.as_ref()) else {
            return false;
        };
        // systemd speaks of its services.
        if name == "systemd" || name.starts_with('(') {
            return false;
        }
        let ours =
            |line: &&LogLine| line.carried_from.is_some() && line.carried_from == self.scene.pid;
        let own = || {
            self.lines
                .iter()
                .rev()
                .find(ours)
                .and_then(|line| line.carried_as.as_ref())
        };
        Some(pid) != self.scene.pid && own().is_some_and(|own| own != name)
    }

    /// Returns the units after a finding, oldest first.
    fn after(&self, finding: &Finding) -> impl Iterator<Item = &TailUnit> {
        let end = finding.lines.end;
        self.units.iter().rev().filter(move |unit| unit.line >= end)
    }

    /// Returns true if nothing shows that the service went on after this finding.
    fn ends_there(&self, finding: &Finding) -> bool {
        let after: Vec<&TailUnit> = self.after(finding).collect();
        let start = after
            .iter()
            .position(|unit| unit.remark == Some(Remark::Start))
            .unwrap_or(after.len());
        let (own, next) = after.split_at(start);
        let is_ours = |unit: &&TailUnit| {
            unit.remark == Some(Remark::Start) && unit.pid.is_some() && unit.pid == self.scene.pid
        };
        // The next life has ended too: this is no longer the last death.
        let tells_exit =
            |unit: &&TailUnit| self.lines.get(unit.line).is_some_and(aftermath::tells_exit);
        if next.iter().skip(1).any(tells_exit) {
            return false;
        }
        if next.iter().any(is_ours)
            || self.is_of_another_life(finding, &after)
            || next.len() > NEXT_START
        {
            return false;
        }
        let said: Vec<_> = own
            .iter()
            .copied()
            .filter(|unit| unit.remark != Some(Remark::Epilogue))
            .collect();
        let died = time(self.lines, finding.lines.start, finding.lines.end);
        let is_soon = within(died, &said) && within(None, next);
        let is_closing = |unit: &&TailUnit| unit.remark == Some(Remark::Closing);
        match finding.proof {
            Proof::LastWords => {
                said.len() <= AFTER_LAST_WORDS
                    && is_soon
                    && !said.iter().take(3).any(|unit| self.goes_on(unit))
            }
            Proof::Said => {
                // The entry above a trace has the time.
                let above = finding.lines.start.saturating_sub(1);
                let died = died.or_else(|| self.lines.get(above)?.at);
                let is_down = self.goes_down(died, &said);
                (is_down || said.len() <= AFTER_SAID && said.iter().all(is_closing))
                    && is_soon
                    && !is_handled(finding, self.lines)
                    && !aftermath::was_asked(self.lines, finding.lines.start, self.scene)
            }
        }
    }

    /// Returns true if all that follows is an orderly end: the service says that it goes down, and
    /// around that a logger says nothing louder than that, all of it at once.
    fn goes_down(&self, died: Option<f64>, said: &[&TailUnit]) -> bool {
        let is_closing = |unit: &TailUnit| unit.remark == Some(Remark::Closing);
        let is_quiet = |unit: &TailUnit| {
            unit.remark == Some(Remark::Ordinary)
                && self.lines.get(unit.line).is_some_and(|line| {
                    let level = line.level();
                    level.is_some_and(|level| level < LogLevel::Error)
                })
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

    /// Returns true if a line says that the service goes on.
    fn goes_on(&self, unit: &TailUnit) -> bool {
        const WORDS: [&str; 10] = [
            "going on",
            "carrying on",
            "continuing",
            "recovered",
            "respawned",
            "restarted",
            "falling back",
            "fallback",
            "using default",
            "skip",
        ];
        let lowercase = self
            .lines
            .get(unit.line)
            .map(|line| aftermath::head(line).to_ascii_lowercase())
            .unwrap_or_default();
        says(&lowercase, &WORDS)
    }

    /// Returns true if the log shows that the dead process began to write only after this finding.
    fn is_of_another_life(&self, finding: &Finding, after: &[&TailUnit]) -> bool {
        let Some(ours) = self.scene.pid else {
            return false;
        };
        if !after.iter().any(|unit| unit.pid == Some(ours)) {
            return false;
        }
        let before = self.lines.get(..finding.lines.end).unwrap_or_default();
        let others = before.iter().rev().take(WORK * 10).find_map(LogLine::pid);
        others.is_some_and(|pid| pid != ours) && !before.iter().any(|line| line.pid() == Some(ours))
    }

    /// Returns true if the service has survived the same error before.
    fn survived(&self, finding: &Finding, candidates: &[Finding]) -> bool {
        if finding.proof == Proof::LastWords {
            return false;
        }
        let what = normalized(&finding.what);
        let before = candidates
            .iter()
            .rev()
            .find(|it| it.lines.end <= finding.lines.start && normalized(&it.what) == what);
        let Some(before) = before else { return false };
        let after: Vec<_> = self
            .after(before)
            .filter(|unit| unit.line < finding.lines.start)
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
    fn root<'b>(&self, candidates: &'b [Finding], chosen: usize) -> Option<&'b Finding> {
        let (before, rest) = candidates.split_at_checked(chosen)?;
        let mut cause = rest.first()?;
        for earlier in before.iter().rev().take(AFTER_SAID) {
            if earlier.lines.end > cause.lines.start {
                continue;
            }
            let mut between = self
                .after(earlier)
                .filter(|unit| unit.line < cause.lines.start);
            if between.any(|unit| !matches!(unit.remark, Some(Remark::Closing | Remark::Epilogue)))
            {
                break;
            }
            let says_more = earlier.place.is_some() || cause.place.is_none();
            let repeats = is_same(&earlier.what, &cause.what) && says_more;
            if (repeats || is_generic(&cause.what)) && !is_handled(earlier, self.lines) {
                cause = earlier;
            }
        }
        Some(cause)
    }
}

/// Takes the error whose lines end here, together with those that overlap it. Returns its first
/// line.
fn take_error(errors: &mut Vec<(usize, Reverse<usize>)>, end: usize) -> Option<usize> {
    while errors.pop_if(|error| error.0 > end).is_some() {}
    let &(last, Reverse(mut start)) = errors.last()?;
    if last != end || start >= end {
        return None;
    }
    while let Some((_, Reverse(earlier))) = errors.pop_if(|error| error.0 > start) {
        start = start.min(earlier);
    }
    Some(start)
}

fn unit(index: usize, line: &LogLine, scene: &Scene) -> TailUnit {
    let remark = aftermath::remark(line, scene);
    let named = || vocabulary::pid_in(&aftermath::head(line).to_ascii_lowercase());
    let pid = if remark == Remark::Start {
        named().or_else(|| line.pid())
    } else {
        line.pid()
    };
    TailUnit {
        line: index,
        remark: Some(remark),
        at: line.at,
        pid,
    }
}

/// Returns the time of the last of these lines.
fn time(lines: &[LogLine], start: usize, end: usize) -> Option<f64> {
    lines
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .rev()
        .find_map(|line| line.at)
}

/// Returns true if all of this was said within [`SOON`].
fn within(died: Option<f64>, units: &[&TailUnit]) -> bool {
    let times = || {
        died.into_iter()
            .chain(units.iter().filter_map(|unit| unit.at))
    };
    times()
        .reduce(f64::max)
        .zip(times().reduce(f64::min))
        .is_none_or(|(last, first)| last - first < SOON)
}

/// Words for a failure that the program caught.
const FAILURE: [&str; 10] = [
    "fail",
    "error",
    "exception",
    "could not",
    "cannot",
    "unable",
    "timeout",
    "timed out",
    "refused",
    "lost",
];

/// Returns true if the same entry stands in the log before, without a trace below it. The trace
/// below this one is then another's.
fn stands_alone(lines: &[LogLine], at: usize) -> bool {
    let Some(entry) = lines.get(at) else {
        return false;
    };
    let is_same =
        |line: &LogLine| is_same_but_digits(aftermath::head(line), aftermath::head(entry));
    let before = lines.get(..at).unwrap_or_default();
    before
        .iter()
        .zip(before.iter().skip(1))
        .any(|(line, next)| line.entry.is_some() && next.entry.is_some() && is_same(line))
}

/// Returns true if the line before the finding, or the finding itself, says that the program goes
/// on.
fn is_handled(finding: &Finding, lines: &[LogLine]) -> bool {
    let entry_says = |line: &LogLine| {
        let lowercase = aftermath::head(line).to_ascii_lowercase();
        let level = line.level();
        let warns = level == Some(LogLevel::Warn)
            && says(&lowercase, &FAILURE)
            && !vocabulary::gives_up(&lowercase);
        // A server answers with 500, and goes on.
        let serves = line.entry.as_ref().is_some_and(|entry| entry.of_request);
        warns || serves || vocabulary::is_handled(&lowercase)
    };
    let at = finding.lines.start.checked_sub(1);
    let before = at.and_then(|at| lines.get(at));
    let first = lines.get(finding.lines.start);
    // Loggers attach traces of several lines to their entries, never single lines. JSON loggers put
    // the trace into the entry.
    let own = lines.get(finding.lines.clone()).unwrap_or_default();
    let is_trace = own.iter().filter(|line| !line.is_blank()).count() > 1;
    let is_entry = first.is_some_and(|line| line.entry.is_some());
    let announces = |line: &LogLine| line.entry.as_ref().is_some_and(|entry| !entry.json);
    // `main` prints such an error, no logger.
    let is_returned = first.is_some_and(|line| line.text.trim_end() == "Error:");
    before
        .filter(|line| is_trace && !is_entry && !is_returned && announces(line))
        .is_some_and(|line| entry_says(line) && !stands_alone(lines, at.unwrap_or_default()))
        || first.is_some_and(|line| match &line.entry {
            Some(entry) if entry.level.is_some_and(|level| level < LogLevel::Error) => true,
            Some(_) => entry_says(line),
            None => {
                // The words before the error in its own line: `statsd unreachable, will retry
                // Error: connect …`.
                let said = line
                    .text
                    .split_once(finding.what.split(": ").next().unwrap_or_default());
                said.is_some_and(|(said, _)| vocabulary::is_handled(&said.to_ascii_lowercase()))
            }
        })
}

#[cfg(test)]
mod tests;
