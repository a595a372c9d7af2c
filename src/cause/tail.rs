//! The end of a log, read once into units: a line, or an error with all of its lines. Whoever
//! judges what stands at the end asks it here.

use std::cell::Cell;
use std::cmp::Reverse;
use std::ops::Range;

use super::aftermath::{self, Remark};
use super::beneath;
use super::finding::Finding;
use super::lexicon::Sense;
use super::scene::Scene;
use super::text::{LogLine, is_same_but_digits};
use super::window::LogWindow;

/// Maximum number of units that are read. No question goes further back.
const MOST: usize = 64;
/// Number of last lines that show the dead process at work.
const FAR: usize = 120;
/// Number of last lines that show the form of the log.
const FORM: usize = 60;
/// Number of first lines that show that no error's lines stand there.
const FIRST: usize = 4;
/// Number of times that the same line is looked for.
const TIMES: usize = 8;
/// Maximum number of lines before an error that can ask the service to go down.
const NEAR: usize = 20;
/// Maximum time between the ends of two lives of which one follows the other, in seconds.
const LIFE: f64 = 300.0;
/// Maximum time between the lines of one death, in seconds.
pub const SOON: f64 = 60.0;

/// The end of a log.
pub struct Tail<'a> {
    pub lines: &'a [LogLine],
    pub scene: &'a Scene<'a>,
    /// The last units, newest first. Blank lines are none.
    pub units: Vec<TailUnit<'a>>,
    /// True if the units go back to the log's first line.
    pub is_whole: bool,
    /// True if a logger writes the log.
    pub has_form: bool,
    /// True if the dead process writes its number before its lines.
    names_us: bool,
    view: LogWindow<'a>,
    /// True if the log above, which was not read, may answer a question otherwise.
    asks_above: Cell<bool>,
}

pub struct TailUnit<'a> {
    /// Indexes of its lines.
    pub lines: Range<usize>,
    /// The first of them.
    pub line: &'a LogLine,
    /// `None` if the unit is an error that a runtime found.
    pub remark: Option<Remark>,
    /// The error, if it is one.
    pub error: Option<&'a Finding>,
    pub at: Option<f64>,
    /// The process that wrote the line, or the process that the line names as started.
    pub pid: Option<u32>,
}

impl<'a> Tail<'a> {
    /// Reads the last units.
    pub fn read(
        lines: &'a [LogLine],
        view: LogWindow<'a>,
        found: &'a [Finding],
        scene: &'a Scene,
    ) -> Self {
        let mut errors: Vec<_> = found
            .iter()
            .map(|it| (it.lines.end, Reverse(it.lines.start)))
            .collect();
        errors.sort_unstable();
        let mut units = Vec::new();
        let mut end = lines.len();
        while end > 0 && units.len() < MOST {
            let error = take_error(&mut errors, end);
            let range = error.unwrap_or(end - 1)..end;
            end = range.start;
            let error = error.and_then(|_| last_error(found, range.end));
            units.extend(TailUnit::read(lines, range, error, scene));
        }
        let last = |count| lines.iter().rev().take(count);
        Self {
            lines,
            scene,
            units,
            is_whole: end == 0,
            has_form: last(FORM).any(|line| !line.is_raw()),
            names_us: scene.pid.is_some() && last(FAR).any(|line| line.pid() == scene.pid),
            view,
            asks_above: Cell::new(false),
        }
    }

    /// Returns true if the log above can change no answer: it has none of what was asked for, and
    /// the units that were read do not begin in the middle of an error. Before the error that the
    /// service died of, if there is one, no more units count than those that can ask it to go down.
    pub fn is_enough(&self, found: &[Finding], proven: Option<&Finding>) -> bool {
        let last = || self.units.last().filter(|_| !self.is_whole);
        let asked = proven.and_then(|it| self.before(it.lines.start).nth(NEAR));
        let Some(oldest) = asked.or_else(last).map(|unit| unit.lines.start) else {
            return false;
        };
        let before = self.lines.get(..oldest).unwrap_or_default();
        let is_between = |it: &Finding| it.lines.start > 0 && it.lines.end <= oldest;
        let is_calm = || {
            let first: Vec<_> = before
                .iter()
                .filter(|line| !line.is_blank())
                .take(FIRST)
                .collect();
            first.len() == FIRST && first.iter().all(|line| !line.text.starts_with([' ', '\t']))
        };
        let is_clean = before.iter().any(|line| line.entry.is_some())
            || found.iter().any(is_between)
            || is_calm();
        is_clean && !self.asks_above.get()
    }

    /// Notes that a question has no answer yet if the log above may have one.
    pub fn ask_above(&self, may_have: impl Fn(&LogWindow) -> bool) {
        self.asks_above
            .set(self.asks_above.get() || may_have(&self.view));
    }

    /// Returns the units from a line on, oldest first.
    pub fn after(&self, line: usize) -> impl Iterator<Item = &TailUnit<'a>> {
        let from = move |unit: &&TailUnit| unit.lines.start >= line;
        self.units.iter().rev().filter(from)
    }

    /// Returns the units before a line, newest first.
    pub fn before(&self, line: usize) -> impl Iterator<Item = &TailUnit<'a>> {
        self.units.iter().filter(move |unit| unit.lines.end <= line)
    }

    /// Returns the line before another.
    pub fn line_before(&self, index: usize) -> Option<&'a LogLine> {
        self.lines.get(index.checked_sub(1)?)
    }

    /// Returns true if the unit is a start that names the dead process.
    pub fn is_our_start(&self, unit: &TailUnit) -> bool {
        unit.remark == Some(Remark::Start) && unit.pid.is_some() && unit.pid == self.scene.pid
    }

    /// Returns true if someone asked this life of the service to go down, in the last lines before
    /// this one.
    pub fn was_asked(&self, before: usize) -> bool {
        let said = self.before(before).take(NEAR);
        said.filter(|unit| !unit.line.senses().has(Sense::NoRequest))
            .find(|unit| {
                matches!(unit.remark, Some(Remark::Request | Remark::Start))
                    || aftermath::is_over(unit.line, self.scene)
                    || aftermath::is_banner(unit.line)
            })
            .is_some_and(|unit| unit.remark == Some(Remark::Request))
    }

    /// Returns true if the same line stands in the log before, with so many lines of work after it.
    pub fn was_survived(&self, index: usize, work: usize) -> bool {
        let Some(message) = self.lines.get(index).map(LogLine::head) else {
            return false;
        };
        let before = self.lines.get(..index).unwrap_or_default();
        let is_same = |line: &LogLine| is_same_but_digits(line.head(), message);
        let is_survived = |same: usize| {
            let after = before.iter().skip(same + 1);
            let mut remarks = after
                .filter(|line| !is_same(line) && !is_of_failure(line))
                .take(work)
                .map(|line| aftermath::remark(line, self.scene));
            remarks.clone().count() == work && remarks.all(|it| it == Remark::Ordinary)
        };
        let mut times = 0;
        for (same, _) in before
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, line)| is_same(line))
        {
            times += 1;
            if is_survived(same) {
                return true;
            }
            if times == TIMES {
                return false;
            }
        }
        self.ask_above(|view| view.may_have_above(message));
        false
    }

    /// Returns true if the life before this one said the same at its end.
    pub fn ends_as_before(&self, index: usize) -> bool {
        let Some(message) = self.lines.get(index).map(LogLine::head) else {
            return false;
        };
        let before = self.lines.get(..index).unwrap_or_default();
        let last = before.iter().rev().take(FAR);
        let same = last
            .enumerate()
            .find(|(_, line)| is_same_but_digits(line.head(), message));
        same.is_some_and(|(back, _)| self.are_lives(index - 1 - back, index))
    }

    /// Returns true if all that was said around one of these lines was said around the other too,
    /// shortly before: each time is a life, and the last ended as the one before.
    fn are_lives(&self, one: usize, other: usize) -> bool {
        let at = |index: usize| self.lines.get(index)?.at;
        let is_soon = at(one)
            .zip(at(other))
            .is_some_and(|(one, other)| other - one < LIFE);
        let length = other - one;
        let is_same =
            |(one, other): &(&LogLine, &LogLine)| is_same_but_digits(one.head(), other.head());
        let (before, from) = (self.lines.get(..one), self.lines.get(one + 1..other));
        let (last, rest) = (self.lines.get(..other), self.lines.get(other + 1..));
        let (before, from) = (before.unwrap_or_default(), from.unwrap_or_default());
        let (last, rest) = (last.unwrap_or_default(), rest.unwrap_or_default());
        let above = before.iter().rev().zip(last.iter().rev());
        let above = above.take(length - 1).take_while(is_same).count();
        // The next life may have begun already.
        let below = from.iter().zip(rest).take_while(is_same).count();
        is_soon && length < FAR && above + below + 1 >= length
    }

    /// Returns true if the same entry stands in the log before, without a trace below it. The trace
    /// below this one is then another's.
    pub fn stands_alone(&self, at: usize) -> bool {
        let Some(entry) = self.lines.get(at).map(LogLine::head) else {
            return false;
        };
        let is_same = |line: &LogLine| is_same_but_digits(line.head(), entry);
        let before = self.lines.get(..at).unwrap_or_default();
        let stands_alone = before
            .iter()
            .zip(before.iter().skip(1))
            .any(|(line, next)| line.entry.is_some() && next.entry.is_some() && is_same(line));
        if !stands_alone {
            self.ask_above(|view| view.may_have_above(entry));
        }
        stands_alone
    }

    /// Returns true if another process wrote the line, in a log where the dead process writes too.
    /// A server's processes do so, one for each client.
    pub fn is_of_another(&self, line: &LogLine) -> bool {
        let is_carried = line.carried_from.is_some() && line.carried_from == self.scene.pid;
        self.names_us && !is_carried && line.pid().is_some_and(|pid| Some(pid) != self.scene.pid)
    }
}

impl<'a> TailUnit<'a> {
    /// Reads the unit of these lines; `None` if it is a blank line.
    fn read(
        lines: &'a [LogLine],
        range: Range<usize>,
        error: Option<&'a Finding>,
        scene: &Scene,
    ) -> Option<Self> {
        let own = lines.get(range.clone())?;
        let line = own
            .first()
            .filter(|line| error.is_some() || !line.is_blank())?;
        let remark = error.is_none().then(|| aftermath::remark(line, scene));
        let named = || aftermath::pid_in(line.head());
        let pid = match remark {
            None => None,
            Some(Remark::Start) => named().or_else(|| line.pid()),
            Some(_) => line.pid(),
        };
        Some(Self {
            lines: range,
            line,
            remark,
            error,
            at: time(own),
            pid,
        })
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

/// Returns the error that ends here; of several the one that says most.
fn last_error(found: &[Finding], end: usize) -> Option<&Finding> {
    let ending = found.iter().filter(|it| it.lines.end == end);
    ending.max_by_key(|it| (it.proof, it.place.is_some(), it.lines.len()))
}

/// Returns true if a line belongs to a failure, or says nothing.
fn is_of_failure(line: &LogLine) -> bool {
    let said = line.senses();
    line.is_blank()
        || line.text.starts_with([' ', '\t'])
        || said.has(Sense::Failure)
        || beneath::kind_of(said, line.head()).is_some()
}

/// Returns the time of the last of these lines.
pub fn time(lines: &[LogLine]) -> Option<f64> {
    lines.iter().rev().find_map(|line| line.at)
}

/// Returns true if all of this was said within [`SOON`].
pub fn is_soon(times: impl Iterator<Item = f64> + Clone) -> bool {
    let last = times.clone().reduce(f64::max);
    last.zip(times.reduce(f64::min))
        .is_none_or(|(last, first)| last - first < SOON)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::take_error;

    #[test]
    fn errors_that_overlap_are_one_unit_from_the_first_line_of_any_to_the_end() {
        type Lines = (usize, usize);
        let taken = |errors: &[Lines], end| {
            let mut left: Vec<_> = errors.iter().map(|it| (it.1, Reverse(it.0))).collect();
            let start = take_error(&mut left, end);
            (start, left.into_iter().map(|it| (it.1.0, it.0)).collect())
        };
        let cases: [(&[Lines], Option<usize>, &[Lines]); 6] = [
            (&[(2, 5)], Some(2), &[]),
            (&[(1, 3), (2, 5)], Some(1), &[]),
            (&[(0, 2), (2, 5)], Some(2), &[(0, 2)]),
            (&[(2, 5), (6, 7)], Some(2), &[]),
            (&[(2, 4)], None, &[(2, 4)]),
            (&[(5, 5)], None, &[(5, 5)]),
        ];
        for (errors, start, left) in cases {
            assert_eq!(taken(errors, 5), (start, left.to_vec()), "{errors:?}");
        }
    }
}
