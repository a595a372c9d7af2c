//! Holds the spool that is in use, for one step after the other: meanwhile no process changes over
//! to the spool's deputy or back.
//!
//! All threads of a process hold it together, by one lock. Within a step each further hold costs
//! nothing. What is said meanwhile is printed once the last of them lets go, so that whoever reads
//! our output slowly holds up no change over.

use std::mem;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::places::Places;
use crate::spool::{ChangeLock, Spool};

/// Time between two tries to take the lock from others.
const PAUSE: Duration = Duration::from_millis(20);
/// Number of tries after which others without a sign of life count as stopped: 10 s. This counts
/// tries, as this process may be stopped itself.
const MOST_TRIES: u32 = 500;

/// The hold that a process has on its spool.
pub struct Hold<'a> {
    places: &'a Places,
    /// Prints a line for the person who started this process.
    print: &'a (dyn Fn(&str) + Sync),
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    /// Kept open from one step to the next. `None` before the first step, and without a run
    /// directory, where there is no deputy either.
    lock: Option<ChangeLock>,
    /// Once it is spent, the next step does not wait so long again.
    patience: Patience,
    /// Counts up when another process took this one for stopped: what holds the spool since before
    /// that holds nothing any more.
    generation: u64,
    /// Number of values of this generation that hold the spool now.
    number: usize,
    /// The spool in use while there are any.
    spool: Option<Arc<Spool>>,
    unsaid: Vec<String>,
}

/// The spool that holds the truth. As long as this value lives, no process changes over, unless it
/// lives for so long that others take this process for stopped. It is for one step, not for the
/// time that anybody else takes.
pub struct SpoolInUse<'a> {
    hold: &'a Hold<'a>,
    generation: u64,
    spool: Arc<Spool>,
}

impl<'a> Hold<'a> {
    pub fn new(places: &'a Places, print: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self {
            places,
            print,
            holders: Mutex::default(),
        }
    }

    /// Holds the spool in use. Waits while another process changes over.
    pub fn spool(&self) -> SpoolInUse<'_> {
        let mut holders = self.holders();
        if holders.spool.is_none() {
            holders.share(self.places);
        }
        let in_use = || Arc::new(self.places.spool_in_use());
        let spool = holders.spool.get_or_insert_with(in_use).clone();
        holders.number += 1;
        SpoolInUse {
            hold: self,
            generation: holders.generation,
            spool,
        }
    }

    /// Holds the spool anew from here on if another process took this one for stopped: a thread may
    /// be in the middle of a step that takes very long, on a disk that fails.
    pub fn renew(&self) {
        let mut holders = self.holders();
        if (holders.lock.as_ref()).is_some_and(|lock| !lock.is_current()) {
            let (generation, unsaid) = (holders.generation + 1, mem::take(&mut holders.unsaid));
            *holders = Holders {
                generation,
                unsaid,
                ..Holders::default()
            };
        }
    }

    /// Prints a line, once nothing of this process holds the spool.
    pub fn say(&self, line: String) {
        let mut holders = self.holders();
        if holders.number > 0 {
            holders.unsaid.push(line);
        } else {
            drop(holders);
            (self.print)(&line);
        }
    }

    fn let_go(&self, generation: u64) {
        let mut holders = self.holders();
        if holders.generation != generation {
            return;
        }
        holders.number -= 1;
        if holders.number > 0 {
            return;
        }
        holders.spool = None;
        if let Some(lock) = &holders.lock {
            lock.let_go();
        }
        let unsaid = mem::take(&mut holders.unsaid);
        drop(holders);
        for line in unsaid {
            (self.print)(&line);
        }
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for SpoolInUse<'_> {
    type Target = Spool;

    fn deref(&self) -> &Spool {
        &self.spool
    }
}

impl Drop for SpoolInUse<'_> {
    fn drop(&mut self) {
        self.hold.let_go(self.generation);
    }
}

impl Holders {
    /// Takes the lock together with others. Without one the spool can be used all the same: a
    /// message that comes twice is better than none.
    fn share(&mut self, places: &Places) {
        loop {
            if self.lock.as_ref().is_none_or(|lock| !lock.is_current()) {
                self.lock = places.change_lock().ok();
            }
            let Some(lock) = &self.lock else { return };
            match lock.try_shared() {
                // Another process may have put a new file in its place meanwhile.
                Ok(true) if !lock.is_current() => lock.let_go(),
                Ok(true) => {
                    self.patience = Patience::default();
                    return;
                }
                Ok(false) if self.patience.wait(lock) => {}
                _ => return,
            }
        }
    }
}

/// The patience of a process that waits for a change over, or for others' steps.
#[derive(Default)]
pub struct Patience {
    sign: Vec<u8>,
    tries: u32,
}

impl Patience {
    /// Waits for a moment. Takes the lock from others that have shown no sign of life for long.
    /// Returns false if that cannot be done: then there is nothing to wait for.
    pub fn wait(&mut self, lock: &ChangeLock) -> bool {
        let sign = lock.sign();
        if sign != self.sign {
            *self = Self { sign, tries: 0 };
        }
        self.tries += 1;
        if self.tries > MOST_TRIES {
            // Another process may be at it this moment.
            let _ = lock.replace();
        }
        thread::sleep(PAUSE);
        self.tries <= 2 * MOST_TRIES
    }
}
