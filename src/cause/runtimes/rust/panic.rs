//! Panics, in the form of all versions: before 1.73 the message stood before the place.

use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, Proof, SourcePlace};
use crate::cause::runtimes::shape::{is_like, past, past_most};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of a message.
const MESSAGE: usize = 40;

/// Exits after a panic: 101 if the main thread panics, SIGABRT in any thread with `panic =
/// "abort"`.
const ENDS: &[ExpectedExit] = &[Code(101), Signal("ABRT"), Signal("ILL")];

/// Reads the panic that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let head = PanicHead::read(lines, at)?;
    let message = head.message(lines, at);
    let (place, end) = rest(lines, message.end, Some(head.place));
    let is_main = head.thread == "main";
    let what = if is_main {
        format!("panic: {}", message.text)
    } else {
        format!("panic in thread '{}': {}", head.thread, message.text)
    };
    let finding = Finding::at(at..end, Death::Panic, what).place(place);
    let mut finding = if is_main {
        // A hook may end the process in its own way, and right then.
        finding.last_words(ENDS).or_said(&[])
    } else {
        finding.said(ENDS)
    };
    if is_sequel(&message.text)
        && let Some((second, others)) = spot.own.split_last()
        && second.kind == Death::Panic
    {
        // The other panic ran in a destructor, while the first one unwound.
        let first = others
            .iter()
            .rev()
            .find(|it| it.proof == second.proof && it.lines != second.lines);
        let first = first.filter(|it| {
            message.text.starts_with("panic in a ")
                && it.kind == Death::Panic
                && it.lines.end + 1 >= second.lines.start
        });
        // This finding tells of both panics and replaces them.
        finding.lines.start = first.map_or(at, |first| first.lines.start);
        finding.what = match first {
            Some(first) => format!("{}; then {}", first.what, second.what),
            None => second.what.clone(),
        };
        finding.place.clone_from(&first.unwrap_or(second).place);
        finding.quoted = first.unwrap_or(second).quoted;
        finding.proof = Proof::LastWords;
    }
    Some(finding)
}

/// Returns true if a panic only says that another one came before it.
fn is_sequel(message: &str) -> bool {
    message.ends_with(": Any { .. }")
        || message.starts_with("panic in a ")
        || message.contains("JoinError::Panic(")
        || message.contains("PoisonError")
}

/// First line of a panic.
struct PanicHead<'a> {
    thread: &'a str,
    /// Message in the first line; in old versions all of it.
    message: Option<&'a str>,
    place: SourcePlace,
}

impl<'a> PanicHead<'a> {
    fn read(lines: &'a [LogLine], at: usize) -> Option<Self> {
        let line = lines.get(at)?.text.strip_prefix("thread '")?;
        let (thread, rest) = line.split_once(" panicked at ")?;
        // `main'`, and in newer versions `main' (1234)`.
        let thread = thread.rsplit_once('\'')?.0;
        if let Some(place) = rest.strip_suffix(':') {
            return Some(Self {
                thread,
                message: None,
                place: place_of(place)?,
            });
        }
        let quoted = rest.strip_prefix('\'')?;
        let (message, place) = if let Some((message, place)) = quoted.rsplit_once("', ") {
            (message, place)
        } else {
            // A message of many lines: the last line has the place.
            let end = lines
                .iter()
                .skip(at + 1)
                .take(MESSAGE)
                .find(|line| line.text.contains("', "))?;
            (quoted, end.text.rsplit_once("', ")?.1)
        };
        let place = place_of(place)?;
        Some(Self {
            thread,
            message: Some(message),
            place,
        })
    }

    fn message(&self, lines: &[LogLine], at: usize) -> PanicMessage {
        let after = lines.get(at + 1..).unwrap_or_default();
        if let Some(first) = self.message {
            let is_one = line_text(lines, at).contains("', ");
            let more = if is_one {
                0
            } else {
                1 + after
                    .iter()
                    .take(MESSAGE)
                    .position(|line| line.text.contains("', "))
                    .unwrap_or(0)
            };
            let more_text = after.get(..more).unwrap_or_default().iter().map(|line| {
                let text = line.text.trim();
                text.rsplit_once("', ").map_or(text, |it| it.0)
            });
            return PanicMessage {
                text: join([first].into_iter().chain(more_text)),
                end: at + 1 + more,
            };
        }
        let is_end = |line: &LogLine| is_like(&line.text, &ENDINGS);
        let is_other = |line: &LogLine| line.entry.is_some() || line.text.starts_with("thread '");
        let count = past_most(after, 0, MESSAGE, |line| !is_end(line) && !is_other(line));
        let count = if after.get(count).is_some_and(is_end) {
            count
        } else {
            // Only the first panic of a process has the note. The others end with the operands of
            // an assertion.
            past(after, 1, |line| {
                is_like(&line.text, &["  left: …", " right: …"])
            })
        };
        let message = after.get(..count.min(after.len())).unwrap_or_default();
        PanicMessage {
            text: join(message.iter().map(|line| line.text.trim())),
            end: at + 1 + message.len(),
        }
    }
}

struct PanicMessage {
    text: String,
    end: usize,
}

/// Joins lines into one.
fn join<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut whole = String::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let is_operand = line.starts_with("left: ") || line.starts_with("right: ");
        whole.push_str(if whole.is_empty() {
            ""
        } else if is_operand {
            ", "
        } else {
            " "
        });
        whole.push_str(line);
    }
    whole
}

/// Reads `src/main.rs:3:5`.
fn place_of(text: &str) -> Option<SourcePlace> {
    let (rest, _column) = text.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some(SourcePlace::new(file, Some(line.parse().ok()?)))
}

/// Returns true if a file is the application's own.
pub fn is_own(file: &str) -> bool {
    const OTHERS: [&str; 6] = [
        "/rustc/…",
        "library/…",
        "./csu/…",
        "….cargo/registry/…",
        "…/rustlib/src/rust/…",
        "….cargo/git/…",
    ];
    !is_like(file, &OTHERS)
}

/// Shapes of the lines after a message.
const ENDINGS: [&str; 2] = ["note: run with `RUST_BACKTRACE=…", "stack backtrace:…"];
const REST: [&str; 4] = [
    "stack backtrace:…",
    "note: …",
    "thread caused non-unwinding panic. aborting.…",
    "thread panicked while p…",
];

/// Reads what follows the message: the note or the backtrace. Returns the place and the line after
/// it.
pub fn rest(
    lines: &[LogLine],
    from: usize,
    place: Option<SourcePlace>,
) -> (Option<SourcePlace>, usize) {
    let mut frame = None;
    let mut i = from;
    while let Some(line) = lines.get(i) {
        let trimmed = line.text.trim_start();
        if let Some(at) = trimmed
            .strip_prefix("at ")
            .filter(|_| line.text.starts_with("      "))
        {
            frame = frame.or_else(|| place_of(at).filter(|place| is_own(&place.file)));
        } else if !is_frame(trimmed) && !is_like(&line.text, &REST) {
            break;
        }
        i += 1;
    }
    let place = match place {
        Some(place) if is_own(&place.file) => Some(place),
        other => frame.or(other),
    };
    (place, i.min(lines.len()))
}

/// `  12: app::main`
fn is_frame(trimmed: &str) -> bool {
    trimmed
        .split_once(": ")
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Reads what hooks print of a panic: the form of the `color-eyre` crate, and the plain panic.
pub fn hooked(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    if line == "The application panicked (crashed)." {
        let what = line_text(lines, at + 1).strip_prefix("Message:")?.trim();
        let location = line_text(lines, at + 2)
            .strip_prefix("Location:")
            .map(str::trim);
        let place = location.and_then(|location| place_of(&format!("{location}:0")));
        let end = past(lines, at + 2, |line| {
            line.entry.is_none()
                && (line.is_blank()
                    || is_like(
                        &line.text,
                        &["  …", "Run with …", "Location:…", "Backtrace omitted…"],
                    ))
        });
        let finding = Finding::at(at..end, Death::Panic, format!("panic: {what}"));
        return Some(finding.place(place).last_words(ENDS));
    }
    let message = spot.line.message();
    let (before, rest) = message.split_once("panicked at ")?;
    let is_own = before.is_empty() || spot.line.entry.is_some() && before.ends_with(": ");
    let place = place_of(rest.strip_suffix(':')?).filter(|_| is_own)?;
    let what = format!("panic: {}", line_text(lines, at + 1).trim());
    let finding = Finding::at(at..(at + 2).min(lines.len()), Death::Panic, what);
    Some(finding.place(Some(place)))
}

/// Maximum number of lines of `human-panic`'s message.
const HUMAN: usize = 20;

/// Reads the `human-panic` crate's message to users.
pub fn human(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let rest = lines.get(at + 1..)?;
    let rest = rest.get(..rest.len().min(HUMAN))?;
    let quoted = rest
        .iter()
        .position(|line| line.text.contains(" had a problem and crashed."))?;
    let thanks = rest
        .iter()
        .rposition(|line| line.text.starts_with("Thank you"));
    let end = at + 2 + thanks.unwrap_or(quoted);
    let report = rest.iter().find_map(|line| {
        line.text
            .split_once("report file at \"")?
            .1
            .split('.')
            .next()
    });
    let said = rest.get(quoted)?.text.split(" To help us").next()?;
    let what = report.map_or_else(
        || said.to_owned(),
        |report| format!("{said} Report: {report}.toml"),
    );
    let finding = Finding::at(at..end, Death::Panic, what).quoted(at + 1 + quoted);
    Some(finding.last_words(ENDS))
}

#[cfg(test)]
mod tests {
    use crate::cause::finding::{Finding, Proof};
    use crate::cause::runtimes::{found, rust};

    fn read(log: &str) -> Vec<Finding> {
        found(rust::WORDS, log)
    }

    #[test]
    fn the_forms_of_all_versions_are_read() {
        for (log, what, place) in [
            (
                "thread 'main' panicked at 'boom', src/main.rs:3:5\nnote: run with `RUST_BACKTRACE=1` environment",
                "boom",
                "src/main.rs:3",
            ),
            (
                "thread 'main' panicked at 'one\ntwo', src/main.rs:3:5\n",
                "one two",
                "src/main.rs:3",
            ),
            (
                "thread 'main' panicked at src/main.rs:3:5:\nboom\nsecond\nnote: run with `RUST_BACKTRACE=1`",
                "boom second",
                "src/main.rs:3",
            ),
            (
                "\nthread 'main' (9004) panicked at src/main.rs:3:5:\nboom\n  left: 3\n right: 4\nWARN next",
                "boom, left: 3, right: 4",
                "src/main.rs:3",
            ),
            (
                "thread 'main' panicked at /rustc/5980/library/core/src/cell.rs:7:1:\nalready borrowed\nstack backtrace:\n   0: core::x\n             at /rustc/5980/library/core/src/x.rs:1:2\n   1: app::run\n             at ./src/run.rs:8:2\n",
                "already borrowed",
                "./src/run.rs:8",
            ),
        ] {
            let found = read(log);
            let finding = found.first().unwrap_or_else(|| panic!("{log}"));
            assert_eq!(finding.what, format!("panic: {what}"));
            assert_eq!(finding.place.as_ref().unwrap().to_string(), place);
            assert_eq!(finding.proof, Proof::LastWords);
        }
    }

    #[test]
    fn a_panic_that_only_passes_on_another_is_told_by_the_first() {
        let found = read(
            "thread '<unnamed>' panicked at src/work.rs:9:5:\nqueue is gone\nnote: run with `RUST_BACKTRACE=1`\n\
             thread 'main' panicked at src/main.rs:3:5:\ncalled `Result::unwrap()` on an `Err` value: Any { .. }\n",
        );
        assert_eq!(found[0].proof, Proof::Said);
        assert_eq!(found[1].what, "panic in thread '<unnamed>': queue is gone");
        assert_eq!(
            found[1].place.as_ref().unwrap().to_string(),
            "src/work.rs:9"
        );
    }
}
