//! Which part of a log one life of the service has written: what stands behind the length that the
//! log had when the life began, and before the length that it had when the life was told to have
//! ended.
//!
//! The lengths come from a marker, which may be hostile. So they are bounds only: they tell lines
//! that are read anyway from one another.

use std::fs::symlink_metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How long a log was at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLength {
    pub path: String,
    /// 0 if there was no file.
    pub inode: u64,
    pub size: u64,
}

impl LogLength {
    /// Looks at a log now, without opening it; `None` if it is no file, or cannot be seen.
    pub fn of(path: String, at: &Path) -> Option<Self> {
        let (inode, size) = match symlink_metadata(at) {
            Ok(found) if found.is_file() => (found.ino(), found.size()),
            Err(why) if why.kind() == ErrorKind::NotFound => (0, 0),
            _ => return None,
        };
        Some(Self { path, inode, size })
    }

    /// Returns the place of this moment in one of the log's files; `None` if it is in none of them,
    /// or nobody can tell.
    fn place(&self, newest: Option<&FileEnd>, older: Option<&FileEnd>) -> Option<LogPlace> {
        let is_same = |file: &&FileEnd| file.inode == self.inode;
        let is_there = |file: &&FileEnd| file.size >= self.size;
        if let Some(file) = newest.filter(is_same) {
            // A shorter one was truncated, perhaps after a copy was made.
            return Some(match older.filter(is_there) {
                _ if is_there(&file) => LogPlace::Newest(self.size),
                Some(_) => LogPlace::Older(self.size),
                None => LogPlace::Newest(0),
            });
        }
        match older.filter(is_same) {
            Some(file) => is_there(&file).then_some(LogPlace::Older(self.size)),
            // It was renamed, and the new one has been made since.
            None => newest.map(|_| LogPlace::Newest(0)),
        }
    }
}

/// A place in one of a log's files: bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogPlace {
    Older(u64),
    Newest(u64),
}

/// The end of one of a log's files, as it was read.
#[derive(Clone, Copy)]
pub struct FileEnd<'a> {
    pub inode: u64,
    /// The whole file's.
    pub size: u64,
    pub bytes: &'a [u8],
}

impl FileEnd<'_> {
    /// Returns the index of a place in the file among the bytes that were read.
    fn index(&self, place: u64) -> usize {
        let first = self.size.saturating_sub(self.bytes.len() as u64);
        let index = usize::try_from(place.saturating_sub(first)).unwrap_or(usize::MAX);
        index.min(self.bytes.len())
    }
}

/// The two moments between which a life wrote, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBounds {
    pub began: Option<LogLength>,
    /// Known where the end is told late, so that the next life may have written since. The begin
    /// was told late too, then.
    pub ended: Option<LogLength>,
}

impl LogBounds {
    /// Returns the end of a log, of which an older part may be in another file, up to the end of
    /// this life; and the number of the first line there that this life wrote, from 1, if known.
    pub fn cut(&self, older: Option<FileEnd>, newest: Option<FileEnd>) -> (Vec<u8>, Option<usize>) {
        let (older, newest) = (older.as_ref(), newest.as_ref());
        let bytes_of = |file: Option<&FileEnd>| file.map_or(&[][..], |file| file.bytes).to_vec();
        let mut bytes = bytes_of(older);
        let length = bytes.len();
        bytes.extend(bytes_of(newest));
        let index = |moment: &LogLength| {
            Some(match moment.place(newest, older)? {
                LogPlace::Older(place) => older?.index(place),
                LogPlace::Newest(place) => length + newest?.index(place),
            })
        };
        let began = self.began.as_ref().and_then(index);
        let Some(ended) = &self.ended else {
            let since = began.map(|began| since(&mut bytes, began));
            return (bytes, since);
        };
        let ended = index(ended).unwrap_or_default();
        let own = bytes.get(began.unwrap_or_default()..ended);
        if own.is_none_or(<[u8]>::is_empty) {
            // Both were told too late, or the log was truncated since.
            return (bytes, None);
        }
        bytes.truncate(ended);
        let since = began.map(|began| since(&mut bytes, began));
        (bytes, since)
    }
}

/// Returns the number of the line that begins here, from 1. Drops the line before it if that has no
/// end: an earlier life died in the middle of it.
fn since(bytes: &mut Vec<u8>, at: usize) -> usize {
    let before = bytes.get(..at).unwrap_or_default();
    let ends = |byte: &u8| *byte == b'\n';
    let line = before.iter().rposition(ends).map_or(0, |end| end + 1);
    let count = before.iter().filter(|byte| ends(byte)).count();
    bytes.drain(line..at.min(bytes.len()));
    count + 1
}

#[cfg(test)]
mod tests {
    use super::{FileEnd, LogBounds, LogLength};

    fn moment(inode: u64, size: u64) -> LogLength {
        LogLength {
            path: "log".to_owned(),
            inode,
            size,
        }
    }

    fn file((inode, text): &(u64, &'static str)) -> FileEnd<'static> {
        FileEnd {
            inode: *inode,
            size: text.len() as u64,
            bytes: text.as_bytes(),
        }
    }

    type Text = Option<(u64, &'static str)>;

    /// Returns what is left of the log, and the lines of this life; `None` if those are not known.
    fn own(
        began: Option<(u64, u64)>,
        ended: Option<(u64, u64)>,
        older: Text,
        newest: Text,
    ) -> (String, Option<String>) {
        let moment = |(inode, size)| moment(inode, size);
        let bounds = LogBounds {
            began: began.map(moment),
            ended: ended.map(moment),
        };
        let (older, newest) = (older.as_ref().map(file), newest.as_ref().map(file));
        let (bytes, since) = bounds.cut(older, newest);
        let text = String::from_utf8(bytes).unwrap();
        let lines = since.map(|since| text.split_inclusive('\n').skip(since - 1).collect());
        (text, lines)
    }

    /// Returns the lines of a life that began at this moment.
    fn since(began: (u64, u64), older: Text, newest: Text) -> Option<String> {
        own(Some(began), None, older, newest).1
    }

    #[test]
    fn what_was_appended_since_the_begin_is_this_lifes() {
        let log = Some((7, "old\nnew\n"));
        assert_eq!(since((7, 4), None, log).as_deref(), Some("new\n"));
        assert_eq!(since((7, 0), None, log).as_deref(), Some("old\nnew\n"));
        assert_eq!(since((7, 8), None, log).as_deref(), Some(""));
        // An earlier life died in the middle of a line.
        assert_eq!(since((7, 6), None, log).as_deref(), Some("w\n"));
        assert_eq!(own(Some((7, 6)), None, None, log).0, "old\nw\n");
        assert_eq!(own(None, None, None, log), ("old\nnew\n".to_owned(), None));
    }

    #[test]
    fn of_a_rotated_log_all_of_the_new_file_is_this_lifes_and_what_was_appended_to_the_old_one() {
        let (old, new) = (Some((7, "old\nthen\n")), Some((8, "new\n")));
        assert_eq!(since((7, 4), old, new).as_deref(), Some("then\nnew\n"));
        // Another file than the one that was there at the begin, which is gone.
        assert_eq!(since((6, 4), old, new).as_deref(), Some("new\n"));
        assert_eq!(since((0, 0), old, new).as_deref(), Some("new\n"));
        // Nothing was written since it was rotated.
        assert_eq!(since((7, 4), old, None).as_deref(), Some("then\n"));
        assert_eq!(since((7, 4), old, Some((8, ""))).as_deref(), Some("then\n"));
        // It was rotated before the life began.
        assert_eq!(since((8, 2), old, new).as_deref(), Some("w\n"));
    }

    #[test]
    fn a_log_that_was_copied_and_truncated_is_this_lifes_and_the_copy_tells_of_its_begin() {
        let (copy, log) = (Some((9, "old\nthen\n")), Some((7, "new\n")));
        assert_eq!(since((7, 5), copy, log).as_deref(), Some("hen\nnew\n"));
        assert_eq!(since((7, 5), None, log).as_deref(), Some("new\n"));
        assert_eq!(since((7, 99), copy, log).as_deref(), Some("new\n"));
    }

    #[test]
    fn what_was_written_since_the_end_is_the_next_lifes() {
        let log = Some((7, "old\nown\nnext\n"));
        let own = |began, ended| own(began, ended, None, log);
        let text = "old\nown\n".to_owned();
        let known = (text.clone(), Some("own\n".to_owned()));
        assert_eq!(own(Some((7, 4)), Some((7, 8))), known);
        assert_eq!(own(None, Some((7, 8))), (text, None));
        // Told so late that nothing is left between the two.
        for (began, ended) in [((7, 8), (7, 8)), ((7, 13), (7, 13)), ((7, 8), (7, 4))] {
            let all = ("old\nown\nnext\n".to_owned(), None);
            assert_eq!(own(Some(began), Some(ended)), all);
        }
    }

    #[test]
    fn a_hostile_length_is_no_more_than_a_bound() {
        let log = Some((7, "old\nnew\n"));
        let most = u64::MAX;
        for began in [(7, most), (most, most), (0, most), (8, 0)] {
            assert_eq!(since(began, None, log).as_deref(), Some("old\nnew\n"));
            assert_eq!(since(began, log, None), None, "{began:?}");
        }
        for ended in [(7, most), (most, most), (0, 0)] {
            let all = ("old\nnew\n".to_owned(), None);
            assert_eq!(own(Some((7, 4)), Some(ended), None, log), all);
        }
    }

    #[test]
    fn a_place_before_what_was_read_is_where_that_begins() {
        let end = || FileEnd {
            inode: 7,
            size: 1000,
            bytes: b"a\nb\n",
        };
        let bounds = |size| LogBounds {
            began: Some(moment(7, size)),
            ended: None,
        };
        assert_eq!(
            bounds(5).cut(None, Some(end())),
            (b"a\nb\n".to_vec(), Some(1))
        );
        assert_eq!(
            bounds(998).cut(None, Some(end())),
            (b"a\nb\n".to_vec(), Some(2))
        );
    }
}
