//! Lifts the resource limits that a job sets for itself (Upstart's `limit` stanza): they apply to
//! its hooks too.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than enough for a hook, in files, bytes or seconds.
const ENOUGH: [(Resource, u64); 6] = [
    (Resource::Nofile, 256),
    (Resource::Fsize, 64 << 20),
    (Resource::As, 1 << 30),
    (Resource::Data, 1 << 30),
    (Resource::Stack, 8 << 20),
    (Resource::Cpu, 60),
];

/// The job's `limit fsize` kills, by SIGXFSZ, every process that writes a file.
#[derive(Debug)]
pub struct MayNotWrite;

impl fmt::Display for MayNotWrite {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the job's `limit fsize` lets its hooks write no file, and they are not root: raise its hard limit")
    }
}

impl std::error::Error for MayNotWrite {}

/// Lifts the limits that are too low, as far as this process may. Root may lift all.
///
/// # Errors
/// If this process cannot write files.
pub fn lift() -> Result<(), MayNotWrite> {
    for (resource, enough) in ENOUGH {
        let set = getrlimit(resource);
        if set.current.is_none_or(|current| current >= enough) {
            continue;
        }
        let lifted = Rlimit {
            current: Some(enough),
            maximum: set.maximum.map(|maximum| maximum.max(enough)),
        };
        if setrlimit(resource, lifted).is_err() {
            let _ = setrlimit(
                resource,
                Rlimit {
                    current: set.maximum,
                    maximum: set.maximum,
                },
            );
        }
    }
    if getrlimit(Resource::Fsize)
        .current
        .is_some_and(|bytes| bytes < 64 << 10)
    {
        Err(MayNotWrite)
    } else {
        Ok(())
    }
}
