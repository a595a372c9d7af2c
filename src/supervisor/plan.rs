//! The changes that `setup` plans: files, changes that only a person may make, and commands that
//! make them active. A plan is shown or written. Writing it loses nothing that was there before.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, ensure};

use crate::draft;
use crate::render::clean;

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Stands in each text that is written.
const OURS: &str = "lastwords";
/// Word for a file that needs no change.
const ALREADY: &str = "already";

/// All changes for one job.
#[derive(Default)]
pub struct Plan {
    /// One sentence on where the supervisor keeps the job.
    pub found: String,
    pub files: Vec<Draft>,
    pub by_hand: Vec<ByHand>,
    /// Changes that have been made already.
    pub already: Vec<String>,
    /// Commands that make the changes active, a line each. None of them stops a service that runs.
    pub activate: Vec<String>,
    /// Advice on what is worth doing beside that.
    pub better: Vec<String>,
}

/// A file as it should be.
pub struct Draft {
    /// The path on the machine.
    pub name: PathBuf,
    /// The path from here, as the machine may be a fake one.
    pub path: PathBuf,
    pub text: String,
    pub mode: u32,
    pub how: How,
}

/// The step for a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Keep it: it belongs to the administrator.
    Keep,
    /// Keep it if it speaks of lastwords: then it is ours, however it was changed.
    KeepOurs,
    /// Append the text to it.
    Append,
}

/// A change that lastwords leaves to a person.
pub struct ByHand {
    pub file: PathBuf,
    pub why: String,
    /// The text that the file should hold.
    pub text: String,
}

impl Plan {
    /// Returns true if nothing is left to write or to do by hand.
    pub fn is_done(&self) -> bool {
        self.by_hand.is_empty() && self.files.iter().all(Draft::is_there)
    }

    /// Shows everything, and changes nothing.
    pub fn show(&self, out: &mut impl Write) {
        let _ = writeln!(out, "{}", self.found);
        for draft in &self.files {
            let there = draft.path.symlink_metadata().is_ok();
            let what = match draft.how {
                How::Keep | How::KeepOurs if draft.is_there() => {
                    let _ = writeln!(out, "\n{GOOD}there{GOOD:#}  {}", draft.name.display());
                    continue;
                }
                How::KeepOurs if there => "something else is there; it should be:",
                How::Append if there => "add at its end:",
                How::Keep | How::KeepOurs | How::Append => "new:",
            };
            let _ = writeln!(out, "\n{HEAD}──── {}{HEAD:#}  {what}", draft.name.display());
            let _ = write!(out, "{}", clean(&draft.text));
        }
        self.show_rest(out);
    }

    /// Writes the files. Returns true if a person has something left to do.
    pub fn write(&self, out: &mut impl Write) -> Result<bool> {
        let _ = writeln!(out, "{}", self.found);
        for draft in &self.files {
            let done = draft
                .write()
                .with_context(|| format!("cannot write {}", draft.name.display()))?;
            let _ = writeln!(out, "{GOOD}{done:<9}{GOOD:#} {}", draft.name.display());
        }
        self.show_rest(out);
        Ok(!self.by_hand.is_empty())
    }

    fn show_rest(&self, out: &mut impl Write) {
        for line in &self.already {
            let _ = writeln!(out, "{GOOD}already{GOOD:#}   {line}");
        }
        for ByHand { file, why, text } in &self.by_hand {
            let _ = writeln!(
                out,
                "\n{BAD}by hand{BAD:#}   {HEAD}{}{HEAD:#}\n# {}",
                file.display(),
                clean(why)
            );
            let _ = writeln!(out, "{}", clean(text).trim_end());
        }
        if !self.activate.is_empty() {
            let _ = writeln!(out, "\nthen, to make it active:");
            for line in &self.activate {
                let _ = writeln!(out, "  {line}");
            }
        }
        for line in &self.better {
            let _ = writeln!(out, "\n{line}");
        }
    }
}

impl Draft {
    /// A file of the administrator's, once it is written.
    pub fn new(name: impl Into<PathBuf>, path: PathBuf, text: String) -> Self {
        Self {
            name: name.into(),
            path,
            text,
            mode: 0o644,
            how: How::Keep,
        }
    }

    /// A file of lastwords' own.
    pub fn ours(name: impl Into<PathBuf>, path: PathBuf, text: String) -> Self {
        Self {
            how: How::KeepOurs,
            ..Self::new(name, path, text)
        }
    }

    /// Returns true if the file needs no change.
    fn is_there(&self) -> bool {
        match self.how {
            How::Keep => self.path.symlink_metadata().is_ok(),
            How::KeepOurs => self.is_ours(),
            // A FIFO would have us wait for ever.
            How::Append => {
                self.path.is_file()
                    && fs::read_to_string(&self.path).is_ok_and(|text| text.ends_with(&self.text))
            }
        }
    }

    /// Returns true if the file that is there is for what ours is for, however it was changed. A
    /// link to /dev/null masks a unit.
    fn is_ours(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_file() => {
                let has = |text: Vec<u8>| text.windows(OURS.len()).any(|it| it == OURS.as_bytes());
                fs::read(&self.path).is_ok_and(has)
            }
            _ => self.path.symlink_metadata().is_ok(),
        }
    }

    /// Writes the file in one step, and returns a word for what was done.
    fn write(&self) -> Result<&'static str> {
        match self.path.symlink_metadata() {
            Err(why) if why.kind() == ErrorKind::NotFound => self.create(),
            Err(why) => Err(why.into()),
            Ok(_) if self.how == How::Keep => Ok(ALREADY),
            Ok(_) if self.how == How::KeepOurs => {
                ensure!(
                    self.is_ours(),
                    "something else is there, with no word of lastwords: move it away, or put the \
                     text into it yourself"
                );
                Ok(ALREADY)
            }
            Ok(found) => {
                ensure!(
                    found.is_file(),
                    "it is no regular file: put the text into the file it leads to yourself"
                );
                self.append(&found)
            }
        }
    }

    fn create(&self) -> Result<&'static str> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        let placed = draft::put_new(&self.draft(), &self.path, |file| {
            write(file, &self.text, self.mode)
        });
        match placed {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => Ok(ALREADY),
            other => other.map(|_| "written").map_err(Into::into),
        }
    }

    fn append(&self, found: &fs::Metadata) -> Result<&'static str> {
        let before = fs::read_to_string(&self.path)?;
        if before.ends_with(&self.text) {
            return Ok(ALREADY);
        }
        let gap = if before.is_empty() || before.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let text = format!("{before}{gap}{}", self.text);
        draft::put(&self.draft(), &self.path, |file| {
            write(file, &text, found.mode() & 0o7777)?;
            fchown(&*file, Some(found.uid()), Some(found.gid()))
        })?;
        Ok("added to")
    }

    /// Returns the draft's path: beside the file, under a name that no supervisor reads.
    fn draft(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".lastwords");
        self.path.with_file_name(name)
    }
}

fn write(file: &mut File, text: &str, mode: u32) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(mode))
}
