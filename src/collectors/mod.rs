//! Collectors: each gathers one section of the report, of things that vanish after a crash.
//!
//! A collector is its own config struct: `[collect.memory]` in a job's file *is*
//! [`memory::Memory`]. To add one, write its file, and add a field to [`Collect`] and a line to
//! [`Collect::list`].

pub mod disk;
pub mod dmesg;
pub mod exec;
pub mod journal;
pub mod load;
pub mod log;
pub mod memory;
pub mod node_report;
pub mod output;
pub mod pressure;
pub mod processes;
pub mod program;
pub mod runner;
pub mod usage;

use std::time::Duration;

use anyhow::Result;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::host::Host;
use crate::report::{CollectorKind, SectionData, Stop};

/// Gathers one section.
pub trait Collector: Send {
    /// Returns which kind of collector this is: its key under `[collect]`.
    fn kind(&self) -> CollectorKind;

    /// Returns the section's name in the report; there may be several of one kind.
    fn name(&self) -> String {
        self.kind().to_string()
    }

    /// Returns true if it is too slow for the hook, and the deliverer has to run it.
    fn runs_later(&self) -> bool {
        false
    }

    /// Returns how much time it needs beside the others; zero if it is fast.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns true if it has to run before the others, because its findings matter most or vanish
    /// first. The order of the sections stays.
    fn comes_first(&self) -> bool {
        false
    }

    /// Returns true if it only computes, so that it ends, however busy the machine is.
    fn only_computes(&self) -> bool {
        false
    }

    /// Returns true if it may wait for ever, in a way that no signal ends. This must be found out
    /// without touching a file that may hang.
    fn may_hang(&self, _stop: &Stop, _host: &Host) -> bool {
        false
    }

    /// Gathers the section. It may fail, panic or take long: the runner copes with that.
    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body>;
}

/// The findings of a collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// For people: lines of about 100 columns at most.
    pub text: String,
    /// For programs.
    pub data: SectionData,
}

/// The collectors of one job: the config's `[collect]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Collect {
    pub memory: Option<memory::Memory>,
    pub load: Option<load::Load>,
    pub disk: Option<disk::Disk>,
    pub log: Vec<log::Log>,
    pub journal: Option<journal::Journal>,
    pub node_report: Option<node_report::NodeReport>,
    pub dmesg: Option<dmesg::Dmesg>,
    pub processes: Option<processes::Processes>,
    pub program: Option<program::Program>,
    pub exec: Vec<exec::ExecCollector>,
}

impl Collect {
    /// Returns the collectors of a job without a config. The path of its log depends on the
    /// supervisor.
    pub fn standard() -> Self {
        Self {
            memory: Some(memory::Memory::default()),
            load: Some(load::Load::default()),
            disk: Some(disk::Disk::default()),
            log: Vec::new(),
            journal: None,
            node_report: None,
            dmesg: Some(dmesg::Dmesg::default()),
            processes: Some(processes::Processes::default()),
            program: None,
            exec: Vec::new(),
        }
    }

    /// Returns the configured collectors, in the order of the report's sections.
    pub fn list(&self) -> Vec<Box<dyn Collector>> {
        let mut list: Vec<Box<dyn Collector>> = Vec::new();
        add(&mut list, &self.memory);
        add(&mut list, &self.load);
        add(&mut list, &self.disk);
        add(&mut list, &self.log);
        add(&mut list, &self.journal);
        add(&mut list, &self.node_report);
        add(&mut list, &self.dmesg);
        add(&mut list, &self.processes);
        add(&mut list, &self.program);
        add(&mut list, &self.exec);
        list
    }
}

/// Reads a path of the config.
///
/// # Errors
/// If no file can have it.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.is_empty() || path.contains('\0') {
        return Err(D::Error::custom(
            "expected a path, found an empty string or a NUL",
        ));
    }
    Ok(path)
}

fn add<'a, C: Collector + Clone + 'static>(
    list: &mut Vec<Box<dyn Collector>>,
    configured: impl IntoIterator<Item = &'a C>,
) {
    list.extend(
        configured
            .into_iter()
            .map(|collector| Box::new(collector.clone()) as Box<dyn Collector>),
    );
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::Collect;
    use crate::report::{Exit, Stop, Supervisor, Timestamp};

    /// A stop of which only the job is known.
    pub fn stop() -> Stop {
        Stop {
            job: "web".to_owned(),
            instance: None,
            supervisor: Supervisor::new("upstart"),
            started_at: None,
            stopped_at: Timestamp::new(SystemTime::now()),
            uptime_s: None,
            pid: None,
            exit: Exit::Unknown,
            invocation: None,
            directory: None,
        }
    }

    fn names(collect: &Collect) -> Vec<String> {
        collect
            .list()
            .iter()
            .map(|collector| collector.name())
            .collect()
    }

    #[test]
    fn a_config_lists_its_collectors_in_the_order_of_the_sections() {
        let toml = "[processes]\ncount = 3\n[dmesg]\nlines = 5\n[memory]\n[load]\n[disk]\ntimeout = '50ms'\n\
                    [[log]]\npath = '/var/log/web.log'\n[[log]]\nname = 'errors'\npath = 'e.log'\nlines = 3\n";
        let collect: Collect = toml::from_str(toml).unwrap();
        let expected = [
            "memory",
            "load",
            "disk",
            "log /var/log/web.log",
            "log errors",
            "dmesg",
            "processes",
        ];
        assert_eq!(names(&collect), expected);
        assert!(names(&Collect::default()).is_empty());
        assert_eq!(
            names(&Collect::standard()),
            ["memory", "load", "disk", "dmesg", "processes"]
        );
    }

    #[test]
    fn a_key_that_no_collector_knows_is_an_error_that_names_those_it_knows() {
        for (toml, expected) in [
            ("[memroy]", "expected one of `memory`, `load`, `disk`"),
            ("[memory]\nlines = 3", "unknown field `lines`"),
            ("[load]\nlines = 3", "unknown field `lines`"),
            ("[disk]\nlines = 3", "expected `timeout`"),
            (
                "[[log]]\npath = 'a'\nline = 3",
                "expected one of `path`, `name`, `lines`, `max_bytes`",
            ),
            ("[[log]]\nlines = 3", "missing field `path`"),
            ("[dmesg]\nline = 3", "expected `lines`"),
            ("[processes]\nlines = 3", "expected `count`"),
        ] {
            let error = toml::from_str::<Collect>(toml).unwrap_err().to_string();
            assert!(error.contains(expected), "{toml}: {error}");
        }
    }
}
