//! .NET: the words of its runtime and its host as they end a process.

use super::shape::{is_like, past, past_most};
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, SourcePlace, innermost, with_cause};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(
        &["\nUnhandled exception. ", "\nUnhandled Exception: "],
        unhandled,
    )
    .raw(),
    RuntimeWords::new(&["\n[ERROR] FATAL UNHANDLED EXCEPTION: "], mono),
    RuntimeWords::new(&["\nProcess terminated. "], terminated).raw(),
    RuntimeWords::new(&["\nStack overflow."], overflow).raw(),
    RuntimeWords::new(&["\nOut of memory.\n"], |spot| {
        Some(trace(spot, spot.text(), Death::OutOfMemoryHeap).last_words(ABORTED))
    })
    .raw(),
    RuntimeWords::new(&["\nYou must install "], host).raw(),
    RuntimeWords::new(&["Exception"], said).raw(),
    RuntimeWords::new(
        &["BackgroundServiceExceptionBehavior is configured to StopHost"],
        stopped,
    ),
];

const ABORTED: &[ExpectedExit] = &[Signal("ABRT")];

fn unhandled(spot: &Spot) -> Option<Finding> {
    let (_, what) = spot
        .text()
        .split_at_checked("Unhandled exception. ".len())?;
    Some(trace(spot, what, kind(what)).last_words(ABORTED))
}

/// Reads Mono's last words, which look like a logger's.
fn mono(spot: &Spot) -> Option<Finding> {
    let what = spot.text().split_once("EXCEPTION: ")?.1;
    Some(trace(spot, what, kind(what)).last_words(&[Code(1), Code(255), Signal("ABRT")]))
}

fn terminated(spot: &Spot) -> Option<Finding> {
    let what = spot.text().strip_prefix("Process terminated. ")?;
    is_frame(line_text(spot.lines, spot.at + 1)).then_some(())?;
    let kind = if what.starts_with("Assertion failed") {
        Death::Assertion
    } else {
        Death::Abort
    };
    Some(trace(spot, what, kind).last_words(ABORTED))
}

fn overflow(spot: &Spot) -> Option<Finding> {
    let next = line_text(spot.lines, spot.at + 1);
    let is_whole = spot.text().trim_end() == "Stack overflow.";
    (is_whole && (is_frame(next) || next.starts_with("Repeat "))).then_some(())?;
    Some(trace(spot, spot.text(), Death::StackOverflow).last_words(ABORTED))
}

/// Reads an exception that a program printed, or a logger below its entry.
fn said(spot: &Spot) -> Option<Finding> {
    let (what, next) = (spot.text().trim_start(), line_text(spot.lines, spot.at + 1));
    // `[v5.3.6] System.IO.IOException: …`
    let inner = what.strip_prefix('[').and_then(|it| it.split_once("] "));
    let what = inner.map_or(what, |(_, rest)| rest);
    let has_trace = is_frame(next) || next.trim_start().starts_with("---> ");
    (has_trace && is_exception(what)).then(|| trace(spot, what, kind(what)))
}

/// Maximum number of lines between an exception and the host's word that it stops.
const ABOVE: usize = 4;

/// Reads the host's word that it stops for the exception above, which ends in success.
fn stopped(spot: &Spot) -> Option<Finding> {
    let thrown = spot
        .own
        .last()
        .filter(|it| it.lines.end + ABOVE > spot.at)?;
    let finding = Finding {
        lines: thrown.lines.start..spot.at + 1,
        ..thrown.clone()
    };
    Some(finding.last_words(&[Code(0), Code(1)]))
}

/// Returns the error with these words and the trace below them.
fn trace(spot: &Spot, what: &str, kind: Death) -> Finding {
    let trace = DotnetTrace::read(spot.lines, spot.at, what);
    let what = with_cause(&trace.outer, &trace.inner);
    Finding::at(spot.at..trace.end, kind, what).place(trace.place)
}

/// Maximum number of lines of the host's advice.
const ADVICE: usize = 24;

/// Reads the refusal of a .NET without the framework that the application needs: exit code 150
/// (0x80008096).
fn host(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    is_like(line, &["You must install …NET to run this application.…"]).then_some(())?;
    let end = past_most(lines, at + 1, ADVICE, |line| line.entry.is_none());
    let rest = lines.get(at + 1..end)?;
    let framework = rest
        .iter()
        .find(|line| line.text.starts_with("Framework: "));
    let what = framework.map_or_else(|| line.to_owned(), |it| format!("{line} {}", it.text));
    let last = rest.iter().rposition(|line| !line.is_blank());
    let end = last.map_or(at, |last| at + 1 + last) + 1;
    let finding = Finding::at(at..end, Death::MissingModule, what);
    Some(finding.last_words(&[Code(150), Code(131)]))
}

fn kind(what: &str) -> Death {
    let name = what.split([':', ' ']).next().unwrap_or_default();
    match name.rsplit('.').next().unwrap_or_default() {
        "OutOfMemoryException" => Death::OutOfMemoryHeap,
        "StackOverflowException" | "InsufficientExecutionStackException" => Death::StackOverflow,
        "DllNotFoundException" | "TypeLoadException" => Death::MissingModule,
        "FileNotFoundException" | "FileLoadException"
            if what.contains("Could not load file or assembly") =>
        {
            Death::MissingModule
        }
        _ => Death::UncaughtException,
    }
}

/// Returns true if a line begins with an exception's type: `System.IO.IOException: text`.
fn is_exception(line: &str) -> bool {
    let name = line.split(": ").next().unwrap_or_default();
    name.contains('.')
        && name.ends_with("Exception")
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'`' | b'+'))
}

/// `   at Ns.C.M(String name) in /src/x.cs:line 12`
fn is_frame(line: &str) -> bool {
    line.trim_start()
        .strip_prefix("at ")
        .is_some_and(|called| called.contains('(') && called.contains(')'))
}

/// Maximum number of lines of a message before its frames.
const MESSAGE: usize = 24;

struct DotnetTrace {
    outer: String,
    inner: String,
    place: Option<SourcePlace>,
    end: usize,
}

impl DotnetTrace {
    fn read(lines: &[LogLine], at: usize, what: &str) -> Self {
        // Inner exceptions stand in the message or below it, before all frames.
        let outer = what.split(" ---> ").next().unwrap_or(what);
        let mut causes: Vec<&str> = what.split(" ---> ").skip(1).collect();
        let is_of = |line: &LogLine| {
            is_frame(&line.text)
                || is_like(line.text.trim_start(), &["--- End of …", "---> …"])
                || is_like(&line.text, &["Repeat …", "------------------…"])
        };
        let message = past_most(lines, at + 1, MESSAGE, |line| {
            line.entry.is_none() && !is_of(line)
        });
        let first = if lines.get(message).is_some_and(is_of) {
            message
        } else {
            at + 1
        };
        let end = past(lines, first, is_of);
        let mut place = None;
        for line in lines.get(first..end).unwrap_or_default() {
            if let Some(cause) = line.text.trim_start().strip_prefix("---> ") {
                causes.push(cause.trim_start_matches("(Inner Exception #0) "));
            }
            place = place.or_else(|| frame(&line.text));
        }
        Self {
            outer: outer.trim().to_owned(),
            inner: innermost(causes.iter().map(|it| it.trim_end_matches("<---").trim())),
            place,
            end,
        }
    }
}

fn frame(line: &str) -> Option<SourcePlace> {
    let called = line.trim_start().strip_prefix("at ")?;
    let (function, place) = called.split_once(") in ")?;
    if ["System.", "Microsoft."]
        .iter()
        .any(|own| function.starts_with(own))
    {
        return None;
    }
    let (file, number) = place
        .rsplit_once(":line ")
        .or_else(|| place.rsplit_once(':'))?;
    let place = SourcePlace::new(file, Some(number.trim().parse().ok()?));
    Some(place.within(Some(&format!("{function})"))))
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn an_unhandled_exception_is_told_with_its_innermost_and_the_first_own_frame() {
        let log = "Unhandled exception. System.IO.IOException: Failed to bind to address http://127.0.0.1:5000: address already in use.\n \
            ---> System.Net.Sockets.SocketException (98): Address already in use\n   \
            at System.Net.Sockets.Socket.Bind(EndPoint localEP)\n   --- End of inner exception stack trace ---\n   \
            at Acme.Web.Program.Main(String[] args) in /src/web/Program.cs:line 12\n";
        let found = found(WORDS, log);
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (finding.kind, finding.lines.clone()),
            (Death::UncaughtException, 0..5)
        );
        assert!(finding.what.ends_with(
            "caused by System.Net.Sockets.SocketException (98): Address already in use"
        ));
        assert_eq!(
            finding.place.as_ref().unwrap().to_string(),
            "/src/web/Program.cs:12"
        );
    }
}
