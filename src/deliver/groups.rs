//! Advances each conversation: which messages were taken, which crashes are new, which message is
//! due.
//!
//! The order of writing survives a kill at any point. First the conversation's file says which
//! crashes are counted, and by which message. Then the ledgers of these crashes say so. Then the
//! message goes into the spool. Each later step can be repeated from the first, with the same
//! message id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::catch::marker::EndSort;
use crate::deliver::conversation::{Conversation, bare};
use crate::deliver::deliverer::{Deliverer, sink_lock};
use crate::deliver::flood::{Crash, Message, Service, Sign, Thread};
use crate::deliver::message;
use crate::deliver::outage;
use crate::deliver::pass::{self, Item, Pass};
use crate::render;
use crate::report::{ReportId, SinkKey, Timestamp};
use crate::spool::{Outcome, Place, Spool};

/// Number of counted crashes from which on the file is made smaller, even if nothing else changes.
const MANY: usize = 100;

/// Maximum number of conversations with one sink. Jobs that crash beyond them share one.
const MAX_CONVERSATIONS: usize = 2000;
/// How long keeping a conversation may take. After that, another deliverer assumes that this one
/// hangs.
const PATIENCE: Duration = Duration::from_mins(10);

/// Crashes that no message tells of yet.
pub struct Counted {
    pub sink: SinkKey,
    pub job: String,
    pub service: String,
    pub count: u64,
    /// Time at which their summary is due; `None` while another message is on its way.
    pub due: Option<Timestamp>,
}

/// Returns the crashes that are counted for future summaries.
pub fn counted(spool: &Spool, now: Timestamp) -> Vec<Counted> {
    let kept: Vec<Conversation> = spool.groups();
    let counted = |kept: Conversation| Counted {
        service: kept.about.stop.service(),
        job: kept.about.stop.job.clone(),
        count: kept.talk.waiting(),
        due: kept.talk.due(now),
        sink: kept.sink,
    };
    let counted = kept.into_iter().map(counted);
    counted.filter(|counted| counted.count > 0).collect()
}

/// The result of advancing all conversations.
#[derive(Default)]
pub struct Groups {
    /// Crashes that are told by their own report, each with its sink.
    pub told_singly: BTreeSet<(SinkKey, ReportId)>,
    /// Number of conversations that changed.
    pub changes: usize,
}

/// Advances every conversation, for every sink that no other deliverer is sending to. The caller
/// holds the spool.
pub fn advance(deliverer: &Deliverer, pass: &Pass) -> Groups {
    let mut groups = Groups::default();
    let kept: BTreeMap<_, _> = pass
        .conversations
        .iter()
        .map(|kept| ((kept.sink.clone(), kept.name.clone()), kept))
        .collect();
    let mut waiting: BTreeMap<_, Vec<(&Item, &Crash)>> =
        kept.keys().map(|key| (key.clone(), Vec::new())).collect();
    let mut conversations: BTreeMap<SinkKey, usize> = BTreeMap::new();
    for (sink, _) in kept.keys() {
        *conversations.entry(sink.clone()).or_default() += 1;
    }
    for item in pass.items() {
        let Some(crash) = &item.crash else { continue };
        let own = pass::by_whom(&item.job, item.user);
        for route in item.routes(&pass.config(&item.job)) {
            let mut key = (route.key, own.clone());
            if !waiting.contains_key(&key) {
                let count = conversations.entry(key.0.clone()).or_default();
                if *count >= MAX_CONVERSATIONS {
                    key.1 = pass::by_whom("", item.user);
                } else {
                    *count += 1;
                }
            }
            waiting.entry(key).or_default().push((item, crash));
        }
    }
    for (key, items) in &waiting {
        let (sink, name) = key;
        let talk = Talk {
            deliverer,
            pass,
            sink,
            name,
            items,
        };
        match talk.advance(kept.get(key).copied()) {
            Ok(Advance { open, changed }) => {
                groups.changes += usize::from(changed);
                let told = open.into_iter().map(|id| (sink.clone(), id));
                groups.told_singly.extend(told);
            }
            // A failure of one conversation does not hold up the others.
            Err(why) => deliverer.fail(&format!(
                "some crashes wait for {}: {why:#}",
                talk.sink_name()
            )),
        }
    }
    groups
}

/// The conversation with one sink about one job.
struct Talk<'a, 'b> {
    deliverer: &'a Deliverer<'b>,
    pass: &'a Pass<'a>,
    sink: &'a SinkKey,
    name: &'a str,
    /// The job's crashes in `new/`, oldest first.
    items: &'a [(&'a Item, &'a Crash)],
}

#[derive(Default)]
struct Advance {
    /// Crashes whose reports are on their way.
    open: Vec<ReportId>,
    changed: bool,
}

/// The conversation as it is to be kept.
#[derive(Default)]
struct Next {
    /// `None` if there is nothing to remember.
    kept: Option<Conversation>,
    /// Crashes whose ledgers do not say yet that a message tells of them.
    unnoted: Vec<ReportId>,
    /// Message that is not in the spool yet.
    unmade: Option<Message>,
}

impl Talk<'_, '_> {
    fn advance(&self, before: Option<&Conversation>) -> Result<Advance> {
        // The lock is taken only if there is something to do: see `until_nothing_is_due`.
        let next = self.next(before.cloned())?;
        if next.kept.as_ref() == before && next.unnoted.is_empty() && next.unmade.is_none() {
            return Ok(Advance {
                open: next.singles(),
                changed: false,
            });
        }
        let spool = self.deliverer.spool();
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
            open: next.singles(),
            changed: true,
        })
    }

    fn next(&self, before: Option<Conversation>) -> Result<Next> {
        let spool = self.deliverer.spool();
        let now = self.deliverer.now();
        let mut untold = Vec::new();
        for (item, crash) in self.items {
            if spool.ledger(&item.id, self.sink)?.outcome.is_none() {
                untold.push(*crash);
            }
        }
        let kept = before.or_else(|| self.begin(&untold));
        let Some(mut kept) = kept.filter(|kept| self.is_wanted(kept)) else {
            return Ok(Next::default());
        };
        let talk = &mut kept.talk;
        if talk.counted.len() > MANY {
            self.thin(talk);
        }
        self.settle(talk, now.wall)?;
        let told_elsewhere = self.told_elsewhere(talk)?;
        let open: BTreeSet<_> = talk.open.iter().map(|message| message.id.clone()).collect();
        let is_new =
            |crash: &&&Crash| !open.contains(&crash.id) && !talk.counted.contains_key(&crash.id);
        let new: Vec<Crash> = untold
            .iter()
            .filter(is_new)
            .map(|it| (*it).clone())
            .collect();
        let signs = self.signs(kept.about.user, &kept.talk);
        let name = format!("{}\0{}", self.sink.encode(), self.name);
        kept.talk.decide(&name, &new, &signs, now.wall);
        if kept.talk.is_over(now.wall) {
            return Ok(Next::default());
        }
        let unnoted = untold
            .into_iter()
            .map(|crash| &crash.id)
            .filter(|id| kept.talk.counted.contains_key(id))
            .chain(&told_elsewhere)
            .cloned()
            .collect();
        let is_unmade =
            |message: &&Message| !message.is_single() && spool.find(&message.id).is_none();
        Ok(Next {
            unmade: kept.talk.open.iter().find(is_unmade).cloned(),
            kept: Some(kept),
            unnoted,
        })
    }

    /// Begins the conversation with a sink that was told nothing of the job so far.
    fn begin(&self, untold: &[&Crash]) -> Option<Conversation> {
        let first = pass::read(self.deliverer, &untold.first()?.id)?;
        Some(Conversation {
            sink: self.sink.clone(),
            name: self.name.to_owned(),
            about: bare(first),
            talk: Thread::default(),
        })
    }

    /// Returns true if the config still has the sink. It counts as there while the config is
    /// broken, and if a crash goes to it.
    fn is_wanted(&self, kept: &Conversation) -> bool {
        if !self.items.is_empty() {
            return true;
        }
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
        let spool = self.deliverer.spool();
        let latest = thread.counted.last_key_value().map(|(id, _)| id.clone());
        let is_asked =
            |id: &ReportId| latest.as_ref() == Some(id) || spool.find(id) == Some(Place::New);
        thread.counted.retain(|id, _| is_asked(id));
    }

    /// Records the outcomes of the messages that were on their way.
    fn settle(&self, talk: &mut Thread, now: Timestamp) -> Result<()> {
        let spool = self.deliverer.spool();
        for message in talk.open.clone() {
            let id = &message.id;
            let ledger = spool.ledger(id, self.sink)?;
            let at = ledger.last_try.unwrap_or(now);
            match ledger.outcome {
                Some(Outcome::Sent { .. } | Outcome::Summarised { .. }) => talk.taken(id, at),
                Some(Outcome::Refused { .. } | Outcome::GaveUp { .. }) => talk.refused(id, at),
                // A person dropped it, and wants to hear no more of it.
                Some(Outcome::Dropped { .. }) => talk.lost(id),
                None if message.is_single() && spool.find(id) != Some(Place::New) => talk.lost(id),
                // The same message might be damaged again, without end. The next message tells
                // what this one told.
                None if !message.is_single() && spool.was_put_aside(id) => talk.refused(id, now),
                None => {}
            }
        }
        Ok(())
    }

    /// Takes out of what waits each crash of which this sink was told in a message that its service
    /// is down: the same crash is not summed up again. Returns them.
    fn told_elsewhere(&self, talk: &mut Thread) -> Result<Vec<ReportId>> {
        let alone = talk.groups.iter().filter_map(|(name, group)| {
            let (crash, at) = group.only_one_waiting()?;
            Some((name.clone(), crash.clone(), outage::first_id(crash, at)))
        });
        let alone: Vec<_> = alone.collect();
        let spool = self.deliverer.spool();
        let mut told = Vec::new();
        for (name, crash, down) in alone {
            let ledger = spool.ledger(&down, self.sink)?;
            let at = ledger.last_try.filter(|_| ledger.was_sent());
            if at.is_some_and(|at| talk.told_elsewhere(&name, &down, at)) {
                told.push(crash);
            }
        }
        Ok(told)
    }

    /// Returns the signs that the services that crashed are well again. Where a run is expected to
    /// end well, that it has begun or was stopped is none.
    fn signs(&self, user: Option<u32>, talk: &Thread) -> BTreeMap<Service, Sign> {
        // A crash that was not read yet may be later than the sign.
        if !self.pass.is_whole {
            return BTreeMap::new();
        }
        let signs = &self.deliverer.looks.signs;
        let now = self.deliverer.now();
        let sign = |service: &Service| {
            let instance = service.instance.as_deref();
            let is_expected = self.pass.expects(&service.job);
            let armed = || signs.armed(user, &service.job, instance);
            let up = (!is_expected).then(armed).flatten();
            let end = |sort| Some(signs.end(sort, user, (&service.job, instance))?.at);
            let ended = || {
                let well = end(EndSort::Well).max(self.pass.ended_well(service));
                let stopped = end(EndSort::Stopped).filter(|at| !is_expected && Some(*at) > well);
                (stopped.map(Sign::Stopped)).or(well.map(Sign::EndedWell))
            };
            up.map(|armed| Sign::Up(armed.uptime(now))).or_else(ended)
        };
        let services = talk.services().into_iter();
        services
            .filter_map(|service| Some((service.clone(), sign(service)?)))
            .collect()
    }

    /// Writes the change down, in the order that the module's documentation gives.
    fn keep(&self, before: Option<&Conversation>, next: &mut Next) -> Result<()> {
        let spool = self.deliverer.spool();
        let Some(kept) = &mut next.kept else {
            return spool
                .forget_group(self.sink, self.name)
                .context("cannot forget what it has been told");
        };
        let latest = kept.talk.open.iter().rfind(|message| message.is_single());
        if let Some(latest) = latest
            && latest.id != kept.about.id
            && let Some(report) = pass::read(self.deliverer, &latest.id)
        {
            kept.about = bare(report);
        }
        if before != Some(&*kept) {
            self.thin(&mut kept.talk);
            spool
                .write_group(self.sink, self.name, kept)
                .context("cannot keep what it is told")?;
            self.say(before, kept);
        }
        let unnoted = next
            .unnoted
            .iter()
            .filter_map(|id| Some((id, kept.talk.counted.get(id)?)));
        spool
            .note_summarised(self.sink, unnoted)
            .context("cannot write the ledgers of crashes")?;
        if let Some(message) = &next.unmade {
            let report = message::make(&spool, kept, message);
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

    fn say(&self, before: Option<&Conversation>, kept: &Conversation) {
        let counted = kept.talk.waiting();
        if counted > before.map_or(0, |before| before.talk.waiting()) {
            let when = match kept.talk.due(self.deliverer.now().wall) {
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
    /// Returns the crashes whose own reports are on their way.
    fn singles(&self) -> Vec<ReportId> {
        let open = self.kept.iter().flat_map(|kept| &kept.talk.open);
        open.filter(|message| message.is_single())
            .map(|message| message.id.clone())
            .collect()
    }
}
