//! How the command ended, and how this process ends in the same way.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::WaitStatus;

use super::args::RunArgs;
use super::signals;
use crate::collectors::usage::Usage;
use crate::report::Exit;

// env(1), docker-run(1).
const EX_OURSELVES: u8 = 125;
const EX_NOT_EXECUTABLE: u8 = 126;
const EX_NOT_FOUND: u8 = 127;

/// How the command ended.
pub enum CommandEnd {
    Ended { exit: WaitStatus, used: Usage },
    NeverRan(io::Error),
}

impl CommandEnd {
    /// Returns the exit of this command, or why it never ran.
    pub fn exit(&self, command: &str) -> Result<Exit, String> {
        match self {
            Self::Ended { exit, .. } => Ok(match (exit.exit_status(), exit.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                // By wait(2), the core dump's bit is next to the signal's number.
                (_, Some(number)) => Exit::Signal {
                    name: signals::name(number),
                    core_dumped: exit.as_raw() & 0x80 != 0,
                },
                _ => Exit::Unknown,
            }),
            Self::NeverRan(why) => Err(format!("cannot run {command}: {why}")),
        }
    }

    /// Ends as the command has.
    pub fn pass_on(&self, args: &RunArgs) -> ExitCode {
        match self {
            Self::NeverRan(why) => cannot_run(args, why),
            Self::Ended { exit, .. } => {
                let code = |code: i32| ExitCode::from(u8::try_from(code).unwrap_or(EX_OURSELVES));
                match exit.terminating_signal() {
                    Some(number) => {
                        signals::die_by(number);
                        // Only PID 1 gets this far.
                        code(128 + number)
                    }
                    None => code(exit.exit_status().unwrap_or_default()),
                }
            }
        }
    }
}

/// Says why the command cannot be run, as a shell does.
pub fn cannot_run(args: &RunArgs, why: &io::Error) -> ExitCode {
    let command = args
        .command
        .first()
        .map(|command| command.to_string_lossy())
        .unwrap_or_default();
    let _ = writeln!(
        io::stderr(),
        "lastwords: cannot run {}: {why}",
        command.escape_debug()
    );
    ExitCode::from(match why.kind() {
        ErrorKind::NotFound => EX_NOT_FOUND,
        ErrorKind::PermissionDenied | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
            EX_NOT_EXECUTABLE
        }
        _ if why
            .raw_os_error()
            .is_some_and(|errno| errno == rustix::io::Errno::NOEXEC.raw_os_error()) =>
        {
            EX_NOT_EXECUTABLE
        }
        _ => EX_OURSELVES,
    })
}

/// Returns what the children of this process that have ended have used.
pub fn used() -> Usage {
    let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Usage::default();
    };
    let millis = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1000 + time.tv_usec() / 1000).unwrap_or_default()
    };
    Usage {
        cpu_ms: millis(used.user_time()) + millis(used.system_time()),
        memory_kib: u64::try_from(used.max_rss()).unwrap_or_default(),
    }
}

pub fn used_since(before: Usage) -> Usage {
    let after = used();
    Usage {
        cpu_ms: after.cpu_ms.saturating_sub(before.cpu_ms),
        ..after
    }
}
