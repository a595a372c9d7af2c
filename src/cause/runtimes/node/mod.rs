//! Node.js (V8), Deno and Bun.

mod describe;
mod error;
mod excerpt;
mod fatal;
mod frame;
mod others;
mod wrappers;

use describe::{is_compiling, kind, place_of, what};
use error::Printed;
use excerpt::Excerpt;
use frame::{JsFrame, Owner};

use super::shape::{past, past_most};
use super::words::{RuntimeWords, Spot};
use crate::cause::entry::LogLevel;
use crate::cause::finding::Finding;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// The beginning of a long line of blanks.
const FAR: &str = "\n                                ";

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(
        &["\nWarning: Detected unsettled top-level await at"],
        fatal::unsettled,
    ),
    RuntimeWords::new(&fatal::MARKS, fatal::read),
    RuntimeWords::new(&["^", FAR, "\nSyntaxError: "], uncaught).below(4),
    RuntimeWords::new(
        &["node: ", "nodejs", "\nError: illegal value for "],
        wrappers::options,
    ),
    RuntimeWords::new(&["\nnpm ERR!", "\nnpm error"], wrappers::npm),
    RuntimeWords::new(&wrappers::SCRIPTS, wrappers::script),
    RuntimeWords::new(&["\nerror: "], others::deno),
    RuntimeWords::new(&["\nerror: ", "^\n"], others::bun),
    RuntimeWords::new(&["  at ", "\tat ", "\t at "], logged),
];

/// Words for an error whose beginning is not in the log.
const NO_MESSAGE: &str = "uncaught exception, whose message is not in the log";

/// Reads what node prints as it dies: the place, the line of source, carets beneath it, and the
/// thrown value.
fn uncaught(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let excerpt = Excerpt::read(lines, at)?;
    let is_blank = |at: usize| lines.get(at).is_some_and(LogLine::is_blank);
    // Source maps put a second blank line there.
    let body = excerpt.end
        + (0..2)
            .take_while(|blanks| is_blank(excerpt.end + blanks))
            .count();
    let Some(head) = lines
        .get(body)
        .filter(|line| !line.is_blank() && !error::is_footer(&line.text))
    else {
        let end = epilogue(lines, body).0;
        let finding = Finding::at(at..end, Death::UncaughtException, NO_MESSAGE);
        return Some(finding.place(excerpt.place()).last_words(&[]));
    };
    let mut printed = Printed::read(&head.text, lines, body + 1);
    let (mut end, mut has_footer) = epilogue(lines, printed.end);
    // A child's last words may stand in the message of the error about it. Other processes may
    // write lines into the stack.
    loop {
        let next = if has_footer {
            end
        } else {
            end + foreign(lines, end)
        };
        let next = next + usize::from(is_blank(next));
        if lines
            .get(next)
            .is_none_or(|line| JsFrame::read(&line.text).is_none())
        {
            break;
        }
        let rest = Printed::without_head(lines, next);
        printed.frames.extend(rest.frames);
        let after = skip_properties(lines, rest.end);
        (end, has_footer) = epilogue(lines, after);
    }
    let is_error =
        error::begins(&head.text) && (!printed.frames.is_empty() || is_blank(excerpt.end));
    let is_compiling = is_compiling(&printed);
    let kind = kind(&printed, is_rejection(&excerpt, &printed, has_footer));
    let place = if is_compiling { excerpt.place() } else { None };
    let place = place.or_else(|| place_of(&printed, excerpt.place()));
    let what = match printed.text.as_str() {
        _ if is_error => what(&printed),
        // node prints nothing of a symbol, for example.
        text if text.is_empty() || text.starts_with("(Use `") => {
            "uncaught throw of a value that is not printed".to_owned()
        }
        text => format!("uncaught throw of {text}"),
    };
    // node prints a syntax error in the same form if the program catches it, and so the error of a
    // worker whose parent goes on.
    let is_caught = (is_compiling || excerpt.has_words_before()) && !has_footer;
    let finding = Finding::at(at..end, kind, what).quoted(body).place(place);
    Some(if is_caught {
        finding
    } else {
        finding.last_words(&[])
    })
}

/// Returns the number of loggers' lines here, which other processes wrote into the same log.
fn foreign(lines: &[LogLine], at: usize) -> usize {
    const MOST: usize = 3;
    let is_foreign = |line: &LogLine| {
        let entry = line.entry.as_ref();
        entry.is_some_and(|entry| entry.json || entry.at.is_some())
    };
    past_most(lines, at, MOST, is_foreign) - at
}

/// Reads an error with its stack that the program itself printed.
fn logged(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    JsFrame::read(spot.text())?;
    let Some(head) = head_of(lines, spot.from, at) else {
        // The error's beginning is not in the log.
        let rest = Printed::without_head(lines, at);
        let (end, has_footer) = epilogue(lines, skip_properties(lines, rest.end));
        let finding = Finding::at(at..end, Death::UncaughtException, NO_MESSAGE);
        let finding = finding.place(place_of(&rest, None)).last_words(&[]);
        return Some(if has_footer {
            finding
        } else {
            Finding::nothing(at..end)
        });
    };
    let line = lines.get(head)?;
    let text = match error::named_within(&line.text) {
        Some(start) if !error::begins(&line.text) => line.text.get(start..)?,
        _ => line.message(),
    };
    let before = line.text.strip_suffix(text).unwrap_or_default();
    let printed = Printed::read(text, lines, head + 1);
    let (end, has_footer) = epilogue(lines, printed.end);
    // An error inside a block, as loggers print one, ends with the block.
    let is_inside = |line: &LogLine| line.entry.is_none() && line.text.starts_with(' ');
    let end = if line.text.starts_with(' ') {
        past_most(lines, end, MOST_MESSAGE, is_inside)
    } else {
        end
    };
    if line.level().is_some_and(|level| level < LogLevel::Error)
        || text.starts_with("Trace")
        || before.starts_with("(node:")
    {
        return Some(Finding::nothing(at..end));
    }
    let lowercase = before.to_ascii_lowercase();
    let is_rejection = lowercase.contains("unhandled") && lowercase.contains("reject");
    let finding = Finding::at(head..end, kind(&printed, is_rejection), what(&printed));
    let finding = finding.place(place_of(&printed, None));
    Some(if has_footer {
        finding.last_words(&[])
    } else {
        finding
    })
}

/// Number of lines above a stack that are searched for the error's name.
const MOST_MESSAGE: usize = 64;

/// Returns the first line of the error whose stack begins here.
fn head_of(lines: &[LogLine], from: usize, at: usize) -> Option<usize> {
    for head in (from.max(at.saturating_sub(MOST_MESSAGE))..at).rev() {
        let line = lines.get(head)?;
        let is_logger = line
            .entry
            .as_ref()
            .is_some_and(|entry| entry.json || entry.level.is_some());
        if head + 1 == at && !line.is_blank() && (is_logger || error::begins(&line.text)) {
            return Some(head);
        }
        match error::named_within(&line.text) {
            Some(start) if start == 0 || head + 1 == at || is_logger => return Some(head),
            _ if is_logger => return None,
            _ => {}
        }
    }
    None
}

/// Returns true if the error is a rejection that nothing handled. node says so only if the error
/// has no place of its own.
fn is_rejection(excerpt: &Excerpt, printed: &Printed, has_footer: bool) -> bool {
    if frame::owner(excerpt.file) == Owner::Runtime {
        // Modules are loaded by promises too.
        let first = printed.frames.iter().find(|frame| frame.line.is_some());
        let is_loading = first.is_some_and(|frame| frame.file.contains("internal/modules/"));
        return excerpt.file.contains("process/promises") && !is_loading
            || is_continuation(printed, has_footer);
    }
    // The caret marks the `throw` of a thrown error, and the creation of an error that rejects a
    // promise.
    let is_made_by_call = printed
        .frames
        .first()
        .is_some_and(|frame| frame.function.is_some_and(|it| it.starts_with("new ")));
    // Versions without a footer mark the creation wherever a source map leads them.
    let is_own = has_footer || excerpt.file.ends_with("js");
    match excerpt.marked() {
        marked if marked.starts_with("throw") => false,
        marked if makes_error(marked, &printed.text) && !is_made_by_call => is_own,
        _ => is_continuation(printed, has_footer),
    }
}

/// Returns true if the source creates the error here. Otherwise a constructor threw it.
fn makes_error(source: &str, error: &str) -> bool {
    let name = source
        .strip_prefix("new ")
        .and_then(|rest| rest.split('(').next())
        .unwrap_or_default();
    let name = name.rsplit('.').next().unwrap_or_default();
    !name.is_empty()
        && (name.ends_with("Error") || name.ends_with("Exception") || error.starts_with(name))
}

/// Returns true if the stack belongs to a function that continued after a promise: the runtime has
/// not called it.
fn is_continuation(printed: &Printed, is_whole: bool) -> bool {
    let waited = printed
        .frames
        .iter()
        .any(|frame| frame.is_async && frame.owner() == Owner::App);
    let of_app = |frame: &JsFrame| matches!(frame.owner(), Owner::App | Owner::Dependency);
    let is_short = !printed.frames.is_empty() && printed.frames.len() < frame::MOST;
    // The loader calls a module's own body. Its frames are missing at times.
    let of_module = printed
        .frames
        .last()
        .is_some_and(|frame| frame.function.is_none_or(|it| it == "Object.<anonymous>"));
    waited || (is_whole && is_short && !of_module && printed.frames.iter().all(of_app))
}

/// Returns the line after the additions of node and of the programs around it, and whether node's
/// footer is among them.
fn epilogue(lines: &[LogLine], mut at: usize) -> (usize, bool) {
    let mut has_footer = false;
    let mut end = at;
    while let Some(line) = lines.get(at) {
        at += 1;
        if line.is_blank() {
            continue;
        }
        let text = line.text.as_str();
        if wrappers::is_epilogue(text.trim_start()) {
            end = at;
            continue;
        }
        let is_footer = error::is_footer(text);
        let is_hint = text.starts_with("(Use `");
        let is_thrown_at =
            text == "Thrown at:" || JsFrame::read(text).is_some() && end + 1 == at && !has_footer;
        if has_footer && is_footer || !(is_footer || is_hint || is_thrown_at) {
            break;
        }
        has_footer |= is_footer;
        end = at;
    }
    (end, has_footer)
}

/// Returns the line after the properties in braces that begin here.
fn skip_properties(lines: &[LogLine], at: usize) -> usize {
    let before = at.checked_sub(1).map(|before| line_text(lines, before));
    if !before.is_some_and(|text| text.ends_with(" {")) {
        return at.min(lines.len());
    }
    let end = past(lines, at, |line| line.text.starts_with(' '));
    (end + 1).min(lines.len())
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::cause::finding::Proof;
    use crate::cause::runtimes::found;
    use crate::report::Death;

    #[test]
    fn a_stack_alone_is_said_with_its_type_its_message_and_its_place() {
        let log = "TypeError: x is not iterable\n    at pick (/srv/node_modules/lib/i.js:4:5)\n    at run (/srv/app.js:7:9)";
        let found = found(WORDS, log);
        let found = found.first().unwrap();
        assert_eq!(
            (found.kind, found.proof),
            (Death::UncaughtException, Proof::Said)
        );
        assert_eq!(found.what, "TypeError: x is not iterable");
        assert_eq!(found.place.as_ref().unwrap().to_string(), "/srv/app.js:7");
        assert_eq!(found.lines, 0..3);
    }

    #[test]
    fn warnings_and_other_languages_traces_are_no_errors_of_node() {
        for log in [
            "(node:7) UnhandledPromiseRejectionWarning: Error: only warned\n    at f (/srv/app.js:1:2)",
            "2026-11-22T23:48:34Z WARN no cache: Error: stale\n    at f (/srv/app.js:1:2)",
            "Trace: here\n    at f (/srv/app.js:1:2)",
            "java.lang.IllegalStateException: x\n\tat com.acme.Main.main(Main.java:12)",
            "FATAL ERROR: cannot read the configuration",
            "    at f (/srv/app.js:1:2)\nGET / 200",
            "main.c:3\n\nint main;",
        ] {
            assert_eq!(found(WORDS, log), [], "{log}");
        }
    }

    #[test]
    fn another_process_s_line_within_the_stack_is_no_part_of_it() {
        let other = "2026-11-22T23:59:01.221Z ERROR upstream: connection refused\n";
        let head =
            "/srv/app.js:1\nfunction go(){null.x}\n                   ^\n\nTypeError: no x\n";
        let stack = "    at go (/srv/app.js:1:20)\n";
        let rest = "    at run (/srv/app.js:2:1)\n\nNode.js v20.20.2";
        for log in [
            format!("{head}{other}{stack}{rest}"),
            format!("{head}{stack}{other}{rest}"),
        ] {
            let found = found(WORDS, &log);
            assert_eq!(found.len(), 1, "{found:?}");
            let found = found.first().unwrap();
            assert_eq!(
                (found.what.as_str(), found.proof),
                ("TypeError: no x", Proof::LastWords)
            );
            assert_eq!(found.place.as_ref().unwrap().to_string(), "/srv/app.js:1");
        }
    }

    #[test]
    fn an_error_set_inside_a_block_ends_with_the_block() {
        let log = "FATAL: no x\n    err: {\n      \"stack\":\n          TypeError: no x\n              at f (/srv/app.js:1:2)\n    }";
        let found = found(WORDS, log);
        assert_eq!(found.first().unwrap().lines, 3..6);
    }

    #[test]
    fn an_error_that_a_constructor_throws_is_no_rejection() {
        let log = "/srv/app.js:1\nconst d=new s.Database('x')\n        ^\n\nError: unable to open\n    at Object.<anonymous> (/srv/app.js:1:9)\n\nNode.js v22.1.0";
        assert_eq!(
            found(WORDS, log).first().unwrap().kind,
            Death::UncaughtException
        );
    }

    #[test]
    fn an_error_in_the_message_of_another_is_a_part_of_it() {
        let log = "node:child_process:1\n    throw err;\n    ^\n\nError: Command failed: node c.js\n/srv/c.js:1\nnull.x\n     ^\n\n\
                   TypeError: no x\n    at Object.<anonymous> (/srv/c.js:1:6)\n\nNode.js v20.20.2\n\n    \
                   at build (/srv/app.js:3:5) {\n  status: 1\n}\n\nNode.js v20.20.2";
        let found = found(WORDS, log);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found
                .first()
                .unwrap()
                .what
                .starts_with("Error: Command failed: node c.js")
        );
    }
}
