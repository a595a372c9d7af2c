//! From a service that dies to the messages as real servers hold them.
//!
//! `tests/run` installs the servers. What needs root stands in modules named `as_root`: `-- --skip
//! as_root` leaves it out.

mod alerts;
mod crash;
mod doctor;
mod scaffolding;
#[expect(dead_code, reason = "the fault suite uses more of it")]
mod servers;
mod slack_rules;
mod trouble;

// The supervisor of the scenarios.
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
