//! The last output of a command that `lastwords run` runs. It needs no config.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::log::{MARGIN, shown};
use super::runner::MAX_TEXT;
use super::{Body, Collector};
use crate::host::Host;
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
}

/// Reads the output that `lastwords run` kept, or that the command wrote to a file itself.
pub struct KeptOutput {
    pub streams: Vec<Stream>,
    /// Takes secrets out before the lines are cut from the output.
    pub redactor: Redactor,
}

impl Collector for KeptOutput {
    fn kind(&self) -> CollectorKind {
        CollectorKind::OUTPUT
    }

    fn name(&self) -> String {
        "log output".to_owned()
    }

    fn collect(&self, _stop: &Stop, _host: &Host) -> Result<Body> {
        if self.streams.is_empty() {
            bail!(
                "the command's output went to a terminal or another device, where lastwords cannot read it"
            );
        }
        let (mut text, mut lines) = (Vec::new(), 0);
        let share = MAX_TEXT / self.streams.len().max(1) - 64;
        for stream in &self.streams {
            let kept = read(stream, share + MARGIN)
                .with_context(|| format!("cannot read what came on {}", stream.name))?;
            let (last, ..) = shown(&kept, share, LINES, &self.redactor);
            if self.streams.len() > 1 && !last.is_empty() {
                text.push(format!("[{}]", stream.name));
            }
            lines += last.len();
            text.extend(last);
        }
        if lines == 0 {
            text.push("[it wrote nothing]".to_owned());
        }
        Ok(Body {
            text: text.join("\n"),
            data: json!({ "lines": lines }).into(),
        })
    }
}

/// Reads the end of a stream, without what stood there before the command started. A file that is
/// shorter than that was truncated.
fn read(stream: &Stream, most: usize) -> Result<Vec<u8>> {
    // The path leads to a descriptor of our parent's: no one else can have put a link there.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut file = File::options()
        .read(true)
        .custom_flags(flags)
        .open(&stream.path)?;
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

#[cfg(test)]
mod tests {
    use std::fs;

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
            }
        };
        let kept = KeptOutput {
            streams: files.iter().enumerate().map(stream).collect(),
            redactor: Redactor::default(),
        };
        kept.collect(&stop(), &Host::new("/", "/")).unwrap().text
    }

    #[test]
    fn only_what_this_life_wrote_is_shown() {
        assert_eq!(collect(&[("old\nnew\n", 4)]), "new");
        assert_eq!(collect(&[("truncated\n", 400)]), "truncated");
        assert_eq!(collect(&[("old\n", 4)]), "[it wrote nothing]");
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
