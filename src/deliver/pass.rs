//! Reads what a pass works on: the reports that wait in the spool, and the sinks that are to get
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::catch::pending;
use crate::collectors::program;
use crate::config::{self, Loaded, Route};
use crate::deliver::conversation::Conversation;
use crate::deliver::deliverer::Deliverer;
use crate::deliver::expected::Expected;
use crate::deliver::flood::{self, Crash, Service};
use crate::deliver::journals::Journals;
use crate::names;
use crate::past::PastDeath;
use crate::render::one_line;
use crate::report::{Audience, Kind, Report, ReportId, SinkKey, Stop, Timestamp, Verdict};
use crate::spool::{Chronicled, Kept, Place};

/// The facts of a report in `new/` that a pass needs. The report itself is read again when it is
/// sent, as thousands may wait.
pub struct Item {
    pub id: ReportId,
    pub job: String,
    pub service: String,
    /// User whose hook made the report, unless that was root.
    pub user: Option<u32>,
    /// The crash that the report tells of; `None` if it is always sent by itself.
    pub crash: Option<Crash>,
    /// The death and the name of the chronicle that counts it. `None` if the report is no death, is
    /// a drill, or was counted before it was read.
    pub death: Option<(Chronicled, PastDeath)>,
    pub is_notice: bool,
    /// Name of the file about the service's outage, if a crash of it begins one.
    pub outage: Option<String>,
    /// The same if it says only that the service is down.
    pub down: Option<String>,
    to: Audience,
}

impl Item {
    fn of(report: Report) -> Self {
        let grouped = report.kind == Kind::Crash && !report.drill;
        Self {
            // A missing run is no death.
            death: (grouped && report.past.is_none() && report.verdict != Verdict::Missed)
                .then(|| (chronicled(&report), death(&report))),
            outage: (grouped && report.claimed().is_none()).then(|| outage(&report)),
            down: matches!(report.kind, Kind::Down { .. }).then(|| outage(&report)),
            service: report.stop.service(),
            user: report.user,
            crash: grouped.then(|| crash(&report)),
            is_notice: report.kind == Kind::Notice,
            id: report.id,
            job: report.stop.job,
            to: report.to,
        }
    }

    /// Returns the sinks that are to get the report, by its job's config.
    pub fn routes<'c>(&self, config: &'c Loaded) -> Vec<Route<'c>> {
        config.routes_to(&self.to, &self.job)
    }
}

/// Maximum length of what a conversation keeps of a crash, in characters: a user's hook can write
/// anything into it, and every pass reads it.
const LINE: usize = 300;
/// Maximum length of a name, in bytes.
const NAME: usize = 255;

fn crash(report: &Report) -> Crash {
    let fingerprint = one_line(&report.fingerprint, NAME);
    Crash {
        id: report.id.clone(),
        at: report.stop.stopped_at,
        service: Service {
            job: short(&report.stop.job),
            instance: report.stop.instance.as_deref().map(short),
        },
        fingerprint: if fingerprint == flood::OTHERS {
            "none".to_owned()
        } else {
            fingerprint
        },
        kind: report.cause.kind,
        line: one_line(&report.cause.line, LINE),
        is_missed: report.verdict == Verdict::Missed,
    }
}

/// Returns a name that is no longer than a file's may be.
fn short(name: &str) -> String {
    name.get(..name.floor_char_boundary(NAME))
        .unwrap_or_default()
        .to_owned()
}

/// Returns the name of a job's conversations. Those about reports by a user's hooks have names of
/// their own, so that they mute no other's.
pub fn by_whom(job: &str, user: Option<u32>) -> String {
    let user = user.map(|uid| uid.to_string()).unwrap_or_default();
    format!("{job}\0{user}")
}

fn chronicled(report: &Report) -> Chronicled {
    Chronicled {
        user: report.user,
        job: report.stop.job.clone(),
    }
}

/// Returns the name of the file about the service's outage.
fn outage(report: &Report) -> String {
    // A missing run is an outage of its own: a run that fails does not end it.
    let missed = if report.verdict == Verdict::Missed {
        "\0missed"
    } else {
        ""
    };
    names::encode(format!("{}{missed}", service(report)))
}

/// Returns the name of the file about the outage in which the service's latest crash is.
pub fn outage_of_crashes(report: &Report) -> String {
    names::encode(service(report))
}

/// Returns the service and the user whose hooks made the report, apart from all others.
fn service(report: &Report) -> String {
    let Stop { job, instance, .. } = &report.stop;
    let instance = instance.as_deref().unwrap_or_default();
    let user = report.user.map(|uid| uid.to_string()).unwrap_or_default();
    format!("{job}\0{instance}\0{user}")
}

fn death(report: &Report) -> PastDeath {
    PastDeath {
        id: report.id.clone(),
        fingerprint: report.fingerprint.clone(),
        line: report.cause.line.clone(),
        at: report.stop.stopped_at,
        uptime_s: report.stop.uptime_s,
        is_doubtful: report.verdict == Verdict::Unknown,
        program: program::found(&report.sections),
    }
}

/// The reports read from `new/`. A report that is complete never changes, so each is read once.
#[derive(Default)]
pub struct Items(BTreeMap<ReportId, Item>);

/// Everything that one pass works on.
pub struct Pass<'a> {
    items: &'a Items,
    /// The conversations about jobs' crashes.
    pub conversations: Vec<Conversation>,
    config_dir: &'a Path,
    configs: Mutex<BTreeMap<String, Arc<Loaded>>>,
    /// The services of which a run is expected.
    expected: Vec<Expected>,
    /// False if more reports wait than this pass was to read, or had the time to complete.
    pub is_whole: bool,
}

impl<'a> Pass<'a> {
    /// Reads what waits, of new reports the `most` oldest ones.
    pub fn read(deliverer: &'a Deliverer, items: &'a mut Items, most: usize) -> Result<Self> {
        let spool = deliverer.spool();
        let ids = spool.ids(Place::New).context("cannot list the reports")?;
        let mut step = Some(spool);
        let there: BTreeSet<&ReportId> = ids.iter().collect();
        items.0.retain(|id, _| there.contains(id));
        let mut journals = Journals::new(deliverer);
        let new: Vec<_> = ids.iter().filter(|id| !items.0.contains_key(id)).collect();
        for id in new.iter().take(most) {
            let Some(report) = read(deliverer, id) else {
                continue;
            };
            if pending::is_pending(&report) {
                // Its journal may take its time.
                step = None;
            }
            if let Some(report) = journals.complete(report) {
                items.0.insert((*id).clone(), Item::of(report));
            }
        }
        let is_whole = new.len() <= most && !journals.is_spent();
        let spool = step.unwrap_or_else(|| deliverer.spool());
        let conversations: Vec<Conversation> = spool.groups();
        let expected = spool.kept(Kept::Expected);
        // The users' stewards may take their time.
        drop(spool);
        let users = conversations.iter().filter_map(|kept| kept.about.user);
        deliverer.ask_stewards(users);
        let expected = expected.unwrap_or_else(|why| {
            deliverer.fail(&format!("cannot list what is expected: {why}"));
            Vec::new()
        });
        Ok(Self {
            items,
            config_dir: &deliverer.places.config,
            configs: Mutex::default(),
            expected: expected.into_iter().map(|(_, it)| it).collect(),
            conversations,
            is_whole,
        })
    }

    /// Returns the reports that wait, oldest first.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.0.values()
    }

    /// Returns the services that a message to this sink tells of, if it is one of several crashes.
    pub fn told_in(&self, id: &ReportId, sink: &SinkKey) -> BTreeSet<&Service> {
        let kept = self.conversations.iter().filter(|kept| kept.sink == *sink);
        kept.flat_map(|kept| kept.talk.told_in(id)).collect()
    }

    /// Returns true if runs of the job are expected to end well.
    pub fn expects(&self, job: &str) -> bool {
        self.config(job).job.expect.is_some()
    }

    /// Returns when a service of which a run is expected ended well, if it has.
    pub fn ended_well(&self, service: &Service) -> Option<Timestamp> {
        let is_it = |it: &&Expected| {
            it.has_run && (&it.job, &it.instance) == (&service.job, &service.instance)
        };
        self.expected.iter().find(is_it).map(Expected::since)
    }

    /// Returns the config of a job. It is read once in a pass, so that all of the pass goes by one
    /// version of it.
    pub fn config(&self, job: &str) -> Arc<Loaded> {
        let configs = self.configs.lock();
        let mut configs = configs.unwrap_or_else(PoisonError::into_inner);
        let load = || Arc::new(config::load(self.config_dir, job));
        configs.entry(job.to_owned()).or_insert_with(load).clone()
    }

    /// Returns true if some reports stay until the config is mended, because not all their sinks
    /// are known.
    pub fn waits_for_config(&self) -> bool {
        self.items().any(|item| self.config(&item.job).is_broken())
    }
}

/// Reads a report in `new/`. Returns `None` if another deliverer has finished it, or if it cannot
/// be read.
pub fn read(deliverer: &Deliverer, id: &ReportId) -> Option<Report> {
    let read = deliverer.spool().read(Place::New, id);
    match read {
        Ok(report) => Some(report),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            deliverer.say(&format!("{id} is not sent: {error}"));
            None
        }
    }
}
