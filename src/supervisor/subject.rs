//! The job that `doctor` looks at, with all that is known of it before the first check.

use crate::clock::Now;
use crate::config::Loaded;
use crate::host::Host;
use crate::places::Places;
use crate::report::Supervisor;

/// Whom the checks are about.
pub struct Subject<'a> {
    /// As its supervisor calls it: `web@1`.
    pub service: &'a str,
    pub job: &'a str,
    pub instance: Option<&'a str>,
    pub supervisor: Supervisor,
    pub places: &'a Places,
    pub host: Host,
    pub loaded: Loaded,
    /// The user as whom its hooks run, where that is not root.
    pub uid: Option<u32>,
    /// We are not root: what we may not see, a hook may.
    pub sees_less: bool,
    pub now: Now,
}
