//! Finds the commands that run under a `lastwords run` now: each holds the lock on its marker for
//! as long as it lives.

use std::collections::BTreeSet;

use crate::catch::marker::{self, Claim};
use crate::places::Places;

/// Returns their jobs.
pub fn jobs(places: &Places) -> BTreeSet<String> {
    let held = places
        .left_by_hooks()
        .into_iter()
        .flat_map(|(dir, _)| marker::held(&dir.join("markers")));
    let alive =
        held.filter(|taken| matches!(taken.claim(), Ok(Claim::Others)) && taken.path().exists());
    alive.map(|taken| taken.service().0).collect()
}
