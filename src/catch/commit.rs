//! Commits a report: writes it where it is safe, and wakes the deliverer.

use std::io::{self, ErrorKind};

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::catch::marker::Taken;
use crate::catch::nudge;
use crate::host::Host;
use crate::notice;
use crate::places::Places;
use crate::report::{Report, Safety};
use crate::spool::{MemoryInbox, make_fit};

/// Reason for which the hook itself leaves something out.
pub const NOBODY_WAITS: &str =
    "it may never answer, and no process could be had that would have waited for it";

/// Writes the report where it is safe, as far as the machine allows. Wakes the deliverer if `wake`.
pub fn commit(
    mut report: Report,
    taken: &Taken,
    memory: &MemoryInbox,
    places: &Places,
    host: &Host,
    wake: bool,
) -> Result<()> {
    let spool = places.spool();
    if !geteuid().is_root() {
        make_fit(&mut report);
    }
    // Memory goes first because it is never slow. If the disk hangs or this process is killed, the
    // deliverer finds the report there.
    report.level = Safety::Memory;
    let held = memory.put(&report);
    if held.is_ok() {
        let _ = taken.settle();
    }
    report.level = Safety::Durable;
    if places.inbox_of().is_none()
        && let Err(why) = spool.examine()
        && why.kind() != ErrorKind::NotFound
    {
        // The deliverer will not send from there, but a report there is better than none.
        notice::say(host, &why.to_string());
    }
    let kept = match places.inbox_of() {
        Some(uid) => spool.put_into_inbox(uid, &report).map(|()| Safety::Durable),
        // An earlier process may have committed it and been killed after that.
        None if spool.find(&report.id).is_some() => Ok(Safety::Durable),
        None if places.spool_is_away() => {
            Err(io::Error::other("the spool's file system is not mounted"))
        }
        None => spool.catch(&mut report).and_then(|safety| {
            let on_disk = spool.still_takes_files();
            // The report in memory is whole, unlike a name.
            on_disk.or_else(|why| if held.is_ok() { Err(why) } else { Ok(()) })?;
            Ok(safety)
        }),
    };
    let service = format!(
        "{} {} ({})",
        report.stop.service(),
        report.verdict,
        report.cause.line
    );
    match (kept, held) {
        (Ok(Safety::NameOnly), held) => {
            // Writes the level into the copy in memory. Without a copy only the name is left.
            let _ = held.and_then(|_| memory.put(&report));
            notice::say(
                host,
                &format!(
                    "{service}: the disk has room for no more than the name of {}",
                    report.id
                ),
            );
        }
        (Ok(_), _) => {
            memory.remove(&report.id);
            if wake {
                nudge::deliver(places, taken.circumstances.supervisor);
            }
        }
        (Err(why), Ok(_)) => {
            notice::say(
                host,
                &format!(
                    "{service}: its report {} is kept in memory only: {why}",
                    report.id
                ),
            );
            // Where the disk is read-only it is told from there.
            if wake {
                nudge::deliver(places, taken.circumstances.supervisor);
            }
        }
        (Err(why), Err(also)) => {
            let lost = format!(
                "{service}, and its report can be written nowhere (nor into memory: {also})"
            );
            return Err(why).context(lost);
        }
    }
    Ok(taken.settle()?)
}

/// Leaves the rest to the deliverer, which knows what the config calls secret and can wait for a
/// disk.
pub fn keep_in_memory(
    mut report: Report,
    taken: &Taken,
    memory: &MemoryInbox,
    host: &Host,
) -> Result<()> {
    report.level = Safety::Memory;
    let (service, id) = (report.stop.service(), report.id.clone());
    memory
        .put(&report)
        .with_context(|| format!("the stop of {service} is left to the deliverer"))?;
    notice::say(
        host,
        &format!(
            "{service} {}: its report {id} is kept in memory: {NOBODY_WAITS}",
            report.verdict
        ),
    );
    Ok(taken.settle()?)
}
