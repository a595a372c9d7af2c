//! Measures the commands that read the history, with a full spool.
//!
//! ```text
//! cargo bench --bench history
//! ```
//! The spool holds its maximum: 10,000 reports of 24 KiB, each with the ledgers of four sinks. Each
//! command runs five times, as a process of its own, with everything in the page cache. The
//! quickest time is shown.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use lastwords::report::{Report, ReportId, SinkKey, Status, Timestamp};
use lastwords::{Attempt, Ledger, Place, Spool};

const REPORTS: u64 = 10_000;
const LOG: usize = 24 * 1024;
const ROUNDS: usize = 5;
const SINKS: [&str; 4] = ["ops-mail", "ops-slack", "ops-gitter", "local-syslog"];

const COMMANDS: [&[&str]; 8] = [
    &["list"],
    &["list", "-n", "0", "--json"],
    &["list", "--since", "2d"],
    &["list", "--all"],
    &["list", "--all", "-n", "0"],
    &["show", "last"],
    &["queue"],
    &["stats"],
];

fn main() -> ExitCode {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::new(dir.path());
    spool.create().expect("a spool");
    fill(&spool);
    for words in COMMANDS {
        let quickest = (0..ROUNDS)
            .map(|_| run(dir.path().as_os_str(), words))
            .min()
            .unwrap_or_default();
        let _ = writeln!(
            io::stdout(),
            "{:>6} ms  lastwords {}",
            quickest.as_millis(),
            words.join(" ")
        );
    }
    ExitCode::SUCCESS
}

fn fill(spool: &Spool) {
    let now = Timestamp::new(SystemTime::now()).unix();
    let month = 29 * 24 * 60 * 60;
    let mut report = example();
    report.sections.truncate(1);
    for section in &mut report.sections {
        section.status = Status::Ok;
        section.text =
            "2026-11-23T02:59:59.661Z info GET /products?page=8 200 6.6 ms\n".repeat(LOG / 62);
    }
    let mut done = Vec::new();
    for number in 0..REPORTS {
        let at = Timestamp::of_unix(now - month + number * month / REPORTS);
        report.id = ReportId::new(at, number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        report.stop.stopped_at = at;
        report.stop.job = format!("job-{}", number % 20);
        report.fingerprint = format!("{:016x}", number % 100);
        spool.put(&report).expect("room");
        let mut ledger = Ledger::default();
        ledger.record(
            Attempt::Sent {
                receipt: "250 queued".to_owned(),
            },
            at,
            0.0,
        );
        for sink in SINKS {
            let sink = &SinkKey::Machine(sink.to_owned());
            spool.write_ledger(&report.id, sink, &ledger).expect("room");
        }
        done.push(report.id.clone());
    }
    spool.finish(&done, Place::Done).expect("a spool");
}

/// A report as a drill makes it.
fn example() -> Report {
    let mut drill = Command::new(env!("CARGO_BIN_EXE_lastwords"));
    drill.args([
        "post-stop",
        "--simulate-crash",
        "--job",
        "web",
        "--json",
        "--config",
        "/nonexistent",
    ]);
    let output = drill
        .stderr(Stdio::inherit())
        .output()
        .expect("the program");
    let mut answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut report: Report = serde_json::from_value(answer["report"].take()).expect("a report");
    report.drill = false;
    report
}

fn run(spool: &std::ffi::OsStr, words: &[&str]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastwords"));
    command
        .args(words)
        .args(["--config", "/nonexistent", "--spool"])
        .arg(spool);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    assert!(
        command.status().expect("the program").success(),
        "{words:?}"
    );
    begin.elapsed()
}
