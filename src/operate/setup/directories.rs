//! Makes the directories, those of setuid jobs included: their hooks run as the service's user and
//! may not make any.

use std::fs::{self, DirBuilder, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::config;
use crate::host::Host;
use crate::places::Places;

pub fn make_all(places: &Places, out: &mut impl Write) -> Result<()> {
    let host = places.host();
    make(&places.run_dir, 0o755)?;
    make(&places.markers(), 0o700)?;
    // Users pass through here on the way to their inboxes.
    make(&places.spool, 0o711)?;
    make(&places.spool.join("inbox"), 0o711)?;
    places
        .spool()
        .create()
        .with_context(|| format!("cannot make {}", places.spool.display()))?;
    places.spool().refill();
    let _ = writeln!(
        out,
        "{} and {} are ready",
        places.run_dir.display(),
        places.spool.display()
    );
    for (job, user) in config::users(&places.config) {
        let uid = uid_of(&user, &host)
            .with_context(|| format!("the job {job} names the user {user:?}"))?;
        make(&places.run_dir.join("user"), 0o755)?;
        make(&places.user_dir(uid), 0o755)?;
        let run = places.user_dir(uid);
        for dir in [
            run.join("markers"),
            run.join("inbox"),
            places.spool().inbox(uid),
        ] {
            make(&dir, 0o700)?;
            give(&dir, uid)?;
        }
        let _ = writeln!(
            out,
            "{job}: its hooks run as {user} (user {uid}) and have their directories"
        );
    }
    Ok(())
}

/// Makes a directory with this mode, whatever the umask is, or gives this mode to one that a hook
/// has made before.
fn make(dir: &Path, mode: u32) -> Result<()> {
    let cannot = || format!("cannot make {}", dir.display());
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(dir)
        .with_context(cannot)?;
    if fs::metadata(dir).with_context(cannot)?.mode() & 0o7777 != mode {
        fs::set_permissions(dir, Permissions::from_mode(mode)).with_context(cannot)?;
    }
    Ok(())
}

/// Gives a directory to a user. Its parents are ours, so nobody can have put a link in its place.
fn give(dir: &Path, uid: u32) -> Result<()> {
    let found =
        fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    ensure!(found.is_dir(), "{} is not a directory", dir.display());
    if found.uid() != uid {
        chown(dir, Some(uid), None)
            .with_context(|| format!("cannot give {} to user {uid}", dir.display()))?;
    }
    Ok(())
}

/// Returns a user's number, from /etc/passwd or as it stands. A static binary has no other place to
/// ask.
pub fn uid_of(user: &str, host: &Host) -> Result<u32> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let passwd = host
        .read("/etc/passwd")
        .context("cannot read /etc/passwd")?;
    let line = passwd
        .lines()
        .find_map(|line| line.strip_prefix(user)?.strip_prefix(':'));
    let uid = line.and_then(|rest| rest.split(':').nth(1)?.parse().ok());
    uid.context("there is no such user in /etc/passwd: name one that is there, or its number")
}
