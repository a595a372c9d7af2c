//! Leaves a trace in the run directory at each look of a deliverer, so that `doctor` sees from
//! outside that one runs regularly.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use crate::host::open_regular_in_ours;
use crate::places::Places;

const FILE: &str = "deliverer";
/// Contents of the file: how the deliverer was started.
const WATCH: &str = "watch";
const TIMER: &str = "timer";
/// Maximum length of that, in bytes.
const MAX_WORD: u64 = 100;

/// The last look of a deliverer.
pub struct Look {
    pub ago: Duration,
    /// True if it goes on looking by itself; false if something starts it each time.
    pub watches: bool,
}

/// A deliverer that watches looks every 2 seconds. A timer starts one every minute.
const LATE: Duration = Duration::from_mins(10);

impl Look {
    /// Returns true if a deliverer runs regularly, judging by this look.
    pub fn is_recent(&self) -> bool {
        self.ago <= LATE
    }
}

/// Leaves the trace. If that fails, reports are sent all the same.
pub fn leave(places: &Places, watches: bool) {
    // The old word and the new one have the same length, and one write replaces it: a reader sees
    // one of them whole. The file's own time is the time of the look.
    let word = if watches { WATCH } else { TIMER };
    let open = || {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            // Whatever else is in its place must not hold us up.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(places.run_dir.join(FILE))
    };
    // After a boot the directory may be missing, as no hook has made it yet.
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

/// Returns the last look, or `None` if there was none since the boot.
pub fn last(places: &Places) -> io::Result<Option<Look>> {
    let path = places.run_dir.join(FILE);
    let modified = match fs::symlink_metadata(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?.modified()?,
    };
    let ago = SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default();
    let word = io::read_to_string(open_regular_in_ours(&path)?.take(MAX_WORD))?;
    Ok(Some(Look {
        ago,
        watches: word.trim() == WATCH,
    }))
}
