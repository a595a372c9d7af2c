//! Advances each conversation: which messages were taken, which crashes are new, which message is
//! due.
//!
//! The order of writing survives a kill at any point. First the conversation's file says which
//! crashes are counted, and by which message. Then the ledgers of these crashes say so. Then the
//! message goes into the spool. Each later step can be repeated from the first, with the same
//! message id.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::catch::marker::MarkerFile;
use crate::deliver::conversation::Conversation;
use crate::deliver::deliverer::{Deliverer, sink_lock};
use crate::deliver::flood::{Crash, Message, Thread};
use crate::deliver::pass::{self, Item, Pass, group};
use crate::render;
use crate::report::{Audience, Kind, Report, ReportId, SinkKey, Stop, Timestamp};
use crate::spool::{Outcome, Place, Spool};

/// Number of counted crashes from which on the file is made smaller, even if nothing else changes.
const MANY: usize = 100;

/// Maximum number of pieces of evidence that are kept.
const EVIDENCE: usize = 8;
/// How long keeping a conversation may take. After that, another deliverer assumes that this one
/// hangs.
const PATIENCE: Duration = Duration::from_mins(10);

/// Crashes that no message tells of yet.
pub struct Counted {
    pub sink: SinkKey,
    pub service: String,
    pub count: u64,
    /// Time at which their summary is due; `None` while another message is on its way.
    pub due: Option<Timestamp>,
}

/// Returns the crashes that are counted for future summaries.
pub fn counted(spool: &Spool) -> io::Result<Vec<Counted>> {
    let kept: Vec<Conversation> = spool.groups()?;
    let counted = |kept: Conversation| Counted {
        service: kept.about.stop.service(),
        count: kept.thread.waiting(),
        due: kept.thread.due(),
        sink: kept.sink,
    };
    Ok(kept
        .into_iter()
        .map(counted)
        .filter(|counted| counted.count > 0)
        .collect())
}

/// The result of advancing all conversations.
#[derive(Default)]
pub struct Groups {
    /// Crashes that are told by their own report, each with its sink.
    pub told_singly: BTreeSet<(SinkKey, ReportId)>,
    /// Number of conversations that changed.
    pub changes: usize,
}

/// Advances every conversation, for every sink that no other deliverer is sending to.
pub fn advance(deliverer: &Deliverer, pass: &Pass) -> Groups {
    let mut groups = Groups::default();
    let kept: BTreeMap<_, _> = pass
        .groups
        .iter()
        .map(|kept| ((kept.sink.clone(), group(&kept.about)), kept))
        .collect();
    let mut waiting: BTreeMap<_, Vec<&Item>> =
        kept.keys().map(|key| (key.clone(), Vec::new())).collect();
    for item in pass.items() {
        let Some(group) = &item.group else { continue };
        for route in pass.routes(item) {
            waiting
                .entry((route.key, group.clone()))
                .or_default()
                .push(item);
        }
    }
    for (key, items) in &waiting {
        let (sink, name) = key;
        let group = SinkGroup {
            deliverer,
            pass,
            sink,
            name,
            items,
        };
        match group.advance(kept.get(key).copied()) {
            Ok(Advance { open, changed }) => {
                groups.changes += usize::from(changed);
                groups.told_singly.extend(open.map(|id| (sink.clone(), id)));
            }
            // A failure of one conversation does not hold up the others.
            Err(why) => deliverer.say(&format!(
                "the crashes of a group wait for {}: {why:#}",
                group.sink_name()
            )),
        }
    }
    groups
}

/// One group of crashes, for one sink.
struct SinkGroup<'a, 'b> {
    deliverer: &'a Deliverer<'b>,
    pass: &'a Pass<'a>,
    sink: &'a SinkKey,
    name: &'a str,
    /// Crashes of the group in `new/`.
    items: &'a [&'a Item],
}

#[derive(Default)]
struct Advance {
    /// Crash whose report is the message on its way.
    open: Option<ReportId>,
    changed: bool,
}

/// The conversation as it is to be kept.
struct Next {
    /// `None` if there is nothing to remember.
    kept: Option<Conversation>,
    /// Crashes whose ledgers do not say yet that a message tells of them.
    unnoted: Vec<ReportId>,
    /// True if the message is not in the spool yet.
    unmade: bool,
}

impl SinkGroup<'_, '_> {
    fn advance(&self, before: Option<&Conversation>) -> Result<Advance> {
        // The lock is taken only if there is something to do: see `until_nothing_is_due`.
        let next = self.next(before.cloned())?;
        if next.kept.as_ref() == before && next.unnoted.is_empty() && !next.unmade {
            return Ok(Advance {
                open: next.single(),
                changed: false,
            });
        }
        let spool = &self.deliverer.spool;
        let lock = spool
            .lock(&sink_lock(self.sink), self.deliverer.now().monotonic)
            .with_context(|| format!("cannot lock the sink {}", self.sink_name()))?;
        let Some(lock) = lock else {
            return Ok(Advance::default());
        };
        // Another deliverer may have advanced it before this one had the lock.
        let before = spool
            .group(self.sink, self.name)
            .context("cannot read what it has been told")?;
        let mut next = self.next(before.clone())?;
        if !lock.lives_for(PATIENCE, self.deliverer.now().monotonic)? {
            return Ok(Advance::default());
        }
        self.keep(before.as_ref(), &mut next)?;
        Ok(Advance {
            open: next.single(),
            changed: true,
        })
    }

    fn next(&self, before: Option<Conversation>) -> Result<Next> {
        let spool = &self.deliverer.spool;
        let now = self.deliverer.now();
        let mut untold = Vec::new();
        for item in self.items {
            if spool.ledger(&item.id, self.sink)?.outcome.is_none() {
                untold.push(item.crash.clone());
            }
        }
        let nothing = Next {
            kept: None,
            unnoted: Vec::new(),
            unmade: false,
        };
        let kept = before.or_else(|| self.begin(&untold));
        let Some(mut kept) = kept.filter(|kept| self.is_wanted(kept)) else {
            return Ok(nothing);
        };
        if kept.thread.counted.len() > MANY {
            self.thin(&mut kept.thread);
        }
        self.settle(&mut kept.thread, now.wall)?;
        let open = kept.thread.open.as_ref().map(|message| message.id.clone());
        let is_new = |crash: &&Crash| {
            open.as_ref() != Some(&crash.id) && !kept.thread.counted.contains_key(&crash.id)
        };
        let new: Vec<_> = untold.iter().filter(is_new).cloned().collect();
        let up = self.up(&kept);
        kept.thread.decide(
            &format!("{}\0{}", self.sink.encode(), self.name),
            &new,
            up,
            now.wall,
        );
        if kept.thread.is_over(now.wall) {
            return Ok(nothing);
        }
        let unnoted = untold
            .into_iter()
            .map(|crash| crash.id)
            .filter(|id| kept.thread.counted.contains_key(id))
            .collect();
        let unmade = match &kept.thread.open {
            Some(message) => message.kind != Kind::Crash && spool.find(&message.id).is_none(),
            None => false,
        };
        Ok(Next {
            kept: Some(kept),
            unnoted,
            unmade,
        })
    }

    /// Begins the conversation about a group of which nothing was kept so far.
    fn begin(&self, untold: &[Crash]) -> Option<Conversation> {
        let first = pass::read(self.deliverer, &untold.first()?.id)?;
        Some(Conversation {
            sink: self.sink.clone(),
            about: bare(first),
            thread: Thread::default(),
        })
    }

    /// Returns true if the config still has the sink. It counts as there while the config is
    /// broken.
    fn is_wanted(&self, kept: &Conversation) -> bool {
        let job = &kept.about.stop.job;
        let config = self.pass.config(job);
        config.is_broken()
            || config
                .routes(job)
                .iter()
                .any(|route| route.key == *self.sink)
    }

    /// Drops the counted crashes that have left `new/`, except the latest.
    fn thin(&self, thread: &mut Thread) {
        let latest = thread.counted.last_key_value().map(|(id, _)| id.clone());
        let is_asked = |id: &ReportId| {
            latest.as_ref() == Some(id) || self.deliverer.spool.find(id) == Some(Place::New)
        };
        thread.counted.retain(|id, _| is_asked(id));
    }

    /// Records the outcome of the message that was on its way.
    fn settle(&self, thread: &mut Thread, now: Timestamp) -> Result<()> {
        let spool = &self.deliverer.spool;
        let Some(message) = &thread.open else {
            return Ok(());
        };
        let ledger = spool.ledger(&message.id, self.sink)?;
        let at = ledger.last_try.unwrap_or(now);
        match ledger.outcome {
            Some(Outcome::Sent { .. } | Outcome::Summarised { .. }) => thread.taken(at),
            Some(Outcome::Refused { .. } | Outcome::GaveUp { .. }) => thread.refused(at),
            // A person dropped it, and wants to hear no more of it.
            Some(Outcome::Dropped { .. }) => thread.lost(),
            None if message.kind == Kind::Crash && spool.find(&message.id) != Some(Place::New) => {
                thread.lost();
            }
            // The same message might be damaged again, without end. The next message tells what
            // this one told.
            None if message.kind != Kind::Crash && spool.was_put_aside(&message.id) => {
                thread.refused(now);
            }
            None => {}
        }
        Ok(())
    }

    /// Returns for how long all services of the group have been running; `None` if one is not.
    fn up(&self, kept: &Conversation) -> Option<Duration> {
        let Deliverer { places, host, .. } = self.deliverer;
        let (user, job) = (kept.about.user, OsStr::new(&kept.about.stop.job));
        let owner = user.unwrap_or_else(|| geteuid().as_raw());
        let (boot_id, now) = (host.boot_id(), self.deliverer.now());
        let up = |instance: &Option<String>| {
            let marker = MarkerFile::new(
                places.markers_of(user),
                job,
                instance.as_deref().map(OsStr::new),
            );
            let marker = marker
                .running_by(owner, self.pass.held(user))
                .ok()
                .flatten()?;
            (marker.boot_id == boot_id).then(|| marker.uptime(now))
        };
        let all: Option<Vec<Duration>> = kept.thread.instances.iter().map(up).collect();
        all?.into_iter().min()
    }

    /// Writes the change down, in the order that the module's documentation gives.
    fn keep(&self, before: Option<&Conversation>, next: &mut Next) -> Result<()> {
        let spool = &self.deliverer.spool;
        let Some(kept) = &mut next.kept else {
            return spool
                .forget_group(self.sink, self.name)
                .context("cannot forget what it has been told");
        };
        if let Some(id) = kept.thread.open.as_ref().and_then(single)
            && id != kept.about.id
            && let Some(report) = pass::read(self.deliverer, &id)
        {
            kept.about = bare(report);
        }
        if before != Some(&*kept) {
            self.thin(&mut kept.thread);
            spool
                .write_group(self.sink, self.name, kept)
                .context("cannot keep what it is told")?;
            self.say(before, kept);
        }
        let unnoted = next
            .unnoted
            .iter()
            .filter_map(|id| Some((id, kept.thread.counted.get(id)?)));
        spool
            .note_summarised(self.sink, unnoted)
            .context("cannot write the ledgers of crashes")?;
        if let Some(message) = kept.thread.open.as_ref().filter(|_| next.unmade) {
            let report = self.message(kept, message);
            if let Some(past) = &report.past {
                spool
                    .write_past(&report.id, past)
                    .context("cannot keep what was before")?;
            }
            spool
                .put(&report)
                .context("cannot put a summary into the spool")?;
            self.deliverer.say(&format!(
                "{} is for {}: {}",
                report.id,
                self.sink_name(),
                render::subject(&report)
            ));
        }
        Ok(())
    }

    /// Makes a summary, or the message that the service is up again.
    fn message(&self, kept: &Conversation, message: &Message) -> Report {
        let spool = &self.deliverer.spool;
        let mut report = kept.about.clone();
        report.id = message.id.clone();
        report.kind = message.kind;
        report.to = Audience::Only(self.sink.clone());
        report.stop = Stop {
            started_at: None,
            uptime_s: None,
            pid: None,
            ..report.stop
        };
        match message.kind {
            Kind::Summary { all, .. } | Kind::Recovered { all, .. } => {
                report.stop.stopped_at = all.last;
            }
            Kind::Crash | Kind::Down { .. } | Kind::Notice => {}
        }
        let instances = &kept.thread.instances;
        report.stop.instance = instances
            .first()
            .cloned()
            .flatten()
            .filter(|_| instances.len() == 1);
        if let (Kind::Summary { .. }, Some((latest, _))) =
            (message.kind, kept.thread.counted.last_key_value())
        {
            let latest = spool
                .find(latest)
                .and_then(|place| spool.read(place, latest).ok());
            (report.sections, report.past) = latest
                .map(|latest| (latest.sections, latest.past))
                .unwrap_or_default();
        }
        report
    }

    fn say(&self, before: Option<&Conversation>, kept: &Conversation) {
        let counted = kept.thread.waiting();
        if counted > before.map_or(0, |before| before.thread.waiting()) {
            let when = match kept.thread.due() {
                Some(due) => format!("the next summary is due at {due}"),
                None => "what was sent before them comes first".to_owned(),
            };
            let service = kept.about.stop.service();
            self.deliverer.say(&format!(
                "{counted} more of {service} are counted for {}: {when}",
                self.sink_name()
            ));
        }
    }

    fn sink_name(&self) -> &str {
        self.sink.name()
    }
}

impl Next {
    fn single(&self) -> Option<ReportId> {
        self.kept.as_ref()?.thread.open.as_ref().and_then(single)
    }
}

/// Returns the crash whose own report this message is.
fn single(message: &Message) -> Option<ReportId> {
    (message.kind == Kind::Crash).then(|| message.id.clone())
}

/// Returns the report without what belongs to that one crash alone, and cut to a length that people
/// read: a user's hook can write anything into it, and every pass reads it.
pub fn bare(mut report: Report) -> Report {
    let cause = &mut report.cause;
    cause.evidence.truncate(EVIDENCE);
    let seen = cause
        .evidence
        .iter_mut()
        .flat_map(|seen| [&mut seen.source, &mut seen.text]);
    for text in seen
        .chain([
            &mut cause.line,
            &mut report.host,
            &mut report.verdict_because,
        ])
        .chain(&mut report.runbook)
    {
        *text = render::one_line(text, 1000);
    }
    Report {
        sections: Vec::new(),
        past: None,
        now: None,
        notes: Vec::new(),
        ..report
    }
}
