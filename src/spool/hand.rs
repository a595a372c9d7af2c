//! Changes what people change by hand, beside a running deliverer: each change holds the sink's
//! lock.

use std::io;

use super::{Ledger, Spool};
use crate::report::{ReportId, SinkKey};

impl Spool {
    /// Makes the next try due now. The number of tries and their begin stay. Returns true if the
    /// sink still waits for this report. The caller holds the sink's lock.
    pub fn hurry(&self, id: &ReportId, sink: &SinkKey) -> io::Result<bool> {
        let ledger = self.ledger(id, sink)?;
        let waits = ledger.outcome.is_none();
        if waits && ledger.next_try.is_some() {
            self.write_ledger(
                id,
                sink,
                &Ledger {
                    next_try: None,
                    ..ledger
                },
            )?;
        }
        Ok(waits)
    }

    /// Notes that the sink is not to get this report. Returns true if the sink was still waiting
    /// for it. The caller holds the sink's lock.
    pub fn give_up(&self, id: &ReportId, sink: &SinkKey, why: &str) -> io::Result<bool> {
        let ledger = self.ledger(id, sink)?;
        let waits = ledger.outcome.is_none();
        if waits {
            self.write_ledger(id, sink, &ledger.dropped(why.to_owned()))?;
        }
        Ok(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Timestamp, sample};
    use crate::spool::{Attempt, Outcome};

    fn mail() -> SinkKey {
        SinkKey::Machine("mail".into())
    }

    #[test]
    fn a_hurried_try_is_due_and_the_five_days_go_on() {
        let (_dir, spool) = crate::spool::empty();
        let (id, now) = (sample().id, Timestamp::of_unix(1000));
        let mut ledger = Ledger::default();
        ledger.record(
            Attempt::Retry {
                after_s: Some(3600),
                why: "busy".into(),
            },
            now,
            0.0,
        );
        spool.write_ledger(&id, &mail(), &ledger).unwrap();
        assert!(spool.hurry(&id, &mail()).unwrap());
        let hurried = spool.ledger(&id, &mail()).unwrap();
        assert!(hurried.is_due(now));
        assert_eq!(
            (
                hurried.attempts,
                hurried.first_try,
                hurried.last_error.as_deref()
            ),
            (1, Some(now), Some("busy"))
        );
    }

    #[test]
    fn what_was_sent_meanwhile_is_neither_hurried_nor_given_up() {
        let (_dir, spool) = crate::spool::empty();
        let id = sample().id;
        let mut ledger = Ledger::default();
        ledger.record(
            Attempt::Sent {
                receipt: "ok".into(),
            },
            Timestamp::of_unix(1000),
            0.0,
        );
        spool.write_ledger(&id, &mail(), &ledger).unwrap();
        assert!(
            !spool.hurry(&id, &mail()).unwrap() && !spool.give_up(&id, &mail(), "enough").unwrap()
        );
        assert_eq!(spool.ledger(&id, &mail()).unwrap(), ledger);
        assert!(
            spool
                .give_up(&id, &SinkKey::Machine("slack".into()), "enough")
                .unwrap()
        );
        let outcome = spool
            .ledger(&id, &SinkKey::Machine("slack".into()))
            .unwrap()
            .outcome;
        assert_eq!(
            outcome,
            Some(Outcome::Dropped {
                why: "enough".into()
            })
        );
    }
}
