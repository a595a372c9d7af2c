//! Records what one sink has done with one report, and when it is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{ReportId, Timestamp};

/// First pause before another try. Each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause. It also bounds the pause that a destination may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Age at which a report is given up: five days, as in mail systems (RFC 5321, 4.5.4.1).
const PATIENCE: Duration = Duration::from_hours(5 * 24);

/// One sink's record for one report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub attempts: u32,
    #[serde(default)]
    pub first_try: Option<Timestamp>,
    #[serde(default)]
    pub last_try: Option<Timestamp>,
    #[serde(default)]
    pub next_try: Option<Timestamp>,
    #[serde(default)]
    pub last_error: Option<String>,
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// True if the message that the sink took says that the service is down, or that its run is
    /// missing.
    #[serde(default)]
    pub said_down: bool,
}

/// The end of one try, as its process tells the deliverer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    Sent {
        receipt: String,
    },
    /// Not now, and not before `after_s` seconds have passed if the destination said so.
    Retry {
        after_s: Option<u64>,
        why: String,
    },
    Refused {
        why: String,
    },
}

/// A sink's final answer about a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The sink took it. This is its receipt.
    Sent { receipt: String },
    /// The sink will never take it.
    Refused { why: String },
    /// The sink has not taken it in five days.
    GaveUp { why: String },
    /// A person decided that the sink is not to get it.
    Dropped { why: String },
    /// That message tells the sink of this crash, together with others.
    Summarised { r#in: ReportId },
}

impl Ledger {
    /// Returns true if the sink is to be tried now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        if self.outcome.is_some() {
            return false;
        }
        let Some(next) = self.next_try else {
            return true;
        };
        // No pause is longer than the longest. One that seems longer was written before the clock
        // was set back.
        next <= now
            || next
                .time()
                .duration_since(now.time())
                .is_ok_and(|wait| wait > LONGEST_PAUSE)
    }

    /// Returns the ledger of a crash that the message `id` tells of.
    pub fn summarised(id: ReportId) -> Self {
        Self {
            outcome: Some(Outcome::Summarised { r#in: id }),
            ..Self::default()
        }
    }

    /// Returns the ledger of a report that a person has decided the sink is not to get.
    #[must_use]
    pub fn dropped(self, why: String) -> Self {
        Self {
            next_try: None,
            outcome: Some(Outcome::Dropped { why }),
            ..self
        }
    }

    /// Returns true if the sink was given this report and took it.
    pub fn was_sent(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Sent { .. }))
    }

    /// Records the end of a try. `jitter`, from 0 to 1, spreads the tries of many reports.
    pub fn record(&mut self, attempt: Attempt, now: Timestamp, jitter: f64) {
        self.attempts = self.attempts.saturating_add(1);
        let first = *self.first_try.get_or_insert(now);
        self.last_try = Some(now);
        self.next_try = None;
        match attempt {
            Attempt::Sent { receipt } => self.outcome = Some(Outcome::Sent { receipt }),
            Attempt::Refused { why } => self.outcome = Some(Outcome::Refused { why }),
            Attempt::Retry { after_s, why } => {
                let tried_for = now.time().duration_since(first.time()).unwrap_or_default();
                // After a clock leaps ahead by years, a report that was tried twice must not be
                // given up.
                if tried_for > PATIENCE && self.attempts > 24 {
                    self.outcome = Some(Outcome::GaveUp { why });
                } else {
                    self.next_try = Some(Timestamp::new(
                        now.time() + pause(self.attempts, after_s.map(Duration::from_secs), jitter),
                    ));
                    self.last_error = Some(why);
                }
            }
        }
    }
}

/// Returns the pause after this many attempts: 10 s, doubling to 1 h, shortened by up to a quarter.
/// If the destination asked for a pause, it is that, within 1 s and 1 h.
fn pause(attempts: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    if let Some(asked) = asked {
        return asked.clamp(Duration::from_secs(1), LONGEST_PAUSE);
    }
    let doubled =
        FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(20)));
    doubled
        .min(LONGEST_PAUSE)
        .mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn failed(after_s: Option<u64>) -> Attempt {
        Attempt::Retry {
            after_s,
            why: "451 try later".into(),
        }
    }

    #[test]
    fn pauses_double_from_ten_seconds_to_an_hour() {
        let pauses: Vec<_> = (1..=11)
            .map(|attempts| pause(attempts, None, 0.0).as_secs())
            .collect();
        assert_eq!(
            pauses,
            [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        );
        assert_eq!(pause(u32::MAX, None, 1.0).as_secs(), 2700);
        assert_eq!(pause(1, None, 0.5).as_millis(), 8750);
    }

    #[test]
    fn what_the_destination_asks_for_is_honoured_from_a_second_to_an_hour() {
        for (asked, waits) in [(0, 1), (30, 30), (1_000_000_000, 3600)] {
            let mut ledger = Ledger::default();
            ledger.record(failed(Some(asked)), at(1000), 0.5);
            assert!(!ledger.is_due(at(1000)));
            assert!(!ledger.is_due(at(1000 + waits - 1)));
            assert!(ledger.is_due(at(1000 + waits)));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_by_years_does_not_hold_a_report_for_years() {
        let mut ledger = Ledger::default();
        ledger.record(failed(None), at(2_000_000_000), 0.0);
        assert!(ledger.is_due(at(1_000_000_000)));
    }

    #[test]
    fn a_report_is_given_up_after_five_days_of_tries_but_not_by_a_clock_that_leaps() {
        let mut ledger = Ledger::default();
        ledger.record(failed(None), at(0), 0.0);
        ledger.record(failed(None), at(1_000_000_000), 0.0);
        assert_eq!(ledger.outcome, None);
        for _ in 0..30 {
            ledger.record(failed(None), at(1_000_000_000), 0.0);
        }
        assert_eq!(
            ledger.outcome,
            Some(Outcome::GaveUp {
                why: "451 try later".into()
            })
        );
        assert!(!ledger.is_due(at(2_000_000_000)));
    }

    #[test]
    fn a_report_is_still_tried_after_4_9_days_and_given_up_after_5_1() {
        let day = 24 * 3600;
        let mut ledger = Ledger::default();
        for hour in 0..117 {
            ledger.record(failed(None), at(hour * 3600), 0.0);
        }
        let late = at(day * 49 / 10);
        ledger.record(failed(None), late, 0.0);
        assert_eq!(ledger.outcome, None);
        assert!(ledger.next_try > Some(late) && ledger.is_due(at(day * 5)));
        ledger.record(failed(None), at(day * 51 / 10), 0.0);
        assert!(matches!(ledger.outcome, Some(Outcome::GaveUp { .. })));
        assert_eq!(ledger.next_try, None);
    }

    #[test]
    fn what_was_tried_only_a_day_long_is_not_given_up_however_often_it_was() {
        let mut ledger = Ledger::default();
        for minute in 0..24 * 60 {
            ledger.record(failed(None), at(minute * 60), 0.0);
        }
        assert_eq!((ledger.attempts, ledger.outcome), (24 * 60, None));
    }

    #[test]
    fn however_long_ago_the_first_try_was_a_report_is_given_up_at_the_25th_and_not_before() {
        let mut ledger = Ledger::default();
        ledger.record(failed(None), at(0), 0.0);
        for _ in 2..=24 {
            ledger.record(failed(None), at(1_000_000_000), 0.0);
            assert_eq!(ledger.outcome, None);
        }
        ledger.record(failed(None), at(1_000_000_000), 0.0);
        assert!(matches!(ledger.outcome, Some(Outcome::GaveUp { .. })));
    }

    #[test]
    fn what_a_person_drops_is_tried_no_more_and_keeps_what_was_tried() {
        let mut ledger = Ledger::default();
        ledger.record(failed(None), at(0), 0.0);
        let dropped = ledger.clone().dropped("enough".to_owned());
        assert!(!dropped.is_due(at(1_000_000)));
        let outcome = Some(Outcome::Dropped {
            why: "enough".to_owned(),
        });
        let expected = Ledger {
            next_try: None,
            outcome,
            ..ledger
        };
        assert_eq!(dropped, expected);
    }

    #[test]
    fn a_refusal_is_final_at_once() {
        let mut ledger = Ledger::default();
        ledger.record(
            Attempt::Refused {
                why: "550 no such user".into(),
            },
            at(0),
            0.0,
        );
        assert!(!ledger.is_due(at(1_000_000)));
        assert!(!ledger.was_sent());
    }
}
