//! A taken marker: the record of a stop that has yet to be dealt with.
//!
//! One rename makes it, and all that the hook knows is in its name. So the hook may be killed right
//! after that:
//!
//! ```text
//! NAME~taken-ID-MILLIS-FLAGS
//! ```
//! ID is the id of the report of this stop, whichever process writes it: so there is one report at
//! most. MILLIS is the time at which the marker was taken, in hexadecimal milliseconds since the
//! boot. FLAGS are, in this order:
//!
//! - the supervisor's letter ([`Supervise::letter`])
//! - `a`: the supervisor had announced the stop itself
//! - `m`: post-stop never ran, and the next pre-start took the marker
//! - `l`: the command of `lastwords run` is alive
//! - a digit: the number of workers of the deliverer's that have tried to deal with the stop
//!
//! The process that deals with the stop holds a lock on the file. The lock ends with the process.
//! `lastwords run` takes its marker at the start and holds it while the command is alive: however
//! `lastwords run` itself ends, the deliverer finds the marker and deals with it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::catch::marker::millis;
use crate::clock::Now;
use crate::host::open_regular_in_ours;
use crate::names;
use crate::report::{ReportId, Timestamp};
use crate::supervisor::{self, Supervise};

const TAKEN: &str = "~taken-";
/// Largest MILLIS. With it and the longest names the file name is 255 bytes long.
const MAX_MILLIS: u64 = 0xff_ffff_ffff;
/// Largest number of tries that is counted.
const MAX_TRIES: u8 = 9;

/// Facts that the hook knows when it takes a marker, and the marker does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    pub supervisor: &'static dyn Supervise,
    /// The supervisor itself announced the stop.
    pub announced: bool,
    /// No hook saw the end: the next pre-start found the marker, or `lastwords run` was killed
    /// before the end.
    pub missed: bool,
    /// The command of `lastwords run` has not ended yet, or `lastwords run` was killed before it.
    pub alive: bool,
}

/// Returns the supervisor whose letter the flags begin with.
fn supervisor_in(flags: &str) -> &'static dyn Supervise {
    let mut all = supervisor::ALL.iter().copied();
    all.find(|it| flags.starts_with(it.letter()))
        .unwrap_or_default()
}

/// A taken marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    path: PathBuf,
    /// Encoded name of job and instance.
    name: String,
    /// Id of this stop's report.
    pub id: ReportId,
    /// Time at which it was taken, since the boot.
    pub monotonic: Duration,
    pub circumstances: Circumstances,
    /// Number of workers of the deliverer's that have begun to deal with it, up to 9.
    pub tries: u8,
}

/// Result of trying to lock a taken marker.
#[derive(Debug)]
pub enum Claim {
    /// The marker is ours as long as this file is open, here or in a process that inherited it.
    Held(File),
    /// Another process deals with it, or has done so.
    Others,
}

impl Taken {
    pub(crate) fn new(
        dir: &Path,
        name: &str,
        id: ReportId,
        now: Now,
        circumstances: Circumstances,
    ) -> Self {
        let Circumstances {
            supervisor,
            announced,
            missed,
            alive,
        } = circumstances;
        let flags = [
            (true, supervisor.letter()),
            (announced, "a"),
            (missed, "m"),
            (alive, "l"),
        ];
        let flags: String = flags
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, flag)| flag)
            .collect();
        let moment = millis(now.monotonic).min(MAX_MILLIS);
        Self {
            path: dir.join(format!("{name}{TAKEN}{id}-{moment:x}-{flags}")),
            name: name.to_owned(),
            id,
            monotonic: Duration::from_millis(moment),
            circumstances,
            tries: 0,
        }
    }

    /// Returns the taken marker at `path`; `None` if this cannot be the name of one.
    pub fn at(path: &Path) -> Option<Self> {
        let (name, rest) = path.file_name()?.to_str()?.split_once(TAKEN)?;
        let (id, rest) = rest.split_at_checked(32)?;
        let (moment, flags) = rest.strip_prefix('-')?.split_once('-')?;
        let has = |flag| flags.contains(flag);
        Some(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            id: ReportId::parse(id).ok()?,
            monotonic: Duration::from_millis(u64::from_str_radix(moment, 16).ok()?.min(MAX_MILLIS)),
            circumstances: Circumstances {
                supervisor: supervisor_in(flags),
                announced: has('a'),
                missed: has('m'),
                alive: has('l'),
            },
            tries: tries_in(flags),
        })
    }

    /// Counts a try, before the try can fail. A rename keeps the count and takes no room. If the
    /// rename fails, the try is not counted.
    #[must_use]
    pub fn count_try(&self) -> Self {
        let counted = (self.tries + 1).min(MAX_TRIES);
        let name = self
            .path
            .to_str()
            .unwrap_or_default()
            .trim_end_matches(|c: char| c.is_ascii_digit());
        let tried = Self {
            path: format!("{name}{counted}").into(),
            tries: counted,
            ..self.clone()
        };
        if fs::rename(&self.path, &tried.path).is_ok() {
            tried
        } else {
            self.clone()
        }
    }

    /// Takes the count back.
    pub fn become_again(&self, before: &Self) {
        // If that fails, the try counts.
        let _ = fs::rename(&self.path, &before.path);
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("/")).to_owned()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns job and instance as far as the file name shows them. It does not hold all of very
    /// long names.
    pub fn service(&self) -> (String, Option<String>) {
        let name = names::decode(&self.name).unwrap_or_else(|| self.name.clone());
        match name.split_once('\0') {
            Some((job, instance)) => (job.to_owned(), Some(instance.to_owned())),
            None => (name, None),
        }
    }

    /// Returns the time at which it was taken, on both clocks.
    pub fn moment(&self, now: Now) -> Now {
        let since = now.monotonic.saturating_sub(self.monotonic);
        let wall = now
            .wall
            .time()
            .checked_sub(since)
            .map_or(now.wall, Timestamp::new);
        // If the clock was set since, the id still has the time that it showed then.
        let named = self.id.time();
        let set = wall.unix().abs_diff(named.unix()) > 2;
        Now {
            wall: if set { named } else { wall },
            monotonic: self.monotonic,
        }
    }

    /// Locks it, so that no other process deals with it.
    ///
    /// # Errors
    /// If it is no file that can be locked.
    pub fn claim(&self) -> io::Result<Claim> {
        let file = match open_regular_in_ours(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Others),
            file => file?,
        };
        match file.try_lock() {
            // Another process may have dealt with it since it was opened.
            Ok(()) if self.path.symlink_metadata().is_err() => Ok(Claim::Others),
            Ok(()) => Ok(Claim::Held(file)),
            Err(TryLockError::WouldBlock) => Ok(Claim::Others),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Makes the marker of a `lastwords run` the record of a stop: its command has ended, or
    /// nothing will see it end. The file and the lock on it stay the same.
    pub fn ended(&self, id: ReportId, now: Now, missed: bool) -> io::Result<Self> {
        let circumstances = Circumstances {
            missed,
            alive: false,
            ..self.circumstances
        };
        let ended = Self::new(&self.dir(), &self.name, id, now, circumstances);
        fs::rename(&self.path, &ended.path)?;
        Ok(ended)
    }

    /// Removes it: the stop was planned, or its report is safe.
    pub fn settle(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(&self.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn tries_in(flags: &str) -> u8 {
    flags
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap_or(0)
        .min(MAX_TRIES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::run::LastwordsRun;
    use crate::supervisor::upstart::Upstart;

    fn now(seconds: u64) -> Now {
        let wall = Timestamp::new(
            std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds),
        );
        Now {
            wall,
            monotonic: Duration::from_secs(seconds),
        }
    }

    fn taken(name: &str, circumstances: Circumstances) -> Taken {
        Taken::new(
            Path::new("/run"),
            name,
            ReportId::new(now(100).wall, 7),
            now(100),
            circumstances,
        )
    }

    #[test]
    fn all_that_the_hook_knew_is_read_back_from_the_name() {
        for (supervisor, announced, missed, alive) in [
            ("upstart", true, false, false),
            ("unknown", false, true, false),
            ("upstart", false, false, false),
            ("run", false, false, true),
            ("run", false, true, false),
        ] {
            let taken = taken(
                "web%001",
                Circumstances {
                    supervisor: supervisor::named(supervisor).unwrap_or_default(),
                    announced,
                    missed,
                    alive,
                },
            );
            assert_eq!(Taken::at(taken.path()), Some(taken.clone()));
            assert_eq!(taken.service(), ("web".to_owned(), Some("1".to_owned())));
        }
    }

    #[test]
    fn whoever_called_is_read_back_from_its_letter() {
        let unknown: &dyn Supervise = Default::default();
        for supervisor in supervisor::ALL.iter().copied().chain([unknown]) {
            for missed in [false, true] {
                let circumstances = Circumstances {
                    supervisor,
                    missed,
                    ..Circumstances::default()
                };
                let mut path = taken("web", circumstances).path().to_owned();
                assert_eq!(Taken::at(&path).unwrap().circumstances, circumstances);
                path.as_mut_os_string().push("3");
                let tried = Taken::at(&path).unwrap();
                assert_eq!((tried.circumstances, tried.tries), (circumstances, 3));
            }
        }
    }

    #[test]
    fn the_names_of_a_service_are_read_back_as_far_as_the_files_name_has_them() {
        let service = |name: &str| taken(name, Circumstances::default()).service();
        assert_eq!(service("web"), ("web".to_owned(), None));
        let both = ("web".to_owned(), Some(String::new()));
        assert_eq!(service("web%00"), both);
        let long = names::encode("x".repeat(201));
        assert_eq!(service(&long), (long, None));
    }

    #[test]
    fn the_longest_name_still_is_a_files_name() {
        let circumstances = Circumstances {
            supervisor: &Upstart,
            announced: true,
            missed: true,
            alive: false,
        };
        let end_of_time = Now {
            monotonic: Duration::MAX,
            ..now(1)
        };
        let id = ReportId::new(end_of_time.wall, 7);
        let taken = Taken::new(
            Path::new("/run"),
            &names::encode("x".repeat(999)),
            id,
            end_of_time,
            circumstances,
        );
        // And a digit.
        assert_eq!(
            taken.path().file_name().map(std::ffi::OsStr::len),
            Some(254)
        );
        assert_eq!(Taken::at(taken.path()), Some(taken));
    }

    #[test]
    fn tries_are_counted_in_the_name_and_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        for circumstances in [
            Circumstances::default(),
            Circumstances {
                missed: true,
                ..Circumstances::default()
            },
        ] {
            let id = ReportId::new(now(1).wall, 7);
            let mut taken = Taken::new(dir.path(), "web", id, now(1), circumstances);
            fs::write(taken.path(), "").unwrap();
            for tries in 1..12 {
                let tried = taken.count_try();
                assert_eq!(
                    (tried.tries, tried.circumstances),
                    (tries.min(9), circumstances)
                );
                assert_eq!(Taken::at(tried.path()), Some(tried.clone()));
                assert!(tried.path().exists() && (tries > 9 || !taken.path().exists()));
                tried.become_again(&taken);
                assert!(taken.path().exists());
                taken = taken.count_try();
            }
            taken.settle().unwrap();
            assert_eq!(taken.count_try(), taken, "what is gone cannot be counted");
        }
    }

    #[test]
    fn what_no_hook_could_have_written_is_no_taken_marker() {
        for name in [
            "web",
            "web~taken",
            "web~taken-",
            "web~taken-x-1-",
            "web~taken-20261123t030000-0123456789abcdef",
        ] {
            assert_eq!(Taken::at(Path::new(name)), None, "{name}");
        }
        assert_eq!(
            Taken::at(Path::new("web~taken-20261123t030000-0123456789abcdef-zz-u")),
            None
        );
        assert_eq!(
            Taken::at(Path::new(
                "web~taken-20261123t030000-0123456789abcd\u{e9}-1-u"
            )),
            None
        );
    }

    #[test]
    fn the_moment_of_the_stop_is_found_again_also_where_the_clock_was_set() {
        let taken = taken("web", Circumstances::default());
        assert_eq!(taken.moment(now(160)).wall, now(100).wall);
        let set_back = Now {
            wall: now(0).wall,
            ..now(160)
        };
        assert_eq!(taken.moment(set_back).wall, now(100).wall);
        assert_eq!(taken.moment(now(160)).monotonic, Duration::from_secs(100));
        // Up to two seconds may be the id's, which was made a little later or earlier.
        for (skew, wall) in [(2, 102), (3, 100)] {
            let skewed = Now {
                wall: now(160 + skew).wall,
                ..now(160)
            };
            assert_eq!(taken.moment(skewed).wall, now(wall).wall);
        }
    }

    #[test]
    fn what_lies_in_a_taken_markers_place_and_is_no_file_is_an_error_and_can_be_settled() {
        let dir = tempfile::tempdir().unwrap();
        let id = ReportId::new(now(1).wall, 7);
        let taken = Taken::new(dir.path(), "web", id, now(1), Circumstances::default());
        fs::create_dir(taken.path()).unwrap();
        assert!(taken.claim().is_err());
        taken.settle().unwrap();
        assert!(!taken.path().exists());
        taken.settle().unwrap();
        // A file that cannot be removed is no marker that was settled.
        let within_a_file = dir.path().join("file");
        fs::write(&within_a_file, "").unwrap();
        let taken = Taken {
            path: within_a_file.join("web"),
            ..taken
        };
        assert!(taken.settle().is_err());
    }

    #[test]
    fn the_marker_of_a_command_that_has_ended_is_the_record_of_its_stop() {
        let dir = tempfile::tempdir().unwrap();
        let circumstances = Circumstances {
            supervisor: &LastwordsRun,
            alive: true,
            ..Circumstances::default()
        };
        let id = |second| ReportId::new(now(second).wall, 7);
        let taken = Taken::new(dir.path(), "web", id(1), now(1), circumstances);
        for missed in [false, true] {
            fs::write(taken.path(), "what it says").unwrap();
            let ended = taken.ended(id(9), now(9), missed).unwrap();
            assert_eq!(fs::read(ended.path()).unwrap(), b"what it says");
            assert!(!taken.path().exists());
            let expected = Circumstances {
                missed,
                alive: false,
                ..circumstances
            };
            assert_eq!((&ended.id, ended.circumstances), (&id(9), expected));
            assert_eq!(ended.monotonic, now(9).monotonic);
            assert_eq!(Taken::at(ended.path()), Some(ended));
        }
        assert!(taken.ended(id(9), now(9), false).is_err(), "it is gone");
    }

    #[test]
    fn only_one_deals_with_it_and_after_that_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let taken = Taken::new(
            dir.path(),
            "web",
            ReportId::new(now(1).wall, 7),
            now(1),
            Circumstances::default(),
        );
        fs::write(taken.path(), "").unwrap();
        let Claim::Held(file) = taken.claim().unwrap() else {
            panic!("it is free")
        };
        assert!(matches!(taken.claim(), Ok(Claim::Others)));
        drop(file);
        assert!(matches!(taken.claim(), Ok(Claim::Held(_))));
        taken.settle().unwrap();
        assert!(matches!(taken.claim(), Ok(Claim::Others)));
    }
}
