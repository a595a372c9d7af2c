//! A finding: the words of one part of the evidence about the death.

use std::ops::Range;

use super::thing::names_thing;
use crate::report::{Death, Exit, signal_of_code};

/// An error in the log: a candidate for the cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Lines that were printed with the error (indexes, not numbers). The lines after them are what
    /// the service said later.
    pub lines: Range<usize>,
    /// Line that the cause quotes (an index).
    pub quoted: usize,
    pub kind: Death,
    /// The error in one line: `TypeError: Cannot read properties of undefined (reading 'id')`.
    pub what: String,
    /// Innermost frame of the application's own code.
    pub place: Option<SourcePlace>,
    pub proof: Proof,
    /// Exits of a process that says this. If empty, any exit but success fits.
    pub ends: &'static [ExpectedExit],
    /// Exits with which last words are only said: the program may have ended itself.
    pub or_said: Option<&'static [ExpectedExit]>,
}

/// A place in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePlace {
    /// Path of the file as it stands in the log.
    pub file: String,
    pub line: Option<u32>,
    pub function: Option<String>,
}

impl SourcePlace {
    /// Returns a line of a file.
    pub fn new(file: &str, line: Option<u32>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            function: None,
        }
    }

    /// Sets the function.
    pub fn within(self, function: Option<&str>) -> Self {
        Self {
            function: function.map(str::to_owned),
            ..self
        }
    }
}

/// Strength of the evidence that an error in the log gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Programs that go on print it too, so it is a cause only as the last thing that was said.
    Said,
    /// Only a process that ends prints it.
    LastWords,
}

/// A way in which a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedExit {
    Code(i32),
    /// Killed by this signal, named without `SIG`. A shell or a container turns it into the exit
    /// code 128 plus the signal's number.
    Signal(&'static str),
}

impl Finding {
    /// Returns an error that programs may survive, in these lines; the cause quotes the first.
    pub fn at(lines: Range<usize>, kind: Death, what: impl Into<String>) -> Self {
        Self {
            quoted: lines.start,
            lines,
            kind,
            what: what.into(),
            place: None,
            proof: Proof::Said,
            ends: &[],
            or_said: None,
        }
    }

    /// Returns lines that look like an error and are none. No runtime reads them again.
    pub fn nothing(lines: Range<usize>) -> Self {
        Self::at(lines, Death::Unknown, "")
    }

    /// Sets the line that the cause quotes.
    pub fn quoted(self, quoted: usize) -> Self {
        Self { quoted, ..self }
    }

    /// Sets the innermost place of the application's own code.
    pub fn place(self, place: Option<SourcePlace>) -> Self {
        Self { place, ..self }
    }

    /// Marks the words as those of a process that ends so.
    pub fn last_words(self, ends: &'static [ExpectedExit]) -> Self {
        Self {
            proof: Proof::LastWords,
            ends,
            ..self
        }
    }

    /// Sets the exits of a process that ends by an error that it may survive.
    pub fn said(self, ends: &'static [ExpectedExit]) -> Self {
        Self {
            proof: Proof::Said,
            ends,
            ..self
        }
    }

    /// Sets the exits with which the last words are only said.
    pub fn or_said(self, ends: &'static [ExpectedExit]) -> Self {
        Self {
            or_said: Some(ends),
            ..self
        }
    }

    /// Returns one finding for each proof that the words may be; none if there are no words.
    pub fn proofs(mut self) -> impl Iterator<Item = Self> {
        let said = self.or_said.take().map(|ends| self.clone().said(ends));
        let all = [Some(self), said].into_iter().flatten();
        all.filter(|it| !it.what.trim().is_empty())
    }

    /// Returns true if a process that said this may have ended with this exit.
    pub fn fits(&self, exit: &Exit) -> bool {
        match exit {
            Exit::Unknown => true,
            _ if self.ends.is_empty() => !matches!(exit, Exit::Code(0)) && !is_from_outside(exit),
            _ => self.ends.iter().any(|end| end.is(exit)),
        }
    }
}

impl ExpectedExit {
    /// Returns true if the exit is the expected one.
    pub fn is(self, exit: &Exit) -> bool {
        match (self, exit) {
            (Self::Code(ours), Exit::Code(code)) => ours == *code,
            // A container's first process cannot die of its own SIGABRT, so that abort(3) faults.
            (Self::Signal("ABRT"), Exit::Code(139)) => true,
            (Self::Signal(name), Exit::Code(code)) => signal_of_code(*code) == Some(name),
            (Self::Signal(name), exit) => exit.is_signal(name),
            (Self::Code(_), _) => false,
        }
    }
}

/// Returns true if another process sent the signal: a fault raises no such signal.
fn is_from_outside(exit: &Exit) -> bool {
    let by = |name: &str| {
        [
            "KILL", "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM", "PIPE",
        ]
        .contains(&name)
    };
    match exit {
        Exit::Signal { name, .. } => by(name),
        Exit::Code(code) => signal_of_code(*code).is_some_and(by),
        Exit::Unknown => false,
    }
}

/// Maximum length of an outer error if the inner one is shown too, in characters.
const MOST_OUTER: usize = 140;

/// Stands between an error and its cause.
pub const CAUSED: &str = "; caused by ";

/// Returns an error and the innermost of its causes, in one line.
pub fn with_cause(outer: &str, inner: &str) -> String {
    let (outer, inner) = (outer.trim(), inner.trim());
    if inner.is_empty() || outer.contains(inner) {
        return outer.to_owned();
    }
    let cut: String = outer.chars().take(MOST_OUTER).collect();
    let mark = if cut.len() < outer.len() { "…" } else { "" };
    format!("{cut}{mark}{CAUSED}{inner}")
}

/// Returns the innermost of an error's causes. If it names no thing, such as a file or an address,
/// the one above it that does is told too.
pub fn innermost<'a>(causes: impl DoubleEndedIterator<Item = &'a str> + Clone) -> String {
    let last = causes.clone().next_back().unwrap_or_default();
    let named = causes.rev().find(|cause| names_thing(message(cause)));
    match named {
        Some(named) if !named.contains(message(last)) => format!("{named}: {last}"),
        Some(named) => named.to_owned(),
        None => last.to_owned(),
    }
}

/// Returns an error's words without its type.
pub fn message(error: &str) -> &str {
    let typed = error
        .split_once(": ")
        .filter(|(kind, _)| !kind.contains(' '));
    typed.map_or(error, |(_, message)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(name: &str) -> Exit {
        Exit::Signal {
            name: name.to_owned(),
            core_dumped: false,
        }
    }

    fn fits(ends: &'static [ExpectedExit], exit: &Exit) -> bool {
        let finding = Finding::at(0..1, Death::UncaughtException, "Error: boom");
        finding.last_words(ends).fits(exit)
    }

    #[test]
    fn an_error_that_may_end_in_any_way_fits_neither_success_nor_a_kill_from_outside() {
        for exit in [
            Exit::Code(1),
            Exit::Code(134),
            Exit::Unknown,
            signal("SEGV"),
        ] {
            assert!(fits(&[], &exit), "{exit}");
        }
        for name in [
            "KILL", "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM", "PIPE",
        ] {
            assert!(!fits(&[], &signal(name)), "{name}");
        }
        // 137 and 143 are how a shell puts KILL and TERM.
        for code in [0, 137, 143] {
            assert!(!fits(&[], &Exit::Code(code)), "{code}");
        }
    }

    #[test]
    fn an_error_that_ends_in_one_way_fits_that_one_alone() {
        const ENDS: &[ExpectedExit] = &[ExpectedExit::Code(7), ExpectedExit::Signal("ABRT")];
        for exit in [
            Exit::Code(7),
            Exit::Code(134),
            Exit::Code(139),
            signal("ABRT"),
            Exit::Unknown,
        ] {
            assert!(fits(ENDS, &exit), "{exit}");
        }
        for exit in [Exit::Code(0), Exit::Code(1), signal("SEGV"), signal("KILL")] {
            assert!(!fits(ENDS, &exit), "{exit}");
        }
    }

    #[test]
    fn the_error_beneath_is_told_unless_the_outer_one_tells_it() {
        assert_eq!(with_cause(" a ", " b "), "a; caused by b");
        assert_eq!(with_cause("a: b", "b"), "a: b");
        assert_eq!(with_cause("a", " "), "a");
        let long = with_cause(&"x".repeat(MOST_OUTER + 1), "b");
        assert_eq!(long, format!("{}…; caused by b", "x".repeat(MOST_OUTER)));
        let whole = with_cause(&"x".repeat(MOST_OUTER), "b");
        assert!(!whole.contains('…'));
    }
}
