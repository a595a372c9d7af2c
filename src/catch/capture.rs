//! From a judgement to a report: what a real crash and a simulated one share.

use crate::catch::call::Call;
use crate::catch::marker::Marker;
use crate::catch::verdict::Judgement;
use crate::catch::why::{self, Beside};
use crate::cause::Explanation;
use crate::clock::Now;
use crate::collectors::Collect;
use crate::collectors::journal::Journal;
use crate::collectors::log::{DeepTail, Log};
use crate::collectors::program::Program;
use crate::config::Loaded;
use crate::host::Host;
use crate::random;
use crate::report::{Audience, FORMAT, Kind, Level, Report, Section, Stop, Supervisor};
use crate::supervisor::account::Account;
use crate::supervisor::upstart;

/// The end of a service, as it was judged.
pub fn stop(call: &Call, judgement: &Judgement, marker: Option<&Marker>, now: Now) -> Stop {
    let account = marker.and_then(|marker| marker.account.as_ref());
    let marker = marker.filter(|marker| !marker.unarmed);
    Stop {
        job: call.job.clone(),
        instance: call.instance.clone(),
        supervisor: call.supervisor,
        started_at: marker.map(|marker| marker.armed_at),
        stopped_at: now.wall,
        uptime_s: marker.map(|marker| marker.uptime(now).as_secs_f64()),
        pid: judgement.pid,
        exit: judgement.exit.clone(),
        invocation: account.and_then(|account| account.invocation.clone()),
    }
}

/// The report of a stop, with what was collected and the cause that it shows.
pub fn report(
    stop: Stop,
    judgement: Judgement,
    sections: Vec<Section>,
    beside: &Beside,
    loaded: &Loaded,
    host: &Host,
    now: Now,
) -> Report {
    let Explanation { cause, fingerprint } = why::explain(&stop, &judgement, &sections, beside);
    Report {
        format: FORMAT,
        id: random::report_id(now),
        kind: Kind::Crash,
        to: Audience::Job,
        drill: false,
        host: host.name(),
        fingerprint,
        stop,
        verdict: judgement.verdict,
        verdict_because: judgement.because,
        cause,
        sections,
        past: None,
        notes: loaded
            .problems
            .iter()
            .map(|problem| format!("config: {problem}"))
            .collect(),
        runbook: loaded.job.runbook.clone(),
        user: None,
        level: Level::Durable,
    }
}

/// The job's collectors; where nobody chose any, the usual ones, and on Upstart and systemd the log
/// that these keep and the program that they ran.
pub fn collect(loaded: &Loaded, stop: &Stop, told: Option<&Account>, host: &Host) -> Collect {
    if let Some(configured) = &loaded.job.collect {
        return configured.clone();
    }
    let mut collect = Collect::standard();
    if stop.supervisor == Supervisor::Upstart {
        let file = if stop.instance.is_some() {
            "{job}-{instance}.log"
        } else {
            "{job}.log"
        };
        collect
            .log
            .push(Log::new(format!("/var/log/upstart/{file}")));
        let confs = upstart_confs(&stop.job, host);
        let path = confs.iter().rev().find_map(|conf| upstart::program(conf));
        collect.program = path.map(|path| Program {
            path: path.to_owned(),
        });
    }
    collect
        .log
        .extend(told.iter().flat_map(|told| &told.logs).map(Log::new));
    if stop.supervisor == Supervisor::Systemd {
        collect.journal = told
            .is_none_or(|told| told.logs.is_empty())
            .then(Journal::default);
        collect.program = told
            .and_then(|told| told.program.clone())
            .map(|path| Program { path });
    }
    collect
}

/// Has the logs' collectors hand over more than their sections show.
pub fn deep_tails(collect: &mut Collect) -> Vec<DeepTail> {
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

/// What a job's stanzas say, and then what overrides them.
pub fn upstart_confs(job: &str, host: &Host) -> Vec<String> {
    // A job's name is a path below /etc/init. One that leads out of there names no job.
    if !job
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..")
    {
        return Vec::new();
    }
    ["conf", "override"]
        .iter()
        .filter_map(|ending| host.read(format!("/etc/init/{job}.{ending}")).ok())
        .collect()
}
