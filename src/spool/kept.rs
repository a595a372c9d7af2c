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

/// The kinds of things that are remembered of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// That it has died and is not up again.
    Outage,
    /// When it ran last, if a run is expected.
    Expected,
}

impl Kept {
    /// Maximum number of services of which one thing is remembered.
    pub const MOST: usize = 1000;

    fn kind(self) -> &'static str {
        match self {
            Self::Outage => "outages",
            Self::Expected => "expected",
        }
    }
}

impl Spool {
    /// Returns everything that is kept, each with its file's name. A file that cannot be understood
    /// is passed over.
    pub fn kept<T: DeserializeOwned>(&self, what: Kept) -> io::Result<Vec<(String, T)>> {
        let dir = self.kept_dir(what);
        let read = |name: String| {
            let kept = read_state(&dir.join(&name)).ok().flatten()?;
            Some((name, kept))
        };
        Ok(list(&dir)?
            .into_iter()
            .take(Kept::MOST)
            .filter_map(read)
            .collect())
    }

    /// Returns what is kept of a service in the file of this name.
    pub fn kept_of<T: DeserializeOwned>(&self, what: Kept, name: &str) -> io::Result<Option<T>> {
        match read_state(&self.kept_dir(what).join(name)) {
            Err(why) if why.kind() == io::ErrorKind::InvalidData => Ok(None),
            other => other,
        }
    }

    /// Keeps what is known of a service in the file of this name; `None` forgets it. Returns false
    /// if [`Kept::MOST`] others are kept already.
    pub fn keep(&self, what: Kept, name: &str, value: Option<&impl Serialize>) -> io::Result<bool> {
        let dir = self.kept_dir(what);
        let Some(value) = value else {
            return match fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
                other => other.map(|()| true),
            };
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        if !dir.join(name).exists() && list(&dir)?.len() >= Kept::MOST {
            return Ok(false);
        }
        // Where a killed deliverer has left a draft it is swept up, whatever became of the service.
        let draft = format!(".{}-{name}", what.kind());
        commit(
            &self.dir.join("tmp").join(draft),
            &dir,
            name,
            &serde_json::to_vec(value)?,
        )
        .map(|()| true)
    }

    fn kept_dir(&self, what: Kept) -> PathBuf {
        self.dir.join("state").join(what.kind())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Kept;

    #[test]
    fn one_too_many_is_said_and_those_that_are_kept_can_be_changed() {
        let (dir, spool) = crate::spool::empty();
        assert!(spool.keep(Kept::Expected, "web", Some(&1)).unwrap());
        let kept = dir.path().join("spool/state/expected");
        for number in 1..Kept::MOST {
            fs::write(kept.join(number.to_string()), "2").unwrap();
        }
        assert!(!spool.keep(Kept::Expected, "db", Some(&3)).unwrap());
        assert!(spool.keep(Kept::Expected, "web", Some(&4)).unwrap());
        let all = spool.kept::<u8>(Kept::Expected).unwrap();
        assert!(all.contains(&("web".to_owned(), 4)) && all.len() == Kept::MOST);
        assert!(spool.keep(Kept::Expected, "web", None::<&u8>).unwrap());
        assert!(spool.keep(Kept::Expected, "db", Some(&3)).unwrap());
    }
}
