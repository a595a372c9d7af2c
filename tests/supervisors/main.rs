//! Real supervisors, each with services that die in every way that there is: what lastwords makes of it.
//!
//! Real ones take root: what needs it stands in modules named `as_root`. `LASTWORDS_BIN=PATH` tests another build.

mod systemd;

// The reports, as the scenarios read them.
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
