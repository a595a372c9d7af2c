//! Judges an end again whose hook could not read the kernel log, as in a setuid job where
//! `kernel.dmesg_restrict` is 1. The deliverer is root, and can.
//!
//! Root does not know where in the log this life begins, and the log's clock may be off. So its
//! lines count only if all that the supervisor says in a wide window can be about one life.

use std::time::Duration;

use crate::catch::finish::LOG_UNREAD;
use crate::catch::marker::Marker;
use crate::catch::verdict::{Case, Judgement, judge};
use crate::catch::why::{self, Clues};
use crate::cause::{Explanation, kernel};
use crate::clock::Now;
use crate::config::Loaded;
use crate::host::Host;
use crate::kmsg::{self, Record};
use crate::redact::Redactor;
use crate::report::{Confidence, Exit, Kind, Report, Verdict};
use crate::supervisor::account::{Account, Ending};
use crate::supervisor::supervise::Traces;
use crate::supervisor::{self, Supervise};

/// How long before and after an end the log may have lines about it, or about another life.
const WINDOW: Duration = Duration::from_mins(2);

/// How far the moments of a report may be off, as they are in milliseconds.
const ROUNDED: Duration = Duration::from_millis(3);

/// Judges the end again, if its hook could not read the log and this process can.
pub fn review(report: &mut Report, loaded: &Loaded, host: &Host, now: Now) {
    let is_unread = |note: &String| note.starts_with(LOG_UNREAD);
    let is_open = report.kind == Kind::Crash
        && report.verdict == Verdict::Crashed
        && report.stop.exit == Exit::Unknown;
    if !is_open || !report.notes.iter().any(is_unread) {
        return;
    }
    let supervisor = supervisor::named(report.stop.supervisor.name()).unwrap_or_default();
    let end = now
        .monotonic
        .saturating_sub(now.wall.since(report.stop.stopped_at));
    let since = end.saturating_sub(WINDOW);
    let Ok(log) = kmsg::read_kernel_log(host, micros(since)) else {
        return;
    };
    let until = micros(end + WINDOW);
    let mut records = log.records;
    records.retain(|it| it.micros <= until && it.text.contains(&report.stop.job));
    let account = |records: &[Record]| {
        supervisor.account_from(&Traces {
            job: &report.stop.job,
            instance: report.stop.instance.as_deref(),
            kernel_log: Some(records),
            plan_lasts: WINDOW,
            plan_since: micros(since),
            life: None,
            host,
        })
    };
    let accounts: Vec<Account> = records
        .iter()
        .map(|record| account(std::slice::from_ref(record)))
        .collect();
    if !is_of_one_life(&records, &accounts, end.saturating_sub(uptime(report))) {
        return;
    }
    let account = account(&records);
    if account.ending == Ending::Unheard {
        return;
    }
    let judgement = judged(&account, report, supervisor, loaded, host, now);
    amend(report, judgement, &records, &loaded.redactor);
    report.notes.retain(|note| !is_unread(note));
}

fn uptime(report: &Report) -> Duration {
    let seconds = report.stop.uptime_s.unwrap_or_default();
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns true if no two of the lines tell of different lives, and none is from before this life
/// began.
fn is_of_one_life(records: &[Record], accounts: &[Account], begin: Duration) -> bool {
    let tells = |account: &Account| match &account.ending {
        Ending::NeverRan(_) => true,
        ending => ending.main().is_some_and(|main| main.pid.is_some()),
    };
    let is_respawn = |it: &&Account| !tells(it) && it.ending.main().is_some();
    let respawns = accounts.iter().filter(is_respawn).count();
    let mut told = records.iter().zip(accounts).filter(|(_, it)| tells(it));
    let first = told.next();
    let begin = micros(begin.saturating_sub(ROUNDED));
    first.is_none_or(|(record, _)| record.micros >= begin) && told.next().is_none() && respawns <= 1
}

/// Judges the end by what the supervisor logged. No stop was announced to the hook: else there
/// would be no report.
fn judged(
    account: &Account,
    report: &Report,
    supervisor: &dyn Supervise,
    loaded: &Loaded,
    host: &Host,
    now: Now,
) -> Judgement {
    let stop = &report.stop;
    let allowed = supervisor.allows(&stop.job, stop.instance.as_deref(), host);
    let mut judgement = judge(&Case {
        account,
        marker: &Marker::new(String::new(), now),
        oom: None,
        normal: loaded.job.normal_exit.as_ref().unwrap_or(&allowed.exits),
        plan_lasts: WINDOW,
        silent_early_stop: supervisor.stops_silently(&stop.job, host),
        is_silence_normal: loaded.job.normal_exit.is_none() && allowed.is_silence_normal,
        now,
    });
    if judgement.verdict == Verdict::Planned {
        // The report is there and may be wanted.
        judgement.verdict = Verdict::Unknown;
    }
    judgement
}

/// Puts a judgement into a report. A cause that a log has shown stays.
fn amend(report: &mut Report, judgement: Judgement, records: &[Record], redactor: &Redactor) {
    report.verdict = judgement.verdict;
    report.verdict_because.clone_from(&judgement.because);
    report.stop.exit = judgement.exit.clone();
    report.stop.pid = judgement.pid;
    let clues = Clues {
        kernel: kernel::messages(records),
        ..Clues::default()
    };
    let Explanation { cause, fingerprint } =
        why::explain(&report.stop, &judgement, &report.sections, &clues, redactor);
    if report.cause.confidence == Confidence::None || judgement.failed_start.is_some() {
        report.cause = cause;
        report.fingerprint = fingerprint;
    } else {
        report.cause.evidence.extend(judgement.evidence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::upstart;

    #[test]
    fn lines_of_two_lives_or_from_before_the_start_are_not_taken() {
        let died = "init: web main process (7) killed by SEGV signal";
        let respawns = "init: web main process ended, respawning";
        let failed = "init: web pre-start process (9) terminated with status 1";
        let begin = 100_000;
        let of_one = |lines: &[(u64, &str)]| {
            let record = |(micros, text): &(u64, &str)| Record {
                level: 4,
                facility: 1,
                seq: 1,
                micros: *micros,
                text: (*text).to_owned(),
            };
            let records: Vec<_> = lines.iter().map(record).collect();
            let account = |one| upstart::account("web", None, std::slice::from_ref(one), 0, None);
            let accounts: Vec<_> = records.iter().map(account).collect();
            is_of_one_life(&records, &accounts, Duration::from_micros(begin))
        };
        let late = begin + 50_000;
        assert!(of_one(&[]) && of_one(&[(late, failed)]));
        assert!(of_one(&[(late, died), (late, respawns)]));
        assert!(!of_one(&[(begin - 50_000, died)]), "the life before");
        assert!(!of_one(&[(late, died), (late, died)]));
        assert!(!of_one(&[(late, died), (late, failed)]));
        assert!(!of_one(&[(late, respawns), (late, respawns)]));
    }
}
