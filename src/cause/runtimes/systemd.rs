//! systemd's own words on why it could not start a service, or why it has ended one.

use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::{self, Signal};
use crate::cause::finding::Finding;
use crate::cause::kernel::is_cgroup_of;
use crate::cause::text::LogLine;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&[".service: "], read)];

/// Exits of a service that systemd ends after a time limit.
const TIMED_OUT: &[ExpectedExit] = &[Signal("TERM"), Signal("KILL"), Signal("ABRT")];

const KILLED: &[ExpectedExit] = &[Signal("KILL")];

/// Words after the unit's name, the kind, and the exits that go with it; any if there are none.
const REASONS: [(&str, Death, &[ExpectedExit]); 9] = [
    (
        "A process of this unit has been killed by the OOM killer",
        Death::OomKilled,
        KILLED,
    ),
    ("systemd-oomd killed ", Death::OomKilled, KILLED),
    ("State 'stop-", Death::KilledBySignal, KILLED),
    (
        "start operation timed out",
        Death::KilledBySignal,
        TIMED_OUT,
    ),
    (
        "start-post operation timed out",
        Death::KilledBySignal,
        TIMED_OUT,
    ),
    ("Watchdog timeout", Death::KilledBySignal, TIMED_OUT),
    (
        "Service reached runtime time limit",
        Death::KilledBySignal,
        TIMED_OUT,
    ),
    ("Failed at step ", Death::PlainExit, &[]),
    ("Failed to load environment files", Death::PlainExit, &[]),
];

/// Reads a reason that systemd has told.
fn read(spot: &Spot) -> Option<Finding> {
    speaks(spot.line.carried_as.as_ref()?).then_some(())?;
    let (_, rest) = spot.text().split_once(".service: ")?;
    let (_, kind, ends) = *REASONS.iter().find(|(words, ..)| rest.starts_with(words))?;
    let kind = beneath::kind(rest).unwrap_or(kind);
    let finding = Finding::at(spot.at..spot.at + 1, kind, format!("systemd: {rest}"));
    Some(finding.last_words(ends))
}

/// Returns true if a carrier's name for a process is systemd's. In brackets: the process that
/// systemd makes the service's.
pub fn speaks(name: &str) -> bool {
    name == "systemd" || name.starts_with('(')
}

/// Returns true if systemd speaks of a unit in this line that is not the job's. Without a job it is
/// another's if the log names several.
pub fn is_of_another_unit(lines: &[LogLine], line: &LogLine, job: &str) -> bool {
    let Some(told) = unit(line) else {
        return false;
    };
    if job.is_empty() {
        return lines.iter().filter_map(unit).any(|unit| unit != told);
    }
    !is_cgroup_of(job, told)
}

/// Returns the unit that systemd speaks of: `web.service: Main process exited`.
fn unit(line: &LogLine) -> Option<&str> {
    line.carried_as.as_deref().filter(|name| speaks(name))?;
    let (unit, _) = line.text.split_once(": ")?;
    unit.ends_with(".service").then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::is_of_another_unit;
    use crate::cause::text;

    #[test]
    fn without_a_job_a_unit_is_the_services_if_the_log_names_no_other() {
        let line = |unit: &str| format!("Nov 22 23:58:59 db1 systemd[1]: {unit}.service: Killed\n");
        let is_of_another = |log: &str, job: &str| {
            let lines = text::read(log);
            is_of_another_unit(&lines, &lines[0], job)
        };
        assert!(!is_of_another(&line("web"), ""));
        assert!(is_of_another(&(line("web") + &line("mail")), ""));
        assert!(!is_of_another(&(line("web") + &line("mail")), "web"));
        assert!(is_of_another(&line("web"), "mail"));
    }
}
