//! The deliverer: everything that all parts of one look of it work with.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Now;
use crate::deliver::hold::{Hold, SpoolInUse};
use crate::deliver::locks;
use crate::deliver::signs::Signs;
use crate::host::Host;
use crate::places::Places;
use crate::render::one_line;
use crate::report::SinkKey;
use crate::spool::Spool;

/// One look of the deliverer, and what it works with.
pub struct Deliverer<'a> {
    pub places: &'a Places,
    pub host: Host,
    /// How long this look has waited for supervisors' answers, in milliseconds.
    pub waited: AtomicU64,
    pub looks: &'a Looks<'a>,
}

/// The things that all looks of one run of the deliverer share.
pub struct Looks<'a> {
    pub later: Duration,
    hold: Hold<'a>,
    /// When supervisors were last asked for ends that no hook has seen, in seconds since the boot;
    /// 0 if they were not.
    pub asked_for_unseen: AtomicU64,
    pub signs: Signs<'a>,
    /// True once something of ours could not be done.
    pub has_failed: AtomicBool,
}

impl<'a> Looks<'a> {
    pub fn new(places: &'a Places, later: Duration, print: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self {
            later,
            hold: Hold::new(places, print),
            asked_for_unseen: AtomicU64::new(0),
            signs: Signs::new(places),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Prints a line for the person who started the deliverer.
    pub fn say(&self, line: &str) {
        self.hold.say(one_line(line, 1000));
    }

    /// Returns the spool for one step. The next step may find another one: the disk may have become
    /// read-only, or writable again.
    pub fn spool(&self) -> SpoolInUse<'_> {
        self.hold.spool()
    }

    /// Holds the spool anew after a change over: see [`Hold::renew`].
    pub fn renew(&self) {
        self.hold.renew();
    }
}

impl<'a> Deliverer<'a> {
    pub fn new(places: &'a Places, looks: &'a Looks<'a>) -> Self {
        Self {
            places,
            host: places.host(),
            waited: AtomicU64::new(0),
            looks,
        }
    }

    /// Returns the spool for one step: see [`Looks::spool`].
    pub fn spool(&self) -> SpoolInUse<'_> {
        self.looks.spool()
    }

    /// Writes something that must not be forgotten. Where the disk turns out to be read-only, the
    /// spool's deputy takes it. The write that makes a disk read-only has an error of its own, or
    /// none. Nothing of this thread may hold the spool.
    pub fn keep(&self, write: impl Fn(&Spool) -> io::Result<()>) -> Result<()> {
        let kept = {
            let spool = self.spool();
            write(&spool).and_then(|()| spool.still_takes_files())
        };
        if kept.is_ok() {
            return Ok(());
        }
        let changed = locks::change_over(self.places, true);
        self.looks.renew();
        match (write(&self.spool()), changed) {
            (Ok(()), _) => Ok(()),
            (Err(why), Ok(())) => Err(why.into()),
            (Err(why), Err(change)) => bail!("{why}; {change}"),
        }
    }

    /// Returns the moment that this run works for.
    pub fn now(&self) -> Now {
        Now::read().after(self.looks.later)
    }

    /// Returns how long this look has waited for supervisors' answers.
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed))
    }

    /// Adds to that.
    pub fn wait_for(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited.fetch_add(millis, Ordering::Relaxed);
    }

    /// Says that something of ours could not be done. This run goes on, and then ends as one that
    /// has failed.
    pub fn fail(&self, line: &str) {
        self.looks.has_failed.store(true, Ordering::Relaxed);
        self.say(line);
    }

    /// Finds out which services of these users run or have ended well, of all users at once.
    pub fn ask_stewards(&self, users: impl Iterator<Item = u32>) {
        for (uid, why) in self.looks.signs.ask_all(&users.collect()) {
            self.say(&format!(
                "it is not known which services of user {uid} run: {why:#}"
            ));
        }
    }

    /// Prints a line for the person who started the deliverer.
    pub fn say(&self, line: &str) {
        self.looks.say(line);
    }
}

/// Returns the name of the lock of the sink with this key. No other lock's name begins so, whatever
/// sinks are called.
pub fn sink_lock(key: &SinkKey) -> String {
    format!("to-{}", key.encode())
}
