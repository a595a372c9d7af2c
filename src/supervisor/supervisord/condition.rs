//! How things stand with a process that has died: what `supervisorctl status` says of it.

use crate::report::{Condition, Supervisor};

/// The remark of supervisorctl on a process that was never started.
const NOT_STARTED: &str = "Not started";

/// Reads how things stand from supervisorctl's lines, one for each process; returns `None` if
/// none is about this one. Since when one runs, the listener has noted to the millisecond, and
/// supervisorctl counts seconds.
pub fn read(said: &str, process: &str) -> Option<Condition> {
    let words = said.lines().find_map(|line| {
        let rest = line.strip_prefix(process)?;
        rest.starts_with(' ').then(|| rest.trim())
    })?;
    let (state, rest) = words.split_once(' ').unwrap_or((words, ""));
    let by = || Supervisor::new("supervisord");
    Some(match state {
        "RUNNING" => Condition::Up { since: None },
        "STARTING" | "BACKOFF" => Condition::Restarting {
            by: by(),
            in_s: None,
        },
        "FATAL" => given_up(rest.trim()),
        "STOPPED" if rest.trim() == NOT_STARTED => Condition::Down {
            because: "supervisord has not started it".to_owned(),
        },
        // So it is after a request alone, also after one between two lives.
        "STOPPED" => Condition::Stopped {
            because: "supervisord was told to".to_owned(),
        },
        "EXITED" => Condition::Down {
            because: format!("supervisord does not restart it ({state})"),
        },
        _ => return None,
    })
}

/// Returns how things stand with a process that is FATAL.
pub fn given_up(why: &str) -> Condition {
    Condition::GivenUp {
        by: Supervisor::new("supervisord"),
        because: format!("FATAL: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::report::{Condition, Supervisor};

    #[test]
    fn what_supervisorctl_says_of_a_process_is_read() {
        let by = || Supervisor::new("supervisord");
        let down = |because: &str| {
            Some(Condition::Down {
                because: because.to_owned(),
            })
        };
        let said = "web:web_00     RUNNING   pid 4242, uptime 0:00:03\n\
                    web:web_01     BACKOFF   Exited too quickly (process log may have details)\n\
                    cache          FATAL     can't find command '/srv/cache'\n\
                    batch          EXITED    Nov 23 03:00 AM\n\
                    shop           STOPPED   Nov 23 03:00 AM\n\
                    idle           STOPPED   Not started\n";
        for (process, expected) in [
            ("web:web_00", Some(Condition::Up { since: None })),
            ("idle", down("supervisord has not started it")),
            (
                "shop",
                Some(Condition::Stopped {
                    because: "supervisord was told to".to_owned(),
                }),
            ),
            (
                "web:web_01",
                Some(Condition::Restarting {
                    by: by(),
                    in_s: None,
                }),
            ),
            (
                "cache",
                Some(Condition::GivenUp {
                    by: by(),
                    because: "FATAL: can't find command '/srv/cache'".to_owned(),
                }),
            ),
            ("batch", down("supervisord does not restart it (EXITED)")),
            ("web", None),
            ("web:web_0", None),
        ] {
            assert_eq!(read(said, process), expected, "{process}");
        }
    }
}
