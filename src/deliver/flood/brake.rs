//! The brake: how many messages of one job a sink gets within an hour.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::{FIRST_WINDOW, WINDOW, elapsed};
use crate::report::Timestamp;

/// Maximum number of messages of a job an hour. Only that something told is over comes beside them.
const MAX_AN_HOUR: usize = 6;
/// Maximum number of reports of single crashes among them.
const MAX_SINGLES: usize = 4;

/// The messages about a job that a sink has got lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    /// The last few messages that were taken.
    taken: Vec<SentMessage>,
    /// The latest message, if it was refused.
    refused: Option<SentMessage>,
}

/// A message that a sink has taken or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SentMessage {
    at: Timestamp,
    is_single: bool,
}

/// The messages on their way.
#[derive(Clone, Copy, Debug)]
pub struct OnTheirWay {
    pub singles: usize,
    pub others: usize,
}

impl Brake {
    /// Records that a message was taken.
    pub fn taken(&mut self, is_single: bool, at: Timestamp) {
        self.refused = None;
        self.add(is_single, at);
    }

    /// Adds a message that was taken, whenever that was.
    pub fn add(&mut self, is_single: bool, at: Timestamp) {
        self.taken.push(SentMessage { at, is_single });
        let surplus = self.taken.len().saturating_sub(MAX_AN_HOUR);
        self.taken.drain(..surplus);
    }

    /// Records that a message was refused.
    pub fn refused(&mut self, is_single: bool, at: Timestamp) {
        self.refused = Some(SentMessage { at, is_single });
    }

    /// Returns true if the sink is left in peace, as it has just refused a message.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.refused
            .is_some_and(|refused| elapsed(Some(refused.at), now) < pause(refused))
    }

    /// Returns true if the sink may be told something now.
    pub fn has_room(&self, open: OnTheirWay, now: Timestamp) -> bool {
        let count = self.lately(now).count() + open.singles + open.others;
        !self.is_paused(now) && count < MAX_AN_HOUR
    }

    /// Returns true if the sink may be told of one crash now. Room is kept for "up again" after it,
    /// and for a summary, if there `may_be_a_summary` before the hour is over.
    pub fn has_room_for_one(
        &self,
        open: OnTheirWay,
        may_be_a_summary: bool,
        now: Timestamp,
    ) -> bool {
        let singles = self.lately(now).filter(|taken| taken.is_single).count();
        let kept = OnTheirWay {
            others: open.others + 1 + usize::from(may_be_a_summary),
            ..open
        };
        self.has_room(kept, now) && singles + open.singles < MAX_SINGLES
    }

    /// Returns when there is room for another message if there is none now.
    pub fn room_at(&self, now: Timestamp) -> Option<Timestamp> {
        let after = |taken: &SentMessage, pause: Duration| Timestamp::new(taken.at.time() + pause);
        let full = self.lately(now).count() >= MAX_AN_HOUR;
        let oldest = self.taken.first().filter(|_| full);
        let room = oldest.map(|oldest| after(oldest, WINDOW));
        room.max(self.refused.map(|refused| after(&refused, pause(refused))))
    }

    /// Returns true if no message counts any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.lately(now).next().is_none()
    }

    fn lately(&self, now: Timestamp) -> impl Iterator<Item = &SentMessage> {
        self.taken
            .iter()
            .filter(move |taken| elapsed(Some(taken.at), now) < WINDOW)
    }
}

/// Returns for how long a sink is left in peace that has refused a message.
fn pause(refused: SentMessage) -> Duration {
    if refused.is_single {
        FIRST_WINDOW
    } else {
        WINDOW
    }
}
