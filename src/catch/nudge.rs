//! Wakes the deliverer, and does not wait for it.
//!
//! systemd kills the processes that a hook leaves behind. There a file in `wake/` says that there
//! is something to do: `lastwords.path` sees it and starts the deliverer, which removes it before
//! it looks, so that no later file goes unseen.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::places::Places;
use crate::supervisor::Supervise;
use crate::{notice, ourselves};

/// Starts `lastwords deliver` in the background. If that fails, the report is safe all the same: a
/// timer, or `deliver --watch`, sends it later.
pub fn deliver(places: &Places, supervisor: &dyn Supervise) {
    if places.inbox_of().is_some() {
        // Only root's deliverer may send, and it looks there by itself.
        return;
    }
    let started = if supervisor.kills_leftovers() {
        leave_word(places)
    } else {
        start(places, supervisor.deliverer_stays())
    };
    if let Err(why) = started {
        notice::say(
            &places.host(),
            &format!("cannot start the deliverer, the report waits in the spool: {why}"),
        );
    }
}

fn start(places: &Places, stays: bool) -> io::Result<()> {
    let mut command = Command::new(ourselves::program()?);
    command
        .args(["deliver", "--woken"])
        .args(stays.then_some("--stay"))
        .args(places.flags())
        // The environment is the job's, and hostile. The descriptors may be a pty that dies with
        // the hook.
        .env_clear()
        .stdin(ourselves::nothing()?)
        .stdout(ourselves::nothing()?)
        .stderr(ourselves::nothing()?)
        .current_dir("/")
        .process_group(0);
    command.spawn().map(drop)
}

fn wake(places: &Places) -> PathBuf {
    places.run_dir.join("wake")
}

fn leave_word(places: &Places) -> io::Result<()> {
    let dir = wake(places);
    let word = dir.join(std::process::id().to_string());
    File::create(&word)
        .or_else(|_| fs::create_dir_all(&dir).and_then(|()| File::create(&word)))
        .map(drop)
}

/// Removes the files that woke the deliverer. A later file wakes it again.
pub fn clear(places: &Places) {
    for word in wake(places).read_dir().into_iter().flatten().flatten() {
        let _ = fs::remove_file(word.path());
    }
}
