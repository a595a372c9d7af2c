//! Makes a report from a judgement, for a real crash and for a simulated one.

use crate::catch::call::Call;
use crate::catch::marker::Marker;
use crate::catch::verdict::Judgement;
use crate::catch::why::{self, Clues};
use crate::cause::Explanation;
use crate::clock::Now;
use crate::collectors::Collect;
use crate::collectors::log::{DeepTail, Log};
use crate::config::Loaded;
use crate::host::Host;
use crate::random;
use crate::redact::Redactor;
use crate::report::{Audience, FORMAT, Kind, Report, Safety, Section, Stop, Supervisor};
use crate::supervisor;
use crate::supervisor::account::Account;

/// Returns the facts of a judged stop.
pub fn stop(call: &Call, judgement: &Judgement, marker: Option<&Marker>, now: Now) -> Stop {
    let account = marker.and_then(|marker| marker.account.as_ref());
    let marker = marker.filter(|marker| !marker.unarmed);
    Stop {
        job: call.job.clone(),
        instance: call.instance.clone(),
        supervisor: Supervisor::new(call.supervisor.name()),
        started_at: marker.map(|marker| marker.armed_at),
        stopped_at: now.wall,
        uptime_s: marker.map(|marker| marker.uptime(now).as_secs_f64()),
        pid: judgement.pid,
        exit: judgement.exit.clone(),
        invocation: account.and_then(|account| account.invocation.clone()),
        directory: account.and_then(|account| account.directory.clone()),
    }
}

/// Returns the report of a stop, with its sections and its cause.
pub fn report(
    stop: Stop,
    judgement: Judgement,
    sections: Vec<Section>,
    clues: &Clues,
    loaded: &Loaded,
    host: &Host,
    now: Now,
) -> Report {
    let Explanation { cause, fingerprint } =
        why::explain(&stop, &judgement, &sections, clues, &loaded.redactor);
    Report {
        format: FORMAT,
        id: random::report_id(now),
        kind: Kind::Crash,
        to: Audience::Job,
        drill: false,
        host: host.name(),
        causes: Vec::new(),
        fingerprint,
        stop,
        verdict: judgement.verdict,
        verdict_because: judgement.because,
        cause,
        sections,
        past: None,
        now: None,
        notes: loaded
            .problems
            .iter()
            .map(|problem| format!("config: {problem}"))
            .collect(),
        runbook: loaded.job.runbook.clone(),
        user: None,
        user_name: None,
        level: Safety::Durable,
    }
}

/// Returns the job's collectors. A job that names none has the usual ones, and those that suit its
/// supervisor.
pub fn collect(loaded: &Loaded, stop: &Stop, told: Option<&Account>, host: &Host) -> Collect {
    if let Some(configured) = &loaded.job.collect {
        return configured.clone();
    }
    let mut collect = Collect::standard();
    let logs = told.iter().flat_map(|told| &told.logs);
    collect.log.extend(logs.map(Log::new));
    supervisor::named(stop.supervisor.name())
        .unwrap_or_default()
        .add_collectors(&mut collect, stop, told, host);
    collect
}

/// Makes the collectors of logs hand over more than their sections show, and take the job's secrets
/// out before they cut. Returns where they put it.
pub fn deep_tails(collect: &mut Collect, redactor: &Redactor) -> Vec<DeepTail> {
    for log in &mut collect.log {
        log.redactor = redactor.clone();
    }
    let journal = collect.journal.iter_mut().map(|journal| &mut journal.deep);
    let report = collect
        .node_report
        .iter_mut()
        .map(|report| &mut report.deep);
    let logs = collect.log.iter_mut().map(|log| &mut log.deep);
    logs.chain(journal)
        .chain(report)
        .map(|deep| deep.get_or_insert_default().clone())
        .collect()
}
