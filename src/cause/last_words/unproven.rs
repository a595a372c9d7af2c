//! The best of what the program said last, where nothing proves the cause.
//!
//! It is a complaint in the final burst: the lines right before the end, with no more than the
//! service's own going down after it. What weighs most counts first, then the earliest line,
//! because later ones often only follow from it.

use std::ops::ControlFlow;

use super::phrases::{is_unset, names_errno};
use super::weight::{Weight, is_work, weight};
use crate::cause::aftermath::{Remark, is_banner, is_over, names_exit, tells_exit};
use crate::cause::entry::LogLevel;
use crate::cause::finding::{ExpectedExit, Finding};
use crate::cause::handled::is_handled;
use crate::cause::lexicon::{Sense, is_generic};
use crate::cause::prefix::is_of_compose;
use crate::cause::tail::{Tail, TailUnit};
use crate::cause::text::LogLine;
use crate::report::Exit;

/// Maximum number of lines of a burst.
const LINES: usize = 60;
/// Maximum time of a burst, in seconds.
const BURST: f64 = 5.0;
/// Maximum time of a start that fails, in seconds.
const START: f64 = 120.0;
/// Maximum number of last lines that are near the end in a log without times.
const NEAR: usize = 24;
/// Maximum number of ordinary lines of a logger after an objection.
const QUIET: usize = 2;
/// Maximum number of ordinary lines after a complaint: of a wrapper, or on the way down. The first
/// is that of a log with times.
const AFTER: usize = 6;
const AFTER_UNTIMED: usize = 3;
/// Maximum number of ordinary lines of an orderly end.
const DOWN: usize = 20;
/// Maximum number of lines of the next start.
const NEXT_START: usize = 30;
/// Number of lines of work after which a complaint counts as survived.
const WORK: usize = 3;

/// A line that may be what the program said last.
#[derive(Clone, Copy, Debug)]
pub struct SaidLine {
    /// Index of the line.
    pub index: usize,
    pub weight: Weight,
    /// Another line that says more.
    pub other: Option<usize>,
}

/// Returns what the program said last, if that may be why it ended.
pub fn read(tail: &Tail) -> Option<SaidLine> {
    Burst::read(tail).best()
}

/// The lines before a burst.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// More of the service's work.
    Work,
    /// The start of this life.
    Start,
    /// Nothing: the log begins here.
    Log,
}

/// The end of an earlier life, or of this one, that somebody wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EarlierEnd {
    None,
    /// A life before this one has ended.
    Over,
    /// Someone asked the service to end.
    Asked,
}

/// The last lines of a life, newest first.
struct Burst<'a> {
    tail: &'a Tail<'a>,
    said: Vec<SaidLine>,
    /// Number of the life's lines.
    own: usize,
    /// Number of ordinary lines after the newest complaint.
    ordinary: usize,
    /// Number of lines without a level after the newest complaint.
    plain: usize,
    /// Number of the ordinary lines that a logger gave a level below that of an error.
    quiet: usize,
    begin: Begin,
    /// True if the service says that it ends, but not why.
    says_end: bool,
    stop: EarlierEnd,
    /// True if a supervisor reports the end after that.
    is_told: bool,
    /// Time of the life's last line.
    last: Option<f64>,
}

impl<'a> Burst<'a> {
    fn read(tail: &'a Tail) -> Self {
        let mut burst = Self {
            tail,
            said: Vec::new(),
            own: 0,
            ordinary: 0,
            plain: 0,
            quiet: 0,
            begin: Begin::Work,
            says_end: false,
            stop: EarlierEnd::None,
            is_told: false,
            last: None,
        };
        let mut is_cut = false;
        for unit in &tail.units {
            is_cut = burst.own >= LINES || burst.add(unit).is_break();
            if is_cut {
                break;
            }
        }
        if !is_cut && tail.is_whole {
            burst.begin = Begin::Log;
        }
        burst.cut();
        burst
    }

    /// Adds a unit. Breaks at the burst's beginning.
    fn add(&mut self, unit: &TailUnit) -> ControlFlow<()> {
        let line = unit.line;
        if unit.remark.is_some() {
            self.last = self.last.or(line.at);
            if self.before_end(line.at).is_some_and(|time| time > START) {
                return ControlFlow::Break(());
            }
        }
        match unit.remark {
            None => {
                self.own += 1;
                self.add_error(unit);
                return ControlFlow::Continue(());
            }
            // After a fatal error a program may well end itself in this way.
            // The lines after the request belong to that.
            Some(Remark::Request) if !line.senses().has(Sense::NoRequest) => {
                if self.stop == EarlierEnd::Over {
                    self.begin = Begin::Start;
                    return ControlFlow::Break(());
                }
                self.stop = EarlierEnd::Asked;
                self.said.clear();
                return ControlFlow::Continue(());
            }
            // A life before this one ended there.
            Some(_) if self.objects() && (tells_of_a_life(line) || is_banner(line)) => {
                self.begin = Begin::Start;
                return ControlFlow::Break(());
            }
            Some(Remark::Epilogue) => {
                if !self.objects() && (tells_exit(line) || names_exit(line, self.tail.scene)) {
                    self.is_told = true;
                    self.pass_wrapper();
                }
                return ControlFlow::Continue(());
            }
            Some(Remark::Start)
                if self.said.is_empty()
                    && self.own <= NEXT_START
                    && !self.tail.is_our_start(unit) =>
            {
                // The lines after it are the next life's.
                (self.own, self.ordinary, self.quiet) = (0, 0, 0);
                self.last = None;
                return ControlFlow::Continue(());
            }
            Some(Remark::Start) => {
                self.begin = Begin::Start;
                return ControlFlow::Break(());
            }
            Some(Remark::Request | Remark::Closing | Remark::Ordinary) => {}
        }
        self.own += 1;
        if self.objects() && self.stop == EarlierEnd::None && is_over(line, self.tail.scene) {
            self.stop = EarlierEnd::Over;
        }
        let index = unit.lines.start;
        match weight(self.tail, line) {
            Some(weight) => {
                self.plain += usize::from(weight <= Weight::Mention && !self.objects());
                self.push(index, weight);
            }
            None if line.senses().has(Sense::Closing) && !self.speaks() => {
                self.says_end |= is_generic(line.head());
                // Quieter entries after this are part of going down.
                let is_soon = self.before_end(line.at).is_none_or(|time| time <= BURST);
                if is_soon && self.ordinary == self.quiet && self.ordinary <= DOWN {
                    (self.ordinary, self.quiet) = (0, 0);
                }
            }
            None if !self.said.is_empty() => {}
            None if is_work(line) => {
                let level = line.level();
                self.ordinary += 1;
                self.quiet += usize::from(level.is_some_and(|level| level < LogLevel::Error));
            }
            None => {}
        }
        ControlFlow::Continue(())
    }

    fn push(&mut self, index: usize, weight: Weight) {
        self.said.push(SaidLine {
            index,
            weight,
            other: None,
        });
    }

    /// Drops the few lines that a wrapper wrote after it said how its child ended.
    fn pass_wrapper(&mut self) {
        if self.ordinary + self.plain <= AFTER {
            self.said.clear();
            (self.ordinary, self.quiet, self.plain) = (0, 0, 0);
        }
    }

    /// Returns true if no more follows an error than what the service says on its way down.
    fn is_last(&self) -> bool {
        let after = if self.last.is_some() { QUIET } else { 0 };
        let is_quiet = self.plain == 0 && self.ordinary == self.quiet && self.ordinary <= after;
        self.objects() || is_quiet || self.says_end && self.plain + self.ordinary <= QUIET
    }

    /// Adds an error that a runtime has shown, and that was not proven to be the cause.
    fn add_error(&mut self, unit: &TailUnit) {
        let own = |error: &&Finding| {
            let line = self.tail.lines.get(error.quoted);
            let before = self.tail.line_before(error.lines.start);
            !is_handled(self.tail, error)
                && !before.is_some_and(|it| it.senses().is_handled())
                && !line.is_some_and(|it| self.tail.is_of_another(it))
        };
        // A shell goes on after a command that it cannot run.
        let is_survived = |error: &Finding| {
            self.objects() && is_of_command(error) && !error.fits(self.tail.scene.exit)
        };
        match unit.error.filter(own) {
            Some(error) if self.is_last() && !is_survived(error) => {
                self.push(unit.lines.start, Weight::Complaint);
            }
            _ => self.ordinary += usize::from(self.said.is_empty()),
        }
    }

    /// Returns true if a line more than an ordinary one stands in the burst.
    fn objects(&self) -> bool {
        self.said.iter().any(|said| said.weight > Weight::Mention)
    }

    /// Returns true if a line speaks of a failure, as an ordinary one may do too.
    fn speaks(&self) -> bool {
        self.said.iter().any(|said| said.weight > Weight::Plain)
    }

    /// Returns the seconds from a time to the last line's.
    fn before_end(&self, at: Option<f64>) -> Option<f64> {
        self.last.zip(at).map(|(last, at)| last - at)
    }

    /// Drops what is too long before the end, unless the life began not long before.
    fn cut(&mut self) {
        if self.begin == Begin::Start {
            return;
        }
        let first = self.tail.lines.len().saturating_sub(NEAR);
        let mut said = std::mem::take(&mut self.said);
        said.retain(|said| {
            let at = self.tail.lines.get(said.index).and_then(|line| line.at);
            match self.before_end(at) {
                Some(time) => time <= BURST,
                // Without times only the last lines are near.
                None => self.last.is_some() || said.index >= first,
            }
        });
        self.said = said;
    }

    fn best(self) -> Option<SaidLine> {
        let fitting: Vec<SaidLine> = self
            .said
            .iter()
            .filter(|it| self.fits(it))
            .copied()
            .collect();
        let most = fitting.iter().map(|said| said.weight).max()?;
        let best = || fitting.iter().filter(|said| said.weight == most);
        // The earliest is the last in this order. That it could not start says less than any other.
        let said = best()
            .rfind(|said| !self.says_start(said))
            .or_else(|| best().next_back())?;
        let said = SaidLine {
            other: self.other(said),
            ..*said
        };
        let tail = self.tail;
        let is_last = !tail.was_survived(said.index, WORK) || tail.ends_as_before(said.index);
        is_last.then_some(said)
    }

    /// Returns a line that says more than one that names no reason: the first that does, or else
    /// the last before the end, or the first.
    fn other(&self, said: &SaidLine) -> Option<usize> {
        if self.says_why(said) || self.stop == EarlierEnd::Asked {
            return None;
        }
        let others = || {
            let heavy = |it: &&SaidLine| it.weight >= Weight::Objection && it.index != said.index;
            self.said.iter().filter(heavy)
        };
        let first = others().next_back()?;
        let why = others().rfind(|it| self.says_why(it));
        let end = if first.index > said.index {
            others().next()
        } else {
            Some(first)
        };
        why.or(end).map(|it| it.index)
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

    fn says_start(&self, said: &SaidLine) -> bool {
        let line = self.tail.lines.get(said.index);
        line.is_some_and(|line| line.senses().has(Sense::CannotStart))
    }
}

/// Returns true if a shell says that it cannot run a command; see "Exit Status" in bash(1).
fn is_of_command(error: &Finding) -> bool {
    let is_shells = |end: &ExpectedExit| matches!(end, ExpectedExit::Code(126 | 127));
    !error.ends.is_empty() && error.ends.iter().all(is_shells)
}

/// Returns true if a supervisor speaks of an end or a start, outside of the service's own log.
fn tells_of_a_life(line: &LogLine) -> bool {
    line.carried_as.as_deref() == Some("systemd") || is_of_compose(&line.text)
}
