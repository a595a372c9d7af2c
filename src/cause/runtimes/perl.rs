//! Perl: `… at spool.pl line 2.`, which `die` and `warn` print alike, and errors of compiling.

use crate::cause::beneath;
use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Maximum number of errors before Perl gives up on compiling; each may quote some lines.
const ERRORS: usize = 40;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut i = 0;
    while let Some(line) = lines.get(i) {
        i = died(lines, i, found)
            .or_else(|| refusal(i, line, found))
            .unwrap_or(i + 1);
    }
}

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
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let line = rest.get(..digits)?.parse().ok()?;
    let after = rest.get(digits..)?;
    if !(after == "."
        || after.starts_with(", <") && after.ends_with('.')
        || after.starts_with(", near ")
        || after.starts_with(", at EOF"))
    {
        return None;
    }
    let (message, file) = before.rsplit_once(" at ")?;
    if message.is_empty() || file.is_empty() || file.contains(char::is_whitespace) {
        return None;
    }
    Some((
        message,
        SourcePlace {
            file: file.to_owned(),
            line: Some(line),
            function: None,
        },
    ))
}

fn is_own(file: &str) -> bool {
    ![
        "/usr/share/perl",
        "/usr/lib/",
        "/usr/local/share/perl",
        "/usr/local/lib/",
        "/lib/perl5/",
        "/perl5/lib/",
    ]
    .iter()
    .any(|path| file.contains(path))
        && !file.starts_with('(')
}

fn died(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let line = lines.get(i).filter(|line| line.entry.is_none())?;
    if !line.text.contains(" line ") && !line.text.starts_with("Can't locate ") {
        return None;
    }
    if line.text.starts_with(['\t', ' ']) || is_verdict(&line.text) || is_warning(&line.text) {
        return None;
    }
    let (what, mut place) = match message(&line.text) {
        Some((what, place)) => (what, Some(place)),
        // `perl -MNAME` has no place.
        None if line.text.starts_with("Can't locate ") && line.text.contains("(@INC ") => {
            (line.text.trim_end(), None)
        }
        None => return None,
    };
    let rest = lines.get(i + 1..)?;
    // Carp's stack.
    let calls = rest
        .iter()
        .take_while(|line| line.text.starts_with('\t') && line.text.contains(" called at "))
        .count();
    for call in rest.iter().take(calls) {
        if place.as_ref().is_none_or(|place| is_own(&place.file)) {
            break;
        }
        place = call
            .text
            .rsplit_once(" called at ")
            .and_then(|(_, at)| caller(at))
            .or(place);
    }
    let mut end = i + 1 + calls;
    let compiling = rest
        .iter()
        .take(ERRORS)
        .take_while(|line| line.entry.is_none())
        .position(|line| is_verdict(&line.text));
    // Until the verdict there are only more errors and the code near them.
    let is_compiling = compiling.is_some_and(|length| {
        rest.iter().take(length).all(|line| {
            message(&line.text).is_some()
                || line.text.starts_with([' ', '\t', '(', '"'])
                || line.text.ends_with('"')
                || is_verdict(&line.text)
        })
    });
    if let Some(length) = compiling.filter(|_| is_compiling) {
        let verdicts = rest
            .iter()
            .skip(length)
            .take_while(|line| is_verdict(&line.text))
            .count();
        end = i + 1 + length + verdicts;
    }
    let kind = match what {
        _ if what.starts_with("Can't locate ") && what.contains("@INC") => Death::MissingModule,
        _ if what.starts_with("Can't load '") && what.contains("for module") => {
            Death::MissingModule
        }
        _ if is_compiling && !what.contains("BEGIN") && is_syntax(what) => Death::SyntaxError,
        _ if what.contains("syntax error") && is_compiling => Death::SyntaxError,
        _ => Death::UncaughtException,
    };
    let proof = if is_compiling {
        Proof::LastWords
    } else {
        Proof::Said
    };
    found.push(Finding {
        lines: i..end,
        quoted: i,
        kind,
        what: what.to_owned(),
        place,
        proof,
        ends: &[],
    });
    Some(end)
}

/// Reads `FILE line N`.
fn caller(text: &str) -> Option<SourcePlace> {
    let (file, line) = text.rsplit_once(" line ")?;
    let line = line.trim_end_matches('.').parse().ok()?;
    Some(SourcePlace {
        file: file.to_owned(),
        line: Some(line),
        function: None,
    })
}

/// Returns true if a line is one of the warnings of perldiag(1). They look like errors but end
/// nothing.
fn is_warning(text: &str) -> bool {
    const WARNINGS: [&str; 12] = [
        "Use of uninitialized value",
        "Use of freed value",
        "Argument \"",
        "Odd number of elements in",
        "Reference found where even-sized list expected",
        "Deep recursion on ",
        "Useless use of ",
        "Possible ",
        "Scalar value @",
        "substr outside of string",
        "Wide character in ",
        "Unquoted string \"",
    ];
    let redefines = |words: &str| text.contains(words);
    WARNINGS.iter().any(|words| text.starts_with(words))
        || [
            "Subroutine ",
            "Constant subroutine ",
            "Name \"",
            "\"my\" variable ",
            "\"our\" variable ",
        ]
        .iter()
        .any(|words| text.starts_with(words))
            && [
                " redefined at ",
                "used only once: possible typo",
                " masks earlier declaration",
            ]
            .into_iter()
            .any(redefines)
}

/// Returns true if only the compiler says this.
fn is_syntax(what: &str) -> bool {
    [
        "syntax error",
        "Global symbol \"",
        "Bareword \"",
        "Can't find string terminator",
        "Missing right ",
        "Unmatched right ",
        "Unrecognized character",
    ]
    .iter()
    .any(|words| what.starts_with(words))
}

/// Returns true if Perl says that it gives up on compiling.
fn is_verdict(text: &str) -> bool {
    text.starts_with("BEGIN failed--compilation aborted")
        || text.starts_with("Compilation failed in require at ")
        || text.starts_with("Execution of ")
            && text.ends_with(" aborted due to compilation errors.")
        || text.ends_with(" had compilation errors.")
        || text.ends_with(" has too many errors.")
}

/// Reads how Perl says that it cannot begin, or cannot go on. Returns the line after it.
fn refusal(i: usize, line: &LogLine, found: &mut Vec<Finding>) -> Option<usize> {
    let text = line.text.trim_end();
    let (kind, proof, ends): (_, _, &'static [ExpectedExit]) =
        if text.starts_with("Can't open perl script \"") {
            (
                beneath::kind(text).unwrap_or(Death::NoSuchFile),
                Proof::LastWords,
                &[ExpectedExit::Code(2), ExpectedExit::Code(13)],
            )
        } else if text.starts_with("Unrecognized switch: ") {
            (
                Death::BadArguments,
                Proof::LastWords,
                &[ExpectedExit::Code(29)],
            )
        } else if text == "Out of memory!" || text.starts_with("Out of memory in perl:") {
            (
                Death::OutOfMemoryHeap,
                Proof::Said,
                &[ExpectedExit::Code(1)],
            )
        } else {
            return None;
        };
    found.push(Finding {
        lines: i..i + 1,
        quoted: i,
        kind,
        what: text.to_owned(),
        place: None,
        proof,
        ends,
    });
    Some(i + 1)
}

#[cfg(test)]
mod tests {
    use super::read;
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
            let it = found(read, log).remove(0);
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
        let it = found(read, log).remove(0);
        assert_eq!(
            (it.kind, it.proof, it.lines),
            (Death::SyntaxError, Proof::LastWords, 0..3)
        );
        let log = "Can't locate X.pm in @INC (@INC contains: /etc/perl) at a.pl line 1.\nBEGIN failed--compilation aborted at a.pl line 1.\n";
        assert_eq!(found(read, log).remove(0).kind, Death::MissingModule);
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
            assert!(found(read, log).is_empty(), "{log}");
        }
    }
}
