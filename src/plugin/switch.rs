//! Has a program run as another user.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{Gid, Uid};
use rustix::process::{geteuid, setsid};

use crate::accounts::{self, Identity};
use crate::host::Host;
use crate::rights;

/// Returns the user that a program has to be run as, by the name or number in the config; `None` if
/// this process runs as that user already.
///
/// # Errors
/// If there is no such user, or this process may not switch to another one.
pub fn user(name: Option<&str>, host: &Host) -> Result<Option<Identity>> {
    let Some(name) = name else { return Ok(None) };
    let user = accounts::identity(name, host).with_context(|| format!("cannot run as {name:?}"))?;
    let own = geteuid();
    if user.uid == own.as_raw() {
        return Ok(None);
    }
    if !own.is_root() {
        let denied = io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("only root can switch to another user, and this is user {own}"),
        );
        return Err(denied).with_context(|| format!("cannot run as {name:?}"));
    }
    Ok(Some(user))
}

/// Another user than this process's, as whom a program runs.
#[derive(Clone, Copy)]
pub struct RunAs<'i> {
    pub user: &'i Identity,
    /// Setuid and setgid programs may give it more rights: `sendmail` needs them, and so does sudo.
    pub may_gain: bool,
}

/// Has the command run as this user, with the user's groups and no others, and with limits. It
/// becomes the leader of a session, and so of a process group: the program of another user must not
/// write to our terminal.
#[expect(
    unsafe_code,
    reason = "the standard library can only drop all groups but one; between fork and exec this \
              makes system calls and nothing else"
)]
pub fn to(command: &mut Command, RunAs { user, may_gain }: RunAs) {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let become_user = move || {
        setsid()?;
        Ok(rights::run_as(uid, gid, &groups, may_gain)?)
    };
    unsafe { command.pre_exec(become_user) };
}
