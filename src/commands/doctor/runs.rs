//! The commands in front of which a `lastwords run` stands now: each holds the lock on its marker as long as it lives.

use std::collections::BTreeSet;
use std::fs;

use crate::commands::Places;
use crate::marker::{Lock, Taken};

/// How many names of a directory are looked at.
const LOOKED_AT: usize = 10_000;

/// Their jobs.
pub fn jobs(places: &Places) -> BTreeSet<String> {
    let dirs = places.left_by_hooks().into_iter().map(|(dir, _)| dir.join("markers"));
    let entries = dirs.flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten().take(LOOKED_AT));
    let taken = entries.filter_map(|entry| Taken::at(&entry.path())).filter(|taken| taken.circumstances.alive);
    let alive = taken.filter(|taken| matches!(taken.lock(), Ok(Lock::Others)) && taken.path().exists());
    alive.map(|taken| taken.service().0).collect()
}
