//! The messages about a service, and how each says that things stand with it: one table for every
//! supervisor.

use std::fmt::Write as _;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::Path;
use std::time::SystemTime;

use crate::support::harness::{Harness, patiently};

/// A row of the table: what happened to a service, and the messages about it.
pub struct Row {
    pub event: &'static str,
    pub job: &'static str,
    /// Beginnings of the title, after the job's name, and of the line `Now`.
    pub messages: &'static [(&'static str, &'static str)],
}

pub const fn row(
    event: &'static str,
    job: &'static str,
    messages: &'static [(&'static str, &'static str)],
) -> Row {
    Row {
        event,
        job,
        messages,
    }
}

/// Waits until the messages are there, and compares them with the table, which it then writes to
/// `target/tmp`. `told` returns all messages.
pub fn check(supervisor: &str, rows: &[Row], told: impl Fn() -> Vec<String>) {
    // A message that is missing shows in the comparison.
    let _ = patiently(|| {
        let told = told();
        let are_there = |row: &Row| of(&told, row.job).len() >= row.messages.len();
        rows.iter().all(are_there).then_some(())
    });
    let told = told();
    let mut table = String::new();
    let mut wrong = String::new();
    for row in rows {
        let found = of(&told, row.job);
        let is_right = |((title, now), (expected, condition)): (&(&str, &str), _)| {
            title.starts_with(expected) && now.starts_with(condition)
        };
        let are_right = found.iter().zip(row.messages.iter().copied()).all(is_right);
        if !are_right || found.len() != row.messages.len() {
            let _ = writeln!(wrong, "{}: {found:#?}", row.event);
        }
        for (title, now) in &found {
            let _ = writeln!(table, "| {supervisor} | {} | {title} | {now} |", row.event);
        }
        if found.is_empty() {
            let _ = writeln!(table, "| {supervisor} | {} | no message | |", row.event);
        }
    }
    let clock = clock();
    for (_, now) in rows.iter().flat_map(|row| of(&told, row.job)) {
        let since = now
            .strip_prefix("up again since ")
            .and_then(|it| it.get(..8));
        // Around midnight the times of two days cannot be compared.
        if since.is_some_and(|since| since > clock.as_str() && *clock > *"00:10:00") {
            let _ = writeln!(wrong, "at {clock}: {now}");
        }
    }
    assert!(wrong.is_empty(), "{supervisor}: {wrong}");
    let _ = writeln!(stdout(), "{table}");
    let file = format!("{supervisor}.now.table");
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file), table).unwrap();
}

/// Returns the time of day in UTC.
fn clock() -> String {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// Returns the title of each message about a job, without the job's name, and its `Now`.
fn of<'t>(told: &'t [String], job: &str) -> Vec<(&'t str, &'t str)> {
    let read = |text: &'t String| {
        let title = text.lines().next()?.strip_prefix(job)?.strip_prefix(' ')?;
        let now = text.lines().find_map(|line| line.strip_prefix("Now "));
        Some((title, now.unwrap_or_default().trim()))
    };
    told.iter().filter_map(read).collect()
}

/// Returns the number of messages about a job.
fn told_about(machine: &Harness, job: &str) -> usize {
    of(&machine.messages(), job).len()
}

impl Harness {
    /// Waits until there are so many messages about the job. With `later` the deliverer looks
    /// meanwhile, as if it were so much later: a busy supervisor may not answer at the first look.
    pub fn wait_for_messages(&self, job: &str, count: usize, later: Option<&str>) {
        let look = || {
            if let Some(later) = later {
                self.look(later);
            }
            (told_about(self, job) >= count).then_some(())
        };
        let told = patiently(look);
        assert!(told.is_some(), "{job}: {:#?}", of(&self.messages(), job));
    }

    /// Has the deliverer look as if it were so much later.
    pub fn look(&self, later: &str) {
        let deliver = self.command("deliver").args(["--later", later]).output();
        let deliver = deliver.unwrap();
        assert!(deliver.status.success(), "{deliver:?}");
    }
}
