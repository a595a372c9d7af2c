//! Follows a crash from the service that dies to the message in a real server.
//!
//! `tests/run` installs the servers. Tests that need root are in modules named `as_root`: `--
//! --skip as_root` leaves them out.

mod alerts;
mod by_the_clock;
mod crash;
mod doctor;
mod scaffolding;
mod slack_rules;
mod trouble;

#[path = "../support/mod.rs"]
mod support;
