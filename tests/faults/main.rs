//! The fault suite: hooks and deliverer are killed, the power is cut, system calls fail, and crashes come by the
//! thousand. After each fault the invariants must hold: none lost, none half, none twice but with the same id.
//!
//! All of it takes root: `cargo test --test faults`, or leave it out with `-- --skip as_root`. `LASTWORDS_BIN=PATH` tests
//! another build. `LASTWORDS_SLOW=1` tries every point instead of a choice, and tens of thousands of kills. Each test
//! adds a row to the table in `faults.table`: the fault, how often it was tried, what held.

mod as_root;
mod disk;
mod machine;
mod strace;
mod table;

// The supervisor of the scenarios: here only its machine is needed.
#[path = "../scenarios/conf.rs"]
#[allow(dead_code)]
mod conf;
#[path = "../scenarios/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "../scenarios/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "../scenarios/upstart.rs"]
#[allow(dead_code)]
mod upstart;

/// Whether everything is to be tried; else a choice that takes two minutes.
fn slow() -> bool {
    std::env::var_os("LASTWORDS_SLOW").is_some_and(|value| value == "1")
}
