//! Waits for the spool's locks.

use std::io;
use std::thread;
use std::time::Duration;

use crate::spool::{Lock, Spool};

/// How often to look whether a lock is free.
const PAUSE: Duration = Duration::from_millis(20);

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
