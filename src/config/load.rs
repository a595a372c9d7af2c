//! The config of one job, as a hook or the deliverer uses it.

use std::path::Path;

use super::files::{job_file, job_files, job_of, machine_file};
use super::keys::{Job, JobFile, Machine};
use super::opened::open;
use super::problem::{Problem, Severity};
use super::sink_names;
use crate::redact::Redactor;
use crate::report::{Audience, SinkKey};
use crate::sinks::{Sink, Sinks};

/// The config of one job, whatever state its files are in; by default that of one that nobody
/// configured.
pub struct Loaded {
    /// The machine's sinks.
    pub sinks: Sinks,
    pub job: Job,
    /// What takes the secrets out of its reports.
    pub redactor: Redactor,
    /// What is wrong with the files; it belongs into the report.
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
/// At crash time nothing about the config may cost the report: a table with an error in it is left
/// out, a file that cannot be read at all counts as empty, and `problems` says so.
pub fn load(dir: &Path, job: &str) -> Loaded {
    let mut problems = Vec::new();
    let machine = open::<Machine>(&machine_file(dir), &mut problems);
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
    /// All sinks: the machine's, and the job's own.
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

    /// The sinks that are told of this job's crashes, in order.
    pub fn routes(&self, job: &str) -> Vec<Route<'_>> {
        let mut all = self.all_routes(job);
        if let Some(chosen) = &self.job.sinks {
            let position = |route: &Route| chosen.iter().position(|name| name == route.sink.name());
            all.retain(|route| position(route).is_some());
            all.sort_by_key(|route| position(route));
        }
        all
    }

    /// The sinks that get what is for these.
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

    /// The sink of this name, the job's own before the machine's.
    pub fn sink(&self, name: &str) -> Option<&dyn Sink> {
        self.job
            .sink
            .list()
            .into_iter()
            .chain(self.sinks.list())
            .find(|sink| sink.name() == name)
    }

    /// Whether some collectors run in the deliverer. Of those that nobody chose, none does.
    pub fn runs_later(&self) -> bool {
        self.job
            .collect
            .as_ref()
            .is_some_and(|collect| collect.list().iter().any(|it| it.runs_later()))
    }

    /// Whether a part of the config cannot be used, so that not all who are to be told are known.
    pub fn is_broken(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }
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
