//! Takes over what hooks that may not write into the spool leave in inboxes.
//!
//! The hooks of a setuid job run as its user, and the user can put anything into its inbox. So root
//! does not touch the inbox: a steward, which only has that user's rights, reads it and hands the
//! reports over (see [`super::handing`]). A report is taken over by committing what was read as one
//! of ours. Only so much of each user's waits in the spool at a time, and only so much is kept in
//! the history. The rest stays where it fills nobody's disk but the user's.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufRead, Write};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;

use super::handing::{self, Handed};
use super::read::{Unreadable, read_report};
use super::room::unless_gone;
use super::{Place, Spool, entry, list};
use crate::host::open_regular_in_ours;
use crate::report::{Audience, Kind, Report, ReportId};

/// Maximum number of a user's reports that wait in the spool at a time.
const WAITING: usize = 100;
/// Maximum number of bytes of a user's reports that wait in the spool at a time.
const WAITING_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum number of a user's reports in the history.
const KEPT: usize = 1000;
/// Maximum number of bytes of a user's reports in the history.
const KEPT_BYTES: u64 = 32 * 1024 * 1024;
/// Maximum number of values in a user's report, as JSON counts them: each may take hundreds of
/// bytes of memory.
const MAX_VALUES: usize = 20_000;

/// Help that taking over needs from its caller.
pub struct TakeOver<'a> {
    /// Makes a report one of ours: takes the secrets out, with its job's patterns. The second
    /// argument is the user whose word the report is, unless that is ours.
    pub prepare: &'a (dyn Fn(&mut Report, Option<u32>) + Sync),
    /// Time since the boot.
    pub monotonic: Duration,
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl Spool {
    /// Returns where the hooks of a setuid job, running as `uid`, leave their reports.
    pub fn inbox(&self, uid: u32) -> PathBuf {
        self.dir.join("inbox").join(uid.to_string())
    }

    /// Takes over our own reports from `inbox`, the oldest first. A file that is no whole report is
    /// removed, and noted in `corrupt/`. A file that a hook is still writing stays.
    ///
    /// Returns the number of reports taken over: 0 if another deliverer is at it.
    pub fn take_over_ours(&self, inbox: &Path, how: &TakeOver) -> io::Result<usize> {
        let mut names = list(inbox)?;
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        if names.is_empty() {
            return Ok(0);
        }
        // Two deliverers at one entry would write one draft. No sink's key holds two NULs.
        let Some(_lock) = self.lock("\0\0inbox", how.monotonic)? else {
            return Ok(0);
        };
        let uid = geteuid().as_raw();
        let mut taken = 0;
        for name in names {
            let path = inbox.join(&name);
            if is_at_work(&path) {
                continue;
            }
            match read_report(&path, &name, &[uid]) {
                Ok(mut report) => {
                    (how.prepare)(&mut report, None);
                    report.notes.extend(report.level.note());
                    if self.is_wanted(&report.id) {
                        self.put(&report)?;
                        taken += 1;
                    }
                    self.remove_name(&report)?;
                }
                Err(Unreadable::Gone | Unreadable::Newer(_) | Unreadable::NotNow(_)) => continue,
                Err(Unreadable::Invalid(why)) => {
                    self.note_corrupt(&format!("inbox-{uid}"), &why)?;
                }
            }
            let _ = fs::remove_file(&path);
        }
        Ok(taken)
    }

    /// Returns true if this spool has to take over a report from memory. Where that is and waits on
    /// the disk behind a deputy, too, the disk may only seem to have it.
    fn is_wanted(&self, id: &ReportId) -> bool {
        let is_own = |place| self.path(place, id).symlink_metadata().is_ok();
        match self.find(id) {
            None => true,
            Some(Place::New) => self.is_deputy() && !is_own(Place::New),
            Some(_) => false,
        }
    }

    /// Takes over what a user's steward hands over, until it has nothing more or enough of that
    /// user's reports wait. Returns the number of reports taken over.
    ///
    /// The steward may take its time: the spool is held for each report anew.
    pub fn take_over_from<S: Deref<Target = Self>>(
        hold: impl Fn() -> S,
        uid: u32,
        steward: &mut impl BufRead,
        answers: &mut impl Write,
        how: &TakeOver,
    ) -> io::Result<usize> {
        let mut visit = Visit {
            uid,
            how,
            waiting: hold().waiting(uid)?,
            drills: 0,
            taken: 0,
        };
        // One that its user has seized may go on for ever.
        for _ in 0..handing::MOST_HANDED {
            let Some(handed) = handing::next(steward)? else {
                break;
            };
            let then = visit.take(&hold(), handed)?;
            match then {
                Then::Nothing => {}
                Then::Remove => handing::answer(answers, true)?,
                Then::Keep => handing::answer(answers, false)?,
                Then::Enough => break,
            }
        }
        if visit.drills > 0 {
            (how.say)(&format!(
                "user {uid} left {} drills, which are not sent: only root can try the way to people",
                visit.drills
            ));
        }
        Ok(visit.taken)
    }

    /// Returns what of this user's is in `new/`. `state/user-UID/` has a name for each, and for
    /// those in the history. If there are too many of the latter, the oldest go, so that they do
    /// not take the place of others'.
    fn waiting(&self, uid: u32) -> io::Result<Backlog> {
        let dir = self.taken_from(uid);
        let (mut waiting, mut kept) = (Backlog::default(), Backlog::default());
        let mut going = Vec::new();
        // The newest come first.
        for name in self.names_from(uid)?.iter().rev() {
            let id = ReportId::parse(name).ok();
            let Some((place, id)) = id.and_then(|id| self.find(&id).map(|place| (place, id)))
            else {
                // It stays on the disk behind a deputy.
                unless_gone(fs::remove_file(dir.join(name)))?;
                continue;
            };
            let found = fs::symlink_metadata(self.file(place, &id));
            let bytes = found.map_or(0, |found| found.size());
            if place == Place::New {
                waiting.add(bytes);
            } else {
                kept.add(bytes);
                if kept.count > KEPT || kept.bytes > KEPT_BYTES {
                    going.push(id);
                }
            }
        }
        self.remove(going.iter())?;
        Ok(waiting)
    }

    /// Returns the names in `state/user-UID/`, and in that of the disk behind a deputy.
    fn names_from(&self, uid: u32) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::from_iter(list(&self.taken_from(uid))?);
        if let Some(disk) = &self.disk {
            // A disk that fails shows nothing.
            names.extend(disk.names_from(uid).unwrap_or_default());
        }
        Ok(names)
    }

    /// Returns the users whose hooks made the reports in this directory, with those reports.
    pub(super) fn made_by_users(&self) -> io::Result<HashMap<ReportId, u32>> {
        let mut made = HashMap::new();
        for name in list(&self.dir.join("state"))? {
            let uid = name.strip_prefix("user-").and_then(|uid| uid.parse().ok());
            let Some(uid) = uid else { continue };
            let reports = list(&self.taken_from(uid))?;
            let ids = reports.iter().filter_map(|name| ReportId::parse(name).ok());
            made.extend(ids.map(|id| (id, uid)));
        }
        Ok(made)
    }

    fn note_waiting(&self, uid: u32, id: &ReportId) -> io::Result<()> {
        let dir = self.taken_from(uid);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(dir.join(id.as_str())).map(drop)
    }

    fn taken_from(&self, uid: u32) -> PathBuf {
        self.dir.join("state").join(format!("user-{uid}"))
    }
}

/// One visit of a user's steward.
struct Visit<'a> {
    uid: u32,
    how: &'a TakeOver<'a>,
    waiting: Backlog,
    /// Number of drills that were left.
    drills: usize,
    /// Number of reports taken over.
    taken: usize,
}

/// The fate of a file that was handed over.
enum Then {
    /// It is gone already.
    Nothing,
    Remove,
    Keep,
    /// It stays, and so do those behind it.
    Enough,
}

impl Visit<'_> {
    fn take(&mut self, spool: &Spool, handed: Handed) -> io::Result<Then> {
        match handed {
            Handed::Strangers(count, name) => {
                self.note_bad(
                    spool,
                    &format!("{count} files with names of no report: {name}"),
                )?;
                Ok(Then::Nothing)
            }
            Handed::Bad(id, why) => self.note_bad(spool, &format!("{id}: {why}")),
            Handed::Report(id, bytes) => self.take_report(spool, &id, &bytes),
        }
    }

    fn take_report(&mut self, spool: &Spool, id: &ReportId, bytes: &[u8]) -> io::Result<Then> {
        let (uid, length) = (self.uid, bytes.len() as u64);
        if self.waiting.count >= WAITING || self.waiting.bytes + length > WAITING_BYTES {
            (self.how.say)(&format!(
                "user {uid} has reports waiting; the others stay in its inbox"
            ));
            return Ok(Then::Enough);
        }
        match users_report(id, bytes) {
            Ok(report) if report.drill => self.drills += 1,
            Ok(report) => {
                if self.take_in(spool, report)? {
                    self.taken += 1;
                    self.waiting.add(length);
                }
            }
            Err(entry::EntryError::Newer(_)) => return Ok(Then::Keep),
            Err(entry::EntryError::Damaged(why)) => {
                return self.note_bad(spool, &format!("{id}: {why}"));
            }
        }
        Ok(Then::Remove)
    }

    /// Commits a report as one of ours, unless it is there already. Returns true if it was new.
    fn take_in(&self, spool: &Spool, mut report: Report) -> io::Result<bool> {
        disown(&mut report, self.uid);
        if spool.find(&report.id).is_some() {
            return Ok(false);
        }
        (self.how.prepare)(&mut report, Some(self.uid));
        report.notes.extend(report.level.note());
        spool.note_waiting(self.uid, &report.id)?;
        spool.put(&report)?;
        Ok(true)
    }

    fn note_bad(&self, spool: &Spool, why: &str) -> io::Result<Then> {
        let kind = format!("inbox-{}", self.uid);
        spool.note_corrupt(&kind, why)?;
        Ok(Then::Remove)
    }
}

/// An amount of a user's reports.
#[derive(Clone, Copy, Default)]
struct Backlog {
    count: usize,
    bytes: u64,
}

impl Backlog {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// Returns true if a hook is still writing this.
fn is_at_work(path: &Path) -> bool {
    open_regular_in_ours(path)
        .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Reads a user's report, in memory that its length bounds.
fn users_report(id: &ReportId, bytes: &[u8]) -> Result<Report, entry::EntryError> {
    let damaged = |why: &str| Err(entry::EntryError::Damaged(why.to_owned()));
    if values(bytes) > MAX_VALUES {
        return damaged("it holds more values than any report");
    }
    let report: Report = entry::decode(bytes)?;
    if report.id != *id {
        return damaged("the report in it calls itself by another id");
    }
    if report.kind != Kind::Crash {
        return damaged("no report of a crash");
    }
    Ok(report)
}

/// Returns the number of values in this JSON, or a little more.
fn values(json: &[u8]) -> usize {
    let (mut values, mut in_string, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

/// Makes a user's report one for which that user alone vouches. It gets an id that no user can
/// choose: a report under the id of a future message would keep that message from being told.
fn disown(report: &mut Report, uid: u32) {
    let made = format!(
        "this report was made by user {uid}, as whom the service runs; its hook called it {}",
        report.id
    );
    report.notes.insert(0, made);
    report.id = ReportId::derived(
        report.id.time(),
        &["inbox", &uid.to_string(), report.id.as_str()],
    );
    report.user = Some(uid);
    report.to = Audience::Job;
    report.causes.clear();
    report.past = None;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hostile::changed;
    use crate::redact::Redactor;
    use crate::render;
    use crate::report::sample;

    #[test]
    fn a_small_file_of_many_values_is_no_report() {
        let mut report = sample();
        report.sections[0].data =
            crate::report::SectionData::Other(vec![serde_json::json!({"": 0}); 20_000].into());
        let bytes = entry::encode(&report).unwrap();
        assert!(bytes.len() < 200_000);
        assert_eq!(
            users_report(&report.id, &bytes),
            Err(entry::EntryError::Damaged(
                "it holds more values than any report".into()
            ))
        );
    }

    #[test]
    fn a_steward_that_goes_on_for_ever_is_not_heard_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().join("spool"));
        spool.create().unwrap();
        let said = format!("bad {} no report\n", sample().id).repeat(10_000);
        let mut answers = Vec::new();
        let how = TakeOver {
            prepare: &|_, _| {},
            monotonic: Duration::ZERO,
            say: &|_| {},
        };
        let hold = || &spool;
        let taken = Spool::take_over_from(hold, 33, &mut said.as_bytes(), &mut answers, &how);
        assert_eq!((taken.unwrap(), answers.len()), (0, handing::MOST_HANDED));
    }

    #[test]
    fn what_waits_on_the_disk_behind_a_deputy_counts_as_a_users_own() {
        let (dir, spool) = crate::spool::empty();
        spool.put(&sample()).unwrap();
        spool.note_waiting(33, &sample().id).unwrap();
        let deputy = spool.deputy(dir.path());
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        let [on_disk, behind] = [&spool, &deputy].map(|it| it.waiting(33).unwrap());
        assert_eq!((on_disk.count, behind.count), (1, 1));
        assert_eq!(on_disk.bytes, behind.bytes);
        assert!(behind.bytes > 0);
    }

    #[test]
    fn a_report_that_the_disk_only_seems_to_have_is_kept_by_the_deputy() {
        let (dir, spool) = crate::spool::empty();
        let memory = crate::spool::MemoryInbox::new(dir.path().join("inbox"));
        spool.put(&sample()).unwrap();
        drop(memory.put(&sample()).unwrap());
        let deputy = spool.deputy(dir.path());
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        let how = TakeOver {
            prepare: &|_, _| {},
            monotonic: Duration::ZERO,
            say: &|_| {},
        };
        assert_eq!(deputy.take_over_ours(memory.dir(), &how).unwrap(), 1);
        fs::remove_file(spool.path(Place::New, &sample().id)).unwrap();
        spool.bring_back(&deputy, dir.path(), &|| Ok(())).unwrap();
        assert_eq!(spool.ids(Place::New).unwrap(), [sample().id]);
    }

    proptest! {
        #[test]
        fn whatever_a_users_report_holds_it_is_refused_or_can_be_told(
            json in changed(serde_json::to_value(sample()).unwrap()),
        ) {
            let id = sample().id;
            let bytes = entry::encode(&json).unwrap();
            if let Ok(mut report) = users_report(&id, &bytes) {
                disown(&mut report, 33);
                Redactor::default().report(&mut report);
                for is_claim in [false, true] {
                    if is_claim {
                        report.make_a_claim(33);
                    }
                    let subject = render::subject(&report);
                    prop_assert!(!subject.contains(char::is_control), "{subject:?}");
                    let text = render::text(&report);
                    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
                    prop_assert!(!text.contains(is_control), "{text:?}");
                    let html = render::html_of(&render::View::of(&report));
                    prop_assert!(!html.contains(is_control), "{html:?}");
                    let again = entry::encode(&report).unwrap();
                    prop_assert_eq!(entry::decode::<Report>(&again), Ok(report.clone()));
                }
            }
        }
    }

    #[test]
    fn texts_of_any_length_and_content_are_one_value() {
        let mut report = sample();
        report.sections[0].text = "[{\"a\\\": ,,,}]\\".repeat(20_000);
        let bytes = entry::encode(&report).unwrap();
        assert_eq!(users_report(&report.id, &bytes), Ok(report));
    }
}
