//! How long a service's logs are when one of its lives begins or ends. This costs a look at each
//! file: none is opened, and nothing is waited for.

use std::path::Path;

use crate::catch::call::Call;
use crate::collectors::log::{Log, LogLength};
use crate::config;
use crate::host::Host;
use crate::mounts::Mounts;
use crate::places::Places;

/// Maximum number of logs that are looked at, and of bytes in the path of one: the marker holds
/// them.
const MOST: usize = 8;
const LONGEST: usize = 256;

/// Returns how long the logs of the job are: those that its config names, or else `of_supervisor`.
/// One that cannot be looked at in no time is left out.
pub fn lengths(
    call: &Call,
    places: &Places,
    of_supervisor: impl FnOnce() -> Vec<String>,
    host: &Host,
) -> Vec<LogLength> {
    let mounts = Mounts::now();
    if mounts.may_hang(&places.config) {
        return Vec::new();
    }
    let logs = config::logs(&places.config, &call.job)
        .unwrap_or_else(|| of_supervisor().into_iter().map(Log::new).collect());
    let paths = logs.iter().take(MOST);
    let paths = paths.map(|log| log.path_of(&call.job, call.instance.as_deref()));
    let lengths = paths.filter_map(|path| {
        let at = host.configured(Path::new(&path));
        let is_safe = path.len() <= LONGEST && !mounts.may_hang(&at);
        is_safe.then(|| LogLength::of(path, &at))?
    });
    lengths.collect()
}
