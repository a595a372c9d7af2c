//! The best of what the program said last, where nothing proves the cause.
//!
//! It is a complaint in the final burst: the lines right before the end, with no more than the
//! service's own going down after it. What weighs most counts first, then the earliest line,
//! because later ones often only follow from it.

mod choice;

use std::ops::ControlFlow;

use super::weight::{Weight, is_work, weight};
use crate::cause::aftermath::{Remark, is_banner, is_over, names_exit, tells_exit};
use crate::cause::entry::LogLevel;
use crate::cause::finding::{ExpectedExit, Finding};
use crate::cause::handled::is_handled;
use crate::cause::lexicon::{Sense, is_generic};
use crate::cause::prefix::is_of_compose;
use crate::cause::tail::{Tail, TailUnit};
use crate::cause::text::LogLine;

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
    /// Other lines that say more.
    pub others: [Option<usize>; 2],
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
                if self.stop == EarlierEnd::Over || self.began_after(unit) {
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

    /// Returns true if the process that spoke last first spoke after this unit.
    fn began_after(&self, unit: &TailUnit) -> bool {
        let lines = self.tail.lines;
        let newest = self.said.first().and_then(|it| lines.get(it.index)?.pid());
        let before = lines.get(..unit.lines.end).unwrap_or_default();
        let has_spoken = |line: &LogLine| line.pid() == newest;
        newest.is_some() && unit.pid.is_some() && !before.iter().any(has_spoken)
    }

    fn push(&mut self, index: usize, weight: Weight) {
        self.said.push(SaidLine {
            index,
            weight,
            others: [None, None],
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
        let is_announced = |before: &LogLine| {
            let said = before.senses();
            said.is_handled() && (said.has(Sense::Failure) || said.has(Sense::Caught))
        };
        let own = |error: &&Finding| {
            let line = self.tail.lines.get(error.quoted);
            let before = self.tail.line_before(error.lines.start);
            !is_handled(self.tail, error)
                && !before.is_some_and(is_announced)
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
