//! Opens config files. Whatever lies there, reading it neither hangs nor fills the memory.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use super::problem::{Problem, Severity, Source};

/// Maximum size of a config file, in bytes.
const MAX: u64 = 1024 * 1024;

/// Reads a config file; returns `None` if there is no such file. Follows symbolic links, since the
/// directory is root's own.
///
/// # Errors
/// If it is no regular file, too large, not UTF-8, or cannot be read.
pub fn read(file: &Path) -> Result<Option<Source>, Box<Problem>> {
    let wrong =
        |message: &str, help| Box::new(Problem::with_file(file, Severity::Error, message, help));
    let bytes = match read_bytes(file) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return Err(wrong("expected a regular file, found something else", None));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&format!("cannot read this file: {error}"), None)),
    };
    if bytes.len() as u64 > MAX {
        return Err(wrong(
            "this file is too large to be a config: at most 1 MiB is read",
            None,
        ));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Source::new(file, text))),
        Err(error) => {
            let at = error.valid_up_to();
            let found = bytes.get(at).copied().unwrap_or_default();
            let message = format!("expected text in UTF-8, found the byte 0x{found:02x}");
            // `Source::new` would strip a byte order mark, and so shift the place.
            let source = Source {
                file: file.to_owned(),
                text: String::from_utf8_lossy(&bytes).into(),
            };
            Err(Box::new(source.problem(
                &(at..at + 1),
                Severity::Error,
                &message,
                Some("save the file as UTF-8"),
            )))
        }
    }
}

/// Returns the file's bytes; `None` if it is no regular file.
fn read_bytes(file: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat(CWD, file, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.toml");
        std::fs::write(&file, bytes).unwrap();
        read(&file)
            .unwrap_err()
            .to_string()
            .replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let message = "expected a regular file, found something else";
        for file in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
            assert_eq!(read(file).unwrap_err().message, message);
        }
    }

    #[test]
    fn what_is_not_there_is_no_problem() {
        assert!(read(Path::new("/nonexistent/web.toml")).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.toml");
        std::os::unix::fs::symlink("web.toml", &file).unwrap();
        let message = read(&file).unwrap_err().message;
        assert!(
            message.starts_with("cannot read this file: Too many levels of symbolic links"),
            "{message}"
        );
    }

    #[test]
    fn a_symbolic_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("real"), "a = 1").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("web.toml")).unwrap();
        assert_eq!(
            &*read(&dir.path().join("web.toml")).unwrap().unwrap().text,
            "a = 1"
        );
    }

    #[test]
    fn a_file_of_10_mb_is_not_read() {
        let expected = "web.toml: this file is too large to be a config: at most 1 MiB is read";
        assert_eq!(problem(&vec![b'#'; 10_000_000]), expected);
    }

    #[test]
    fn the_first_byte_that_is_not_utf_8_is_named_by_line_and_column() {
        let expected =
            "web.toml:2:6: expected text in UTF-8, found the byte 0xff (save the file as UTF-8)";
        assert_eq!(problem(b"a = 1\nb = \"\xff\xfe\"\n"), expected);
        let expected =
            "web.toml:1:1: expected text in UTF-8, found the byte 0xff (save the file as UTF-8)";
        assert_eq!(problem(b"\xff\xfea\0=\0"), expected, "UTF-16");
    }
}
