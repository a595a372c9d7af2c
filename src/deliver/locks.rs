//! Waits for the spool's locks, and for those who change over to its deputy or back.

use std::io;
use std::thread;
use std::time::Duration;

use crate::deliver::hold::Patience;
use crate::places::Places;

/// How often to look whether a lock is free.
const PAUSE: Duration = Duration::from_millis(20);

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
/// again. Waits for the steps of others, and for another process that changes over.
///
/// # Errors
/// If that cannot be done: then the spool that is in use stays.
pub fn change_over(places: &Places, is_suspect: bool) -> io::Result<()> {
    let mut patience = Patience::default();
    loop {
        // Without a run directory there is no deputy.
        let Ok(lock) = places.change_lock() else {
            return Ok(());
        };
        if places.change_over(&lock, is_suspect)? {
            return Ok(());
        }
        if !patience.wait(&lock) {
            return Err(io::Error::other("other processes hold the spool"));
        }
    }
}
