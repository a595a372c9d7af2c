//! supervisord's protocol for event listeners: it writes events to our stdin, each after a `READY`
//! of ours, and waits for the `RESULT`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Stdin, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::host::Host;
use crate::notice;
use crate::supervisor::listen::{Events, Heard, Listen, ServiceChange, ServiceEvent};
use crate::supervisor::supervisord::child_logs::logs_of;
use crate::supervisor::supervisord::files::{CHILD_LOGS, SUPERVISORD_LOG};
use crate::supervisor::supervisord::log::SupervisordLog;
use crate::supervisor::supervisord::{Event, ProcessState, header};

/// Maximum length of a line and of a payload, in bytes. They hold names, and nothing long.
const MAX_EVENT: usize = 64 * 1024;

#[derive(Debug, Args)]
struct Flags {
    /// supervisord's own log (its `logfile`), which alone tells how a process ended
    #[arg(long, value_name = "FILE", default_value = SUPERVISORD_LOG)]
    supervisord_log: PathBuf,
    /// Where supervisord keeps the logs that it names itself (its `childlogdir`)
    #[arg(long, value_name = "DIR", default_value = CHILD_LOGS)]
    child_logs: PathBuf,
}

pub struct EventListener;

impl Listen for EventListener {
    fn describe(&self, command: Command) -> Command {
        Flags::augment_args(command).about("As an event listener of supervisord")
    }

    fn open(
        &self,
        flags: &ArgMatches,
        host: &Host,
        variable: fn(&str) -> Option<OsString>,
    ) -> Result<Box<dyn Events>> {
        let flags = Flags::from_arg_matches(flags)?;
        Ok(Box::new(ProcessEvents {
            stdin: BufReader::new(io::stdin()),
            log: SupervisordLog::new(flags.supervisord_log.clone()),
            flags,
            last_failures: HashMap::new(),
            host: host.clone(),
            variable,
        }))
    }
}

struct ProcessEvents {
    stdin: BufReader<Stdin>,
    log: SupervisordLog,
    flags: Flags,
    /// Why the last start of each process failed, by its group and name.
    last_failures: HashMap<(String, String), String>,
    host: Host,
    variable: fn(&str) -> Option<OsString>,
}

impl Events for ProcessEvents {
    fn invite(&mut self, out: &mut dyn Write) -> Result<()> {
        answer(out, "READY\n")
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.stdin.get_ref().as_fd()
    }

    fn is_buffered(&self) -> bool {
        !self.stdin.buffer().is_empty()
    }

    fn next(&mut self) -> Result<Heard> {
        let mut line = Vec::new();
        self.stdin
            .by_ref()
            .take(MAX_EVENT as u64)
            .read_until(b'\n', &mut line)
            .context("cannot read from supervisord")?;
        if line.is_empty() {
            return Ok(Heard::End);
        }
        let line = String::from_utf8_lossy(&line);
        let Some((length, name)) = header(&line) else {
            // The length of what follows is unknown. The next line may be a header again.
            let line = line.trim_end();
            let text = format!("listen: this is no event of supervisord's: {line:?}");
            notice::say(&self.host, &text);
            return Ok(Heard::Other);
        };
        let payload = self.payload(length)?;
        let event = Event::parse(name, &payload);
        // A listener is not told of its own end, so that each of its starts would look like one
        // after an end that was missed.
        let event = event.filter(|event| !self.is_ours(event));
        let told = event.and_then(|event| self.told(&event));
        Ok(told.map_or(Heard::Other, Heard::Event))
    }

    /// Says OK to every event: supervisord sends one that failed again and again, before all
    /// others.
    fn acknowledge(&mut self, out: &mut dyn Write) -> Result<()> {
        answer(out, "RESULT 2\nOK")
    }
}

impl ProcessEvents {
    fn payload(&mut self, length: usize) -> Result<String> {
        let mut payload = Vec::new();
        self.stdin
            .by_ref()
            .take(length.min(MAX_EVENT) as u64)
            .read_to_end(&mut payload)
            .context("cannot read from supervisord")?;
        let more = length.saturating_sub(MAX_EVENT) as u64;
        io::copy(&mut self.stdin.by_ref().take(more), &mut io::sink())
            .context("cannot read from supervisord")?;
        Ok(String::from_utf8_lossy(&payload).into_owned())
    }

    /// Returns true if the event is about this process.
    fn is_ours(&self, event: &Event) -> bool {
        let is = |variable: &str, name: &str| {
            (self.variable)(variable).is_some_and(|value| value == name)
        };
        is("SUPERVISOR_PROCESS_NAME", &event.process) && is("SUPERVISOR_GROUP_NAME", &event.group)
    }

    fn told(&mut self, event: &Event) -> Option<ServiceEvent> {
        let change = match event.state {
            ProcessState::Starting => ServiceChange::Starting,
            ProcessState::Stopping => ServiceChange::Stopping,
            // Nothing has ended since the start that failed.
            ProcessState::Fatal if let Some(why) = self.last_failures.remove(&process(event)) => {
                ServiceChange::GivenUp {
                    because: format!("FATAL: {why}"),
                }
            }
            _ => self.ended(event)?,
        };
        let (job, instance) = event.service();
        Some(ServiceEvent {
            job: job.to_owned(),
            instance: instance.map(str::to_owned),
            change,
            text: event.text.clone(),
        })
    }

    fn ended(&mut self, event: &Event) -> Option<ServiceChange> {
        let line = self.log.line_of(event);
        let process = process(event);
        let log = self.flags.supervisord_log.to_string_lossy();
        let mut account = event.account(line.as_ref(), &log)?;
        account.logs = logs_of(
            &event.group,
            &event.process,
            &self.flags.child_logs,
            &self.host,
        );
        if event.state == ProcessState::Backoff {
            let unknown = "it could not be started, or ended at once";
            let why = line.as_ref().map_or(unknown, |line| line.why());
            self.last_failures.insert(process, why.to_owned());
        } else {
            self.last_failures.remove(&process);
        }
        Some(ServiceChange::Ended(Box::new(account)))
    }
}

/// Returns the process's group and name.
fn process(event: &Event) -> (String, String) {
    (event.group.clone(), event.process.clone())
}

fn answer(out: &mut dyn Write, words: &str) -> Result<()> {
    out.write_all(words.as_bytes())
        .and_then(|()| out.flush())
        .context("supervisord does not take the answer")
}
