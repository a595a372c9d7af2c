//! Real supervisors with the files in `config/`, and services that end in every way: what the
//! reports say of each.
//!
//! `cargo test --test supervisors`; without root, add `-- --skip as_root`. `LASTWORDS_BIN=PATH`
//! tests another build.

mod runit;
mod s6;
mod setup;
mod supervisord;
mod systemd;
mod told;
mod ways;

// The machine of the scenarios.
#[path = "../scenarios/cgroup.rs"]
mod cgroup;
#[path = "../scenarios/conf.rs"]
mod conf;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "../scenarios/harness.rs"]
mod harness;
#[path = "../scenarios/process.rs"]
mod process;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "../scenarios/upstart.rs"]
mod upstart;
