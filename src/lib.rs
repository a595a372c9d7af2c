//! lastwords: what died, why, and on what evidence.
//!
//! ```text
//! supervisor ─ pre-start ─> marker.arm
//! supervisor ─ pre-stop ──> marker.plan
//! supervisor ─ post-stop ─> marker.take ─> exit 0, once the worker is done, or after a second
//!                           └ worker: the supervisor's account ─> verdict::judge
//!                             └ crashed? ─> runner::run (collectors) ─> memory ─> spool.catch
//!                               ─> nudge
//! run: parent of the main process; holds a taken marker while the command lives, and continues
//!      at its end as post-stop does
//! deliver (nudged, by a timer, or --watch)
//!    finishes what a killed hook or worker left: a taken marker, a report in memory; for another
//!    user's jobs a steward does that, which has this user's rights only
//!    runs post-stop for an end at which a supervisor could not run it
//!    spool ─> flood::Thread::decide ─> slow collectors ─> supervisor.condition ─> sink.send, each
//!          in a process of its own ─> ledger ─> history
//!    the services that have died and are not up again: supervisor.condition ─> "is down" ─> spool
//! ```
//!
//! Each step of a stop leaves a file that the next step replaces: armed marker, taken marker,
//! report in memory, report in the spool. So a process may be killed at any point: the next one
//! continues from the file, under the same report id.
//!
//! Catching and sending are two programs in one binary, as in every mail system. The first must be
//! quick and cannot fail; the second may take days.
//!
//! # The floors
//!
//! A file imports from its own folder and from the floors below it. No two files import each other,
//! in however many steps. `tests/house` reads the `use` lines and holds both rules.
//!
//! | floor | holds |
//! |---|---|
//! | `main`, [`verbs`], [`cli`] | which verb runs; words of the command line |
//! | [`operate`] | the commands that people type: doctor, setup, check, explain, list, show, … |
//! | [`mod@run`] | the wrapper: parent of the main process |
//! | [`deliver`] | a pass over the spool: due, conversations, attempts; finishing what hooks left |
//! | [`catch`] | start, stop and end of a service: the hooks, the marker, the verdict, the worker |
//! | [`supervisor`] | a folder a supervisor: what it says of an end, its setup, its checks |
//! | [`places`], [`config`] | the directories; the config files |
//! | [`spool`], [`collectors`], [`sinks`] | reports on disk; a file a collector; a file a sink. They know nothing of one another |
//! | [`cause`], [`render`], [`plugin`], [`past`], [`notice`] | text to cause; report to message; programs of users |
//! | [`mod@redact`] | takes secrets out |
//! | ground | the machine: [`host`], [`kmsg`], [`dbus`], [`mounts`], [`clock`], [`names`], … |
//! | [`report`] | plain data, which everybody knows and which knows nobody |
//!
//! # What holds everywhere
//!
//! - Only [`operate`], [`mod@run`], [`deliver`] and [`catch`] touch the clock, the environment and
//!   standard output. Below them, time arrives as a parameter. `tests/house` lists the exceptions,
//!   each with its reason.
//! - [`catch::verdict`], [`cause`], [`past`], the deliverer's flood control, [`render`] and the
//!   spool's ledgers do no I/O.
//! - Input from outside (log text, names, config, answers, spool files) is data. It is opened
//!   without blocking and without following links, read up to a bound, and cleaned before it is
//!   shown.
//! - There is no shell, no index file, no thread that must end, no unsafe code (except what `run`
//!   and [`plugin`] do between fork and exec, and what `run` does with signals), and no `unwrap` on
//!   input from outside.
//!
//! # Adding something
//!
//! | to add | write |
//! |---|---|
//! | a supervisor | a folder in [`supervisor`] with a type that is [`supervisor::Supervise`], its `mod` line, and a line in [`supervisor::ALL`] |
//! | a collector | a file in [`collectors`], like `load.rs`; in `mod.rs` its `pub mod`, a field, a line in `list`, and one in `standard` if every job has it; its place among the sections in `render/view.rs` |
//! | a sink | the same in [`sinks`], like `discord.rs` |
//! | a runtime's last words | a file in `cause/runtimes`, and a line in its `mod.rs` |
//! | a fact for the verdict | a variant of [`supervisor::account::Ending`]: the compiler shows `decide` and what an ending says of itself; read the order of `decide`'s arms |
//! | a command | a file in [`operate`], a variant of [`cli`]'s `Verb`, a line in [`verbs`] |
//!
//! The tests name what else is missing: a row in `tests/scenarios/conformance.rs` for a collector
//! or a sink; the page of keys and the schemas, which they write anew (see `tests/README.md`).
//!
//! # Glossary
//!
//! | word | means |
//! |---|---|
//! | job | a supervised service, by the name that its supervisor gives it |
//! | instance | one of several processes of a job, if it has several |
//! | life | the time from one start of an instance to its end |
//! | stop | the end of a life, with the facts of its exit |
//! | marker | the file that says that a life has begun ("armed"), and whether its stop was announced ("planned") |
//! | taken marker | a marker that a hook has renamed: the record of a stop that is being dealt with |
//! | account | everything that a supervisor says about one stop |
//! | verdict | planned, crashed, aborted start, or unknown |
//! | condition | how things stand with a service as a message is sent: up, restarting, down, … |
//! | cause | why, in one line, with evidence and a confidence; "unknown" is a good answer |
//! | collector | gathers one section of a report: memory, a log, the output of a program |
//! | section | what one collector found |
//! | report | everything about one crash: one record, never changed |
//! | fingerprint | what makes two crashes the same |
//! | spool | the directory where reports wait and are kept |
//! | entry | one report's file in the spool |
//! | deputy | the spool in memory that stands in for one on a read-only disk |
//! | change over | to begin to work with the deputy, or with the disk again ("change back") |
//! | away | of the spool's disk: unmounted while the deputy stands in for it |
//! | deliverer | the process that sends reports: `lastwords deliver` |
//! | steward | a process of the deliverer that has one user's rights, for that user's directories |
//! | sink | a destination: a mailbox, a channel, a server, a program |
//! | attempt | one try to send one report to one sink, in a process of its own |
//! | ledger | what one sink has done with one report |
//! | conversation | what one sink was told about the crashes of one job |
//! | group | the crashes of one job with one fingerprint |
//! | brake | the limit on the messages that one sink gets about one job in an hour |
//! | outage | the time from a crash until the service is up again, or is forgotten |
//! | good end | the end of a run by itself, as the job wants its runs to end |
//! | missed run | a run that the config expects, and that did not end well in time |
//! | claim | a user's report about a service that the config does not give to that user |
//! | notice | a message by lastwords about itself |
//! | drill | a simulated crash |

mod accounts;
mod bytes;
mod catch;
mod cause;
mod cli;
mod clock;
mod collectors;
mod config;
mod dbus;
mod deliver;
mod draft;
mod escapes;
mod host;
mod key_error;
mod kmsg;
mod limits;
mod mounts;
mod names;
mod notice;
mod operate;
mod ourselves;
mod past;
mod places;
mod plugin;
mod random;
mod redact;
mod render;
pub mod report;
mod rights;
mod run;
mod schema;
mod secret;
mod sinks;
mod spool;
mod supervisor;
mod verbs;
mod when;

pub use verbs::main;

// The tests and the benchmarks use these, and [`report`].
pub use cause::{Scene, explain, kernel};
pub use clock::Now;
pub use redact::redact;
pub use render::{examples, subject};
pub use sinks::{Form, form};
pub use spool::{Attempt, Ledger, Place, Spool};

#[cfg(test)]
mod hostile;

#[cfg(test)]
#[allow(dead_code, reason = "the suites use more of it")]
#[path = "../tests/support/stand_in.rs"]
mod stand_in;
