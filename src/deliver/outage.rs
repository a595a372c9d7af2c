//! Decides when people are told that a service stays down. It is pure policy.
//!
//! | the service, after its latest crash | message |
//! |---|---|
//! | is up, waits for its next time, or was stopped since | none |
//! | is being restarted, or is up for no longer than its last short life | none; it is asked again at the next look, for a day |
//! | stays down, and the message about a crash is on its way | none for 5 min: that one may say so itself |
//! | stays down, and the crash was told or counted before | that it is down (*again*, if it was down before and that was told), at once: 3 an hour, and 6 of all services of the job |
//! | stays down for `remind` (1 h), and then each day for a week | that it is still down |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{Condition, Report, ReportId, Timestamp};

/// Time from one reminder to the next, after the first.
const DAY: Duration = Duration::from_hours(24);
/// How long a service that is neither up nor down is asked about.
const PATIENCE: Duration = Duration::from_hours(24);
/// How long a message about the crash is waited for that may say itself that the service is down.
const ON_ITS_WAY: Duration = Duration::from_mins(5);
/// How far a clock may be set back without anything being taken for a time of the future.
const SLEW: Duration = Duration::from_mins(2);
/// The time in which messages are counted.
const HOUR: Duration = Duration::from_hours(1);
/// Maximum number of messages an hour that one service goes down.
const MOST: usize = 3;
/// Maximum number of earlier crashes of an outage that are remembered.
const MOST_EARLIER: usize = 8;
/// Maximum number of reminders. Who has left a service down for a week means it.
const MOST_REMINDERS: u32 = 7;

/// A service that has died and is not known to be up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// The latest crash, without its sections.
    pub about: Report,
    /// The crashes before it in this outage, the latest last: a message about one of them may say
    /// that the service is down.
    #[serde(default)]
    pub earlier: Vec<ReportId>,
    /// When the service was first seen to stay down.
    #[serde(default)]
    pub down: Option<Timestamp>,
    /// When it was first asked about.
    #[serde(default)]
    asked: Option<Timestamp>,
    /// True if people know that it is down.
    #[serde(default)]
    pub is_told: bool,
    /// When people were last told that it is down, be it in an outage before this one.
    #[serde(default)]
    told: Option<Timestamp>,
    /// True if it was down before, and people were told.
    #[serde(default)]
    pub is_again: bool,
    /// Number of reminders.
    #[serde(default)]
    reminders: u32,
    /// When the next reminder is due, if there is to be one.
    #[serde(default)]
    next: Option<Timestamp>,
    /// Times of the latest messages. They count even after the service was up.
    #[serde(default)]
    messages: Vec<Timestamp>,
    /// True if the service was up again, and only the messages still count.
    #[serde(default)]
    is_over: bool,
}

/// The next step in an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// There is nothing to remember.
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
            earlier: Vec::new(),
            down: None,
            asked: None,
            is_told: false,
            told: None,
            is_again: false,
            reminders: 0,
            next: None,
            messages: Vec::new(),
            is_over: false,
        }
    }

    /// Returns its crashes that are remembered.
    pub fn crashes(&self) -> impl Iterator<Item = &ReportId> {
        self.earlier.iter().chain([&self.about.id])
    }

    /// Takes in a later crash of the same service. While it is down, one from before that is no
    /// news: its report came late.
    pub fn again(&mut self, about: Report) {
        let is_late = |down| about.stop.stopped_at <= down;
        let mut earlier = std::mem::take(&mut self.earlier);
        if self.is_over {
            earlier.clear();
        } else {
            earlier.push(self.about.id.clone());
        }
        let surplus = earlier.len().saturating_sub(MOST_EARLIER);
        earlier.drain(..surplus);
        if !self.is_over && self.down.is_some_and(is_late) {
            (self.about, self.earlier) = (about, earlier);
            return;
        }
        let messages = std::mem::take(&mut self.messages);
        *self = Self {
            earlier,
            messages,
            told: self.told,
            is_again: self.told.is_some(),
            ..Self::new(about)
        };
    }

    /// Returns true if a crash with this id is later than the latest one that is known. Ids go by
    /// the clock: one of the future was made before the clock was set back. If that one `waits`
    /// with the others, their order is right.
    pub fn is_news(&self, id: &ReportId, waits: impl FnOnce() -> bool, now: Timestamp) -> bool {
        let was_set_back = || ahead(self.about.stop.stopped_at, now).is_some() && !waits();
        self.about.id < *id || was_set_back()
    }

    /// Counts times of the future as now, and the next reminder from there: the clock was set back
    /// since.
    pub fn set_back(&mut self, now: Timestamp) {
        let times = [&mut self.down, &mut self.asked, &mut self.told];
        let times = times.into_iter().flatten().chain(&mut self.messages);
        let Some(by) = times
            .filter_map(|at| ahead(std::mem::replace(at, now.min(*at)), now))
            .max()
        else {
            return;
        };
        self.next = self
            .next
            .and_then(|next| next.time().checked_sub(by))
            .map(Timestamp::new);
    }

    /// Records that the message about the latest crash has said that the service is down.
    pub fn said_so(&mut self, remind: Option<Duration>, now: Timestamp) {
        self.down.get_or_insert(now);
        self.is_told = true;
        self.told = Some(now);
        self.next = remind.and_then(|remind| after(now, remind));
    }

    /// Returns true if the supervisor has to be asked now.
    pub fn is_to_ask(&self, now: Timestamp) -> bool {
        !self.is_over && (!self.is_told || self.is_due(now))
    }

    /// Returns true if the service was up again, as far as the latest look knows.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns true if it is over, and it makes no difference to the next one.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let is_late = |told| now.since(told) < HOUR;
        self.is_over && self.lately(now) == 0 && !self.told.is_some_and(is_late)
    }

    /// Returns the number of messages within the last hour.
    pub fn lately(&self, now: Timestamp) -> usize {
        let is_late = |at: &&Timestamp| now.since(**at) < HOUR;
        self.messages.iter().filter(is_late).count()
    }

    /// Decides on the next step, now that the service's condition is known. `says_so` is true if a
    /// message about a crash of the service is on its way, `has_room` if the job may have another
    /// message now.
    pub fn decide(
        &mut self,
        condition: &Condition,
        says_so: bool,
        has_room: bool,
        now: Timestamp,
    ) -> NextStep {
        match condition {
            Condition::Up { .. } | Condition::Waiting { .. } | Condition::Stopped { .. } => {
                self.is_over = true;
                if self.is_forgotten(now) {
                    NextStep::Forget
                } else {
                    NextStep::Wait
                }
            }
            Condition::Unknown
            | Condition::JustUp { .. }
            | Condition::Restarting { .. }
            | Condition::Several { .. } => {
                let is_old = now.since(*self.asked.get_or_insert(now)) >= PATIENCE;
                if is_old {
                    NextStep::Forget
                } else {
                    NextStep::Wait
                }
            }
            Condition::GivenUp { .. } | Condition::Down { .. } => {
                let down = *self.down.get_or_insert(now);
                let is_fresh = now.since(down) < ON_ITS_WAY;
                if !self.is_told && says_so && is_fresh {
                    return NextStep::Wait;
                }
                let may_tell = has_room && self.lately(now) < MOST;
                if may_tell && (!self.is_told || self.is_due(now)) {
                    NextStep::Tell
                } else {
                    NextStep::Wait
                }
            }
        }
    }

    /// Records that the next message is made.
    pub fn tell(&mut self, remind: Option<Duration>, now: Timestamp) {
        self.messages.push(now);
        let surplus = self.messages.len().saturating_sub(MOST);
        self.messages.drain(..surplus);
        self.reminders += u32::from(self.is_told);
        let wait = if self.reminders == 0 {
            remind
        } else {
            Some(DAY)
        };
        let goes_on = self.reminders < MOST_REMINDERS && remind.is_some();
        self.next = wait.filter(|_| goes_on).and_then(|wait| after(now, wait));
        self.is_told = true;
        self.told = Some(now);
    }

    /// Returns the id of the next message. It is the same however often it is made.
    pub fn next_id(&self) -> ReportId {
        let (crash, at) = (&self.about.id, self.about.stop.stopped_at);
        if self.is_told {
            let number = format!("reminder {}", self.reminders + 1);
            ReportId::derived(at, &["down", crash.as_str(), &number])
        } else {
            first_id(crash, at)
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

/// Returns the id of the first message that a service is down after this crash.
pub fn first_id(crash: &ReportId, at: Timestamp) -> ReportId {
    ReportId::derived(at, &["down", crash.as_str(), "first"])
}

/// Returns how far a time is in the future, if that is more than clocks are set by as they run.
fn ahead(at: Timestamp, now: Timestamp) -> Option<Duration> {
    let ahead = at.time().duration_since(now.time()).ok()?;
    (ahead > SLEW).then_some(ahead)
}

fn after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    now.time().checked_add(wait).map(Timestamp::new)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{NextStep, Outage};
    use crate::report::{Condition, ReportId, Timestamp, sample};

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
    fn a_service_that_is_up_or_waits_for_its_time_or_was_stopped_is_forgotten() {
        let waiting = Condition::Waiting {
            because: "web.timer starts it again".to_owned(),
        };
        let stopped = Condition::Stopped {
            because: "as planned".to_owned(),
        };
        for condition in [Condition::Up { since: None }, waiting, stopped] {
            let step = Outage::new(sample()).decide(&condition, false, true, at(0));
            assert_eq!(step, NextStep::Forget);
        }
    }

    #[test]
    fn a_service_that_is_being_restarted_is_asked_about_for_a_day() {
        for condition in [restarting(), Condition::Unknown] {
            let mut outage = Outage::new(sample());
            let mut step = |minute| outage.decide(&condition, false, true, at(minute));
            assert_eq!(step(5), NextStep::Wait);
            assert_eq!(step(1444), NextStep::Wait);
            assert_eq!(step(1446), NextStep::Forget);
            assert!(outage.is_to_ask(at(1444)));
        }
    }

    #[test]
    fn after_the_clock_is_set_back_reminders_go_on_and_a_new_crash_is_news() {
        let mut outage = Outage::new(sample());
        let (ahead, back) = (at(600), at(30));
        (outage.about.id, outage.about.stop.stopped_at) = (ReportId::new(ahead, 2), ahead);
        assert_eq!(outage.decide(&down(), false, true, ahead), NextStep::Tell);
        outage.tell(HOUR, ahead);
        assert!(!outage.is_to_ask(at(91)));
        outage.set_back(back);
        assert!(!outage.is_to_ask(at(89)) && outage.is_to_ask(at(91)));
        assert_eq!(outage.lately(at(91)), 0);
        let earlier = ReportId::new(back, 1);
        assert!(outage.is_news(&earlier, || false, back));
        assert!(!outage.is_news(&earlier, || true, back));
        outage.about.stop.stopped_at = back;
        assert!(!outage.is_news(&ReportId::new(at(0), 1), || false, back));
    }

    #[test]
    fn a_message_counts_for_an_hour() {
        let mut outage = Outage::new(sample());
        outage.tell(HOUR, at(0));
        let lately = |minute| outage.lately(at(minute));
        assert_eq!((lately(0), lately(59), lately(60)), (1, 1, 0));
    }

    #[test]
    fn that_a_service_is_down_is_told_once_and_then_in_reminders_for_a_week() {
        let mut outage = Outage::new(sample());
        let mut told = Vec::new();
        for minute in 0..20_000 {
            if outage.is_to_ask(at(minute))
                && outage.decide(&down(), false, true, at(minute)) == NextStep::Tell
            {
                told.push((minute, outage.next_id()));
                outage.tell(HOUR, at(minute));
            }
        }
        let (minutes, mut ids): (Vec<u64>, Vec<_>) = told.into_iter().unzip();
        assert_eq!(minutes, [0, 60, 1500, 2940, 4380, 5820, 7260, 8700]);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 8, "each has an id of its own");
    }

    #[test]
    fn a_message_on_its_way_says_itself_that_the_service_is_down() {
        let mut outage = Outage::new(sample());
        let mut step = |says_so, minute| outage.decide(&down(), says_so, true, at(minute));
        assert_eq!(step(true, 0), NextStep::Wait);
        assert_eq!(step(true, 4), NextStep::Wait);
        assert_eq!(step(true, 5), NextStep::Tell, "it may not come for days");
    }

    #[test]
    fn a_message_that_was_sent_while_the_service_came_up_says_nothing_of_its_end() {
        let mut outage = Outage::new(sample());
        let mut step = |says_so| outage.decide(&down(), says_so, true, at(0));
        assert_eq!((step(true), step(false)), (NextStep::Wait, NextStep::Tell));
    }

    #[test]
    fn the_late_report_of_a_crash_before_the_service_went_down_is_no_news() {
        let mut outage = Outage::new(sample());
        let step = outage.decide(&down(), false, true, at(1));
        assert_eq!(step, NextStep::Tell);
        outage.tell(HOUR, at(1));
        let mut late = sample();
        late.stop.stopped_at = at(1);
        outage.again(late);
        assert!(!outage.is_to_ask(at(2)));
        let mut later = sample();
        later.stop.stopped_at = at(2);
        outage.again(later);
        assert!(outage.is_to_ask(at(2)));
    }

    #[test]
    fn a_crash_after_the_service_was_up_is_news_though_the_clock_was_set_back() {
        let mut outage = Outage::new(sample());
        let step = outage.decide(&down(), false, true, at(60));
        assert_eq!(step, NextStep::Tell);
        outage.tell(HOUR, at(60));
        outage.decide(&Condition::Up { since: None }, false, true, at(61));
        outage.again(sample());
        assert!(outage.is_to_ask(at(0)));
    }

    #[test]
    fn what_the_crashs_own_message_has_said_is_said_again_as_a_reminder_only() {
        let mut outage = Outage::new(sample());
        outage.said_so(HOUR, at(0));
        assert!(!outage.is_to_ask(at(59)));
        assert!(outage.is_to_ask(at(60)));
        let step = outage.decide(&down(), false, true, at(60));
        assert_eq!(step, NextStep::Tell);
    }

    #[test]
    fn no_reminder_is_sent_where_none_is_wanted() {
        let mut outage = Outage::new(sample());
        let step = outage.decide(&down(), false, true, at(0));
        assert_eq!(step, NextStep::Tell);
        outage.tell(None, at(0));
        assert!(!outage.is_to_ask(at(9000)));
    }

    #[test]
    fn a_service_that_goes_down_each_minute_is_told_three_times_an_hour() {
        let mut outage = Outage::new(sample());
        let mut told = 0;
        for minute in 0..120 {
            let mut crash = sample();
            crash.stop.stopped_at = at(minute);
            outage.again(crash);
            if outage.decide(&down(), false, true, at(minute)) == NextStep::Tell {
                told += 1;
                outage.tell(HOUR, at(minute));
            }
            // Somebody starts it again.
            let up = Condition::Up { since: None };
            let step = outage.decide(&up, false, true, at(minute));
            assert_eq!(step, NextStep::Wait, "its messages still count");
            assert!(!outage.is_forgotten(at(minute)));
        }
        assert_eq!(told, 6);
        assert!(outage.is_forgotten(at(240)));
    }

    #[test]
    fn a_job_without_room_for_a_message_waits_for_it() {
        let mut outage = Outage::new(sample());
        let mut step = |has_room| outage.decide(&down(), false, has_room, at(0));
        assert_eq!((step(false), step(true)), (NextStep::Wait, NextStep::Tell));
    }
}
