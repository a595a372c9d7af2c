//! Whole lives of services, through the binary: started, stopped and killed as Upstart does it.
//!
//! `cargo test --test scenarios`; without root, add `-- --skip as_root`. `LASTWORDS_BIN=PATH` tests another build.

mod as_root;
mod blog;
mod causes;
mod commands;
mod conf;
mod conformance;
mod crashes;
mod delivery;
mod flood;
mod harness;
mod hooks;
mod instances;
mod ladder;
mod ladder_as_root;
mod lines;
mod past;
mod planned_stops;
mod plugins;
mod process;
mod runit;
mod secrets;
mod spool;
mod starts;
mod upstart;
