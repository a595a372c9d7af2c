//! Reads the spool for `list`, `show`, `queue` and `stats`. It changes nothing there.

pub mod table;
pub mod told;

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use rustix::termios::tcgetwinsize;

use crate::places::Places;
use crate::redact::redact;
use crate::render::{beside_the_first, clean};
use crate::report::{Kind, ReportId, Timestamp, Verdict};
use crate::spool::{Brief, Place, Spool};
use crate::when::rough_length;

/// Maximum number of ids that are named if several fit.
const CANDIDATES: usize = 5;
/// Shortest name that `list` gives a report, in characters.
const SHORTEST: usize = 4;

/// Every report in the spool, by name.
pub struct Entries {
    /// Oldest first.
    all: Vec<(ReportId, Place)>,
    /// Number of reports that no disk holds.
    in_memory: usize,
    /// State of the disk for which a deputy stands in, as "read-only".
    disk: Option<&'static str>,
}

impl Entries {
    /// # Errors
    /// Returns an error that says what to do if the spool may not be read, or is none.
    pub fn of(places: &Places) -> Result<Self> {
        let (spool, dir) = (places.spool_in_use(), places.spool.display());
        let mut all = Vec::new();
        // In this order, a report that moves on meanwhile is not overlooked.
        for place in [Place::New, Place::Done, Place::Dead] {
            let ids = spool.ids(place).map_err(|why| match why.kind() {
                ErrorKind::PermissionDenied => {
                    anyhow!("only root may read {dir}: try again with sudo")
                }
                _ => anyhow!("cannot list the reports in {dir}: {why}"),
            })?;
            all.extend(ids.into_iter().map(|id| (id, place)));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(Self {
            all,
            in_memory: places.memory().count() + spool.only_in_memory(),
            disk: places.state_of_disk(),
        })
    }

    /// Returns what people should know of the reports that are in memory only.
    pub fn in_memory(&self) -> Option<String> {
        let count = self.in_memory;
        if let Some(state) = self.disk {
            return Some(format!(
                "reports in memory only: {count}; the spool's disk is {state}, so they are told \
                 from memory, and a reboot would lose them"
            ));
        }
        (count > 0).then(|| {
            format!(
                "reports in memory only: {count}; the spool's disk has not taken them, and a \
                 reboot would lose them"
            )
        })
    }

    /// Returns the reports, newest first, that are not older than that.
    pub fn since(&self, since: Option<Timestamp>) -> impl Iterator<Item = &(ReportId, Place)> {
        // An id names the second, no more.
        let is_old = |id: &ReportId| since.is_some_and(|since| id.time().unix() < since.unix());
        let start = self.all.partition_point(|(id, _)| is_old(id));
        self.all.iter().skip(start).rev()
    }

    /// Returns the report of this name: its id, or any part at the id's beginning or end that no
    /// other has.
    ///
    /// # Errors
    /// Returns an error if there is none, or if there are several.
    pub fn named(&self, name: &str) -> Result<(&ReportId, Place)> {
        let asked = name.to_ascii_lowercase();
        ensure!(
            !asked.is_empty(),
            "expected a report's id, found an empty text: `lastwords list` shows the ids"
        );
        let fits = |id: &str| id.starts_with(&asked) || id.ends_with(&asked);
        let found: Vec<_> = self
            .all
            .iter()
            .filter(|(id, _)| fits(id.as_str()))
            .collect();
        match found.as_slice() {
            [(id, place)] => Ok((id, *place)),
            [] => bail!("there is no report {name:?} in the spool: `lastwords list` shows the ids"),
            several => {
                let ids = several
                    .iter()
                    .rev()
                    .take(CANDIDATES)
                    .map(|(id, _)| id.as_str())
                    .collect::<Vec<_>>();
                bail!(
                    "{} reports are called {name:?}, the newest of them {}",
                    several.len(),
                    ids.join(", ")
                )
            }
        }
    }

    /// Returns how many characters at the end of an id tell each report from all others.
    pub fn short(&self) -> usize {
        let mut ends: Vec<String> = self
            .all
            .iter()
            .map(|(id, _)| id.as_str().chars().rev().collect())
            .collect();
        ends.sort_unstable();
        let alike = |(a, b): (&String, &String)| {
            a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
        };
        ends.iter()
            .zip(ends.iter().skip(1))
            .map(alike)
            .max()
            .map_or(SHORTEST, |alike| (alike + 1).max(SHORTEST))
    }
}

/// Returns the end of an id.
pub fn short_id(id: &ReportId, length: usize) -> &str {
    let id = id.as_str();
    id.get(id.len().saturating_sub(length)..).unwrap_or(id)
}

/// Reads the facts of reports, and counts those that cannot be read.
pub struct Reader<'s> {
    pub spool: &'s Spool,
    /// Number of reports that could not be read.
    pub unreadable: usize,
    /// Fault of the first of them.
    why: Option<io::Error>,
}

impl<'s> Reader<'s> {
    pub fn new(spool: &'s Spool) -> Self {
        Self {
            spool,
            unreadable: 0,
            why: None,
        }
    }

    /// Reads one report, wherever a deliverer has moved it meanwhile.
    pub fn read(&mut self, id: &ReportId, place: Place) -> Option<Brief> {
        let read = self
            .spool
            .brief(place, id)
            .or_else(|why| match self.spool.find(id) {
                Some(now) if why.kind() == ErrorKind::NotFound => self.spool.brief(now, id),
                _ => Err(why),
            });
        match read {
            Ok(brief) => Some(brief),
            // It was removed, as it was too old or the spool too full.
            Err(why) if why.kind() == ErrorKind::NotFound => None,
            Err(why) => {
                self.unreadable += 1;
                self.why.get_or_insert(why);
                None
            }
        }
    }

    /// Returns what people should know of the reports that could not be read.
    pub fn complaint(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        Some(format!(
            "{} of the reports could not be read; the first error: {why}",
            self.unreadable
        ))
    }
}

/// Says in one line what a report tells. Its job stands beside it.
pub fn told_of(brief: &Brief) -> String {
    let cause = if brief.cause.line.is_empty() {
        brief.stop.exit.to_string()
    } else {
        brief.cause.line.clone()
    };
    let is_missed = brief.verdict == Verdict::Missed;
    let after = match cause.split_once(" since ") {
        Some((_, since)) if is_missed => format!("no run had since {since}"),
        _ => cause.clone(),
    };
    let beside = beside_the_first(&brief.causes);
    let drill = if brief.drill { "DRILL: " } else { "" };
    match brief.kind {
        Kind::Crash if matches!(brief.verdict, Verdict::Crashed | Verdict::Missed) => {
            format!("{drill}{cause}")
        }
        Kind::Crash => format!("{drill}{}: {cause}", brief.verdict),
        Kind::Summary { new, .. } => format!("{} more: {cause}{beside}", new.count),
        Kind::Recovered {
            ended_well: Some(_),
            ..
        } => format!("ended well, after {after}{beside}"),
        Kind::Recovered {
            stopped: Some(_), ..
        } => format!("came up again, and was stopped as planned, after {after}{beside}"),
        Kind::Recovered { .. } => format!("is up again, after {after}{beside}"),
        Kind::Down { .. } if is_missed => format!("still {cause}"),
        Kind::Down {
            is_reminder: false,
            is_again,
            ..
        } => {
            let again = if is_again { " again" } else { "" };
            format!("is down{again}, after {cause}")
        }
        Kind::Down { .. } => format!("is still down, after {cause}"),
        Kind::Notice => format!("lastwords: {cause}"),
    }
}

/// Says how long ago that was, or how long it is until then: `3 min ago`, `in 35 s`, `now`.
pub fn from_now(time: Timestamp, now: Timestamp) -> String {
    match (rough_length(time.since(now)), rough_length(now.since(time))) {
        (Some(until), _) => format!("in {until}"),
        (_, Some(ago)) => format!("{ago} ago"),
        _ => "now".to_owned(),
    }
}

/// Returns the width of the terminal that is written to; `None` if it is none.
pub fn terminal_width() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Says something beside the output, which a program may read.
pub fn say(line: &str) {
    let _ = writeln!(anstream::stderr(), "{}", clean(&redact(line)));
}

/// Writes `2026-11-23 03:00`, in UTC.
pub fn minute(time: Timestamp) -> String {
    time.to_string()
        .replace('T', " ")
        .chars()
        .take(16)
        .collect()
}

/// Reads the begin of a time span: `2d` ago, or a day or a second of the calendar in UTC
/// (`2026-11-20`).
///
/// # Errors
/// Returns an error if it is neither.
pub fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    let time = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    humantime::parse_rfc3339_weak(&time)
        .map(|time| Since::At(Timestamp::new(time)))
        .map_err(|_| {
            "expected how long ago, as `2d` or `90min`, or a date, as `2026-11-20`".to_owned()
        })
}

/// Begin of a time span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Since {
    Ago(Duration),
    At(Timestamp),
}

impl Since {
    pub fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => now
                .time()
                .checked_sub(ago)
                .map_or(Timestamp::of_unix(0), Timestamp::new),
        }
    }
}

/// Returns the youngest report, of this job if one is named.
pub fn last<'e>(
    entries: &'e Entries,
    spool: &Spool,
    job: Option<&str>,
) -> Result<(&'e ReportId, Place)> {
    let mut reader = Reader::new(spool);
    let is_asked = |brief: &Brief| {
        job.is_none_or(|job| brief.stop.job == job && !matches!(brief.kind, Kind::Notice))
    };
    let mut all = entries.since(None).map(|(id, place)| (id, *place));
    let found = match job {
        None => all.next(),
        Some(_) => all.find(|(id, place)| {
            reader
                .read(id, *place)
                .is_some_and(|brief| is_asked(&brief))
        }),
    };
    found.with_context(|| match job {
        Some(job) => format!(
            "there is no report about the job {job:?}: `lastwords list` shows what there is"
        ),
        None => match entries.in_memory() {
            Some(more) => format!("there is no report in the spool; {more}"),
            None => "there is no report yet".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(ids: &[(u64, u64)]) -> Entries {
        let id = |(second, random): &(u64, u64)| {
            (
                ReportId::new(Timestamp::of_unix(*second), *random),
                Place::Done,
            )
        };
        Entries {
            all: ids.iter().map(id).collect(),
            in_memory: 0,
            disk: None,
        }
    }

    #[test]
    fn a_report_is_found_by_any_part_of_its_id_that_no_other_has() {
        let entries = entries(&[(0, 0xabcd), (0, 0xabce), (90_000, 0x1_abcd)]);
        let id = |n: usize| &entries.all[n].0;
        assert_eq!(entries.named("1abcd").unwrap().0, id(2));
        assert_eq!(entries.named("1ABCD").unwrap().0, id(2));
        assert_eq!(entries.named("19700102").unwrap().0, id(2));
        assert_eq!(entries.named(id(1).as_str()).unwrap().0, id(1));
        let told = |name: &str| entries.named(name).unwrap_err().to_string();
        assert_eq!(
            told("abcd"),
            format!(
                "2 reports are called \"abcd\", the newest of them {}, {}",
                id(2),
                id(0)
            )
        );
        assert!(told("ffff").starts_with("there is no report \"ffff\""));
        assert!(told("").starts_with("expected a report's id"));
    }

    #[test]
    fn of_reports_of_one_second_the_one_made_last_is_the_last() {
        let second = Timestamp::of_unix(7).time();
        let id = |millis, random| {
            ReportId::new(
                Timestamp::new(second + Duration::from_millis(millis)),
                random,
            )
        };
        let ids = [id(2, u64::MAX), id(3, 0), id(20, 5), id(300, 1), id(999, 0)];
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[4].as_str(), "19700101t000007-3e70000000000000");
        assert_eq!(
            ids[4].time(),
            Timestamp::new(second + Duration::from_millis(999))
        );
    }

    #[test]
    fn short_names_are_as_long_as_they_must_be() {
        assert_eq!(entries(&[]).short(), 4);
        assert_eq!(entries(&[(0, 1), (0, 2)]).short(), 4);
        let entries = entries(&[(0, 0xabcd), (0, 0x1_abcd)]);
        assert_eq!(
            (
                entries.short(),
                short_id(&entries.all[1].0, entries.short())
            ),
            (5, "1abcd")
        );
    }

    #[test]
    fn a_time_is_said_from_now() {
        let at = Timestamp::of_unix;
        assert_eq!(from_now(at(1000), at(1180)), "3 min ago");
        assert_eq!(from_now(at(1035), at(1000)), "in 35 s");
        assert_eq!(from_now(at(1000), at(1000)), "now");
    }

    #[test]
    fn since_is_a_while_ago_or_a_date() {
        let now = Timestamp::of_unix(1_000_000);
        let since = |text: &str| parse_since(text).map(|since| since.time(now).to_string());
        assert_eq!(since("2d").unwrap(), "1970-01-10T13:46:40.000Z");
        assert_eq!(since("2026-11-20").unwrap(), "2026-11-20T00:00:00.000Z");
        assert_eq!(
            since("2026-11-20 03:00:00").unwrap(),
            "2026-11-20T03:00:00.000Z"
        );
        assert_eq!(since("1000years").unwrap(), "1970-01-01T00:00:00.000Z");
        assert!(since("yesterday").is_err() && since("2026-13-40").is_err());
    }
}
