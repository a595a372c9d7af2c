//! Gives up root's rights for good, and becomes a process that only has one user's.

use std::io;

use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, geteuid, getrlimit,
    set_dumpable_behavior, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::accounts::Identity;

/// The limits of the process and of everything that it starts. The user's own may be lower, but
/// nobody but a login knows them.
const LIMITS: [(Resource, u64); 6] = [
    (Resource::Data, 512 << 20),
    (Resource::Cpu, 30),
    (Resource::Nofile, 256),
    (Resource::Fsize, 64 << 20),
    // Counts all of the user's, threads too: less would keep a busy user's crashes from being told.
    (Resource::Nproc, 4096),
    (Resource::Core, 0),
];

/// Changes the user and all groups of a process with one thread. This makes system calls only, so
/// it may stand between fork and exec.
pub fn switch(uid: Uid, gid: Gid, groups: &[Gid]) -> rustix::io::Result<()> {
    set_thread_groups(groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Becomes this user, with its groups, with limits and without any way back. The process must have
/// one thread only.
///
/// The user cannot look into the process, trace it or take its descriptors: it was root's when its
/// program started, and cannot be dumped. The user can still stop or kill it.
pub fn give_up(user: &Identity) -> io::Result<()> {
    if user.uid == 0 || !geteuid().is_root() {
        return Err(io::Error::other("only root can become another user"));
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, most) in LIMITS {
        // Those of this process may be lower already.
        let hard = getrlimit(resource).maximum;
        let most = hard.map_or(most, |hard| hard.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    set_no_new_privs(true)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
    switch(uid, gid, &groups)?;
    // The kernel resets both when a process changes its user.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
