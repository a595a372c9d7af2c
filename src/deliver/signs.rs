//! Finds out which services run, which have ended well and which were stopped, by what their hooks
//! have left: the armed markers, and the last planned ends.
//!
//! The hooks of another user leave them in a directory where that user may have mounted anything:
//! a process that looks may wait for ever. A steward of the user looks, in bounded time, and its
//! word counts, as the markers are that user's word anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::catch::marker::{self, EndSort, LastEnd, Marker, MarkerFile, Taken};
use crate::clock::Now;
use crate::deliver::steward::process::Steward;
use crate::host::Host;
use crate::places::Places;
use crate::report::Timestamp;

/// How long a steward may take to say what it finds.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long its word counts, at least.
const FRESH: Duration = Duration::from_secs(1);
/// Its word counts so many times as long as it took: however slow users make their stewards, most
/// of a look's time is for other things.
const SLOWNESS: u32 = 10;
/// How long no steward of a user is asked after one has failed.
const PAUSE: Duration = Duration::from_mins(1);
/// How long a list of our own taken markers counts. There may be thousands.
const LISTED: Duration = Duration::from_millis(100);
/// Maximum number of stewards that are asked at a time.
const AT_ONCE: usize = 16;
/// Maximum number of services of one user that are known to run, and of the last ends of
/// each sort.
const MOST: usize = 1000;
/// Maximum length of a steward's word about them, in bytes.
const MAX_WORD: u64 = 1024 * 1024;

/// When a service that runs was armed, in this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedAt {
    pub at: Timestamp,
    /// The same moment in milliseconds since the boot.
    ms: u64,
}

impl ArmedAt {
    /// Returns how long the service has been up.
    pub fn uptime(self, now: Now) -> Duration {
        now.monotonic.saturating_sub(Duration::from_millis(self.ms))
    }

    fn of(marker: &Marker, boot_id: &str) -> Option<Self> {
        (marker.boot_id == boot_id).then_some(Self {
            at: marker.armed_at,
            ms: marker.armed_ms,
        })
    }
}

/// The signs that the hooks of one user have left.
#[derive(Default, Serialize, Deserialize)]
struct Services {
    /// The services that run, by the names of their markers.
    armed: BTreeMap<String, ArmedAt>,
    /// The last good ends.
    good_ends: Vec<LastEnd>,
    /// The last stops.
    #[serde(default)]
    stops: Vec<LastEnd>,
    /// The last ends after which a supervisor has given up.
    #[serde(default)]
    given_up: Vec<LastEnd>,
}

impl Services {
    fn ends(&self, sort: EndSort) -> &[LastEnd] {
        match sort {
            EndSort::Well => &self.good_ends,
            EndSort::Stopped => &self.stops,
            EndSort::GivenUp => &self.given_up,
        }
    }
}

/// The signs of services that are well, as far as they are known.
pub struct Signs<'a> {
    places: &'a Places,
    host: Host,
    /// The users' services, as the stewards said, and until when that counts; `None` if a steward
    /// has failed.
    users: Mutex<BTreeMap<u32, (Duration, Option<Services>)>>,
    /// Our own markers that a `lastwords run` holds, and when they were listed.
    held: Mutex<Option<(Duration, Vec<Taken>)>>,
}

impl<'a> Signs<'a> {
    pub fn new(places: &'a Places) -> Self {
        Self {
            places,
            host: places.host(),
            users: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// Returns when the service was armed that runs now; `None` if none is known to run. `user` is
    /// the user as whom its hooks run, if that is not ours.
    pub fn armed(&self, user: Option<u32>, job: &str, instance: Option<&str>) -> Option<ArmedAt> {
        let file = self.marker(user, job, instance);
        match user {
            None => self.ours(&file),
            Some(uid) => self.of_user(uid, |left| left.armed.get(file.name()).copied())?,
        }
    }

    /// Returns the service's last end of this sort in this boot.
    pub fn end(
        &self,
        sort: EndSort,
        user: Option<u32>,
        (job, instance): (&str, Option<&str>),
    ) -> Option<LastEnd> {
        let is_it = |end: &LastEnd| end.job == job && end.instance.as_deref() == instance;
        let end = match user {
            None => {
                let file = self.marker(None, job, instance);
                file.end_by(sort, geteuid().as_raw())
            }
            Some(uid) => self.of_user(uid, |left| {
                left.ends(sort).iter().find(|end| is_it(end)).cloned()
            })?,
        };
        end.filter(|end| end.boot_id == self.host.boot_id())
    }

    /// Returns the last good ends of all services of a job whose hooks run as this user.
    pub fn good_ends(&self, user: Option<u32>, job: &str) -> Vec<LastEnd> {
        let mut ends = match user {
            None => {
                let markers = self.places.markers();
                marker::last_ends(&markers, EndSort::Well, geteuid().as_raw())
            }
            Some(uid) => (self.of_user(uid, |left| left.good_ends.clone())).unwrap_or_default(),
        };
        ends.retain(|end| end.job == job);
        ends
    }

    fn marker(&self, user: Option<u32>, job: &str, instance: Option<&str>) -> MarkerFile {
        let dir = self.places.markers_of(user);
        MarkerFile::new(dir, OsStr::new(job), instance.map(OsStr::new))
    }

    /// Looks at what the hooks of a user have left, if that is known.
    fn of_user<T>(&self, uid: u32, look: impl FnOnce(&Services) -> T) -> Option<T> {
        // Why it is not known was said when all were asked.
        let _ = self.ask(uid);
        let users = unpoisoned(&self.users);
        let (_, left) = users.get(&uid)?;
        left.as_ref().map(look)
    }

    fn ours(&self, file: &MarkerFile) -> Option<ArmedAt> {
        let now = Now::read().monotonic;
        let mut held = unpoisoned(&self.held);
        if held
            .as_ref()
            .is_none_or(|(at, _)| now.saturating_sub(*at) > LISTED)
        {
            *held = Some((now, marker::held(&self.places.markers())));
        }
        let held = held.as_ref().map_or(&[][..], |(_, held)| held);
        let marker = file.running_by(geteuid().as_raw(), held).ok().flatten()?;
        ArmedAt::of(&marker, &self.host.boot_id())
    }

    /// Asks the stewards of all these users, some at a time: one that hangs holds up no other.
    /// Returns the users whose services are not known, with the reasons.
    pub fn ask_all(&self, users: &BTreeSet<u32>) -> Vec<(u32, anyhow::Error)> {
        let users: Vec<u32> = users.iter().copied().collect();
        let mut failed = Vec::new();
        for some in users.chunks(AT_ONCE) {
            thread::scope(|scope| {
                let ask = |uid: &u32| {
                    let uid = *uid;
                    let asked = thread::Builder::new().spawn_scoped(scope, move || self.ask(uid));
                    asked.ok().map(|asked| (uid, asked))
                };
                let asked: Vec<_> = some.iter().filter_map(ask).collect();
                let ends = asked
                    .into_iter()
                    .filter_map(|(uid, asked)| Some((uid, asked.join().ok()?.err()?)));
                failed.extend(ends);
            });
        }
        failed
    }

    /// Asks the steward of a user, unless one was asked just now.
    fn ask(&self, uid: u32) -> Result<()> {
        // Of root's services in a chroot nothing is known. Without a directory, no hook left any.
        if uid == 0 || !self.places.user_dir(uid).is_dir() {
            return Ok(());
        }
        let began = Now::read().monotonic;
        let is_known = |(until, _): &(Duration, Option<Services>)| began < *until;
        if unpoisoned(&self.users).get(&uid).is_some_and(is_known) {
            return Ok(());
        }
        let said = hear(self.places, uid);
        let now = Now::read().monotonic;
        let counts = match &said {
            Ok(_) => FRESH.max(SLOWNESS * now.saturating_sub(began)),
            Err(_) => PAUSE,
        };
        let (left, failed) = match said {
            Ok(left) => (Some(left), Ok(())),
            Err(why) => (None, Err(why)),
        };
        unpoisoned(&self.users).insert(uid, (now + counts, left));
        failed
    }
}

fn hear(places: &Places, uid: u32) -> Result<Services> {
    let mut steward = Steward::start(places, uid, &[OsStr::new("--signs")], PATIENCE)?;
    let (_, says) = steward.pipes()?;
    let mut word = Vec::new();
    says.take(MAX_WORD).read_to_end(&mut word)?;
    steward.finish()?;
    serde_json::from_slice(&word).context("these are not the words of a steward")
}

/// Says what the hooks of this process's user have left. This is a steward's part.
pub fn tell(markers: &Path, host: &Host, to: &mut impl Write) -> io::Result<()> {
    let (boot_id, uid) = (host.boot_id(), geteuid().as_raw());
    let ends = |sort| {
        let mut ends = marker::last_ends(markers, sort, uid);
        ends.truncate(MOST);
        ends
    };
    let armed = marker::running(markers, uid)
        .filter_map(|(name, marker)| Some((name, ArmedAt::of(&marker, &boot_id)?)))
        .take(MOST)
        .collect();
    let services = Services {
        armed,
        good_ends: ends(EndSort::Well),
        stops: ends(EndSort::Stopped),
        given_up: ends(EndSort::GivenUp),
    };
    serde_json::to_writer(&mut *to, &services)?;
    to.flush()
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
