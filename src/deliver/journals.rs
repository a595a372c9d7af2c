//! Adds the journals that hooks have left to the deliverer to their reports.

use std::time::Duration;

use crate::catch::pending;
use crate::clock::Now;
use crate::config;
use crate::deliver::deliverer::Deliverer;
use crate::report::Report;
use crate::spool::Lock;

/// Lock of the deliverer that reads journals.
const LOCK: &str = "\0\0journals";
/// How long one pass may read journals. Then it sends what it has.
const PATIENCE: Duration = Duration::from_millis(500);

/// The deliverer that reads journals now.
enum JournalReader {
    /// No journal was needed yet.
    Unasked,
    Ours(#[expect(dead_code, reason = "held until the pass ends")] Lock),
    Others,
}

/// Completes reports for one pass.
pub struct Journals<'a, 'b> {
    deliverer: &'a Deliverer<'b>,
    until: Duration,
    is_spent: bool,
    holder: JournalReader,
}

impl<'a, 'b> Journals<'a, 'b> {
    pub fn new(deliverer: &'a Deliverer<'b>) -> Self {
        Self {
            deliverer,
            until: Now::read().monotonic + PATIENCE,
            is_spent: false,
            holder: JournalReader::Unasked,
        }
    }

    /// Returns true if a report had to wait for the next pass.
    pub fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Returns the report with its journal; `None` if it has to wait: for the next pass, or for
    /// another deliverer that completes it.
    pub fn complete(&mut self, mut report: Report) -> Option<Report> {
        if !pending::is_pending(&report) {
            return Some(report);
        }
        if Now::read().monotonic > self.until {
            self.is_spent = true;
            return None;
        }
        let Deliverer {
            spool,
            places,
            host,
            ..
        } = self.deliverer;
        if let JournalReader::Unasked = self.holder {
            let lock = spool.lock(LOCK, Now::read().monotonic).ok().flatten();
            self.holder = lock.map_or(JournalReader::Others, JournalReader::Ours);
        }
        if let JournalReader::Others = self.holder {
            return None;
        }
        let loaded = config::load(&places.config, &report.stop.job);
        pending::complete(&mut report, &loaded, host);
        if let Err(why) = spool.replace(&report) {
            let id = &report.id;
            self.deliverer
                .say(&format!("{id}: the journal cannot be added: {why}"));
        }
        Some(report)
    }
}
