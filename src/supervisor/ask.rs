//! Runs a supervisor's own program and reads what it prints.

use std::ffi::OsStr;
use std::time::Duration;

use crate::host::Host;
use crate::plugin::{self, Command, Run};

/// Maximum time for an answer that nothing waits for.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 256 * 1024;

pub struct Answer {
    pub code: Option<i32>,
    /// The program's stdout.
    pub text: String,
}

/// Runs the first of these programs that exists; returns `None` if there is none.
pub fn ask(host: &Host, programs: &[&str], args: &[&str]) -> Option<Answer> {
    ask_within(PATIENCE, host, programs, args, &[])
}

/// Does the same, but waits only so long, and adds to the program's environment.
pub fn ask_within(
    patience: Duration,
    host: &Host,
    programs: &[&str],
    args: &[&str],
    env: &[(&str, &OsStr)],
) -> Option<Answer> {
    let program = programs
        .iter()
        .map(|program| host.path(program))
        .find(|path| path.exists())?;
    let words = [program.to_str()?]
        .into_iter()
        .chain(args.iter().copied())
        .map(str::to_owned);
    let command = Command::try_from(words.collect::<Vec<_>>()).ok()?;
    let outcome = plugin::run(&Run {
        command: &command,
        user: None,
        stdin: b"",
        env,
        timeout: patience,
        max_bytes: MAX_ANSWER,
    });
    Some(Answer {
        code: outcome.end.code(),
        text: String::from_utf8_lossy(&outcome.stdout).into_owned(),
    })
}
