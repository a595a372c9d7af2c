//! Takes services through their whole lives. They are started, stopped and killed as Upstart does
//! it.
//!
//! `cargo test --test scenarios`; without root, add `-- --skip as_root`. `LASTWORDS_BIN=PATH` tests
//! another build.

mod as_root;
mod blog;
mod brake;
mod by_the_clock;
mod causes;
mod chroots;
mod commands;
mod conformance;
mod crashes;
mod delivery;
mod doctor;
mod down;
mod flood;
mod history;
mod hooks;
mod instances;
mod ladder;
mod ladder_as_root;
mod limits;
mod lines;
mod past;
mod planned_stops;
mod plugins;
mod plugins_as_root;
mod read_only_as_root;
mod run;
mod runit;
mod schemas;
mod secrets;
mod setup_job;
mod spool;
mod starts;
mod systemd;
mod terminals;

#[path = "../support/mod.rs"]
mod support;
