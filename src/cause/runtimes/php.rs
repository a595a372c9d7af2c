//! PHP: `Fatal error: Uncaught …` and `Parse error: …` of the command line, and FPM if it does not
//! start.

use super::shape::is_like;
use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines between an exception's message and its stack.
const MESSAGE: usize = 60;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["atal error: ", "Parse error: "], fatal),
    RuntimeWords::new(&["ERROR: FPM initialization failed\n"], fpm),
    // cli/php_cli.c
    RuntimeWords::new(&["\nCould not open input file: "], |spot| {
        let finding = Finding::at(spot.at..spot.at + 1, Death::NoSuchFile, spot.text().trim());
        Some(finding.last_words(&[Code(1)]))
    }),
];

/// Returns the level and the message of a fatal error. The error log has `PHP ` before them and two
/// spaces between them.
fn message(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix("PHP ").unwrap_or(text);
    let (level, message) = text.split_once(": ")?;
    [
        "Fatal error",
        "Parse error",
        "Recoverable fatal error",
        "Catchable fatal error",
    ]
    .contains(&level)
    .then_some((level, message.trim_start()))
}

fn fatal(spot: &Spot) -> Option<Finding> {
    let Spot {
        lines, line, at, ..
    } = *spot;
    // A server's log has a timestamp before it, and the server goes on.
    let bare = line
        .text
        .strip_prefix('[')
        .and_then(|text| text.split_once("] "));
    let is_logged = bare.is_some() || line.entry.is_some();
    let (level, message) = message(bare.map_or(line.message(), |(_, rest)| rest))?;
    let finding = if let Some(uncaught) = message.strip_prefix("Uncaught ") {
        let trace = trace(lines, at, uncaught);
        let what = trace.words();
        Finding::at(at..trace.end, kind(&what), what.trim()).place(trace.place())
    } else {
        let (what, place) = place(message);
        // PHP always names the place. Other programs say `Fatal error: …` too.
        place.as_ref()?;
        let kind = match level {
            "Parse error" => Death::SyntaxError,
            _ => kind(what),
        };
        Finding::at(at..at + 1, kind, what.trim()).place(place)
    };
    Some(if is_logged {
        finding.said(&[Code(255)])
    } else {
        finding.last_words(&[Code(255)])
    })
}

/// Takes `in FILE on line N` or `in FILE:N` from the end of a message.
fn place(message: &str) -> (&str, Option<SourcePlace>) {
    let message = message.trim_end();
    let found = message.rsplit_once(" in ").and_then(|(what, place)| {
        let by_words = place.rsplit_once(" on line ");
        let (file, line) = by_words.or_else(|| place.rsplit_once(':'))?;
        Some((what, SourcePlace::new(file, Some(line.parse().ok()?))))
    });
    found.map_or((message, None), |(what, place)| (what, Some(place)))
}

/// An exception with the exceptions that led to it, as far as they have been read.
struct PhpTrace {
    end: usize,
    what: String,
    /// Place where the last exception was thrown.
    thrown: Option<SourcePlace>,
    /// Innermost frame of the application's own code, of the last exception.
    own: Option<SourcePlace>,
    /// First exception, if others followed.
    cause: Option<String>,
    /// True if the message goes on in the next line.
    in_message: bool,
}

/// A line of a trace.
#[derive(PartialEq)]
enum PhpTraceLine {
    Frame,
    /// `  thrown in FILE on line N`
    Last,
    Other,
}

/// Reads an exception with those that led to it. The first came first. No code caught the last one
/// (`Next …`).
fn trace(lines: &[LogLine], i: usize, first: &str) -> PhpTrace {
    let (what, thrown) = place(first);
    let mut trace = PhpTrace {
        end: i + 1,
        what: what.to_owned(),
        in_message: !first.contains(" in ") || thrown.is_none(),
        thrown,
        own: None,
        cause: None,
    };
    let mut since_frame = 0;
    for (at, line) in lines.iter().enumerate().skip(i + 1) {
        if line.entry.is_some() || since_frame > MESSAGE {
            break;
        }
        let Some(part) = trace.add(line.text.trim_end()) else {
            break;
        };
        trace.end = at + 1;
        match part {
            PhpTraceLine::Last => break,
            PhpTraceLine::Frame => since_frame = 0,
            PhpTraceLine::Other => since_frame += 1,
        }
    }
    trace
}

impl PhpTrace {
    /// Adds a line; `None` if it is no part of the trace.
    fn add(&mut self, text: &str) -> Option<PhpTraceLine> {
        if text == "Stack trace:" || text.is_empty() {
            self.in_message &= text.is_empty();
            return Some(PhpTraceLine::Other);
        }
        if let Some((_, frame)) = text.strip_prefix('#').and_then(|text| text.split_once(' ')) {
            self.own = self.own.take().or_else(|| self::frame(frame));
            return Some(PhpTraceLine::Frame);
        }
        if let Some(next) = text.strip_prefix("Next ") {
            let (what, thrown) = place(next);
            let before = std::mem::replace(&mut self.what, what.to_owned());
            self.cause.get_or_insert(before);
            self.in_message = thrown.is_none();
            (self.thrown, self.own) = (thrown, None);
            return Some(PhpTraceLine::Other);
        }
        if let Some(thrown) = text.strip_prefix("  thrown in ") {
            self.thrown = place(&format!(" in {thrown}")).1.or(self.thrown.take());
            return Some(PhpTraceLine::Last);
        }
        if !self.in_message {
            return None;
        }
        let (what, thrown) = place(text);
        self.what = format!("{} {what}", self.what);
        self.in_message = thrown.is_none();
        self.thrown = thrown.or(self.thrown.take());
        Some(PhpTraceLine::Other)
    }

    /// Returns the error in one line.
    fn words(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{} (caused by {cause})", self.what),
            None => self.what.clone(),
        }
    }

    /// Returns the application's own place.
    fn place(self) -> Option<SourcePlace> {
        self.thrown.filter(|place| is_own(&place.file)).or(self.own)
    }
}

/// Reads `/srv/app/a.php(3): f()` if the file is the application's own.
fn frame(text: &str) -> Option<SourcePlace> {
    let (file, rest) = text.split_once('(')?;
    let line = rest.split_once(')')?.0.parse().ok()?;
    is_own(file).then(|| SourcePlace::new(file, Some(line)))
}

fn is_own(file: &str) -> bool {
    !is_like(file, &["…/vendor/…", "phar://…", "/usr/share/php…"])
}

fn kind(what: &str) -> Death {
    let class = what.split(':').next().unwrap_or_default();
    match class {
        "ParseError" => Death::SyntaxError,
        "AssertionError" => Death::Assertion,
        _ if what.starts_with("Allowed memory size of ") || what.starts_with("Out of memory") => {
            Death::OutOfMemoryHeap
        }
        _ if what.contains("Maximum call stack size of ") => Death::StackOverflow,
        // `require` of a file that is not there.
        _ if what.contains("ailed opening required ") => Death::NoSuchFile,
        _ => Death::UncaughtException,
    }
}

/// Reads the end of FPM's master before it begins to serve: fpm/fpm.c, `FPM_EXIT_CONFIG`.
fn fpm(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let error = |i: &usize| {
        let text = line_text(lines, *i);
        let mut levels = ["] ERROR: ", "] ALERT: "].iter();
        levels.find_map(|level| Some(text.split_once(level)?.1))
    };
    let errors = (at.saturating_sub(8)..=at)
        .rev()
        .take_while(|i| error(i).is_some());
    let first = errors.last()?;
    let what = error(&first)?.trim();
    let kind = beneath::kind(what).unwrap_or(Death::PlainExit);
    Some(Finding::at(first..at + 1, kind, what).last_words(&[Code(78)]))
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::cause::finding::Proof;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn of_a_chain_the_last_is_told_with_the_first() {
        let log = "PHP Fatal error:  Uncaught PDOException: refused in /srv/a.php:2\nStack trace:\n#0 /srv/a.php(3): q()\n#1 {main}\n\n\
                   Next RuntimeException: cannot boot in /srv/vendor/k.php:3\nStack trace:\n#0 /srv/b.php(7): k()\n#1 {main}\n  thrown in /srv/vendor/k.php on line 3\nnext\n";
        let it = found(WORDS, log).remove(0);
        assert_eq!(
            it.what,
            "RuntimeException: cannot boot (caused by PDOException: refused)"
        );
        assert_eq!(
            (it.place.unwrap().to_string().as_str(), it.lines, it.proof),
            ("/srv/b.php:7", 0..10, Proof::LastWords)
        );
    }

    #[test]
    fn the_other_fatal_errors_are_told_by_their_kind() {
        for (log, kind, place) in [
            (
                "Fatal error: Allowed memory size of 1 bytes exhausted in /srv/a.php on line 4",
                Death::OutOfMemoryHeap,
                "/srv/a.php:4",
            ),
            (
                "Parse error: syntax error, unexpected end of file in /srv/a.php on line 9",
                Death::SyntaxError,
                "/srv/a.php:9",
            ),
            (
                "PHP Fatal error:  Uncaught Error: Call to undefined function f() in /srv/a.php:2",
                Death::UncaughtException,
                "/srv/a.php:2",
            ),
        ] {
            let it = found(WORDS, log).remove(0);
            assert_eq!(
                (it.kind, it.place.unwrap().to_string().as_str()),
                (kind, place),
                "{log}"
            );
        }
        assert_eq!(
            found(WORDS, "Could not open input file: worker.php")[0].kind,
            Death::NoSuchFile
        );
        assert_eq!(
            found(
                WORDS,
                "[23-Nov-2026 04:24:07 UTC] PHP Fatal error:  Uncaught E: x in a.php:1"
            )[0]
            .proof,
            Proof::Said
        );
        assert!(
            found(
                WORDS,
                "PHP Warning:  Undefined variable $x in /srv/a.php on line 2"
            )
            .is_empty()
        );
        assert!(found(WORDS, "we saw a Fatal error: once").is_empty());
    }
}
