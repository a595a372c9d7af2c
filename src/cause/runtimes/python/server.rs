//! The log entries of Python's servers as they give up: gunicorn, uvicorn, asyncio.

use super::frame;
use crate::cause::finding::ExpectedExit::{self, Code};
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::{is_like, past};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

pub const MARKS: [&str; 5] = [
    "Reason: Worker failed to boot.",
    "Reason: App failed to load.",
    "Application startup failed. Exiting.",
    "Can't connect to (",
    "error while attempting to bind on address",
];

/// Reads the entry in which a server says that it gives up.
pub fn read(spot: &Spot) -> Option<Finding> {
    let message = &spot.line.entry.as_ref()?.message;
    // WORKER_BOOT_ERROR and APP_LOAD_ERROR in gunicorn/arbiter.py, STARTUP_FAILURE in
    // uvicorn/main.py.
    let ends: &[_] = match message.trim_end() {
        "Reason: Worker failed to boot." if follows_shutdown(spot) => &[Code(3)],
        "Reason: App failed to load." if follows_shutdown(spot) => &[Code(4)],
        "Application startup failed. Exiting." => &[Code(3)],
        _ => return port_in_use(spot, message).or_else(|| bind_error(spot, message)),
    };
    Some(give_up(spot, spot.at, message, ends))
}

/// Returns true if gunicorn's master said right before that it shuts down.
fn follows_shutdown(spot: &Spot) -> bool {
    const NEAR: usize = 12;
    let before = spot
        .lines
        .get(spot.at.saturating_sub(NEAR)..spot.at)
        .unwrap_or_default();
    let entry = before.iter().rev().find_map(|line| line.entry.as_ref());
    entry.is_some_and(|entry| entry.message.starts_with("Shutting down: Master"))
}

/// Reads gunicorn's `Can't connect to ('0.0.0.0', 8000)`, which follows `Connection in use: …`.
fn port_in_use(spot: &Spot, message: &str) -> Option<Finding> {
    const NEAR: usize = 20;
    message.starts_with("Can't connect to (").then_some(())?;
    let mut before = (spot.at.saturating_sub(NEAR)..spot.at).rev();
    let held = before.find(|i| line_text(spot.lines, *i).contains("Connection in use: ("))?;
    let entry = spot.lines.get(held)?.entry.as_ref();
    let what = entry.map_or(message, |entry| &entry.message);
    Some(Finding::at(held..spot.at + 1, Death::PortInUse, what).last_words(&[Code(1)]))
}

/// Reads asyncio's error (`create_server`). uvicorn logs its shutdown after it.
fn bind_error(spot: &Spot, message: &str) -> Option<Finding> {
    is_like(
        message,
        &["[Errno …error while attempting to bind on address…"],
    )
    .then_some(())?;
    let end = past(spot.lines, spot.at + 1, |line| {
        let entry = line.entry.as_ref();
        entry.is_some_and(|it| {
            is_like(
                &it.message,
                &["…application shutdown…", "Application shutdown…"],
            )
        })
    });
    Some(Finding::at(spot.at..end, Death::PlainExit, message))
}

/// Returns the finding that a server gives up, in this line, because of its application's last
/// traceback.
pub fn give_up(spot: &Spot, at: usize, message: &str, ends: &'static [ExpectedExit]) -> Finding {
    /// Maximum distance to that traceback, in lines. Others belong to other failures.
    const NEAR: usize = 60;
    let lines = spot.lines;
    let is_traceback = |it: &&Finding| {
        let first = lines.get(it.lines.start..it.quoted).unwrap_or_default();
        it.lines.end + NEAR > at && first.iter().any(|line| line.text.ends_with(frame::HEADER))
    };
    if let Some(trace) = spot.own.iter().rev().take(20).find(is_traceback).cloned() {
        let lines = trace.lines.start..at + 1;
        return Finding { lines, ..trace }.last_words(ends);
    }
    // The line that a worker wrote right before it left.
    let mut before = (at.saturating_sub(12)..at).rev();
    let left = before.find(|i| line_text(lines, *i).contains("Worker exiting (pid"));
    let said = left.and_then(|left| lines.get(left.checked_sub(1)?).map(|line| (left - 1, line)));
    let is_bare = |line: &LogLine| line.entry.is_none() && !line.is_blank();
    let (quoted, what) = match said {
        Some((i, line)) if is_bare(line) => (i, line.text.as_str()),
        _ => (at, message),
    };
    Finding::at(quoted..at + 1, Death::PlainExit, what).last_words(ends)
}
