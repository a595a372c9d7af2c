//! `lastwords steward`: a process that has one user's rights and does what is to be done in that
//! user's directories. It finishes what the hooks of the user's jobs left, and hands their reports
//! over to root's process, which started it. In a chroot, of which nothing can be believed either,
//! it only hands over: no program is started there. Or it only says which of that user's services
//! run, or have ended well.

pub mod process;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::accounts;
use crate::clock::Now;
use crate::deliver::{adopt, locks, signs};
use crate::places::Places;
use crate::rights;
use crate::spool::{Lock, MemoryInbox, hand_over};

/// How long a steward waits for the end of the one before. A deliverer may ask two at a time.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a steward that has been killed may go on at most, as far as it is waited for.
const MONTH: Duration = Duration::from_hours(30 * 24);

#[derive(Debug, Args)]
pub struct StewardArgs {
    /// The user's number.
    #[arg(long)]
    user: u32,
    /// The root directory of the user's hooks, if it is not the machine's.
    #[arg(long)]
    chroot: Option<PathBuf>,
    /// Only say which of the user's services run, or have ended well.
    #[arg(long, conflicts_with = "chroot")]
    signs: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &StewardArgs, out: &mut impl Write) -> Result<ExitCode> {
    let places = &args.places;
    let user = accounts::identity(&args.user.to_string(), &places.host())?;
    // In a chroot root's hooks write where root's do. The deliverer that they wake there knows no
    // sink and puts their reports into the history.
    let is_root = args.user == 0;
    let spool = places.spool();
    let _only = only_one(args)?;
    if let Some(root) = &args.chroot {
        let ours = identity(&places.spool);
        rights::give_up(&user, Some(root))?;
        if ours.is_some() && identity(&places.spool) == ours {
            // The machine's own is mounted there, and its deliverer looks into it anyway.
            return Ok(ExitCode::SUCCESS);
        }
    } else {
        rights::give_up(&user, None)?;
    }
    if args.signs {
        let markers = places.user_dir(args.user).join("markers");
        signs::tell(&markers, &places.host(), out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let memory = if is_root {
        places.run_dir.join("inbox")
    } else {
        places.user_dir(args.user).join("inbox")
    };
    let memory = MemoryInbox::new(memory);
    let mut dirs = if is_root {
        spool.places_of_reports().to_vec()
    } else {
        vec![spool.inbox(args.user)]
    };
    // Where it was not prepared, this process's markers would be looked for where root's are.
    if is_root || places.user_dir(args.user).is_dir() {
        if args.chroot.is_none() {
            adopt::orphans(places, true);
        }
        memory.sweep();
        dirs.insert(0, memory.dir().to_owned());
    }
    for dir in dirs {
        match hand_over(&dir, out, &mut io::stdin()) {
            Ok(true) => {}
            Ok(false) => break,
            // It was not prepared, or no hook has made it yet.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes a lock that lasts until this process has gone, so that there is one such steward at a
/// time. A user's file system can keep a process that has been killed for as long as it likes, and
/// would keep one more at each look.
fn only_one(args: &StewardArgs) -> Result<Option<Lock>> {
    let task = if args.signs { "signs" } else { "steward" };
    let chroot = args.chroot.as_ref().map(|dir| dir.to_string_lossy());
    let name = format!("\0\0{task} {} {}", args.user, chroot.unwrap_or_default());
    let spool = args.places.spool_in_use();
    let now = || Now::read().monotonic;
    match locks::wait_for(|now| spool.lock(&name, now), PATIENCE, now) {
        Ok(Some(lock)) => {
            lock.lives_for(MONTH, now())?;
            Ok(Some(lock))
        }
        Ok(None) => bail!(
            "the steward before this one has not ended, perhaps for a file system that does not \
             answer"
        ),
        // There is no room for a lock, which must not keep the user's reports back.
        Err(_) => Ok(None),
    }
}

/// Returns what tells a directory from all others; `None` if there is none.
fn identity(dir: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(dir).ok()?;
    Some((found.dev(), found.ino()))
}
