//! Go: panics and the runtime's fatal errors, each with the dump of its goroutines.

mod dump;
mod returned;

pub use dump::Dump;

use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::{Code, Signal};
use crate::cause::finding::{Finding, with_cause};
use crate::cause::stamp;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["\npanic: ", "\nfatal error: "], death).raw(),
    RuntimeWords::new(&["\nPC="], death).below(1).raw(),
    RuntimeWords::new(&[" data race(s)\n"], race),
    RuntimeWords::new(&dump::SOURCES, returned::read).below(3),
];

/// Reads the death that begins at this line.
fn death(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let head = spot.text();
    let is_panic = head.starts_with("panic: ");
    let (kind, what, from) = if is_panic {
        let (what, from) = panic(lines, at);
        (Death::Panic, what, from)
    } else if let Some(error) = head.strip_prefix("fatal error: ") {
        fatal(lines, at, error)
    } else if head.starts_with("SIG") && line_text(lines, at + 1).starts_with("PC=") {
        signal(lines, at)
    } else {
        return None;
    };
    let dump = Dump::read(lines, from);
    // Git and others say `fatal error: ` too.
    let is_deadlock = head.starts_with("fatal error: ") && head.ends_with(" - deadlock!");
    if dump.end == from && !is_panic && !is_deadlock {
        return None;
    }
    let is_run = line_text(lines, dump.end).starts_with("exit status ");
    let finding = Finding::at(at..dump.end + usize::from(is_run), kind, what)
        // A signal from outside may arrive anywhere.
        .place(dump.place.filter(|_| kind != Death::KilledBySignal));
    // Without a dump many programs use these words. A stack that the program asked for is only
    // logged.
    Some(if dump.end == from && !is_deadlock || dump.is_asked_for {
        finding
    } else if is_run {
        // `go run` says `exit status 2` and ends with 1; other wrappers end with 2.
        finding.last_words(&[Code(1), Code(2)])
    } else {
        // After `panic` and `throw`. They abort with `GOTRACEBACK=crash`. See the documentation of
        // the package runtime.
        finding.last_words(&[Code(2), Signal("ABRT")])
    })
}

/// Reads the race detector's last line: `Found 1 data race(s)`.
fn race(spot: &Spot) -> Option<Finding> {
    let text = spot.text();
    let count = text.strip_prefix("Found ")?.strip_suffix(" data race(s)")?;
    let finding = Finding::at(spot.at..spot.at + 1, Death::Abort, text);
    // See the detector's documentation.
    let finding = finding.last_words(&[Code(66), Code(1)]);
    count.bytes().all(|b| b.is_ascii_digit()).then_some(finding)
}

/// Maximum number of lines of a panic's value.
const VALUE: usize = 40;

/// Returns the panic's words and the line after them.
fn panic(lines: &[LogLine], at: usize) -> (String, usize) {
    let rest = lines.get(at..).unwrap_or_default();
    let is_after =
        |line: &LogLine| line.text.starts_with("[signal ") || line.text.starts_with("goroutine ");
    let value = rest
        .iter()
        .take(VALUE)
        .take_while(|line| line.entry.is_none() && !is_after(line))
        .count();
    if !rest.get(value).is_some_and(is_after) {
        // Without a dump (GOTRACEBACK=none) the end of the value is unknown.
        return (line_text(lines, at).to_owned(), at + 1);
    }
    let value = rest.get(..value).unwrap_or_default();
    let mut what = String::new();
    let mut last = "";
    for line in value.iter().filter(|line| !line.is_blank()) {
        let said = line.text.trim();
        let said = said.split(" [recovered").next().unwrap_or(said);
        if what.is_empty() {
            what.push_str(said);
        } else if let Some(next) = said.strip_prefix("panic: ") {
            // A panic while another one unwound, or the same one raised again.
            if !last.contains(next) {
                what.push_str("; then panic: ");
                what.push_str(next);
            }
        } else {
            what.push(' ');
            what.push_str(said);
        }
        last = said;
    }
    // A value that is neither an error nor a string is shown by its address. The logger that raised
    // it wrote the words.
    let entry = at
        .checked_sub(1)
        .and_then(|before| lines.get(before)?.entry.as_ref());
    if let Some(entry) = entry.filter(|entry| entry.is_error()) {
        if what.contains(") 0x") {
            what = format!("panic: {}", entry.message);
        } else if beneath::kind(&what).is_none() && beneath::kind(&entry.message).is_some() {
            what = with_cause(&what, &entry.message);
        }
    }
    (what, at + value.len())
}

/// Maximum number of goroutines that find the same fault at the same time.
const GOROUTINES: usize = 8;
/// Maximum number of lines of other goroutines between a fatal error and its dump.
const BETWEEN: usize = 3;

fn fatal(lines: &[LogLine], at: usize, error: &str) -> (Death, String, usize) {
    // Only one of the goroutines dumps.
    let again = lines
        .get(at + 1..)
        .unwrap_or_default()
        .iter()
        .take(GOROUTINES);
    let at = at
        + again
            .take_while(|line| line.text.starts_with("fatal error: "))
            .count();
    // The runtime writes in parts. Another goroutine's line may stand between two of them.
    let said = (at + 1..at + 1 + BETWEEN).filter(|i| !line_text(lines, *i).is_empty());
    let others = said
        .take_while(|i| !is_dump(line_text(lines, *i)))
        .collect::<Vec<_>>();
    let dump = others.last().map_or(at + 1, |last| last + 1);
    let dump = dump + usize::from(line_text(lines, dump).is_empty());
    let is_split = is_dump(line_text(lines, dump));
    let error = match others.first() {
        Some(rest) if is_split && stamp::read(error).is_some() => line_text(lines, *rest),
        _ => error,
    };
    let at = if is_split { dump - 1 } else { at };
    let what = format!("fatal error: {error}");
    let signal = (at + 1..at + 4)
        .map(|i| line_text(lines, i))
        .find_map(|line| line.strip_prefix("[signal "));
    match signal {
        _ if error.contains("stack overflow") => (Death::StackOverflow, what, at + 1),
        _ if error.contains("out of memory") || error.contains("cannot allocate memory") => {
            (Death::OutOfMemoryHeap, what, at + 1)
        }
        Some(signal) => {
            let name = signal.split(" code=").next().unwrap_or(signal);
            let kind = if name.starts_with("SIGSEGV") {
                Death::Segfault
            } else {
                Death::Panic
            };
            (kind, format!("{what}: {name}"), at + 1)
        }
        None => (Death::Panic, what, at + 1),
    }
}

/// Returns true if a fatal error's dump begins with this line.
fn is_dump(text: &str) -> bool {
    ["goroutine ", "runtime stack:", "[signal "]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Reads a signal that ended the program with a dump. It came from outside, or from C code.
fn signal(lines: &[LogLine], at: usize) -> (Death, String, usize) {
    let head = line_text(lines, at);
    let is_in_c =
        (at + 1..at + 5).any(|i| line_text(lines, i).starts_with("signal arrived during cgo"));
    let what = format!(
        "{head}{}",
        if is_in_c {
            ", during the execution of C code"
        } else {
            ""
        }
    );
    let kind = match head.split(':').next() {
        Some("SIGSEGV") => Death::Segfault,
        Some("SIGABRT") => Death::Abort,
        _ => Death::KilledBySignal,
    };
    (kind, what, at + 1)
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::cause::finding::Proof;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn the_frame_is_the_application_s_whatever_stands_above_it() {
        let found = found(
            WORDS,
            "panic: boom [recovered]\n\tpanic: boom\n\ngoroutine 1 [running]:\n\
             testing.tRunner.func1.2({0x4f0a60, 0x53c2b8})\n\t/usr/lib/go-1.19/src/testing/testing.go:1396 +0x24e\n\
             panic({0x4f0a60, 0x53c2b8})\n\t/usr/lib/go-1.19/src/runtime/panic.go:890 +0x262\n\
             github.com/a/b.(*C).D(0x0)\n\t/root/go/pkg/mod/github.com/a/b@v1.2.3/c.go:12 +0x1d\n\
             example.com/app/web.(*Server).Run(...)\n\t/srv/app/web/server.go:31\nmain.main()\n\t/srv/app/main.go:7 +0x2e\n\
             \ngoroutine 18 [select]:\nmain.other()\n\t/srv/app/other.go:7 +0x2e\ncreated by main.main\n\t/srv/app/main.go:3 +0x1\n\
             INFO next\n",
        );
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(finding.what, "panic: boom");
        assert_eq!(
            finding.place.as_ref().unwrap().to_string(),
            "/srv/app/web/server.go:31"
        );
        assert_eq!(
            (finding.lines.clone(), finding.proof),
            (0..20, Proof::LastWords)
        );
    }

    #[test]
    fn a_stack_that_was_asked_for_is_only_said() {
        let found = found(
            WORDS,
            "panic: boom\n\ngoroutine 6 [running]:\nruntime/debug.Stack()\n\t/usr/lib/go-1.19/src/runtime/debug/stack.go:24 +0x65\n\
             main.handle()\n\t/srv/app/main.go:7 +0x2e\n",
        );
        assert_eq!(found[0].proof, Proof::Said);
    }

    #[test]
    fn a_fatal_error_of_git_is_none_of_go() {
        assert!(found(WORDS, "fatal error: cannot read the index\nbye\n").is_empty());
    }

    #[test]
    fn a_second_panic_and_a_signal_are_told() {
        let found = found(
            WORDS,
            "panic: first\n\tpanic: second line one\nand two\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]\n\n\
             goroutine 1 [running]:\nmain.main()\n\tcommand-line-arguments/main.go:7 +0x2e\nexit status 2\n",
        );
        assert_eq!(
            found[0].what,
            "panic: first; then panic: second line one and two"
        );
        assert_eq!(
            (found[0].kind, found[0].lines.clone()),
            (Death::Panic, 0..9)
        );
    }
}
