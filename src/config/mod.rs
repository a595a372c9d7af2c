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
mod document;
#[cfg(test)]
mod error_texts;
mod files;
mod keys;
mod load;
#[cfg(test)]
mod mistakes;
mod normal_exit;
mod opened;
mod parse;
mod patterns;
mod problem;
mod read;
#[cfg(test)]
mod schema;
mod secret_files;
mod sink_names;
mod templates;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod wording;

pub use check::{Checked, check};
pub use files::{file_name, job_file, jobs};
pub use keys::Job;
pub use load::{Loaded, Route, load, users};
pub use normal_exit::signal;
pub use problem::{Problem, Severity, Source};

/// Exit code of a command that cannot go on because the config has an error; see sysexits(3).
pub const EX_CONFIG: u8 = 78;
