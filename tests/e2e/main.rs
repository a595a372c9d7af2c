//! From a service that dies to the messages as real servers hold them.
//!
//! `tests/run` installs the servers. What needs root stands in modules named `as_root`: `-- --skip
//! as_root` leaves it out.

mod alerts;
mod crash;
mod doctor;
mod scaffolding;
mod slack_rules;
mod trouble;

#[path = "../support/mod.rs"]
mod support;
