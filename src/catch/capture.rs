//! Makes a report from a judgement, for a real crash and for a simulated one.

use crate::catch::call::Call;
use crate::catch::marker::Marker;
use crate::catch::verdict::Judgement;
use crate::catch::why::{self, Clues};
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

/// Returns the facts of a judged stop.
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
    let Explanation { cause, fingerprint } = why::explain(&stop, &judgement, &sections, clues);
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

/// Returns the job's collectors. A job that chooses none gets the usual ones and the logs that its
/// supervisor keeps; on Upstart and systemd also the program that these ran.
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

/// Makes the collectors of logs hand over more than their sections show. Returns where they put it.
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

/// Reads a job's stanzas, and then the file that overrides them.
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
