//! An error that `main` has returned, in the forms of `Debug`, anyhow and eyre; and clap's
//! complaint about arguments.

use super::panic;
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{Finding, SourcePlace, innermost, with_cause};
use crate::cause::runtimes::shape::{is_like, number, past_most};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Reads the error that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let error = spot.text().strip_prefix("Error:")?;
    let error = error.strip_prefix(' ').unwrap_or(error);
    let chain = Chain::read(spot.lines, spot.at);
    let what = match &chain {
        Some(chain) => {
            let inner = innermost(chain.causes.iter().map(String::as_str));
            with_cause(chain.outer.as_deref().unwrap_or(error), &inner)
        }
        None if is_debug(error) => error.to_owned(),
        None => return None,
    };
    let (place, end) = chain.map_or((None, spot.at + 1), |chain| (chain.place, chain.end));
    let finding = Finding::at(
        spot.at..end,
        Death::UncaughtException,
        format!("Error: {what}"),
    );
    Some(finding.place(place).said(&[Code(1)]))
}

/// Maximum number of lines of a value.
const VALUE: usize = 60;

/// Reads a line, and the error below it in the form of `{:#?}`:
///
/// ```text
/// Error creating private key
/// Os {
///     code: 13,
///     message: "Permission denied",
/// }
/// ```
pub fn pretty(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let said = spot.text();
    let name = said.strip_prefix("Error: ").unwrap_or(said);
    let (first, outer) = if opens(name) {
        (at, said.strip_suffix(name).unwrap_or_default())
    } else if opens(line_text(lines, at + 1)) && !said.trim().is_empty() {
        (at + 1, said)
    } else if let Some((mark, value)) = said.split_once("] ")
        && opens(value)
        && let Some(above) = above(lines, at)
        && mark.starts_with('[')
    {
        // `[CAUSE] Os {`
        (at, line_text(lines, above))
    } else {
        return None;
    };
    let end = past_most(lines, first + 1, VALUE, |line| {
        line.entry.is_none() && line.text.starts_with("    ")
    });
    if end == first + 1 || !matches!(line_text(lines, end).trim_end(), "}" | ")") {
        return None;
    }
    let field = |name: &str| {
        let mut rest = (first + 1..end).rev().map(|i| line_text(lines, i).trim());
        let value = rest.find_map(|text| text.strip_prefix(name))?;
        Some(value.trim_end_matches(',').trim_matches('"'))
    };
    // The innermost value says most.
    let inner = field("message: ").or_else(|| field("kind: "))?;
    let outer = outer.trim_end_matches([':', ' ']);
    let outer = if outer.is_empty() { "Error" } else { outer };
    let what = format!("{outer}: {inner}");
    Some(Finding::at(at..end + 1, Death::UncaughtException, what).said(&[Code(1)]))
}

/// Returns the line above that says something.
fn above(lines: &[LogLine], at: usize) -> Option<usize> {
    let mut above = (at.saturating_sub(2)..at).rev();
    above.find(|i| !line_text(lines, *i).trim().is_empty())
}

/// Returns true if a value of a struct or a variant begins with this line: `Os {`, `Io(`.
fn opens(text: &str) -> bool {
    let name = text.trim_end_matches(['(', '{', ' ']);
    (text.ends_with(" {") || text.ends_with('('))
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Returns true if `#[derive(Debug)]` prints values so: `Os { code: 98, … }`, `Custom(…)`,
/// `"text"`, `NotFound`.
fn is_debug(error: &str) -> bool {
    let name = error
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    let (name, rest) = error.split_at(name);
    let is_value = rest.starts_with(" { ") && rest.ends_with(" }")
        || rest.starts_with('(') && rest.ends_with(')');
    name.starts_with(|c: char| c.is_ascii_uppercase()) && is_value
        || error.len() > 2 && error.starts_with('"') && error.ends_with('"')
}

/// Maximum number of lines of causes.
const CAUSES: usize = 200;

/// The causes below an error.
struct Chain {
    is_eyre: bool,
    /// Outer error, if eyre printed it among the causes.
    outer: Option<String>,
    causes: Vec<String>,
    place: Option<SourcePlace>,
    end: usize,
}

/// The part of a report that a line belongs to.
#[derive(PartialEq)]
enum ErrorSection {
    Causes,
    Location,
    Other,
}

impl Chain {
    fn read(lines: &[LogLine], at: usize) -> Option<Self> {
        let is_eyre = line_text(lines, at).trim_end() == "Error:";
        let mut chain = Self {
            is_eyre,
            outer: None,
            causes: Vec::new(),
            place: None,
            end: at + 1,
        };
        let mut part = if is_eyre {
            ErrorSection::Causes
        } else {
            ErrorSection::Other
        };
        for (i, line) in lines.iter().enumerate().skip(at + 1).take(CAUSES) {
            if line.entry.is_some() {
                break;
            }
            if line.text.trim() == "Stack backtrace:" {
                let (place, end) = panic::rest(lines, i + 1, chain.place.take());
                return Some(Self {
                    place,
                    end,
                    ..chain
                });
            }
            if !chain.add(&line.text, &mut part) {
                break;
            }
            if !line.is_blank() {
                chain.end = i + 1;
            }
        }
        (!chain.causes.is_empty() || chain.place.is_some()).then_some(chain)
    }

    /// Adds a line. Returns false if it is no part of the report.
    fn add(&mut self, text: &str, part: &mut ErrorSection) -> bool {
        let said = text.trim();
        if said == "Caused by:" {
            *part = ErrorSection::Causes;
            return true;
        }
        if said == "Location:" {
            *part = ErrorSection::Location;
            return true;
        }
        if said.starts_with('━') {
            if *part == ErrorSection::Causes {
                *part = ErrorSection::Other;
            }
            return true;
        }
        let is_indented = text.starts_with(' ');
        if is_indented && *part == ErrorSection::Causes {
            // A message of several lines may show a part of a file. Its last line says most.
            if !said.starts_with(char::is_alphanumeric) || said.contains(" | ") {
                return true;
            }
            let cause = number(said).and_then(|(_, rest)| rest.strip_prefix(": "));
            let cause = cause.unwrap_or(said);
            if self.is_eyre {
                self.outer.get_or_insert_with(|| cause.to_owned());
            }
            self.causes.push(cause.to_owned());
            return true;
        }
        if is_indented && *part == ErrorSection::Location {
            self.place = place(said);
            return true;
        }
        if let (Some(frame), None) = (text.strip_prefix("      at "), &self.place) {
            self.place = place(frame).filter(|place| panic::is_own(&place.file));
            return true;
        }
        is_indented || is_like(said, &["", "Backtrace omitted…", "Run with …"])
    }
}

/// Reads `src/main.rs:3`, with or without a column.
fn place(text: &str) -> Option<SourcePlace> {
    let (file, numbers) = text.split_once(".rs:")?;
    let line = numbers.split(':').next().and_then(|line| line.parse().ok());
    Some(SourcePlace::new(&format!("{file}.rs"), line))
}

/// Maximum number of lines of usage.
const USAGE: usize = 40;

/// Reads clap's complaint about arguments.
pub fn arguments(spot: &Spot) -> Option<Finding> {
    const LAST: [&str; 3] = [
        "For more information, try '--help'…",
        "For more information try --help…",
        "For more information, try '-h'…",
    ];
    let Spot { lines, at, .. } = *spot;
    let is_inside = |line: &LogLine| line.entry.is_none() && !is_like(&line.text, &LAST);
    let last = past_most(lines, at + 1, USAGE, is_inside);
    is_like(line_text(lines, last), &LAST).then_some(())?;
    // The missing arguments stand below.
    let below = past_most(lines, at + 1, USAGE, |line| line.text.starts_with("  "));
    let what: Vec<&str> = (at + 1..below.min(last))
        .map(|i| line_text(lines, i).trim())
        .collect();
    let what = [&[spot.text()], what.as_slice()].concat().join(" ");
    let finding = Finding::at(at..last + 1, Death::BadArguments, what);
    Some(finding.last_words(&[Code(2), Code(1)]))
}

#[cfg(test)]
mod tests {
    use crate::cause::finding::Finding;
    use crate::cause::runtimes::{found, rust};
    use crate::report::Death;

    fn read(log: &str) -> Option<Finding> {
        found(rust::WORDS, log).pop()
    }

    #[test]
    fn an_error_of_main_is_told_from_the_outermost_to_the_innermost() {
        for (log, what) in [
            (
                "Error: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }",
                "Error: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }",
            ),
            ("Error: \"no queue\"", "Error: \"no queue\""),
            (
                "Error: starting\n\nCaused by:\n    0: listening\n    1: in use (os error 98)",
                "Error: starting; caused by in use (os error 98)",
            ),
            (
                "Error: starting\n\nCaused by:\n    in use (os error 98)",
                "Error: starting; caused by in use (os error 98)",
            ),
            (
                "Error: \n   0: starting\n   1: in use\n\nLocation:\n   src/main.rs:12\n\nBacktrace omitted. Run",
                "Error: starting; caused by in use",
            ),
        ] {
            assert_eq!(read(log).unwrap_or_else(|| panic!("{log}")).what, what);
        }
        for log in [
            "Error: listen EADDRINUSE",
            "Error: boom\n    at f (a.js:1:2)",
            "Error: Cannot find module 'x'",
            "Error:",
        ] {
            assert_eq!(read(log), None, "{log}");
        }
    }

    #[test]
    fn arguments_that_clap_refuses_are_told() {
        let log = "error: the following required arguments were not provided:\n  --queue <URL>\n\nUsage: app --queue <URL>\n\nFor more information, try '--help'.\n";
        let finding = read(log).unwrap();
        assert_eq!(finding.kind, Death::BadArguments);
        assert_eq!(
            finding.what,
            "error: the following required arguments were not provided: --queue <URL>"
        );
        assert_eq!(finding.lines, 0..6);
        assert_eq!(read("error: no queue\nnext\n"), None);
    }
}
