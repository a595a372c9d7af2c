//! What a Python program says that does not even start: the interpreter, argparse and click,
//! gunicorn and uvicorn.

use super::traceback;
use crate::cause::beneath;
use crate::cause::finding::{End, Finding, Proof};
use crate::cause::text::Line;
use crate::report::Death;

/// The most lines of usage that stand before the error.
const USAGE: usize = 40;

pub fn read(lines: &[Line], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let line = lines.get(i)?;
    let text = line.text.as_str();
    if let Some(entry) = &line.entry {
        return server(lines, i, &entry.message, found);
    }
    let mut add = |kind, proof, ends, what: &str| {
        let what = what.trim().to_owned();
        found.push(Finding {
            lines: i..i + 1,
            quoted: i,
            kind,
            what,
            place: None,
            proof,
            ends,
        });
        Some(i + 1)
    };
    if let Some(what) = said_by_interpreter(text) {
        let (kind, ends) = refusal(what)?;
        return add(kind, Proof::LastWords, ends, what);
    }
    let is_usage_error = || {
        text.contains(": error: ") && follows_usage(lines, i)
            || text.starts_with("Error: ") && follows_click_usage(lines, i)
    };
    if text.contains("rror: ") && is_usage_error() {
        // click puts nothing but its own word on the line where the message has more of them.
        let more = lines
            .get(i + 1)
            .filter(|_| text.trim_end() == "Error:")
            .map_or("", |line| line.text.as_str());
        return add(
            Death::BadArguments,
            Proof::LastWords,
            &[End::Code(2)],
            &format!("{} {more}", text.trim_end()),
        );
    }
    if text.starts_with("╭─ Error ─") && follows_click_usage(lines, i) {
        let what = lines.get(i + 1)?.text.trim_matches(['│', ' ']).to_owned();
        return add(
            Death::BadArguments,
            Proof::LastWords,
            &[End::Code(2)],
            &format!("Error: {what}"),
        );
    }
    if text.starts_with("Unknown option: ")
        && lines
            .get(i + 1)
            .is_some_and(|line| said_usage_of_python(&line.text))
    {
        return add(Death::BadArguments, Proof::LastWords, &[End::Code(2)], text);
    }
    // Django's and Flask's development servers.
    if text.starts_with("Error: That port is already in use")
        || text.starts_with("Port ") && text.contains(" is in use by another program")
    {
        return add(Death::PortInUse, Proof::Said, &[End::Code(1)], text);
    }
    None
}

/// What stands after `python3: ` or `/usr/bin/python3.11: `.
fn said_by_interpreter(text: &str) -> Option<&str> {
    let (program, what) = text.split_once(": ")?;
    let name = program.rsplit('/').next()?;
    let version = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"))?;
    version
        .chars()
        .all(|c| c.is_ascii_digit() || c == '.')
        .then_some(what)
}

fn said_usage_of_python(text: &str) -> bool {
    text.starts_with("usage: ") && text.contains("python")
}

/// Why the interpreter refuses to run a program; see `pymain_run_python` in `CPython`.
fn refusal(what: &str) -> Option<(Death, &'static [End])> {
    if what.starts_with("can't open file") {
        return Some((
            beneath::kind(what).unwrap_or(Death::NoSuchFile),
            &[End::Code(2)],
        ));
    }
    let is_missing =
        what.starts_with("No module named ") || what.starts_with("can't find '__main__' module");
    if is_missing || what.starts_with("Error while ") {
        let kind = if is_missing || what.contains("No module named") || what.contains("ImportError")
        {
            Death::MissingModule
        } else {
            Death::UncaughtException
        };
        return Some((kind, &[End::Code(1)]));
    }
    None
}

/// Whether argparse's or optparse's usage stands right before it.
fn follows_usage(lines: &[Line], i: usize) -> bool {
    let before = lines
        .get(i.saturating_sub(USAGE)..i)
        .unwrap_or_default()
        .iter()
        .rev();
    let mut rest = before.skip_while(|line| line.is_blank() || line.text.starts_with(' '));
    rest.next()
        .is_some_and(|line| line.text.starts_with("usage: ") || line.text.starts_with("Usage: "))
}

/// Whether click's usage stands right before it.
fn follows_click_usage(lines: &[Line], i: usize) -> bool {
    let before = lines.get(i.saturating_sub(6)..i).unwrap_or_default();
    before.iter().any(|line| line.text.starts_with("Usage: "))
}

/// How Python's servers say in their logs that they give up.
fn server(lines: &[Line], i: usize, message: &str, found: &mut Vec<Finding>) -> Option<usize> {
    let before = |words: &str| {
        let entry = lines
            .get(..i)?
            .iter()
            .rev()
            .take(12)
            .find_map(|line| line.entry.as_ref())?;
        entry.message.starts_with(words).then_some(())
    };
    match message.trim_end() {
        // gunicorn: WORKER_BOOT_ERROR and APP_LOAD_ERROR in gunicorn/arbiter.py.
        "Reason: Worker failed to boot." if before("Shutting down: Master").is_some() => {
            Some(give_up(lines, i, message, &[End::Code(3)], found))
        }
        "Reason: App failed to load." if before("Shutting down: Master").is_some() => {
            Some(give_up(lines, i, message, &[End::Code(4)], found))
        }
        // uvicorn: STARTUP_FAILURE in uvicorn/main.py.
        "Application startup failed. Exiting." => {
            Some(give_up(lines, i, message, &[End::Code(3)], found))
        }
        _ if message.starts_with("Can't connect to (") => {
            let is_held = |line: &Line| line.text.contains("Connection in use: (");
            let held = (i.saturating_sub(20)..i)
                .rev()
                .find(|at| lines.get(*at).is_some_and(is_held))?;
            let what = lines
                .get(held)?
                .entry
                .as_ref()
                .map_or(message, |entry| &entry.message)
                .to_owned();
            found.push(Finding {
                lines: held..i + 1,
                quoted: held,
                kind: Death::PortInUse,
                what,
                place: None,
                proof: Proof::LastWords,
                ends: &[End::Code(1)],
            });
            Some(i + 1)
        }
        // asyncio's words (`create_server`), after which uvicorn still says good-bye.
        _ if message.starts_with("[Errno ")
            && message.contains("error while attempting to bind on address") =>
        {
            let is_farewell = |line: &Line| {
                line.entry.as_ref().is_some_and(|entry| {
                    entry.message.contains("application shutdown")
                        || entry.message.starts_with("Application shutdown")
                })
            };
            let after = lines
                .get(i + 1..)
                .unwrap_or_default()
                .iter()
                .take_while(|line| is_farewell(line))
                .count();
            found.push(Finding {
                lines: i..i + 1 + after,
                quoted: i,
                kind: Death::PlainExit,
                what: message.to_owned(),
                place: None,
                proof: Proof::Said,
                ends: &[],
            });
            Some(i + 1 + after)
        }
        _ => None,
    }
}

/// A server gives up over what its application's last traceback says.
pub fn give_up(
    lines: &[Line],
    i: usize,
    message: &str,
    ends: &'static [End],
    found: &mut Vec<Finding>,
) -> usize {
    /// A traceback of another failure is further away.
    const NEAR: usize = 60;
    let is_traceback = |it: &&Finding| {
        let first = lines.get(it.lines.start..it.quoted).unwrap_or_default();
        it.lines.end + NEAR > i
            && first
                .iter()
                .any(|line| line.text.ends_with(traceback::HEADER))
    };
    // What a worker said on its own right before it left.
    let is_leaving = |at: &usize| {
        lines
            .get(*at)
            .is_some_and(|line| line.text.contains("Worker exiting (pid"))
    };
    let said = (i.saturating_sub(12)..i)
        .rev()
        .find(is_leaving)
        .and_then(|at| at.checked_sub(1));
    let is_bare = |at: &usize| {
        lines
            .get(*at)
            .is_some_and(|line| line.entry.is_none() && !line.is_blank())
    };
    let quoted = said.filter(is_bare).unwrap_or(i);
    let finding = match found.iter().rev().take(20).find(is_traceback) {
        Some(trace) => Finding {
            lines: trace.lines.start..i + 1,
            proof: Proof::LastWords,
            ends,
            ..trace.clone()
        },
        None => Finding {
            lines: quoted.min(i)..i + 1,
            quoted,
            kind: Death::PlainExit,
            what: lines
                .get(quoted)
                .filter(|_| quoted < i)
                .map_or(message, |line| &line.text)
                .to_owned(),
            place: None,
            proof: Proof::LastWords,
            ends,
        },
    };
    found.push(finding);
    i + 1
}
