//! The table at the end: what was done to lastwords, how often, and what held.

use std::io::Write;
use std::time::Duration;

/// Adds a row to the table, and fails where an invariant did not hold.
pub fn row(fault: &str, tries: usize, took: Duration, violations: &[String]) {
    let held = if violations.is_empty() { "held".to_owned() } else { format!("{} BROKEN", violations.len()) };
    // Past the test's captured output, so that it is seen where all went well.
    let _ = writeln!(std::io::stdout(), "| {fault} | {tries} | {held} | {:.0} s |", took.as_secs_f64());
    assert!(tries > 0, "{fault}: it was never tried");
    let shown = violations[..violations.len().min(40)].join("\n  ");
    assert!(violations.is_empty(), "{fault}: {} of {tries} tries broke an invariant:\n  {shown}", violations.len());
}
