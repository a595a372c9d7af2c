//! The machine's files: found below one root, so that tests can use a fake `/`, and opened safely.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;

/// The machine's root directory, and the directory of lastwords' config.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    config: PathBuf,
}

impl Host {
    /// Returns the machine whose `/` is `root`. `config` is a real path, not one below `root`.
    pub fn new(root: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            config: config.into(),
        }
    }

    /// Returns the real path of a file that the config names. A relative path starts at the
    /// config's directory.
    pub fn configured(&self, path: &Path) -> PathBuf {
        if path.is_absolute() {
            self.path(path)
        } else {
            self.config.join(path)
        }
    }

    /// Returns the real path of the file that this machine calls `absolute`.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root
            .join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// Returns this machine's name for the file at a real path.
    pub fn name_of(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root)
            .map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
    }

    /// Reads a small file of the system (`/proc`, `/sys`, `/etc`) as text, at most 64 KiB of it.
    pub fn read(&self, absolute: impl AsRef<Path>) -> io::Result<String> {
        let file = File::from(openat(CWD, self.path(absolute), SYSTEM, Mode::empty())?);
        let mut bytes = Vec::new();
        file.take(64 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the first result that `find` has for a line of a text file of the system. It may be
    /// as long as it likes: one line of it is in memory at a time.
    pub fn find_line<T>(
        &self,
        absolute: impl AsRef<Path>,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let file = File::from(openat(CWD, self.path(absolute), SYSTEM, Mode::empty())?);
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            // What is left of a line that is too long is read as another one.
            if (&mut file).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(found) = find(text.trim_end_matches('\n')) {
                return Ok(Some(found));
            }
        }
    }

    /// Returns the host's name.
    pub fn name(&self) -> String {
        self.read("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown-host".to_owned(), |name| name.trim().to_owned())
    }

    /// Returns the id of this boot, by which files from an earlier boot are recognised; empty if
    /// the kernel has none.
    pub fn boot_id(&self) -> String {
        self.read("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

/// Opens, for reading, a regular file that another user may own and change meanwhile.
///
/// It never blocks (on a FIFO, a lease), never follows a symbolic link, not even in a parent
/// directory, and refuses a file that someone may have hard-linked there without owning it.
///
/// # Errors
/// If the file cannot be opened, a part of the path is a symbolic link, it is no regular file, or
/// it may belong elsewhere; the text says which, in words for people.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("this is no file's name"))?;
    let dir = open_dir(path.parent().unwrap_or(Path::new(""))).map_err(in_words)?;
    let file = regular(openat(&dir, name, UNTRUSTED, Mode::empty()))?;
    refuse_foreign_link(&fstat(&dir)?, &fstat(&file)?)?;
    Ok(file)
}

/// Opens, for reading, a regular file in a directory of our own. Links on the way there are the
/// administrator's (`/var/run`) and are followed, but the file itself must not be one. It never
/// blocks.
///
/// # Errors
/// If the file cannot be opened, or is no regular file.
pub fn open_regular_in_ours(path: &Path) -> io::Result<File> {
    regular(openat(CWD, path, UNTRUSTED, Mode::empty()))
}

/// Flags to open a file of the system.
const SYSTEM: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);
/// Maximum length of a line of the system's files, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Flags to open a file that another user may have put there.
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
        Errno::WOULDBLOCK => io::Error::new(
            io::ErrorKind::WouldBlock,
            "another process holds a lease on the file",
        ),
        errno => errno.into(),
    }
}

/// Refuses a file that may be another user's, hard-linked into a directory where others than root
/// and its owner can make names. One name is no proof, as another may have been removed. The proof
/// is that the kernel lets users only link files that they may write.
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

/// Returns true if users can only link files that they own or may write (Linux 3.6 and later, if
/// turned on); see `proc_sys_fs(5)`.
fn hard_links_are_protected() -> bool {
    std::fs::read("/proc/sys/fs/protected_hardlinks").is_ok_and(|value| value.trim_ascii() != b"0")
}

/// Opens a directory to start from; no part of its path may be a symbolic link.
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

/// Does what `openat2` does, on kernels before 5.6 and in sandboxes that forbid it.
fn open_step_by_step(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let start = if path.is_absolute() { "/" } else { "." };
    let mut here = openat(CWD, start, flags, Mode::empty())?;
    for part in path
        .components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
    {
        // With O_DIRECTORY | O_NOFOLLOW, a link gives ENOTDIR.
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
