//! Has a steward for each user do what is to be done in that user's directories, and takes over
//! what it hands over.
//!
//! To take reports over, root opens and changes no file in a directory that a user owns: a user
//! could have it wait for ever, or mistake one file for another. A steward has its user's rights
//! and limits only, and a deadline. All of this happens beside root's own reports, which do not
//! wait for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::accounts;
use crate::config;
use crate::deliver::deliverer::Deliverer;
use crate::deliver::steward::process::Steward;
use crate::deliver::vouch;
use crate::places::Places;
use crate::report::Report;
use crate::spool::{Spool, TakeOver};

/// Maximum number of stewards at a time.
const AT_ONCE: usize = 4;
/// How long a steward may take. It is killed then, whatever its user does to it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a look may go on to start stewards. The other users come first in one of the next.
const ENOUGH: Duration = Duration::from_mins(1);
/// Maximum number of names of a directory that are looked at.
const LOOKED_AT: usize = 10_000;

/// One deliverer at a time works for the users.
const LOCK: &str = "\0\0users";

/// Has all users' reports taken over, as many as may wait. Returns their number.
pub fn serve(deliverer: &Deliverer, how: &TakeOver) -> Result<usize> {
    let mut users = with_something(deliverer);
    if users.is_empty() {
        return Ok(0);
    }
    let began = deliverer.now().monotonic;
    let lock = deliverer.spool().lock(LOCK, began);
    let Some(_lock) = lock.context("cannot lock the users' directories")? else {
        return Ok(0);
    };
    // Whatever the first do, each user is among the first now and then.
    let first = usize::try_from(began.subsec_micros()).unwrap_or_default() % users.len();
    users.rotate_left(first);
    let taken = AtomicUsize::new(0);
    for some in users.chunks(AT_ONCE) {
        if deliverer.now().monotonic.saturating_sub(began) > ENOUGH {
            break;
        }
        thread::scope(|scope| {
            for owner in some {
                let serve = || taken.fetch_add(serve_one(deliverer, owner, how), Ordering::Relaxed);
                // If no thread can be had, the next look tries again.
                let _ = thread::Builder::new().spawn_scoped(scope, serve);
            }
        });
    }
    Ok(taken.into_inner())
}

fn serve_one(deliverer: &Deliverer, owner: &HookUser, how: &TakeOver) -> usize {
    take_over(deliverer, owner, how).unwrap_or_else(|why| {
        deliverer.say(&format!(
            "cannot take over what the hooks of user {}{} left: {why:#}",
            owner.uid,
            owner.place()
        ));
        0
    })
}

fn take_over(deliverer: &Deliverer, owner: &HookUser, how: &TakeOver) -> Result<usize> {
    let root = owner.chroot.as_ref().map(|dir| deliverer.host.path(dir));
    let chroot = root
        .iter()
        .flat_map(|dir| [OsStr::new("--chroot"), dir.as_os_str()])
        .collect::<Vec<_>>();
    let mut steward = Steward::start(deliverer.places, owner.uid, &chroot, PATIENCE)?;
    let (mut hears, says) = steward.pipes()?;
    let mut says = BufReader::new(says);
    let prepare = |report: &mut Report, user: Option<u32>| match &owner.chroot {
        Some(chroot) => vouch::prepare_from_chroot(report, owner.uid, chroot, deliverer),
        None => (how.prepare)(report, user),
    };
    let how = TakeOver {
        prepare: &prepare,
        ..*how
    };
    let hold = || deliverer.spool();
    let taken = Spool::take_over_from(hold, owner.uid, &mut says, &mut hears, &how)?;
    drop((hears, says));
    steward.finish()?;
    Ok(taken)
}

/// A user whose hooks leave reports, and where.
struct HookUser {
    uid: u32,
    /// Root directory of the hooks, as the config names it, if it is not the machine's. The user
    /// may be root there.
    chroot: Option<PathBuf>,
}

impl HookUser {
    fn place(&self) -> String {
        let chroot = self.chroot.as_ref();
        chroot.map_or_else(String::new, |dir| format!(" in {}", dir.display()))
    }
}

/// Returns those for whom a steward may have something to do. Outside of a chroot root has none,
/// and neither has anybody where this process is not root's.
fn with_something(deliverer: &Deliverer) -> Vec<HookUser> {
    if !geteuid().is_root() {
        return Vec::new();
    }
    let users = users(deliverer.places).into_iter();
    let users = users.map(|uid| HookUser { uid, chroot: None });
    users.chain(chroots(deliverer)).collect()
}

/// Returns the chroots that jobs' files name and that may hold reports, each with the user of its
/// hooks.
fn chroots(deliverer: &Deliverer) -> Vec<HookUser> {
    let places = deliverer.places;
    let owner = |(dir, user): (PathBuf, Option<String>)| {
        let user = user.map(|user| accounts::identity(&user, &deliverer.host));
        let uid = user.map_or(Ok(0), |user| user.map(|user| user.uid)).ok()?;
        let dirs = if uid == 0 {
            let reports = places.spool().places_of_reports().into_iter();
            reports.chain([places.run_dir.join("inbox")]).collect()
        } else {
            vec![
                places.user_dir(uid).join("inbox"),
                places.spool().inbox(uid),
            ]
        };
        let root = deliverer.host.path(&dir);
        let any = |name: &[u8]| !name.starts_with(b".");
        let has_something = dirs.iter().any(|it| has_in(&root, it, any));
        has_something.then_some(HookUser {
            uid,
            chroot: Some(dir),
        })
    };
    let dirs = config::chroots(&places.config).into_iter();
    dirs.filter_map(owner).collect()
}

/// Returns the users for whom a steward may have something to do.
fn users(places: &Places) -> Vec<u32> {
    let (run, spool) = (places.run_dir.join("user"), places.spool.join("inbox"));
    let mut users = BTreeSet::new();
    for dir in [&run, &spool] {
        let names = fs::read_dir(dir).into_iter().flatten().flatten();
        users.extend(names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()));
    }
    let has_something = |uid: &u32| {
        let (run, inbox) = (run.join(uid.to_string()), spool.join(uid.to_string()));
        let any = |name: &[u8]| !name.starts_with(b".");
        has(&run.join("markers"), |name| {
            name.windows(7).any(|part| part == b"~taken-")
        }) || has(&run.join("inbox"), any)
            || has(&inbox, any)
    };
    users
        .into_iter()
        .filter(|uid| *uid != 0 && has_something(uid))
        .collect()
}

/// Returns true if a directory that a user owns may have such a name. Its own names are read, but
/// nothing that the user has mounted there, which might not answer.
fn has(dir: &Path, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    let Some((parent, name)) = dir.parent().zip(dir.file_name()) else {
        return false;
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(CWD, parent, flags, Mode::empty()).and_then(|parent| {
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        openat2(parent, name, flags, Mode::empty(), resolve)
    });
    any_name(opened, is_wanted)
}

/// Returns true if a directory of a chroot may have such a name. Nothing in there leads out of it,
/// and nothing that is mounted there is read.
fn has_in(root: &Path, dir: &Path, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, root, flags, Mode::empty()).and_then(|root| {
        let resolve = ResolveFlags::IN_ROOT
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS;
        openat2(root, dir, flags, Mode::empty(), resolve)
    });
    any_name(opened, is_wanted)
}

fn any_name(opened: rustix::io::Result<OwnedFd>, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    let names = match opened.and_then(Dir::new) {
        Err(Errno::NOENT) => return false,
        // The steward finds out.
        Err(_) => return true,
        Ok(names) => names,
    };
    names
        .take(LOOKED_AT)
        .flatten()
        .any(|entry| is_wanted(entry.file_name().to_bytes()))
}
