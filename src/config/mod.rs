//! `lastwords.toml`, which describes the machine, and `jobs/JOB.toml`, which describes a job.
//!
//! # lastwords.toml
//! | Key | Values | Default |
//! |---|---|---|
//! | `[[sink.KIND]]` | a destination; its keys are its kind's | none |
//! | `[default]` | defaults for all jobs; its keys are those of a job's file | |
//!
//! # jobs/JOB.toml
//! | Key | Values | Default |
//! |---|---|---|
//! | `sinks` | names of the sinks to tell, in this order | all |
//! | `[[sink.KIND]]` | a destination of this job alone | none |
//! | `[collect.KIND]` | what to gather | the standard collectors |
//! | `runbook` | address of the instructions for whoever is on call | none |
//! | `normal_exit` | exit codes and signals that are no crash: `[0, 143, "TERM"]` | what the supervisor's files say; `[0]` under `lastwords run` |
//! | `stop_timeout` | maximum duration of a planned stop; longer if the supervisor's files allow that | `"60s"` |
//! | `remind` | after this long people are told again that the service is down, and then each day for a week; or `"never"` | `"1h"` |
//! | `expect` | `"every 24h"`: the job runs by the clock, and people are told if none of its runs has ended well for so long and a tenth | none |
//! | `user` | user that the job's hooks run as, and its exec collectors | root |
//! | `chroot` | root directory of the job's hooks: their reports are taken over from its `/var/spool/lastwords` | the machine's |
//! | `redact` | regular expressions: a match, or its first group, is a secret (see [`mod@crate::redact`]) | none |
//!
//! A key in the job's file replaces that of `[default]`; the two are never merged. Only the
//! patterns of `redact` add up.
//!
//! In the name of a job's file, characters other than letters, digits, `.`, `_`, `@`, `+` and `-`
//! are written `%XX`: the job `sub/name` has `jobs/sub%2Fname.toml`.

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
mod outside;
mod parse;
mod patterns;
mod problem;
mod read;
#[cfg(test)]
mod schema;
mod secret_files;
mod sink_names;
mod sink_tables;
mod templates;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod user_names;
mod wording;

pub use check::{Checked, at_key, check};
pub use files::{job_file, jobs};
pub use load::{Loaded, Route, chroots, expecting, load, users};
pub use normal_exit::signal;
pub use problem::{Problem, Severity};
pub use wording::nearest;

/// Exit code of a command that cannot go on because the config has an error; see sysexits(3).
pub const EX_CONFIG: u8 = 78;
