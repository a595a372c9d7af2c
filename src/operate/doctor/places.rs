//! Checks that the directories of hooks and deliverer exist, have the right owner, and have room.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::process::geteuid;

use crate::mounts::may_hang;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::supervise::Subject;

/// Below this number of bytes and files, a disk is as good as full.
const LITTLE: u64 = 1024 * 1024;
const FEW: u64 = 16;

pub fn check(subject: &Subject, checks: &mut Vec<Check>) {
    let places = subject.places;
    let before = checks.len();
    let inbox = places.spool.join("inbox");
    for dir in [&places.run_dir, &places.spool] {
        checks.extend(ours(dir));
    }
    if let Some(uid) = subject.uid {
        let user = places.user_dir(uid);
        checks.extend(ours(&user).into_iter().chain(ours(&inbox)));
        for dir in [
            user.join("markers"),
            user.join("inbox"),
            inbox.join(uid.to_string()),
        ] {
            checks.extend(of_user(&dir, uid));
        }
    } else if let Some(user) = &subject.loaded.job.user {
        let text = format!("its hooks run as the user {user:?}, which is not in /etc/passwd");
        let remedy = format!(
            "name an existing user, or a user's number, in jobs/{}.toml",
            subject.job
        );
        checks.push(Check::problem("user", Concerns::Catching, text, remedy));
    }
    if checks.len() == before {
        let text = format!(
            "{} and {} are as they should be",
            places.run_dir.display(),
            places.spool.display()
        );
        checks.push(Check::ok("directories", Concerns::Catching, text));
    }
    room(subject, checks);
}

/// Returns the fault of a directory of our own.
fn ours(dir: &Path) -> Option<Check> {
    let shown = dir.display();
    let found = match fs::symlink_metadata(dir) {
        Ok(found) => found,
        Err(why) if why.kind() == ErrorKind::NotFound => {
            let text = format!(
                "{shown} does not exist; the first hook makes it, but reserves no space for a full disk"
            );
            return Some(Check::weak(
                "directories",
                Concerns::Content,
                text,
                "lastwords setup",
            ));
        }
        Err(why) => {
            let text = format!("cannot look at {shown}: {why}");
            return Some(Check::unknown("directories", Concerns::Catching, text));
        }
    };
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let wrong = if !found.is_dir() {
        format!("{shown} is not a directory")
    } else if owner != 0 && owner != geteuid().as_raw() {
        format!("{shown} belongs to user {owner}, who can put anything into it")
    } else if mode & 0o022 != 0 {
        format!("users other than its owner may write into {shown} (mode {mode:04o})")
    } else {
        return None;
    };
    let remedy =
        format!("look at its files, then: chown root {shown}; chmod 0755 {shown}; lastwords setup");
    Some(Check::problem(
        "directories",
        Concerns::Catching,
        wrong,
        remedy,
    ))
}

/// Returns the fault of a directory that a job's user needs.
fn of_user(dir: &Path, uid: u32) -> Option<Check> {
    let shown = dir.display();
    if may_hang(dir) {
        let text = format!("{shown} is on a file system that may not answer");
        return Some(Check::unknown("directories", Concerns::Catching, text));
    }
    let wrong = match fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() && found.uid() == uid && found.mode() & 0o700 == 0o700 => {
            return None;
        }
        Ok(found) => format!(
            "{shown} should be a directory of user {uid}, but belongs to user {}",
            found.uid()
        ),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            format!(
                "{shown} does not exist, and the job's hooks, which run as user {uid}, may not make it"
            )
        }
        Err(why) => {
            let text = format!("cannot look at {shown}: {why}");
            return Some(Check::unknown("directories", Concerns::Catching, text));
        }
    };
    Some(Check::problem(
        "directories",
        Concerns::Catching,
        wrong,
        "lastwords setup",
    ))
}

fn room(subject: &Subject, checks: &mut Vec<Check>) {
    let (places, spool) = (subject.places, subject.places.spool());
    let Ok(disk) = statvfs(&places.spool) else {
        return;
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let percent = free / (disk.f_blocks.saturating_mul(disk.f_frsize) / 100).max(1);
    let can_look = places
        .spool
        .join("reserve")
        .read_dir()
        .map_or_else(|why| why.kind() == ErrorKind::NotFound, |_| true);
    let (lacking, all) = spool.reserve_lacks();
    let is_whole = can_look && lacking == 0;
    let mib = free / (1024 * 1024);
    checks.push(if let Some(state) = places.state_of_disk() {
        let count = places.memory().count() + places.spool_in_use().only_in_memory();
        let text = format!(
            "the spool's disk is {state}: new reports are in memory only (now: {count}), are told \
             from there, and are lost in a power cut"
        );
        Check::problem(
            "disk",
            Concerns::InTime,
            text,
            format!("mount it writable: {}", places.spool.display()),
        )
    } else if (free < LITTLE || (disk.f_files > 0 && disk.f_favail < FEW)) && !is_whole {
        Check::problem(
            "disk",
            Concerns::Catching,
            "the disk is full, and no space is reserved",
            "make room, then: lastwords setup",
        )
    } else if percent < 5 {
        let text = format!("{mib} MiB ({percent} %) free: delivered reports are removed early");
        Check::weak("disk", Concerns::Content, text, "make room")
    } else {
        Check::ok(
            "disk",
            Concerns::Catching,
            format!("{mib} MiB ({percent} %) free"),
        )
    });
    checks.push(if !can_look {
        Check::unknown(
            "reserve",
            Concerns::Content,
            "only root can see the space reserved for a full disk",
        )
    } else if is_whole {
        Check::ok(
            "reserve",
            Concerns::Content,
            "space for reports is reserved for a full disk",
        )
    } else {
        let text =
            format!("{lacking} of the {all} files that reserve space for a full disk are missing");
        Check::weak("reserve", Concerns::Content, text, "lastwords setup")
    });
}
