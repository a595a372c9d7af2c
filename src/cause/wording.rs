//! The one line.

use std::fmt;

use super::beneath;
use super::finding::{Finding, Place, signal_of};
use crate::report::{Death, Exit};

/// The longest error in a line, in characters.
const MOST: usize = 300;

/// The most specific kind: where an exception shows what lies beneath it, that.
pub fn kind(finding: &Finding) -> Death {
    match finding.kind {
        Death::UncaughtException | Death::UnhandledRejection | Death::Panic | Death::PlainExit | Death::Abort => {
            beneath::kind(&finding.what).unwrap_or(finding.kind)
        }
        kind => kind,
    }
}

/// What the kind is called in data.
pub fn name(kind: Death) -> &'static str {
    match kind {
        Death::UncaughtException => "uncaught-exception",
        Death::UnhandledRejection => "unhandled-rejection",
        Death::OutOfMemoryHeap => "out-of-memory-heap",
        Death::OomKilled => "oom-killed",
        Death::KilledBySignal => "killed-by-signal",
        Death::Segfault => "segfault",
        Death::Abort => "abort",
        Death::Assertion => "assertion",
        Death::Panic => "panic",
        Death::StackOverflow => "stack-overflow",
        Death::PortInUse => "port-in-use",
        Death::MissingModule => "missing-module",
        Death::SyntaxError => "syntax-error",
        Death::BadArguments => "bad-arguments",
        Death::NoSuchFile => "no-such-file",
        Death::Permission => "permission",
        Death::DiskFull => "disk-full",
        Death::TooManyFiles => "too-many-files",
        Death::DependencyUnreachable => "dependency-unreachable",
        Death::PlainExit => "plain-exit",
        Death::Unknown => "unknown",
    }
}

/// What the kind is called by people, where an error's own words may leave it open.
fn words(kind: Death) -> Option<&'static str> {
    Some(match kind {
        Death::OutOfMemoryHeap => "out of memory",
        Death::StackOverflow => "stack overflow",
        Death::PortInUse => "port in use",
        Death::MissingModule => "missing module",
        Death::NoSuchFile => "missing file",
        Death::Permission => "permission denied",
        Death::DiskFull => "disk full",
        Death::TooManyFiles => "too many open files",
        Death::DependencyUnreachable => "dependency unreachable",
        Death::UnhandledRejection => "unhandled rejection",
        _ => return None,
    })
}

/// The line of a cause that the log tells.
pub fn line(kind: Death, finding: &Finding, exit: &Exit) -> String {
    let what: String = finding.what.trim().chars().take(MOST).collect();
    let low = what.to_lowercase();
    let mut line = match (kind, words(kind)) {
        (Death::PlainExit, _) => format!("{}: {what}", self::exit(exit).1.trim_end_matches(UNKNOWN)),
        (_, Some(words)) if !low.contains(words) => format!("{words}: {what}"),
        _ => what,
    };
    if let Some(place) = &finding.place {
        let place = place.to_string();
        if !line.contains(&place) {
            line.push_str(" at ");
            line.push_str(&place);
        }
    }
    line
}

const UNKNOWN: &str = ", cause unknown";

/// The kind and the line where only the exit is known.
pub fn exit(exit: &Exit) -> (Death, String) {
    match exit {
        Exit::Unknown => (Death::Unknown, "unknown: nothing tells how it ended".to_owned()),
        Exit::Code(code) => match signal_of(*code) {
            Some(name) => {
                let signal = Exit::Signal { name: name.to_owned(), core_dumped: false };
                (Death::KilledBySignal, format!("exit code {code}, as a shell or a container says {signal}{UNKNOWN}"))
            }
            None => (Death::PlainExit, format!("{exit}{UNKNOWN}")),
        },
        Exit::Signal { .. } => (Death::KilledBySignal, format!("{exit}{UNKNOWN}")),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}
