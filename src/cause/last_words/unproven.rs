//! The best of what the program said last, where nothing proves the cause.
//!
//! It is a complaint in the final burst: the lines right before the end, with no more than the
//! service's own going down after it. What weighs most counts first, then the earliest line,
//! because later ones often only follow from it.

use std::ops::ControlFlow;

use super::weight::{Weight, is_work, weight};
use crate::cause::aftermath::{Remark, has_version, tells_exit};
use crate::cause::entry::LogLevel;
use crate::cause::finding::{Finding, with_cause};
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
/// Maximum number of ordinary lines of a logger after the last complaint.
const QUIET: usize = 2;
/// Number of lines of work after which a complaint counts as survived.
const WORK: usize = 3;

/// A line that may be what the program said last.
#[derive(Clone, Copy, Debug)]
pub struct SaidLine {
    /// Index of the line.
    pub index: usize,
    pub weight: Weight,
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

/// The last lines of a life, newest first.
struct Burst<'a> {
    tail: &'a Tail<'a>,
    said: Vec<SaidLine>,
    /// Number of the life's lines.
    own: usize,
    /// Number of ordinary lines after the newest complaint.
    ordinary: usize,
    /// Number of these that a logger gave a level below that of an error.
    quiet: usize,
    begin: Begin,
    /// True if the service says that it ends, but not why.
    says_end: bool,
    /// True if someone asked the service to end.
    is_asked: bool,
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
            quiet: 0,
            begin: Begin::Work,
            says_end: false,
            is_asked: false,
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
            // These were judged: the service has survived them.
            None => {
                self.ordinary += usize::from(self.said.is_empty());
                return ControlFlow::Continue(());
            }
            // After a fatal error a program may well end itself in this way.
            // The lines after the request belong to that.
            Some(Remark::Request) if !line.senses().has(Sense::NoRequest) => {
                self.is_asked = true;
                self.said.clear();
                return ControlFlow::Continue(());
            }
            // A life before this one ended there.
            Some(_) if self.objects() && (tells_of_a_life(line) || is_banner(line)) => {
                self.begin = Begin::Start;
                return ControlFlow::Break(());
            }
            Some(Remark::Epilogue) => {
                self.is_told |= self.said.is_empty() && tells_exit(line);
                return ControlFlow::Continue(());
            }
            Some(Remark::Start) if self.said.is_empty() && !self.tail.is_our_start(unit) => {
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
        let index = unit.lines.start;
        match weight(self.tail, line) {
            Some(weight) => self.said.push(SaidLine { index, weight }),
            None if !self.said.is_empty() => {}
            None if line.senses().has(Sense::Closing) => {
                self.says_end |= is_generic(line.head());
                // Quieter entries after this are part of going down.
                let is_soon = self.before_end(line.at).is_none_or(|time| time <= BURST);
                if is_soon && self.ordinary == self.quiet {
                    (self.ordinary, self.quiet) = (0, 0);
                }
            }
            None if is_work(line) => {
                let level = line.level();
                self.ordinary += 1;
                self.quiet += usize::from(level.is_some_and(|level| level < LogLevel::Error));
            }
            None => {}
        }
        ControlFlow::Continue(())
    }

    /// Returns true if a line more than an ordinary one stands in the burst.
    fn objects(&self) -> bool {
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
        // A few lines that are no louder than usual may be on their way already.
        let most = if self.ordinary == self.quiet {
            QUIET
        } else {
            0
        };
        if self.ordinary > most {
            return None;
        }
        let fitting: Vec<SaidLine> = self
            .said
            .iter()
            .filter(|it| self.fits(it))
            .copied()
            .collect();
        let most = fitting.iter().map(|said| said.weight).max()?;
        let best = || fitting.iter().filter(|said| said.weight == most);
        // The earliest is the last in this order. That it could not start says less than any other.
        best()
            .rfind(|said| !self.says_start(said))
            .or_else(|| best().next_back())
            .filter(|said| !self.tail.was_survived(said.index, WORK))
            .copied()
    }

    /// Returns true if a line counts where nothing weighs more.
    fn fits(&self, said: &SaidLine) -> bool {
        let is_newest = || {
            self.said
                .first()
                .is_some_and(|first| first.index == said.index)
        };
        let Some(line) = self.tail.lines.get(said.index) else {
            return false;
        };
        match said.weight {
            _ if self.is_asked => said.weight == Weight::Fatal,
            Weight::Fatal | Weight::Complaint => true,
            Weight::Objection if line.entry.as_ref().is_some_and(|it| it.level.is_some()) => {
                self.says_end || self.is_told && self.ordinary == 0
            }
            Weight::Objection => {
                self.says_end || self.begin != Begin::Work || line.is_raw() && self.tail.has_form
            }
            Weight::Plain => self.says_end && is_newest(),
        }
    }

    fn says_start(&self, said: &SaidLine) -> bool {
        let line = self.tail.lines.get(said.index);
        line.is_some_and(|line| line.senses().has(Sense::CannotStart))
    }
}

/// Returns true if a supervisor speaks of an end or a start, outside of the service's own log.
fn tells_of_a_life(line: &LogLine) -> bool {
    line.carried_as.as_deref() == Some("systemd") || is_of_compose(&line.text)
}

/// Returns true if a program says at its start which version it is.
fn is_banner(line: &LogLine) -> bool {
    let said = line.senses();
    let is_wrong = said.has(Sense::Failure) || said.has(Sense::Objection);
    !is_wrong && said.has(Sense::Version) && has_version(line.head())
}

/// Maximum length of what announces more lines, in bytes.
const ANNOUNCED: usize = 200;

/// Returns the program's own words in one line, with what a line announces and the error below it.
pub fn text(said: &SaidLine, lines: &[LogLine], found: &[Finding]) -> Option<String> {
    let mut text = words(lines.get(said.index)?);
    let is_below = |it: &&Finding| it.lines.start == said.index + 1;
    if let Some(error) = found.iter().find(is_below) {
        return Some(with_cause(&text, &error.what));
    }
    let mut next = lines.get(said.index + 1..)?.iter();
    // `cannot connect:`, `the following lines must be mended`
    while text.len() < ANNOUNCED && (text.ends_with(':') || text.contains("the following")) {
        let Some(line) = next.next().filter(|line| !line.is_blank()) else {
            break;
        };
        text = format!("{text} {}", words(line));
    }
    Some(text)
}

/// Returns a line as the program's own words.
fn words(line: &LogLine) -> String {
    let Some(entry) = &line.entry else {
        return line.text.trim().to_owned();
    };
    let message = entry.message.trim();
    let beneath = entry.error.first().map(|error| error.trim());
    let text = match beneath.filter(|error| !message.contains(error)) {
        Some(error) if message.is_empty() => error.to_owned(),
        Some(error) => format!("{}: {error}", message.trim_end_matches(['.', ':'])),
        None => message.to_owned(),
    };
    // A logger may write several lines as one entry.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
