//! Leaves the service's journal to the deliverer.
//!
//! The journal outlives the service, so the restart need not wait until it is read. The hook puts
//! an empty section into the report, with everything that it knows and no other section shows. The
//! deliverer reads the journal before it does anything else with the report, and explains the death
//! again.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::catch::capture;
use crate::catch::verdict::Judgement;
use crate::catch::why::{self, Clues, sureness};
use crate::cause::KernelMessage;
use crate::collectors::{Collect, runner};
use crate::config::Loaded;
use crate::host::Host;
use crate::report::{CollectorKind, Report, Section, SectionData, Status};

/// Text of the section until the journal is read.
const NOT_YET: &str = "not collected yet";

/// Facts of a death that the hook knows beside the report.
#[derive(Serialize, Deserialize)]
struct Known {
    judgement: Judgement,
    kernel: Vec<KernelMessage>,
    oom_kills: Option<[u64; 2]>,
}

/// Data of the section until the journal is read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    pending: Known,
}

/// Returns the section of a journal that is not read yet.
pub fn section(judgement: &Judgement, clues: &Clues) -> Section {
    let pending = Known {
        judgement: judgement.clone(),
        kernel: clues.kernel.clone(),
        oom_kills: clues.oom_kills,
    };
    Section {
        kind: CollectorKind::JOURNAL,
        collector: "log journal".to_owned(),
        // An older deliverer sends it like this.
        status: Status::Failed,
        text: NOT_YET.to_owned(),
        data: SectionData::Other(json!(Data { pending })),
        millis: 0,
    }
}

/// Returns true if the journal of this report is not read yet.
pub fn is_pending(report: &Report) -> bool {
    report
        .sections
        .iter()
        .any(|section| known(section).is_some())
}

/// Drops the wish to have a journal read. A user's hook cannot have root read one.
pub fn disown(report: &mut Report) {
    for section in &mut report.sections {
        if known(section).is_some() {
            section.data = SectionData::Nothing;
        }
    }
}

fn known(section: &Section) -> Option<Known> {
    let SectionData::Other(data) = &section.data else {
        return None;
    };
    let is_ours = section.kind == CollectorKind::JOURNAL;
    let data: Data = is_ours.then(|| Data::deserialize(data).ok())??;
    Some(data.pending)
}

/// Reads the journal, and explains the death again.
pub fn complete(report: &mut Report, loaded: &Loaded, host: &Host) {
    let mut sections = report.sections.iter_mut();
    let Some((known, section)) = sections.find_map(|it| Some((known(it)?, it))) else {
        return;
    };
    let configured = loaded.job.collect.as_ref();
    let journal = configured.and_then(|it| it.journal.clone());
    let mut collect = Collect {
        journal: Some(journal.unwrap_or_default()),
        ..Collect::default()
    };
    let logs = capture::deep_tails(&mut collect, &loaded.redactor);
    let collectors = collect.list();
    let budget = collectors.iter().map(|it| it.patience()).sum();
    let mut read = runner::run(collectors, &report.stop, host, budget, &loaded.redactor);
    if let Some(read) = read.pop() {
        *section = read;
    }
    let clues = Clues {
        kernel: known.kernel,
        logs,
        oom_kills: known.oom_kills,
    };
    let explanation = why::explain(
        &report.stop,
        &known.judgement,
        &report.sections,
        &clues,
        &loaded.redactor,
    );
    // Of two that are equally sure, the journal's last words are the later ones.
    if sureness(&explanation.cause) <= sureness(&report.cause) {
        report.cause = explanation.cause;
        report.fingerprint = explanation.fingerprint;
    }
    loaded.redactor.report(report);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{Pattern, Redactor};
    use crate::report::{Evidence, Exit, Verdict, sample};

    fn judgement() -> Judgement {
        Judgement {
            verdict: Verdict::Crashed,
            because: "it ended by itself".to_owned(),
            is_good_end: false,
            exit: Exit::Code(1),
            pid: Some(42),
            failed_start: None,
            reason: None,
            evidence: vec![Evidence {
                source: "systemd".to_owned(),
                line: None,
                text: "Result=exit-code".to_owned(),
            }],
        }
    }

    fn waiting() -> Report {
        let mut report = sample();
        report.stop.invocation = None;
        let clues = Clues::default();
        report.sections.push(section(&judgement(), &clues));
        report
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_said_once_and_asked_for_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(dir.path(), dir.path());
        let mut report = waiting();
        assert!(is_pending(&report));
        complete(&mut report, &Loaded::default(), &host);
        assert!(!is_pending(&report));
        let journal = report.sections.last().unwrap();
        assert_eq!(journal.kind, CollectorKind::JOURNAL);
        assert!(journal.text.contains("INVOCATION_ID"), "{}", journal.text);
        let evidence = &report.cause.evidence;
        let is_kept = evidence.iter().any(|it| it.text == "Result=exit-code");
        assert!(is_kept || report.cause == sample().cause, "{evidence:?}");
    }

    #[test]
    fn a_pattern_that_hits_the_sections_words_does_not_lose_the_journal() {
        let patterns = vec![Pattern::new("collected").unwrap()];
        let mut report = waiting();
        Redactor::new(patterns).report(&mut report);
        assert!(!report.sections.last().unwrap().text.contains("collected"));
        assert!(is_pending(&report));
    }

    #[test]
    fn a_section_of_the_same_words_asks_for_nothing() {
        let mut report = waiting();
        disown(&mut report);
        assert!(!is_pending(&report));
        let mut report = waiting();
        report.sections.last_mut().unwrap().kind = CollectorKind::EXEC;
        assert!(!is_pending(&report));
    }
}
