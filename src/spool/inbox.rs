//! Takes over what hooks that may not write into the spool leave in inboxes.
//!
//! The hooks of a setuid job run as its user, and the user can put anything into its inbox. A
//! report is taken over by reading it and committing what was read as one of ours. So its file may
//! have other names (hard links), or may change. What is removed afterwards is one name of the
//! user's own file. Only regular files of that user are opened, nothing blocks, and only so much of
//! each user's waits in the spool at a time. The rest stays where it fills nobody's disk but the
//! user's.

use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;

use super::read::{MAX_ENTRY, Unreadable, read_report};
use super::{Place, Spool, list};
use crate::host::open_regular_in_ours;
use crate::report::{Audience, Kind, Report, ReportId};

/// Maximum number of entries of an inbox that are looked at before reports are sent. No user waits
/// for another's flood.
const AT_ONCE: usize = 100;
/// Maximum number of names of an inbox that are looked at to find the oldest among them.
const LOOKED_AT: usize = 10_000;
/// Maximum number of a user's reports that wait in the spool at a time.
const WAITING: usize = 100;
/// Maximum number of bytes of a user's reports that wait in the spool at a time.
const WAITING_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum number of a user's reports in the history.
const KEPT: usize = 1000;

/// Help that taking over needs from its caller.
pub struct TakeOver<'a> {
    /// Takes the secrets out of a report, with its job's patterns. A user's hook may not have been
    /// able to read them.
    pub redact: &'a dyn Fn(&mut Report),
    /// Time since the boot.
    pub monotonic: Duration,
    pub say: &'a dyn Fn(&str),
}

impl Spool {
    /// Returns where the hooks of a setuid job, running as `uid`, leave their reports.
    pub fn inbox(&self, uid: u32) -> PathBuf {
        self.dir.join("inbox").join(uid.to_string())
    }

    /// Takes over what the hooks of setuid jobs left in their inboxes. Whatever one user does to
    /// its inbox (a mount of its own keeps even root out) costs no other user a report.
    ///
    /// Returns the number of reports taken over.
    pub fn take_over(&self, how: &TakeOver) -> io::Result<usize> {
        let mut taken = 0;
        for uid in list(&self.dir.join("inbox"))?
            .iter()
            .filter_map(|name| name.parse::<u32>().ok())
        {
            match self.take_over_from(&self.inbox(uid), uid, how) {
                Ok(reports) => taken += reports,
                Err(why) => (how.say)(&format!(
                    "cannot take over what the hooks of user {uid} left: {why}"
                )),
            }
        }
        Ok(taken)
    }

    /// Takes over the reports in `inbox`, whose hooks ran as user `uid`, the oldest first. A file
    /// that is no whole report of that user's is removed, and noted in `corrupt/`. A file that a
    /// hook is still writing stays.
    ///
    /// Returns the number of reports taken over: 0 if another deliverer is at it.
    pub fn take_over_from(&self, inbox: &Path, uid: u32, how: &TakeOver) -> io::Result<usize> {
        let (ids, strangers) = oldest(inbox)?;
        if ids.is_empty() && strangers.is_empty() {
            return Ok(0);
        }
        // Two deliverers at one entry would write one draft. No sink's key holds two NULs.
        let Some(_lock) = self.lock("\0\0inbox", how.monotonic)? else {
            return Ok(0);
        };
        for name in strangers {
            let path = inbox.join(&name);
            if fs::remove_file(&path).is_ok() {
                self.note_corrupt(
                    &format!("inbox-{uid}"),
                    &format!("{}: no report's name", path.display()),
                )?;
            }
        }
        let is_ours = uid == geteuid().as_raw();
        let mut waiting = if is_ours {
            Backlog::default()
        } else {
            self.waiting(uid)?
        };
        let mut taken = 0;
        for id in ids {
            let path = inbox.join(id.as_str());
            let Some(length) = at_rest(&path) else {
                continue;
            };
            if waiting.count >= WAITING || waiting.bytes + length > WAITING_BYTES {
                (how.say)(&format!(
                    "user {uid} has reports waiting; the others stay in {}",
                    inbox.display()
                ));
                break;
            }
            match read_report(&path, id.as_str(), &[uid]) {
                Ok(report) if !is_ours && report.kind != Kind::Crash => {
                    self.note_corrupt(
                        &format!("inbox-{uid}"),
                        &format!("{}: no report of a crash", path.display()),
                    )?;
                }
                Ok(report) => {
                    let is_new = self.take_in(report, uid, how)?;
                    taken += usize::from(is_new);
                    if is_new && !is_ours {
                        waiting.count += 1;
                        waiting.bytes += length;
                    }
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

    /// Commits a report of user `uid` as one of ours, unless it is there already. Returns true if
    /// it was new.
    fn take_in(&self, mut report: Report, uid: u32, how: &TakeOver) -> io::Result<bool> {
        let is_ours = uid == geteuid().as_raw();
        if !is_ours {
            disown(&mut report, uid);
        }
        // The process that made it may not have known what the config calls secret.
        (how.redact)(&mut report);
        report.notes.extend(report.level.note());
        let is_new = self.find(&report.id).is_none();
        if is_new {
            if !is_ours {
                self.note_waiting(uid, &report.id)?;
            }
            self.put(&report)?;
        }
        if is_ours {
            self.remove_name(&report)?;
        }
        Ok(is_new)
    }

    /// Returns what of this user's is in `new/`. `state/user-UID/` has a name for each, and for
    /// those in the history. If there are too many of the latter, the oldest go, so that they do
    /// not take the place of others'.
    fn waiting(&self, uid: u32) -> io::Result<Backlog> {
        let dir = self.taken_from(uid);
        let mut waiting = Backlog::default();
        let mut past = Vec::new();
        for name in list(&dir)? {
            let id = ReportId::parse(&name).ok();
            match id.and_then(|id| self.find(&id).map(|place| (place, id))) {
                Some((Place::New, id)) => {
                    let bytes = fs::symlink_metadata(self.path(Place::New, &id))
                        .map_or(0, |found| found.size());
                    waiting = Backlog {
                        count: waiting.count + 1,
                        bytes: waiting.bytes + bytes,
                    };
                }
                Some((_, id)) => past.push(id),
                None => fs::remove_file(dir.join(name))?,
            }
        }
        past.sort();
        self.remove(past.iter().take(past.len().saturating_sub(KEPT)))?;
        Ok(waiting)
    }

    fn note_waiting(&self, uid: u32, id: &ReportId) -> io::Result<()> {
        let dir = self.taken_from(uid);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        File::create(dir.join(id.as_str())).map(drop)
    }

    fn taken_from(&self, uid: u32) -> PathBuf {
        self.dir.join("state").join(format!("user-{uid}"))
    }
}

/// Amount of a user's reports that wait.
#[derive(Clone, Copy, Default)]
struct Backlog {
    count: usize,
    bytes: u64,
}

/// Returns the oldest entries, by their names, and the files whose name is not a report's.
/// Directories are left alone: only the user can make one. So are drafts.
fn oldest(inbox: &Path) -> io::Result<(Vec<ReportId>, Vec<OsString>)> {
    let entries = match fs::read_dir(inbox) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        entries => entries?,
    };
    let mut oldest = BinaryHeap::new();
    let mut strangers = Vec::new();
    for entry in entries.take(LOOKED_AT) {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".")
            || entry.file_type().is_ok_and(|kind| kind.is_dir())
        {
            continue;
        }
        match name.to_str().and_then(|name| ReportId::parse(name).ok()) {
            Some(id) => oldest.push(id),
            None => strangers.push(name),
        }
        if oldest.len() > AT_ONCE {
            oldest.pop();
        }
    }
    Ok((oldest.into_sorted_vec(), strangers))
}

/// Returns how much room this would take, in bytes; `None` if a hook is still writing it. A file
/// that is too long to be a report takes none, and must not block those behind it.
fn at_rest(path: &Path) -> Option<u64> {
    let Ok(file) = open_regular_in_ours(path) else {
        return Some(0);
    };
    if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
        return None;
    }
    Some(
        file.metadata()
            .map(|found| found.size())
            .ok()
            .filter(|size| *size <= MAX_ENTRY)
            .unwrap_or_default(),
    )
}

/// Makes a user's report one of ours, for which that user alone vouches. It gets an id that no user
/// can choose: a report under the id of a future message would keep that message from being told.
fn disown(report: &mut Report, uid: u32) {
    report.notes.push(format!(
        "this report was made by user {uid}, as whom the service runs; its hook called it {}",
        report.id
    ));
    report.id = ReportId::derived(
        report.id.time(),
        &["inbox", &uid.to_string(), report.id.as_str()],
    );
    report.user = Some(uid);
    report.to = Audience::Job;
}
