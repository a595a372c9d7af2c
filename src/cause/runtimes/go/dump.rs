//! The dump of a Go program's goroutines, and the frames in it.

use crate::cause::finding::SourcePlace;
use crate::cause::runtimes::shape::is_like;
use crate::cause::text::{LogLine, line_text};

/// The dump of the goroutines.
pub struct Dump {
    /// Innermost frame of the application in the first goroutine.
    pub place: Option<SourcePlace>,
    /// True if the program asked for the dump (`debug.Stack`), and so may go on.
    pub is_asked_for: bool,
    pub end: usize,
}

impl Dump {
    /// Reads the dump that begins at this line; an empty dump if none does.
    pub fn read(lines: &[LogLine], from: usize) -> Self {
        let mut dump = Self {
            place: None,
            is_asked_for: false,
            end: from,
        };
        let mut goroutines = 0;
        let mut i = from;
        let mut blank = 0;
        let mut others = 0;
        while let Some(line) = lines.get(i) {
            // Another process wrote this line between two lines of the dump.
            if line.entry.is_some() && goroutines > 0 && others < OTHERS && is_within(lines, i + 1)
            {
                others += 1;
                i += 1;
                continue;
            }
            let between = usize::from(
                others < OTHERS && lines.get(i + 1).is_some_and(|next| next.entry.is_some()),
            );
            let (this, next) = (line.text.as_str(), line_text(lines, i + 1 + between));
            if line.is_blank() {
                blank += 1;
                if blank > 2 {
                    break;
                }
                i += 1;
                continue;
            }
            if this.starts_with("goroutine ") && this.ends_with(':') {
                goroutines += 1;
            } else if is_source(next) && !is_indented(this) {
                dump.is_asked_for |= goroutines <= 1 && this.starts_with("runtime/debug.Stack(");
                if goroutines == 1 && dump.place.is_none() {
                    dump.place = own(this, next);
                }
                others += between;
                i += 1 + between;
            } else if !is_of_dump(this) {
                break;
            }
            i += 1;
            blank = 0;
            dump.end = i;
        }
        dump.end = dump.end.min(lines.len());
        dump
    }
}

/// Maximum number of lines of other processes within a dump.
const OTHERS: usize = 20;

/// Returns true if a dump goes on at this line.
fn is_within(lines: &[LogLine], at: usize) -> bool {
    let this = line_text(lines, at);
    is_source(this)
        || is_source(line_text(lines, at + 1))
        || this.starts_with("goroutine ")
        || this.starts_with("created by ")
}

/// Returns true if a line begins with a tab, or with the spaces that people and tools put in its
/// place.
pub fn is_indented(text: &str) -> bool {
    text.starts_with('\t') || text.starts_with("    ")
}

/// The parts by which a function's file is known.
pub const SOURCES: [&str; 5] = [".go:", ".s:", ".c:", "_cgo_", "??:"];

/// Returns true if a line names a function's file: `\t/srv/app/main.go:7 +0x2e`.
pub fn is_source(text: &str) -> bool {
    is_indented(text) && SOURCES.iter().any(|it| text.contains(it))
}

const OF_DUMP: [&str; 7] = [
    "[signal …",
    "PC=…",
    "signal arrived …",
    "runtime stack:…",
    "...…",
    "created by …",
    "[originating from …",
];

/// Returns true if a line belongs to a dump without being a frame or a goroutine's head.
fn is_of_dump(text: &str) -> bool {
    let is_register = || {
        text.split_once(' ')
            .is_some_and(|(name, value)| name.len() <= 7 && value.trim_start().starts_with("0x"))
    };
    // Stands in place of the frames of a goroutine on another thread.
    let is_unavailable = text.starts_with("\tgoroutine running on ");
    is_unavailable || is_like(text, &OF_DUMP) || is_register()
}

/// Directories of the standard library.
const STANDARD: [&str; 45] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
];

/// Returns a frame's place if it is in the application's own code.
pub fn own(function: &str, source: &str) -> Option<SourcePlace> {
    let name = function.split(['(', '.', '/']).next()?;
    let is_standard = STANDARD.contains(&name) || name == "panic";
    // Modules lie in `pkg/mod/`. With -trimpath their files begin with `module@version/`.
    let file = source.trim_start();
    if is_standard
        || ["/pkg/mod/", "/vendor/", "@v", "_cgo_"]
            .iter()
            .any(|it| file.contains(it))
        || function.starts_with("created by")
    {
        return None;
    }
    let (file, line) = file.split(" +0x").next()?.rsplit_once(':')?;
    let line = line.split(' ').next()?.parse().ok();
    let function = function.rsplit_once('(').map_or(function, |it| it.0);
    Some(SourcePlace::new(file, line).within(Some(function)))
}
