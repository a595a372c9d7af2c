//! The fault suite: real faults, hostile neighbours and servers that misbehave, against the program
//! as it is shipped. Hooks and deliverers are killed, the power is cut, system calls fail, and
//! services crash by the thousand. After each fault the invariants must hold: no report is lost or
//! cut, and a report that comes twice has the same id.
//!
//! Tests that need root are in modules named `as_root`: `-- --skip as_root` leaves them out.
//! `LASTWORDS_BIN=PATH` tests another build. `LASTWORDS_SLOW=1` makes all tries: every point
//! instead of a choice, and tens of thousands of kills. Each test adds a row to `faults.table`: the
//! fault, the number of tries, and the result.

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
mod refused;
mod retries;
mod stewards;
mod strace;
mod table;
mod tls;
mod victim;

#[path = "../support/mod.rs"]
mod support;
