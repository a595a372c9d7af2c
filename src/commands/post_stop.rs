//! `post-stop`: the service has ended. Was that planned? If not: keep what vanishes, commit the report, wake the
//! deliverer, and let the supervisor go on.

use std::time::Duration;

use anyhow::{Context, Result};

use super::hook::{Call, HookArgs};
use super::{capture, nudge};
use crate::cause::kernel::oom_kill;
use crate::clock::Now;
use crate::collectors::runner;
use crate::config::{self, Loaded};
use crate::host::Host;
use crate::kmsg::{self, Record};
use crate::marker::{Marker, Seen, Taken};
use crate::report::{Evidence, Report, Supervisor, Verdict};
use crate::supervisor::{Account, upstart};
use crate::verdict::{Case, Judgement, judge};

/// How long the collectors may take together: the restart waits for them.
const BUDGET: Duration = Duration::from_millis(200);

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let now = Now::read();
    let call = Call::read(args)?;
    let mut notes = Vec::new();
    let file = call.marker(&args.places);
    let taken =
        file.take().with_context(|| format!("a crash of {} may go unnoticed: cannot take its marker", call.job))?;
    let boot_id = host.boot_id();
    let marker = armed(taken, &boot_id, now, &mut notes);
    let kernel_log = kmsg::read_kernel_log(host);
    let last_seen = file.last_seen().filter(|seen| seen.boot_id == boot_id);
    // None of this is about the next life, whether or not the marker was armed in this one.
    if let Some(last) = kernel_log.as_ref().ok().and_then(|log| log.last())
        && let Err(why) = file.see(&Seen { boot_id, sequence: last.seq })
    {
        notes.push(format!("the next report may show lines of the kernel log that are about this end: {why}"));
    }
    let Some(marker) = marker else { return Ok(()) };

    let loaded = config::load(&args.places.config, &call.job);
    let life = kernel_log.as_ref().ok().map(|log| since_start(log, &marker, last_seen.as_ref(), now));
    let (judgement, oom) = judge_stop(&call, &marker, life.as_deref(), &loaded, host, now);

    if judgement.verdict != Verdict::Planned {
        if let Err(why) = &kernel_log {
            notes.push(format!("what the kernel log tells of the end is not known: {why}"));
        }
        let mut report = capture::report(&call, judgement, oom.as_ref(), Some(&marker), &loaded, host, now);
        report.notes.extend(notes);
        let collectors = capture::collectors(&loaded, &report.stop);
        let quick: Vec<_> = collectors.into_iter().filter(|it| !it.runs_later()).collect();
        // A program that the job wants run before the restart has the time that the job gives it.
        let budget = BUDGET + quick.iter().map(|it| it.patience()).sum::<Duration>();
        report.sections = runner::run(quick, &report.stop, host, budget);
        commit(&report, args).with_context(|| {
            format!(
                "{} {} ({}), and the report is lost: cannot write it",
                report.stop.service(),
                report.verdict,
                report.cause.line
            )
        })?;
    }
    file.settle().with_context(|| format!("cannot clear the marker of {}", call.job))
}

/// The marker of the service that has ended; `None` where lastwords had not been told that it ran.
fn armed(taken: Taken, boot_id: &str, now: Now, notes: &mut Vec<String>) -> Option<Marker> {
    match taken {
        Taken::Marker(marker) if marker.boot_id == boot_id => Some(marker),
        // What an earlier boot armed ended with that boot.
        Taken::Marker(_) | Taken::Nothing => None,
        Taken::Unreadable(why) => {
            // Whoever damaged it must not hide a crash by that.
            notes.push(format!(
                "when it started, and whether its stop was announced, is not known: its marker is unreadable ({why})"
            ));
            Some(Marker::new(boot_id.to_owned(), now))
        }
    }
}

/// The records that can be about this life of the service.
fn since_start(log: &[Record], marker: &Marker, last_seen: Option<&Seen>, now: Now) -> Vec<Record> {
    let start = Duration::from_millis(marker.armed_ms).saturating_sub(drift(marker, now)).as_micros();
    let ours = |record: &&Record| {
        u128::from(record.micros) >= start && last_seen.is_none_or(|seen| record.seq > seen.sequence)
    };
    log.iter().filter(ours).cloned().collect()
}

/// How far the kernel's stamps may be off: its log's clock is one that nobody disciplines, and over months it drifts from
/// the one that we read.
fn drift(marker: &Marker, now: Now) -> Duration {
    Duration::from_secs(1) + marker.uptime(now) / 1000
}

fn judge_stop(
    call: &Call,
    marker: &Marker,
    life: Option<&[Record]>,
    loaded: &Loaded,
    host: &Host,
    now: Now,
) -> (Judgement, Option<Evidence>) {
    let mut account = match (call.supervisor, life) {
        (Supervisor::Upstart, Some(records)) => {
            let plan = loaded.job.stop_timeout + drift(marker, now);
            let plan_since = u64::try_from(now.monotonic.saturating_sub(plan).as_micros()).unwrap_or(u64::MAX);
            upstart::account(&call.job, call.instance.as_deref(), records, plan_since)
        }
        _ => Account::default(),
    };
    account.planned = call.planned.clone().or(account.planned);
    account.silent_early_stop = call.supervisor == Supervisor::Upstart && has_post_start(&call.job, host);
    let pid = account.death.as_ref().and_then(|death| death.pid);
    let oom = pid.zip(life).and_then(|(pid, records)| oom_kill(pid, records));
    let judgement = judge(&Case {
        account: &account,
        marker,
        oom: oom.as_ref(),
        normal: &loaded.job.normal_exit,
        plan_lasts: loaded.job.stop_timeout,
        now,
    });
    (judgement, oom)
}

/// Whether Upstart runs a post-start for this job.
fn has_post_start(job: &str, host: &Host) -> bool {
    // A job's name is a path below /etc/init. One that leads out of there names no job.
    let inside = job.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let conf = |ending| host.read(format!("/etc/init/{job}.{ending}")).is_ok_and(|conf| upstart::has_post_start(&conf));
    inside && (conf("conf") || conf("override"))
}

/// Makes the report safe, and sees to it that somebody sends it.
fn commit(report: &Report, args: &HookArgs) -> std::io::Result<()> {
    let spool = args.places.spool();
    match args.places.inbox_of() {
        // Only root's deliverer may send, and it looks there by itself.
        Some(uid) => spool.put_into_inbox(uid, report),
        None => spool.put(report).map(|()| nudge::deliver(&args.places)),
    }
}
