//! The last output of a command that `lastwords run` runs. It needs no config.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::log::{MARGIN, shown};
use super::runner::MAX_TEXT;
use super::{Body, Collector};
use crate::host::Host;
use crate::mounts::may_hang;
use crate::redact::Redactor;
use crate::report::{CollectorKind, Stop};

/// Maximum number of lines from each stream.
const LINES: usize = 400;

/// A file that holds output of the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The name for people.
    pub name: String,
    pub path: String,
    /// The file's length when the command started: what stands before is not its output.
    pub from: u64,
    /// True if the worker inherits the descriptor, by its number: `lastwords run` may be gone
    /// before the worker comes to read.
    #[serde(default)]
    pub is_inherited: bool,
}

/// Name of a file in memory in which `lastwords run` holds a stream's end. The worker inherits it.
pub const HELD: &str = "last output";

/// Reads the output that `lastwords run` kept, or that the command wrote to a file itself.
pub struct KeptOutput {
    /// The streams, and the open files in memory that hold them. They are opened before anything
    /// else is done: `lastwords run` waits for nothing. Any other file may be on a file system that
    /// hangs, and is opened only when the runner watches the time.
    streams: Vec<(Stream, Option<File>)>,
    /// Keeps the files that were inherited and are not opened yet.
    _kept: Vec<File>,
    /// Takes secrets out before the lines are cut from the output.
    redactor: Redactor,
}

impl KeptOutput {
    pub fn new(streams: Vec<Stream>, redactor: Redactor) -> Self {
        let mut kept = Vec::new();
        let open = |mut stream: Stream| {
            kept.extend(keep_inherited(&mut stream));
            let held = open_held(&stream.path);
            (stream, held)
        };
        Self {
            streams: streams.into_iter().map(open).collect(),
            _kept: kept,
            redactor,
        }
    }
}

/// Keeps the file of a descriptor that this process has inherited, without opening it: that may
/// hang. The inherited one is closed, as programs that this process starts are not to have it.
fn keep_inherited(stream: &mut Stream) -> Option<File> {
    let number = number_in(&stream.path).filter(|number| stream.is_inherited && *number > 2)?;
    let flags = OFlags::PATH.bits().cast_signed();
    let mut options = File::options();
    let options = options.read(true).custom_flags(flags);
    let file = options.open(format!("/proc/self/fd/{number}")).ok()?;
    if !is_ours(&stream.path) {
        let _ = nix::unistd::close(number);
    }
    stream.path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Some(file)
}

/// Returns the number of the descriptor that a path leads to.
fn number_in(path: &str) -> Option<i32> {
    path.rsplit('/').next()?.parse().ok()
}

/// Returns true if a path leads to a descriptor that this process has made: `lastwords run` may do
/// the worker's part itself.
fn is_ours(path: &str) -> bool {
    path.starts_with(&format!("/proc/{}/", process::id()))
}

/// Opens the file in memory that holds a stream, if one does: the file that this process has
/// inherited, or else that of `lastwords run`. The inherited one is closed, as programs that this
/// process starts are not to have it. Nothing that may hang is touched.
fn open_held(path: &str) -> Option<File> {
    let is_in_memory = |path: &Path| {
        let target = fs::read_link(path);
        target.is_ok_and(|it| it.to_string_lossy().starts_with(&format!("/memfd:{HELD}")))
    };
    let open_if = |path: &Path| is_in_memory(path).then(|| open(path).ok()).flatten();
    let inherited = number_in(path).filter(|number| *number > 2 && !is_ours(path));
    let own = inherited.map(|number| (number, PathBuf::from(format!("/proc/self/fd/{number}"))));
    let Some((number, own)) = own.filter(|(_, own)| is_in_memory(own)) else {
        return open_if(Path::new(path));
    };
    let held = open(&own).ok();
    let _ = nix::unistd::close(number);
    held
}

/// Opens a file by its path in /proc, which leads to a descriptor of ours or our parent's: no one
/// else can have put a link there.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

impl Collector for KeptOutput {
    fn kind(&self) -> CollectorKind {
        CollectorKind::OUTPUT
    }

    fn name(&self) -> String {
        "log output".to_owned()
    }

    fn only_computes(&self) -> bool {
        self.streams.iter().all(|(_, held)| held.is_some())
    }

    fn may_hang(&self, _stop: &Stop, _host: &Host) -> bool {
        // Where the link cannot be read, opening it fails at once.
        let hangs = |stream: &Stream| fs::read_link(&stream.path).is_ok_and(|it| may_hang(&it));
        self.streams
            .iter()
            .any(|(stream, held)| held.is_none() && hangs(stream))
    }

    fn collect(&self, _stop: &Stop, _host: &Host) -> Result<Body> {
        if self.streams.is_empty() {
            bail!(
                "the command's output went to a terminal or another device, where lastwords cannot read it"
            );
        }
        let (mut text, mut lines) = (Vec::new(), 0);
        let share = MAX_TEXT / self.streams.len().max(1) - 64;
        let mut trouble = None;
        for (stream, held) in &self.streams {
            let kept = read(stream, held.as_ref(), share + MARGIN)
                .with_context(|| format!("cannot read what came on {}", stream.name));
            let kept = match kept {
                Ok(kept) => kept,
                Err(why) => {
                    text.push(format!("[{why:#}]"));
                    trouble = Some(why);
                    continue;
                }
            };
            let (last, ..) = shown(&kept, share, LINES, &self.redactor);
            if self.streams.len() > 1 && !last.is_empty() {
                text.push(format!("[{}]", stream.name));
            }
            lines += last.len();
            text.extend(last);
        }
        match trouble {
            Some(why) if lines == 0 => return Err(why),
            None if lines == 0 => text.push("[it wrote nothing]".to_owned()),
            _ => {}
        }
        Ok(Body {
            text: text.join("\n"),
            data: json!({ "lines": lines }).into(),
        })
    }
}

/// Reads the end of a stream, without what stood there before the command started. A file that is
/// shorter than that was truncated.
fn read(stream: &Stream, held: Option<&File>, most: usize) -> Result<Vec<u8>> {
    let mut file = match held {
        Some(file) => file,
        None => &open(Path::new(&stream.path))?,
    };
    let size = file.metadata()?.len();
    let from = if size < stream.from { 0 } else { stream.from };
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let start = size.saturating_sub(most).max(from);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    if start > from {
        // The beginning of the first line is missing, and with it what may make the rest a secret.
        let first = bytes.iter().take(MARGIN).position(|byte| *byte == b'\n');
        bytes.drain(..first.map_or(0, |newline| newline + 1));
    }
    Ok(bytes)
}

/// Returns what the command said, of a section's text: without the lines that name its streams.
pub fn said(text: &str) -> String {
    let is_name = |line: &str| line.starts_with("[standard ") && line.ends_with(']');
    let lines = text.lines();
    let said: Vec<&str> = lines
        .map(|line| if is_name(line) { "" } else { line })
        .collect();
    said.join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::fd::IntoRawFd;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;
    use crate::collectors::tests::stop;

    fn collect(files: &[(&str, u64)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let stream = |(i, (text, from)): (usize, &(&str, u64))| {
            let path = dir.path().join(i.to_string());
            fs::write(&path, text).unwrap();
            Stream {
                name: format!("stream {i}"),
                path: path.to_string_lossy().into_owned(),
                from: *from,
                is_inherited: false,
            }
        };
        let streams = files.iter().enumerate().map(stream).collect();
        let kept = KeptOutput::new(streams, Redactor::default());
        kept.collect(&stop(), &Host::new("/", "/")).unwrap().text
    }

    #[test]
    fn only_what_this_life_wrote_is_shown() {
        assert_eq!(collect(&[("old\nnew\n", 4)]), "new");
        assert_eq!(collect(&[("truncated\n", 400)]), "truncated");
        assert_eq!(collect(&[("old\n", 4)]), "[it wrote nothing]");
    }

    #[test]
    fn what_was_inherited_is_read_though_the_process_that_held_it_is_gone() {
        let mut file = File::from(memfd_create(HELD, MemfdFlags::empty()).unwrap());
        file.write_all(b"the last words\n").unwrap();
        let number = file.into_raw_fd();
        let stream = |number| Stream {
            name: "standard output".to_owned(),
            path: format!("/proc/0/fd/{number}"),
            from: 0,
            is_inherited: false,
        };
        let kept = KeptOutput::new(vec![stream(number)], Redactor::default());
        let host = Host::new("/", "/");
        assert_eq!(kept.collect(&stop(), &host).unwrap().text, "the last words");
        // Of a file that this process owns, it opens another descriptor, and closes none.
        let mut file = File::from(memfd_create(HELD, MemfdFlags::empty()).unwrap());
        file.write_all(b"held here").unwrap();
        let own = Stream {
            path: format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()),
            ..stream(0)
        };
        let kept = KeptOutput::new(vec![own], Redactor::default());
        assert_eq!(kept.collect(&stop(), &host).unwrap().text, "held here");
        file.write_all(b", still").unwrap();
        // Any other file of that number is not the command's.
        let other = File::open("/proc/self/status").unwrap();
        let kept = KeptOutput::new(vec![stream(other.as_raw_fd())], Redactor::default());
        assert!(kept.collect(&stop(), &host).is_err());
    }

    #[test]
    fn a_file_that_was_inherited_is_read_though_the_process_that_had_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "the last words\n").unwrap();
        let number = File::options()
            .append(true)
            .open(&log)
            .unwrap()
            .into_raw_fd();
        let stream = Stream {
            name: "standard error".to_owned(),
            path: format!("/proc/0/fd/{number}"),
            from: 0,
            is_inherited: true,
        };
        let gone = Stream {
            path: "/proc/0/fd/1".to_owned(),
            is_inherited: false,
            ..stream.clone()
        };
        let kept = KeptOutput::new(vec![gone, stream], Redactor::default());
        let text = kept.collect(&stop(), &Host::new("/", "/")).unwrap().text;
        assert!(
            text.starts_with("[cannot read what came on standard error: No such"),
            "{text}"
        );
        assert!(
            text.ends_with("the last words"),
            "one stream's trouble is no other's: {text}"
        );
    }

    #[test]
    fn a_file_that_may_hang_is_opened_only_when_it_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stream = Stream {
            name: "standard output".to_owned(),
            path: format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()),
            from: 0,
            is_inherited: false,
        };
        let kept = KeptOutput::new(vec![stream], Redactor::default());
        assert!(kept.streams[0].1.is_none() && !kept.only_computes());
        let read = kept.collect(&stop(), &Host::new("/", "/")).unwrap().text;
        assert_eq!(read, "[it wrote nothing]");
    }

    #[test]
    fn two_streams_are_told_apart_and_an_empty_one_is_left_out() {
        assert_eq!(
            collect(&[("out\n", 0), ("err\n", 0)]),
            "[stream 0]\nout\n[stream 1]\nerr"
        );
        assert_eq!(collect(&[("", 0), ("err", 0)]), "[stream 1]\nerr");
    }

    #[test]
    fn of_a_long_one_the_end_is_shown_and_the_cut_line_says_so() {
        let text = collect(&[(&format!("{}\nthe end\n", "x".repeat(MAX_TEXT)), 0)]);
        assert!(
            text.starts_with("[cut] x") && text.ends_with("x\nthe end") && text.len() <= MAX_TEXT,
            "{}",
            text.len()
        );
    }
}
