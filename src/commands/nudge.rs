//! Wakes the deliverer, and does not wait for it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{Places, ourselves};
use crate::notice;

/// Starts `lastwords deliver` in the background. Where that fails the report is safe all the same: a timer, or
/// `deliver --watch`, sends it later.
pub fn deliver(places: &Places) {
    if places.inbox_of().is_some() {
        // Only root's deliverer may send, and it looks there by itself.
        return;
    }
    let started = ourselves::program().and_then(|program| {
        Command::new(program)
            .args(["deliver", "--woken"])
            .args(places.flags())
            // The environment is the job's, and hostile. The descriptors may be a pty that dies with the hook.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
    });
    if let Err(why) = started {
        notice::say(&places.host(), &format!("cannot start the deliverer, the report waits in the spool: {why}"));
    }
}
