//! Planned or not: the one decision that everything rests on.
//!
//! Pure. Every branch says on what it rests.

use std::time::Duration;

use crate::clock::Now;
use crate::marker::Marker;
use crate::report::{Evidence, Exit, Verdict};
use crate::supervisor::Account;

/// A verdict, how the process ended, and what both rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// In one sentence.
    pub because: String,
    pub exit: Exit,
    pub pid: Option<u32>,
    pub evidence: Vec<Evidence>,
}

/// Judges a stop of a service whose marker was armed in this boot.
///
/// `normal` are the exits that the job calls normal, `plan_lasts` is how long a planned stop may take: after that the
/// plan has run out. `oom` is the kernel's word that it killed the main process for want of memory.
pub fn judge(
    account: &Account,
    marker: &Marker,
    oom: Option<&Evidence>,
    normal: &[Exit],
    plan_lasts: Duration,
    now: Now,
) -> Judgement {
    let death = account.death.as_ref();
    let exit = death.map_or(Exit::Unknown, |death| death.exit.clone());
    let (verdict, because) = decide(account, marker, oom, normal, plan_lasts, now, &exit);
    let evidence = [
        account.failed_start.as_ref(),
        death.map(|death| &death.evidence),
        oom,
        account.respawns.as_ref().filter(|it| death.is_none_or(|death| death.evidence != **it)),
        account.gave_up.as_ref().filter(|it| death.is_none_or(|death| death.evidence != **it)),
        account.planned.as_ref(),
    ];
    Judgement {
        verdict,
        because,
        exit,
        pid: death.and_then(|death| death.pid),
        evidence: evidence.into_iter().flatten().cloned().collect(),
    }
}

fn decide(
    account: &Account,
    marker: &Marker,
    oom: Option<&Evidence>,
    normal: &[Exit],
    plan_lasts: Duration,
    now: Now,
    exit: &Exit,
) -> (Verdict, String) {
    let plan = marker.planned_ago(now).filter(|ago| *ago <= plan_lasts);
    let announced = match (&account.planned, plan) {
        (Some(evidence), _) => Some(format!("the supervisor announced the stop ({})", evidence.text)),
        (None, Some(ago)) => Some(format!("a planned stop was announced {:.1} s before", ago.as_secs_f64())),
        (None, None) => None,
    };
    let ran_out = marker.planned_ms.is_some() && plan.is_none();
    let unannounced = if ran_out {
        "the last planned stop was announced too long ago to explain it"
    } else {
        "nobody had asked it to stop"
    };

    if account.death.is_some() && normal.iter().any(|it| it.same_as(exit)) {
        return (Verdict::Planned, format!("the job calls {exit} normal"));
    }
    if let Some(announced) = announced {
        return if exit.is_fault() || oom.is_some() {
            (Verdict::Crashed, format!("{announced}, but {exit} is not how a service stops"))
        } else if account.respawns.is_some() {
            (Verdict::Crashed, format!("{announced}, but the supervisor starts it again: the stop was not its doing"))
        } else {
            (Verdict::Planned, announced)
        };
    }
    if account.death.is_none() && account.failed_start.is_some() {
        return (Verdict::AbortedStart, "the supervisor says that its start failed".into());
    }
    if account.death.is_none() && account.readable {
        // What is silent here is an end with code 0, and a stop while the service was starting.
        if normal.contains(&Exit::Code(0)) {
            return (
                Verdict::Planned,
                "the supervisor tells of no failure, and the job calls exit code 0 normal".into(),
            );
        }
        return (
            Verdict::Unknown,
            "the supervisor says nothing of how it ended: either it ended by itself with exit code 0, \
             or somebody stopped it while it was starting, which runs no pre-stop"
                .into(),
        );
    }
    if account.silent_early_stop && account.respawns.is_none() && exit.is_signal("TERM") {
        return (
            Verdict::Unknown,
            "SIGTERM ended it and no pre-stop had run: either something other than the supervisor killed it, \
             or somebody stopped it while its post-start was running, which looks the same"
                .into(),
        );
    }
    (Verdict::Crashed, format!("it was running and {unannounced}"))
}
