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
//! | `normal_exit` | exit codes and signals that are no crash: `[0, 143, "TERM"]` | none; under `lastwords run`, `[0]` |
//! | `stop_timeout` | how long a planned stop may take | `"60s"` |
//! | `user` | the user as whom the job's hooks run | root |
//! | `redact` | regular expressions: what they match, or their first group, is a secret (see [`mod@crate::redact`]) | none |
//!
//! A key that the job's file has replaces that of `[default]` as a whole: nothing is mixed. Only
//! `redact` adds to it.
//!
//! Characters of a job's name other than letters, digits, `.`, `_`, `@`, `+` and `-` are written
//! `%XX` in the file's name: the job `sub/name` has `jobs/sub%2Fname.toml`.

mod check;
#[cfg(test)]
mod error_texts;
#[cfg(test)]
mod mistakes;
mod normal_exit;
mod parse;
mod patterns;
mod problem;
mod read;
#[cfg(test)]
mod schema;
mod secret_files;
mod sink_names;
mod templates;
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
pub use problem::{Problem, Severity, Source};

use crate::collectors::Collect;
use crate::names;
use crate::redact::Redactor;
use crate::report::{Audience, Exit, SinkKey};
use crate::sinks::{Sink, Sinks};
use normal_exit::NormalExit;

/// Exit code of a command that cannot go on because the config has an error; see sysexits(3).
pub const EX_CONFIG: u8 = 78;

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
    /// Read by [`patterns`].
    #[serde(rename = "redact")]
    _redact: Option<Vec<String>>,
}

/// What happens when a job dies.
pub struct Job {
    /// The names of the sinks that are told, in order; `None` for all, the machine's and the job's
    /// own.
    pub sinks: Option<Vec<String>>,
    /// Its own sinks.
    pub sink: Sinks,
    /// What is gathered; `None` for the usual.
    pub collect: Option<Collect>,
    pub runbook: Option<String>,
    /// The exits that are no crash; `None` for the usual.
    pub normal_exit: Option<Vec<Exit>>,
    /// How long a planned stop may take.
    pub stop_timeout: Duration,
    /// The user as whom its hooks run, where that is not root.
    pub user: Option<String>,
}

impl JobFile {
    fn or(self, default: Self) -> Job {
        let sinks = self.sinks.or(default.sinks);
        let normal_exit = self.normal_exit.or(default.normal_exit);
        Job {
            sinks: sinks.map(|names| names.into_iter().map(Spanned::into_inner).collect()),
            sink: self.sink.or(default.sink).unwrap_or_default(),
            collect: self.collect.or(default.collect),
            runbook: self.runbook.or(default.runbook),
            normal_exit: normal_exit
                .map(|exits| exits.into_iter().map(|NormalExit(exit)| exit).collect()),
            stop_timeout: self
                .stop_timeout
                .or(default.stop_timeout)
                .unwrap_or(STOP_TIMEOUT),
            user: self.user.or(default.user),
        }
    }
}

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
    problems.extend(sink_names::of_machine(machine.source.as_ref()));
    problems.extend(sink_names::of_job(
        machine.source.as_ref(),
        job.source.as_ref(),
    ));
    problems.extend(patterns::of_machine(machine.source.as_ref()));
    problems.extend(patterns::of_job(job.source.as_ref()));
    let redactor = patterns::redactor(machine.source.as_ref(), job.source.as_ref());
    let files: Vec<&Source> = machine.source.iter().chain(&job.source).collect();
    problems.extend(sink_names::nobody_is_told(dir, &files));
    Loaded {
        sinks: machine.value.sink,
        job: job.value.or(machine.value.default),
        redactor,
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
    Opened {
        source,
        value: value.unwrap_or_default(),
    }
}

/// The jobs whose hooks run as a user other than root, and those users.
pub fn users(dir: &Path) -> Vec<(String, String)> {
    let named = |file: PathBuf| {
        let job = names::decode(file.file_stem()?.to_str()?)?;
        let user = open::<JobFile>(&file, &mut Vec::new()).value.user?;
        Some((job, user))
    };
    check::job_files(&jobs_dir(dir), &mut Vec::new())
        .into_iter()
        .filter_map(named)
        .collect()
}

/// The jobs that have a file.
pub fn jobs(dir: &Path) -> Vec<String> {
    let files = check::job_files(&jobs_dir(dir), &mut Vec::new());
    files
        .iter()
        .filter_map(|file| names::decode(file.file_stem()?.to_str()?))
        .collect()
}

/// The name of a job's file in `jobs/`.
pub fn file_name(job: &str) -> String {
    names::encode(job) + ".toml"
}

/// The file of a job.
pub fn job_file(dir: &Path, job: &str) -> PathBuf {
    jobs_dir(dir).join(file_name(job))
}

fn machine_file(dir: &Path) -> PathBuf {
    dir.join("lastwords.toml")
}

fn jobs_dir(dir: &Path) -> PathBuf {
    dir.join("jobs")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A config directory with these files.
    pub fn config(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["jobs", "secrets"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let secret = dir.path().join("secrets/slack");
        fs::write(&secret, "https://example.com").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    pub const SINK: &str = "[[sink.slack]]\nname = \"ops\"\nwebhook_file = \"secrets/slack\"\n";

    /// The problems, without the directory's name.
    pub fn told(dir: &Path, problems: &[Problem]) -> Vec<String> {
        let dir = format!("{}/", dir.display());
        problems
            .iter()
            .map(|problem| problem.to_string().replace(&dir, ""))
            .collect()
    }

    #[test]
    fn a_job_without_a_file_has_the_default_pipeline() {
        let default =
            "[default]\nrunbook = \"wiki\"\nnormal_exit = [143]\n[default.collect.memory]\n";
        let dir = config(&[("lastwords.toml", &format!("{SINK}{default}"))]);
        let loaded = load(dir.path(), "web");
        assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
        assert_eq!(loaded.sinks.slack.len(), 1);
        assert_eq!(loaded.job.sinks, None);
        assert_eq!(loaded.job.runbook.as_deref(), Some("wiki"));
        assert_eq!(loaded.job.normal_exit, Some(vec![Exit::Code(143)]));
        assert_eq!(loaded.job.stop_timeout, Duration::from_mins(1));
        assert!(loaded.job.collect.unwrap().memory.is_some());
    }

    #[test]
    fn what_a_job_says_goes_before_the_default() {
        let default =
            "[default]\nrunbook = \"wiki\"\nnormal_exit = [143]\n[default.collect.memory]\n";
        let job = "sinks = [\"ops\"]\nnormal_exit = []\nstop_timeout = \"5m\"\nuser = \"www\"\n[collect]\n";
        let dir = config(&[
            ("lastwords.toml", &format!("{SINK}{default}")),
            ("jobs/web.toml", job),
        ]);
        let loaded = load(dir.path(), "web");
        assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
        assert_eq!(loaded.job.sinks.unwrap(), ["ops"]);
        assert_eq!(loaded.job.runbook.as_deref(), Some("wiki"));
        assert_eq!(loaded.job.normal_exit, Some(Vec::new()));
        assert_eq!(loaded.job.stop_timeout, Duration::from_mins(5));
        assert_eq!(loaded.job.user.as_deref(), Some("www"));
        assert!(loaded.job.collect.unwrap().memory.is_none());
    }

    #[test]
    fn without_a_config_there_are_the_defaults_and_a_word_about_it() {
        let loaded = load(Path::new("/nonexistent"), "web");
        assert_eq!(
            told(Path::new("/nonexistent"), &loaded.problems),
            [
                "lastwords.toml: there is no such file, and so no sink (reports are kept in the spool and nobody is told; \
              add a sink, as `[[sink.email]]`)"
            ]
        );
        assert_eq!(loaded.job.stop_timeout, Duration::from_mins(1));
    }

    #[test]
    fn a_broken_file_has_the_defaults_and_takes_nothing_from_the_other() {
        let dir = config(&[
            ("lastwords.toml", SINK),
            ("jobs/web.toml", "sinks = [\"ops\"]\nrunbook ="),
        ]);
        let loaded = load(dir.path(), "web");
        assert_eq!(
            told(dir.path(), &loaded.problems),
            ["jobs/web.toml:2:10: expected a value after `=`, found none"]
        );
        assert_eq!((loaded.sinks.slack.len(), loaded.job.sinks), (1, None));

        let dir = config(&[
            ("lastwords.toml", "\0"),
            ("jobs/web.toml", "runbook = \"wiki\""),
        ]);
        let loaded = load(dir.path(), "web");
        let problems = told(dir.path(), &loaded.problems);
        assert_eq!(
            problems[0],
            "lastwords.toml:1:1: expected a key of letters, digits, `-` and `_`"
        );
        assert!(
            problems[1].starts_with("lastwords.toml: no sink is configured"),
            "{problems:?}"
        );
        assert_eq!(
            (loaded.sinks.slack.len(), loaded.job.runbook.as_deref()),
            (0, Some("wiki"))
        );
    }

    #[test]
    fn whatever_stands_in_a_files_place_costs_nothing_but_itself() {
        let dir = config(&[("lastwords.toml", SINK)]);
        fs::create_dir(dir.path().join("jobs/web.toml")).unwrap();
        let expected =
            "jobs/web.toml: expected a regular file, found something else under its name";
        assert_eq!(
            told(dir.path(), &load(dir.path(), "web").problems),
            [expected]
        );

        let file = dir.path().join("jobs-are-a-file");
        fs::write(&file, "").unwrap();
        fs::remove_dir_all(dir.path().join("jobs")).unwrap();
        fs::rename(&file, dir.path().join("jobs")).unwrap();
        let expected = "jobs/web.toml: cannot read this file: Not a directory (os error 20)";
        assert_eq!(
            told(dir.path(), &load(dir.path(), "web").problems),
            [expected]
        );
    }

    #[test]
    fn no_jobs_name_leaves_the_directory() {
        let dir = config(&[
            ("lastwords.toml", SINK),
            ("jobs/sub%2Fname.toml", "runbook = \"wiki\""),
        ]);
        assert_eq!(
            load(dir.path(), "sub/name").job.runbook.as_deref(),
            Some("wiki")
        );
        for name in ["../lastwords", "", ".", "..", "\0", &"x/".repeat(5000)] {
            assert_eq!(
                told(dir.path(), &load(dir.path(), name).problems),
                [""; 0],
                "{name}"
            );
        }
    }

    #[test]
    fn a_job_may_tell_only_a_sink_of_its_own() {
        let dir = config(&[
            ("lastwords.toml", ""),
            ("jobs/web.toml", &format!("sinks = [\"ops\"]\n{SINK}")),
        ]);
        let loaded = load(dir.path(), "web");
        assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
        assert_eq!(
            (loaded.sinks.slack.len(), loaded.job.sink.slack.len()),
            (0, 1)
        );
    }
}
