//! The machine, seen through one root, so that a fake `/` can stand in for it; and how its files
//! are opened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;

/// The machine that lastwords looks at, and where its config lies there.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    config: PathBuf,
}

impl Host {
    /// The machine whose `/` is `root`, configured by the files in `config` (a path of ours, not
    /// below `root`).
    pub fn new(root: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            config: config.into(),
        }
    }

    /// Where the file is that the config names: a relative path starts at the config's own
    /// directory.
    pub fn configured(&self, path: &Path) -> PathBuf {
        if path.is_absolute() {
            self.path(path)
        } else {
            self.config.join(path)
        }
    }

    /// Where this machine has the file that it calls `absolute`.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root
            .join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// What this machine calls the file that is here: the other way round.
    pub fn name_of(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root)
            .map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
    }

    /// Reads a small file of the system's own (`/proc`, `/sys`, `/etc`) as text, at most 64 KiB of
    /// it.
    pub fn read(&self, absolute: impl AsRef<Path>) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(openat(CWD, self.path(absolute), flags, Mode::empty())?);
        let mut bytes = Vec::new();
        file.take(64 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The host's name.
    pub fn name(&self) -> String {
        self.read("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown-host".to_owned(), |name| name.trim().to_owned())
    }

    /// This boot's own id, by which what an earlier boot left is known; empty where the kernel does
    /// not say.
    pub fn boot_id(&self) -> String {
        self.read("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

/// Opens, for reading, a regular file that somebody else may own and change while we look.
///
/// Never blocks (a FIFO, a lease), never follows a symbolic link, not even in a parent directory,
/// and takes no file that somebody may have hard-linked there without owning it.
///
/// # Errors
/// Where the file cannot be opened, a part of the path is a symbolic link, or it is no regular
/// file, or maybe not its directory's; the text says which, in words for people.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("this is no file's name"))?;
    let dir = open_dir(path.parent().unwrap_or(Path::new(""))).map_err(in_words)?;
    let file = regular(openat(&dir, name, UNTRUSTED, Mode::empty()))?;
    refuse_foreign_link(&fstat(&dir)?, &fstat(&file)?)?;
    Ok(file)
}

/// Opens, for reading, a regular file in a directory of our own: links on the way there are the
/// administrator's (`/var/run`). Never blocks, and follows no link in the file's own place.
///
/// # Errors
/// Where the file cannot be opened, or is no regular file.
pub fn open_regular_in_ours(path: &Path) -> io::Result<File> {
    regular(openat(CWD, path, UNTRUSTED, Mode::empty()))
}

/// How to open what somebody else may have put there.
const UNTRUSTED: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW);

fn regular(opened: rustix::io::Result<OwnedFd>) -> io::Result<File> {
    let file = opened.map_err(in_words)?;
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    if kind == FileType::RegularFile {
        return Ok(file.into());
    }
    Err(io::Error::other(format!(
        "not a regular file but {}",
        file_kind(kind)
    )))
}

fn in_words(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP => {
            io::Error::other("a part of the path is a symbolic link: name the real file")
        }
        Errno::WOULDBLOCK => io::Error::other("another process holds a lease on the file"),
        errno => errno.into(),
    }
}

/// Refuses a file that may be somebody else's, hard-linked into a directory where others than root
/// and its owner can make names. How many names it has proves nothing while one may be taken away
/// again; that the kernel lets nobody link what he may not write does.
fn refuse_foreign_link(dir: &Stat, file: &Stat) -> io::Result<()> {
    let group_and_others = Mode::WGRP | Mode::WOTH;
    let by_others = Mode::from_raw_mode(dir.st_mode).intersects(group_and_others)
        || (dir.st_uid != 0 && dir.st_uid != file.st_uid);
    let why = if !by_others {
        return Ok(());
    } else if file.st_nlink > 1 {
        "it has another name (a hard link), and others than its owner can make names here: it may be somebody else's file"
    } else if !hard_links_are_protected() {
        "others than its owner can make names here, and this kernel lets them link anybody's file: set the sysctl \
         fs.protected_hardlinks to 1"
    } else {
        return Ok(());
    };
    Err(io::Error::other(why))
}

/// Whether the kernel (3.6 and later, where it is told to) lets nobody link a file that he neither
/// owns nor may write; see `proc_sys_fs(5)`.
fn hard_links_are_protected() -> bool {
    std::fs::read("/proc/sys/fs/protected_hardlinks").is_ok_and(|value| value.trim_ascii() != b"0")
}

/// Opens a directory as a place to start from; no part of its path may be a symbolic link.
fn open_dir(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = if path == Path::new("") {
        Path::new(".")
    } else {
        path
    };
    match openat2(
        CWD,
        here,
        flags,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    ) {
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(here, flags | OFlags::NOFOLLOW),
        other => other,
    }
}

/// What `openat2` does, on kernels before 5.6 and in sandboxes that forbid it.
fn open_step_by_step(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let start = if path.is_absolute() { "/" } else { "." };
    let mut here = openat(CWD, start, flags, Mode::empty())?;
    for part in path
        .components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
    {
        // A link where a directory should be answers ENOTDIR to O_DIRECTORY | O_NOFOLLOW.
        here = openat(&here, part.as_os_str(), flags, Mode::empty()).map_err(|errno| {
            if errno == Errno::NOTDIR {
                Errno::LOOP
            } else {
                errno
            }
        })?;
    }
    Ok(here)
}

fn file_kind(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}
