//! One section of a report: the findings of one collector.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SectionData;

/// The findings of one collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "StoredSection")]
pub struct Section {
    /// The kind of collector: its key under `[collect]`, such as `memory`, `log` or `exec`; or
    /// `output` or `usage`, which `lastwords run` adds.
    pub kind: CollectorKind,
    /// The collector's name: the kind, or a name that tells several of one kind apart.
    pub collector: String,
    /// How the collector's run ended.
    pub status: Status,
    /// The findings for people. Hostile input: log text may hold anything but invalid UTF-8.
    pub text: String,
    /// The findings for programs; the form depends on the kind. Null where the run failed.
    #[cfg_attr(test, schemars(with = "Value"))]
    pub data: SectionData,
    /// How long the run took, in milliseconds.
    pub millis: u64,
}

/// How a collector's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It succeeded.
    Ok,
    /// It failed; the text says why.
    Failed,
    /// It was not allowed to: the hook runs as a user without access.
    Denied,
    /// It was still running at its deadline.
    TimedOut,
}

/// A kind of collector, by its key under `[collect]`.
///
/// The set is open: a report may come from a version of lastwords that has other collectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct CollectorKind(Cow<'static, str>);

impl CollectorKind {
    pub const MEMORY: Self = Self::new("memory");
    pub const LOAD: Self = Self::new("load");
    pub const DISK: Self = Self::new("disk");
    pub const LOG: Self = Self::new("log");
    pub const JOURNAL: Self = Self::new("journal");
    /// The output of a command that `lastwords run` runs.
    pub const OUTPUT: Self = Self::new("output");
    pub const DMESG: Self = Self::new("dmesg");
    pub const PROCESSES: Self = Self::new("processes");
    pub const PROGRAM: Self = Self::new("program");
    pub const EXEC: Self = Self::new("exec");

    pub const fn new(key: &'static str) -> Self {
        Self(Cow::Borrowed(key))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if such a section shows the service's own words.
    pub fn is_log(&self) -> bool {
        [Self::LOG, Self::JOURNAL, Self::OUTPUT].contains(self)
    }

    /// Infers the kind from the collector's name, for reports from before sections had a kind.
    fn of_name(collector: &str) -> Self {
        let key = match collector {
            "log output" => return Self::OUTPUT,
            "log journal" => return Self::JOURNAL,
            "node report" => "node_report",
            "memory" | "load" | "disk" | "log" | "dmesg" | "processes" | "program" | "usage" => {
                collector
            }
            name if name.starts_with("log ") => return Self::LOG,
            _ => return Self::EXEC,
        };
        Self(Cow::Owned(key.to_owned()))
    }
}

impl fmt::Display for CollectorKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A section in JSON. Earlier versions wrote no kind.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StoredSection {
    kind: Option<CollectorKind>,
    collector: String,
    status: Status,
    text: String,
    #[serde(default)]
    data: Value,
    millis: u64,
}

impl From<StoredSection> for Section {
    fn from(stored: StoredSection) -> Self {
        let kind = stored
            .kind
            .unwrap_or_else(|| CollectorKind::of_name(&stored.collector));
        Self {
            data: SectionData::from_json(&kind, stored.data),
            kind,
            collector: stored.collector,
            status: stored.status,
            text: stored.text,
            millis: stored.millis,
        }
    }
}

/// A section for tests, of the kind that the collector's name suggests.
#[cfg(test)]
pub(crate) fn section(collector: &str, text: &str) -> Section {
    Section {
        kind: CollectorKind::of_name(collector),
        collector: collector.to_owned(),
        status: Status::Ok,
        text: text.to_owned(),
        data: SectionData::Nothing,
        millis: 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CollectorKind, Section};
    use crate::report::SectionData;

    fn stored(section: Value) -> Section {
        serde_json::from_value(section).unwrap()
    }

    #[test]
    fn a_section_without_a_kind_gets_that_of_its_name() {
        for (name, kind) in [
            ("memory", "memory"),
            ("node report", "node_report"),
            ("log", "log"),
            ("log /var/log/web.log", "log"),
            ("log journal", "journal"),
            ("log output", "output"),
            ("logins", "exec"),
            ("queue depth", "exec"),
        ] {
            let old = json!({"collector": name, "status": "ok", "text": "", "millis": 1});
            assert_eq!(stored(old).kind.as_str(), kind, "{name}");
        }
    }

    #[test]
    fn a_kind_that_is_not_known_stays_as_it_is() {
        let newer = json!({
            "kind": "gpu", "collector": "gpu", "status": "ok", "text": "hot", "data": [70], "millis": 1,
        });
        let section = stored(newer.clone());
        assert_eq!(section.data, SectionData::Other(json!([70])));
        assert_eq!(serde_json::to_value(&section).unwrap(), newer);
    }

    #[test]
    fn a_command_is_no_log_whatever_its_name_is() {
        assert!(CollectorKind::JOURNAL.is_log());
        assert!(!CollectorKind::EXEC.is_log());
    }
}
