//! Remembers the causes of a job's earlier deaths: how often, since when, after how long. Compares
//! the next death with them. It does no I/O.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::report::{Changed, Past, ReportId, Series, Timestamp};

/// Maximum number of causes that are remembered of one job: those that were seen last.
const MAX_CAUSES: usize = 64;
/// Number of the latest deaths whose uptime is remembered.
const UPTIMES: usize = 9;
/// Number of the latest hours whose number of deaths is remembered.
const HOURS: u64 = 24;
/// Maximum length of a cause's line, in characters.
const MAX_LINE: usize = 300;

/// The part of a report that is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct PastDeath {
    pub id: ReportId,
    pub fingerprint: String,
    pub line: String,
    pub at: Timestamp,
    pub uptime_s: Option<f64>,
    /// True if the end was perhaps planned.
    pub is_doubtful: bool,
    /// The service's program, and when that file was changed.
    pub program: Option<Changed>,
}

/// The memory of one job's deaths, as it is kept on the disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chronicle {
    /// The causes by fingerprint.
    causes: BTreeMap<String, KnownCause>,
    /// The deaths of causes that are forgotten.
    forgotten: Option<Series>,
    /// The fingerprint of the latest death.
    latest: Option<String>,
    program: Option<Changed>,
    /// The latest end that was perhaps planned. It counts as no death.
    #[serde(default)]
    doubtful: Option<Timestamp>,
    /// The number of deaths in each of the latest hours. Hours are numbered from 1970 on.
    #[serde(default)]
    hours: BTreeMap<u64, u64>,
    /// The deaths that were counted last, with their comparisons. A deliverer that was killed
    /// before it passed them all on finds them here.
    pub counted: BTreeMap<ReportId, Past>,
}

/// A cause that was seen before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KnownCause {
    line: String,
    deaths: Series,
    /// Uptimes before the latest deaths in seconds, the latest last.
    uptimes: VecDeque<f64>,
}

impl Chronicle {
    /// Counts these deaths, oldest first, and compares each with those before it.
    pub fn count<'d>(&mut self, deaths: impl IntoIterator<Item = &'d PastDeath>) {
        self.counted.clear();
        for death in deaths {
            let past = self.tell(death);
            self.counted.insert(death.id.clone(), past);
            if death.is_doubtful {
                self.doubtful = self.doubtful.max(Some(death.at));
            } else {
                self.add(death);
            }
        }
    }

    /// Returns when the job ended last, as planned perhaps.
    pub fn last(&self) -> Option<Timestamp> {
        let latest = self.latest.as_ref().and_then(|it| self.causes.get(it));
        self.doubtful.max(latest.map(|latest| latest.deaths.last))
    }

    /// Returns the id of a report about its latest ends.
    pub fn latest_id(&self) -> Option<&ReportId> {
        self.counted.last_key_value().map(|(id, _)| id)
    }

    fn tell(&self, death: &PastDeath) -> Past {
        let same = self.causes.get(&death.fingerprint);
        let others = self
            .causes
            .iter()
            .filter(|(fingerprint, _)| **fingerprint != death.fingerprint);
        let others = others
            .map(|(_, known)| known.deaths)
            .chain(self.forgotten)
            .reduce(together);
        let latest = self
            .latest
            .as_ref()
            .filter(|latest| **latest != death.fingerprint);
        let changed = death.program.as_ref().filter(|program| {
            self.program.as_ref().is_some_and(|before| {
                before.path != program.path || before.modified != program.modified
            })
        });
        Past {
            same: same.map(|known| known.deaths),
            others,
            last_cause: latest
                .and_then(|latest| self.causes.get(latest))
                .map(|known| known.line.clone()),
            usual_uptime_s: same.and_then(|known| median(&known.uptimes)),
            changed: changed.cloned(),
            hours: self.day(death),
        }
    }

    /// Returns the number of deaths of each hour up to this death's own, this one included.
    fn day(&self, death: &PastDeath) -> Vec<u64> {
        let last = hour(death);
        let of = |hour| {
            self.hours
                .get(&hour)
                .copied()
                .unwrap_or(0)
                .saturating_add(u64::from(hour == last))
        };
        (last.saturating_sub(HOURS - 1)..=last).map(of).collect()
    }

    fn add(&mut self, death: &PastDeath) {
        if self.causes.len() >= MAX_CAUSES && !self.causes.contains_key(&death.fingerprint) {
            self.forget_one();
        }
        let known = self
            .causes
            .entry(death.fingerprint.clone())
            .or_insert_with(|| KnownCause {
                line: death.line.chars().take(MAX_LINE).collect(),
                deaths: Series {
                    count: 0,
                    first: death.at,
                    last: death.at,
                },
                uptimes: VecDeque::new(),
            });
        known.deaths = Series {
            count: known.deaths.count.saturating_add(1),
            first: known.deaths.first.min(death.at),
            last: known.deaths.last.max(death.at),
        };
        if known.uptimes.len() >= UPTIMES {
            known.uptimes.pop_front();
        }
        known
            .uptimes
            .extend(death.uptime_s.filter(|uptime| uptime.is_finite()));
        let deaths = self.hours.entry(hour(death)).or_default();
        *deaths = deaths.saturating_add(1);
        while self.hours.len() as u64 > HOURS {
            self.hours.pop_first();
        }
        self.latest = Some(death.fingerprint.clone());
        self.program = death.program.clone().or(self.program.take());
    }

    fn forget_one(&mut self) {
        let oldest = self
            .causes
            .iter()
            .min_by_key(|(_, known)| known.deaths.last)
            .map(|(fingerprint, _)| fingerprint.clone());
        let gone = oldest.and_then(|fingerprint| self.causes.remove(&fingerprint));
        self.forgotten = self
            .forgotten
            .into_iter()
            .chain(gone.map(|known| known.deaths))
            .reduce(together);
    }
}

fn hour(death: &PastDeath) -> u64 {
    death.at.unix() / 3600
}

fn together(one: Series, other: Series) -> Series {
    Series {
        count: one.count.saturating_add(other.count),
        first: one.first.min(other.first),
        last: one.last.max(other.last),
    }
}

/// Returns the median; `None` for fewer than two.
fn median(uptimes: &VecDeque<f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = uptimes.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len() / 2)
        .copied()
        .filter(|_| sorted.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(second: u64, fingerprint: &str) -> PastDeath {
        let at = Timestamp::of_unix(1_000_000 + second);
        PastDeath {
            id: ReportId::new(at, second),
            fingerprint: fingerprint.to_owned(),
            line: format!("Error: {fingerprint}"),
            at,
            uptime_s: Some(60.0),
            is_doubtful: false,
            program: None,
        }
    }

    /// Words about the last of these.
    fn told(deaths: &[PastDeath]) -> Past {
        let mut chronicle = Chronicle::default();
        chronicle.count(deaths);
        chronicle.counted[&deaths.last().unwrap().id].clone()
    }

    #[test]
    fn the_first_death_has_no_past() {
        let mut hours = vec![0; 24];
        hours[23] = 1;
        assert_eq!(
            told(&[death(1, "a")]),
            Past {
                hours,
                ..Past::default()
            }
        );
    }

    #[test]
    fn the_deaths_of_each_hour_of_the_last_day_are_counted_whatever_their_cause() {
        let hour = 3600;
        let deaths = [
            death(0, "old"),
            death(hour, "a"),
            death(2 * hour, "b"),
            death(2 * hour, "a"),
            death(24 * hour, "a"),
        ];
        let hours = told(&deaths).hours;
        assert_eq!(
            (hours.len(), &hours[..3], hours[23]),
            (24, &[1, 2, 0][..], 1)
        );
        // A clock that was put back a week finds nothing of the days to come.
        let back = told(&[death(7 * 24 * hour, "a"), death(0, "a")]).hours;
        assert_eq!((back.iter().sum::<u64>(), back.len()), (1, 24));
        let mut chronicle = Chronicle::default();
        chronicle.count(&(0..500).map(|n| death(n * hour, "a")).collect::<Vec<_>>());
        assert_eq!(chronicle.hours.len(), 24);
    }

    #[test]
    fn deaths_of_the_same_cause_and_of_others_are_counted_apart() {
        let past = told(&[
            death(1, "a"),
            death(2, "b"),
            death(3, "a"),
            death(4, "b"),
            death(5, "a"),
        ]);
        let series = |count, first: u64, last: u64| {
            Some(Series {
                count,
                first: Timestamp::of_unix(1_000_000 + first),
                last: Timestamp::of_unix(1_000_000 + last),
            })
        };
        assert_eq!((past.same, past.others), (series(2, 1, 3), series(2, 2, 4)));
        assert_eq!(past.last_cause.as_deref(), Some("Error: b"));
        assert_eq!(told(&[death(1, "a"), death(2, "a")]).last_cause, None);
    }

    #[test]
    fn the_usual_uptime_is_the_middle_of_the_latest() {
        let lives = |uptimes: &[f64]| {
            let deaths = uptimes.iter().zip(1..).map(|(uptime, n)| PastDeath {
                uptime_s: Some(*uptime),
                ..death(n, "a")
            });
            told(&deaths.chain([death(99, "a")]).collect::<Vec<_>>()).usual_uptime_s
        };
        assert_eq!(lives(&[]), None);
        assert_eq!(lives(&[1.0]), None);
        assert_eq!(lives(&[3.0, 1.0, 1000.0]), Some(3.0));
        assert_eq!(lives(&[f64::NAN, 5.0]), None);
        assert_eq!(
            lives(&[1e9, 1e9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
            Some(1.0)
        );
    }

    #[test]
    fn a_program_that_was_changed_between_two_deaths_is_told_once() {
        let program = |second| {
            Some(Changed {
                path: "/srv/web/server".into(),
                modified: Timestamp::of_unix(second),
            })
        };
        let died = |n, second| PastDeath {
            program: program(second),
            ..death(n, "a")
        };
        assert_eq!(told(&[died(1, 5)]).changed, None);
        assert_eq!(told(&[died(1, 5), died(2, 5)]).changed, None);
        assert_eq!(told(&[died(1, 5), died(2, 9)]).changed, program(9));
        assert_eq!(told(&[died(1, 5), died(2, 9), died(3, 9)]).changed, None);
        let unknown = death(2, "a");
        assert_eq!(told(&[died(1, 5), unknown, died(3, 9)]).changed, program(9));
    }

    #[test]
    fn causes_that_are_forgotten_still_count() {
        let deaths: Vec<_> = (0..200)
            .map(|n| death(n, &format!("{n:03}")))
            .chain([death(999, "x")])
            .collect();
        assert_eq!(told(&deaths).others.unwrap().count, 200);
        let mut chronicle = Chronicle::default();
        chronicle.count(&deaths);
        assert!(chronicle.causes.len() <= MAX_CAUSES);
    }
}
