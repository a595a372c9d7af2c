//! The log entries of Python's servers as they give up: gunicorn, uvicorn, asyncio.

use super::frame;
use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Reads the entry in which a server says that it gives up. Returns the line after it.
pub fn read(lines: &[LogLine], i: usize, message: &str, found: &mut Vec<Finding>) -> Option<usize> {
    match message.trim_end() {
        // gunicorn: WORKER_BOOT_ERROR and APP_LOAD_ERROR in gunicorn/arbiter.py.
        "Reason: Worker failed to boot." if follows_shutdown(lines, i) => {
            Some(give_up(lines, i, message, &[ExpectedExit::Code(3)], found))
        }
        "Reason: App failed to load." if follows_shutdown(lines, i) => {
            Some(give_up(lines, i, message, &[ExpectedExit::Code(4)], found))
        }
        // uvicorn: STARTUP_FAILURE in uvicorn/main.py.
        "Application startup failed. Exiting." => {
            Some(give_up(lines, i, message, &[ExpectedExit::Code(3)], found))
        }
        _ => {
            let finding =
                port_in_use(lines, i, message).or_else(|| bind_error(lines, i, message))?;
            let end = finding.lines.end;
            found.push(finding);
            Some(end)
        }
    }
}

/// Returns true if gunicorn's master said right before that it shuts down.
fn follows_shutdown(lines: &[LogLine], i: usize) -> bool {
    const NEAR: usize = 12;
    let before = lines.get(i.saturating_sub(NEAR)..i).unwrap_or_default();
    before
        .iter()
        .rev()
        .find_map(|line| line.entry.as_ref())
        .is_some_and(|entry| entry.message.starts_with("Shutting down: Master"))
}

/// Reads gunicorn's `Can't connect to ('0.0.0.0', 8000)`, which follows `Connection in use: …`.
fn port_in_use(lines: &[LogLine], i: usize, message: &str) -> Option<Finding> {
    const NEAR: usize = 20;
    if !message.starts_with("Can't connect to (") {
        return None;
    }
    let is_held = |line: &LogLine| line.text.contains("Connection in use: (");
    let held = (i.saturating_sub(NEAR)..i)
        .rev()
        .find(|at| lines.get(*at).is_some_and(is_held))?;
    let entry = lines.get(held)?.entry.as_ref();
    Some(Finding {
        lines: held..i + 1,
        quoted: held,
        kind: Death::PortInUse,
        what: entry.map_or(message, |entry| &entry.message).to_owned(),
        place: None,
        proof: Proof::LastWords,
        ends: &[ExpectedExit::Code(1)],
    })
}

/// Reads asyncio's error (`create_server`). uvicorn logs its shutdown after it.
fn bind_error(lines: &[LogLine], i: usize, message: &str) -> Option<Finding> {
    if !message.starts_with("[Errno ")
        || !message.contains("error while attempting to bind on address")
    {
        return None;
    }
    let is_farewell = |line: &&LogLine| {
        line.entry.as_ref().is_some_and(|entry| {
            entry.message.contains("application shutdown")
                || entry.message.starts_with("Application shutdown")
        })
    };
    let after = lines.get(i + 1..).unwrap_or_default();
    let farewells = after.iter().take_while(is_farewell).count();
    Some(Finding {
        lines: i..i + 1 + farewells,
        quoted: i,
        kind: Death::PlainExit,
        what: message.to_owned(),
        place: None,
        proof: Proof::Said,
        ends: &[],
    })
}

/// Adds the finding that a server gives up because of its application's last traceback. Returns the
/// line after it.
pub fn give_up(
    lines: &[LogLine],
    i: usize,
    message: &str,
    ends: &'static [ExpectedExit],
    found: &mut Vec<Finding>,
) -> usize {
    /// Maximum distance to that traceback, in lines. Others belong to other failures.
    const NEAR: usize = 60;
    let is_traceback = |it: &&Finding| {
        let first = lines.get(it.lines.start..it.quoted).unwrap_or_default();
        it.lines.end + NEAR > i && first.iter().any(|line| line.text.ends_with(frame::HEADER))
    };
    // The line that a worker wrote right before it left.
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
