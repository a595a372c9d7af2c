//! Makes the directories, those of setuid jobs included: their hooks run as the service's user and
//! may not make any.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::accounts;
use crate::config;
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
        let uid = accounts::identity(&user, &host)
            .with_context(|| format!("the job {job} names the user {user:?}"))?
            .uid;
        make(&places.run_dir.join("user"), 0o755)?;
        make(&places.user_dir(uid), 0o755)?;
        let run = places.user_dir(uid);
        for dir in [
            run.join("markers"),
            run.join("inbox"),
            places.spool().inbox(uid),
        ] {
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

/// Gives a directory to a user, with a mode for that user alone. What it has by then is the user's
/// word, so the directory itself is opened, and nothing is changed by its path.
fn give(dir: &Path, uid: u32) -> Result<()> {
    let cannot = || format!("cannot give {} to user {uid}", dir.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(cannot)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = File::from(openat(CWD, dir, flags, Mode::empty()).with_context(cannot)?);
    let found = opened.metadata().with_context(cannot)?;
    if found.uid() != uid {
        fchown(&opened, Some(uid), None).with_context(cannot)?;
    }
    if found.mode() & 0o7777 != 0o700 {
        opened
            .set_permissions(Permissions::from_mode(0o700))
            .with_context(cannot)?;
    }
    Ok(())
}
