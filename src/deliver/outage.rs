//! Decides when people are told that a service stays down. It is pure policy.
//!
//! | the service, after its latest crash | message |
//! |---|---|
//! | is up, or waits for its next time | none, and it is forgotten |
//! | is being restarted | none; it is asked again at the next look, for a day |
//! | stays down, and the message about a crash is on its way | none: that one says so itself |
//! | stays down, and the crash was told or counted before | that it is down, at once, past every brake |
//! | stays down for `remind` (1 h), then for a day, and each day | that it is still down |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{Condition, Report, ReportId, Timestamp};

/// Time from one reminder to the next, after the first.
const DAY: Duration = Duration::from_hours(24);
/// How long a service that is neither up nor down is asked about.
const PATIENCE: Duration = Duration::from_hours(24);

/// A service that has died and is not known to be up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// The latest crash, without its sections.
    pub about: Report,
    /// When the service was first seen to stay down.
    #[serde(default)]
    pub down: Option<Timestamp>,
    /// When people were told so.
    #[serde(default)]
    pub told: Option<Timestamp>,
    /// Number of reminders.
    #[serde(default)]
    pub reminders: u32,
}

/// The next step in an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// It is over.
    Forget,
    /// There is nothing to tell.
    Wait,
    /// Its next message is due.
    Tell,
}

impl Outage {
    pub fn new(about: Report) -> Self {
        Self {
            about,
            down: None,
            told: None,
            reminders: 0,
        }
    }

    /// Takes in a later crash of the same service.
    pub fn again(&mut self, about: Report) {
        *self = Self::new(about);
    }

    /// Returns true if the supervisor has to be asked now.
    pub fn is_to_ask(&self, remind: Option<Duration>, now: Timestamp) -> bool {
        self.told.is_none() || self.is_due(remind, now)
    }

    /// Decides what is to be done, now that the service's condition is known. `says_so` is true if
    /// a message about a crash of the service is on its way.
    pub fn decide(
        &mut self,
        condition: &Condition,
        says_so: bool,
        remind: Option<Duration>,
        now: Timestamp,
    ) -> NextStep {
        match condition {
            Condition::Up { .. } | Condition::Waiting { .. } => NextStep::Forget,
            Condition::Unknown | Condition::Restarting { .. } => {
                let is_old = now.since(self.about.stop.stopped_at) >= PATIENCE;
                // A clock that was set back makes it neither old nor new.
                if is_old {
                    NextStep::Forget
                } else {
                    NextStep::Wait
                }
            }
            Condition::GivenUp { .. } | Condition::Down { .. } => {
                self.down.get_or_insert(now);
                if self.told.is_none() && says_so {
                    self.told = Some(now);
                    return NextStep::Wait;
                }
                let is_due = self.told.is_none() || self.is_due(remind, now);
                if is_due {
                    NextStep::Tell
                } else {
                    NextStep::Wait
                }
            }
        }
    }

    /// Records that the next message is made.
    pub fn tell(&mut self, now: Timestamp) {
        self.reminders += u32::from(self.told.is_some());
        self.told = Some(now);
    }

    /// Returns the id of the next message. It is the same however often it is made.
    pub fn next_id(&self) -> ReportId {
        let stop = &self.about.stop;
        let number = match self.told {
            None => "first".to_owned(),
            Some(_) => format!("reminder {}", self.reminders + 1),
        };
        ReportId::derived(stop.stopped_at, &["down", self.about.id.as_str(), &number])
    }

    fn is_due(&self, remind: Option<Duration>, now: Timestamp) -> bool {
        let Some(remind) = remind else { return false };
        let wait = if self.reminders == 0 { remind } else { DAY };
        self.told.is_some_and(|told| now.since(told) >= wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{NextStep, Outage};
    use crate::report::{Condition, Timestamp, sample};

    const HOUR: Option<Duration> = Some(Duration::from_hours(1));

    fn down() -> Condition {
        Condition::Down {
            because: "nothing restarts it (no respawn)".to_owned(),
        }
    }

    fn restarting() -> Condition {
        Condition::Restarting {
            by: sample().stop.supervisor,
            in_s: None,
        }
    }

    /// Returns the moment so long after the crash.
    fn at(minutes: u64) -> Timestamp {
        Timestamp::of_unix(sample().stop.stopped_at.unix() + minutes * 60)
    }

    #[test]
    fn a_service_that_is_up_or_waits_for_its_time_is_forgotten() {
        let waiting = Condition::Waiting {
            because: "web.timer starts it again".to_owned(),
        };
        for condition in [Condition::Up { since: None }, waiting] {
            let step = Outage::new(sample()).decide(&condition, false, HOUR, at(0));
            assert_eq!(step, NextStep::Forget);
        }
    }

    #[test]
    fn a_service_that_is_being_restarted_is_asked_about_for_a_day() {
        for condition in [restarting(), Condition::Unknown] {
            let mut outage = Outage::new(sample());
            assert_eq!(
                outage.decide(&condition, false, HOUR, at(1439)),
                NextStep::Wait
            );
            assert!(outage.is_to_ask(HOUR, at(1439)));
            assert_eq!(
                outage.decide(&condition, false, HOUR, at(1441)),
                NextStep::Forget
            );
        }
    }

    #[test]
    fn that_a_service_is_down_is_told_once_and_then_in_reminders() {
        let mut outage = Outage::new(sample());
        let mut told = Vec::new();
        for minute in 0..4000 {
            if outage.is_to_ask(HOUR, at(minute))
                && outage.decide(&down(), false, HOUR, at(minute)) == NextStep::Tell
            {
                told.push((minute, outage.next_id()));
                outage.tell(at(minute));
            }
        }
        let (minutes, mut ids): (Vec<u64>, Vec<_>) = told.into_iter().unzip();
        assert_eq!(minutes, [0, 60, 1500, 2940]);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4, "each has an id of its own");
    }

    #[test]
    fn a_message_on_its_way_says_itself_that_the_service_is_down() {
        let mut outage = Outage::new(sample());
        assert_eq!(outage.decide(&down(), true, HOUR, at(0)), NextStep::Wait);
        assert_eq!(outage.decide(&down(), true, HOUR, at(59)), NextStep::Wait);
        assert_eq!(outage.decide(&down(), false, HOUR, at(60)), NextStep::Tell);
    }

    #[test]
    fn no_reminder_is_sent_where_none_is_wanted() {
        let mut outage = Outage::new(sample());
        assert_eq!(outage.decide(&down(), false, None, at(0)), NextStep::Tell);
        outage.tell(at(0));
        assert!(!outage.is_to_ask(None, at(9000)));
        assert_eq!(
            outage.decide(&down(), false, None, at(9000)),
            NextStep::Wait
        );
    }

    #[test]
    fn a_crash_after_that_is_told_anew() {
        let mut outage = Outage::new(sample());
        outage.tell(at(0));
        outage.again(sample());
        assert_eq!(outage.decide(&down(), false, None, at(9)), NextStep::Tell);
    }
}
