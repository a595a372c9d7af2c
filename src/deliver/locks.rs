//! Waits for the spool's locks, and for those who change over to its deputy or back.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Now;
use crate::places::Places;

/// How often to look whether a lock is free.
const PAUSE: Duration = Duration::from_millis(20);
/// How long others may take that change over to the spool's deputy, or back.
pub const CHANGE: Duration = Duration::from_secs(5);

/// Takes a lock, or something like it, as soon as its holder gives it up: `take` tries it. Returns
/// `None` if that takes longer than `patience`. `monotonic` tells the time since the boot.
pub fn wait_for<T>(
    take: impl Fn(Duration) -> io::Result<Option<T>>,
    patience: Duration,
    monotonic: impl Fn() -> Duration,
) -> io::Result<Option<T>> {
    let until = monotonic() + patience;
    loop {
        let now = monotonic();
        let taken = take(now)?;
        if taken.is_some() || now > until {
            return Ok(taken);
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
    let change = |now| Ok(places.change_over(is_suspect, now)?.then_some(()));
    match wait_for(change, patience, || Now::read().monotonic) {
        Ok(Some(())) => Ok(None),
        Ok(None) => bail!(
            "the spool {} has become read-only, or writable again, and other deliverers are still \
             at work: the next look goes on",
            places.spool.display()
        ),
        Err(why) => Ok(Some(why)),
    }
}
