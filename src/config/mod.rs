//! `lastwords.toml`, which describes the machine, and `jobs/JOB.toml`, which describes a job.
//!
//! # lastwords.toml
//! | Key | Values | Default |
//! |---|---|---|
//! | `[[sink.KIND]]` | a destination; its keys are its kind's | none |
//! | `[default]` | what a job gets where its own file says nothing; its keys are those of a job's file | |
//!
//! # jobs/JOB.toml
//! | Key | Values | Default |
//! |---|---|---|
//! | `sinks` | names of sinks, in the order in which they are told | all that there are |
//! | `[[sink.KIND]]` | a destination of this job alone | none |
//! | `[collect.KIND]` | what to gather | the usual |
//! | `runbook` | where the people in charge find out what to do | none |
//! | `normal_exit` | exit codes and signals that are no crash: `[0, 143, "TERM"]` | none |
//! | `stop_timeout` | how long a planned stop may take | `"60s"` |
//! | `user` | the user as whom the job's hooks run | root |
//!
//! A key that the job's file has replaces that of `[default]` as a whole: nothing is mixed. Characters of a job's name
//! other than letters, digits, `.`, `_`, `@`, `+` and `-` are written `%XX` in the file's name: the job `sub/name` has
//! `jobs/sub%2Fname.toml`.

mod check;
mod normal_exit;
mod parse;
mod problem;
mod read;
mod sink_names;
mod tree;
mod wording;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

pub use check::{Checked, check};
pub use normal_exit::signal;
pub use parse::parse;
pub use problem::{Place, Problem, Severity, Source};

use crate::collectors::Collect;
use crate::names;
use crate::report::Exit;
use crate::sinks::{Sink, Sinks};
use normal_exit::NormalExit;

/// How long a planned stop may take where nobody says.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// `lastwords.toml`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    pub sink: Sinks,
    pub default: JobFile,
}

/// A job's file, or `[default]`, as it stands there.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct JobFile {
    sinks: Option<Vec<Spanned<String>>>,
    sink: Option<Sinks>,
    collect: Option<Collect>,
    runbook: Option<String>,
    normal_exit: Option<Vec<NormalExit>>,
    #[serde(with = "humantime_serde")]
    stop_timeout: Option<Duration>,
    user: Option<String>,
}

/// What happens when a job dies.
pub struct Job {
    /// The names of the sinks that are told, in order; `None` for all, the machine's and the job's own.
    pub sinks: Option<Vec<String>>,
    /// Its own sinks.
    pub sink: Sinks,
    /// What is gathered; `None` for the usual.
    pub collect: Option<Collect>,
    pub runbook: Option<String>,
    /// The exits that are no crash.
    pub normal_exit: Vec<Exit>,
    /// How long a planned stop may take.
    pub stop_timeout: Duration,
    /// The user as whom its hooks run, where that is not root.
    pub user: Option<String>,
}

impl JobFile {
    fn or(self, default: Self) -> Job {
        let sinks = self.sinks.or(default.sinks);
        let normal_exit = self.normal_exit.or(default.normal_exit).unwrap_or_default();
        Job {
            sinks: sinks.map(|names| names.into_iter().map(Spanned::into_inner).collect()),
            sink: self.sink.or(default.sink).unwrap_or_default(),
            collect: self.collect.or(default.collect),
            runbook: self.runbook.or(default.runbook),
            normal_exit: normal_exit.into_iter().map(|NormalExit(exit)| exit).collect(),
            stop_timeout: self.stop_timeout.or(default.stop_timeout).unwrap_or(STOP_TIMEOUT),
            user: self.user.or(default.user),
        }
    }
}

/// The config of one job, whatever state its files are in.
pub struct Loaded {
    /// The machine's sinks.
    pub sinks: Sinks,
    pub job: Job,
    /// What is wrong with the files; it belongs into the report.
    pub problems: Vec<Problem>,
}

/// Reads the config of one job.
///
/// At crash time nothing about the config may cost the report: a table with an error in it is left out, a file that
/// cannot be read at all counts as empty, and `problems` says so.
pub fn load(dir: &Path, job: &str) -> Loaded {
    let mut problems = Vec::new();
    let machine = open::<Machine>(&machine_file(dir), &mut problems);
    let job = open::<JobFile>(&jobs_dir(dir).join(file_name(job)), &mut problems);
    problems.extend(sink_names::of_machine(machine.source.as_ref()));
    problems.extend(sink_names::of_job(machine.source.as_ref(), job.source.as_ref()));
    let files: Vec<&Source> = machine.source.iter().chain(&job.source).collect();
    problems.extend(sink_names::nobody_is_told(dir, &files));
    Loaded { sinks: machine.value.sink, job: job.value.or(machine.value.default), problems }
}

/// A sink that a report goes to.
pub struct Route<'a> {
    /// The sink's own name, among all jobs' sinks.
    pub key: String,
    pub sink: &'a dyn Sink,
}

impl Loaded {
    /// The sinks that are told of this job's crashes, in order.
    pub fn routes(&self, job: &str) -> Vec<Route<'_>> {
        let machine = self.sinks.list().into_iter().map(|sink| Route { key: sink.name().to_owned(), sink });
        // NUL stands in no name from a config, so that one job's sink is never taken for another's.
        let own = self.job.sink.list().into_iter().map(|sink| Route { key: format!("{job}\0{}", sink.name()), sink });
        let mut all: Vec<Route> = machine.chain(own).collect();
        if let Some(chosen) = &self.job.sinks {
            let position = |route: &Route| chosen.iter().position(|name| name == route.sink.name());
            all.retain(|route| position(route).is_some());
            all.sort_by_key(|route| position(route));
        }
        all
    }

    /// The sink of this name, the job's own before the machine's.
    pub fn sink(&self, name: &str) -> Option<&dyn Sink> {
        self.job.sink.list().into_iter().chain(self.sinks.list()).find(|sink| sink.name() == name)
    }

    /// Whether a part of the config cannot be used, so that not all who are to be told are known.
    pub fn is_broken(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// A config file and what is in it; what cannot be used has its default.
struct Opened<T> {
    source: Option<Source>,
    value: T,
}

fn open<T: DeserializeOwned + Default>(file: &Path, problems: &mut Vec<Problem>) -> Opened<T> {
    let source = read::read(file).unwrap_or_else(|problem| {
        problems.push(*problem);
        None
    });
    let value = source.as_ref().and_then(|source| {
        let (value, wrong) = parse(source);
        problems.extend(wrong);
        value
    });
    Opened { source, value: value.unwrap_or_default() }
}

/// The jobs whose hooks run as a user other than root, and those users.
pub fn users(dir: &Path) -> Vec<(String, String)> {
    let named = |file: PathBuf| {
        let job = names::decode(file.file_stem()?.to_str()?)?;
        let user = open::<JobFile>(&file, &mut Vec::new()).value.user?;
        Some((job, user))
    };
    check::job_files(&jobs_dir(dir), &mut Vec::new()).into_iter().filter_map(named).collect()
}

/// The name of a job's file in `jobs/`.
pub fn file_name(job: &str) -> String {
    names::encode(job) + ".toml"
}

fn machine_file(dir: &Path) -> PathBuf {
    dir.join("lastwords.toml")
}

fn jobs_dir(dir: &Path) -> PathBuf {
    dir.join("jobs")
}
