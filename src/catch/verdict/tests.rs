//! Every branch of the verdict, as a table of stops and what is said of them.
//!
//! Only the functions of [`accounts`] know how an account is built.

use std::time::Duration;

use super::{Case, Judgement, judge};
use crate::catch::marker::Marker;
use crate::clock::Now;
use crate::report::{Evidence, Exit, Timestamp, Verdict};
use crate::supervisor::Account;

/// Builds the accounts that supervisors give of a stop.
mod accounts {
    use super::evidence;
    use crate::report::{self, Exit};
    use crate::supervisor::{Account, Death, FailedStart, Reason};

    /// It keeps a record of deaths, in which nothing stands of this one.
    pub fn silent() -> Account {
        Account {
            readable: true,
            ..Account::default()
        }
    }

    /// It tells nothing, or its record cannot be read.
    pub fn none() -> Account {
        Account::default()
    }

    pub fn died(exit: Exit) -> Account {
        Account {
            death: Some(Death {
                exit,
                pid: Some(42),
                evidence: evidence("it died"),
            }),
            ..silent()
        }
    }

    pub fn never_started() -> Account {
        failing_to_start(silent())
    }

    /// Its main process ran, and ended while it was starting.
    pub fn died_starting(exit: Exit) -> Account {
        Account {
            died_starting: true,
            ..failing_to_start(died(exit))
        }
    }

    pub fn failing_to_start(account: Account) -> Account {
        Account {
            failed_start: Some(FailedStart {
                why: "its pre-start failed".to_owned(),
                evidence: evidence("it failed to start"),
            }),
            ..account
        }
    }

    /// One line tells of the failed start and of the death.
    pub fn failing_to_start_by_that_death(account: Account) -> Account {
        let mut account = failing_to_start(account);
        if let Some(failed) = &mut account.failed_start {
            failed.evidence = evidence("it died");
        }
        account
    }

    pub fn respawning(account: Account) -> Account {
        Account {
            respawns: Some(evidence("it is started again")),
            ..account
        }
    }

    pub fn giving_up(account: Account) -> Account {
        Account {
            gave_up: Some(evidence("it is not started again")),
            ..account
        }
    }

    /// One line tells of the death, the respawn and the surrender.
    pub fn telling_all_in_one_line(account: Account) -> Account {
        Account {
            respawns: Some(evidence("it died")),
            gave_up: Some(evidence("it died")),
            ..account
        }
    }

    pub fn stopping_it(account: Account) -> Account {
        Account {
            planned: Some(evidence("shutdown")),
            ..account
        }
    }

    pub fn calling_it_harmless(account: Account) -> Account {
        Account {
            harmless: Some("it never ran".to_owned()),
            ..account
        }
    }

    pub fn in_doubt(account: Account) -> Account {
        Account {
            doubt: Some("no hook saw it end".to_owned()),
            ..account
        }
    }

    /// A stop during start-up would look like a kill.
    pub fn silent_when_stopped_early(account: Account) -> Account {
        Account {
            silent_early_stop: true,
            ..account
        }
    }

    pub fn like_a_restart(account: Account) -> Account {
        Account {
            lookalike: Some("so it also ends when somebody restarts it".to_owned()),
            ..account
        }
    }

    pub fn giving_a_reason(account: Account) -> Account {
        Account {
            reason: Some(reason()),
            ..account
        }
    }

    pub fn reason() -> Reason {
        Reason {
            line: "its watchdog timed out".to_owned(),
            kind: report::Death::KilledBySignal,
            only_if_unknown: false,
        }
    }
}

fn evidence(text: &str) -> Evidence {
    Evidence {
        source: "kernel log".to_owned(),
        line: None,
        text: text.to_owned(),
    }
}

fn signal(name: &str) -> Exit {
    Exit::Signal {
        name: name.to_owned(),
        core_dumped: false,
    }
}

fn term() -> Exit {
    signal("TERM")
}

fn segv() -> Exit {
    signal("SEGV")
}

/// How long a planned stop may take here.
const PLAN_LASTS: Duration = Duration::from_mins(1);
/// When the service ended, since the boot.
const END: Duration = Duration::from_secs(1000);

/// A stop, and what is known of it besides the supervisor's account.
struct Stop {
    account: Account,
    planned_before: Option<Duration>,
    oom: Option<Evidence>,
    normal: Vec<Exit>,
}

impl Stop {
    fn of(account: Account) -> Self {
        Self {
            account,
            planned_before: None,
            oom: None,
            normal: Vec::new(),
        }
    }

    /// A pre-stop ran so long before the end.
    fn planned_before(self, before: Duration) -> Self {
        Self {
            planned_before: Some(before),
            ..self
        }
    }

    fn planned(self) -> Self {
        self.planned_before(Duration::from_secs(2))
    }

    fn out_of_memory(self) -> Self {
        Self {
            oom: Some(evidence("Out of memory: Killed process 42")),
            ..self
        }
    }

    /// The job calls this exit normal.
    fn normal(self, exit: Exit) -> Self {
        Self {
            normal: vec![exit],
            ..self
        }
    }

    fn judged(&self) -> Judgement {
        let now = |monotonic| Now {
            wall: Timestamp::of_unix(1_800_000_000),
            monotonic,
        };
        let planned_ms = self
            .planned_before
            .map(|before| u64::try_from(END.saturating_sub(before).as_millis()).unwrap());
        let marker = Marker {
            planned_ms,
            ..Marker::new("boot".to_owned(), now(Duration::from_secs(10)))
        };
        judge(&Case {
            account: &self.account,
            marker: &marker,
            oom: self.oom.as_ref(),
            normal: &self.normal,
            plan_lasts: PLAN_LASTS,
            now: now(END),
        })
    }
}

/// Asserts what is said of a stop, and that the reason given for that holds these words.
fn assert_judged(stop: &Stop, verdict: Verdict, because: &str) {
    let judged = stop.judged();
    assert_eq!(judged.verdict, verdict, "{judged:#?}");
    assert!(judged.because.contains(because), "{judged:#?}");
}

#[test]
fn an_end_that_nobody_asked_for_is_a_crash() {
    for account in [
        accounts::died(Exit::Code(1)),
        accounts::died(Exit::Code(0)),
        accounts::died(term()),
        accounts::died(segv()),
        accounts::respawning(accounts::died(term())),
        accounts::giving_up(accounts::died(Exit::Code(1))),
        // Where the supervisor tells nothing at all, the armed marker does.
        accounts::none(),
    ] {
        let because = "it was running and nobody had asked it to stop";
        assert_judged(&Stop::of(account), Verdict::Crashed, because);
    }
}

#[test]
fn an_exit_that_the_job_calls_normal_is_planned_whatever_else_is_told() {
    let three = || Stop::of(accounts::died(Exit::Code(3)));
    let because = "the job calls exit code 3 normal";
    assert_judged(&three().normal(Exit::Code(3)), Verdict::Planned, because);
    let dumped = Exit::Signal {
        name: "SEGV".to_owned(),
        core_dumped: true,
    };
    let account = accounts::respawning(accounts::in_doubt(accounts::died(dumped)));
    let stop = Stop::of(account).normal(segv());
    assert_judged(&stop, Verdict::Planned, "core dumped normal");
    assert_judged(&three().normal(Exit::Code(4)), Verdict::Crashed, "");
}

#[test]
fn an_unknown_exit_is_no_normal_one() {
    let stop = Stop::of(accounts::none()).normal(Exit::Unknown);
    assert_judged(&stop, Verdict::Crashed, "");
}

#[test]
fn what_the_supervisor_calls_harmless_is_planned() {
    let account = accounts::calling_it_harmless(accounts::died(segv()));
    assert_judged(&Stop::of(account), Verdict::Planned, "it never ran");
}

#[test]
fn an_announced_stop_is_planned_whether_the_hook_or_the_supervisor_announced_it() {
    for exit in [term(), signal("KILL"), Exit::Code(0), Exit::Code(42)] {
        let by_hook = Stop::of(accounts::died(exit.clone())).planned();
        let because = "a planned stop was announced 2.0 s before";
        assert_judged(&by_hook, Verdict::Planned, because);
        let by_supervisor = Stop::of(accounts::stopping_it(accounts::died(exit)));
        let because = "the supervisor announced the stop (shutdown)";
        assert_judged(&by_supervisor, Verdict::Planned, because);
        assert_judged(&by_supervisor.planned(), Verdict::Planned, because);
    }
    for account in [accounts::none(), accounts::silent()] {
        assert_judged(&Stop::of(account).planned(), Verdict::Planned, "2.0 s");
    }
}

#[test]
fn an_announced_stop_that_ends_in_a_fault_is_a_crash() {
    let because = "2.0 s before, but killed by SIGSEGV";
    let stop = Stop::of(accounts::died(segv())).planned();
    assert_judged(&stop, Verdict::Crashed, because);
    let stop = Stop::of(accounts::stopping_it(accounts::died(segv())));
    assert_judged(&stop, Verdict::Crashed, "is not how a service stops");
}

#[test]
fn an_announced_stop_in_which_the_kernel_killed_it_for_want_of_memory_is_a_crash() {
    let stop = Stop::of(accounts::died(signal("KILL"))).planned();
    let because = "is not how a service stops";
    assert_judged(&stop.out_of_memory(), Verdict::Crashed, because);
}

#[test]
fn an_announced_stop_after_which_the_supervisor_starts_it_again_is_a_crash() {
    let stop = Stop::of(accounts::respawning(accounts::died(term()))).planned();
    assert_judged(&stop, Verdict::Crashed, "the stop was not its doing");
}

#[test]
fn an_announcement_holds_to_the_millisecond_until_the_plan_runs_out() {
    let announced = |before| Stop::of(accounts::died(term())).planned_before(before);
    let because = "announced 60.0 s before";
    assert_judged(&announced(PLAN_LASTS), Verdict::Planned, because);
    let too_long = PLAN_LASTS + Duration::from_millis(1);
    let because = "the last planned stop was announced too long ago to explain this end";
    assert_judged(&announced(too_long), Verdict::Crashed, because);
}

#[test]
fn a_start_that_failed_is_an_aborted_start() {
    let because = "the supervisor says that its start failed";
    for account in [
        accounts::never_started(),
        accounts::died_starting(Exit::Code(1)),
        accounts::in_doubt(accounts::never_started()),
        accounts::failing_to_start(accounts::none()),
    ] {
        let stop = Stop::of(account);
        assert_judged(&stop, Verdict::AbortedStart, because);
        let judged = stop.judged();
        assert_eq!(judged.failed_start.as_deref(), Some("its pre-start failed"));
    }
}

#[test]
fn a_start_that_failed_because_somebody_stopped_it_is_planned() {
    let stop = Stop::of(accounts::never_started()).planned();
    assert_judged(&stop, Verdict::Planned, "2.0 s");
    assert_eq!(stop.judged().failed_start, None);
}

#[test]
fn a_service_that_ran_and_whose_next_start_failed_has_crashed() {
    let stop = Stop::of(accounts::failing_to_start(accounts::died(Exit::Code(1))));
    assert_judged(&stop, Verdict::Crashed, "");
    assert_eq!(stop.judged().failed_start, None);
}

#[test]
fn where_nothing_tells_a_planned_stop_from_another_end_the_verdict_is_unknown() {
    let stop = Stop::of(accounts::in_doubt(accounts::died(segv())));
    assert_judged(&stop, Verdict::Unknown, "no hook saw it end");
    assert_judged(&stop.planned(), Verdict::Crashed, "");
}

#[test]
fn an_end_of_which_the_supervisors_record_tells_nothing_is_unknown_or_a_normal_exit() {
    let silent = || Stop::of(accounts::silent());
    assert_judged(&silent(), Verdict::Unknown, "says nothing of how it ended");
    let zero = silent().normal(Exit::Code(0));
    assert_judged(&zero, Verdict::Planned, "the job calls exit code 0 normal");
    let three = silent().normal(Exit::Code(3));
    assert_judged(&three, Verdict::Unknown, "says nothing of how it ended");
}

#[test]
fn sigterm_in_a_job_whose_early_stop_is_silent_is_unknown() {
    let early = |exit| accounts::silent_when_stopped_early(accounts::died(exit));
    let because = "while its post-start was running";
    assert_judged(&Stop::of(early(term())), Verdict::Unknown, because);
    let respawned = Stop::of(accounts::respawning(early(term())));
    assert_judged(&respawned, Verdict::Crashed, "");
    for exit in [segv(), signal("KILL"), Exit::Code(143), Exit::Code(0)] {
        assert_judged(&Stop::of(early(exit)), Verdict::Crashed, "");
    }
}

#[test]
fn an_end_that_looks_like_a_restart_is_unknown_unless_the_kernel_says_that_it_killed_it() {
    let stop = || Stop::of(accounts::like_a_restart(accounts::died(signal("KILL"))));
    let because = "when somebody restarts it";
    assert_judged(&stop(), Verdict::Unknown, because);
    assert_judged(&stop().out_of_memory(), Verdict::Crashed, "");
}

#[test]
fn a_judgement_keeps_how_it_ended_and_why() {
    let judged = Stop::of(accounts::giving_a_reason(accounts::died(segv()))).judged();
    assert_eq!((judged.exit, judged.pid), (segv(), Some(42)));
    assert_eq!(judged.reason, Some(accounts::reason()));
    let judged = Stop::of(accounts::silent()).judged();
    assert_eq!((judged.exit, judged.pid), (Exit::Unknown, None));
    assert_eq!((judged.reason, judged.evidence), (None, vec![]));
}

fn texts(stop: &Stop) -> Vec<String> {
    let evidence = stop.judged().evidence;
    evidence.into_iter().map(|it| it.text).collect()
}

#[test]
fn all_that_a_verdict_rests_on_is_told_the_end_itself_before_what_followed() {
    let account = accounts::failing_to_start(accounts::died(term()));
    let account = accounts::giving_up(accounts::respawning(account));
    let stop = Stop::of(accounts::stopping_it(account)).out_of_memory();
    assert_eq!(
        texts(&stop),
        [
            "it failed to start",
            "it died",
            "Out of memory: Killed process 42",
            "it is started again",
            "it is not started again",
            "shutdown",
        ]
    );
}

#[test]
fn a_line_that_tells_of_the_death_and_of_more_stands_in_the_evidence_once() {
    let stop = Stop::of(accounts::telling_all_in_one_line(accounts::died(term())));
    assert_eq!(texts(&stop), ["it died"]);
    let account = accounts::died(term());
    let stop = Stop::of(accounts::failing_to_start_by_that_death(account));
    assert_eq!(texts(&stop), ["it died"]);
    // Where nothing tells of a death they all stand there.
    let account = accounts::giving_up(accounts::respawning(accounts::never_started()));
    assert_eq!(
        texts(&Stop::of(account)),
        [
            "it failed to start",
            "it is started again",
            "it is not started again"
        ]
    );
}
