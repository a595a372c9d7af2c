//! `[collect.journal]`: the service's lines in systemd's journal, of this life only.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `lines` | the most lines | `200` |
//!
//! ```toml
//! [collect.journal]
//! lines = 500
//! ```
//!
//! A job on systemd without a config has it, unless its output goes to a file. The lines are found
//! by the id that systemd gave to this life, never by a name. So there are none of other units or
//! earlier lives among them. The messages of systemd's own manager about the unit are left out,
//! except those about a program that it could not run.
//!
//! The section's data: `invocation`, `lines` (how many are shown).

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::log::{Deep, DeepTail};
use super::{Body, Collector};
use crate::host::Host;
use crate::plugin::{self, Command, ProgramOutcome, Run};
use crate::report::{CollectorKind, JournalEnd, SectionData, Stop};

/// How long the journal may take to write down its latest messages (measured: up to 63 ms). On a
/// busy machine the last lines would be missing otherwise.
const SYNC: Duration = Duration::from_millis(200);
/// How long reading may take.
const READ: Duration = Duration::from_millis(400);
/// Maximum size of the output, in bytes. Each line comes with some hundred bytes of fields.
const MAX_BYTES: usize = 1024 * 1024;

/// The end of the journal of this life.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Journal {
    #[serde(default = "default_lines")]
    lines: usize,
    /// Receives the lines, if the caller wants them.
    #[serde(skip)]
    pub deep: Option<DeepTail>,
}

fn default_lines() -> usize {
    200
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            lines: default_lines(),
            deep: None,
        }
    }
}

impl Collector for Journal {
    fn kind(&self) -> CollectorKind {
        CollectorKind::JOURNAL
    }

    fn name(&self) -> String {
        "log journal".to_owned()
    }

    fn comes_first(&self) -> bool {
        true
    }

    /// The journal of a busy machine gets the time that it needs, within bounds: without it there
    /// is no log.
    fn patience(&self) -> Duration {
        SYNC + READ
    }

    fn collect(&self, stop: &Stop, _host: &Host) -> Result<Body> {
        let invocation = stop.invocation.as_deref().context(
            "cannot tell which life's journal to read: the hook got no INVOCATION_ID from systemd",
        )?;
        ensure!(is_id(invocation), "{invocation:?} is not an invocation id");
        // If that takes too long, most lines are there all the same.
        let synced = journalctl(&["--sync".to_owned()], SYNC)?.end.code() == Some(0);
        let of_service = format!("_SYSTEMD_INVOCATION_ID={invocation}");
        let about_service = format!("INVOCATION_ID={invocation}");
        // Anyone may write the second field, but not with root's user id.
        let arguments = [
            "--reverse",
            "--quiet",
            "--no-pager",
            "--all",
            "--output=json",
        ]
        .map(str::to_owned);
        let fields = "--output-fields=MESSAGE,_PID,SYSLOG_IDENTIFIER".to_owned();
        let matches = [
            of_service,
            "+".to_owned(),
            about_service,
            "_UID=0".to_owned(),
        ];
        let lines = [fields, format!("--lines={}", self.lines.saturating_mul(2))];
        let outcome = journalctl(&[&arguments[..], &lines, &matches].concat(), READ)?;
        if outcome.end.code() != Some(0) {
            bail!("journalctl failed: {}{}", outcome.end, last_error(&outcome));
        }
        let mut lines = parse(&outcome.stdout, self.lines);
        let count = lines.len();
        if let Some(slot) = &self.deep {
            let text = lines.join("\n");
            slot.put(Deep {
                path: "journal".to_owned(),
                text,
                modified: stop.stopped_at.time(),
            });
        }
        if !synced {
            lines.push(
                "[these may not be the last lines: journalctl did not answer in time]".to_owned(),
            );
        }
        Ok(Body {
            text: lines.join("\n"),
            data: SectionData::Journal(JournalEnd {
                invocation: invocation.to_owned(),
                lines: count,
            }),
        })
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

fn journalctl(arguments: &[String], timeout: Duration) -> Result<ProgramOutcome> {
    let words = [&["journalctl".to_owned()], arguments].concat();
    let command = Command::try_from(words).map_err(anyhow::Error::msg)?;
    command.locate().context("cannot read the journal")?;
    Ok(plugin::run(&Run {
        command: &command,
        user: None,
        stdin: &[],
        env: &[],
        timeout,
        max_bytes: MAX_BYTES,
    }))
}

fn last_error(outcome: &ProgramOutcome) -> String {
    if outcome.last_error.is_empty() {
        String::new()
    } else {
        format!(": {}", outcome.last_error)
    }
}

/// Returns the last `most` of the service's lines. The newest of `entries` comes first.
fn parse(entries: &[u8], most: usize) -> Vec<String> {
    let entries = entries
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let is = |entry: &Value, field: &str, value: &str| {
        entry.get(field).and_then(Value::as_str) == Some(value)
    };
    // Messages of our own hooks, or of systemd about them, belong to the unit, but not to the
    // service.
    let of_hook = |entry: &Value| {
        ["lastwords", "(astwords)"]
            .iter()
            .any(|it| is(entry, "SYSLOG_IDENTIFIER", it))
    };
    let of_service = |entry: &Value| !is(entry, "_PID", "1") && !of_hook(entry);
    let mut lines: Vec<String> = entries
        .filter(of_service)
        .filter_map(|entry| message(entry.get("MESSAGE")?))
        .take(most)
        .collect();
    lines.reverse();
    lines
}

/// Returns a message's text. journalctl gives a message that is no UTF-8 as a list of bytes.
fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes
                .iter()
                .filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_own_lines_are_put_in_their_order() {
        let entries = r#"{"_PID":"9","SYSLOG_IDENTIFIER":"lastwords","MESSAGE":"a complaint of ours"}
{"_PID":"1","MESSAGE":"web.service: Main process exited, code=exited, status=1/FAILURE"}
{"_PID":"7","MESSAGE":[255,98,121,101]}
{"_PID":"7","MESSAGE":"boom"}
{"_PID":"7","MESSAGE":null}
{"_PID":"7","MESSAGE":"hello"}
{"_PID":"7","MES"#;
        assert_eq!(
            parse(entries.as_bytes(), 200),
            ["hello", "boom", "\u{fffd}bye"]
        );
        assert_eq!(parse(entries.as_bytes(), 1), ["\u{fffd}bye"]);
        assert_eq!(parse(b"", 200), [""; 0]);
    }

    #[test]
    fn only_an_id_is_asked_for() {
        assert!(is_id("3cbe907fe81a40469b599e3cdfb35221"));
        for odd in [
            "",
            "3cbe",
            "3cbe907fe81a40469b599e3cdfb3522g",
            "_PID=1",
            "--file=/etc/shadow",
        ] {
            assert!(!is_id(odd));
        }
    }
}
