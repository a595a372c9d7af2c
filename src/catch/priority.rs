//! Gives the hook precedence on the processor. The hook itself does next to nothing, but has to be
//! back in a second while everything else on the machine may want to run at once.
//!
//! Measured: of a hundred hooks at once on two busy processors, one that had only to wake up waited
//! 780 ms for its turn.

use rustix::process::{getpriority_process, setpriority_process};

/// The highest priority, as a nice value; see `setpriority(2)`.
const FIRST: i32 = -20;

/// Highest priority until this is dropped. Only root may have it; others go on as they are.
pub struct Priority {
    /// The nice value that the job gives its hooks.
    pub usual: i32,
}

impl Priority {
    pub fn raise() -> Self {
        let usual = getpriority_process(None).unwrap_or(0);
        let _ = setpriority_process(None, FIRST);
        Self { usual }
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        lower_to(self.usual);
    }
}

/// Continues with this nice value. A process that the hook starts begins with the hook's priority.
pub fn lower_to(usual: i32) {
    if getpriority_process(None).is_ok_and(|nice| nice < usual) {
        let _ = setpriority_process(None, usual);
    }
}
