//! How reports get from a user's inbox to root: the user's steward reads them, and root says of
//! each what becomes of its file. Each side takes the other's words as hostile input.
//!
//! | the steward says | root answers | |
//! |---|---|---|
//! | `report ID LENGTH`, then that many bytes | `y` or `n` | a file, whole as it lay there |
//! | `bad ID WHY` | `y` or `n` | a file that cannot be a report |
//! | `strangers COUNT NAME` | | files whose names are not a report's, which are removed |
//!
//! After `y` the steward removes the file, after `n` the file stays. Root ends the conversation by
//! closing its end.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use super::{entry, ladder};
use crate::host::open_regular_in_ours;
use crate::report::{Report, ReportId};

/// Maximum length of a user's report, in bytes.
pub const MAX_REPORT: u64 = 1024 * 1024;
/// Maximum number of reports that a steward hands over.
const AT_ONCE: usize = 100;
/// Maximum number of things that it hands over in all: each inbox's reports, and its strangers.
pub const MOST_HANDED: usize = 2 * (AT_ONCE + 1);
/// Maximum number of names of an inbox that are looked at.
const LOOKED_AT: usize = 10_000;
/// Maximum length of a line of the conversation, in bytes.
const MAX_LINE: usize = 1024;
const YES: u8 = b'y';

/// Something that a steward hands over.
#[derive(Debug, PartialEq)]
pub enum Handed {
    /// The bytes of a file with a report's name.
    Report(ReportId, Vec<u8>),
    /// A file with a report's name that cannot be one.
    Bad(ReportId, String),
    /// Files with other names: their number, and one of the names.
    Strangers(u64, String),
}

/// Leaves the longest parts out of a report that is too long to be handed over.
pub fn make_fit(report: &mut Report) {
    let why = "a report of a user's service is at most 1 MiB long, and there was no room for";
    let fits = |report: &Report| {
        let bytes = entry::encode(report).ok()?;
        (bytes.len() as u64 <= MAX_REPORT).then_some(())
    };
    ladder::shorten(report, why, fits);
}

/// Hands over what is in an inbox, the oldest report first. This runs as the inbox's user. A file
/// that a hook is still writing stays. Returns false if root has ended the conversation.
pub fn hand_over(inbox: &Path, to: &mut impl Write, answers: &mut impl Read) -> io::Result<bool> {
    let (mut ids, strangers) = names(inbox)?;
    let mut removed = strangers
        .iter()
        .filter(|name| fs::remove_file(inbox.join(name)).is_ok())
        .peekable();
    if let Some(name) = removed.peek() {
        let name = name.to_string_lossy().escape_debug().to_string();
        let count = removed.count();
        say(to, &format!("strangers {count} {name}"), &[])?;
    }
    ids.sort();
    let mut handed = 0;
    for id in ids {
        let path = inbox.join(id.as_str());
        match read(&path) {
            Ok(None) => continue,
            Ok(Some(bytes)) => say(to, &format!("report {id} {}", bytes.len()), &bytes)?,
            Err(why) => say(to, &format!("bad {id} {why}"), &[])?,
        }
        let mut answer = [0];
        if answers.read(&mut answer)? == 0 {
            return Ok(false);
        }
        if answer == [YES] {
            let _ = fs::remove_file(&path);
        }
        handed += 1;
        if handed == AT_ONCE {
            break;
        }
    }
    Ok(true)
}

/// Answers a steward.
pub fn answer(to: &mut impl Write, remove: bool) -> io::Result<()> {
    to.write_all(if remove { &[YES] } else { b"n" })
}

/// Returns what the steward says next; `None` if it has ended.
///
/// # Errors
/// If these are not the words of a steward.
pub fn next(from: &mut impl BufRead) -> io::Result<Option<Handed>> {
    let mut line = Vec::new();
    (&mut *from)
        .take(MAX_LINE as u64)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let handed = line
        .strip_suffix(b"\n")
        .and_then(|line| parse(str::from_utf8(line).ok()?))
        .ok_or_else(|| io::Error::other("these are not the words of a steward"))?;
    Ok(Some(match handed {
        (Handed::Report(id, _), length) => {
            let mut bytes = Vec::new();
            from.take(length).read_to_end(&mut bytes)?;
            if bytes.len() as u64 != length {
                // The steward was killed. The file may well hold a whole report.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Handed::Report(id, bytes)
        }
        (other, _) => other,
    }))
}

/// Returns what a line says, and the number of bytes that follow.
fn parse(line: &str) -> Option<(Handed, u64)> {
    let (word, rest) = line.split_once(' ')?;
    let (first, rest) = rest.split_once(' ')?;
    match word {
        "report" => {
            let length = rest.parse().ok().filter(|length| *length <= MAX_REPORT)?;
            let id = ReportId::parse(first).ok()?;
            Some((Handed::Report(id, Vec::new()), length))
        }
        "bad" => {
            let id = ReportId::parse(first).ok()?;
            Some((Handed::Bad(id, rest.to_owned()), 0))
        }
        "strangers" => Some((Handed::Strangers(first.parse().ok()?, rest.to_owned()), 0)),
        _ => None,
    }
}

fn say(to: &mut impl Write, line: &str, bytes: &[u8]) -> io::Result<()> {
    let line = line
        .get(..line.floor_char_boundary(MAX_LINE - 1))
        .unwrap_or_default();
    to.write_all(line.replace('\n', " ").as_bytes())?;
    to.write_all(b"\n")?;
    to.write_all(bytes)?;
    to.flush()
}

/// Returns the ids in an inbox, and the other names. Directories are left alone, and so are drafts.
fn names(inbox: &Path) -> io::Result<(Vec<ReportId>, Vec<OsString>)> {
    let (mut ids, mut strangers) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(inbox)?.take(LOOKED_AT) {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".")
            || entry.file_type().is_ok_and(|kind| kind.is_dir())
        {
            continue;
        }
        match name.to_str().and_then(|name| ReportId::parse(name).ok()) {
            Some(id) => ids.push(id),
            None => strangers.push(name),
        }
    }
    Ok((ids, strangers))
}

/// Reads a file; `None` if that is not possible now.
///
/// # Errors
/// The reason why it can be no report, in words for people.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let in_the_way = |why: io::Error| match why.raw_os_error() {
        Some(_) => Ok(None),
        None => Err(why.to_string()),
    };
    let file = match open_regular_in_ours(path) {
        Ok(file) => file,
        Err(why) => return in_the_way(why),
    };
    if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
        return Ok(None);
    }
    let Ok(found) = file.metadata() else {
        return Ok(None);
    };
    if found.uid() != geteuid().as_raw() {
        return Err(format!("it belongs to user {}", found.uid()));
    }
    if found.size() > MAX_REPORT {
        return Err(format!(
            "it has {} bytes, more than any report",
            found.size()
        ));
    }
    let mut bytes = Vec::new();
    match file.take(MAX_REPORT).read_to_end(&mut bytes) {
        Ok(_) => Ok(Some(bytes)),
        Err(why) => in_the_way(why),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    /// Returns what a hostile steward may say, some of it in a steward's words.
    fn said() -> impl Strategy<Value = Vec<u8>> {
        let id = prop_oneof![Just(sample().id.to_string()), "[0-9a-z -]{0,40}"];
        let long = (1000..1100_usize).prop_map(|length| "x".repeat(length));
        let end = prop_oneof!["[0-9]{1,20}", "(?s).{0,30}", long];
        let line = ("report|bad|strangers|.{0,9}", id, end);
        let line = line.prop_map(|(word, id, end)| format!("{word} {id} {end}\n").into_bytes());
        let part = prop_oneof![line, any::<Vec<u8>>()];
        vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn whatever_a_steward_says_something_is_handed_over_or_it_is_an_error(said in said()) {
            let mut from = BufReader::new(&said[..]);
            let (mut lines, mut bytes) = (0, 0);
            while let Ok(Some(handed)) = next(&mut from) {
                lines += 1;
                if let Handed::Report(_, report) = handed {
                    bytes += report.len();
                }
            }
            prop_assert!(bytes + lines <= said.len());
        }
    }

    #[test]
    fn what_a_steward_says_is_what_root_hears_and_an_answer_decides_on_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (
            sample().id,
            ReportId::parse("20261123t040000-0123456789abcdef"),
        );
        let new = new.unwrap();
        for (name, text) in [
            (old.as_str(), "one\ntwo"),
            (new.as_str(), ""),
            ("a\nb", "x"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::write(dir.path().join(".draft"), "").unwrap();
        fs::create_dir(dir.path().join("dir")).unwrap();
        let mut said = Vec::new();
        assert!(hand_over(dir.path(), &mut said, &mut &b"ny"[..]).unwrap());
        let mut said = BufReader::new(&said[..]);
        assert_eq!(
            std::iter::from_fn(|| next(&mut said).unwrap()).collect::<Vec<_>>(),
            [
                Handed::Strangers(1, "a\\nb".into()),
                Handed::Report(old.clone(), b"one\ntwo".to_vec()),
                Handed::Report(new.clone(), Vec::new()),
            ]
        );
        let mut left = super::super::list(dir.path()).unwrap();
        left.sort();
        assert_eq!(left, [".draft", old.as_str(), "dir"]);
    }

    #[test]
    fn a_report_that_is_too_long_is_handed_over_without_its_longest_sections() {
        let mut report = sample();
        let short = report.sections.clone();
        let long = |name: &str, length| crate::report::section(name, &"x".repeat(length));
        report
            .sections
            .extend([long("a", 600_000), long("b", 500_000)]);
        make_fit(&mut report);
        assert_eq!(report.sections[..1], short);
        let lengths: Vec<_> = report.sections.iter().map(|it| it.text.len()).collect();
        assert_eq!(lengths[1..], [0, 500_000]);
        assert!(report.notes.last().unwrap().ends_with("no room for: a"));
    }

    #[test]
    fn nothing_more_is_handed_over_once_root_has_ended_the_conversation() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(sample().id.as_str()), "one").unwrap();
        assert!(!hand_over(dir.path(), &mut Vec::new(), &mut &b""[..]).unwrap());
        assert!(hand_over(dir.path(), &mut Vec::new(), &mut &b"y"[..]).unwrap());
        assert!(hand_over(dir.path(), &mut Vec::new(), &mut &b""[..]).unwrap());
    }

    #[test]
    fn what_is_too_long_or_no_file_is_said_to_be_bad() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(sample().id.as_str());
        let said = || {
            let mut said = Vec::new();
            hand_over(dir.path(), &mut said, &mut &b""[..]).unwrap();
            String::from_utf8(said).unwrap()
        };
        fs::File::create(&path)
            .unwrap()
            .set_len(MAX_REPORT + 1)
            .unwrap();
        assert!(said().contains("1048577 bytes"), "{}", said());
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(said().starts_with("bad "), "{}", said());
    }

    #[test]
    fn other_words_than_a_stewards_end_the_conversation() {
        let id = sample().id;
        let more = MAX_REPORT + 1;
        for words in [
            "\n".to_owned(),
            "report".to_owned(),
            format!("report {id} {more}\n"),
            format!("report {id} -1\n"),
            "report ../../x 3\nabc".to_owned(),
            format!("report {id} 3\nab"),
            format!("bad {id} {}", "x".repeat(MAX_LINE)),
            format!("bad {id} no end"),
        ] {
            assert!(next(&mut words.as_bytes()).is_err(), "{words}");
        }
        assert_eq!(next(&mut &b""[..]).unwrap(), None);
    }
}
