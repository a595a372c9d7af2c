//! Deals with a stop after its marker is taken: judges whether it was planned, and if not collects
//! what would vanish, commits the report and wakes the deliverer.
//!
//! The hook's worker does this. If no process can be had, the hook itself does. If both were
//! killed, a worker of the deliverer finds the taken marker. When one of them is killed, the next
//! begins anew under the same report id, so that there is one report.
//!
//! A collector may kill its process each time. So the deliverer counts each try in the taken
//! marker's name first. After a few tries it makes a report without collectors, which is better
//! than none.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::catch::capture;
use crate::catch::commit::{NOBODY_WAITS, commit, keep_in_memory};
use crate::catch::guard::guarded;
use crate::catch::marker::{EndSort, LastEnd, Marker, MarkerFile, Seen, Taken};
use crate::catch::nudge;
use crate::catch::pending;
use crate::catch::verdict::{self, Case, Judgement, judge};
use crate::catch::why::{self, Clues};
use crate::catch::worker::{self, By};
use crate::cause::{KernelMessage, kernel};
use crate::clock::Now;
use crate::collectors::Collect;
use crate::collectors::output::KeptOutput;
use crate::collectors::runner;
use crate::config::{self, Loaded};
use crate::host::Host;
use crate::kmsg::{self, Record};
use crate::mounts;
use crate::notice;
use crate::places::Places;
use crate::random;
use crate::redact::Redactor;
use crate::report::{Death, Exit, Section, Stop, Supervisor, Verdict};
use crate::supervisor::account::{Account, Ending, Reason};
use crate::supervisor::supervise::Traces;

/// Maximum time from the service's end to the end of the collectors. The restart waits for them and
/// for the commit after them. On a machine that is not busy they take a tenth of that.
const BUDGET: Duration = Duration::from_millis(500);
/// Minimum time for the collectors, even if the worker started late. The hook may have returned by
/// then.
const LEAST_BUDGET: Duration = Duration::from_millis(250);

/// Number of the deliverer's tries that may end in the worker's death. After that nothing is
/// collected.
const TRIES: u8 = 3;

/// Number of crashes in 10 minutes that get everything collected. After that only the log is kept,
/// which is small.
const WHOLE: usize = 5;

/// How far back to look in the kernel log when the start of this life is unknown.
const LAST_MOMENTS: Duration = Duration::from_secs(30);

/// Begin of the note of a worker that cannot read the kernel log.
pub const LOG_UNREAD: &str = "what the kernel log tells of the end is not known";

/// Runs a worker: the `main` of its process.
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
        // `lastwords run` was killed before it saw the end.
        let unseen = taken
            .circumstances
            .alive
            .then(|| taken.ended(random::report_id(Now::read()), Now::read(), true));
        let taken = unseen.transpose()?.unwrap_or(taken);
        let tried = taken.count_try();
        // A worker that returns an error did not die, so this attempt does not count.
        finish(&tried, file, &args.places, &host, by).inspect_err(|_| tried.become_again(&taken))
    });
    if !done {
        return ExitCode::FAILURE;
    }
    worker::say_done();
    ExitCode::SUCCESS
}

/// Deals with a taken marker that this process has locked.
///
/// # Errors
/// If there should be a report and none was made. The taken marker stays for the deliverer.
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
        // An earlier process got as far as this.
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
        notes.extend(keep_seen(taken, &boot_id, sequence));
    }

    let loaded = load(&call, places, by, &mut notes);
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
    if taken.circumstances.missed {
        mark_unseen(&mut judgement, marker.life.is_some());
    }
    if judgement.verdict == Verdict::Planned {
        keep_end(
            taken,
            (&marker, &judgement),
            &call,
            &loaded,
            places,
            host,
            now,
        );
        return taken
            .settle()
            .with_context(|| format!("cannot clear the marker of {}", call.job));
    }

    if let Err(why) = &kernel_log {
        notes.push(format!("{LOG_UNREAD}: {why}"));
    }
    notes.extend(late(taken, by));
    let stop = capture::stop(&call, &judgement, Some(&marker), now);
    let mut collect = configured(&marker, &stop, &loaded, host);
    // A user's report says nothing of what only root may read.
    let journal = collect
        .journal
        .take_if(|_| places.inbox_of().is_none() && stop.invocation.is_some());
    let logs = capture::deep_tails(&mut collect, &loaded.redactor);
    let sections = run_collectors(
        taken,
        &marker,
        &stop,
        &collect,
        &loaded.redactor,
        (host, by),
        &mut notes,
    );
    let oom_kills = marker
        .oom_kills
        .and_then(|before| Some([before, why::oom_kills(host)?]));
    let clues = Clues {
        kernel: said,
        logs,
        oom_kills,
    };
    let journal = journal.map(|_| pending::section(&judgement, &clues));
    let mut report = capture::report(stop, judgement, sections, &clues, &loaded, host, now);
    report.sections.extend(journal);
    report.id = taken.id.clone();
    report.notes.extend(notes);
    loaded.redactor.report(&mut report);
    if hangs(&places.config) || hangs(&places.spool) {
        return keep_in_memory(report, taken, &memory, host);
    }
    // An adopter belongs to the deliverer, which looks at the spool after that.
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

/// Reads the job's config. A hook does not where that may hang, and leaves a note.
fn load(call: &Call, places: &Places, by: By, notes: &mut Vec<String>) -> Loaded {
    if by == By::Hook && mounts::may_hang(&places.config) {
        let config = places.config.display();
        notes.push(format!("config: {config} is not read: {NOBODY_WAITS}"));
        return Loaded::default();
    }
    config::load(&places.config, &call.job)
}

/// Keeps when a planned end was. If a run that is expected has ended well, wakes the deliverer:
/// until it has looked, a reboot would lose that.
fn keep_end(
    taken: &Taken,
    (marker, judgement): (&Marker, &Judgement),
    call: &Call,
    loaded: &Loaded,
    places: &Places,
    host: &Host,
    now: Now,
) {
    let (sort, what) = if judgement.is_good_end {
        (EndSort::Well, "has ended well")
    } else {
        (EndSort::Stopped, "was stopped")
    };
    let service = (call.job.as_str(), call.instance.as_deref());
    let supervisor = Supervisor::new(call.supervisor.name());
    let account = marker.account.as_ref();
    let directory = account.and_then(|account| account.directory.clone());
    let end = LastEnd {
        directory: directory.or_else(|| marker.directory.clone()),
        ..LastEnd::new(service, supervisor, host.boot_id(), now)
    };
    match MarkerFile::of(taken).keep_end(sort, &end) {
        Ok(()) if judgement.is_good_end && loaded.job.expect.is_some() => {
            nudge::deliver(places, call.supervisor);
        }
        Ok(()) => {}
        Err(why) => notice::say(
            host,
            &format!("that {} {what} cannot be kept: {why}", call.job),
        ),
    }
}

/// Keeps how far the kernel log goes: none of that is about the next life. Returns a note if it
/// cannot.
fn keep_seen(taken: &Taken, boot_id: &str, sequence: u64) -> Option<String> {
    let boot_id = boot_id.to_owned();
    let seen = MarkerFile::of(taken).see(&Seen { boot_id, sequence });
    let why = seen.err()?;
    Some(format!(
        "the next report may show lines of the kernel log that are about this end: {why}"
    ))
}

/// Returns the job's collectors.
fn configured(marker: &Marker, stop: &Stop, loaded: &Loaded, host: &Host) -> Collect {
    let of_life = marker.life.as_ref().map(|life| Account {
        logs: life.logs.clone(),
        ..Account::default()
    });
    let told = marker.account.as_ref().or(of_life.as_ref());
    capture::collect(loaded, stop, told, host)
}

/// Runs these collectors, and those of `lastwords run`. Returns their sections.
fn run_collectors(
    taken: &Taken,
    marker: &Marker,
    stop: &Stop,
    collect: &Collect,
    redactor: &Redactor,
    (host, by): (&Host, By),
    notes: &mut Vec<String>,
) -> Vec<Section> {
    let mut collectors = collect.list();
    if let Some(end) = marker.life.as_ref().and_then(|life| life.end.clone()) {
        collectors.push(Box::new(end.used));
        if by != By::Adopter {
            // Goes first: these lines are the command's own output and take precedence as evidence.
            collectors.insert(0, Box::new(KeptOutput::new(end.output, redactor.clone())));
        }
    }
    // An adopter may be root and writes nothing where the service's user may have put a link.
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
    // A program that the job wants run before the restart gets the time that the job gives it.
    let patience = quick.iter().map(|it| it.patience()).sum::<Duration>();
    if !patience.is_zero() {
        worker::ask_for(patience);
    }
    let budget = BUDGET
        .saturating_sub(Now::read().monotonic.saturating_sub(taken.monotonic))
        .max(LEAST_BUDGET);
    let mut sections = runner::run(quick, stop, host, budget + patience, redactor);
    sections.extend(
        left_out
            .iter()
            .map(|it| runner::not_run(it.as_ref(), NOBODY_WAITS)),
    );
    sections
}

/// Reads the marker of the service that has ended. Returns `None` if it was armed in an earlier
/// boot.
fn armed(file: Option<File>, boot_id: &str, now: Now, notes: &mut Vec<String>) -> Option<Marker> {
    let marker = file
        .context("it is no regular file")
        .and_then(|file| Ok(Marker::read(file)?));
    match marker {
        // A service that an earlier boot armed ended with that boot. If one of the two ids is
        // unknown, that is not proven.
        Ok(marker) => {
            let is_of_this_boot =
                marker.boot_id == boot_id || marker.boot_id.is_empty() || boot_id.is_empty();
            is_of_this_boot.then_some(marker)
        }
        Err(why) => {
            // A damaged marker must not hide a crash.
            notes.push(format!(
                "when it started, and whether its stop was announced, is not known: its marker is unreadable ({why})"
            ));
            Some(Marker::new(boot_id.to_owned(), now))
        }
    }
}

/// Returns the call of the hook, as far as it is known.
fn call(taken: &Taken, marker: &Marker) -> Call {
    let (job, instance) = match &marker.job {
        Some(job) => (job.clone(), marker.instance.clone()),
        None => taken.service(),
    };
    Call::recall(job, instance, taken.circumstances)
}

/// Returns the records that can be about this life of the service, which ended at `now`. Read late,
/// the log also holds records of the next life.
fn of_this_life(log: &[Record], marker: &Marker, now: Now) -> Vec<Record> {
    let end = micros(now.monotonic + drift(marker, now));
    let ours =
        |record: &&Record| record.micros <= end && marker.seen.is_none_or(|seen| record.seq > seen);
    log.iter().filter(ours).cloned().collect()
}

/// Returns the earliest time, by the kernel log's clock, of records about this life of the service;
/// if its start is unknown, of records about its end.
fn start(call: &Call, marker: &Marker, now: Now) -> u64 {
    let last_moments = now.monotonic.saturating_sub(LAST_MOMENTS);
    if marker.unarmed {
        return micros(last_moments);
    }
    let armed = Duration::from_millis(marker.armed_ms).saturating_sub(drift(marker, now));
    micros(if call.supervisor.tells_late() {
        armed.min(last_moments)
    } else {
        armed
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns how far the kernel's stamps may be off. No NTP corrects the clock of its log, which
/// drifts from the one that we read over months.
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
    let (job, instance) = (call.job.as_str(), call.instance.as_deref());
    let allowed = call.supervisor.allows(job, instance, host);
    let plan_lasts = allowed.plan_lasts(loaded.job.stop_timeout);
    let mut account = marker.account.clone().unwrap_or_else(|| {
        let plan_since = now
            .monotonic
            .saturating_sub(plan_lasts.saturating_add(drift(marker, now)));
        call.supervisor.account_from(&Traces {
            job,
            instance,
            kernel_log: life,
            plan_lasts,
            plan_since: micros(plan_since),
            life: marker.life.as_ref(),
            host,
        })
    });
    account.announced = call
        .planned
        .clone()
        .or(account.announced.filter(|_| !marker.once));
    let silent_early_stop = call.supervisor.stops_silently(job, host);
    let oom = verdict::pid(&account, marker)
        .and_then(|pid| kernel::oom_kill(pid, said))
        .map(|message| message.evidence("kernel log"));
    let normal = match (&loaded.job.normal_exit, &account.ending) {
        (Some(normal), _) => normal,
        // The supervisor has a reason not to count this end as normal.
        (None, Ending::Explained { .. }) => &Vec::new(),
        (None, _) => &allowed.exits,
    };
    judge(&Case {
        account: &account,
        marker,
        oom: oom.as_ref(),
        normal,
        plan_lasts,
        silent_early_stop,
        is_silence_normal: loaded.job.normal_exit.is_none() && allowed.is_silence_normal,
        now,
    })
}

/// Takes back the verdict of a crash if no hook saw the end and nothing shows how the service
/// ended: the next start may also mean that it never ran. Where `lastwords run` was to see it, that
/// has died itself.
fn mark_unseen(judgement: &mut Judgement, by_run: bool) {
    if judgement.verdict != Verdict::Crashed || judgement.exit != Exit::Unknown {
        return;
    }
    if by_run {
        judgement.reason = Some(Reason {
            line: "`lastwords run` was killed, and the command with it".to_owned(),
            kind: Death::Unknown,
            only_if_unknown: true,
        });
    } else {
        judgement.verdict = Verdict::Unknown;
        judgement.because =
            "it is started again, and nothing tells how it ended, or whether it ran at all".into();
    }
}

/// Returns why the report comes late, if it does.
fn late(taken: &Taken, by: By) -> Option<String> {
    if taken.circumstances.missed {
        return Some(taken.circumstances.supervisor.why_missed().into());
    }
    let after = Now::read()
        .monotonic
        .saturating_sub(taken.monotonic)
        .as_secs_f64();
    (by == By::Adopter).then(|| {
        format!("the hook did not get to the end of its work; what the machine looked like is from {after:.1} s later")
    })
}
