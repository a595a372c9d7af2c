//! What systemd tells a hook: in its environment, and, asked at once, of the unit as it is now.

use std::env;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

use crate::dbus::{Manager, Value};
use crate::host::Host;
use crate::supervisor::account::Account;
use crate::supervisor::systemd::{self, Told, Unit};

/// How long the manager may take to answer. On a machine that is not busy that is a millisecond;
/// where everything starts or stops at once, seconds. It holds no restart up: that is for the same
/// manager to do, one thing after the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// The fact by which the unit that `OnFailure=` names says that it is called by that.
const ON_FAILURE: &str = "on-failure";

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Whether it is `OnFailure=` that calls. By then `ExecStopPost=` has done its work, unless it
/// could not run.
pub fn is_on_failure(facts: &[OsString]) -> bool {
    facts.iter().any(|fact| fact == ON_FAILURE)
}

/// What systemd tells of the end in the environment alone.
pub fn account(facts: &[OsString]) -> Option<Account> {
    systemd::account(&told(facts), None)
}

/// The same, and what its manager says to that.
///
/// # Errors
/// Where the manager cannot be asked.
pub fn ask(facts: &[OsString], host: &Host) -> io::Result<Option<Account>> {
    let told = told(facts);
    let unit = unit(told.invocation.as_deref().unwrap_or_default(), host)?;
    Ok(systemd::account(&told, Some(&unit)))
}

/// systemd's id of this life of the unit that the hook belongs to.
pub fn invocation() -> Option<String> {
    id("INVOCATION_ID")
}

fn id(variable: &str) -> Option<String> {
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
    env::var(variable).ok().filter(is_id)
}

fn told(facts: &[OsString]) -> Told {
    let prefix = if is_on_failure(facts) { "MONITOR_" } else { "" };
    let read = |name: &str| {
        env::var_os(format!("{prefix}{name}")).map(|it| it.to_string_lossy().into_owned())
    };
    // A service that `OnFailure=` starts has both, and those with a prefix are another's.
    let invocation = id(&format!("{prefix}INVOCATION_ID"));
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
    let object = format!("/org/freedesktop/systemd1/unit/{invocation}");
    let mut values = manager.get(&object, &wanted)?.into_iter();
    let mut next = || values.next().flatten();
    let job = match next() {
        Some(Value::Job(0, _)) => None,
        Some(Value::Job(number, object)) => {
            let kind = manager.get(&object, &[("org.freedesktop.systemd1.Job", "JobType")])?;
            Some((
                number,
                kind.into_iter()
                    .next()
                    .flatten()
                    .map(text)
                    .unwrap_or_default(),
            ))
        }
        // It tells nothing at all of a unit that it does not know.
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    let [active_since, active_until, main_since, main_until, main_pid] =
        [(); 5].map(|()| next().as_ref().map_or(0, number));
    let unit = Unit {
        job,
        active_since,
        active_until,
        main_since,
        main_until,
        main_pid: u32::try_from(main_pid).unwrap_or_default(),
        kind: next().map(text).unwrap_or_default(),
        remains_after_exit: next().as_ref().map_or(0, number) == 1,
        program: if let Some(Value::Program(program)) = next() {
            program
        } else {
            None
        },
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
