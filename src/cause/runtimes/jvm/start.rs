//! A JVM or a Spring application that does not start.

use super::trace;
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{Finding, with_cause};
use crate::cause::runtimes::shape::{past, past_most};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Last words of the launcher.
const ENDS: [&str; 2] = [
    "Error: Could not create the Java Virtual Machine.",
    "Error: A fatal exception has occurred. Program will exit.",
];

pub const MARKS: [&str; 5] = [
    "\nError occurred during initialization of ",
    "\nError: ",
    "\nJDWP exit error ",
    "\nAPPLICATION FAILED TO START\n",
    "\nno main manifest attribute, in ",
];

/// Reads the refusal that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    let (quoted, end, kind, what) = if line.starts_with("Error occurred during initialization of ")
    {
        in_initialization(lines, at)
    } else if line.starts_with(ENDS[0]) {
        without_machine(lines, at)?
    } else if line.starts_with("JDWP exit error ") {
        debugger(lines, at)?
    } else if line == "APPLICATION FAILED TO START" {
        spring(lines, at)?
    } else {
        launcher(lines, at)?
    };
    let end = past(lines, end, |line| ENDS.contains(&line.text.as_str()));
    let finding = Finding::at(quoted.min(at)..end, kind, what).quoted(quoted);
    Some(finding.last_words(&[Code(1), Code(2)]))
}

/// The quoted line, the line after the refusal, the kind and the words.
type Refusal = (usize, usize, Death, String);

/// Reads `Error occurred during initialization of VM` (or of the boot layer). The next line says
/// why.
fn in_initialization(lines: &[LogLine], at: usize) -> Refusal {
    let why = line_text(lines, at + 1).trim();
    // The agent said above what it lacks.
    let agent = at
        .checked_sub(1)
        .filter(|_| why.starts_with("agent library failed to init"));
    let agent = agent
        .map(|before| line_text(lines, before))
        .unwrap_or_default();
    let end = at + 2 + usize::from(line_text(lines, at + 2).starts_with("Caused by: "));
    let kind = if why.starts_with("Could not reserve ") || why.starts_with("Could not allocate ") {
        Death::OutOfMemoryHeap
    } else {
        trace::kind(why).unwrap_or(if why.starts_with("java.") {
            Death::UncaughtException
        } else {
            Death::BadArguments
        })
    };
    (
        at + 1,
        end.min(lines.len()),
        kind,
        with_cause(&format!("{}: {why}", line_text(lines, at)), agent),
    )
}

/// Reads the end of the debugger's agent. The agent says above why it cannot listen.
fn debugger(lines: &[LogLine], at: usize) -> Option<Refusal> {
    let above = (at.saturating_sub(4)..at)
        .find(|i| line_text(lines, *i).starts_with("ERROR: transport error "))?;
    Some((
        above,
        at + 1,
        Death::PlainExit,
        line_text(lines, above).to_owned(),
    ))
}

/// Reads the launcher's end. The line before says which option is wrong.
fn without_machine(lines: &[LogLine], at: usize) -> Option<Refusal> {
    let before = at.checked_sub(1)?;
    let line = lines
        .get(before)
        .filter(|line| line.entry.is_none() && !line.is_blank())?;
    // `Did you mean '(+/-)UseG1GC'?`
    let is_hint = line.text.starts_with("Did you mean");
    let quoted = if is_hint {
        before.checked_sub(1)?
    } else {
        before
    };
    Some((
        quoted,
        at + 1,
        Death::BadArguments,
        line_text(lines, quoted).trim().to_owned(),
    ))
}

/// Reads the launcher's complaint about the program that it is to start.
fn launcher(lines: &[LogLine], at: usize) -> Option<Refusal> {
    let line = line_text(lines, at);
    let next = line_text(lines, at + 1);
    let cause = next.strip_prefix("Caused by: ");
    let refusal =
        |kind, what: String, more: usize| Some((at, (at + 1 + more).min(lines.len()), kind, what));
    let starts = |words: &&str| {
        line.strip_prefix("Error: ")
            .is_some_and(|error| error.starts_with(words))
    };
    if starts(&"Could not find or load main class ") {
        let more = usize::from(cause.is_some());
        return refusal(Death::MissingModule, line.to_owned(), more);
    }
    if starts(&"LinkageError occurred while loading main class ") {
        return refusal(Death::UncaughtException, next.trim().to_owned(), 1);
    }
    if starts(&"Unable to initialize main class ") {
        let cause = cause.unwrap_or_default();
        let kind = trace::kind(cause).unwrap_or(Death::UncaughtException);
        return refusal(kind, with_cause(line, cause), 1);
    }
    if starts(&"Unable to access jarfile ") {
        return refusal(Death::NoSuchFile, line.to_owned(), 0);
    }
    let is_other = [
        "Invalid or corrupt jarfile ",
        "Main method ",
        "Could not find Java SE ",
    ]
    .iter()
    .any(starts)
        || line.starts_with("no main manifest attribute, in ");
    is_other
        .then(|| refusal(Death::PlainExit, line.to_owned(), 0))
        .flatten()
}

/// Maximum number of lines of Spring Boot's description and advice.
const ADVICE: usize = 60;

/// Reads Spring Boot's failure analysis. The first paragraph of the description says why.
fn spring(lines: &[LogLine], at: usize) -> Option<Refusal> {
    let end = past_most(lines, at + 1, ADVICE, |line| line.entry.is_none());
    let rest = lines.get(at + 1..end)?;
    let description = rest.iter().position(|line| line.text == "Description:")? + 1;
    let quoted = past(rest, description, LogLine::is_blank);
    let paragraph = rest.get(quoted..past(rest, quoted, |line| !line.is_blank()))?;
    paragraph.first()?;
    let what: Vec<&str> = paragraph.iter().map(|line| line.text.trim()).collect();
    let what = what.join(" ");
    let is_port = what.contains("Port ") && what.contains(" already in use");
    let kind = if is_port {
        Death::PortInUse
    } else {
        Death::PlainExit
    };
    let action = rest.iter().position(|line| line.text == "Action:");
    let end = action.and_then(|action| {
        let advice = past(rest, action + 1, LogLine::is_blank);
        (advice < rest.len()).then(|| past(rest, advice, |line| !line.is_blank()))
    });
    let end = end.unwrap_or(quoted + paragraph.len());
    Some((at + 1 + quoted, at + 1 + end, kind, what))
}

#[cfg(test)]
mod tests {
    use crate::cause::runtimes::{found, jvm};
    use crate::cause::text;
    use crate::report::Death;

    #[track_caller]
    fn check(log: &str, kind: Death, what: &str) {
        let found = found(jvm::WORDS, log);
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (finding.kind, finding.what.as_str(), finding.lines.end),
            (kind, what, text::read(log).len())
        );
    }

    #[test]
    fn complaints_of_the_launcher_are_told() {
        let end = "Error: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n";
        check(
            &format!("Unrecognized VM option 'UseG2GC'\nDid you mean '(+/-)UseG1GC'?\n{end}"),
            Death::BadArguments,
            "Unrecognized VM option 'UseG2GC'",
        );
        check(
            "Error occurred during initialization of VM\nCould not reserve enough space for 1GB object heap\n",
            Death::OutOfMemoryHeap,
            "Error occurred during initialization of VM: Could not reserve enough space for 1GB object heap",
        );
        check(
            "Error occurred during initialization of boot layer\njava.lang.module.FindException: Module x not found\n",
            Death::MissingModule,
            "Error occurred during initialization of boot layer: java.lang.module.FindException: Module x not found",
        );
    }

    #[test]
    fn spring_s_description_is_the_cause() {
        check(
            "***************************\nAPPLICATION FAILED TO START\n***************************\n\nDescription:\n\n\
             Web server failed to start. Port 8080 was already in use.\n\nAction:\n\nIdentify and stop the process.\n",
            Death::PortInUse,
            "Web server failed to start. Port 8080 was already in use.",
        );
    }
}
