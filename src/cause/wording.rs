//! The one line.

use std::fmt;

use super::beneath;
use super::finding::{CAUSED, Finding, SourcePlace};
use crate::report::{Death, Exit, signal_of_code};

/// Maximum length of an error in the line, in characters. The evidence keeps all of it.
const MOST: usize = 300;
/// The same of the error that it was caused by.
const MOST_INNER: usize = 160;
/// Maximum length of a path before a line's number, in characters.
const LONGEST_PATH: usize = 60;

/// Returns the most specific kind. If an exception shows what lies beneath it, that is the kind.
pub fn kind(finding: &Finding) -> Death {
    match finding.kind {
        Death::UncaughtException
        | Death::UnhandledRejection
        | Death::Panic
        | Death::PlainExit
        | Death::Abort => beneath::kind(&finding.what).unwrap_or(finding.kind),
        kind => kind,
    }
}

/// Returns people's name for a kind, if an error's own words may leave the kind open.
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
        Death::Abort => "abort",
        _ => return None,
    })
}

/// Returns the line of a cause that the log tells.
pub fn line(kind: Death, finding: &Finding, exit: &Exit) -> String {
    let what = shorten_chain(&finding.what);
    let lowercase = what.to_lowercase();
    let mut line = match (kind, words(kind)) {
        (Death::PlainExit, _) => {
            format!("{}: {what}", self::exit(exit).1.trim_end_matches(UNKNOWN))
        }
        (_, Some(words)) if !lowercase.contains(words) => format!("{words}: {what}"),
        _ => what,
    };
    if let Some(place) = &finding.place {
        let whole = place.to_string();
        if !line.contains(&whole) {
            line.push_str(" at ");
            line.push_str(&shorten_path(&whole, LONGEST_PATH));
        }
    }
    line
}

/// Shortens an error with its cause. Of the cause the beginning says most: its type, its message.
fn shorten_chain(text: &str) -> String {
    let Some((outer, inner)) = text.split_once(CAUSED).filter(|_| text.len() > MOST) else {
        return shorten(text, MOST);
    };
    let end = inner.char_indices().nth(MOST_INNER).map(|(at, _)| at);
    let mark = if end.is_some() { "…" } else { "" };
    let inner = inner.get(..end.unwrap_or(inner.len())).unwrap_or_default();
    format!("{}{CAUSED}{inner}{mark}", shorten(outer, MOST - MOST_INNER))
}

/// Shortens a text to so many characters. Keeps whole words from its beginning and its end.
fn shorten(text: &str, most: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let at = |count: usize| {
        text.char_indices()
            .nth(count)
            .map_or(text.len(), |(at, _)| at)
    };
    let end = at(text.chars().count() - most / 2);
    let head = text.get(..at(most / 2 - 2)).unwrap_or_default();
    let tail = text.get(end..).unwrap_or_default();
    // A long word without spaces is cut within the word.
    let head = head.rsplit_once(' ').map_or(
        head,
        |(kept, cut)| if cut.len() > most / 4 { head } else { kept },
    );
    let tail = tail.split_once(' ').map_or(
        tail,
        |(cut, kept)| if cut.len() > most / 4 { tail } else { kept },
    );
    format!("{head} … {tail}")
}

/// Returns the end of a long path, from one of its names on.
fn shorten_path(path: &str, most: usize) -> String {
    let count = path.chars().count();
    let start = path
        .char_indices()
        .nth(count.saturating_sub(most))
        .map_or(0, |(at, _)| at);
    let end = path.get(start..).unwrap_or(path);
    match end.split_once('/') {
        Some((_, names)) if start > 0 => format!("…/{names}"),
        _ => path.to_owned(),
    }
}

const UNKNOWN: &str = ", cause unknown";

/// Returns the kind and the line if only the exit is known.
pub fn exit(exit: &Exit) -> (Death, String) {
    match exit {
        Exit::Unknown => (
            Death::Unknown,
            "unknown: nothing tells how it ended".to_owned(),
        ),
        Exit::Code(code) => match signal_of_code(*code) {
            Some(name) => {
                let signal = Exit::Signal {
                    name: name.to_owned(),
                    core_dumped: false,
                };
                (
                    Death::KilledBySignal,
                    format!("exit code {code}, as a shell or a container says {signal}{UNKNOWN}"),
                )
            }
            None => (Death::PlainExit, format!("{exit}{UNKNOWN}")),
        },
        Exit::Signal { .. } => (Death::KilledBySignal, format!("{exit}{UNKNOWN}")),
    }
}

/// Returns the kind and the line if the cause is not proven, but the program has said something.
pub fn said_last(exit: &Exit, text: &str) -> (Death, String) {
    let (kind, line) = self::exit(exit);
    let ended = line.trim_end_matches(UNKNOWN);
    let said = shorten_chain(text);
    (
        kind,
        format!("{ended}, cause not proven; it said last: \"{said}\""),
    )
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{line, shorten, shorten_path};
    use crate::cause::finding::{Finding, SourcePlace};
    use crate::report::{Death, Exit};

    fn finding(kind: Death, what: &str) -> Finding {
        Finding::at(0..1, kind, what)
    }

    #[test]
    fn a_line_says_the_sort_of_death_only_where_the_error_does_not() {
        let said = |kind, what: &str| line(kind, &finding(kind, what), &Exit::Code(78));
        assert_eq!(
            said(Death::PlainExit, "seat limit reached"),
            "exit code 78: seat limit reached"
        );
        assert_eq!(
            said(Death::DiskFull, "OSError: No space left on device"),
            "disk full: OSError: No space left on device"
        );
        assert_eq!(
            said(Death::Permission, "open x: permission denied"),
            "open x: permission denied"
        );
        assert_eq!(
            said(Death::Abort, "free(): invalid pointer"),
            "abort: free(): invalid pointer"
        );
    }

    #[test]
    fn a_long_error_keeps_its_beginning_and_its_end_in_whole_words() {
        let long = format!(
            "Error: cannot load {} from the archive at noon",
            "a module ".repeat(60)
        );
        let short = shorten(&long, 200);
        assert!(
            short.starts_with("Error: cannot load a module")
                && short.ends_with("from the archive at noon"),
            "{short}"
        );
        assert!(short.chars().count() <= 200, "{short}");
        assert!(shorten(&"é".repeat(9999), 200).chars().count() <= 204);
    }

    #[test]
    fn a_long_path_is_shown_from_its_end() {
        let path =
            "/srv/web/releases/20261122235905/current/packages/session-store/lib/session.js:4";
        assert_eq!(
            shorten_path(path, 40),
            "…/packages/session-store/lib/session.js:4"
        );
        let mut long = finding(Death::UncaughtException, "TypeError: x");
        long.place = Some(SourcePlace {
            file: "/srv/web/app.js".into(),
            line: Some(4),
            function: None,
        });
        assert_eq!(
            line(Death::UncaughtException, &long, &Exit::Code(1)),
            "TypeError: x at /srv/web/app.js:4"
        );
    }
}
