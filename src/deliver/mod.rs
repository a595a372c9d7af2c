//! Sends what is due: `lastwords deliver`.
//!
//! ```text
//! supervisors ─ unseen: post-stop runs for an end at which no hook could run
//! jobs/ ─ missed: which runs that a job's file expects are missing
//! new/ ─ journals: the journal is added where a hook has left that to the deliverer
//!      ─ past:   what earlier deaths of the same job say about each
//!      ─ groups: which crashes are told by themselves, which are counted, whose summary is due
//!      ─ outages: which services stay down, and which of them people are to be told of
//!      ─ send:   what is due goes out; each sink has its own ledger, lock and thread, so that one
//!                that hangs delays no other
//!      ─ finish: what every sink has said its last word on becomes history
//! ```
//!
//! Beside all of this, a steward for each user hands over what that user's hooks left: see
//! [`users`].

mod adopt;
pub mod attempt;
mod condition;
mod conversation;
mod deliverer;
pub mod expected;
mod finish;
mod flood;
mod groups;
pub(crate) mod hold;
mod journals;
pub(crate) mod locks;
mod message;
mod missed;
pub mod notices;
mod old_groups;
mod outage;
mod outages;
mod pass;
mod past;
mod send;
mod signs;
pub mod stamp;
pub mod steward;
mod unseen;
mod users;
mod vouch;

use std::io::Write;
use std::mem;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::catch::nudge;
use crate::clock::Now;
use crate::config::EX_CONFIG;
use crate::places::Places;
use crate::sinks::exec;
use crate::spool::{Lock, Place, TakeOver};
pub(crate) use deliverer::sink_lock;
use deliverer::{Deliverer, Looks};
pub(crate) use groups::{Counted, counted};
pub(crate) use outages::{Down, down};
use pass::{Items, Pass};

/// How often `--watch` looks.
const TICK: Duration = Duration::from_secs(2);
/// Maximum number of looks that may hang at once before `--watch` pauses.
const MOST_LOOKS: usize = 16;

/// Number of reports that the first pass of a look takes on. Whatever waits, its messages leave
/// soon.
const FIRST: usize = 64;
/// How many times as many each further pass takes on.
const MORE: usize = 4;

/// How long a look may go on to take users' reports over.
const ENOUGH: Duration = Duration::from_mins(2);

/// Names of the locks that belong to no sink.
const WAITING: &str = "\0\0waiting";
const LOOKING: &str = "\0\0looking";
const STAYING: &str = "\0\0staying";

/// How often a deliverer that stays looks: the first new try of a report comes after this time.
const PAUSE: Duration = Duration::from_secs(10);
/// How long its look may take until another one stays in its place.
const HOUR: Duration = Duration::from_hours(1);
/// How long it stays at most. A report is tried for five days.
const MOST_TRIED: Duration = Duration::from_hours(5 * 24 + 1);

#[derive(Debug, Args)]
pub struct DeliverArgs {
    /// Go on for ever, looking every 2 seconds: for machines without a timer
    #[arg(long)]
    watch: bool,
    /// Do what would be due so much later: for tests
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0s",
        value_parser = humantime::parse_duration,
        hide = true
    )]
    later: Duration,
    /// A hook starts this: where another such deliverer is about to look, that one is enough
    #[arg(long, hide = true)]
    woken: bool,
    /// `lastwords run` starts this: where no deliverer looks regularly, go on until nothing waits
    #[arg(long, hide = true)]
    stay: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &DeliverArgs, out: &mut (impl Write + Send)) -> Result<ExitCode> {
    let places = &args.places;
    let out = Mutex::new(out);
    // A closed output is no failure.
    let print = |line: &str| drop(writeln!(unpoisoned(&out), "{line}"));
    let looks = Looks::new(places, args.later, &print);
    if args.watch {
        watch(places, &looks);
    }
    // A deliverer that a hook wakes does not show that one runs regularly.
    if !args.woken {
        stamp::leave(places, false);
    }
    let mut items = Items::default();
    let code = match turn(&looks, args.woken) {
        Turn::Others => Ok(ExitCode::SUCCESS),
        Turn::Ours(_turn) => look(places, &looks, &mut items),
    };
    let has_failed = looks.has_failed.load(Ordering::Relaxed);
    if args.stay {
        stay(places, &looks, &mut items)?;
    }
    let code = code?;
    Ok(if has_failed { ExitCode::FAILURE } else { code })
}

/// Looks again and again while reports wait that no other deliverer would try again. One process
/// does so, for as long as a report is tried.
fn stay(places: &Places, looks: &Looks, items: &mut Items) -> Result<()> {
    let until = Now::read().monotonic + MOST_TRIED;
    loop {
        let now = Now::read().monotonic;
        // Which spool this is may change from look to look, and with it where its locks are.
        let (lock, waiting) = {
            let spool = looks.spool();
            (spool.lock(STAYING, now)?, spool.ids(Place::New)?)
        };
        let Some(lock) = lock else {
            return Ok(());
        };
        let is_regular = matches!(stamp::last(places), Ok(Some(last)) if last.is_recent());
        let nothing_waits = waiting.is_empty() && places.memory().count() == 0;
        if is_regular || nothing_waits || now > until || !lock.lives_for(HOUR, now)? {
            return Ok(());
        }
        thread::sleep(PAUSE);
        if let Err(why) = look(places, looks, items) {
            looks.say(&format!("{why:#}"));
        }
    }
}

enum Turn {
    /// Another deliverer is about to look, and will see everything that is there now.
    Others,
    /// This deliverer looks. While it holds the lock, if it has one, others wait for some time.
    Ours(Option<Lock>),
}

/// Decides whether this deliverer looks. A thousand services may die at once, and each hook wakes a
/// deliverer: one looks, one waits, the others end. The one that waits does so for a tick at most,
/// as a sink may hold the first one up for ever.
fn turn(looks: &Looks, woken: bool) -> Turn {
    if !woken {
        return Turn::Ours(None);
    }
    let now = Now::read().monotonic;
    let until = now + TICK;
    let waiting = looks.spool().lock(WAITING, now);
    let waiting = match waiting {
        Ok(Some(lock)) => lock,
        Ok(None) => return Turn::Others,
        // There is no spool yet, or no room for a lock. The look will report that.
        Err(_) => return Turn::Ours(None),
    };
    // The lock expires, so that a stopped deliverer does not keep all others out.
    let _ = waiting.lives_for(2 * TICK, now);
    loop {
        let now = Now::read().monotonic;
        let looking = looks.spool().lock(LOOKING, now).ok().flatten();
        if looking.is_some() || now > until {
            // The next deliverer is responsible for reports that arrive from here on.
            drop(waiting);
            return Turn::Ours(looking);
        }
        thread::sleep(TICK / 100);
    }
}

/// Looks at every tick. A look that waits for a hanging sink holds only this sink's lock, so the
/// next look goes on with the other sinks.
fn watch(places: &Places, looks: &Looks) -> ! {
    let idle = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let mut running: Vec<ScopedJoinHandle<()>> = Vec::new();
        loop {
            running.retain(|look| !look.is_finished());
            stamp::leave(places, true);
            let one = || {
                // Reuses what the last look has read.
                let mut items: Items = unpoisoned(&idle).pop().unwrap_or_default();
                if let Err(why) = look(places, looks, &mut items) {
                    looks.say(&format!("{why:#}"));
                }
                unpoisoned(&idle).push(items);
            };
            if running.len() < MOST_LOOKS {
                // If no thread can be had, the next tick tries again.
                running.extend(thread::Builder::new().spawn_scoped(scope, one));
            }
            thread::sleep(TICK);
        }
    })
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(places: &Places, looks: &Looks, items: &mut Items) -> Result<ExitCode> {
    nudge::clear(places);
    // Orphans go first: what their workers read of the machine vanishes.
    adopt::orphans(places, false);
    exec::sweep();
    let trouble = locks::change_over(places, false);
    looks.renew();
    let deliverer = &Deliverer::new(places, looks);
    if let Err(why) = trouble {
        let spool = places.spool.display();
        deliverer.fail(&format!(
            "cannot change over between the spool {spool} and memory: {why}"
        ));
    }
    let is_too_full = prepare(deliverer)?;
    let code = beside_the_users(deliverer, items);
    // Supervisors are asked once what is known without them is sent.
    let found = unseen::ends(deliverer);
    // Room is made last: by now, some reports may have been delivered or counted in a summary.
    if make_room(deliverer, is_too_full) + found > 0 {
        until_nothing_is_due(deliverer, items)
    } else {
        code
    }
}

/// Makes the spool fit for use. Returns true if it holds too much.
fn prepare(deliverer: &Deliverer) -> Result<bool> {
    let spool = deliverer.spool();
    spool.create().with_context(|| {
        let spool = deliverer.places.spool.display();
        format!("cannot use the spool {spool}")
    })?;
    spool.examine()?;
    if let Err(why) = old_groups::take_over(deliverer) {
        deliverer.fail(&format!("cannot go on with older conversations: {why:#}"));
    }
    let is_too_full = tidy(deliverer);
    spool.refill();
    Ok(is_too_full)
}

/// Tidies up. A failure does not keep reports from being sent. Returns true if the spool still
/// holds too much.
fn tidy(deliverer: &Deliverer) -> bool {
    let tidied = deliverer.spool().tidy(deliverer.now());
    match tidied {
        Ok(tidied) => {
            tidied.lines().iter().for_each(|line| deliverer.say(line));
            tidied.is_too_full
        }
        Err(why) => {
            deliverer.fail(&format!("cannot tidy up the spool: {why}"));
            false
        }
    }
}

/// Removes undelivered reports if the spool is too full, and has people told. Returns the number of
/// notices made.
fn make_room(deliverer: &Deliverer, is_too_full: bool) -> usize {
    let spool = deliverer.spool();
    let dropped = if is_too_full {
        spool.make_room(deliverer.now().monotonic)
    } else {
        Ok(0)
    };
    match dropped {
        Ok(0) => {}
        Ok(count) => deliverer.say(&format!(
            "undelivered reports that were too many are removed: {count}"
        )),
        Err(why) => deliverer.fail(&format!("cannot make room in the spool: {why}")),
    }
    let told = notices::tell_of_dropped(&spool, &deliverer.host, deliverer.now().wall);
    told.unwrap_or_else(|why| {
        deliverer.fail(&format!(
            "cannot tell of the reports that had to go: {why:#}"
        ));
        0
    })
}

/// Passes over the spool until a pass has nothing to do. If another deliverer holds a sink's lock,
/// its own next pass sees the reports that came meanwhile.
fn until_nothing_is_due(deliverer: &Deliverer, items: &mut Items) -> Result<ExitCode> {
    let (mut most, mut is_asked) = (FIRST, false);
    if let Err(why) = missed::look(deliverer) {
        deliverer.fail(&format!("cannot find out which runs are missing: {why:#}"));
    }
    loop {
        let taken = take_over(deliverer)?;
        let pass = Pass::read(deliverer, items, most)?;
        most = most.saturating_mul(MORE);
        // It may wait for another deliverer.
        past::tell(deliverer, &pass);
        let groups = {
            let _step = deliverer.spool();
            groups::advance(deliverer, &pass)
        };
        let tries = send::send(deliverer, &pass, &groups.told_singly);
        // Last, and asked only once: asking a supervisor takes time.
        let asks = pass.is_whole && !mem::replace(&mut is_asked, true);
        let down = outages::look(deliverer, &pass, asks);
        let down = down.unwrap_or_else(|why| {
            deliverer.fail(&format!("cannot find out which services are down: {why:#}"));
            None
        });
        let news = finish::finish(deliverer, &pass, down.is_some())?;
        if pass.is_whole && taken + groups.changes + down.unwrap_or(0) + tries + news == 0 {
            return Ok(if pass.waits_for_config() {
                ExitCode::from(EX_CONFIG)
            } else {
                ExitCode::SUCCESS
            });
        }
    }
}

/// Sends what is due. Meanwhile the other users' reports are taken over: nothing that a user does
/// to its own delays any other.
fn beside_the_users(deliverer: &Deliverer, items: &mut Items) -> Result<ExitCode> {
    let until = deliverer.now().monotonic + ENOUGH;
    loop {
        let taken = thread::scope(|scope| {
            let serve = || with_help(deliverer, |how| users::serve(deliverer, how));
            // If no thread can be had, the next look tries again.
            let users = thread::Builder::new().spawn_scoped(scope, serve).ok();
            let changed = || deliverer.places.spool_in_use().changed();
            let mut seen = changed();
            let mut code = until_nothing_is_due(deliverer, items)?;
            while users.as_ref().is_some_and(|users| !users.is_finished()) {
                thread::sleep(TICK / 100);
                let now = changed();
                if now != seen {
                    seen = now;
                    code = until_nothing_is_due(deliverer, items)?;
                }
            }
            let taken = users.map_or(Ok(0), |users| {
                users
                    .join()
                    .map_err(|_| anyhow::anyhow!("it failed"))
                    .flatten()
            });
            Ok::<_, anyhow::Error>((taken, code))
        });
        let (taken, code) = taken?;
        let taken = taken.unwrap_or_else(|why| {
            deliverer.fail(&format!("cannot take over the users' reports: {why:#}"));
            0
        });
        if taken == 0 || deliverer.now().monotonic > until {
            return Ok(code);
        }
    }
}

/// Takes over the reports that hooks kept in memory. Returns their number.
fn take_over(deliverer: &Deliverer) -> Result<usize> {
    with_help(deliverer, |how| {
        adopt::take_over(&deliverer.spool(), deliverer.places, how)
    })
}

/// Does something that takes reports over.
fn with_help<T>(deliverer: &Deliverer, take_over: impl FnOnce(&TakeOver) -> T) -> T {
    take_over(&TakeOver {
        prepare: &|report, user| vouch::prepare(report, user, deliverer),
        monotonic: deliverer.now().monotonic,
        say: &|line| deliverer.say(line),
    })
}
