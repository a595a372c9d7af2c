//! How Python's servers say in their logs that they give up: gunicorn, uvicorn, asyncio.

use super::frame;
use crate::cause::finding::{End, Finding, Proof};
use crate::cause::text::Line;
use crate::report::Death;

/// How Python's servers say in their logs that they give up.
pub fn read(lines: &[Line], i: usize, message: &str, found: &mut Vec<Finding>) -> Option<usize> {
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
        it.lines.end + NEAR > i && first.iter().any(|line| line.text.ends_with(frame::HEADER))
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
