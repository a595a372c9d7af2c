//! Has the ends reported for which a supervisor could not run the hook: runs post-stop for each.
//! That knows what to do with them, and which of them it has seen.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::catch::call::Call;
use crate::clock::Now;
use crate::deliver::deliverer::Deliverer;
use crate::ourselves;
use crate::places::Places;
use crate::plugin::{self, Command, Run};
use crate::supervisor::supervise::UnseenEnd;
use crate::supervisor::{self, Supervise};

/// Lock of the deliverer that looks.
const LOCK: &str = "\0\0unseen";
/// How long a hook may take. It asks the supervisor for at most 5 s, and then waits for a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time after which the other ends are left to the next look: the reports in the spool wait.
const ENOUGH: Duration = Duration::from_secs(10);

/// Runs the hook for each end that no hook has seen. Only one deliverer does so at a time.
pub fn ends(deliverer: &Deliverer) {
    let Deliverer { places, spool, .. } = deliverer;
    let now = Now::read().monotonic;
    let Ok(Some(_lock)) = spool.lock(LOCK, now) else {
        return;
    };
    for supervisor in supervisor::ALL {
        let mut ends = supervisor.unseen(&deliverer.host);
        ends.retain(|end| {
            let service = (end.job.as_str(), end.instance.as_deref());
            let marker = Call::told(*supervisor, service).marker(places);
            marker.is_unseen(Some(&end.life_id))
        });
        for end in ends {
            if Now::read().monotonic < now + ENOUGH {
                run_hook(*supervisor, &end, places);
            }
        }
    }
}

fn run_hook(supervisor: &dyn Supervise, end: &UnseenEnd, places: &Places) {
    let words = ["post-stop", "--supervisor", supervisor.name(), "--job"];
    let Ok(program) = ourselves::program() else {
        return;
    };
    let mut argv = vec![program.into_os_string()];
    argv.extend(words.map(OsString::from));
    argv.push(OsString::from(&end.job));
    if let Some(instance) = &end.instance {
        argv.extend([OsString::from("--instance"), OsString::from(instance)]);
    }
    argv.push(OsString::from(end.fact));
    argv.extend(places.flags());
    let words: Result<Vec<String>, _> = argv.into_iter().map(OsString::into_string).collect();
    let Some(command) = words.ok().and_then(|words| Command::try_from(words).ok()) else {
        return;
    };
    let env: Vec<(&str, &OsStr)> = end
        .variables
        .iter()
        .map(|(name, value)| (*name, OsStr::new(value)))
        .collect();
    // A hook says by itself what fails, in the system's log.
    plugin::run(&Run {
        command: &command,
        user: None,
        stdin: b"",
        env: &env,
        timeout: PATIENCE,
        max_bytes: 0,
    });
}
