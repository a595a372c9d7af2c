//! Which of the errors in a log is the one that the service died of: the last, if it fits the exit and nothing shows that
//! the service went on after it.

use super::entry::Level;
use super::finding::{Finding, Proof};
use super::text::Line;
use crate::report::Exit;

/// What is said after last words is the next start's, or an exit hook's: not more than so many lines,
const AFTER_LAST_WORDS: usize = 12;
/// and within so many seconds.
const SOON: f64 = 60.0;
/// After what programs that go on say too, nothing may come but what a wrapper adds.
const AFTER_SAID: usize = 0;

/// The finding that the service died of.
pub fn decide<'a>(found: &'a [Finding], lines: &[Line], exit: &Exit) -> Option<&'a Finding> {
    let mut fitting: Vec<&Finding> = found.iter().filter(|finding| finding.fits(exit)).collect();
    // The last in the log; of two that end together, the one that says more.
    fitting.sort_by_key(|finding| (finding.lines.end, finding.proof, finding.lines.len()));
    let last = fitting.pop()?;
    ends_there(last, lines).then_some(last)
}

/// Whether nothing shows that the service went on after this.
fn ends_there(finding: &Finding, lines: &[Line]) -> bool {
    let after = lines.get(finding.lines.end..).unwrap_or_default();
    let said: Vec<&Line> = after.iter().filter(|line| !line.is_blank() && !is_epilogue(line)).collect();
    let before = lines.get(..finding.lines.end).unwrap_or_default().iter().rev().find_map(|line| line.at);
    let later = said.iter().filter_map(|line| line.at).next_back();
    let soon = before.zip(later).is_none_or(|(before, later)| later - before < SOON);
    let handled = is_logged_as_handled(finding, lines);
    match finding.proof {
        Proof::LastWords => said.len() <= AFTER_LAST_WORDS && soon,
        Proof::Said => said.len() <= AFTER_SAID && !handled,
    }
}

/// What wrappers and supervisors say when a process that they run has ended.
fn is_epilogue(line: &Line) -> bool {
    let text = line.text.trim_start();
    ["npm ERR!", "npm error", "Aborted", "error Command failed", "wrapper ", "JVM exited"]
        .iter()
        .any(|words| text.starts_with(words))
}

/// Whether a logger said right before it that this is no reason to end.
fn is_logged_as_handled(finding: &Finding, lines: &[Line]) -> bool {
    let head = finding.lines.start.checked_sub(1).and_then(|before| lines.get(before));
    let entry = head.and_then(|line| line.entry.as_ref());
    entry.is_some_and(|entry| entry.level.is_some_and(|level| level < Level::Error) || is_handled(&entry.message))
}

/// Whether these are the words of somebody who goes on.
fn is_handled(message: &str) -> bool {
    let low = message.to_ascii_lowercase();
    ["ignor", "retry", "retri", "using default", "going on", "continu", "skipp", "recovered", "handled", "falling back"]
        .iter()
        .any(|words| low.contains(words))
}
