//! Finds the commands that run under a `lastwords run` now: each holds the lock on its marker for
//! as long as it lives.

use std::collections::BTreeSet;

use crate::catch::marker::{self, Claim};
use crate::mounts::may_hang;
use crate::places::Places;

/// Returns their jobs.
pub fn jobs(places: &Places) -> BTreeSet<String> {
    let held = places
        .left_by_hooks()
        .into_iter()
        .map(|(dir, _)| dir.join("markers"))
        // A user may have mounted anything there.
        .filter(|dir| !may_hang(dir))
        .flat_map(|dir| marker::held(&dir));
    let alive =
        held.filter(|taken| matches!(taken.claim(), Ok(Claim::Others)) && taken.path().exists());
    alive.map(|taken| taken.service().0).collect()
}
