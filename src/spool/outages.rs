//! Keeps what is known of each service that has died and is not up again, in
//! `state/outages/SERVICE`.

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

impl Spool {
    /// Returns everything that is kept, each with its file's name. A file that cannot be understood
    /// is passed over.
    pub fn outages<T: DeserializeOwned>(&self) -> io::Result<Vec<(String, T)>> {
        let dir = self.outages_dir();
        let names = list(&dir)?.into_iter().filter(|it| !it.starts_with('.'));
        let read = |name: String| {
            let outage = read_state(&dir.join(&name)).ok().flatten()?;
            Some((name, outage))
        };
        Ok(names.take(MOST).filter_map(read).collect())
    }

    /// Keeps what is known of a service in the file of this name; `None` forgets it.
    pub fn write_outage(&self, name: &str, outage: Option<&impl Serialize>) -> io::Result<()> {
        let dir = self.outages_dir();
        let Some(outage) = outage else {
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
            &serde_json::to_vec(outage)?,
        )
    }

    fn outages_dir(&self) -> PathBuf {
        self.dir.join("state/outages")
    }
}
