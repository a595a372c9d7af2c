//! How things stand with a unit that has died: its properties, as systemd shows them.

use std::time::Duration;

use crate::clock::Now;
use crate::report::{Condition, Exit, Supervisor};
use crate::supervisor::systemd::units::Shown;

/// The properties that [`read`] needs.
pub const PROPERTIES: [&str; 15] = [
    "LoadState",
    "Type",
    "ActiveState",
    "SubState",
    "Result",
    "Job",
    "Restart",
    "RestartUSec",
    "RestartUSecNext",
    "NRestarts",
    "StartLimitBurst",
    "TriggeredBy",
    "StateChangeTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
];

/// Reads how things stand from a unit's properties; returns `None` while its state changes, as
/// between the end of the main process and what systemd does about it.
///
/// `exit` is how the unit's last life ended, as far as that is known.
pub fn read(unit: &Shown, exit: &Exit, now: Now) -> Option<Condition> {
    let number = |name: &str| unit.get(name).parse::<u64>().ok();
    let time = |name: &str| number(name).map(Duration::from_micros);
    let up = |since: &str| Condition::Up {
        since: time(since).and_then(|since| now.wall_at(since)),
    };
    let since = time("StateChangeTimestampMonotonic");
    let has_job = number("Job").is_some_and(|job| job != 0);
    let restarting = |in_s| Condition::Restarting {
        by: Supervisor::new("systemd"),
        in_s,
    };
    Some(match unit.get("ActiveState") {
        _ if unit.get("LoadState") != "loaded" => Condition::Unknown,
        "active" | "reloading" => up("ActiveEnterTimestampMonotonic"),
        // A oneshot service is never more than that while its command runs.
        "activating" if unit.get("Type") == "oneshot" && unit.get("SubState") == "start" => {
            up("InactiveExitTimestampMonotonic")
        }
        // `auto-restart`; `auto-restart-queued` from systemd 254 on.
        "activating" if unit.get("SubState").starts_with("auto-restart") => {
            let next = ["RestartUSecNext", "RestartUSec"]
                .iter()
                .find_map(|name| humantime::parse_duration(unit.get(name)).ok());
            let at = since.zip(next).map(|(since, wait)| since + wait);
            restarting(at.map(|at| at.saturating_sub(now.monotonic).as_secs_f64()))
        }
        "activating" => restarting(None),
        "failed" | "inactive" if has_job => restarting(None),
        "inactive" if is_no_failure_now(unit, exit) => Condition::Stopped {
            because: "systemd no longer counts it as failed (systemctl stop or reset-failed)"
                .to_owned(),
        },
        "failed" | "inactive" => stays_down(unit, number("NRestarts"), number("StartLimitBurst")),
        _ => return None,
    })
}

fn stays_down(unit: &Shown, restarts: Option<u64>, limit: Option<u64>) -> Condition {
    let restart = unit.get("Restart");
    if let Some(trigger) = unit.get("TriggeredBy").split_ascii_whitespace().next() {
        return Condition::Waiting {
            because: format!("{trigger} starts it again"),
        };
    }
    if unit.get("Type") == "oneshot" && unit.get("Result") == "success" {
        return Condition::ran_well();
    }
    // After the limit the result is still that of the last end, except where a start was refused.
    let is_limit = unit.get("Result") == "start-limit-hit"
        || restarts
            .zip(limit)
            .is_some_and(|(restarts, limit)| limit > 0 && restarts >= limit);
    if is_limit && restart != "no" {
        return Condition::GivenUp {
            by: Supervisor::new("systemd"),
            because: "start limit".to_owned(),
        };
    }
    let because = match restart {
        "no" | "" => "nothing restarts it (Restart=no)".to_owned(),
        _ => format!("systemd does not restart it after this end (Restart={restart})"),
    };
    Condition::Down { because }
}

/// Returns true if the unit has died of a failure and is not `failed` any more: somebody has
/// stopped it between two of its lives, or has reset it. systemd may have unloaded it since, and
/// its result with it.
fn is_no_failure_now(unit: &Shown, exit: &Exit) -> bool {
    let was_failure = match exit {
        Exit::Code(code) => *code != 0,
        // A daemon may end by these.
        Exit::Signal { name, .. } => !["HUP", "INT", "TERM", "PIPE"].contains(&name.as_str()),
        Exit::Unknown => false,
    };
    let is_started_otherwise = !unit.get("TriggeredBy").is_empty();
    let has_run = unit.get("Type") == "oneshot" && unit.get("Result") == "success";
    was_failure && !is_started_otherwise && !has_run && unit.get("Result") != "exec-condition"
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::read;
    use crate::clock::Now;
    use crate::report::{Condition, Exit, Supervisor, Timestamp};
    use crate::supervisor::systemd::units::Shown;

    /// Returns how things stand 100 s after the boot, at 03:00:00.
    fn condition(properties: &str) -> Option<Condition> {
        let now = Now {
            wall: Timestamp::try_from("2026-11-23T03:00:00Z".to_owned()).unwrap(),
            monotonic: Duration::from_secs(100),
        };
        let unit = Shown::parse(&format!("LoadState=loaded\n{properties}"));
        read(&unit, &Exit::Code(1), now)
    }

    fn down(because: &str) -> Condition {
        let because = because.to_owned();
        Condition::Down { because }
    }

    #[test]
    fn a_run_of_a_oneshot_service_and_a_stop_between_two_lives_are_read() {
        for (properties, expected) in [
            (
                "Type=oneshot\nActiveState=activating\nSubState=start\n\
                 InactiveExitTimestampMonotonic=98000000",
                Condition::Up {
                    since: Timestamp::try_from("2026-11-23T02:59:58Z".to_owned()).ok(),
                },
            ),
            (
                "ActiveState=inactive\nSubState=dead\nResult=success\nRestart=always",
                Condition::Stopped {
                    because: "systemd no longer counts it as failed (systemctl stop or \
                              reset-failed)"
                        .to_owned(),
                },
            ),
        ] {
            assert_eq!(condition(properties), Some(expected), "{properties}");
        }
    }

    #[test]
    fn the_states_of_a_unit_that_has_died_are_read() {
        let by = || Supervisor::new("systemd");
        for (properties, expected) in [
            (
                "ActiveState=active\nSubState=running\nStateChangeTimestampMonotonic=99000000\n\
                 ActiveEnterTimestampMonotonic=98000000",
                Some(Condition::Up {
                    since: Timestamp::try_from("2026-11-23T02:59:58Z".to_owned()).ok(),
                }),
            ),
            (
                "ActiveState=activating\nSubState=auto-restart\nRestartUSec=1min 30s\n\
                 StateChangeTimestampMonotonic=95000000",
                Some(Condition::Restarting {
                    by: by(),
                    in_s: Some(85.0),
                }),
            ),
            (
                "ActiveState=activating\nSubState=auto-restart\nRestartUSec=100ms\n\
                 RestartUSecNext=2s\nStateChangeTimestampMonotonic=99000000",
                Some(Condition::Restarting {
                    by: by(),
                    in_s: Some(1.0),
                }),
            ),
            (
                "ActiveState=activating\nSubState=start-pre",
                Some(Condition::Restarting {
                    by: by(),
                    in_s: None,
                }),
            ),
            (
                "ActiveState=inactive\nSubState=dead\nJob=42",
                Some(Condition::Restarting {
                    by: by(),
                    in_s: None,
                }),
            ),
            (
                "ActiveState=failed\nResult=exit-code\nRestart=always\nNRestarts=5\nStartLimitBurst=5",
                Some(Condition::GivenUp {
                    by: by(),
                    because: "start limit".to_owned(),
                }),
            ),
            (
                "ActiveState=failed\nResult=start-limit-hit\nRestart=always\nNRestarts=2",
                Some(Condition::GivenUp {
                    by: by(),
                    because: "start limit".to_owned(),
                }),
            ),
            (
                "ActiveState=failed\nResult=exit-code\nRestart=on-abnormal\nNRestarts=0\nStartLimitBurst=5",
                Some(down(
                    "systemd does not restart it after this end (Restart=on-abnormal)",
                )),
            ),
            (
                "ActiveState=failed\nResult=exit-code\nRestart=no\nNRestarts=0\nStartLimitBurst=0",
                Some(down("nothing restarts it (Restart=no)")),
            ),
            (
                "ActiveState=inactive\nSubState=dead\nRestart=no\nTriggeredBy=web.timer",
                Some(Condition::Waiting {
                    because: "web.timer starts it again".to_owned(),
                }),
            ),
            (
                "ActiveState=inactive\nRestart=no\nTriggeredBy=web.socket",
                Some(Condition::Waiting {
                    because: "web.socket starts it again".to_owned(),
                }),
            ),
            (
                "Type=oneshot\nActiveState=inactive\nResult=success\nRestart=no",
                Some(Condition::Waiting {
                    because: "its last run ended well".to_owned(),
                }),
            ),
            (
                "Type=oneshot\nActiveState=failed\nResult=exit-code\nRestart=no",
                Some(down("nothing restarts it (Restart=no)")),
            ),
            ("ActiveState=deactivating\nSubState=stop-post", None),
        ] {
            assert_eq!(condition(properties), expected, "{properties}");
        }
        let unknown = Shown::parse("LoadState=not-found\nActiveState=inactive");
        let now = Now::read();
        assert_eq!(
            read(&unknown, &Exit::Code(1), now),
            Some(Condition::Unknown)
        );
    }
}
