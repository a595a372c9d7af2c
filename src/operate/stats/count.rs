//! Counts. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::operate::history::told::Standing;
use crate::report::{Death, Kind, Timestamp, Verdict};
use crate::spool::{Brief, Ledger};

const DAY: Duration = Duration::from_hours(24);
/// Number of days that have a number of their own.
const DAYS: usize = 14;

/// The counts.
pub struct Counts {
    now: Timestamp,
    jobs: BTreeMap<String, JobCounts>,
    /// By name.
    pub sinks: BTreeMap<String, SinkCounts>,
}

/// One job's deaths.
pub struct JobCounts {
    pub name: String,
    pub day: u64,
    pub week: u64,
    pub month: u64,
    /// Deaths of each day. The last one is that of the 24 hours that end now.
    pub days: [u64; DAYS],
    pub last: Timestamp,
    /// In seconds.
    uptimes: Vec<f64>,
    /// By fingerprint.
    causes: BTreeMap<String, CauseCounts>,
}

/// One cause of a job's deaths.
#[derive(Clone)]
pub struct CauseCounts {
    kind: Death,
    pub line: String,
    pub count: u64,
    pub last: Timestamp,
}

/// Outcomes of reports with one sink.
#[derive(Default)]
pub struct SinkCounts {
    pub sent: u64,
    pub summarised: u64,
    pub waiting: u64,
    pub failed: u64,
    /// Time from the report to the receipt.
    seconds: Vec<f64>,
}

impl Counts {
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            jobs: BTreeMap::new(),
            sinks: BTreeMap::new(),
        }
    }

    /// Counts a report, if it tells of a death.
    pub fn death(&mut self, brief: &Brief) {
        if brief.kind != Kind::Crash || brief.verdict == Verdict::Missed {
            return;
        }
        let at = brief.made_at();
        let age = self.now.since(at);
        let job = self
            .jobs
            .entry(brief.stop.job.clone())
            .or_insert_with(|| JobCounts {
                name: brief.stop.job.clone(),
                day: 0,
                week: 0,
                month: 0,
                days: [0; DAYS],
                last: at,
                uptimes: Vec::new(),
                causes: BTreeMap::new(),
            });
        job.day += u64::from(age <= DAY);
        job.week += u64::from(age <= 7 * DAY);
        job.month += 1;
        let days_ago = usize::try_from(age.as_secs() / DAY.as_secs()).unwrap_or(usize::MAX);
        if let Some(day) = DAYS
            .checked_sub(1)
            .and_then(|last| job.days.get_mut(last.checked_sub(days_ago)?))
        {
            *day += 1;
        }
        job.last = job.last.max(at);
        job.uptimes.extend(
            brief
                .stop
                .uptime_s
                .filter(|uptime| uptime.is_finite() && *uptime >= 0.0),
        );
        let cause = job
            .causes
            .entry(brief.fingerprint.clone())
            .or_insert_with(|| CauseCounts {
                kind: brief.cause.kind,
                line: brief.cause.line.clone(),
                count: 0,
                last: at,
            });
        cause.count += 1;
        cause.last = cause.last.max(at);
    }

    /// Counts what a sink has done with a report that was made at that time.
    pub fn delivery(&mut self, sink: &str, ledger: &Ledger, made_at: Timestamp) {
        let sink = self.sinks.entry(sink.to_owned()).or_default();
        match Standing::of(ledger) {
            Standing::Sent => {
                sink.sent += 1;
                sink.seconds
                    .extend(ledger.last_try.map(|at| at.since(made_at).as_secs_f64()));
            }
            Standing::Summarised | Standing::Counted { .. } => sink.summarised += 1,
            Standing::Waiting => sink.waiting += 1,
            Standing::Refused | Standing::GaveUp | Standing::Dropped => sink.failed += 1,
        }
    }

    /// Returns the jobs, those that die most first.
    pub fn jobs(&self) -> Vec<&JobCounts> {
        let mut jobs: Vec<&JobCounts> = self.jobs.values().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.week, job.month, job.last)));
        jobs
    }

    pub fn json(&self) -> Value {
        let sink = |(name, sink): (&String, &SinkCounts)| {
            json!({
                "sink": name,
                "sent": sink.sent,
                "summarised": sink.summarised,
                "waiting": sink.waiting,
                "failed": sink.failed,
                "median_seconds": sink.median_seconds(),
            })
        };
        json!({
            "jobs": self.jobs().into_iter().map(JobCounts::json).collect::<Vec<_>>(),
            "sinks": self.sinks.iter().map(sink).collect::<Vec<_>>(),
        })
    }
}

impl JobCounts {
    /// Returns the causes, the most frequent first.
    pub fn causes(&self) -> Vec<&CauseCounts> {
        let mut causes: Vec<&CauseCounts> = self.causes.values().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse((cause.count, cause.last)));
        causes
    }

    pub fn median_uptime(&self) -> Option<f64> {
        median(&self.uptimes)
    }

    fn json(&self) -> Value {
        let mut causes: Vec<(&String, &CauseCounts)> = self.causes.iter().collect();
        causes.sort_by_key(|(_, cause)| std::cmp::Reverse((cause.count, cause.last)));
        let cause = |(fingerprint, cause): (&String, &CauseCounts)| {
            let CauseCounts {
                kind,
                line,
                count,
                last,
            } = cause;
            json!({"kind": kind, "line": line, "fingerprint": fingerprint, "count": count, "last": last})
        };
        json!({
            "job": self.name,
            "day": self.day,
            "week": self.week,
            "month": self.month,
            "days": self.days,
            "last": self.last,
            "median_uptime_s": self.median_uptime(),
            "causes": causes.into_iter().map(cause).collect::<Vec<_>>(),
        })
    }
}

impl SinkCounts {
    pub fn median_seconds(&self) -> Option<f64> {
        median(&self.seconds)
    }
}

/// Returns the middle one; of an even number the upper of the two.
fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::report::{ReportId, Timestamp, sample};
    use crate::spool::Attempt;

    fn brief(job: &str, line: &str, at: Timestamp, uptime_s: Option<f64>) -> Brief {
        let mut report = sample();
        report.id = ReportId::new(at, 0);
        report.stop.job = job.to_owned();
        report.stop.stopped_at = at;
        report.stop.uptime_s = uptime_s;
        report.fingerprint = line.to_owned();
        report.cause.line = line.to_owned();
        serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap()
    }

    /// Two jobs, two sinks.
    pub fn example(now: Timestamp) -> Counts {
        let ago = |hours: u64| Timestamp::of_unix(now.unix() - hours * 3600);
        let port = "port in use: address already in use :::9000";
        let mut counts = Counts::new(now);
        for (job, line, hours, uptime) in [
            ("web", port, 1, Some(60.0)),
            ("web", port, 2, Some(5400.0)),
            ("web", port, 100, Some(f64::NAN)),
            ("web", "exit code 1", 480, Some(9000.0)),
            ("feed", "exit code 1", 48, None),
        ] {
            counts.death(&brief(job, line, ago(hours), uptime));
        }
        let mut sent = Ledger::default();
        sent.record(
            Attempt::Sent {
                receipt: "ok".into(),
            },
            now,
            0.0,
        );
        counts.delivery("ops-mail", &sent, Timestamp::of_unix(now.unix() - 2));
        counts.delivery("ops-mail", &Ledger::summarised(ReportId::new(now, 0)), now);
        counts.delivery("ops-slack", &Ledger::default(), now);
        counts.delivery(
            "ops-slack",
            &Ledger::default().dropped("enough".into()),
            now,
        );
        counts
    }

    #[test]
    fn programs_get_all_that_was_counted() {
        let counts =
            example(Timestamp::try_from("2026-11-23T12:00:00Z".to_owned()).unwrap()).json();
        assert_eq!(
            counts["jobs"][0]["days"],
            json!([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2])
        );
        assert_eq!(counts["jobs"][0]["median_uptime_s"], 5400.0);
        assert_eq!(counts["jobs"][1]["median_uptime_s"], Value::Null);
        let slack = json!({
            "sink": "ops-slack", "sent": 0, "summarised": 0, "waiting": 1, "failed": 1, "median_seconds": null
        });
        assert_eq!(counts["sinks"][1], slack);
    }
}
