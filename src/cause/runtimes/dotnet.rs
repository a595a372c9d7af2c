//! .NET: the words of its runtime and its host as they end a process.

use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace, with_cause};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut i = 0;
    while i < lines.len() {
        let finding = lines
            .get(i)
            .filter(|line| line.entry.is_none() || line.text.starts_with(MONO))
            .and_then(|_| death(lines, i));
        i = finding.as_ref().map_or(i, |finding| finding.lines.end - 1) + 1;
        found.extend(finding);
    }
}

/// Beginning of Mono's last words, which look like a logger's.
const MONO: &str = "[ERROR] FATAL UNHANDLED EXCEPTION: ";

const ABORTED: &[ExpectedExit] = &[ExpectedExit::Signal("ABRT")];

/// Reads the death that begins at this line.
fn death(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = line_text(lines, at);
    let next = line_text(lines, at + 1);
    let of = |what: &str, kind: Death, proof: Proof, ends: &'static [ExpectedExit]| {
        let trace = DotnetTrace::read(lines, at, what);
        Some(Finding {
            lines: at..trace.end,
            quoted: at,
            kind,
            what: with_cause(&trace.outer, &trace.inner),
            place: trace.place,
            proof,
            ends,
        })
    };
    let unhandled = line
        .strip_prefix("Unhandled exception. ")
        .or_else(|| line.strip_prefix("Unhandled Exception: "));
    if let Some(what) = unhandled {
        return of(what, kind(what), Proof::LastWords, ABORTED);
    }
    if let Some(what) = line.strip_prefix(MONO) {
        return of(
            what,
            kind(what),
            Proof::LastWords,
            &[
                ExpectedExit::Code(1),
                ExpectedExit::Code(255),
                ExpectedExit::Signal("ABRT"),
            ],
        );
    }
    if let Some(what) = line
        .strip_prefix("Process terminated. ")
        .filter(|_| is_frame(next))
    {
        let kind = if what.starts_with("Assertion failed") {
            Death::Assertion
        } else {
            Death::Abort
        };
        return of(what, kind, Proof::LastWords, ABORTED);
    }
    if line.trim_end() == "Stack overflow." && (is_frame(next) || next.starts_with("Repeat ")) {
        return of(line, Death::StackOverflow, Proof::LastWords, ABORTED);
    }
    if line == "Out of memory." {
        return of(line, Death::OutOfMemoryHeap, Proof::LastWords, ABORTED);
    }
    if line.starts_with("You must install or update .NET to run this application.")
        || line.starts_with("You must install .NET to run this application.")
    {
        return Some(host(lines, at));
    }
    // A program printed the exception, or a logger did below its entry.
    (is_exception(line.trim_start()) && (is_frame(next) || next.trim_start().starts_with("---> ")))
        .then(|| of(line.trim_start(), kind(line.trim_start()), Proof::Said, &[]))?
}

/// Reads the refusal of a .NET without the framework that the application needs: exit code 150
/// (0x80008096).
fn host(lines: &[LogLine], at: usize) -> Finding {
    let rest = lines.get(at + 1..).unwrap_or_default();
    let count = rest
        .iter()
        .take(24)
        .take_while(|line| line.entry.is_none())
        .count();
    let rest = rest.get(..count).unwrap_or_default();
    let framework = rest
        .iter()
        .find(|line| line.text.starts_with("Framework: "));
    let what = framework.map_or_else(String::new, |line| format!(" {}", line.text));
    Finding {
        lines: at..at
            + 1
            + rest
                .iter()
                .rposition(|line| !line.is_blank())
                .map_or(0, |last| last + 1),
        quoted: at,
        kind: Death::MissingModule,
        what: line_text(lines, at).to_owned() + &what,
        place: None,
        proof: Proof::LastWords,
        ends: &[ExpectedExit::Code(150), ExpectedExit::Code(131)],
    }
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
        let mut inner = what;
        // Inner exceptions stand in the message or below it, before all frames.
        let head = what.split(" ---> ");
        let outer = head.clone().next().unwrap_or(what);
        if let Some(last) = head.last() {
            inner = last;
        }
        let rest = lines.get(at + 1..).unwrap_or_default();
        let is_of = |line: &LogLine| {
            is_frame(&line.text)
                || line.text.trim_start().starts_with("--- End of ")
                || line.text.trim_start().starts_with("---> ")
                || line.text.starts_with("Repeat ")
                || line.text.starts_with("------------------")
        };
        let message = rest
            .iter()
            .take(MESSAGE)
            .take_while(|line| line.entry.is_none() && !is_of(line))
            .count();
        let message = if rest.get(message).is_some_and(is_of) {
            message
        } else {
            0
        };
        let mut place = None;
        let mut i = message;
        while let Some(line) = rest.get(i).filter(|line| is_of(line)) {
            if let Some(cause) = line.text.trim_start().strip_prefix("---> ") {
                inner = cause.trim_start_matches("(Inner Exception #0) ");
            }
            place = place.or_else(|| frame(&line.text));
            i += 1;
        }
        Self {
            outer: outer.trim().to_owned(),
            inner: inner.trim_end_matches("<---").trim().to_owned(),
            place,
            end: at + 1 + i,
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
    Some(SourcePlace {
        file: file.to_owned(),
        line: Some(number.trim().parse().ok()?),
        function: Some(format!("{function})")),
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::cause::text;
    use crate::report::Death;

    #[test]
    fn an_unhandled_exception_is_told_with_its_innermost_and_the_first_own_frame() {
        let log = "Unhandled exception. System.IO.IOException: Failed to bind to address http://127.0.0.1:5000: address already in use.\n \
            ---> System.Net.Sockets.SocketException (98): Address already in use\n   \
            at System.Net.Sockets.Socket.Bind(EndPoint localEP)\n   --- End of inner exception stack trace ---\n   \
            at Acme.Web.Program.Main(String[] args) in /src/web/Program.cs:line 12\n";
        let mut found = Vec::new();
        read(&text::read(log), &mut found);
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
