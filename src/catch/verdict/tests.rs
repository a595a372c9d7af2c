//! Every branch of the verdict, as a table of stops and what is said of them.
//!
//! Only the functions of [`accounts`] know how an account is built.

use std::time::Duration;

use super::{Case, Judgement, judge};
use crate::catch::marker::Marker;
use crate::clock::Now;
use crate::report::{Evidence, Exit, Timestamp, Verdict};
use crate::supervisor::account::Account;

/// Builds the accounts that supervisors give of a stop.
mod accounts {
    use super::evidence;
    use crate::report::{self, Exit};
    use crate::supervisor::account::{Account, Ending, FailedStart, MainExit, Reason, Sequel};

    /// It keeps a record of deaths, in which nothing stands of this one.
    pub fn silent() -> Account {
        Ending::Silent.into()
    }

    /// It says nothing, or its record cannot be read.
    pub fn none() -> Account {
        Account::default()
    }

    pub fn died(exit: Exit) -> Account {
        Ending::Ended(main(exit)).into()
    }

    fn main(exit: Exit) -> MainExit {
        MainExit {
            exit,
            pid: Some(42),
            evidence: evidence("it died"),
        }
    }

    fn failed(text: &str) -> FailedStart {
        FailedStart {
            why: "its pre-start failed".to_owned(),
            evidence: evidence(text),
        }
    }

    pub fn never_started() -> Account {
        Ending::NeverRan(failed("it failed to start")).into()
    }

    /// Its main process ran, and ended while it was starting.
    pub fn died_starting(exit: Exit) -> Account {
        died_starting_by("it failed to start", exit)
    }

    /// One line tells of the failed start and of the death.
    pub fn died_starting_in_one_line(exit: Exit) -> Account {
        died_starting_by("it died", exit)
    }

    fn died_starting_by(text: &str, exit: Exit) -> Account {
        let failed = failed(text);
        let main = main(exit);
        Ending::DiedStarting { main, failed }.into()
    }

    fn followed(exit: Exit, by: Sequel) -> Account {
        let main = main(exit);
        Ending::Followed { main, by }.into()
    }

    pub fn respawned(exit: Exit) -> Account {
        let respawns = Some(evidence("it is started again"));
        let by = Sequel {
            respawns,
            ..Sequel::default()
        };
        followed(exit, by)
    }

    pub fn given_up(exit: Exit) -> Account {
        let gave_up = Some(evidence("it is not started again"));
        let by = Sequel {
            gave_up,
            ..Sequel::default()
        };
        followed(exit, by)
    }

    /// Its next start failed too.
    pub fn followed_by_a_failed_start(exit: Exit) -> Account {
        let failed_start = Some(evidence("it failed to start"));
        let by = Sequel {
            failed_start,
            ..Sequel::default()
        };
        followed(exit, by)
    }

    pub fn followed_by_all(exit: Exit) -> Account {
        let by = Sequel {
            failed_start: Some(evidence("it failed to start")),
            respawns: Some(evidence("it is started again")),
            gave_up: Some(evidence("it is not started again")),
        };
        followed(exit, by)
    }

    /// One line tells of the death, the respawn and the surrender.
    pub fn followed_by_all_in_one_line(exit: Exit) -> Account {
        let by = Sequel {
            failed_start: Some(evidence("it died")),
            respawns: Some(evidence("it died")),
            gave_up: Some(evidence("it died")),
        };
        followed(exit, by)
    }

    pub fn stopping_it(account: Account) -> Account {
        Account {
            announced: Some(evidence("shutdown")),
            ..account
        }
    }

    pub fn harmless(exit: Exit) -> Account {
        let main = Some(main(exit));
        let why = "it never ran".to_owned();
        Ending::Harmless { main, why }.into()
    }

    pub fn doubtful(exit: Option<Exit>) -> Account {
        let main = exit.map(main);
        let why = "no hook saw it end".to_owned();
        Ending::Doubtful { main, why }.into()
    }

    pub fn like_a_restart(exit: Exit) -> Account {
        let main = main(exit);
        let why = "so it also ends when somebody restarts it".to_owned();
        Ending::LikeRestart { main, why }.into()
    }

    pub fn explained(exit: Option<Exit>) -> Account {
        let main = exit.map(main);
        let reason = reason();
        Ending::Explained { main, reason }.into()
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
    early_is_silent: bool,
    restarted: bool,
    silence_is_normal: bool,
}

impl Stop {
    fn of(account: Account) -> Self {
        Self {
            account,
            planned_before: None,
            oom: None,
            normal: Vec::new(),
            early_is_silent: false,
            restarted: false,
            silence_is_normal: false,
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

    /// A pre-stop ran for a restart that kept the process.
    fn restarted(self) -> Self {
        Self {
            restarted: true,
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
            restarted: self.restarted,
            ..Marker::new("boot".to_owned(), now(Duration::from_secs(10)))
        };
        judge(&Case {
            account: &self.account,
            marker: &marker,
            oom: self.oom.as_ref(),
            normal: &self.normal,
            plan_lasts: PLAN_LASTS,
            silent_early_stop: self.early_is_silent,
            is_silence_normal: self.silence_is_normal,
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
        accounts::respawned(term()),
        accounts::given_up(Exit::Code(1)),
        accounts::explained(Some(signal("ABRT"))),
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
    for account in [
        accounts::respawned(dumped.clone()),
        accounts::doubtful(Some(dumped.clone())),
        accounts::explained(Some(dumped.clone())),
        accounts::died_starting(dumped.clone()),
        accounts::harmless(dumped),
    ] {
        let stop = Stop::of(account).normal(segv());
        assert_judged(&stop, Verdict::Planned, "core dumped normal");
    }
    assert_judged(&three().normal(Exit::Code(4)), Verdict::Crashed, "");
}

#[test]
fn an_unknown_exit_is_no_normal_one() {
    let stop = Stop::of(accounts::none()).normal(Exit::Unknown);
    assert_judged(&stop, Verdict::Crashed, "");
}

#[test]
fn what_the_supervisor_calls_harmless_is_planned() {
    let stop = Stop::of(accounts::harmless(segv()));
    assert_judged(&stop, Verdict::Planned, "it never ran");
    assert_judged(&stop.planned(), Verdict::Planned, "it never ran");
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
    let stop = Stop::of(accounts::respawned(term())).planned();
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
    let never_ran = "its main process never ran";
    let said = "the supervisor says that its start failed";
    for (account, because) in [
        (accounts::never_started(), never_ran),
        (accounts::died_starting(Exit::Code(1)), said),
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
    let stop = Stop::of(accounts::followed_by_a_failed_start(Exit::Code(1)));
    assert_judged(&stop, Verdict::Crashed, "");
    assert_eq!(stop.judged().failed_start, None);
}

#[test]
fn where_nothing_tells_a_planned_stop_from_another_end_the_verdict_is_unknown() {
    for exit in [Some(segv()), None] {
        let stop = Stop::of(accounts::doubtful(exit));
        assert_judged(&stop, Verdict::Unknown, "no hook saw it end");
    }
    let planned = Stop::of(accounts::doubtful(Some(segv()))).planned();
    assert_judged(&planned, Verdict::Crashed, "");
}

#[test]
fn an_end_of_which_the_supervisors_record_tells_nothing_is_unknown_or_a_normal_exit() {
    for account in [accounts::silent(), accounts::explained(None)] {
        let silent = || Stop::of(account.clone());
        assert_judged(&silent(), Verdict::Unknown, "says nothing of how it ended");
        let zero = silent().normal(Exit::Code(0));
        assert_judged(&zero, Verdict::Planned, "the job calls exit code 0 normal");
        let three = silent().normal(Exit::Code(3));
        assert_judged(&three, Verdict::Unknown, "says nothing of how it ended");
    }
}

#[test]
fn the_sentence_for_the_unknown_names_only_what_is_possible() {
    let silent = || Stop::of(accounts::silent());
    let long_ago = PLAN_LASTS + Duration::from_secs(1);
    for (stop, because) in [
        (
            silent(),
            "exit code 0, or somebody stopped it while it was starting",
        ),
        (
            silent().restarted(),
            "0, or somebody stopped it while the pre-stop of a restart",
        ),
        (
            silent().planned_before(long_ago),
            "or the stop that was announced before took longer",
        ),
        (
            silent().normal(Exit::Code(3)),
            "or in a way that counts as normal, or somebody",
        ),
    ] {
        assert_judged(&stop, Verdict::Unknown, because);
    }
    let normal = Stop {
        silence_is_normal: true,
        ..silent()
    };
    assert_judged(&normal, Verdict::Planned, "that its own file calls normal");
}

#[test]
fn sigterm_in_a_job_whose_early_stop_is_silent_is_unknown() {
    let early = |account| Stop {
        early_is_silent: true,
        ..Stop::of(account)
    };
    let because = "while its post-start was running";
    for account in [
        accounts::died(term()),
        accounts::given_up(term()),
        accounts::followed_by_a_failed_start(term()),
    ] {
        assert_judged(&early(account), Verdict::Unknown, because);
    }
    assert_judged(&early(accounts::respawned(term())), Verdict::Crashed, "");
    let up = early(accounts::died(term())).restarted();
    assert_judged(&up, Verdict::Crashed, "nobody had asked it to stop");
    for exit in [segv(), signal("KILL"), Exit::Code(143), Exit::Code(0)] {
        assert_judged(&early(accounts::died(exit)), Verdict::Crashed, "");
    }
}

#[test]
fn an_end_that_looks_like_a_restart_is_unknown_unless_the_kernel_says_that_it_killed_it() {
    let stop = || Stop::of(accounts::like_a_restart(signal("KILL")));
    let because = "when somebody restarts it";
    assert_judged(&stop(), Verdict::Unknown, because);
    assert_judged(&stop().out_of_memory(), Verdict::Crashed, "");
}

#[test]
fn a_judgement_keeps_how_it_ended_and_why() {
    let judged = Stop::of(accounts::explained(Some(segv()))).judged();
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
    let account = accounts::stopping_it(accounts::followed_by_all(term()));
    let stop = Stop::of(account).out_of_memory();
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
    for account in [
        accounts::followed_by_all_in_one_line(term()),
        accounts::died_starting_in_one_line(term()),
        accounts::doubtful(Some(term())),
        accounts::harmless(term()),
        accounts::explained(Some(term())),
        accounts::like_a_restart(term()),
    ] {
        assert_eq!(texts(&Stop::of(account)), ["it died"]);
    }
    let account = accounts::died_starting(term());
    assert_eq!(texts(&Stop::of(account)), ["it failed to start", "it died"]);
    let account = accounts::never_started();
    assert_eq!(texts(&Stop::of(account)), ["it failed to start"]);
}
