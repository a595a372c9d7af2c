//! Lifts the resource limits that a job sets for itself (Upstart's `limit` stanza): they apply to
//! its hooks and to `lastwords run` too.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

/// More than enough for a hook, in files, bytes or seconds.
const ENOUGH: [(Resource, u64); 6] = [
    (Resource::Nofile, 256),
    (Resource::Fsize, 64 << 20),
    (Resource::As, 1 << 30),
    (Resource::Data, 1 << 30),
    (Resource::Stack, 8 << 20),
    (Resource::Cpu, 60),
];

/// Number of processes of a user that leaves no room for ours: threads count too.
const FEW_PROCESSES: u64 = 16;
/// The soft limit on open files that this process was started with, if it was lifted.
static FILES: AtomicU64 = AtomicU64::new(u64::MAX);

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

/// Lifts the soft limit on open files, as far as this process may.
pub fn lift_files() {
    let set = getrlimit(Resource::Nofile);
    let (Some(current), (_, enough)) = (set.current, ENOUGH[0]) else {
        return;
    };
    if current < enough {
        FILES.store(current, Ordering::Relaxed);
        let lifted = set.maximum.map_or(enough, |maximum| maximum.min(enough));
        let _ = set_files(lifted);
    }
}

/// Takes back what [`lift_files`] did, in a process that becomes another program.
pub fn restore_files() {
    let files = FILES.load(Ordering::Relaxed);
    if files != u64::MAX {
        let _ = set_files(files);
    }
}

fn set_files(soft: u64) -> rustix::io::Result<()> {
    let limit = Rlimit {
        current: Some(soft),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit)
}

/// Returns the limit on this user's processes, if it is so low that ours would be in the way of
/// the others. It does not hold for root.
pub fn few_processes() -> Option<u64> {
    let limit = getrlimit(Resource::Nproc).current;
    limit.filter(|limit| *limit < FEW_PROCESSES && !geteuid().is_root())
}
