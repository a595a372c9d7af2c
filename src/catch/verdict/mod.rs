//! Planned or not: the one decision that everything rests on.
//!
//! Pure. Every branch says on what it rests.

use std::time::Duration;

use crate::catch::marker::Marker;
use crate::clock::Now;
use crate::report::{Evidence, Exit, Verdict};
use crate::supervisor::{Account, Reason};

/// A verdict, how the process ended, and what both rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// In one sentence.
    pub because: String,
    pub exit: Exit,
    pub pid: Option<u32>,
    /// Why it never ran, in one line; `None` where it did.
    pub failed_start: Option<String>,
    /// Why it ended, where the supervisor says that.
    pub reason: Option<Reason>,
    pub evidence: Vec<Evidence>,
}

/// All that there is to judge a stop by, of a service whose marker was armed in this boot.
pub struct Case<'a> {
    /// What the supervisor shows.
    pub account: &'a Account,
    pub marker: &'a Marker,
    /// The kernel's word that it killed the main process for want of memory.
    pub oom: Option<&'a Evidence>,
    /// The exits that the job calls normal.
    pub normal: &'a [Exit],
    /// How long a planned stop may take; after that the plan has run out.
    pub plan_lasts: Duration,
    pub now: Now,
}

/// Judges a stop.
pub fn judge(case: &Case) -> Judgement {
    let account = case.account;
    let death = account.death.as_ref();
    let exit = death.map_or(Exit::Unknown, |death| death.exit.clone());
    let (verdict, because) = case.decide(&exit);
    // A failed start, a respawn or a surrender may be all that tells of the death: then it stands
    // there once.
    let beside_death =
        |evidence: &&Evidence| death.is_none_or(|death| death.evidence != **evidence);
    let evidence = [
        account
            .failed_start
            .as_ref()
            .map(|failed| &failed.evidence)
            .filter(beside_death),
        death.map(|death| &death.evidence),
        case.oom,
        account.respawns.as_ref().filter(beside_death),
        account.gave_up.as_ref().filter(beside_death),
        account.planned.as_ref(),
    ];
    let evidence = evidence.into_iter().flatten().cloned().collect();
    let failed_start = account
        .failed_start
        .as_ref()
        .filter(|_| verdict == Verdict::AbortedStart);
    let failed_start = failed_start.map(|failed| failed.why.clone());
    let reason = account.reason.clone();
    Judgement {
        verdict,
        because,
        exit,
        pid: death.and_then(|death| death.pid),
        failed_start,
        reason,
        evidence,
    }
}

impl Case<'_> {
    /// The first of these that holds is the verdict.
    fn decide(&self, exit: &Exit) -> (Verdict, String) {
        let died = self.account.death.is_some();
        if died && self.is_normal(exit) {
            return (Verdict::Planned, format!("the job calls {exit} normal"));
        }
        if let Some(why) = &self.account.harmless {
            return (Verdict::Planned, why.clone());
        }
        if let Some(announced) = self.announcement() {
            return if exit.is_fault() || self.oom.is_some() {
                (
                    Verdict::Crashed,
                    format!("{announced}, but {exit} is not how a service stops"),
                )
            } else if self.account.respawns.is_some() {
                (
                    Verdict::Crashed,
                    format!(
                        "{announced}, but the supervisor starts it again: the stop was not its doing"
                    ),
                )
            } else {
                (Verdict::Planned, announced)
            };
        }
        if (!died || self.account.died_starting) && self.account.failed_start.is_some() {
            return (
                Verdict::AbortedStart,
                "the supervisor says that its start failed".into(),
            );
        }
        if let Some(why) = &self.account.doubt {
            return (Verdict::Unknown, why.clone());
        }
        if !died && self.account.readable {
            return self.nothing_was_said();
        }
        if self.account.silent_early_stop
            && self.account.respawns.is_none()
            && exit.is_signal("TERM")
        {
            let because = "SIGTERM ended it and no pre-stop had run: either something other than the supervisor killed \
                           it, or somebody stopped it while its post-start was running, which looks the same";
            return (Verdict::Unknown, because.into());
        }
        if let (Some(why), None) = (&self.account.lookalike, self.oom) {
            return (Verdict::Unknown, why.clone());
        }
        let unannounced = if self.marker.planned_ms.is_some() {
            "the last planned stop was announced too long ago to explain this end"
        } else {
            "nobody had asked it to stop"
        };
        (
            Verdict::Crashed,
            format!("it was running and {unannounced}"),
        )
    }

    fn is_normal(&self, exit: &Exit) -> bool {
        self.normal.iter().any(|normal| normal.same_as(exit))
    }

    /// Who said that the service was to stop, as long as that holds.
    fn announcement(&self) -> Option<String> {
        if let Some(evidence) = &self.account.planned {
            return Some(format!(
                "the supervisor announced the stop ({})",
                evidence.text
            ));
        }
        let ago = self
            .marker
            .planned_ago(self.now)
            .filter(|ago| *ago <= self.plan_lasts)?;
        Some(format!(
            "a planned stop was announced {:.1} s before",
            ago.as_secs_f64()
        ))
    }

    /// The supervisor is silent about an end with code 0, and about a stop while the service was
    /// starting.
    fn nothing_was_said(&self) -> (Verdict, String) {
        if self.is_normal(&Exit::Code(0)) {
            let because =
                "the supervisor tells of no failure, and the job calls exit code 0 normal";
            return (Verdict::Planned, because.into());
        }
        let because = "the supervisor says nothing of how it ended: either it ended by itself with exit code 0, or \
                       somebody stopped it while it was starting, which runs no pre-stop";
        (Verdict::Unknown, because.into())
    }
}

#[cfg(test)]
mod tests;
