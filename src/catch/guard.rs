//! Keeps every panic and error inside a hook: its supervisor must not notice them.

use std::panic::{self, AssertUnwindSafe};

use anyhow::Result;

use crate::host::Host;
use crate::notice;

/// Runs `work` and lets no panic and no error out: they go to the system's log. Returns true if
/// `work` succeeded.
pub fn guarded(what: &str, host: &Host, work: impl FnOnce() -> Result<()>) -> bool {
    panic::set_hook(Box::new({
        let host = host.clone();
        move |panic| notice::say_where_it_failed(&host, panic)
    }));
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => true,
        Ok(Err(why)) => {
            notice::say(host, &format!("{what}: {why:#}"));
            false
        }
        Err(_) => false,
    }
}
