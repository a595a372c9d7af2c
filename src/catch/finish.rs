//! What a stop comes to, once its marker is taken: was it planned? If not: keep what vanishes,
//! commit the report, wake the deliverer.
//!
//! The hook's worker does this; or the hook itself, where no process can be had; or, where both
//! were killed, a worker of the deliverer that found the taken marker. Killed at any point, it is
//! begun anew by the next of them, under the same report's id, so that there is one report.
//!
//! Who collects may die of that, each time. So each try of the deliverer's is counted first, in the
//! taken marker's name, and after a few a report without collectors is better than none.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::catch::guard::guarded;
use crate::catch::marker::{Marker, MarkerFile, Seen, Taken};
use crate::catch::verdict::{self, Case, Judgement, judge};
use crate::catch::why::{self, Beside};
use crate::catch::worker::{self, By};
use crate::catch::{capture, nudge};
use crate::cause::{KernelMessage, kernel};
use crate::clock::Now;
use crate::collectors::log::DeepTail;
use crate::collectors::output::Kept;
use crate::collectors::runner;
use crate::config::{self, Loaded};
use crate::host::Host;
use crate::kmsg::{self, Record};
use crate::places::Places;
use crate::random;
use crate::report::{Exit, Level, Report, Section, Stop, Supervisor, Verdict};
use crate::spool::MemoryInbox;
use crate::supervisor::account::Account;
use crate::supervisor::{run, upstart};
use crate::{mounts, notice};

/// How long after the service's end the collectors may be at it: the restart waits for them, and
/// for the commit that comes after them. All of them together take a tenth of that on a machine
/// that is not busy.
const BUDGET: Duration = Duration::from_millis(500);
/// What they have even where the worker itself came late. Where that is too long, the hook has
/// left.
const LEAST_BUDGET: Duration = Duration::from_millis(250);

/// After so many tries of the deliverer's that ended in the worker's death, nothing is collected.
const TRIES: u8 = 3;

/// So many crashes in 10 minutes get all that is collected; of those after them the log is kept,
/// which is small.
const WHOLE: usize = 5;

/// How long before an end the kernel may have said what is about it, where it is not known when the
/// service began to run.
const LAST_MOMENTS: Duration = Duration::from_secs(30);

/// The worker's own `main`.
pub fn run(by: By, taken: &OsStr, args: &[OsString]) -> ExitCode {
    let (args, _) = HookArgs::parse(args);
    let host = args.places.host();
    let done = guarded("post-stop", &host, || {
        let taken = Taken::at(Path::new(taken)).context("this is no taken marker")?;
        let file = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .ok();
        if by != By::Adopter {
            return finish(&taken, file, &args.places, &host, by);
        }
        // Whoever ran the command was killed before it saw the end.
        let unseen = taken
            .circumstances
            .alive
            .then(|| taken.ended(random::report_id(Now::read()), Now::read(), true));
        let taken = unseen.transpose()?.unwrap_or(taken);
        let tried = taken.count_try();
        // Who fails and can say so has not died.
        finish(&tried, file, &args.places, &host, by).inspect_err(|_| tried.become_again(&taken))
    });
    if !done {
        return ExitCode::FAILURE;
    }
    worker::say_done();
    ExitCode::SUCCESS
}

/// Deals with a taken marker whose lock we have.
///
/// # Errors
/// Where there should be a report and there is none. The taken marker stays, and will be found.
pub fn finish(
    taken: &Taken,
    file: Option<File>,
    places: &Places,
    host: &Host,
    by: By,
) -> Result<()> {
    let hangs = |dir: &Path| by == By::Hook && mounts::may_hang(dir);
    let memory = places.memory();
    if memory.holds(&taken.id) {
        // Who was at it before us got as far as this.
        return Ok(taken.settle()?);
    }
    let now = taken.moment(Now::read());
    let mut notes = Vec::new();
    let boot_id = host.boot_id();
    let Some(marker) = armed(file, &boot_id, now, &mut notes) else {
        return Ok(taken.settle()?);
    };
    let call = call(taken, &marker);
    let kernel_log = kmsg::read_kernel_log(host, start(&call, &marker, now));
    if by != By::Adopter
        && marker.life.is_none()
        && let Some(sequence) = kernel_log.as_ref().ok().and_then(|log| log.last)
    {
        // None of this is about the next life.
        let seen = MarkerFile::of(taken).see(&Seen {
            boot_id: boot_id.clone(),
            sequence,
        });
        notes.extend(seen.err().map(|why| {
            format!(
                "the next report may show lines of the kernel log that are about this end: {why}"
            )
        }));
    }

    let loaded = if hangs(&places.config) {
        notes.push(format!(
            "config: {} is not read: {NOBODY_WAITS}",
            places.config.display()
        ));
        Loaded::default()
    } else {
        config::load(&places.config, &call.job)
    };
    let records = kernel_log
        .as_ref()
        .ok()
        .map(|log| of_this_life(&log.records, &marker, now));
    let said = records.as_deref().map(kernel::messages).unwrap_or_default();
    let mut judgement = judge_stop(
        &call,
        &marker,
        records.as_deref(),
        &said,
        &loaded,
        host,
        now,
    );
    if taken.circumstances.missed && marker.life.is_none() {
        doubt(&mut judgement);
    }
    if judgement.verdict == Verdict::Planned {
        return taken
            .settle()
            .with_context(|| format!("cannot clear the marker of {}", call.job));
    }

    if let Err(why) = &kernel_log {
        notes.push(format!(
            "what the kernel log tells of the end is not known: {why}"
        ));
    }
    notes.extend(late(taken, by));
    let stop = capture::stop(&call, &judgement, Some(&marker), now);
    let (sections, logs) = collect(taken, &marker, &stop, &loaded, host, by, &mut notes);
    let oom_kills = marker
        .oom_kills
        .and_then(|before| Some([before, why::oom_kills(host)?]));
    let beside = Beside {
        kernel: said,
        logs,
        oom_kills,
    };
    let mut report = capture::report(stop, judgement, sections, &beside, &loaded, host, now);
    report.id = taken.id.clone();
    report.notes.extend(notes);
    loaded.redactor.report(&mut report);
    if hangs(&places.config) || hangs(&places.spool) {
        return keep_in_memory(report, taken, &memory, host);
    }
    // Who adopts it is the deliverer itself, and looks at the spool after that.
    let delivers = by == By::Adopter || marker.life.is_some_and(|life| life.delivers);
    commit(
        report,
        taken,
        &memory,
        places,
        host,
        !delivers && places.inbox_of().is_none(),
    )
}

/// What the job's collectors find, and beside that the ends of its logs, longer than their sections
/// show.
fn collect(
    taken: &Taken,
    marker: &Marker,
    stop: &Stop,
    loaded: &Loaded,
    host: &Host,
    by: By,
    notes: &mut Vec<String>,
) -> (Vec<Section>, Vec<DeepTail>) {
    let mut collect = capture::collect(loaded, stop, marker.account.as_ref(), host);
    let logs = capture::deep_tails(&mut collect);
    let mut collectors = collect.list();
    if let Some(end) = marker.life.as_ref().and_then(|life| life.end.clone()) {
        collectors.push(Box::new(end.used));
        if by != By::Adopter {
            // First: its causes are the command's own.
            collectors.insert(
                0,
                Box::new(Kept {
                    streams: end.output,
                }),
            );
        }
    }
    // Root writes nothing where the service's user may have put a link.
    let count = || MarkerFile::of(taken).count_crash(&host.boot_id(), taken.moment(Now::read()));
    let is_loop = by != By::Adopter && count().is_ok_and(|count| count > WHOLE);
    if is_loop {
        notes.push(format!("it has crashed more than {WHOLE} times in 10 minutes: of this crash only the log is kept"));
    }
    let is_deadly = taken.tries > TRIES;
    if is_deadly {
        notes.push(format!(
            "nothing is collected: the process that collected died, {TRIES} times after the hook's own try"
        ));
    }
    let quick = collectors
        .into_iter()
        .filter(|it| !it.runs_later() && !is_deadly);
    let quick = quick.filter(|it| !is_loop || it.kind().is_log());
    let (left_out, quick): (Vec<_>, Vec<_>) =
        quick.partition(|it| by == By::Hook && it.may_hang(stop, host));
    // A program that the job wants run before the restart has the time that the job gives it.
    let patience = quick.iter().map(|it| it.patience()).sum::<Duration>();
    if !patience.is_zero() {
        worker::ask_for(patience);
    }
    let budget = BUDGET
        .saturating_sub(Now::read().monotonic.saturating_sub(taken.monotonic))
        .max(LEAST_BUDGET);
    let mut sections = runner::run(quick, stop, host, budget + patience);
    sections.extend(
        left_out
            .iter()
            .map(|it| runner::not_run(it.as_ref(), NOBODY_WAITS)),
    );
    (sections, logs)
}

/// Why the hook itself leaves something out.
const NOBODY_WAITS: &str =
    "it may never answer, and no process could be had that would have waited for it";

/// Leaves the rest to the deliverer: it knows what the config calls secret, and can wait for a
/// disk.
fn keep_in_memory(
    mut report: Report,
    taken: &Taken,
    memory: &MemoryInbox,
    host: &Host,
) -> Result<()> {
    report.level = Level::Memory;
    let (service, id) = (report.stop.service(), report.id.clone());
    memory
        .put(&report)
        .with_context(|| format!("the stop of {service} is left to the deliverer"))?;
    notice::say(
        host,
        &format!(
            "{service} {}: its report {id} is kept in memory: {NOBODY_WAITS}",
            report.verdict
        ),
    );
    Ok(taken.settle()?)
}

/// The marker of the service that has ended; `None` where lastwords had not been told, in this
/// boot, that it ran.
fn armed(file: Option<File>, boot_id: &str, now: Now, notes: &mut Vec<String>) -> Option<Marker> {
    let marker = file
        .context("it is no regular file")
        .and_then(|file| Ok(Marker::read(file)?));
    match marker {
        // What an earlier boot armed ended with that boot. Where one of the two is not known, that
        // proves nothing.
        Ok(marker) => {
            let is_of_this_boot =
                marker.boot_id == boot_id || marker.boot_id.is_empty() || boot_id.is_empty();
            is_of_this_boot.then_some(marker)
        }
        Err(why) => {
            // Whoever damaged it must not hide a crash by that.
            notes.push(format!(
                "when it started, and whether its stop was announced, is not known: its marker is unreadable ({why})"
            ));
            Some(Marker::new(boot_id.to_owned(), now))
        }
    }
}

/// Whom the hook was called for.
fn call(taken: &Taken, marker: &Marker) -> Call {
    let (job, instance) = match &marker.job {
        Some(job) => (job.clone(), marker.instance.clone()),
        None => taken.service(),
    };
    Call::recall(job, instance, taken.circumstances)
}

/// The records that can be about this life of the service, which ended at `now`: whoever reads them
/// late finds the next life's too.
fn of_this_life(log: &[Record], marker: &Marker, now: Now) -> Vec<Record> {
    let end = micros(now.monotonic + drift(marker, now));
    let ours =
        |record: &&Record| record.micros <= end && marker.seen.is_none_or(|seen| record.seq > seen);
    log.iter().filter(ours).cloned().collect()
}

/// When this life of the service can have begun, by the kernel log's clock; where that is not
/// known, what can still be about its end.
fn start(call: &Call, marker: &Marker, now: Now) -> u64 {
    let last_moments = now.monotonic.saturating_sub(LAST_MOMENTS);
    if marker.unarmed {
        return micros(last_moments);
    }
    let armed = Duration::from_millis(marker.armed_ms).saturating_sub(drift(marker, now));
    // supervisord's events come late, when it starts itself by seconds.
    micros(if call.supervisor == Supervisor::Supervisord {
        armed.min(last_moments)
    } else {
        armed
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How far the kernel's stamps may be off: its log's clock is one that nobody disciplines, and over
/// months it drifts from the one that we read.
fn drift(marker: &Marker, now: Now) -> Duration {
    Duration::from_secs(1) + marker.uptime(now) / 1000
}

fn judge_stop(
    call: &Call,
    marker: &Marker,
    life: Option<&[Record]>,
    said: &[KernelMessage],
    loaded: &Loaded,
    host: &Host,
    now: Now,
) -> Judgement {
    let mut account = match (&marker.account, call.supervisor, life) {
        (Some(account), ..) => account.clone(),
        (None, Supervisor::Run, _) => marker
            .life
            .as_ref()
            .map(|life| run::account(life, loaded.job.stop_timeout))
            .unwrap_or_default(),
        (None, Supervisor::Upstart, Some(records)) => {
            let plan = loaded.job.stop_timeout + drift(marker, now);
            let plan_since = micros(now.monotonic.saturating_sub(plan));
            upstart::account(&call.job, call.instance.as_deref(), records, plan_since)
        }
        _ => Account::default(),
    };
    account.announced = call
        .planned
        .clone()
        .or(account.announced.filter(|_| !marker.once));
    let silent_early_stop = call.supervisor == Supervisor::Upstart
        && capture::upstart_confs(&call.job, host)
            .iter()
            .any(|conf| upstart::has_post_start(conf));
    let oom = verdict::pid(&account, marker)
        .and_then(|pid| kernel::oom_kill(pid, said))
        .map(|message| message.evidence("kernel log"));
    // What people run by `run` is often meant to end: in a container, in cron, in CI.
    let usual: &[Exit] = if call.supervisor == Supervisor::Run {
        &[Exit::Code(0)]
    } else {
        &[]
    };
    judge(&Case {
        account: &account,
        marker,
        oom: oom.as_ref(),
        normal: loaded.job.normal_exit.as_deref().unwrap_or(usual),
        plan_lasts: loaded.job.stop_timeout,
        silent_early_stop,
        now,
    })
}

/// Nobody has seen this end: that the service is started again may also mean that it never ran.
fn doubt(judgement: &mut Judgement) {
    if judgement.verdict == Verdict::Crashed && judgement.exit == Exit::Unknown {
        judgement.verdict = Verdict::Unknown;
        judgement.because =
            "it is started again, and nothing tells how it ended, or whether it ran at all".into();
    }
}

/// Why this comes late, where it does.
fn late(taken: &Taken, by: By) -> Option<String> {
    if taken.circumstances.missed && taken.circumstances.supervisor == Supervisor::Run {
        return Some(
            "`lastwords run` was killed, and the command with it: how that ended is not known, and the time of the end is \
             when that was found"
                .into(),
        );
    }
    if taken.circumstances.missed {
        return Some(
            "no post-stop was seen for this end: it was killed, or the supervisor has run none. The time of the end is \
             that of the next start"
                .into(),
        );
    }
    let after = Now::read()
        .monotonic
        .saturating_sub(taken.monotonic)
        .as_secs_f64();
    (by == By::Adopter).then(|| {
        format!("the hook did not get to the end of its work; what the machine looked like is from {after:.1} s later")
    })
}

/// Makes the report safe, as far as the machine lets us; where nobody else would, wakes who sends
/// it.
fn commit(
    mut report: Report,
    taken: &Taken,
    memory: &MemoryInbox,
    places: &Places,
    host: &Host,
    wake: bool,
) -> Result<()> {
    let spool = places.spool();
    // First where nothing is slow. Should the disk hang, or somebody kill us, it is there, and the
    // deliverer finds it.
    report.level = Level::Memory;
    let held = memory.put(&report);
    if held.is_ok() {
        let _ = taken.settle();
    }
    report.level = Level::Durable;
    if places.inbox_of().is_none()
        && let Err(why) = spool.examine()
        && why.kind() != ErrorKind::NotFound
    {
        // The deliverer will not send from there. The report is worth a try all the same.
        notice::say(host, &why.to_string());
    }
    let kept = match places.inbox_of() {
        Some(uid) => spool.put_into_inbox(uid, &report).map(|()| Level::Durable),
        // Who was at it before us may have got further than we know.
        None if spool.find(&report.id).is_some() => Ok(Level::Durable),
        None => spool.catch(&mut report),
    };
    let service = format!(
        "{} {} ({})",
        report.stop.service(),
        report.verdict,
        report.cause.line
    );
    match (kept, held) {
        (Ok(Level::NameOnly), held) => {
            // What is in memory says so from now on; where nothing is, the name is all there will
            // be.
            let _ = held.and_then(|_| memory.put(&report));
            notice::say(
                host,
                &format!(
                    "{service}: the disk has room for no more than the name of {}",
                    report.id
                ),
            );
        }
        (Ok(_), _) => {
            memory.remove(&report.id);
            if wake {
                nudge::deliver(places, taken.circumstances.supervisor);
            }
        }
        (Err(why), Ok(_)) => {
            notice::say(
                host,
                &format!(
                    "{service}: its report {} is kept in memory only: {why}",
                    report.id
                ),
            );
        }
        (Err(why), Err(also)) => {
            let lost = format!(
                "{service}, and its report can be written nowhere (nor into memory: {also})"
            );
            return Err(why).context(lost);
        }
    }
    Ok(taken.settle()?)
}
