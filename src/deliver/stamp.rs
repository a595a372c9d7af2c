//! That a deliverer comes by again and again, seen from outside: it leaves a trace in the run
//! directory at each look.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::time::{Duration, SystemTime};

use crate::places::Places;

const FILE: &str = "deliverer";
/// What stands in the file: who came by.
const WATCH: &str = "watch";
const TIMER: &str = "timer";

/// A deliverer's last look.
pub struct Look {
    pub ago: Duration,
    /// It goes on looking by itself; else somebody starts it each time.
    pub watches: bool,
}

/// Leaves the trace. Where that cannot be, reports are sent all the same.
pub fn leave(places: &Places, watches: bool) {
    // One write of one length: a reader sees the old word or the new one. The time of the look is
    // the file's own.
    let word = if watches { WATCH } else { TIMER };
    let open = || {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(places.run_dir.join(FILE))
    };
    // After a boot there may have been no hook yet that has made the directory.
    let file = open().or_else(|why| match why.kind() {
        io::ErrorKind::NotFound => DirBuilder::new()
            .mode(0o755)
            .create(&places.run_dir)
            .and_then(|()| open()),
        _ => Err(why),
    });
    let _ = file.and_then(|file| {
        file.write_all_at(word.as_bytes(), 0)?;
        File::set_modified(&file, SystemTime::now())
    });
}

/// The last look; `None` where there was none since the boot.
pub fn last(places: &Places) -> io::Result<Option<Look>> {
    let path = places.run_dir.join(FILE);
    let modified = match fs::symlink_metadata(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?.modified()?,
    };
    let ago = SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default();
    Ok(Some(Look {
        ago,
        watches: fs::read_to_string(path)?.trim() == WATCH,
    }))
}
