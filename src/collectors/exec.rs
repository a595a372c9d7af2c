//! Shows the output of a program: any executable is a collector.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | The section's name. | required |
//! | `command` | The program and its arguments: an absolute path, or a name in the usual directories. No shell. | required |
//! | `timeout` | How long it may run. | `"10s"` |
//! | `max_bytes` | How much of its output is kept. | `65536` |
//! | `when` | `"now"`: at the crash, before the restart; `"later"`: when the report is sent. | `"later"` |
//! | `settings` | A table handed to the program. | empty |
//! | `user` | The user that it runs as, by name or number, with that user's groups. | the job's `user`; without one, lastwords' own: root |
//!
//! ```toml
//! [[collect.exec]]
//! name = "queue depth"
//! command = ["/usr/lib/lastwords/plugins/collectors/queue-depth"]
//! settings = { queue = "orders" }
//! ```
//!
//! The program gets `{"protocol": 1, "stop": …, "settings": …}` on stdin, and need not read it.
//! Its output *is* the section; an exit code other than 0, a signal and a timeout make the
//! section a failed one.
//!
//! A program that looks at a user's files should run as that user: then it can do no more than the
//! user can. If lastwords may not switch to the user, the section says so. A program of another
//! user has limits: 2 GiB of memory, 10 min of CPU time, 1 GiB a file, 1,024 open files. Setuid
//! programs such as sudo give it no more rights.

use std::time::Duration;

use anyhow::{Result, anyhow};
use rustix::process::Pid;
use serde::Deserialize;
use serde_json::json;

use crate::collectors::{Body, Collector};
use crate::host::Host;
use crate::plugin::{self, Command, ProgramOutcome, Run, RunAs, Settings};
use crate::report::{CollectorKind, Stop};

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExecCollector {
    name: String,
    command: Command,
    #[serde(default = "ten_seconds", deserialize_with = "plugin::timeout")]
    #[cfg_attr(test, schemars(with = "String"))]
    timeout: Duration,
    #[serde(default = "sixty_four_kib")]
    max_bytes: usize,
    #[serde(default)]
    when: When,
    #[serde(default)]
    settings: Settings,
    /// The user that the program runs as. The job's config fills in its own.
    pub user: Option<String>,
}

/// When the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum When {
    Now,
    #[default]
    Later,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn sixty_four_kib() -> usize {
    64 * 1024
}

impl Collector for ExecCollector {
    fn kind(&self) -> CollectorKind {
        CollectorKind::EXEC
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn runs_later(&self) -> bool {
        self.when == When::Later
    }

    fn patience(&self) -> Duration {
        self.timeout
    }

    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body> {
        self.body(&self.run(stop, host, &mut |_| {})?)
    }
}

impl ExecCollector {
    /// Runs the program, and shows its process group to `look`; see [`plugin::run_and_look`].
    ///
    /// # Errors
    /// If it cannot run as its user.
    pub fn run(
        &self,
        stop: &Stop,
        host: &Host,
        look: &mut dyn FnMut(Pid),
    ) -> Result<ProgramOutcome> {
        let user = plugin::user(self.user.as_deref(), host)?;
        let stdin =
            json!({ "protocol": plugin::PROTOCOL, "stop": stop, "settings": self.settings.json() })
                .to_string();
        let run = Run {
            command: &self.command,
            user: user.as_ref().map(|user| RunAs {
                user,
                may_gain: false,
            }),
            stdin: stdin.as_bytes(),
            env: &[],
            timeout: self.timeout,
            max_bytes: self.max_bytes,
        };
        Ok(plugin::run_and_look(&run, look))
    }

    /// Makes the section from the program's output.
    ///
    /// # Errors
    /// If the program failed; the text is that of the failed section.
    pub fn body(&self, outcome: &ProgramOutcome) -> Result<Body> {
        let mut text = String::from_utf8_lossy(&outcome.stdout).into_owned();
        if outcome.truncated {
            text = format!("{text}\n[cut after {} bytes]", self.max_bytes);
        }
        match outcome.end.code() {
            Some(0) => Ok(Body {
                text,
                data: json!({ "exit_code": 0, "truncated": outcome.truncated }).into(),
            }),
            _ => Err(anyhow!(
                "{}",
                failure(&outcome.end.to_string(), &outcome.last_error, &text)
            )),
        }
    }
}

/// Returns the text of the failed section.
fn failure(end: &str, last_error: &str, output: &str) -> String {
    let mut said = end.to_owned();
    for (before, more) in [
        (": ", last_error),
        ("\nits output so far:\n", output.trim_end()),
    ] {
        if !more.is_empty() {
            said = said + before + more;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Exit, Supervisor, Timestamp};

    fn collect(toml: &str) -> Result<Body> {
        let exec: ExecCollector = toml::from_str(toml).unwrap();
        let stop = Stop {
            job: "web".to_owned(),
            instance: None,
            supervisor: Supervisor::new("upstart"),
            started_at: None,
            stopped_at: Timestamp::new(std::time::SystemTime::UNIX_EPOCH),
            uptime_s: None,
            pid: None,
            exit: Exit::Code(1),
            invocation: None,
            directory: None,
        };
        exec.collect(&stop, &Host::new("/", "/"))
    }

    #[test]
    fn the_program_gets_the_stop_and_its_settings_and_its_output_is_the_section() {
        let body = collect("name = 'x'\ncommand = ['cat']\nsettings.queue = 'orders'").unwrap();
        let input: serde_json::Value = serde_json::from_str(&body.text).unwrap();
        assert_eq!(input["protocol"], 1);
        assert_eq!(input["stop"]["job"], "web");
        assert_eq!(input["settings"], json!({ "queue": "orders" }));
        assert_eq!(
            body.data,
            json!({ "exit_code": 0, "truncated": false }).into()
        );
    }

    #[test]
    fn output_past_the_cap_is_cut_and_said_to_be() {
        let body = collect("name = 'x'\nmax_bytes = 4\ncommand = ['echo', 'abcdefgh']").unwrap();
        assert_eq!(body.text, "abcd\n[cut after 4 bytes]");
        assert_eq!(body.data.to_json()["truncated"], true);
    }

    #[test]
    fn a_failure_shows_status_last_error_and_output() {
        let why =
            collect("name = 'x'\ncommand = ['sh', '-c', 'echo half; echo no queue >&2; exit 3']")
                .unwrap_err();
        assert_eq!(
            why.to_string(),
            "exit status: 3: no queue\nits output so far:\nhalf"
        );
        let why = collect("name = 'x'\ntimeout = '100ms'\ncommand = ['sleep', '100']").unwrap_err();
        assert_eq!(
            why.to_string(),
            "still running after 100ms, so it was killed"
        );
    }

    #[test]
    fn it_runs_later_unless_told_otherwise() {
        let exec = |when: &str| {
            toml::from_str::<ExecCollector>(&format!("name = 'x'\ncommand = ['true']\n{when}"))
        };
        assert!(exec("").unwrap().runs_later());
        assert!(!exec("when = 'now'").unwrap().runs_later());
        assert!(exec("when = 'soon'").is_err());
        assert!(exec("wen = 'now'").is_err());
    }
}
