//! The fault suite: faults, hostile neighbours and misbehaving servers, each by its real means,
//! against the program as it is shipped. Hooks and deliverers are killed, the power is cut, system
//! calls fail, crashes come by the thousand. After each fault the invariants must hold: none lost,
//! none half, none twice but with the same id.
//!
//! What needs root stands in modules named `as_root`: `-- --skip as_root` leaves it out.
//! `LASTWORDS_BIN=PATH` tests another build. With `LASTWORDS_SLOW=1` what is quick by default takes
//! its full length: every point instead of a choice, and tens of thousands of kills. Each test adds
//! a row to `faults.table`: the fault, how often it was tried, what held.

mod answers;
mod as_root;
mod deliverers;
mod disk;
mod environment;
mod injection;
mod logs;
mod machine;
mod namespaces;
mod neighbours;
mod network;
mod process_names;
mod retries;
mod strace;
mod table;
mod tls;
mod victim;

#[path = "../support/mod.rs"]
mod support;
