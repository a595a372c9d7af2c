//! Has the ends reported for which a supervisor could not run the hook: runs post-stop for each.
//! That knows what to do with them, and which of them it has seen.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::catch::call::{Call, HookArgs};
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

/// How often a deliverer that goes on for ever asks.
const EVERY: u64 = 60;

/// Runs the hook for each end that no hook has seen, and returns their number. Only one deliverer
/// does so at a time.
pub fn ends(deliverer: &Deliverer) -> usize {
    let places = deliverer.places;
    let now = Now::read().monotonic;
    let last = deliverer.looks.asked_for_unseen.load(Ordering::Relaxed);
    if last > 0 && now.as_secs() < last + EVERY {
        return 0;
    }
    let Ok(Some(_lock)) = deliverer.spool().lock(LOCK, now) else {
        return 0;
    };
    let asked = &deliverer.looks.asked_for_unseen;
    asked.store(now.as_secs().max(1), Ordering::Relaxed);
    let mut run = 0;
    for supervisor in supervisor::ALL {
        let mut ends = supervisor.unseen(&deliverer.host);
        ends.retain(|end| {
            let service = (end.job.as_str(), end.instance.as_deref());
            let marker = Call::told(*supervisor, service).marker(places);
            is_ours(end, places) && marker.is_unseen(Some(&end.life_id))
        });
        for end in ends {
            if Now::read().monotonic < now + ENOUGH {
                run_hook(*supervisor, &end, places);
                run += 1;
            }
        }
    }
    run
}

/// Returns true if the hook works with the same directories. Its ends are another deliverer's
/// otherwise.
fn is_ours(end: &UnseenEnd, places: &Places) -> bool {
    let words = end.command.split_ascii_whitespace();
    let words: Vec<OsString> = words.map(OsString::from).collect();
    let hook = HookArgs::parse(&words).0.places;
    (&hook.run_dir, &hook.spool) == (&places.run_dir, &places.spool)
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
