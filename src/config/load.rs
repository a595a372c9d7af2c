//! The config of one job, as a hook or the deliverer uses it.

use std::path::{Path, PathBuf};

use super::files::{job_file, job_files, job_of, machine_file};
use super::keys::{JobFile, JobSettings, MachineFile};
use super::opened::open;
use super::problem::{Problem, Severity};
use super::read;
use super::sink_names;
use crate::redact::Redactor;
use crate::report::{Audience, SinkKey};
use crate::sinks::{Sink, Sinks};

/// The config of one job, whatever state its files are in. By default, that of a job without any.
pub struct Loaded {
    /// The machine's sinks.
    pub sinks: Sinks,
    pub job: JobSettings,
    /// Removes secrets from the job's reports.
    pub redactor: Redactor,
    /// Problems with the files, which the report mentions.
    pub problems: Vec<Problem>,
}

impl Default for Loaded {
    fn default() -> Self {
        let job = JobFile::default().or(JobFile::default());
        Self {
            sinks: Sinks::default(),
            job,
            redactor: Redactor::default(),
            problems: Vec::new(),
        }
    }
}

/// Reads the config of one job.
///
/// A broken config must not cost the report. So a table with an error is left out, a file that
/// cannot be read counts as empty, and `problems` says so.
pub fn load(dir: &Path, job: &str) -> Loaded {
    let mut problems = Vec::new();
    let machine = open::<MachineFile>(&machine_file(dir), &mut problems);
    let job = open::<JobFile>(&job_file(dir, job), &mut problems);
    problems.extend(machine.mistakes());
    problems.extend(job.mistakes(&machine));
    if !machine.defines_a_sink() && !job.defines_a_sink() {
        problems.push(sink_names::none_at_all(dir));
    }
    let patterns = [machine.default.patterns.good, job.root.patterns.good];
    Loaded {
        sinks: machine.value.sink,
        job: job.value.or(machine.value.default),
        redactor: Redactor::new(patterns.concat()),
        problems,
    }
}

/// A sink that a report goes to.
pub struct Route<'a> {
    pub key: SinkKey,
    pub sink: &'a dyn Sink,
}

impl Loaded {
    /// Returns all sinks: the machine's, and the job's own.
    pub fn all_routes(&self, job: &str) -> Vec<Route<'_>> {
        let machine = self.sinks.list().into_iter().map(|sink| Route {
            key: SinkKey::Machine(sink.name().to_owned()),
            sink,
        });
        let own = self.job.sink.list().into_iter().map(|sink| Route {
            key: SinkKey::of_job(job, sink.name()),
            sink,
        });
        machine.chain(own).collect()
    }

    /// Returns the sinks that are told of this job's crashes, in order.
    pub fn routes(&self, job: &str) -> Vec<Route<'_>> {
        let mut all = self.all_routes(job);
        if let Some(chosen) = &self.job.sinks {
            let position = |route: &Route| chosen.iter().position(|name| name == route.sink.name());
            all.retain(|route| position(route).is_some());
            all.sort_by_key(|route| position(route));
        }
        all
    }

    /// Returns the sinks of an audience.
    pub fn routes_to(&self, to: &Audience, job: &str) -> Vec<Route<'_>> {
        let some = |wanted: &dyn Fn(&SinkKey) -> bool| {
            self.all_routes(job)
                .into_iter()
                .filter(|route| wanted(&route.key))
                .collect()
        };
        match to {
            Audience::Job => self.routes(job),
            Audience::Only(sink) => some(&|key| key == sink),
            Audience::AllBut(sink) => some(&|key| key != sink),
        }
    }

    /// Returns the sink of this name. The job's own go before the machine's.
    pub fn sink(&self, name: &str) -> Option<&dyn Sink> {
        self.job
            .sink
            .list()
            .into_iter()
            .chain(self.sinks.list())
            .find(|sink| sink.name() == name)
    }

    /// Returns true if a collector runs in the deliverer. None of the standard ones does.
    pub fn runs_later(&self) -> bool {
        self.job
            .collect
            .as_ref()
            .is_some_and(|collect| collect.list().iter().any(|it| it.runs_later()))
    }

    /// Returns true if a part of the config cannot be used, so that some sinks may be unknown.
    pub fn is_broken(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }
}

/// Returns the jobs of which a run may be expected, with their config: those with a file, where it
/// or `[default]` says so.
pub fn expecting(dir: &Path) -> Vec<(String, Loaded)> {
    mentioning(dir, "expect")
        .map(|job| (job.clone(), load(dir, &job)))
        .collect()
}

/// Returns the root directories of hooks that jobs' files name, each with the user of the hooks
/// there.
pub fn chroots(dir: &Path) -> Vec<(PathBuf, Option<String>)> {
    let of = |job: String| {
        let settings = load(dir, &job).job;
        Some((settings.chroot?, settings.user))
    };
    let mut found: Vec<_> = mentioning(dir, "chroot").filter_map(of).collect();
    found.sort();
    found.dedup();
    found
}

/// Returns the jobs with a file, if it or `lastwords.toml` holds this word. Most have none, and
/// need not be parsed.
fn mentioning<'a>(dir: &Path, word: &'a str) -> impl Iterator<Item = String> + use<'a> {
    let mentions = move |file: &Path| {
        let source = read::read(file).ok().flatten();
        source.is_some_and(|source| source.text.contains(word))
    };
    let all = mentions(&machine_file(dir));
    let files = job_files(dir, &mut Vec::new()).into_iter();
    let files = files.filter(move |file| all || mentions(file));
    files.filter_map(|file| job_of(&file))
}

/// Returns the jobs whose hooks run as a user other than root, and those users.
pub fn users(dir: &Path) -> Vec<(String, String)> {
    let user = |file: &std::path::PathBuf| {
        let user = open::<JobFile>(file, &mut Vec::new()).value.user?;
        Some((job_of(file)?, user))
    };
    let files = job_files(dir, &mut Vec::new());
    files.iter().filter_map(user).collect()
}
