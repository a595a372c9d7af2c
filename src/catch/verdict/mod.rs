//! Planned or not: the one decision that everything rests on.
//!
//! Pure. Each branch says what it rests on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catch::marker::Marker;
use crate::clock::Now;
use crate::report::{Evidence, Exit, Verdict};
use crate::supervisor::account::{Account, Ending, Reason};

/// A verdict, how the process ended, and the evidence for both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Why this is the verdict, in one sentence.
    pub because: String,
    /// It ended by itself, and well: a run that is done.
    pub is_good_end: bool,
    pub exit: Exit,
    pub pid: Option<u32>,
    /// Why the start failed, in one line; `None` unless the verdict is an aborted start.
    pub failed_start: Option<String>,
    /// Why the service ended, if the supervisor knows.
    pub reason: Option<Reason>,
    pub evidence: Vec<Evidence>,
}

/// Everything that a stop is judged by. The service's marker was armed in this boot.
pub struct Case<'a> {
    pub account: &'a Account,
    pub marker: &'a Marker,
    /// The kernel's line that says that it killed the main process for want of memory.
    pub oom: Option<&'a Evidence>,
    /// Exits that the job calls normal.
    pub normal: &'a [Exit],
    /// Maximum time that a planned stop takes. After that the plan has run out.
    pub plan_lasts: Duration,
    /// A stop during start-up runs no pre-stop here, and looks like a SIGTERM from outside.
    pub silent_early_stop: bool,
    /// The supervisor would have told of any end but a normal one.
    pub is_silence_normal: bool,
    pub now: Now,
}

/// Judges a stop.
pub fn judge(case: &Case) -> Judgement {
    let ending = &case.account.ending;
    let (verdict, because) = case.decide();
    let [end, sequel] = ending.evidence();
    let after = [case.oom].into_iter().chain(sequel);
    let evidence = end.into_iter().chain(after);
    let evidence = evidence.chain([case.account.announced.as_ref()]);
    let failed_start = ending
        .failed_start()
        .filter(|_| verdict == Verdict::AbortedStart);
    Judgement {
        verdict,
        because,
        is_good_end: verdict == Verdict::Planned && case.ended_well(),
        exit: ending.exit(),
        pid: pid(case.account, case.marker),
        failed_start: failed_start.map(|failed| failed.why.clone()),
        reason: ending.reason().cloned(),
        evidence: evidence.flatten().cloned().collect(),
    }
}

/// Returns the main process's id, from the account or else from the hook that became it.
pub fn pid(account: &Account, marker: &Marker) -> Option<u32> {
    account.ending.main()?.pid.or(marker.pid)
}

impl Case<'_> {
    /// Returns the verdict, and why. The first arm that holds decides.
    #[allow(
        clippy::match_wildcard_for_single_variants,
        reason = "an arm that begins with `ending` is meant for every variant"
    )]
    fn decide(&self) -> (Verdict, String) {
        match &self.account.ending {
            ending if let Some(normal) = self.normal_exit(ending) => {
                (Verdict::Planned, format!("the job calls {normal} normal"))
            }
            Ending::Harmless { why, .. } => (Verdict::Planned, why.clone()),
            ending if let Some(announced) = self.announcement() => {
                self.after_announcement(ending, announced)
            }
            Ending::NeverRan(_) => (Verdict::AbortedStart, "its main process never ran".into()),
            Ending::DiedStarting { .. } => (
                Verdict::AbortedStart,
                "the supervisor says that its start failed".into(),
            ),
            Ending::Doubtful { why, .. } => (Verdict::Unknown, why.clone()),
            Ending::Silent | Ending::Explained { main: None, .. } => self.nothing_was_said(),
            Ending::LikeRestart { why, .. } if self.oom.is_none() => {
                (Verdict::Unknown, why.clone())
            }
            Ending::Unwanted {
                main,
                pre_stop_tells,
                kills_after_ms,
                why,
            } if self.oom.is_none() && !main.exit.is_fault() => match pre_stop_tells {
                // However long the stop took.
                true if self.marker.planned_ms.is_some() => {
                    (Verdict::Planned, format!("a stop was announced, and {why}"))
                }
                // It was to run only once from the start.
                false if self.marker.once => self.unannounced(),
                // So ends a stop that takes longer than its supervisor allows.
                false if main.exit.is_signal("KILL") && self.may_be_killed(*kills_after_ms) => {
                    let because = format!("SIGKILL ended it as a stop may, and {why}");
                    (Verdict::Planned, because)
                }
                false => (Verdict::Unknown, why.clone()),
                true => self.unannounced(),
            },
            ending @ (Ending::Ended(_) | Ending::Followed { .. })
                if self.may_be_an_early_stop(ending) =>
            {
                let because = "SIGTERM ended it and no pre-stop had run: either something other \
                               than the supervisor killed it, or somebody stopped it while its \
                               post-start was running, which looks the same";
                (Verdict::Unknown, because.into())
            }
            Ending::Unheard
            | Ending::Ended(_)
            | Ending::Followed { .. }
            | Ending::LikeRestart { .. }
            | Ending::Unwanted { .. }
            | Ending::Explained { main: Some(_), .. } => self.unannounced(),
        }
    }

    /// Returns the exit, if the main process ended in a way that the job calls normal.
    fn normal_exit<'e>(&self, ending: &'e Ending) -> Option<&'e Exit> {
        let exit = &ending.main()?.exit;
        self.is_normal(exit).then_some(exit)
    }

    fn is_normal(&self, exit: &Exit) -> bool {
        self.normal.iter().any(|normal| normal.same_as(exit))
    }

    /// Returns how the stop was announced, unless the plan has run out.
    fn announcement(&self) -> Option<String> {
        if let Some(evidence) = &self.account.announced {
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

    /// Judges an end after a stop was announced. A stop does not end in a fault, and after a stop
    /// the supervisor does not start the service again.
    fn after_announcement(&self, ending: &Ending, announced: String) -> (Verdict, String) {
        let exit = ending.exit();
        if exit.is_fault() || self.oom.is_some() {
            let because = format!("{announced}, but {exit} is not how a service stops");
            (Verdict::Crashed, because)
        } else if ending.respawns() {
            let because = format!(
                "{announced}, but the supervisor starts it again: the stop was not its doing"
            );
            (Verdict::Crashed, because)
        } else {
            (Verdict::Planned, announced)
        }
    }

    /// Returns true if a planned end was the service's own doing, and no stop. Upstart is silent
    /// about a task that has done its work.
    fn ended_well(&self) -> bool {
        let is_own = match self.account.ending.exit() {
            Exit::Code(_) => true,
            Exit::Unknown => self.account.ending == Ending::Silent,
            Exit::Signal { .. } => false,
        };
        is_own && self.announcement().is_none()
    }

    /// Returns true if a stop that takes so long before it ends in SIGKILL may have begun in this
    /// life.
    fn may_be_killed(&self, kills_after_ms: Option<u64>) -> bool {
        let after = kills_after_ms.map(Duration::from_millis);
        let uptime = self.marker.uptime(self.now);
        !self.marker.unarmed && after.is_some_and(|after| after <= uptime)
    }

    /// Returns true if a stop during start-up would look like this end. Once a pre-stop has run,
    /// the start is over.
    fn may_be_an_early_stop(&self, ending: &Ending) -> bool {
        let was_up = self.marker.restarted || self.marker.planned_ms.is_some();
        self.silent_early_stop && !was_up && !ending.respawns() && ending.exit().is_signal("TERM")
    }

    /// Judges an end of which the supervisor says nothing. It is silent about exit code 0, and
    /// about a stop while the service was starting.
    fn nothing_was_said(&self) -> (Verdict, String) {
        if self.is_normal(&Exit::Code(0)) {
            let because =
                "the supervisor tells of no failure, and the job calls exit code 0 normal";
            return (Verdict::Planned, because.into());
        }
        if self.is_silence_normal {
            let because = "the supervisor neither tells of a failure nor starts it again, as after \
                           an exit that its own file calls normal";
            return (Verdict::Planned, because.into());
        }
        let by_itself = if self.normal.is_empty() {
            "it ended by itself with exit code 0"
        } else {
            "it ended by itself, with exit code 0 or in a way that counts as normal"
        };
        let otherwise = if self.marker.restarted {
            "somebody stopped it while the pre-stop of a restart was running"
        } else if self.marker.planned_ms.is_some() {
            "the stop that was announced before took longer than it may take"
        } else {
            "somebody stopped it while it was starting, which runs no pre-stop"
        };
        let because = format!(
            "the supervisor says nothing of how it ended: either {by_itself}, or {otherwise}"
        );
        (Verdict::Unknown, because)
    }

    /// Judges an end that nothing explains.
    fn unannounced(&self) -> (Verdict, String) {
        let unannounced = if self.marker.planned_ms.is_some() {
            "the last planned stop was announced too long ago to explain this end"
        } else {
            "nobody had asked it to stop"
        };
        let because = format!("it was running and {unannounced}");
        (Verdict::Crashed, because)
    }
}

#[cfg(test)]
mod tests;
