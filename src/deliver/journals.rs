//! Adds the journals that hooks have left to the deliverer to their reports.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use crate::catch::pending;
use crate::clock::Now;
use crate::config;
use crate::deliver::deliverer::Deliverer;
use crate::report::Report;
use crate::spool::{Lock, Place};

/// Lock of the deliverer that reads journals.
const LOCK: &str = "\0\0journals";
/// How long one journal may take: its two questions have limits far below that.
const LEASE: Duration = Duration::from_secs(10);
/// How long one pass may read journals. Then it sends what it has.
const PATIENCE: Duration = Duration::from_millis(500);

/// The deliverer that reads journals now.
enum JournalReader {
    /// No journal was needed yet.
    Unasked,
    /// `None` if no lock can be had, which must not keep reports back.
    Ours(Option<Lock>),
    Others,
}

/// Completes reports for one pass.
pub struct Journals<'a, 'b> {
    deliverer: &'a Deliverer<'b>,
    until: Duration,
    is_spent: bool,
    reader: JournalReader,
}

impl<'a, 'b> Journals<'a, 'b> {
    pub fn new(deliverer: &'a Deliverer<'b>) -> Self {
        Self {
            deliverer,
            until: Now::read().monotonic + PATIENCE,
            is_spent: false,
            reader: JournalReader::Unasked,
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
        let Deliverer { places, host, .. } = self.deliverer;
        if let JournalReader::Unasked = self.reader {
            let lock = self.deliverer.spool().lock(LOCK, Now::read().monotonic);
            self.reader = match lock {
                Ok(None) => JournalReader::Others,
                lock => JournalReader::Ours(lock.ok().flatten()),
            };
            // Another deliverer may have completed it since it was read here.
            report = self.deliverer.spool().read(Place::New, &report.id).ok()?;
            if !pending::is_pending(&report) {
                return Some(report);
            }
        }
        if let JournalReader::Others = self.reader {
            return None;
        }
        // Where this process is stopped meanwhile, another goes on without it.
        if let JournalReader::Ours(Some(lock)) = &self.reader
            && !lock
                .lives_for(LEASE, Now::read().monotonic)
                .is_ok_and(|ours| ours)
        {
            return None;
        }
        let loaded = config::load(&places.config, &report.stop.job);
        // A bug that a log brings out must keep neither this report nor those after it from being
        // sent.
        let complete = || {
            let mut whole = report.clone();
            pending::complete(&mut whole, &loaded, host);
            whole
        };
        if let Ok(whole) = panic::catch_unwind(AssertUnwindSafe(complete)) {
            report = whole;
        } else {
            pending::disown(&mut report);
            let note = "the journal is left out: reading it hit a bug of lastwords";
            report.notes.push(note.to_owned());
        }
        let replaced = self.deliverer.spool().replace(&report);
        if let Err(why) = replaced {
            let id = &report.id;
            self.deliverer
                .fail(&format!("{id}: the journal cannot be added: {why}"));
        }
        Some(report)
    }
}
