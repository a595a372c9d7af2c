//! Reads what systemd tells a hook in its environment, and asks its manager of the unit as it is
//! now.

use std::io;
use std::time::Duration;

use crate::dbus::{Manager, RunCommand, Value};
use crate::host::Host;
use crate::report::Exit;
use crate::report::signal_name;
use crate::supervisor::account::Account;
use crate::supervisor::command;
use crate::supervisor::supervise::HookInput;
use crate::supervisor::systemd::{self, FailedCommand, Told, Unit};

/// Maximum time for the manager's answer. It takes a millisecond on an idle machine, and seconds
/// when all services start or stop at once. This delays no restart, as the same manager does one
/// thing after the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// Argument of the hook in the unit that `OnFailure=` names.
pub const ON_FAILURE: &str = "on-failure";

const SYSTEMD: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const JOB: &str = "org.freedesktop.systemd1.Job";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Returns true if `OnFailure=` calls. By then `ExecStopPost=` has done its work, unless it could
/// not run.
pub fn is_on_failure(input: &HookInput) -> bool {
    input.args.iter().any(|arg| arg == ON_FAILURE)
}

/// Returns true if `OnFailure=` calls so late that the unit was started again: then systemd tells
/// of the life that has begun.
pub fn is_of_the_next_life(input: &HookInput) -> bool {
    let told = told(input);
    is_on_failure(input) && told.result == "success" && told.code.is_empty()
}

/// Reads what systemd tells of the end in the environment alone.
pub fn account(input: &HookInput) -> Option<Account> {
    systemd::account(&told(input), None)
}

/// Reads the environment, and asks the manager of the unit that has an invocation.
///
/// # Errors
/// Fails if the manager cannot be asked.
pub fn ask(input: &HookInput, host: &Host) -> io::Result<Option<Account>> {
    let told = told(input);
    let Some(invocation) = told.invocation.as_ref().filter(|_| !told.result.is_empty()) else {
        return Ok(None);
    };
    let unit = unit(invocation, host)?;
    Ok(systemd::account(&told, Some(&unit)))
}

/// Returns systemd's id of this life of the unit that the hook belongs to.
pub fn invocation(input: &HookInput) -> Option<String> {
    id("INVOCATION_ID", input)
}

fn id(variable: &str, input: &HookInput) -> Option<String> {
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
    let id = (input.variable)(variable)?.into_string().ok();
    id.filter(is_id)
}

fn told(input: &HookInput) -> Told {
    let prefix = if is_on_failure(input) { "MONITOR_" } else { "" };
    let read = |name: &str| {
        let value = (input.variable)(&format!("{prefix}{name}"));
        value.map(|it| it.to_string_lossy().into_owned())
    };
    // A unit that `OnFailure=` starts has both. Those with the prefix are the failed unit's.
    let invocation = id(&format!("{prefix}INVOCATION_ID"), input);
    let [result, code, status] =
        ["SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"].map(|it| read(it).unwrap_or_default());
    Told {
        prefix,
        result,
        code,
        status,
        invocation,
    }
}

/// Asks the manager for the unit. Its invocation needs no escapes, unlike its name. One question
/// for all takes the least time.
fn unit(invocation: &str, host: &Host) -> io::Result<Unit> {
    let mut manager = Manager::reach(host, PATIENCE)?;
    let object = format!("{SYSTEMD}/unit/{invocation}");
    let unit = |name| (object.as_str(), UNIT, name);
    let service = |name| (object.as_str(), SERVICE, name);
    let systemd = |name| (SYSTEMD, MANAGER, name);
    let wanted = [
        unit("Job"),
        unit("ActiveEnterTimestampMonotonic"),
        unit("ActiveExitTimestampMonotonic"),
        service("ExecMainStartTimestampMonotonic"),
        service("ExecMainExitTimestampMonotonic"),
        service("ExecMainPID"),
        systemd("UserspaceTimestampMonotonic"),
        systemd("FinishTimestampMonotonic"),
        service("Type"),
        service("RemainAfterExit"),
        service("ExecStart"),
        service("WorkingDirectory"),
        service("ExecStartPre"),
        service("ExecStartPost"),
        service("KillSignal"),
        service("RestartKillSignal"),
        service("FinalKillSignal"),
        service("WatchdogSignal"),
        service("TimeoutStopFailureMode"),
        service("StandardOutput"),
        unit("FragmentPath"),
        unit("DropInPaths"),
    ];
    let mut values = manager.get(&wanted)?.into_iter();
    let mut next = || values.next().flatten();
    let job = match next() {
        Some(Value::Job(0, _)) => None,
        Some(Value::Job(number, object)) => {
            let kind = manager.get(&[(&object, JOB, "JobType")])?;
            Some((
                number,
                kind.into_iter()
                    .next()
                    .flatten()
                    .map(text)
                    .unwrap_or_default(),
            ))
        }
        // The manager has no properties of a unit that it does not know.
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    let [
        active_since,
        active_until,
        main_since,
        main_until,
        main_pid,
        begun,
        up,
    ] = [(); 7].map(|()| next().as_ref().map_or(0, number));
    let kind = next().map(text).unwrap_or_default();
    let remains_after_exit = next().as_ref().map_or(0, number) == 1;
    let main = commands(next()).into_iter().next().unwrap_or_default();
    let directory = next().map(text).unwrap_or_default();
    let beside = ["ExecStartPre", "ExecStartPost"].map(|key| (key, commands(next())));
    let signals = [(); 4].map(|()| next().as_ref().map_or(0, number));
    let aborts = next().map(text).as_deref() == Some("abort");
    let unit = Unit {
        job,
        active_since,
        active_until,
        main_since,
        main_until,
        main_pid: u32::try_from(main_pid).unwrap_or_default(),
        kind,
        remains_after_exit,
        program: program(&main, &directory),
        command: main.program,
        failed_command: beside.iter().find_map(|(key, all)| failed(key, all)),
        stop_signals: stop_signals(signals, aborts),
        userspace: (begun, up),
        log: None,
    };
    if !matches!(
        next().map(text).unwrap_or_default().as_str(),
        "file" | "append" | "truncate"
    ) {
        return Ok(unit);
    }
    let fragment = next().map(text).unwrap_or_default();
    let drop_ins = if let Some(Value::Texts(files)) = next() {
        files
    } else {
        Vec::new()
    };
    let files = [fragment]
        .into_iter()
        .chain(drop_ins)
        .filter_map(|file| host.read(file).ok());
    Ok(Unit {
        log: systemd::output_file(files),
        ..unit
    })
}

/// Returns the signals by which systemd itself ends a unit at a stop: the last one only where a
/// stop that takes too long is aborted.
fn stop_signals(numbers: [u64; 4], aborts: bool) -> Vec<String> {
    let used = numbers.into_iter().take(if aborts { 4 } else { 3 });
    let numbers = used.filter_map(|number| i32::try_from(number).ok());
    numbers.filter(|it| *it > 0).map(signal_name).collect()
}

fn commands(value: Option<Value>) -> Vec<RunCommand> {
    if let Some(Value::Commands(commands)) = value {
        commands
    } else {
        Vec::new()
    }
}

/// Returns the file of the program that `ExecStart=` runs.
fn program(main: &RunCommand, directory: &str) -> Option<String> {
    let arguments = main.arguments.iter().skip(1).map(String::as_str);
    let words: Vec<&str> = [main.program.as_str()]
        .into_iter()
        .chain(arguments)
        .collect();
    // `-` forgives a missing directory, `!` one that is not the user's own.
    command::program(&words, Some(directory.trim_start_matches(['-', '!'])))
}

/// Returns the command that failed, for which systemd did not go on.
fn failed(key: &'static str, commands: &[RunCommand]) -> Option<FailedCommand> {
    let status = |it: &RunCommand| i32::try_from(it.status).unwrap_or_default();
    let exit = |it: &RunCommand| match it.code {
        1 if it.status != 0 => Some(Exit::Code(status(it))),
        2 | 3 => Some(Exit::Signal {
            name: signal_name(status(it)),
            core_dumped: it.code == 3,
        }),
        _ => None,
    };
    let mut counted = commands.iter().filter(|it| !it.ignores_failure);
    counted.find_map(|it| {
        Some(FailedCommand {
            key,
            program: it.program.clone(),
            exit: exit(it)?,
        })
    })
}

fn number(value: &Value) -> u64 {
    if let Value::Number(number) = value {
        *number
    } else {
        0
    }
}

fn text(value: Value) -> String {
    if let Value::Text(text) = value {
        text
    } else {
        String::new()
    }
}
