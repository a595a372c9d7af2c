//! The directories that every command works with. They are flags, never the environment, which a
//! job may fill.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use clap::Args;
use rustix::process::geteuid;

use crate::host::Host;
use crate::spool::{ChangeLock, MemoryInbox, Spool};

/// The directories.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// Directory of lastwords.toml and jobs/
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/etc/lastwords"
    )]
    pub config: PathBuf,
    /// Runtime directory for markers (cleared at boot)
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/run/lastwords"
    )]
    pub run_dir: PathBuf,
    /// Spool directory for reports (persistent)
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/spool/lastwords"
    )]
    pub spool: PathBuf,
    /// Root of the machine to look at; a fake one in tests
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/",
        hide = true
    )]
    pub root: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            config: "/etc/lastwords".into(),
            run_dir: "/run/lastwords".into(),
            spool: "/var/spool/lastwords".into(),
            root: "/".into(),
        }
    }
}

impl Places {
    pub fn host(&self) -> Host {
        Host::new(&self.root, &self.config)
    }

    /// Returns the same places for writing to another root: there lie those that are not named.
    pub fn on_its_root(&self) -> Self {
        let usual = Self::default();
        let on = |path: &PathBuf, usual: &PathBuf| {
            if path == usual {
                self.host().path(usual)
            } else {
                path.clone()
            }
        };
        Self {
            config: on(&self.config, &usual.config),
            run_dir: on(&self.run_dir, &usual.run_dir),
            spool: on(&self.spool, &usual.spool),
            root: self.root.clone(),
        }
    }

    /// Returns the spool on the disk.
    pub fn spool(&self) -> Spool {
        Spool::new(&self.spool)
    }

    /// Returns the spool that holds the truth: its deputy, if it has one.
    pub fn spool_in_use(&self) -> Spool {
        self.spool().in_use(&self.own_dir())
    }

    /// Opens the lock by which processes change over.
    pub fn change_lock(&self) -> io::Result<ChangeLock> {
        ChangeLock::open(&self.own_dir())
    }

    /// Changes over to the spool's deputy or back if that is to be done: see
    /// [`Spool::change_over`].
    pub fn change_over(&self, lock: &ChangeLock, is_suspect: bool) -> io::Result<bool> {
        let is_suspect = is_suspect || self.memory().count() > 0 || self.spool().has_business();
        self.spool().change_over(&self.own_dir(), lock, is_suspect)
    }

    /// Returns why a deputy stands in for the spool: what its disk is.
    pub fn state_of_disk(&self) -> Option<&'static str> {
        if self.spool_is_away() {
            Some("not mounted")
        } else {
            let has_deputy = self.spool_in_use().is_deputy();
            let spool = self.spool();
            spool.state_of_disk(has_deputy)
        }
    }

    /// Returns true if the spool's file system is unmounted, for a repair, and a deputy stands in
    /// for it.
    pub fn spool_is_away(&self) -> bool {
        self.spool().is_away(&self.own_dir())
    }

    /// Returns the part of the run directory that root prepares for a setuid job, whose hooks run
    /// as the service's user.
    pub fn user_dir(&self, uid: u32) -> PathBuf {
        self.run_dir.join("user").join(uid.to_string())
    }

    /// Returns the directory of the markers of this process's user.
    pub fn markers(&self) -> PathBuf {
        self.own_dir().join("markers")
    }

    /// Returns where this process keeps reports in memory until they are safe.
    pub fn memory(&self) -> MemoryInbox {
        MemoryInbox::new(self.own_dir().join("inbox"))
    }

    /// Returns the part of the run directory that belongs to this process's user.
    fn own_dir(&self) -> PathBuf {
        let prepared = self.user_dir(geteuid().as_raw());
        if !geteuid().is_root() && prepared.is_dir() {
            prepared
        } else {
            self.run_dir.clone()
        }
    }

    /// Returns everything that hooks leave in the run directory: each user's part of it, and that
    /// user. A part that a user could have replaced by a link is left out.
    pub fn left_by_hooks(&self) -> Vec<(PathBuf, u32)> {
        let uid = geteuid().as_raw();
        let mut parts = vec![(self.own_dir(), uid)];
        let users = self.run_dir.join("user");
        for entry in users
            .read_dir()
            .into_iter()
            .flatten()
            .flatten()
            .filter(|_| uid == 0)
        {
            let user = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let prepared = entry
                .metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == 0);
            parts.extend(user.filter(|_| prepared).map(|user| (entry.path(), user)));
        }
        parts
    }

    /// Returns the directory of the markers of services whose hooks run as this user; `None` is
    /// root.
    pub fn markers_of(&self, user: Option<u32>) -> PathBuf {
        user.map_or_else(|| self.markers(), |uid| self.user_dir(uid).join("markers"))
    }

    /// Returns the user as whom this process leaves reports in an inbox; `None` if it commits them
    /// itself.
    pub fn inbox_of(&self) -> Option<u32> {
        let uid = geteuid().as_raw();
        (uid != 0 && self.spool().inbox(uid).is_dir()).then_some(uid)
    }

    /// Returns the same places as flags for another process of ours, which may run in another
    /// directory.
    pub fn flags(&self) -> [OsString; 8] {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .into()
        };
        [
            "--config".into(),
            absolute(&self.config),
            "--run-dir".into(),
            absolute(&self.run_dir),
            "--spool".into(),
            absolute(&self.spool),
            "--root".into(),
            absolute(&self.root),
        ]
    }
}
