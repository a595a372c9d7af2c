//! The words in which the kinds of reports differ: a crash, many crashes, the end of them, and
//! lastwords itself.

mod series;

use std::fmt::{self, Write};
use std::time::Duration;

use super::clean::one_line;
use super::condition;
use super::counts::beside_the_first;
use super::cut::{LINE, head};
use crate::report::{Condition, Confidence, Death, Exit, Kind, Report, Series, Timestamp, Verdict};
use crate::when::{moment, rough_length};
use series::{again, from_to, goes_on, how_often, in_brackets, more, since_then};

/// The first lines of a message, in the words of the report's kind.
pub struct Headline {
    pub title: String,
    /// In a word or two.
    pub status: &'static str,
    pub what: String,
    pub because: String,
    pub why: String,
    pub when: String,
    /// The colour, as CSS writes it.
    pub colour: &'static str,
}

/// Ends the cause's line if only the exit is known.
const UNKNOWN: &str = ", cause unknown";
/// Stands before what the service said last.
const NOT_PROVEN: &str = ", cause not proven;";

/// White text on them has a contrast of at least 4.5 (WCAG 2, AA).
const RED: &str = "#b3261e";
const AMBER: &str = "#8a5a00";
const GREEN: &str = "#1e6b34";

impl Headline {
    pub fn of(report: &Report) -> Self {
        let words = Wording::of(report);
        match report.kind {
            Kind::Crash => words.crash(report),
            Kind::Summary {
                new,
                all,
                instances,
                made_at,
            } => words.summary(report.verdict, new, all, instances, made_at),
            Kind::Recovered {
                new,
                all,
                ended_well: Some(at),
                ..
            } => words.ended_well(at, new, all),
            Kind::Recovered {
                new,
                all,
                stopped: Some(at),
                ..
            } => words.stopped(at, new, all),
            Kind::Recovered {
                new,
                all,
                up_s,
                made_at,
                ..
            } => {
                let is_up = is_still_up(report.now.as_ref(), made_at);
                words.recovered(is_up, Duration::from_secs(up_s), new, all)
            }
            Kind::Down {
                since,
                is_reminder,
                is_again,
                made_at,
            } => words.down(report, made_at.since(since), is_reminder, is_again),
            Kind::Notice => words.notice(),
        }
    }
}

/// Returns the service's name. It may be another than the report claims.
pub fn service(report: &Report) -> String {
    let name = report
        .claimed()
        .map_or_else(|| report.stop.service(), str::to_owned);
    one_line(&name, 80)
}

/// Returns the user whose hook made the report, by name or else by number.
pub fn user(report: &Report) -> Option<String> {
    let uid = report.user?;
    let name = report.user_name.as_ref().map(|name| one_line(name, 40));
    Some(name.unwrap_or_else(|| uid.to_string()))
}

/// The words that all kinds are made from.
struct Wording {
    service: String,
    /// The cause, or the exit if there is none.
    why: String,
    because: String,
    when: String,
    /// The end, in words that claim no more than the verdict.
    end: &'static str,
    /// The cause is known, or its line says that it is not.
    says_cause: bool,
    /// The service stays down until somebody acts.
    is_down: bool,
    /// The thing that it had not done, if the message is about that: `not run since …`.
    missed: Option<String>,
    /// Number of the other causes that the message tells of, in words.
    beside: String,
}

impl Wording {
    fn of(report: &Report) -> Self {
        let service = service(report);
        let cause = one_line(&report.cause.line, LINE);
        let why = if cause.is_empty() {
            one_line(&report.stop.exit.to_string(), 120)
        } else {
            cause
        };
        let is_known = report.cause.confidence != Confidence::None;
        Self {
            service: match (user(report), report.claimed()) {
                (None, _) => service,
                (Some(user), None) => format!("{service} of user {user}"),
                (Some(user), Some(_)) => format!("user {user} says: {service}"),
            },
            end: match report.verdict {
                Verdict::Crashed | Verdict::Missed => "a crash",
                Verdict::AbortedStart => "a start that failed",
                Verdict::Planned | Verdict::Unknown => "an end that was perhaps planned",
            },
            says_cause: is_known || why.ends_with(UNKNOWN) || report.cause.last_words.is_some(),
            missed: (report.verdict == Verdict::Missed)
                .then(|| why.trim_start_matches("has ").to_owned()),
            why,
            because: one_line(&report.verdict_because, LINE),
            beside: beside_the_first(&report.causes),
            when: moment(report.stop.stopped_at),
            is_down: !report.drill
                && report.verdict != Verdict::Missed
                && report.now.as_ref().is_some_and(Condition::is_down),
        }
    }

    /// Returns the end of a title: the cause, or that it is unknown.
    fn cause(&self, why: &str) -> String {
        if self.says_cause {
            format!(": {why}")
        } else {
            UNKNOWN.to_owned()
        }
    }

    /// Returns the cause at a length that leaves room in the title.
    fn short(&self) -> String {
        let length = if self.beside.is_empty() { 100 } else { 70 };
        head(&self.titled(), length)
    }

    /// Returns the cause for a title, where the room is for what the service said itself.
    fn titled(&self) -> String {
        self.why.replacen(NOT_PROVEN, ";", 1)
    }

    /// Returns what the service did, and whether it is down now.
    fn what(&self, did: impl fmt::Display) -> String {
        let now = if self.is_down { ", and is down" } else { "" };
        format!("{} {did}{now}", self.service)
    }

    fn crash(self, report: &Report) -> Headline {
        if let Some(missed) = self.missed.clone() {
            return self.missed(&missed, report, None);
        }
        let by_itself = ended_by_itself(report);
        let what = if by_itself {
            self.what("ended by itself")
        } else {
            self.what(report.verdict)
        };
        let (status, colour) = if report.drill {
            ("drill", AMBER)
        } else if by_itself {
            ("ended", RED)
        } else {
            (status(report.verdict), RED)
        };
        let title = if by_itself {
            format!("{what}: exit code 0, which nobody had asked for")
        } else {
            format!("{what}{}", self.cause(&self.titled()))
        };
        Headline {
            title,
            status,
            what,
            because: self.because,
            why: self.why,
            when: self.when,
            colour,
        }
    }

    /// Says that no run of a job ended well in time. `missed` is what the job has not done (`not
    /// run since …`), `late` is how late it is, in a reminder.
    fn missed(self, missed: &str, report: &Report, late: Option<Duration>) -> Headline {
        // It may have ended well while this message was on its way.
        let is_over = matches!(report.now, Some(Condition::Waiting { .. }));
        let has = match (is_over, late) {
            (true, _) => "had",
            (false, Some(_)) => "still has",
            (false, None) => "has",
        };
        let not = missed.split(" since ").next().unwrap_or(missed);
        let late = late.filter(|_| !is_over).and_then(rough_length);
        let overdue = late.map(|late| format!("it is {late} overdue"));
        let (title, because) = match overdue {
            Some(overdue) => (
                format!(": {overdue}"),
                format!("{overdue}; {}", self.because),
            ),
            None => (String::new(), self.because),
        };
        Headline {
            title: format!("{} {has} {missed}{title}", self.service),
            status: "missed",
            what: format!("{} {has} {not}", self.service),
            because,
            why: format!("it {has} {missed}"),
            when: format!("due by {}", self.when),
            colour: RED,
        }
    }

    fn summary(
        self,
        verdict: Verdict,
        new: Series,
        all: Series,
        instances: usize,
        made_at: Timestamp,
    ) -> Headline {
        let goes_on = !self.is_down && goes_on(new, made_at);
        // These were before it went down, which may have been told before.
        let (status, what, since) = if self.is_down {
            let after = format!("is down, after {}", more(verdict, new.count));
            ("down", after, "before it went down")
        } else {
            let again = again(verdict, new.count, goes_on);
            (again, again.to_owned(), "since the last message")
        };
        let what = format!("{} {what}", self.service);
        let mut because = how_often(new, all, instances, since);
        let why = self.told_why();
        let quiet = rough_length(made_at.since(new.last));
        // A run that is missing is missing still.
        if let Some(quiet) = quiet.filter(|_| !goes_on && self.missed.is_none()) {
            let _ = write!(because, "; none in the {quiet} since");
        }
        let cause = match &self.missed {
            Some(_) => format!(": {why}"),
            None => self.cause(&self.short()),
        };
        let title = format!("{what}{cause}{}{}", self.beside, in_brackets(new));
        Headline {
            title,
            status,
            what,
            because,
            why,
            when: from_to(new).unwrap_or(self.when),
            colour: RED,
        }
    }

    fn recovered(self, is_up: bool, up: Duration, new: Option<Series>, all: Series) -> Headline {
        let (is, has) = if is_up { ("is", "has") } else { ("was", "had") };
        let what = format!("{} {is} up again", self.service);
        let up = rough_length(up).unwrap_or_default();
        let because = format!("it {has} been running for {up}{}", since_then(new));
        let (after, why) = (self.after(), self.told_why());
        let title = format!(
            "{what}: running for {up}, after {after}{}{}",
            self.beside,
            in_brackets(all)
        );
        Headline {
            title,
            status: "up again",
            what,
            because,
            why,
            when: from_to(all).unwrap_or(self.when),
            colour: GREEN,
        }
    }

    fn ended_well(self, at: Timestamp, new: Option<Series>, all: Series) -> Headline {
        let because = format!("its last run ended well at {}", moment(at));
        // That one had ended well before is not known.
        self.ended(("ended well", "ended well"), &because, new, all)
    }

    fn stopped(self, at: Timestamp, new: Option<Series>, all: Series) -> Headline {
        let because = format!(
            "it had come up again, and somebody stopped it at {}",
            moment(at)
        );
        let did = "came up again, and was stopped as planned";
        self.ended((did, "stopped"), &because, new, all)
    }

    /// Says that a service is well, though it does not run.
    fn ended(
        self,
        (did, status): (&str, &'static str),
        because: &str,
        new: Option<Series>,
        all: Series,
    ) -> Headline {
        let what = format!("{} {did}", self.service);
        let (beside, brackets) = (&self.beside, in_brackets(all));
        let why = self.told_why();
        // Nothing died where a run was missing.
        let deaths = since_then(new.filter(|_| self.missed.is_none()));
        Headline {
            title: format!("{what}, after {}{beside}{brackets}", self.after()),
            status,
            what,
            because: format!("{because}{deaths}"),
            why,
            when: from_to(all).unwrap_or(self.when),
            colour: GREEN,
        }
    }

    fn down(
        self,
        report: &Report,
        length: Duration,
        is_reminder: bool,
        is_again: bool,
    ) -> Headline {
        if let Some(missed) = self.missed.clone() {
            let late = report.made_at().since(report.stop.stopped_at);
            return self.missed(&missed, report, is_reminder.then_some(late));
        }
        // It may have come up while this message was on its way.
        let was_up = report.now.as_ref().is_some_and(Condition::was_up);
        let (verb, status) = match (was_up, is_reminder) {
            (true, _) => ("was down", "was down"),
            (false, true) => ("is still down", "still down"),
            (false, false) if is_again => ("is down again", "down again"),
            (false, false) => ("is down", "down"),
        };
        let what = format!("{} {verb}", self.service);
        let length = rough_length(length).filter(|_| is_reminder);
        let did = if is_again && !is_reminder {
            format!("it came up again, {}", report.verdict)
        } else {
            format!("it {}", report.verdict)
        };
        let (title, since) = match length {
            Some(length) if !was_up => (
                format!("{} has been down for {length}", self.service),
                format!("for {length}"),
            ),
            _ => (what.clone(), "since".to_owned()),
        };
        let reason = match &report.now {
            Some(now) if now.is_down() && !is_reminder => {
                let words = condition::words(now, report.made_at());
                words.trim_start_matches("down").to_owned()
            }
            _ => String::new(),
        };
        Headline {
            title: format!("{title}{reason}, after {}", self.after()),
            status,
            because: if was_up {
                format!("{did}, and has come up again since")
            } else {
                format!("{did} and has not come up {since}")
            },
            what,
            why: self.why,
            when: self.when,
            colour: RED,
        }
    }

    /// Returns the cause as a message after the fact says it.
    fn told_why(&self) -> String {
        match self.missed_since() {
            Some(since) => format!("no run had ended well since {since}"),
            None => self.why.clone(),
        }
    }

    /// Returns since when no run had ended well, if the message is about that. A run may have begun
    /// since people were told.
    fn missed_since(&self) -> Option<&str> {
        let missed = self.missed.as_deref()?;
        Some(
            missed
                .split_once(" since ")
                .map_or("then", |(_, since)| since),
        )
    }

    /// Returns the cause in the words behind "after".
    fn after(&self) -> String {
        if let Some(since) = self.missed_since() {
            format!("no run had since {since}")
        } else if self.says_cause {
            self.short().trim_end_matches(UNKNOWN).to_owned()
        } else {
            self.end.to_owned()
        }
    }

    fn notice(self) -> Headline {
        Headline {
            title: format!("lastwords: {}", self.why),
            status: "notice",
            what: "lastwords about itself".to_owned(),
            because: self.why,
            why: self.because,
            when: self.when,
            colour: AMBER,
        }
    }
}

/// Returns true if a service that was up at this moment is not known to have ended since: the
/// message may have been on its way for long.
fn is_still_up(now: Option<&Condition>, then: Timestamp) -> bool {
    match now {
        Some(Condition::Up { since: Some(since) } | Condition::JustUp { since, .. }) => {
            *since <= then
        }
        None
        | Some(Condition::Unknown | Condition::Up { since: None } | Condition::Several { .. }) => {
            true
        }
        Some(_) => false,
    }
}

/// Returns true if the service only ended with exit code 0. That is no crash to people.
fn ended_by_itself(report: &Report) -> bool {
    report.verdict == Verdict::Crashed
        && report.stop.exit == Exit::Code(0)
        && matches!(report.cause.kind, Death::PlainExit | Death::Unknown)
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Crashed => "crashed",
        Verdict::AbortedStart => "could not start",
        Verdict::Missed => "missed",
        Verdict::Planned | Verdict::Unknown => "ended",
    }
}

#[cfg(test)]
mod tests;
