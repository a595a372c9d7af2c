//! What systemd tells a hook: in its environment, and, asked at once, of the unit as it is now.

use std::env;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

use crate::dbus::{Manager, Value};
use crate::host::Host;
use crate::supervisor::Account;
use crate::supervisor::systemd::{self, Told, Unit};

/// How long the manager may take to answer: the restart waits for it. On a machine that is not busy it takes a
/// millisecond.
const PATIENCE: Duration = Duration::from_millis(300);

/// The fact by which the unit that `OnFailure=` names says that it is called by that.
const ON_FAILURE: &str = "on-failure";

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Whether it is `OnFailure=` that calls. By then `ExecStopPost=` has done its work, unless it could not run.
pub fn is_on_failure(facts: &[OsString]) -> bool {
    facts.iter().any(|fact| fact == ON_FAILURE)
}

/// What systemd tells of the end.
pub fn account(facts: &[OsString], host: &Host) -> Option<Account> {
    let told = told(if is_on_failure(facts) { "MONITOR_" } else { "" });
    let unit = told.invocation.as_deref().and_then(|invocation| unit(invocation, host).ok());
    systemd::account(&told, unit.as_ref())
}

fn told(prefix: &'static str) -> Told {
    let read = |name: &str| env::var_os(format!("{prefix}{name}")).map(|it| it.to_string_lossy().into_owned());
    // A service that `OnFailure=` starts has both, and those with a prefix are another's.
    let invocation = read("INVOCATION_ID").filter(|id| id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit()));
    let [result, code, status] = ["SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"].map(|it| read(it).unwrap_or_default());
    Told { prefix, result, code, status, invocation }
}

/// Asks the manager. A unit's invocation names it as well as its name does, and needs no escapes.
fn unit(invocation: &str, host: &Host) -> io::Result<Unit> {
    let mut manager = Manager::reach(host, PATIENCE)?;
    let wanted = [
        (UNIT, "Job"),
        (UNIT, "ActiveEnterTimestampMonotonic"),
        (UNIT, "ActiveExitTimestampMonotonic"),
        (SERVICE, "ExecMainStartTimestampMonotonic"),
        (SERVICE, "ExecMainExitTimestampMonotonic"),
        (SERVICE, "ExecMainPID"),
        (SERVICE, "Type"),
        (SERVICE, "RemainAfterExit"),
        (SERVICE, "ExecStart"),
        (SERVICE, "StandardOutput"),
        (UNIT, "FragmentPath"),
        (UNIT, "DropInPaths"),
    ];
    let values = manager.get(&format!("/org/freedesktop/systemd1/unit/{invocation}"), &wanted)?;
    let [job, rest @ ..] = values.as_slice() else { return Err(io::ErrorKind::InvalidData.into()) };
    let [active_since, active_until, main_since, main_until, main_pid, rest @ ..] = rest else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let [kind, remains_after_exit, program, output, fragment, drop_ins] = rest else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    // It tells nothing at all of a unit that it does not know.
    let job = match job {
        Some(Value::Job(0, _)) => None,
        Some(Value::Job(number, object)) => {
            let kind = manager.get(object, &[("org.freedesktop.systemd1.Job", "JobType")])?;
            Some((*number, kind.first().map(text).unwrap_or_default()))
        }
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    let log = matches!(text(output).as_str(), "file" | "append" | "truncate").then(|| {
        let files = [text(fragment)].into_iter().chain(texts(drop_ins));
        systemd::output_file(files.filter_map(|file| host.read(file).ok()))
    });
    Ok(Unit {
        job,
        active_since: number(active_since),
        active_until: number(active_until),
        main_since: number(main_since),
        main_until: number(main_until),
        main_pid: u32::try_from(number(main_pid)).unwrap_or_default(),
        kind: text(kind),
        remains_after_exit: number(remains_after_exit) == 1,
        program: if let Some(Value::Program(program)) = program { program.clone() } else { None },
        log: log.flatten(),
    })
}

fn number(value: &Option<Value>) -> u64 {
    if let Some(Value::Number(number)) = value { *number } else { 0 }
}

fn text(value: &Option<Value>) -> String {
    if let Some(Value::Text(text)) = value { text.clone() } else { String::new() }
}

fn texts(value: &Option<Value>) -> Vec<String> {
    if let Some(Value::Texts(texts)) = value { texts.clone() } else { Vec::new() }
}
