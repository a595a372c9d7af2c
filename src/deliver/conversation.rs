//! Keeps the conversation with one sink about one job's crashes.

use serde::{Deserialize, Serialize};

use crate::deliver::flood::Thread;
use crate::render::one_line;
use crate::report::{Exit, Report, SinkKey};

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
/// Maximum length of a name, in bytes.
const NAME: usize = 255;

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
    let stop = &mut report.stop;
    let mut names = vec![&mut stop.job, &mut report.fingerprint];
    names.extend(&mut stop.instance);
    names.extend(&mut stop.invocation);
    if let Exit::Signal { name, .. } = &mut stop.exit {
        names.push(name);
    }
    for name in names {
        let end = name.floor_char_boundary(NAME);
        name.truncate(end);
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

#[cfg(test)]
mod tests {
    use super::bare;
    use crate::report::{Evidence, Exit, sample};

    #[test]
    fn little_is_kept_of_a_report_with_whatever_long_texts() {
        let long = "\u{e9}".repeat(1 << 19);
        let mut report = sample();
        report.stop.instance = Some(long.clone());
        report.stop.invocation = Some(long.clone());
        report.stop.exit = Exit::Signal {
            name: long.clone(),
            core_dumped: false,
        };
        report.fingerprint.clone_from(&long);
        report.cause.line.clone_from(&long);
        report.runbook = Some(long.clone());
        let seen = Evidence {
            text: long,
            ..report.cause.evidence[0].clone()
        };
        report.cause.evidence = vec![seen; 20];
        let kept = serde_json::to_vec(&bare(report)).unwrap();
        assert!(kept.len() < 30_000, "{}", kept.len());
    }
}
