//! `[collect.dmesg]`: the kernel log of the time in which the service ran.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `lines` | the most records, of the last ones | `100` |
//!
//! ```toml
//! [collect.dmesg]
//! lines = 30
//! ```
//!
//! If it is unknown how long the service ran, the last ten minutes are shown. The times are seconds
//! before the end.
//!
//! The section's data: `window_s` (how far back it looks), `records` (how many there are in it),
//! `shown`.

use std::time::Duration;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::json;

use super::{Body, Collector};
use crate::host::Host;
use crate::kmsg::{Record, read_kernel_log};
use crate::report::{CollectorKind, Stop};

/// How far back to look if the start is unknown, in seconds.
const UNKNOWN_UPTIME: f64 = 600.0;
/// Maximum error of the kernel log's clock, in seconds: nothing keeps it exact.
const SLACK: f64 = 2.0;

/// The kernel log since the service started.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Dmesg {
    lines: usize,
}

impl Default for Dmesg {
    fn default() -> Self {
        Self { lines: 100 }
    }
}

impl Collector for Dmesg {
    fn kind(&self) -> CollectorKind {
        CollectorKind::DMESG
    }

    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body> {
        let now = clock_gettime(ClockId::Monotonic);
        #[allow(
            clippy::cast_precision_loss,
            reason = "exact for the first 285 years of uptime"
        )]
        let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
        let window = stop.uptime_s.unwrap_or(UNKNOWN_UPTIME);
        let since =
            Duration::try_from_secs_f64((now - window - SLACK).max(0.0)).unwrap_or_default();
        let since = u64::try_from(since.as_micros()).unwrap_or_default();
        let log = read_kernel_log(host, since)?;
        Ok(describe(&log.records, now, window, self.lines))
    }
}

/// Describes the last records in the window; `now` and `window` are in seconds.
fn describe(records: &[Record], now: f64, window: f64, lines: usize) -> Body {
    // A record of the hook's own time may seem to come from after it.
    let within: Vec<&Record> = records
        .iter()
        .filter(|record| seconds(record) - now >= -window - SLACK)
        .collect();
    let shown = within
        .get(within.len().saturating_sub(lines)..)
        .unwrap_or_default();
    let mut text: Vec<String> = shown.iter().map(|record| line(record, now)).collect();
    if within.is_empty() {
        text.push(format!("the kernel said nothing in the last {window:.0} s"));
    } else if shown.len() < within.len() {
        text.insert(
            0,
            format!(
                "[{} earlier records are left out]",
                within.len() - shown.len()
            ),
        );
    }
    let data = json!({ "window_s": window, "records": within.len(), "shown": shown.len() });
    Body {
        text: text.join("\n"),
        data: data.into(),
    }
}

/// Writes a record. Its other lines are indented, so that none of them looks like a record.
fn line(record: &Record, now: f64) -> String {
    let when = format!("{:.3}s", (seconds(record) - now).min(-0.0));
    format!(
        "{when:>10}  {}",
        record.text.replace('\n', "\n            ")
    )
}

#[allow(
    clippy::cast_precision_loss,
    reason = "exact for the first 285 years of uptime"
)]
fn seconds(record: &Record) -> f64 {
    record.micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::{Dmesg, describe};
    use crate::collectors::{Collector, tests::stop};
    use crate::host::Host;
    use crate::kmsg::Record;

    fn record(seconds: u64, text: &str) -> Record {
        Record {
            level: 6,
            facility: 0,
            seq: 0,
            micros: seconds * 1_000_000,
            text: text.to_owned(),
        }
    }

    fn text(records: &[Record], window: f64, lines: usize) -> String {
        describe(records, 1000.012, window, lines).text
    }

    #[test]
    fn what_was_said_while_the_service_ran_is_shown_with_seconds_before_the_end() {
        let records = [
            record(1, "boot"),
            record(900, "link up"),
            record(1000, "web killed\nTasks: 3"),
        ];
        assert_eq!(
            text(&records, 110.0, 100),
            " -100.012s  link up\n   -0.012s  web killed\n            Tasks: 3"
        );
        assert_eq!(
            text(&records, 110.0, 1),
            format!(
                "[1 earlier records are left out]\n{}",
                text(&records, 5.0, 1)
            )
        );
    }

    #[test]
    fn a_clock_that_is_off_by_a_second_loses_nothing() {
        let records = [record(899, "just before"), record(1001, "just after")];
        assert_eq!(
            text(&records, 100.0, 9),
            " -101.012s  just before\n   -0.000s  just after"
        );
    }

    #[test]
    fn a_silent_kernel_is_evidence_too() {
        assert_eq!(
            text(&[record(1, "boot")], 60.0, 100),
            "the kernel said nothing in the last 60 s"
        );
        assert_eq!(
            text(&[record(1000, "a")], 60.0, 0),
            "[1 earlier records are left out]"
        );
    }

    #[test]
    fn hostile_uptimes_are_survived() {
        for uptime in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e308] {
            let _ = text(
                &[record(u64::MAX / 1_000_000, "far"), record(0, "boot")],
                uptime,
                usize::MAX,
            );
        }
    }

    #[test]
    fn the_log_of_the_machine_under_its_root_is_read() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/kmsg"), "6,1,0,-;boot\n").unwrap();
        let mut stop = stop();
        stop.uptime_s = Some(1e9);
        let body = Dmesg::default()
            .collect(&stop, &Host::new(root.path(), root.path()))
            .unwrap();
        assert!(body.text.ends_with("s  boot"), "{}", body.text);
        assert_eq!(body.data.to_json()["records"], 1);
    }
}
