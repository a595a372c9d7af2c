//! Finishes what hooks left unfinished, on every pass: their processes were killed, or the disk did
//! not take their reports.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{geteuid, getpriority_process};

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
use crate::spool::{Facts, MemoryInbox, Spool, TakeOver};

/// Maximum number of one user's taken markers that are dealt with at once.
const AT_ONCE: usize = 16;
/// Maximum number of names of a directory that are looked at: a user may fill a directory of their
/// own with anything.
const LOOKED_AT: usize = 10_000;
/// How long a hook may take from taking a marker to locking it.
const YOUTH: Duration = Duration::from_millis(100);
/// How long the workers may take. After that they are left behind with their markers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has every taken marker dealt with whose hook is gone. What takes too long is left to the next
/// look.
pub fn orphans(places: &Places) {
    for (dir, uid) in places.left_by_hooks() {
        let markers = dir.join("markers");
        if uid == geteuid().as_raw() {
            marker::sweep(&markers);
        }
        for some in taken_in(&markers).chunks(AT_ONCE) {
            let workers: Vec<_> = some
                .iter()
                .filter_map(|taken| adopt(taken, uid, places))
                .collect();
            let until = Now::read().monotonic + PATIENCE;
            let ends = workers.into_iter().map(|worker| worker.wait(until));
            // The marker of a worker that fails stays for the next look; that of a worker that
            // hangs stays with it.
            if ends.filter(|end| *end == Ended::LeftBehind).count() > 0 {
                break;
            }
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

/// Starts a worker on a taken marker, as the user whose hook took it. Returns `None` if another
/// process is at it, or if that user's hook could not have left it.
fn adopt(taken: &Taken, uid: u32, places: &Places) -> Option<Worker> {
    let age = Now::read().monotonic.saturating_sub(taken.monotonic);
    thread::sleep(YOUTH.saturating_sub(age));
    let Ok(Claim::Held(file)) = taken.claim() else {
        return None;
    };
    let owner = file.metadata().ok().filter(|found| found.uid() == uid)?;
    let mut command = worker::command(
        worker::ADOPT,
        places,
        taken,
        getpriority_process(None).unwrap_or(0),
    )
    .ok()?;
    if uid != rustix::process::geteuid().as_raw() {
        // Its marker must not make this process do what this user's hook could not have done.
        command.uid(uid).gid(owner.gid());
    }
    worker::start(command, Some(file)).ok()
}

/// Puts the reports into the spool that hooks kept in memory, or only in the names of files.
/// Returns their number. Reports that the disk still does not take stay for the next pass.
pub fn take_over(spool: &Spool, places: &Places, how: &TakeOver) -> Result<usize> {
    let mut taken = 0;
    let mut memories = Vec::new();
    for (dir, uid) in places.left_by_hooks() {
        let memory = MemoryInbox::new(dir.join("inbox"));
        memory.sweep();
        match spool.take_over_from(memory.dir(), uid, how) {
            Ok(reports) => taken += reports,
            Err(why) => {
                (how.say)(&format!(
                    "{}: cannot take over what hooks kept in memory: {why}",
                    dir.display()
                ));
            }
        }
        memories.push(memory);
    }
    for facts in spool.names().context("cannot list the reports")? {
        // The whole report may still come from there.
        if !memories.iter().any(|memory| memory.holds(&facts.id)) {
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
