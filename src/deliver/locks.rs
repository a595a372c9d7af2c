//! Waits for the spool's locks, and for those who change over to its deputy or back.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Now;
use crate::places::Places;
use crate::spool::Lock;

/// How often to look whether a lock is free.
const PAUSE: Duration = Duration::from_millis(20);
/// How long others may take that change over to the spool's deputy, or back.
pub const CHANGE: Duration = Duration::from_secs(5);

/// Takes a lock as soon as its holder gives it up: `lock` tries it. Returns `None` if that takes
/// longer than `patience`. `monotonic` tells the time since the boot.
pub fn wait_for(
    lock: impl Fn(Duration) -> io::Result<Option<Lock>>,
    patience: Duration,
    monotonic: impl Fn() -> Duration,
) -> io::Result<Option<Lock>> {
    let until = monotonic() + patience;
    loop {
        let now = monotonic();
        let lock = lock(now)?;
        if lock.is_some() || now > until {
            return Ok(lock);
        }
        thread::sleep(PAUSE);
    }
}

/// Changes over to the spool's deputy where the disk is read-only, and back where it is writable
/// again. Returns why that cannot be done, if it cannot: then the spool that is in use stays.
///
/// # Errors
/// If others are in the way for longer than `patience`. They may have been stopped.
pub fn change_over(
    places: &Places,
    is_suspect: bool,
    patience: Duration,
) -> Result<Option<io::Error>> {
    let until = Now::read().monotonic + patience;
    loop {
        let now = Now::read().monotonic;
        match places.change_over(is_suspect, now) {
            Ok(true) => return Ok(None),
            Ok(false) if now > until => bail!(
                "the spool {} has become read-only, or writable again, and other deliverers are \
                 still at work: the next look goes on",
                places.spool.display()
            ),
            Ok(false) => thread::sleep(PAUSE),
            Err(why) => return Ok(Some(why)),
        }
    }
}
