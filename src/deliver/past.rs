//! What earlier deaths of the same job say about each that waits, worked out once and before
//! anybody is told.
//!
//! First the job's chronicle is written, which counts a death and holds what is to be said of it;
//! then the report's state says so too. Whoever is killed in between leaves it to the next to copy
//! it from the one to the other: no death is counted twice.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::Duration;

use crate::deliver::deliverer::Deliverer;
use crate::deliver::waiting::Pass;
use crate::past::Death;

/// So many deaths of one job are counted at once.
const MANY: usize = 200;

const LOCK: &str = "\0\0past";
/// How long a deliverer may be at it; one that takes longer has been stopped, and is waited for no
/// more.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long between two looks whether it still is.
const PAUSE: Duration = Duration::from_millis(20);

/// Works it out for all that is new. Trouble with it holds up no message.
pub fn tell(deliverer: &Deliverer, pass: &Pass) {
    if let Err(why) = count(deliverer, pass) {
        deliverer.say(&format!("cannot compare with earlier crashes: {why}"));
    }
}

fn count(deliverer: &Deliverer, pass: &Pass) -> io::Result<()> {
    let spool = &deliverer.spool;
    let untold = || {
        let mut jobs: BTreeMap<&str, Vec<&Death>> = BTreeMap::new();
        for (job, death) in pass.items().filter_map(|item| item.death.as_ref()) {
            if spool.past(&death.id)?.is_none() {
                jobs.entry(job).or_default().push(death);
            }
        }
        Ok::<_, io::Error>(jobs)
    };
    if untold()?.is_empty() {
        return Ok(());
    }
    let until = deliverer.now().monotonic + 2 * PATIENCE;
    let lock = loop {
        if let Some(lock) = spool.lock(LOCK, deliverer.now().monotonic)? {
            break lock;
        }
        if deliverer.now().monotonic > until {
            return Ok(());
        }
        thread::sleep(PAUSE);
    };
    lock.lives_for(PATIENCE, deliverer.now().monotonic)?;
    for (job, deaths) in untold()? {
        for deaths in deaths.chunks(MANY) {
            let mut chronicle = spool.chronicle(job)?;
            let mut uncounted = Vec::new();
            for death in deaths {
                match chronicle.counted.get(&death.id) {
                    Some(told) => spool.write_past(&death.id, told)?,
                    None => uncounted.push(*death),
                }
            }
            if uncounted.is_empty() {
                continue;
            }
            chronicle.count(uncounted);
            spool.write_chronicle(job, &chronicle)?;
            for (id, past) in &chronicle.counted {
                spool.write_past(id, past)?;
            }
        }
    }
    Ok(())
}
