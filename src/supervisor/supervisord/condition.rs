//! How things stand with a process that has died: what `supervisorctl status` says of it.

use crate::report::{Condition, Supervisor};

/// Reads how things stand from supervisorctl's lines, one for each process; returns `None` if
/// none is about this one.
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
        "EXITED" | "STOPPED" => Condition::Down {
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
        let said = "web:web_00     RUNNING   pid 4242, uptime 0:00:03\n\
                    web:web_01     BACKOFF   Exited too quickly (process log may have details)\n\
                    cache          FATAL     can't find command '/srv/cache'\n\
                    batch          EXITED    Nov 23 03:00 AM\n";
        for (process, expected) in [
            ("web:web_00", Some(Condition::Up { since: None })),
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
            (
                "batch",
                Some(Condition::Down {
                    because: "supervisord does not restart it (EXITED)".to_owned(),
                }),
            ),
            ("web", None),
            ("web:web_0", None),
        ] {
            assert_eq!(read(said, process), expected, "{process}");
        }
    }
}
