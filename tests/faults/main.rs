//! Faults, hostile neighbours and misbehaving servers, each by its real means, against the program as it is shipped.
//!
//! What needs root stands in modules named `as_root`: `-- --skip as_root` leaves it out. With `LASTWORDS_SLOW=1` what is
//! quick by default takes its full length.

mod environment;
mod logs;
mod namespaces;
mod neighbours;
mod victim;

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
