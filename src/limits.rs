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
/// Smallest limit on a file's size, in bytes, with which ours can be written.
const SMALLEST_FILE: u64 = 64 << 10;
/// The soft limits on open files and on a file's size that this process was started with, if they
/// were lifted.
static LIFTED: [(Resource, AtomicU64); 2] = [
    (Resource::Nofile, AtomicU64::new(u64::MAX)),
    (Resource::Fsize, AtomicU64::new(u64::MAX)),
];

/// The job's `limit fsize` kills, by SIGXFSZ, every process that writes a file.
#[derive(Debug)]
pub struct MayNotWrite;

impl fmt::Display for MayNotWrite {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the job's `limit fsize` lets its hooks write no file, and they may not lift it: raise its hard limit")
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
    may_write()
}

fn may_write() -> Result<(), MayNotWrite> {
    let most = getrlimit(Resource::Fsize).current;
    if most.is_some_and(|bytes| bytes < SMALLEST_FILE) {
        Err(MayNotWrite)
    } else {
        Ok(())
    }
}

/// Lifts the soft limits on open files and on a file's size, as far as the hard ones allow. It
/// leaves the hard ones, which could not be taken back.
///
/// # Errors
/// If this process cannot write files.
pub fn lift_soft() -> Result<(), MayNotWrite> {
    for (resource, before) in &LIFTED {
        let set = getrlimit(*resource);
        let enough = ENOUGH.iter().find(|(its, _)| its == resource);
        if let (Some(current), Some((_, enough))) = (set.current, enough)
            && current < *enough
        {
            before.store(current, Ordering::Relaxed);
            let lifted = set.maximum.map_or(*enough, |maximum| maximum.min(*enough));
            let _ = set_soft(*resource, lifted);
        }
    }
    may_write()
}

/// Takes back what [`lift_soft`] did, in a process that becomes another program.
pub fn restore_soft() {
    for (resource, before) in &LIFTED {
        let soft = before.load(Ordering::Relaxed);
        if soft != u64::MAX {
            let _ = set_soft(*resource, soft);
        }
    }
}

fn set_soft(resource: Resource, soft: u64) -> rustix::io::Result<()> {
    let limit = Rlimit {
        current: Some(soft),
        ..getrlimit(resource)
    };
    setrlimit(resource, limit)
}

/// Returns the limit on this user's processes, if it is so low that ours would be in the way of
/// the others. It does not hold for root.
pub fn few_processes() -> Option<u64> {
    let limit = getrlimit(Resource::Nproc).current;
    limit.filter(|limit| *limit < FEW_PROCESSES && !geteuid().is_root())
}
