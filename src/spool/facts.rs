//! Writes and reads the facts of a report as the name of an empty file, for a disk that has room
//! for nothing else.
//!
//! ```text
//! 20261123t030000-0123456789abcdef.crashed.signal-SEGV.upstart.web
//! ```
//! The parts are id, verdict, exit, supervisor, and the encoded name of job and instance, as much
//! of it as there is room for.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::names;
use crate::report::{Exit, Report, ReportId, Supervisor, Verdict};

/// Longest name of a file, in bytes.
const MAX: usize = 255;

/// The facts that are left of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub id: ReportId,
    pub verdict: Verdict,
    pub exit: Exit,
    pub supervisor: Supervisor,
    pub job: String,
    pub instance: Option<String>,
}

/// Returns the report's facts as a file's name.
pub fn encode(report: &Report) -> String {
    let stop = &report.stop;
    let exit = match &stop.exit {
        Exit::Code(code) => format!("code-{code}"),
        Exit::Signal { name, .. }
            if name.len() <= 16 && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'+') =>
        {
            format!("signal-{name}")
        }
        Exit::Signal { .. } | Exit::Unknown => "unknown".to_owned(),
    };
    let service = match &stop.instance {
        Some(instance) => format!("{}\0{instance}", stop.job),
        None => stop.job.clone(),
    };
    let head = [
        report.id.to_string(),
        word(report.verdict),
        exit,
        word(&stop.supervisor),
    ]
    .join(".");
    let mut name = format!("{head}.{}", names::encode(service));
    name.truncate(MAX);
    name
}

/// Returns the facts in a file's name; `None` if there are none.
pub fn decode(name: &str) -> Option<Facts> {
    let mut parts = name.splitn(5, '.');
    let id = ReportId::parse(parts.next()?).ok()?;
    let verdict = from_word(parts.next()?)?;
    let exit = match parts.next()?.split_once('-') {
        Some(("code", code)) => Exit::Code(code.parse().ok()?),
        Some(("signal", name)) => Exit::Signal {
            name: name.to_owned(),
            core_dumped: false,
        },
        _ => Exit::Unknown,
    };
    let supervisor = from_word(parts.next()?)?;
    let service = parts.next()?;
    let service = names::decode(service).unwrap_or_else(|| service.to_owned());
    let (job, instance) = match service.split_once('\0') {
        Some((job, instance)) => (job.to_owned(), Some(instance.to_owned())),
        None => (service, None),
    };
    Some(Facts {
        id,
        verdict,
        exit,
        supervisor,
        job,
        instance,
    })
}

/// Returns the word for it in a report's JSON.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn from_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::from(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use proptest::prelude::proptest;

    #[test]
    fn the_facts_are_read_back_from_the_name() {
        for (exit, instance) in [
            (Exit::Code(-1), None),
            (
                Exit::Signal {
                    name: "RTMIN+3".into(),
                    core_dumped: false,
                },
                Some("a/b.c \0".to_owned()),
            ),
            (Exit::Unknown, Some(String::new())),
        ] {
            let mut report = sample();
            report.stop.exit = exit.clone();
            report.stop.instance.clone_from(&instance);
            let facts = decode(&encode(&report)).unwrap();
            assert_eq!(
                (facts.id, facts.verdict, facts.exit),
                (report.id, report.verdict, exit)
            );
            assert_eq!(
                (facts.supervisor, facts.job, facts.instance),
                (Supervisor::new("upstart"), "web".into(), instance)
            );
        }
        let name = encode(&sample());
        assert_eq!(
            name,
            "20261123t030000-0123456789abcdef.crashed.code-1.upstart.web"
        );
    }

    #[test]
    fn of_a_very_long_name_the_beginning_is_kept() {
        let mut report = sample();
        report.stop.job = "x".repeat(1000);
        report.verdict = Verdict::AbortedStart;
        report.stop.exit = Exit::Signal {
            name: "evil/../..".into(),
            core_dumped: true,
        };
        let name = encode(&report);
        assert!(name.len() <= MAX && !name.contains('/'), "{name}");
        assert!(decode(&name).unwrap().job.starts_with("xxxx"));
    }

    proptest! {
        #[test]
        fn any_name_is_survived(name: String) {
            let _ = decode(&name);
            let _ = decode(&format!("20261123t030000-0123456789abcdef.{name}"));
        }
    }
}
