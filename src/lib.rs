//! lastwords: what died, why, and on what evidence.
//!
//! ```text
//! supervisor ─ pre-start ─> marker.arm
//! supervisor ─ pre-stop ──> marker.plan
//! supervisor ─ post-stop ─> marker.take ─> exit 0, once the worker is done, or after a second
//!                           └ worker: supervisor::account ─> verdict::judge
//!                             └ crashed? ─> collectors::run ─> memory ─> spool.catch ─> nudge
//! run: parent of the main process; holds a taken marker while that lives, and goes on at its end as post-stop does
//! deliver (nudged, by a timer, or --watch)
//!    finishes what a killed hook or worker left: a taken marker, a report in memory
//!    spool ─> flood::Thread::decide ─> slow collectors ─> sink.send, each in a process of its own ─> ledger ─> history
//! ```
//!
//! Each step of a stop leaves a file that the next one replaces (armed marker, taken marker, report
//! in memory, report in the spool), so that a process may be killed at any point: who comes next
//! goes on from the file, under one report id.
//!
//! Catching and sending are two programs in one binary, as in every mail system: the first must be
//! quick and cannot fail, the second may take days. What holds everywhere:
//!
//! - Imports run downward only: `main → cli → commands → config, marker, verdict, cause, spool →
//!   collectors, sinks → plugin, render, notice → host, dbus, kmsg, names, redact, secret →
//!   report`. Collectors, sinks and the spool know nothing of one another nor of the config;
//!   `report` knows no one.
//! - Only [`commands`] touches the clock, the environment and standard output. Below it, time
//!   arrives as a parameter. Two exceptions say why: secrets may come from the environment, and
//!   email waits an hour for one recipient's sake.
//! - [`supervisor`], [`verdict`], [`cause`], [`past`], [`flood`], [`render`] and the spool's
//!   ledgers do no I/O.
//! - What comes from outside (log text, names, config, answers, spool files) is data: it is opened
//!   without blocking and without following links, read up to a bound, and cleaned before it is
//!   shown.
//! - There is no shell, no index file, no thread that must end, no unsafe code (but for what
//!   `run` does between fork and exec), and no `unwrap` on what came from outside.

pub mod bytes;
pub mod catch;
pub mod cause;
pub mod cli;
pub mod clock;
pub mod collectors;
pub mod config;
pub mod dbus;
pub mod deliver;
pub mod host;
pub mod kmsg;
pub mod limits;
pub mod mistake;
pub mod mounts;
pub mod names;
pub mod notice;
pub mod operate;
pub mod ourselves;
pub mod past;
pub mod places;
pub mod plugin;
pub mod random;
pub mod redact;
pub mod render;
pub mod report;
pub mod run;
pub mod schema;
pub mod secret;
pub mod sinks;
pub mod spool;
pub mod supervisor;

#[cfg(test)]
#[allow(dead_code, reason = "the suites use more of it")]
#[path = "../tests/support/stand_in.rs"]
mod stand_in;
