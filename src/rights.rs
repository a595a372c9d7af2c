//! Gives up root's rights for good, and becomes a process that only has one user's.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2, stat};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, chroot, fchdir, getegid, geteuid,
    getrlimit, set_dumpable_behavior, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::accounts::Identity;

/// Limits of processes, with all that they start. The user's own may be lower, but nobody but a
/// login knows them.
type Limits = [(Resource, u64); 6];

/// A steward's limits.
const STEWARD: Limits = [
    (Resource::Data, 512 << 20),
    (Resource::Cpu, 30),
    (Resource::Nofile, 256),
    (Resource::Fsize, 64 << 20),
    // Counts all of the user's, threads too: less would keep a busy user's crashes from being told.
    (Resource::Nproc, 4096),
    (Resource::Core, 0),
];
/// The limits of a program from the config. A deadline ends it, unless it has left its group.
const PROGRAM: Limits = [
    (Resource::Data, 2 << 30),
    (Resource::Cpu, 600),
    (Resource::Nofile, 1024),
    (Resource::Fsize, 1 << 30),
    // Half of what the smallest systems have in all.
    (Resource::Nproc, 16_384),
    (Resource::Core, 0),
];

/// Groups that own nothing: `nogroup`, and another for a user whose group that is.
const NO_GROUPS: [u32; 2] = [65_534, 65_533];

/// Has a process with one thread run a program as this user, with limits. Unless it may, no setuid
/// or setgid program gives it more rights. This makes system calls only, so it may stand between
/// fork and exec.
pub fn run_as(uid: Uid, gid: Gid, groups: &[Gid], may_gain: bool) -> rustix::io::Result<()> {
    limit(&PROGRAM)?;
    if !may_gain {
        set_no_new_privs(true)?;
    }
    set_thread_groups(groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Makes a directory the root of this process. No symbolic link leads to it, and it is not the
/// machine's own.
fn enter(root: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let dir = openat2(CWD, root, flags, Mode::empty(), resolve)?;
    let (found, ours) = (fstat(&dir)?, stat("/")?);
    if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino) {
        return Err(io::Error::other("this is the machine's own root directory"));
    }
    fchdir(&dir)?;
    Ok(chroot(".")?)
}

fn limit(limits: &Limits) -> rustix::io::Result<()> {
    for (resource, most) in *limits {
        // Those of this process may be lower already.
        let hard = getrlimit(resource).maximum;
        let most = hard.map_or(most, |hard| hard.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// Becomes this user, with its groups, with limits and without any way back. The process must have
/// one thread only. In a chroot the user may be root, who keeps no capabilities.
///
/// The user cannot look into the process, trace it or take its descriptors: it was root's when its
/// program started, and cannot be dumped. The same holds for the programs that it starts: their
/// real group is not the one by whose rights they act, so the kernel makes them such processes from
/// their first instruction on. [`stay_apart`] then gives them the group. The user can still stop or
/// kill all of them.
pub fn give_up(user: &Identity, root: Option<&Path>) -> io::Result<()> {
    if !geteuid().is_root() || (user.uid == 0 && root.is_none()) {
        return Err(io::Error::other("only root can become another user"));
    }
    if let Some(root) = root {
        enter(root)?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    limit(&STEWARD)?;
    set_no_new_privs(true)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let other = NO_GROUPS.into_iter().find(|group| *group != user.gid);
    let other = other.map_or(gid, Gid::from_raw);
    set_thread_groups(&groups)?;
    set_thread_res_gid(other, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    if user.uid == 0 {
        let none = CapabilitySet::empty();
        let sets = CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        };
        set_capabilities(None, sets)?;
    }
    // The kernel resets both when a process changes its user.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Begins a program that a process started which had given up its rights: it stays a process that
/// cannot be dumped, while the programs that it starts are the user's own.
pub fn stay_apart() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let gid = getegid();
    set_thread_res_gid(gid, gid, gid)?;
    Ok(())
}
