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
//! If it is unknown how long the service ran, the last ten minutes are shown. Each record stands
//! with its date, in UTC. Equal records in a row are shown once, with their number.
//!
//! The section's data: `window_s` (how far back it looks), `records` (how many there are in it),
//! `shown` (how many lines of the section they are).

use std::time::{Duration, SystemTime};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::json;

use super::{Body, Collector};
use crate::host::Host;
use crate::kmsg::{Record, read_kernel_log};
use crate::report::{CollectorKind, Stop, Timestamp};

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
        let [now, wall] = [ClockId::Monotonic, ClockId::Realtime].map(clock_gettime);
        #[allow(
            clippy::cast_precision_loss,
            reason = "exact for the first 285 years of uptime"
        )]
        let [now, wall] = [now, wall].map(|it| it.tv_sec as f64 + it.tv_nsec as f64 / 1e9);
        let window = stop.uptime_s.unwrap_or(UNKNOWN_UPTIME);
        let since =
            Duration::try_from_secs_f64((now - window - SLACK).max(0.0)).unwrap_or_default();
        let since = u64::try_from(since.as_micros()).unwrap_or_default();
        let log = read_kernel_log(host, since)?;
        Ok(describe(&log.records, [now, wall], window, self.lines))
    }
}

/// Describes the last records in the window. `now`, by the monotonic clock and by the wall's, and
/// `window` are in seconds.
fn describe(records: &[Record], [now, wall]: [f64; 2], window: f64, lines: usize) -> Body {
    // A record of the hook's own time may seem to come from after it.
    let within: Vec<&Record> = records
        .iter()
        .filter(|record| seconds(record) - now >= -window - SLACK)
        .collect();
    let runs: Vec<&[&Record]> = within.chunk_by(|one, next| one.text == next.text).collect();
    let shown = runs
        .get(runs.len().saturating_sub(lines)..)
        .unwrap_or_default();
    let mut text: Vec<String> = shown.iter().map(|run| line(run, wall - now)).collect();
    let left_out = within.len() - shown.iter().map(|run| run.len()).sum::<usize>();
    if within.is_empty() {
        text.push(format!("the kernel said nothing in the last {window:.0} s"));
    } else if left_out > 0 {
        text.insert(0, format!("[{left_out} earlier records are left out]"));
    }
    let data = json!({ "window_s": window, "records": within.len(), "shown": shown.len() });
    Body {
        text: text.join("\n"),
        data: data.into(),
    }
}

/// Writes some equal records as one. Its other lines are indented, so that none of them looks like
/// a record. `boot` is the wall clock's time of the boot.
fn line(run: &[&Record], boot: f64) -> String {
    let Some((record, more)) = run.split_first() else {
        return String::new();
    };
    let text = record.text.replace('\n', "\n    ");
    match more.last() {
        None => format!("{}  {text}", date(record, boot)),
        Some(last) => format!(
            "{}  {text} ({} times, the last at {})",
            date(record, boot),
            run.len(),
            date(last, boot)
        ),
    }
}

/// Returns the date of a record, as far as the two clocks agree.
fn date(record: &Record, boot: f64) -> Timestamp {
    let since = Duration::try_from_secs_f64(boot + seconds(record)).unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH.checked_add(since);
    Timestamp::new(time.unwrap_or(SystemTime::UNIX_EPOCH))
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
        describe(records, [1000.012, 86_400.012], window, lines).text
    }

    #[test]
    fn what_was_said_while_the_service_ran_is_shown_with_its_date() {
        let records = [
            record(1, "boot"),
            record(900, "link up"),
            record(1000, "web killed\nTasks: 3"),
        ];
        assert_eq!(
            text(&records, 110.0, 100),
            "1970-01-01T23:58:20.000Z  link up\n\
             1970-01-02T00:00:00.000Z  web killed\n    Tasks: 3"
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
            "1970-01-01T23:58:19.000Z  just before\n1970-01-02T00:00:01.000Z  just after"
        );
    }

    #[test]
    fn equal_records_in_a_row_are_shown_once() {
        let records = [
            record(900, "a"),
            record(901, "b"),
            record(902, "b"),
            record(1000, "b"),
            record(1000, "a"),
        ];
        let all = "1970-01-01T23:58:20.000Z  a\n\
                   1970-01-01T23:58:21.000Z  b (3 times, the last at 1970-01-02T00:00:00.000Z)\n\
                   1970-01-02T00:00:00.000Z  a";
        assert_eq!(text(&records, 200.0, 3), all);
        let last = "[4 earlier records are left out]\n1970-01-02T00:00:00.000Z  a";
        assert_eq!(text(&records, 200.0, 1), last);
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
        assert!(body.text.ends_with("Z  boot"), "{}", body.text);
        assert_eq!(body.data.to_json()["records"], 1);
    }
}
