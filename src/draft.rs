//! Files that come into being whole: written as a draft beside their place, then moved there, so
//! that a reader sees all of a file or nothing of it, whenever its writer is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Writes a file (mode 0600) as `draft` and moves it to `path`, in place of what is there.
///
/// `prepare` writes the content, and does what must be done before others can see the file: a lock,
/// an owner, an fsync. A file that must survive the machine needs an fsync there, and one of
/// its directory afterwards; this function does neither.
///
/// # Errors
/// If any step fails; then the draft is removed.
pub fn put(
    draft: &Path,
    path: &Path,
    prepare: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    write(draft, prepare, || fs::rename(draft, path))
}

/// Does the same as [`put`], but fails if there already is a file at `path`.
pub fn put_new(
    draft: &Path,
    path: &Path,
    prepare: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    write(draft, prepare, || {
        match renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
            // This file system can only replace.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(draft, path)?;
                fs::remove_file(draft)
            }
            done => done.map_err(io::Error::from),
        }
    })
}

/// Does the same as [`put`], but fails if there is no file at `path` to be replaced.
pub fn exchange(
    draft: &Path,
    path: &Path,
    prepare: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    write(draft, prepare, || {
        match renameat_with(CWD, draft, CWD, path, RenameFlags::EXCHANGE) {
            // This file system cannot exchange.
            Err(Errno::INVAL | Errno::NOSYS) => {
                path.symlink_metadata()?;
                fs::rename(draft, path)
            }
            Err(why) => Err(why.into()),
            Ok(()) => fs::remove_file(draft),
        }
    })
}

/// Begins a draft: a new, empty file (mode 0600), in place of one that a killed process has left.
pub fn begin(draft: &Path) -> io::Result<File> {
    // It is in the way of O_EXCL. On a read-only disk, that it is there would be all that is said.
    match fs::remove_file(draft) {
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)
}

fn write(
    draft: &Path,
    prepare: impl FnOnce(&mut File) -> io::Result<()>,
    place: impl FnOnce() -> io::Result<()>,
) -> io::Result<File> {
    let mut file = begin(draft)?;
    match prepare(&mut file).and_then(|()| place()) {
        Ok(()) => Ok(file),
        Err(why) => {
            let _ = fs::remove_file(draft);
            Err(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, ErrorKind, Write};

    use super::{put, put_new};

    #[test]
    fn a_file_replaces_the_one_before_and_its_draft_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (draft, path) = (dir.path().join(".a"), dir.path().join("a"));
        fs::write(&draft, "left by a process that was killed").unwrap();
        for text in ["one", "two"] {
            put(&draft, &path, |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert!(!draft.exists());
        }
    }

    #[test]
    fn a_file_that_cannot_be_filled_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (draft, path) = (dir.path().join(".a"), dir.path().join("a"));
        fs::write(&path, "one").unwrap();
        let full = put(&draft, &path, |_| Err(ErrorKind::StorageFull.into()));
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert!(!draft.exists());
    }

    #[test]
    fn a_new_file_replaces_none() {
        let dir = tempfile::tempdir().unwrap();
        let (draft, path) = (dir.path().join(".a"), dir.path().join("a"));
        let write = |text: &str| -> io::Result<()> {
            put_new(&draft, &path, |file| file.write_all(text.as_bytes())).map(drop)
        };
        write("one").unwrap();
        assert_eq!(write("two").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert!(!draft.exists());
    }
}
