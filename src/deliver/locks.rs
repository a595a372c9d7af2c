//! Waits for the spool's locks.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Now;
use crate::places::Places;
use crate::spool::{InUse, Lock, Spool};

/// How often to look whether a lock is free.
const PAUSE: Duration = Duration::from_millis(20);
/// How long others may take that change over to the spool's deputy, or back.
const CHANGE: Duration = Duration::from_secs(5);

/// Takes the lock of this name as soon as its holder gives it up. Returns `None` if that takes
/// longer than `patience`. `monotonic` tells the time since the boot.
pub fn wait_for(
    spool: &Spool,
    name: &str,
    patience: Duration,
    monotonic: impl Fn() -> Duration,
) -> io::Result<Option<Lock>> {
    let until = monotonic() + patience;
    loop {
        let now = monotonic();
        let lock = spool.lock(name, now)?;
        if lock.is_some() || now > until {
            return Ok(lock);
        }
        thread::sleep(PAUSE);
    }
}

/// Takes the spool to work with: its deputy where the disk is read-only.
pub fn hold_spool(places: &Places) -> Result<InUse> {
    let until = Now::read().monotonic + CHANGE;
    loop {
        let cannot = || format!("cannot use the spool {}", places.spool.display());
        if let Some(in_use) = places.hold_spool().with_context(cannot)? {
            return Ok(in_use);
        }
        if Now::read().monotonic > until {
            anyhow::bail!(
                "the spool {} has become read-only, or writable again, and other deliverers are \
                 still at work: the next look goes on",
                places.spool.display()
            );
        }
        thread::sleep(PAUSE);
    }
}
