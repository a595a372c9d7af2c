//! Keeps what the deliverer remembers of services from one look to the next: a file for each, in
//! `state/outages/SERVICE` and `state/expected/SERVICE`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::commit::commit;
use super::read::read_state;
use super::{Spool, list};

/// Maximum number of services. Of more that are down at once no reminders are sent.
const MOST: usize = 1000;

/// The kinds of things that are remembered of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// That it has died and is not up again.
    Outage,
    /// When it ran last, if a run is expected.
    Expected,
}

impl Kept {
    fn dir(self) -> &'static str {
        match self {
            Self::Outage => "state/outages",
            Self::Expected => "state/expected",
        }
    }
}

impl Spool {
    /// Returns everything that is kept, each with its file's name. A file that cannot be understood
    /// is passed over.
    pub fn kept<T: DeserializeOwned>(&self, what: Kept) -> io::Result<Vec<(String, T)>> {
        let dir = self.kept_dir(what);
        let names = list(&dir)?.into_iter().filter(|it| !it.starts_with('.'));
        let read = |name: String| {
            let kept = read_state(&dir.join(&name)).ok().flatten()?;
            Some((name, kept))
        };
        Ok(names.take(MOST).filter_map(read).collect())
    }

    /// Keeps what is known of a service in the file of this name; `None` forgets it.
    pub fn keep(&self, what: Kept, name: &str, value: Option<&impl Serialize>) -> io::Result<()> {
        let dir = self.kept_dir(what);
        let Some(value) = value else {
            return match fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        if list(&dir)?.len() >= MOST && !dir.join(name).exists() {
            return Ok(());
        }
        commit(
            &dir.join(format!(".{name}")),
            &dir,
            name,
            &serde_json::to_vec(value)?,
        )
    }

    fn kept_dir(&self, what: Kept) -> PathBuf {
        self.dir.join(what.dir())
    }
}
