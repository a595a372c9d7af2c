//! Makes one try to give one report to one sink. The try is a process of its own, which its parent
//! can end. Without a report, it finds out whether that sink would take one.
//!
//! The parent starts `lastwords attempt`, passes the task to its stdin as JSON, and reads from its
//! stdout an [`Attempt`] or the sink's answer. No secret and nothing hostile (a job's name) becomes
//! an argument.

use std::borrow::Cow;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::places::Places;
use crate::plugin::{self, Command, Run};
use crate::redact::redact;
use crate::report::{Condition, Report};
use crate::sinks::{Probed, SendError, Sink};
use crate::spool::Attempt;
use crate::{config, ourselves};

/// Maximum length of an answer (a receipt or an error, in JSON), in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Maximum address space of a try, in bytes.
const MAX_MEMORY: u64 = 1 << 30;

#[derive(Debug, Args)]
pub struct AttemptArgs {
    #[command(flatten)]
    places: Places,
}

#[derive(Serialize, Deserialize)]
struct Task<'a> {
    sink: Cow<'a, str>,
    job: Cow<'a, str>,
    /// The report to send. `None` asks the sink, and sends nothing.
    report: Option<Cow<'a, Report>>,
}

/// Has the try made, and waits for it for as long as the sink may take.
pub fn make(places: &Places, sink: &dyn Sink, report: &Report) -> Attempt {
    have_made(places, sink, report).unwrap_or_else(|why| Attempt::Retry {
        after_s: None,
        why: redact(&format!("{why:#}")).into_owned(),
    })
}

fn have_made(places: &Places, sink: &dyn Sink, report: &Report) -> Result<Attempt> {
    let task = Task {
        sink: sink.name().into(),
        job: (&report.stop.job).into(),
        report: Some(Cow::Borrowed(report)),
    };
    hand_over(places, &task, sink.patience())
}

/// Has a job's sink asked whether it would take a report. Waits no longer than `timeout`.
///
/// Returns why the sink would not take one.
pub fn probe(
    places: &Places,
    sink: &dyn Sink,
    job: &str,
    timeout: Duration,
) -> Result<Probed, String> {
    let task = Task {
        sink: sink.name().into(),
        job: job.into(),
        report: None,
    };
    let said: Result<Result<Probed, String>> =
        hand_over(places, &task, timeout.min(sink.patience()));
    said.unwrap_or_else(|why| Err(redact(&format!("{why:#}")).into_owned()))
}

fn hand_over<T: DeserializeOwned>(places: &Places, task: &Task, timeout: Duration) -> Result<T> {
    let program = ourselves::program()
        .context("cannot find this program")?
        .into_os_string();
    let words = [program, "attempt".into()]
        .into_iter()
        .chain(places.flags());
    let words = words
        .map(OsString::into_string)
        .collect::<Result<Vec<_>, _>>();
    let words = words
        .map_err(|path| anyhow::anyhow!("a directory's name is not UTF-8: {}", path.display()))?;
    let task = serde_json::to_vec(task)?;
    // The sink's secrets may come from the environment.
    let env: Vec<_> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .collect();
    let env: Vec<(&str, &OsStr)> = env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_os_str()))
        .collect();
    let outcome = plugin::run(&Run {
        command: &Command::try_from(words).map_err(anyhow::Error::msg)?,
        user: None,
        stdin: &task,
        env: &env,
        timeout,
        max_bytes: MAX_ANSWER,
    });
    serde_json::from_slice(&outcome.stdout).map_err(|_| {
        anyhow::anyhow!(
            "the try came to nothing: {} {}",
            outcome.end,
            outcome.last_error
        )
    })
}

/// Limits this process's memory. A server's answer may be endless, and a library may keep all of
/// it: the process that reads it must not take the machine's memory.
fn limit_memory() -> Result<()> {
    let limit = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::As, limit(MAX_MEMORY))?;
    // A process that runs out of memory aborts. Its core would hold secrets.
    setrlimit(Resource::Core, limit(0))?;
    Ok(())
}

/// Makes the try. This is what the process of its own runs.
pub fn run(args: &AttemptArgs, out: &mut impl Write) -> Result<ExitCode> {
    // If the deliverer was killed, the next one makes this try again. The two must not overlap.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let Task {
        sink: name,
        job,
        report,
    } = serde_json::from_str(&text)?;
    let loaded = config::load(&args.places.config, &job);
    let sink = loaded.sink(&name);
    // A program would inherit the limit, and may need more memory.
    if sink.is_some_and(|sink| sink.kind() != "exec") {
        limit_memory()?;
    }
    let host = args.places.host();
    let redact = |text: String| loaded.redactor.text(&text).into_owned();
    let gone = || format!("the config has no sink {name} any more");
    let Some(mut report) = report.map(Cow::into_owned) else {
        let probed: Result<Probed, String> = match sink.map(|sink| sink.probe(&host)) {
            None => Err(gone()),
            Some(Ok(Probed::Good(text))) => Ok(Probed::Good(redact(text))),
            Some(Ok(Probed::Unasked(text))) => Ok(Probed::Unasked(redact(text))),
            Some(Err(SendError::Retry { why, .. } | SendError::Refused { why })) => {
                Err(redact(why))
            }
        };
        serde_json::to_writer(out, &probed)?;
        return Ok(ExitCode::SUCCESS);
    };
    // The reasons are the supervisor's own words.
    for because in report.now.iter_mut().flat_map(Condition::reasons) {
        *because = redact(std::mem::take(because));
    }
    let attempt = match sink.map(|sink| sink.send(&report, &host)) {
        None => Attempt::Retry {
            after_s: None,
            why: gone(),
        },
        Some(Ok(receipt)) => Attempt::Sent {
            receipt: redact(receipt),
        },
        Some(Err(SendError::Retry { after, why })) => Attempt::Retry {
            after_s: after.map(|it| it.as_secs()),
            why: redact(why),
        },
        Some(Err(SendError::Refused { why })) => Attempt::Refused { why: redact(why) },
    };
    serde_json::to_writer(out, &attempt)?;
    Ok(ExitCode::SUCCESS)
}
