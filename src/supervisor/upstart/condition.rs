//! How things stand with a job that has died: what `initctl list` says of it.

use crate::kmsg::Record;
use crate::report::{Condition, Supervisor};
use crate::supervisor::upstart::InitLine;
use crate::supervisor::upstart::stanzas::Stanzas;

/// Reads how things stand from the list of all jobs; returns `None` while init has not decided
/// yet, as between the end of the main process and the end of post-stop.
///
/// `stanzas` are the job's. `log` is the kernel log since the end.
pub fn read(
    list: &str,
    job: &str,
    instance: Option<&str>,
    stanzas: &Stanzas,
    log: &[Record],
) -> Option<Condition> {
    let name = instance.map_or_else(|| job.to_owned(), |instance| format!("{job} ({instance})"));
    let state = list.lines().find_map(|line| {
        let state = line.strip_prefix(name.as_str())?.strip_prefix(' ')?;
        state.split([',', ' ']).next()
    });
    let (goal, state) = match state.map(|state| state.split_once('/')) {
        Some(Some(state)) => state,
        // init forgets an instance that is stopped.
        None if instance.is_some() => ("stop", "waiting"),
        Some(None) | None => return Some(Condition::Unknown),
    };
    let upstart = Supervisor::new("upstart");
    Some(match (goal, state) {
        ("start", "running") => Condition::Up { since: None },
        ("start", _) => Condition::Restarting {
            by: upstart,
            in_s: None,
        },
        ("stop", "waiting") if gave_up(&name, log) => Condition::GivenUp {
            by: upstart,
            because: "respawning too fast".to_owned(),
        },
        ("stop", "waiting") if stanzas.is_task => Condition::Waiting {
            because: "it is a task, and waits for its next start".to_owned(),
        },
        ("stop", "waiting") if stanzas.respawns => Condition::Down {
            because: "Upstart no longer respawns it".to_owned(),
        },
        ("stop", "waiting") => Condition::Down {
            because: "nothing restarts it (no respawn)".to_owned(),
        },
        _ => return None,
    })
}

/// Returns true if init says last that it no longer starts the service.
fn gave_up(name: &str, log: &[Record]) -> bool {
    let lines = log.iter().filter_map(|it| InitLine::read(&it.text, name));
    // A verbose init adds what that means for the goal.
    let mut lines = lines.filter(|line| !matches!(line, InitLine::WantsStop));
    matches!(lines.next_back(), Some(InitLine::GaveUp))
}

/// Returns true if `initctl status`, asked in pre-stop, says that the job is to run: its process
/// goes on.
pub fn is_start_in_pre_stop(status: &str, job: &str, instance: Option<&str>) -> bool {
    let name = instance.map_or_else(|| job.to_owned(), |instance| format!("{job} ({instance})"));
    let state = status.strip_prefix(name.as_str());
    state.is_some_and(|state| state.trim_start().starts_with("start/pre-stop"))
}

#[cfg(test)]
mod tests {
    use super::{is_start_in_pre_stop, read};
    use crate::kmsg::Record;
    use crate::report::{Condition, Supervisor};
    use crate::supervisor::upstart::stanzas::Stanzas;

    const LIST: &str = "cron start/running, process 812\n\
                        web start/post-stop, process 4250\n\
                        web2 stop/waiting\n\
                        web3 stop/post-stop, process 4251\n\
                        shop (a b) start/running, process 99\n\
                        odd\n";

    #[test]
    fn what_init_says_of_a_job_is_read() {
        let down = |because: &str| {
            Some(Condition::Down {
                because: because.to_owned(),
            })
        };
        let up = Some(Condition::Up { since: None });
        let restarting = Some(Condition::Restarting {
            by: Supervisor::new("upstart"),
            in_s: None,
        });
        let no_respawn = "nothing restarts it (no respawn)";
        let waiting = Some(Condition::Waiting {
            because: "it is a task, and waits for its next start".to_owned(),
        });
        for (job, instance, stanzas, expected) in [
            ("cron", None, "respawn", up.clone()),
            ("web", None, "respawn", restarting),
            ("web2", None, "", down(no_respawn)),
            (
                "web2",
                None,
                "respawn",
                down("Upstart no longer respawns it"),
            ),
            ("web2", None, "task", waiting),
            ("web3", None, "respawn", None),
            ("shop", Some("a b"), "respawn", up),
            ("shop", Some("c"), "", down(no_respawn)),
            ("we", None, "", Some(Condition::Unknown)),
            ("odd", None, "", Some(Condition::Unknown)),
        ] {
            let stanzas = Stanzas::read(stanzas, "");
            assert_eq!(
                read(LIST, job, instance, &stanzas, &[]),
                expected,
                "{job} {instance:?} {stanzas:?}"
            );
        }
    }

    #[test]
    fn init_gives_up_a_service_that_respawns_too_fast() {
        let given_up = Condition::GivenUp {
            by: Supervisor::new("upstart"),
            because: "respawning too fast".to_owned(),
        };
        let no_more = Condition::Down {
            because: "Upstart no longer respawns it".to_owned(),
        };
        let stopped = "init: web2 respawning too fast, stopped";
        for (log, expected) in [
            (vec![stopped], &given_up),
            (
                vec![stopped, "init: web2 goal changed from start to stop"],
                &given_up,
            ),
            (
                vec!["init: web2 main process ended, respawning", stopped],
                &given_up,
            ),
            (
                vec![stopped, "init: web2 main process ended, respawning"],
                &no_more,
            ),
            (vec!["init: web3 respawning too fast, stopped"], &no_more),
            (vec![], &no_more),
        ] {
            let record = |text: &&str| Record {
                level: 4,
                facility: 1,
                seq: 1,
                micros: 0,
                text: (*text).to_owned(),
            };
            let log: Vec<_> = log.iter().map(record).collect();
            assert_eq!(
                read(LIST, "web2", None, &Stanzas::read("respawn", ""), &log).as_ref(),
                Some(expected),
                "{log:?}"
            );
        }
    }

    #[test]
    fn only_the_goal_of_this_instance_tells_a_restart_from_a_stop() {
        let status = "web (a b) start/pre-stop, process 9\n\tpre-stop process 12\n";
        assert!(is_start_in_pre_stop(status, "web", Some("a b")));
        assert!(is_start_in_pre_stop(
            "web start/pre-stop, process 9\n",
            "web",
            None
        ));
        for (status, instance) in [
            (status, None),
            (status, Some("b")),
            ("web stop/pre-stop, process 9\n", None),
            ("web start/running, process 9\n", None),
            ("", None),
        ] {
            assert!(!is_start_in_pre_stop(status, "web", instance), "{status}");
        }
    }
}
