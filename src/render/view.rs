//! A report as people see it: clean and bounded strings that only have to be escaped for their
//! destination.

use serde::Serialize;

use super::clean::{clean, one_line};
use super::condition;
use super::counts;
use super::cut::{LINE, head, head_by, tail_by};
use super::headline::{self, Headline};
use super::past;
use super::picture::{self, Day, Gauge};
use crate::report::{CollectorKind, Exit, Kind, Report, Section, Status, Supervisor, Verdict};
use crate::when::{length_of_seconds, moment};

/// The fields of a report for templates and sinks. Every string is clean, and one line, except a
/// block's text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "templates ask these questions one by one"
)]
pub struct View {
    /// `[db1] web crashed: exit code 1`; of a drill, `DRILL [db1] …`. At most 200 characters.
    pub subject: String,
    /// `web crashed: exit code 1`: the subject without host and drill.
    pub title: String,
    pub drill: bool,
    /// In a word or two: `crashed`, `keeps crashing`, `up again`, `still down`, `drill`, `notice`.
    pub status: &'static str,
    /// A colour in CSS: red for crashes, green if the service is up again, amber for drills and
    /// notices. White text is readable on it.
    pub colour: &'static str,
    /// Whose word all of this is, unless it is root's.
    pub by: Option<String>,
    pub host: String,
    /// `web`, or `web (a/b)` with an instance.
    pub service: String,
    /// `web crashed`, `web keeps crashing`, `web is up again`.
    pub what: String,
    /// How things stand as the message is sent: `restarting (systemd, in 5 s)`.
    pub now: Option<String>,
    /// The reason for the verdict; for many crashes how often and how fast.
    pub because: String,
    /// True if the title contains `because`.
    pub says_because: bool,
    /// The cause, in one line.
    pub why: String,
    /// True if the title contains `why`.
    pub says_why: bool,
    /// How well the cause is proven: `certain`, `likely`, `not proven`.
    pub confidence: &'static str,
    pub evidence: Vec<Fact>,
    /// Of crashes of several causes: how often each, in lines.
    pub causes: Vec<String>,
    /// How the main process ended, unless the cause says it.
    pub exit: Option<String>,
    /// The host, and the supervisor there.
    pub place: String,
    /// `2026-11-23 03:00:00 UTC`; for many crashes from when to when.
    pub stopped: String,
    pub started: Option<String>,
    /// `3 h 12 min`.
    pub uptime: Option<String>,
    /// How often it has died before, in sentences.
    pub past: Vec<String>,
    /// The changes since the crash before, in sentences.
    pub changes: Vec<String>,
    /// When it died in the last day, if it was more than once.
    pub day: Option<Day>,
    pub runbook: Option<String>,
    /// True if the runbook is an address to click on.
    pub runbook_is_link: bool,
    /// How full memory, CPUs and disks are.
    pub gauges: Vec<Gauge>,
    /// The logs, then all other sections.
    pub blocks: Vec<Block>,
    /// Failures and assumptions of lastwords itself.
    pub notes: Vec<String>,
    pub id: String,
    /// The command that shows the whole report: `lastwords show ID`.
    pub show: String,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    pub source: String,
    pub text: String,
}

/// One section of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Block {
    /// The collector, and its failure if there was one: `memory`, `dmesg (failed)`.
    pub title: String,
    /// True if this is a service's log.
    pub is_log: bool,
    /// The latest lines are at the end.
    #[serde(skip)]
    news_last: bool,
    /// The text, without empty lines around it.
    pub text: String,
}

/// Maximum lengths in characters and numbers of items: they bound every message, whatever a report
/// holds.
const LOG: usize = 40_000;
const OTHER: usize = 8_000;
const BLOCKS: usize = 24;
const ITEMS: usize = 24;
/// Maximum number of a log's lines in a message that has the whole log attached.
const LINES: usize = 30;

impl View {
    /// Returns the view of a report.
    pub fn of(report: &Report) -> Self {
        let stop = &report.stop;
        let host = one_line(&report.host, 80);
        let service = headline::service(report);
        let Headline {
            title,
            status,
            what,
            because,
            why,
            when,
            colour,
        } = Headline::of(report);
        let is_one = report.kind == Kind::Crash;
        let never_ran = report.verdict == Verdict::AbortedStart && stop.exit == Exit::Unknown;
        let nothing_ended =
            report.kind == Kind::Notice || report.verdict == Verdict::Missed || never_ran;
        let exit = Some(one_line(&stop.exit.to_string(), 120)).filter(|_| !nothing_ended);
        let drill = if report.drill { "DRILL " } else { "" };
        let past = report.past.as_ref().filter(|_| is_one && !report.drill);
        let condition = report.now.as_ref().filter(|_| !report.drill);
        let runbook = report
            .runbook
            .as_deref()
            .map(|runbook| one_line(runbook, LINE));
        Self {
            subject: head(&format!("{drill}[{host}] {title}"), 200),
            drill: report.drill,
            by: by(report, &service),
            says_because: title.contains(&because),
            says_why: title.contains(&why),
            because,
            now: condition.map(|now| match report.verdict {
                Verdict::Missed => condition::words_of_run(now, report.made_at()),
                _ => condition::words(now, report.made_at()),
            }),
            confidence: report.cause.confidence.words(),
            evidence: few(&report.cause.evidence, |fact| Fact {
                source: one_line(&fact.source, 200),
                text: one_line(&fact.text, LINE),
            }),
            causes: counts::lines(report),
            place: if stop.supervisor == Supervisor::UNKNOWN {
                host.clone()
            } else {
                format!("{host}, supervised by {}", stop.supervisor)
            },
            stopped: when,
            status,
            colour,
            started: stop.started_at.filter(|_| is_one && !never_ran).map(moment),
            uptime: (stop.uptime_s.filter(|_| is_one && !never_ran)).and_then(length_of_seconds),
            past: past.map(|past| past::often(past, stop)).unwrap_or_default(),
            changes: past.map(past::changes).unwrap_or_default(),
            day: report
                .past
                .as_ref()
                .filter(|_| !report.drill)
                .and_then(|past| picture::day(&past.hours)),
            runbook_is_link: runbook.as_deref().is_some_and(|runbook| {
                runbook.starts_with("https://") || runbook.starts_with("http://")
            }),
            runbook,
            gauges: picture::gauges(&report.sections),
            blocks: blocks(&report.sections),
            notes: few(&report.notes, |note| one_line(note, LINE)),
            id: report.id.to_string(),
            show: format!("lastwords show {}", report.id),
            host,
            service,
            what,
            exit: exit.filter(|exit| !why.contains(exit)),
            why,
            title,
        }
    }

    /// Cuts each log to its last lines, for a message that has the whole log attached.
    #[must_use]
    pub fn brief(self) -> Self {
        // As HTML: Gmail shows no more than 102 KiB of a message.
        let cost = |c| match c {
            '&' | '<' | '>' | '"' | '\'' | '`' | '=' => 6,
            c => c.len_utf8(),
        };
        Self {
            blocks: self.blocks.into_iter().map(Block::brief).collect(),
            ..self
        }
        .within(24_000, 12_000, cost)
    }

    /// Cuts the logs to a total cost of `logs`, and the other sections to one of `others`. `cost`
    /// is the cost of a character.
    #[must_use]
    pub fn within(self, logs: usize, others: usize, cost: impl Fn(char) -> usize + Copy) -> Self {
        let count = self.logs().count();
        let (log, other) = (
            logs / count.max(1),
            others / (self.blocks.len() - count).max(1),
        );
        let cut = |block: Block| {
            let text = block.cut_by(if block.is_log { log } else { other }, cost);
            Block { text, ..block }
        };
        Self {
            blocks: self.blocks.into_iter().map(cut).collect(),
            ..self
        }
    }

    /// Returns the service's logs.
    pub fn logs(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.is_log)
    }
}

/// Returns whose word a report is, unless it is root's.
fn by(report: &Report, service: &str) -> Option<String> {
    let uid = report.user?;
    let name = report.user_name.as_ref();
    let user = name.map_or_else(
        || format!("user {uid}"),
        |name| format!("user {} ({uid})", one_line(name, 40)),
    );
    Some(if report.claimed().is_some() {
        format!("{user}, as whom no job {service} runs: nothing of this is checked")
    } else {
        format!("{user}, as whom {service} runs: nothing of this is checked")
    })
}

/// Returns views of the first items.
fn few<T, U>(items: &[T], view: impl Fn(&T) -> U) -> Vec<U> {
    items.iter().take(ITEMS).map(view).collect()
}

/// Returns the sections in the order in which people want them.
fn blocks(sections: &[Section]) -> Vec<Block> {
    const AFTER_THE_LOGS: [CollectorKind; 5] = [
        CollectorKind::MEMORY,
        CollectorKind::LOAD,
        CollectorKind::DISK,
        CollectorKind::PROCESSES,
        CollectorKind::DMESG,
    ];
    let rank = |section: &&Section| {
        let position = AFTER_THE_LOGS.iter().position(|it| *it == section.kind);
        (
            !section.kind.is_log(),
            position.unwrap_or(AFTER_THE_LOGS.len()),
        )
    };
    let mut sections: Vec<_> = sections.iter().collect();
    sections.sort_by_key(rank);
    sections.into_iter().take(BLOCKS).map(Block::of).collect()
}

impl Block {
    fn of(section: &Section) -> Self {
        let name = one_line(&section.collector, 200);
        let text = clean(&section.text);
        let text = text.trim_start_matches('\n').trim_end();
        Self {
            title: match section.status {
                Status::Ok => name,
                Status::Failed => format!("{name} (failed)"),
                Status::Denied => format!("{name} (not allowed)"),
                Status::TimedOut => format!("{name} (timed out)"),
            },
            is_log: section.kind.is_log(),
            news_last: section.kind.is_log() || section.kind == CollectorKind::DMESG,
            text: text.to_owned(),
        }
        .bounded()
    }

    /// Cuts a log to the lines that people look at.
    fn brief(self) -> Self {
        let lines = self.text.lines().count();
        if !self.is_log || lines <= LINES {
            return self;
        }
        let last: Vec<_> = self.text.lines().skip(lines - LINES).collect();
        let title = format!(
            "{}, last {LINES} of {lines} lines (all are attached)",
            self.title
        );
        Self {
            title,
            text: last.join("\n"),
            ..self
        }
    }

    /// Cuts the text to the maximum length in any message.
    fn bounded(self) -> Self {
        let text = self.cut_by(if self.is_log { LOG } else { OTHER }, |_| 1);
        Self { text, ..self }
    }

    /// Cuts the text: a log keeps its end, anything else its beginning.
    pub fn cut_by(&self, max: usize, cost: impl Fn(char) -> usize) -> String {
        if self.news_last {
            tail_by(&self.text, max, cost)
        } else {
            head_by(&self.text, max, cost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::View;
    use crate::report::{sample, section};

    #[test]
    fn an_uptime_that_is_no_length_of_time_is_left_out() {
        for nonsense in [f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
            let mut report = sample();
            report.stop.uptime_s = Some(nonsense);
            assert_eq!(View::of(&report).uptime, None);
        }
    }

    #[test]
    fn logs_come_first_and_strange_collectors_last() {
        let mut report = sample();
        report.sections = ["logins", "dmesg", "disk", "log /a", "memory", "log /b"]
            .map(|name| section(name, "x"))
            .to_vec();
        let titles: Vec<_> = View::of(&report)
            .blocks
            .into_iter()
            .map(|block| block.title)
            .collect();
        assert_eq!(
            titles,
            ["log /a", "log /b", "memory", "disk", "dmesg", "logins"]
        );
    }

    #[test]
    fn a_log_keeps_its_end_and_a_table_its_beginning() {
        let long = (0..20_000)
            .map(|i| format!("line {i}"))
            .collect::<Vec<_>>()
            .join("\n");
        let mut report = sample();
        report.sections = vec![section("log", &long), section("processes", &long)];
        let view = View::of(&report);
        assert!(
            view.blocks[0].text.starts_with("…\nline 1")
                && view.blocks[0].text.ends_with("line 19999")
        );
        assert!(view.blocks[1].text.starts_with("line 0\n") && view.blocks[1].text.ends_with('…'));
        assert_eq!(view.logs().count(), 1);
    }

    #[test]
    fn a_hostile_name_leaves_a_subject_of_one_bounded_line() {
        let mut report = sample();
        report.drill = true;
        report.stop.job = format!("web\r\nBcc: x@evil\u{1b}[2J\u{202e}{}", "🦀".repeat(10_000));
        report.cause.line = "y".repeat(10_000);
        let subject = View::of(&report).subject;
        assert!(
            subject.starts_with("DRILL [db1] web Bcc: x@evil🦀🦀"),
            "{subject}"
        );
        assert!(
            subject.contains("… crashed: yyy") && subject.ends_with('…'),
            "{subject}"
        );
        assert_eq!(subject.chars().count(), 200);
    }
}
