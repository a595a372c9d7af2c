//! Perl: `… at spool.pl line 2.`, which `die` and `warn` print alike, and errors of compiling.

use super::shape::{is_like, number, past, past_most};
use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&[" line ", "\nCan't locate "], died)
        .raw()
        .unless(&UNLESS),
    RuntimeWords::new(&["\nCan't open perl script \""], |spot| {
        let kind = beneath::kind(spot.text()).unwrap_or(Death::NoSuchFile);
        Some(refusal(spot, kind).last_words(&[Code(2), Code(13)]))
    }),
    RuntimeWords::new(&["\nUnrecognized switch: "], |spot| {
        Some(refusal(spot, Death::BadArguments).last_words(&[Code(29)]))
    }),
    RuntimeWords::new(
        &["\nOut of memory!\n", "\nOut of memory in perl:"],
        |spot| Some(refusal(spot, Death::OutOfMemoryHeap).said(&[Code(1)])),
    ),
];

/// Lines that look like errors and end nothing: the warnings of perldiag(1), calls within a stack,
/// and the verdict below an error.
const UNLESS: [&str; 25] = [
    " …",
    "\t…",
    "Use of uninitialized value…",
    "Use of freed value…",
    "Argument \"…",
    "Odd number of elements in…",
    "Reference found where even-sized list expected…",
    "Deep recursion on …",
    "Useless use of …",
    "Possible …",
    "Scalar value @…",
    "substr outside of string…",
    "Wide character in …",
    "Unquoted string \"…",
    "Subroutine … redefined at …",
    "Constant subroutine … redefined at …",
    "Name \"…used only once: possible typo…",
    "\"my\" variable … masks earlier declaration…",
    "\"our\" variable … masks earlier declaration…",
    "\"our\" variable … redefined at …",
    VERDICTS[0],
    VERDICTS[1],
    VERDICTS[2],
    VERDICTS[3],
    VERDICTS[4],
];

/// Shapes of the lines in which Perl says that it gives up on compiling.
const VERDICTS: [&str; 5] = [
    "BEGIN failed--compilation aborted…",
    "Compilation failed in require at …",
    "Execution of … aborted due to compilation errors.",
    "… had compilation errors.",
    "… has too many errors.",
];

/// Shapes of what only the compiler says.
const SYNTAX: [&str; 7] = [
    "syntax error…",
    "Global symbol \"…",
    "Bareword \"…",
    "Can't find string terminator…",
    "Missing right …",
    "Unmatched right …",
    "Unrecognized character…",
];

/// Maximum number of errors before Perl gives up on compiling; each may quote some lines.
const ERRORS: usize = 40;

/// Reads `MESSAGE at FILE line N.`, with `, <FH> line 3.` or `, near "…"` after it.
fn message(text: &str) -> Option<(&str, SourcePlace)> {
    let at = text.rfind(" line ")?;
    // Perl adds the file that it was reading: `at x.pl line 2, <STDIN> line 3.`
    let at = if text.get(..at)?.ends_with('>') {
        text.get(..at)?.rfind(" line ")?
    } else {
        at
    };
    let (before, rest) = (text.get(..at)?, text.get(at + " line ".len()..)?);
    let (line, after) = number(rest)?;
    is_like(after, &[".", ", <….", ", near …", ", at EOF…"]).then_some(())?;
    let (message, file) = before.rsplit_once(" at ")?;
    let is_place = !message.is_empty() && !file.is_empty() && !file.contains(char::is_whitespace);
    is_place.then(|| (message, SourcePlace::new(file, Some(line))))
}

fn is_own(file: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "(…",
        "…/usr/share/perl…",
        "…/usr/lib/…",
        "…/usr/local/share/perl…",
        "…/usr/local/lib/…",
        "…/lib/perl5/…",
        "…/perl5/lib/…",
    ];
    !is_like(file, &OTHERS)
}

fn died(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let text = spot.text();
    let (what, mut place) = match message(text) {
        Some((what, place)) => (what, Some(place)),
        // `perl -MNAME` has no place.
        None if is_like(text, &["Can't locate …(@INC …"]) => (text.trim_end(), None),
        None => return None,
    };
    // Carp's stack.
    let calls = past(lines, at + 1, |line| {
        line.text.starts_with([' ', '\t']) && line.text.contains(" called at ")
    });
    for call in lines.get(at + 1..calls)? {
        if place.as_ref().is_none_or(|place| is_own(&place.file)) {
            break;
        }
        let called = call.text.rsplit_once(" called at ");
        place = called.and_then(|(_, at)| caller(at)).or(place);
    }
    let verdict = verdict(lines, at);
    let end = verdict.unwrap_or(calls);
    let is_compiling = verdict.is_some();
    let kind = match what {
        _ if is_like(what, &["Can't locate …@INC…", "Can't load '…for module…"]) => {
            Death::MissingModule
        }
        _ if is_compiling && !what.contains("BEGIN") && is_like(what, &SYNTAX) => {
            Death::SyntaxError
        }
        _ if is_compiling && what.contains("syntax error") => Death::SyntaxError,
        _ => Death::UncaughtException,
    };
    let finding = Finding::at(at..end, kind, what).place(place);
    Some(if is_compiling {
        finding.last_words(&[])
    } else {
        finding
    })
}

/// Returns the line after the verdict on compiling, to which this error and those below it have
/// led.
fn verdict(lines: &[LogLine], at: usize) -> Option<usize> {
    let is_verdict = |line: &LogLine| is_like(&line.text, &VERDICTS);
    // Until the verdict there are only more errors and the code near them.
    let first = past_most(lines, at + 1, ERRORS, |line| {
        let is_code = || line.text.starts_with([' ', '\t', '(', '"']) || line.text.ends_with('"');
        let is_inner = || !is_verdict(line) && (is_code() || message(&line.text).is_some());
        line.entry.is_none() && is_inner()
    });
    let end = past(lines, first, is_verdict);
    (end > first).then_some(end)
}

/// Reads `FILE line N`.
fn caller(text: &str) -> Option<SourcePlace> {
    let (file, line) = text.rsplit_once(" line ")?;
    let line = line.trim_end_matches('.').parse().ok()?;
    Some(SourcePlace::new(file, Some(line)))
}

/// Returns how Perl says that it cannot begin, or cannot go on.
fn refusal(spot: &Spot, kind: Death) -> Finding {
    Finding::at(spot.at..spot.at + 1, kind, spot.text().trim_end())
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::cause::finding::Proof;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn the_forms_of_die_are_read_but_prove_nothing() {
        for log in [
            "bad entry at spool.pl line 2.",
            "bad entry at spool.pl line 2, <STDIN> line 7.",
            "bad entry at /usr/share/perl/5.36/IO/File.pm line 9.\n\tIO::File::f() called at spool.pl line 2\n",
        ] {
            let it = found(WORDS, log).remove(0);
            assert_eq!(
                (it.what.as_str(), it.place.unwrap().to_string().as_str()),
                ("bad entry", "spool.pl:2"),
                "{log}"
            );
            assert_eq!(it.proof, Proof::Said);
        }
    }

    #[test]
    fn a_program_that_does_not_compile_is_told_by_its_first_error() {
        let log = "Global symbol \"$t\" requires explicit package name at a.pl line 2.\n\
                   syntax error at a.pl line 3, near \"= ;\"\nExecution of a.pl aborted due to compilation errors.\n";
        let it = found(WORDS, log).remove(0);
        assert_eq!(
            (it.kind, it.proof, it.lines),
            (Death::SyntaxError, Proof::LastWords, 0..3)
        );
        let log = "Can't locate X.pm in @INC (@INC contains: /etc/perl) at a.pl line 1.\nBEGIN failed--compilation aborted at a.pl line 1.\n";
        assert_eq!(found(WORDS, log).remove(0).kind, Death::MissingModule);
    }

    #[test]
    fn lines_that_only_look_alike_are_skipped() {
        for log in [
            "stopped at the end of line 3.",
            "look at x line y.",
            " at x line 2.",
            "error at line 3.",
            "a at b line 99999999999.",
        ] {
            assert!(found(WORDS, log).is_empty(), "{log}");
        }
    }
}
