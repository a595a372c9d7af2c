//! Keeps the conversation with one sink about one job's crashes.

use serde::{Deserialize, Serialize};

use crate::deliver::flood::Thread;
use crate::render::one_line;
use crate::report::{Report, SinkKey};

/// The conversation with one sink about one job's crashes, as the spool keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    pub sink: SinkKey,
    /// The job and the user whose hooks made the reports, if not root; see
    /// [`super::pass::by_whom`].
    pub name: String,
    /// One of the crashes, without its sections. A message takes from it what it knows no better.
    pub about: Report,
    /// Messages to the sink, and crashes that are counted for its next one.
    pub talk: Thread,
}

/// Maximum number of pieces of evidence that are kept.
const EVIDENCE: usize = 8;

/// Returns the report without what belongs to that one crash alone, and cut to a length that people
/// read: a user's hook can write anything into it, and every pass reads it.
pub fn bare(mut report: Report) -> Report {
    let cause = &mut report.cause;
    cause.evidence.truncate(EVIDENCE);
    let seen = cause
        .evidence
        .iter_mut()
        .flat_map(|seen| [&mut seen.source, &mut seen.text]);
    for text in seen
        .chain([
            &mut cause.line,
            &mut report.host,
            &mut report.verdict_because,
        ])
        .chain(&mut report.runbook)
    {
        *text = one_line(text, 1000);
    }
    Report {
        sections: Vec::new(),
        causes: Vec::new(),
        past: None,
        now: None,
        notes: Vec::new(),
        ..report
    }
}
