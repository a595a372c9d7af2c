//! Finishes what hooks of this process's user left unfinished, on every pass: their processes were
//! killed, or the disk did not take their reports. What hooks of other users left is their
//! stewards' part: see [`super::users`].

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{getpgrp, getpriority_process};

use crate::catch::call::Call;
use crate::catch::capture;
use crate::catch::marker::{self, Circumstances, Claim, Taken};
use crate::catch::verdict::Judgement;
use crate::catch::why::Clues;
use crate::catch::worker::{self, Ended, Worker};
use crate::clock::Now;
use crate::config;
use crate::places::Places;
use crate::report::{Report, Safety, Stop};
use crate::spool::{Facts, Spool, TakeOver};

/// Maximum number of taken markers that are dealt with at once.
const AT_ONCE: usize = 16;
/// Maximum number of names of a directory that are looked at: a user may fill a directory of their
/// own with anything.
const LOOKED_AT: usize = 10_000;
/// How long a hook may take from taking a marker to locking it.
const YOUTH: Duration = Duration::from_millis(100);
/// How long the workers may take. After that they are left behind with their markers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts a worker for every taken marker whose hook is gone, and waits for the workers. The next
/// look goes on with what takes too long. If `together`, the workers are in this process's group.
pub fn orphans(places: &Places, together: bool) {
    let markers = places.markers();
    marker::sweep(&markers);
    let taken = taken_in(&markers);
    wait_for_the_youngest(&taken);
    for some in taken.chunks(AT_ONCE) {
        let workers: Vec<_> = some
            .iter()
            .filter_map(|taken| adopt(taken, places, together))
            .collect();
        let until = Now::read().monotonic + PATIENCE;
        let ends = workers.into_iter().map(|mut worker| worker.wait(until));
        // The marker of a worker that fails stays for the next look; that of a worker that hangs
        // stays with it.
        if ends.filter(|end| *end == Ended::LeftBehind).count() > 0 {
            break;
        }
    }
}

fn taken_in(markers: &Path) -> Vec<Taken> {
    let entries = markers
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .take(LOOKED_AT);
    let mut taken: Vec<Taken> = entries
        .filter_map(|entry| Taken::at(&entry.path()))
        .collect();
    taken.sort_by_key(|taken| taken.monotonic);
    taken
}

/// Waits until every hook has had the time to lock the marker that it took. No hook took one in the
/// future.
fn wait_for_the_youngest(taken: &[Taken]) {
    let now = Now::read().monotonic;
    let ages = taken.iter().filter_map(|it| now.checked_sub(it.monotonic));
    if let Some(youngest) = ages.min() {
        thread::sleep(YOUTH.saturating_sub(youngest));
    }
}

/// Starts a worker on a taken marker. Returns `None` if another process is at it.
fn adopt(taken: &Taken, places: &Places, together: bool) -> Option<Worker> {
    let Ok(Claim::Held(file)) = taken.claim() else {
        return None;
    };
    let nice = getpriority_process(None).unwrap_or(0);
    let mut command = worker::command(worker::ADOPT, places, taken, nice).ok()?;
    if together {
        command.process_group(getpgrp().as_raw_pid());
    }
    worker::start(command, Some(file)).ok()
}

/// Puts the reports into the spool that hooks kept in memory, or only in the names of files.
/// Returns their number. Reports that the disk still does not take stay for the next pass.
pub fn take_over(spool: &Spool, places: &Places, how: &TakeOver) -> Result<usize> {
    let memory = places.memory();
    memory.sweep();
    let mut taken = spool
        .take_over_ours(memory.dir(), how)
        .unwrap_or_else(|why| {
            (how.say)(&format!(
                "cannot take over what hooks kept in memory: {why}"
            ));
            0
        });
    for facts in spool.names().context("cannot list the reports")? {
        // The whole report may still come from there.
        if !memory.holds(&facts.id) {
            let report = spelled_out(facts, places);
            if spool.find(&report.id).is_none() {
                if let Err(why) = spool.put(&report) {
                    (how.say)(&format!(
                        "{}: cannot write what its name says: {why}",
                        report.id
                    ));
                    continue;
                }
                taken += 1;
            }
            spool
                .remove_name(&report)
                .with_context(|| format!("cannot remove the name of {}", report.id))?;
        }
    }
    Ok(taken)
}

/// Makes the report of a crash of which only the facts are left.
fn spelled_out(facts: Facts, places: &Places) -> Report {
    let Facts {
        id,
        verdict,
        exit,
        supervisor,
        job,
        instance,
    } = facts;
    let now = Now {
        wall: id.time(),
        ..Now::read()
    };
    let judgement = Judgement {
        verdict,
        because: "so the hook judged; what it rested on is lost".into(),
        exit,
        pid: None,
        is_good_end: false,
        failed_start: None,
        reason: None,
        evidence: Vec::new(),
    };
    let loaded = config::load(&places.config, &job);
    let call = Call::recall(job, instance, Circumstances::default());
    let stop = Stop {
        supervisor,
        ..capture::stop(&call, &judgement, None, now)
    };
    let mut report = capture::report(
        stop,
        judgement,
        Vec::new(),
        &Clues::default(),
        &loaded,
        &places.host(),
        now,
    );
    report.id = id;
    report.level = Safety::NameOnly;
    report.notes.push(
        "the disk was so full that only a file's name could be written: all that is left of this crash is in the lines above"
            .into(),
    );
    loaded.redactor.report(&mut report);
    report
}
