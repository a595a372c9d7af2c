//! Chooses the line to show among those of a burst, and what else says more.

use super::{AFTER, AFTER_UNTIMED, Begin, Burst, EarlierEnd, QUIET, SaidLine, WORK};
use crate::cause::beneath;
use crate::cause::entry::LogLevel;
use crate::cause::finding::message;
use crate::cause::last_words::phrases::{is_unset, names_errno};
use crate::cause::last_words::weight::Weight;
use crate::cause::lexicon::Sense;
use crate::cause::tail::TailUnit;
use crate::cause::thing::{is_summary, names_thing};
use crate::report::Exit;

/// How much of its own a line is, among those that weigh the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A warning, or the complaint of a command that start scripts call.
    Foreign,
    /// Something is odd, but need not have failed: `unknown key: seat`.
    Odd,
    Plain,
    /// The line has the level of an error, or a runtime has shown the error.
    Marked,
}

impl Burst<'_> {
    pub fn best(self) -> Option<SaidLine> {
        let fitting: Vec<SaidLine> = self
            .said
            .iter()
            .filter(|it| self.fits(it))
            .copied()
            .collect();
        let most = fitting.iter().map(|said| said.weight).max()?;
        let best = fitting.iter().filter(|said| said.weight == most);
        // Of equals the earliest, which is the last in this order. That it could not start says
        // less than any other.
        let said = best.max_by_key(|it| (!self.says_start(it), self.rank(it)))?;
        let said = self.twin(said);
        let said = SaidLine {
            others: self.others(said),
            ..*said
        };
        let tail = self.tail;
        let is_last = !tail.was_survived(said.index, WORK) || tail.ends_as_before(said.index);
        is_last.then_some(said)
    }

    /// Returns the line of the same system error that names a thing, if this one names none.
    fn twin<'b>(&'b self, said: &'b SaidLine) -> &'b SaidLine {
        let kind = |it: &SaidLine| {
            let line = self.tail.lines.get(it.index)?;
            beneath::kind_of(line.senses(), line.head())
        };
        let is_twin = |it: &&SaidLine| {
            it.weight >= Weight::Objection
                && self.rank(it) > Rank::Foreign
                && self.names_thing(it)
                && kind(it) == kind(said)
        };
        if kind(said).is_none() || self.names_thing(said) {
            return said;
        }
        self.said.iter().rfind(is_twin).unwrap_or(said)
    }

    /// Returns the lines that say more than one that names no reason: the first that does, and the
    /// last that names a thing; or else the last before the end, or the first.
    fn others(&self, said: &SaidLine) -> [Option<usize>; 2] {
        if self.says_why(said) || self.stop == EarlierEnd::Asked {
            return [None, None];
        }
        // Before a line that says what is wrong, one that weighs less is about something else.
        let names_thing = self.names_thing(said);
        let line = self.tail.lines.get(said.index);
        let sums_up = line.is_some_and(|line| is_summary(message(line.head()))) && !names_thing;
        let has_level = |it: &SaidLine| {
            let line = self.tail.lines.get(it.index);
            line.is_some_and(|line| line.level().is_some())
        };
        let tells = |it: &&SaidLine| {
            let is_peer = self.rank(it) >= self.rank(said);
            let is_complaint = it.weight >= Weight::Complaint;
            let is_plain = !has_level(it) && !has_level(said);
            let is_own = self.rank(it) > Rank::Foreign;
            it.index != said.index
                && it.weight >= Weight::Objection
                && (is_peer && (it.weight >= said.weight || is_complaint && self.says_why(it))
                    || is_own && it.index > said.index
                    || is_own && !names_thing && (is_complaint || is_plain)
                    || sums_up)
        };
        let others = || self.said.iter().filter(tells);
        let Some(first) = others().next_back() else {
            return [None, None];
        };
        let why = others().rfind(|it| self.says_why(it));
        let end = if first.index > said.index {
            others().next()
        } else {
            Some(first)
        };
        let one = why.or(end).map(|it| it.index);
        let mut marked = others().filter(|it| self.rank(it) == Rank::Marked);
        let last = marked.find(|it| self.names_thing(it)).map(|it| it.index);
        [one, last.filter(|it| Some(*it) != one)]
    }

    fn names_thing(&self, said: &SaidLine) -> bool {
        let line = self.tail.lines.get(said.index);
        line.is_some_and(|line| names_thing(line.head()))
    }

    /// Returns true if a line counts where nothing weighs more.
    fn fits(&self, said: &SaidLine) -> bool {
        let is_newest = self.said.first().is_some_and(|it| it.index == said.index);
        let Some(line) = self.tail.lines.get(said.index) else {
            return false;
        };
        let after = match said.weight {
            _ if *self.tail.scene.exit == Exit::Unknown && self.ordinary > QUIET => 0,
            Weight::Fatal | Weight::Complaint
                if self.last.is_some() || self.ordinary == self.quiet =>
            {
                AFTER
            }
            Weight::Fatal | Weight::Complaint => AFTER_UNTIMED,
            // A few lines that are no louder than usual may be on their way already.
            _ if self.ordinary == self.quiet => QUIET,
            _ => 0,
        };
        let is_alone = line.is_raw() && self.tail.has_form;
        self.ordinary <= after
            && match said.weight {
                _ if self.stop == EarlierEnd::Asked => said.weight == Weight::Fatal,
                Weight::Fatal | Weight::Complaint => true,
                Weight::Objection if line.entry.as_ref().is_some_and(|it| it.level.is_some()) => {
                    self.says_end || self.is_told && self.ordinary == 0
                }
                Weight::Objection => self.says_end || self.begin != Begin::Work || is_alone,
                Weight::Mention => {
                    self.ordinary == 0 && (self.says_end || self.begin != Begin::Work || is_alone)
                }
                Weight::Plain => self.says_end && is_newest,
            }
    }

    /// Returns true if a line names a reason: the system's words, or a setting that is missing.
    fn says_why(&self, said: &SaidLine) -> bool {
        self.tail.lines.get(said.index).is_some_and(|line| {
            let senses = line.senses();
            names_errno(senses, line.head()) || is_unset(line, line.head(), senses)
        })
    }

    /// Returns how much of its own a line is, among those that weigh the same.
    fn rank(&self, said: &SaidLine) -> Rank {
        let Some(line) = self.tail.lines.get(said.index) else {
            return Rank::Foreign;
        };
        let senses = line.senses();
        let is_shown = |unit: &TailUnit| unit.error.is_some() && unit.lines.contains(&said.index);
        let is_odd = senses.opens(Sense::Objection) && !names_errno(senses, line.head());
        match line.level() {
            Some(level) if level >= LogLevel::Error => Rank::Marked,
            _ if self.tail.units.iter().any(is_shown) => Rank::Marked,
            Some(LogLevel::Warn) => Rank::Foreign,
            None if senses.begins(Sense::Helper) => Rank::Foreign,
            None if is_odd => Rank::Odd,
            _ => Rank::Plain,
        }
    }

    fn says_start(&self, said: &SaidLine) -> bool {
        let line = self.tail.lines.get(said.index);
        line.is_some_and(|line| line.senses().has(Sense::CannotStart))
    }
}
