//! Works out what earlier deaths of the same job say about each new one. This happens once for each
//! death, before any sink is told.
//!
//! First the job's chronicle is written: it counts the death, and holds the words about it. Then
//! the report's state repeats them. If the deliverer is killed in between, the next one copies them
//! from the chronicle: no death is counted twice.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::deliver::deliverer::Deliverer;
use crate::deliver::locks;
use crate::deliver::pass::Pass;
use crate::past::PastDeath;
use crate::spool::Chronicled;

/// Maximum number of deaths of one job that are counted at once.
const MANY: usize = 200;

const LOCK: &str = "\0\0past";
/// How long a deliverer may take for this. If it takes longer, another one assumes that it was
/// stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Works it out for all new deaths. A failure holds up no message.
pub fn tell(deliverer: &Deliverer, pass: &Pass) {
    if let Err(why) = count(deliverer, pass) {
        deliverer.say(&format!("cannot compare with earlier crashes: {why}"));
    }
}

fn count(deliverer: &Deliverer, pass: &Pass) -> io::Result<()> {
    let untold = || {
        let spool = deliverer.spool();
        let mut jobs: BTreeMap<&Chronicled, Vec<&PastDeath>> = BTreeMap::new();
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
    let now = || deliverer.now().monotonic;
    let lock = |now| deliverer.spool().lock(LOCK, now);
    let Some(lock) = locks::wait_for(lock, 2 * PATIENCE, now)? else {
        return Ok(());
    };
    lock.lives_for(PATIENCE, now())?;
    let spool = deliverer.spool();
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
