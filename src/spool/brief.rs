//! Reads for lists: the facts of thousands of reports without their sections, and what was done
//! with each. Nothing here changes the spool. A damaged file stays where it is, for a deliverer to
//! put aside.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;

use super::read::{Unreadable, read_as};
use super::{Ledger, Place, Spool, list};
use crate::names;
use crate::report::{
    Audience, Cause, CauseCount, Kind, ReportId, SinkKey, Stop, Timestamp, Verdict,
};

/// A report without its sections.
#[derive(Clone, Debug, Deserialize)]
pub struct Brief {
    pub id: ReportId,
    #[serde(default)]
    pub kind: Kind,
    #[serde(default)]
    pub to: Audience,
    pub drill: bool,
    pub host: String,
    pub stop: Stop,
    pub verdict: Verdict,
    pub cause: Cause,
    #[serde(default)]
    pub causes: Vec<CauseCount>,
    pub fingerprint: String,
    #[serde(default)]
    pub user: Option<u32>,
}

impl Brief {
    /// Returns when it was made: for a crash, when the service stopped.
    pub fn made_at(&self) -> Timestamp {
        self.kind.made_at().unwrap_or(self.stop.stopped_at)
    }
}

impl Spool {
    /// Reads the facts of a report, checked as [`Spool::read`] does.
    pub fn brief(&self, place: Place, id: &ReportId) -> io::Result<Brief> {
        let (path, owners) = (self.file(place, id), self.owners()?);
        read_as(&path, id.as_str(), &owners, |brief: &Brief| &brief.id).map_err(|why| match why {
            Unreadable::Gone => io::ErrorKind::NotFound.into(),
            Unreadable::NotNow(error) => error,
            Unreadable::Newer(why) => io::Error::new(io::ErrorKind::Unsupported, why),
            Unreadable::Invalid(why) => io::Error::new(io::ErrorKind::InvalidData, why),
        })
    }

    /// Returns what each sink has done with this report, as far as it can be read. A name that is
    /// too long to be read back stays as the file has it.
    pub fn ledgers(&self, id: &ReportId) -> io::Result<BTreeMap<SinkKey, Ledger>> {
        let mut ledgers = BTreeMap::new();
        let on_disk = self.disk.as_ref().map(|disk| disk.ledgers(id));
        ledgers.extend(on_disk.transpose()?.unwrap_or_default());
        for name in list(&self.state(id))? {
            let Some(encoded) = name.strip_prefix("to-") else {
                continue;
            };
            let key =
                SinkKey::decode(&names::decode(encoded).unwrap_or_else(|| encoded.to_owned()));
            // A sink whose ledger cannot be read hides no other's.
            let Ok(ledger) = self.ledger_in(id, &name) else {
                continue;
            };
            ledgers.insert(key, ledger);
        }
        Ok(ledgers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::spool::Attempt;

    #[test]
    fn the_facts_are_those_of_the_report() {
        let (_dir, spool) = crate::spool::empty();
        let report = sample();
        spool.put(&report).unwrap();
        let brief = spool.brief(Place::New, &report.id).unwrap();
        assert_eq!(
            (brief.made_at(), brief.stop, brief.cause),
            (report.made_at(), report.stop, report.cause)
        );
        assert!(spool.brief(Place::Done, &report.id).is_err());
    }

    #[test]
    fn what_is_damaged_is_said_and_left_where_it_is() {
        let (dir, spool) = crate::spool::empty();
        let report = sample();
        spool.put(&report).unwrap();
        let path = dir.path().join("spool/new").join(report.id.as_str());
        let damaged = std::fs::read_to_string(&path)
            .unwrap()
            .replacen("web", "bew", 1);
        std::fs::write(&path, damaged).unwrap();
        let error = spool.brief(Place::New, &report.id).unwrap_err();
        assert!(
            error.to_string().contains("its checksum does not fit"),
            "{error}"
        );
        assert!(path.exists());
    }

    #[test]
    fn every_sinks_ledger_is_found_under_its_key() {
        let (_dir, spool) = crate::spool::empty();
        let (id, mut ledger) = (sample().id, Ledger::default());
        assert!(spool.ledgers(&id).unwrap().is_empty());
        ledger.record(
            Attempt::Sent {
                receipt: "ok".into(),
            },
            Timestamp::of_unix(1),
            0.0,
        );
        let keys = [
            SinkKey::Machine("ops mail".into()),
            SinkKey::of_job("web", "own"),
        ];
        for key in &keys {
            spool.write_ledger(&id, key, &ledger).unwrap();
        }
        spool.add(&id, &[]).unwrap();
        let ledgers = spool.ledgers(&id).unwrap();
        assert!(ledgers.keys().eq(&keys));
        assert!(ledgers.values().all(Ledger::was_sent));
    }
}
