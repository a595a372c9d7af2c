//! The table of results: each fault, the number of tries, and whether the invariants held.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Adds a row to the table, and panics if an invariant did not hold.
pub fn row(fault: &str, tries: usize, took: Duration, violations: &[String]) {
    let held = if violations.is_empty() {
        "all held".to_owned()
    } else {
        format!("{} BROKEN", violations.len())
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.table");
    let mut table = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    let row = format!(
        "| {fault} | {tries} | {held} | {:.0} s |\n",
        took.as_secs_f64()
    );
    // One write, since the tests run side by side.
    table.write_all(row.as_bytes()).unwrap();
    assert!(tries > 0, "{fault}: it was never tried");
    let shown = violations[..violations.len().min(40)].join("\n  ");
    assert!(
        violations.is_empty(),
        "{fault}: {} of {tries} tries broke an invariant:\n  {shown}",
        violations.len()
    );
}
