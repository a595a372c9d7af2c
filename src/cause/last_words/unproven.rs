//! The best of what the program said last, where nothing proves the cause.
//!
//! It is a complaint in the final burst: the lines right before the end, with no more than the
//! service's own going down after it. What weighs most counts first, then the earliest line,
//! because later ones often only follow from it.

use std::ops::ControlFlow;

use super::phrases::CANNOT_START;
use super::weight::{Weight, has_form, is_raw, is_work, weight};
use crate::cause::aftermath::{self, Remark, remark};
use crate::cause::entry::LogLevel;
use crate::cause::finding::{Finding, with_cause};
use crate::cause::scene::Scene;
use crate::cause::text::{LogLine, is_same_but_digits};
use crate::cause::vocabulary::{self, is_generic, says};

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
pub fn read(lines: &[LogLine], found: &[Finding], scene: &Scene) -> Option<SaidLine> {
    Burst::read(lines, found, scene).best()
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
    lines: &'a [LogLine],
    scene: &'a Scene<'a>,
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
    /// Time of the life's last line.
    last: Option<f64>,
}

impl<'a> Burst<'a> {
    fn read(lines: &'a [LogLine], found: &[Finding], scene: &'a Scene) -> Self {
        let mut burst = Self {
            lines,
            scene,
            said: Vec::new(),
            own: 0,
            ordinary: 0,
            quiet: 0,
            begin: Begin::Work,
            says_end: false,
            is_asked: false,
            last: None,
        };
        let mut i = lines.len();
        while i > 0 && burst.own < LINES {
            // These were judged: the service has survived them.
            let errors = found.iter().filter(|it| it.lines.end == i);
            if let Some(error) = errors.max_by_key(|it| it.lines.len()) {
                i = error.lines.start.min(i - 1);
                burst.ordinary += usize::from(burst.said.is_empty());
                continue;
            }
            i -= 1;
            let line = lines.get(i).filter(|line| !line.is_blank());
            if line.is_some_and(|line| burst.add(i, line).is_break()) {
                break;
            }
        }
        if i == 0 && burst.begin == Begin::Work {
            burst.begin = Begin::Log;
        }
        burst.cut();
        burst
    }

    /// Adds a line. Breaks at the burst's beginning.
    fn add(&mut self, index: usize, line: &LogLine) -> ControlFlow<()> {
        self.last = self.last.or(line.at);
        if self.before_end(line.at).is_some_and(|time| time > START) {
            return ControlFlow::Break(());
        }
        let lowercase = aftermath::head(line).to_ascii_lowercase();
        match remark(line, self.scene) {
            // After a fatal error a program may well end itself in this way.
            // The lines after the request belong to that.
            Remark::Request => {
                self.is_asked = true;
                self.said.clear();
                return ControlFlow::Continue(());
            }
            Remark::Epilogue => return ControlFlow::Continue(()),
            Remark::Start if self.said.is_empty() && !self.is_ours(line, &lowercase) => {
                // The lines after it are the next life's.
                (self.own, self.ordinary, self.quiet) = (0, 0, 0);
                self.last = None;
                return ControlFlow::Continue(());
            }
            Remark::Start => {
                self.begin = Begin::Start;
                return ControlFlow::Break(());
            }
            Remark::Closing | Remark::Ordinary => {}
        }
        self.own += 1;
        let level = line.level();
        match weight(self.lines, self.scene, line) {
            Some(weight) => self.said.push(SaidLine { index, weight }),
            None if !self.said.is_empty() => {}
            None if vocabulary::is_closing(&lowercase) => {
                self.says_end |= is_generic(&lowercase);
                // Quieter entries after this are part of going down.
                let is_soon = self.before_end(line.at).is_none_or(|time| time <= BURST);
                if is_soon && self.ordinary == self.quiet {
                    (self.ordinary, self.quiet) = (0, 0);
                }
            }
            None if is_work(line) => {
                self.ordinary += 1;
                self.quiet += usize::from(level.is_some_and(|level| level < LogLevel::Error));
            }
            None => {}
        }
        ControlFlow::Continue(())
    }

    /// Returns the seconds from a time to the last line's.
    fn before_end(&self, at: Option<f64>) -> Option<f64> {
        self.last.zip(at).map(|(last, at)| last - at)
    }

    /// Returns true if a start names the dead process.
    fn is_ours(&self, line: &LogLine, lowercase: &str) -> bool {
        let pid = vocabulary::pid_in(lowercase).or_else(|| line.pid());
        pid.is_some() && pid == self.scene.pid
    }

    /// Drops what is too long before the end, unless the life began not long before.
    fn cut(&mut self) {
        if self.begin == Begin::Start {
            return;
        }
        let first = self.lines.len().saturating_sub(NEAR);
        let mut said = std::mem::take(&mut self.said);
        said.retain(|said| {
            let at = self.lines.get(said.index).and_then(|line| line.at);
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
            .filter(|said| !self.was_survived(said))
            .copied()
    }

    /// Returns true if a line counts where nothing weighs more.
    fn fits(&self, said: &SaidLine) -> bool {
        let is_newest = || {
            self.said
                .first()
                .is_some_and(|first| first.index == said.index)
        };
        let Some(line) = self.lines.get(said.index) else {
            return false;
        };
        match said.weight {
            _ if self.is_asked => said.weight == Weight::Fatal,
            Weight::Fatal | Weight::Complaint => true,
            Weight::Objection if line.entry.as_ref().is_some_and(|it| it.level.is_some()) => {
                self.says_end
            }
            Weight::Objection => {
                self.says_end || self.begin != Begin::Work || is_raw(line) && has_form(self.lines)
            }
            Weight::Plain => self.says_end && is_newest(),
        }
    }

    fn says_start(&self, said: &SaidLine) -> bool {
        let head = self.lines.get(said.index).map_or("", aftermath::head);
        says(&head.to_ascii_lowercase(), &CANNOT_START)
    }

    /// Returns true if the same complaint stands in this life before, with work after it.
    fn was_survived(&self, said: &SaidLine) -> bool {
        let Some(line) = self.lines.get(said.index) else {
            return false;
        };
        let message = aftermath::head(line);
        let before = self.lines.get(..said.index).unwrap_or_default();
        let is_same = |line: &&LogLine| is_same_but_digits(aftermath::head(line), message);
        let Some(same) = before.iter().position(|line| is_same(&line)) else {
            return false;
        };
        let after = before.get(same + 1..).unwrap_or_default();
        let mut remarks = after
            .iter()
            .filter(|line| !line.is_blank() && !is_same(line))
            .take(WORK)
            .map(|line| remark(line, self.scene));
        remarks.clone().count() == WORK && remarks.all(|it| it == Remark::Ordinary)
    }
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
