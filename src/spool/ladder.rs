//! The ladder: the ways that a hook tries, one after the other, if a report cannot be written as it
//! should be.
//!
//! | level | what | survives | where |
//! |---|---|---|---|
//! | `durable` | file, rename, directory, all synced | the machine | `new/ID` |
//! | `reserve` | the same over a file that was set aside | the machine | `reserve/slot-N`, then `new/ID` |
//! | `ballast` | the same, in the room that an idle file gives back | the machine | `reserve/ballast`, then `new/ID` |
//! | `name-only` | an empty file whose name holds the facts | the machine | `new/ID.FACTS` |
//! | `memory` | all of it, from before the first try | the process | `inbox/ID` in the run directory |
//!
//! A full disk allows all of them. A failing disk is only asked for what it has room for already.
//! If the disk is read-only or does not answer, the last one remains. If even that fails, the taken
//! marker stays, and the system's log, the kernel log or standard error is told. The deliverer sets
//! the reserve aside again, spells out the names, and takes over what is in memory, as soon as the
//! disk allows it. Where it is read-only, [`super::deputy`] takes over what is in memory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::facts::{self, Facts};
use super::{Spool, entry, list, sync_dir};
use crate::draft;
use crate::report::{Report, Safety, Section, SectionData};

/// Number of reports that a full disk still takes.
const SLOTS: usize = 8;
/// Size of a slot in bytes: a report with the end of a log.
const SLOT: u64 = 64 * 1024;
/// Bytes that are given back, once, when the slots are used up.
const BALLAST: u64 = 1024 * 1024;
/// The reserve must not be what fills a disk: there must be this many times more room.
const AMPLE: u64 = 4;

/// Returns the names and the sizes of the files of a whole reserve.
pub(super) fn pieces() -> impl Iterator<Item = (String, u64)> {
    let slots = (0..SLOTS).map(|n| (format!("slot-{n}"), SLOT));
    slots.chain([("ballast".to_owned(), BALLAST)])
}

/// Returns true if the reserve leaves most of a disk's free bytes to others.
fn is_ample(free: u64) -> bool {
    free >= AMPLE * (BALLAST + SLOT * SLOTS as u64)
}

impl Spool {
    /// Keeps a report as safe as the disk allows, and records in it how safe that is.
    ///
    /// Returns why it could not be committed, if nothing else worked either.
    pub fn catch(&self, report: &mut Report) -> io::Result<Safety> {
        report.level = Safety::Durable;
        let Err(why) = self.put(report) else {
            return Ok(Safety::Durable);
        };
        let said = report.notes.len();
        report.notes.push(format!(
            "the disk did not take this report as it should have: {why}"
        ));
        report.level = Safety::Reserve;
        if self.put_into_reserve(report).is_ok() {
            return Ok(Safety::Reserve);
        }
        if self.give_up_ballast(&why) {
            report.level = Safety::Ballast;
            if self.put(report).is_ok() {
                return Ok(Safety::Ballast);
            }
        }
        report.level = Safety::NameOnly;
        if self.put_name(report).is_ok() {
            return Ok(Safety::NameOnly);
        }
        report.level = Safety::Memory;
        report.notes.truncate(said);
        Err(why)
    }

    /// Writes something. Where the disk is full, gives up the ballast for it.
    pub(super) fn with_ballast<T>(&self, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(why) if self.give_up_ballast(&why) => write(),
            done => done,
        }
    }

    /// Gives up the ballast if the disk is full. Returns true if that made room.
    fn give_up_ballast(&self, why: &io::Error) -> bool {
        let is_full = matches!(
            why.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        );
        is_full && fs::remove_file(self.reserve("ballast")).is_ok()
    }

    /// Sets aside the missing pieces of the reserve, as far as there is room. No hook writes into a
    /// deputy, so that needs no slots.
    pub fn refill(&self) {
        let wanted = |name: &str| !self.is_deputy() || name == "ballast";
        for (name, size) in pieces().filter(|(name, _)| wanted(name)) {
            if self.reserve(&name).symlink_metadata().is_err()
                && self.set_aside(&name, size).is_err()
            {
                return;
            }
        }
    }

    fn set_aside(&self, name: &str, size: u64) -> io::Result<()> {
        let dir = self.reserve("");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let disk = statvfs(&dir)?;
        if !is_ample(disk.f_bavail.saturating_mul(disk.f_frsize)) {
            return Err(ErrorKind::StorageFull.into());
        }
        let draft = self.reserve(&format!(".{name}"));
        draft::put(&draft, &self.reserve(name), |file| {
            match fallocate(&*file, FallocateFlags::empty(), 0, size) {
                // Not every file system can; zeros are as good unless they are compressed away.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    file.write_all(&vec![0; usize::try_from(size).unwrap_or_default()])?;
                }
                other => other?,
            }
            file.sync_all()
        })?;
        sync_dir(&dir)
    }

    /// Writes a report over one of the slots: the disk needs no more room for it.
    fn put_into_reserve(&self, report: &mut Report) -> io::Result<()> {
        let draft = self.dir.join("tmp").join(report.id.as_str());
        // Two hooks never get the same slot.
        let taken =
            (0..SLOTS).any(|n| fs::rename(self.reserve(&format!("slot-{n}")), &draft).is_ok());
        if !taken {
            return Err(ErrorKind::NotFound.into());
        }
        let committed = overwrite(&draft, report)
            .and_then(|()| fs::rename(&draft, self.dir.join("new").join(report.id.as_str())))
            .and_then(|()| sync_dir(&self.dir.join("new")));
        if committed.is_err() {
            let _ = fs::remove_file(&draft);
        }
        committed
    }

    fn put_name(&self, report: &Report) -> io::Result<()> {
        let new = self.dir.join("new");
        let path = new.join(facts::encode(report));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.sync_all().and_then(|()| sync_dir(&new))
    }

    /// Returns the reports of which only the name exists.
    pub fn names(&self) -> io::Result<Vec<Facts>> {
        let mut names = list(&self.dir.join("new"))?;
        if let Some(disk) = &self.disk {
            // A disk that fails shows nothing.
            names.extend(list(&disk.dir.join("new")).unwrap_or_default());
        }
        Ok(names
            .iter()
            .filter_map(|name| facts::decode(name))
            .collect())
    }

    /// Removes the name of a report that exists in full.
    pub fn remove_name(&self, report: &Report) -> io::Result<()> {
        let new = self.dir.join("new");
        let prefix = format!("{}.", report.id);
        for name in list(&new)?.iter().filter(|name| name.starts_with(&prefix)) {
            fs::remove_file(new.join(name))?;
        }
        Ok(())
    }

    fn reserve(&self, name: &str) -> std::path::PathBuf {
        self.dir.join("reserve").join(name)
    }
}

fn overwrite(slot: &Path, report: &mut Report) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut file: File = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(slot)?;
    let found = file.metadata()?;
    let size = usize::try_from(found.size())
        .ok()
        .filter(|_| found.is_file());
    let bytes = size
        .and_then(|size| fill(report, size))
        .ok_or(ErrorKind::FileTooLarge)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Returns the report as an entry of exactly this many bytes. The longest parts are left out until
/// it fits.
fn fill(report: &mut Report, size: usize) -> Option<Vec<u8>> {
    let why = "the disk was full, and there was no room for";
    shorten(report, why, |report| entry::encode_to(report, size))
}

/// Leaves the longest parts out until the report fits, and notes which and why.
pub(super) fn shorten<T>(
    report: &mut Report,
    why: &str,
    fit: impl Fn(&Report) -> Option<T>,
) -> Option<T> {
    let length = |section: &Section| section.text.len() + section.data.length();
    let mut left_out: Vec<String> = Vec::new();
    loop {
        if let Some(fits) = fit(report) {
            return Some(fits);
        }
        let longest = report
            .sections
            .iter_mut()
            .max_by_key(|section| length(section))?;
        if length(longest) == 0 {
            return None;
        }
        longest.text.clear();
        longest.data = SectionData::Nothing;
        if !left_out.is_empty() {
            report.notes.pop();
        }
        left_out.push(longest.collector.clone());
        report.notes.push(format!("{why}: {}", left_out.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, section};
    use crate::spool::Place;

    fn spool() -> (tempfile::TempDir, Spool) {
        let (dir, spool) = crate::spool::empty();
        spool.refill();
        (dir, spool)
    }

    fn long(collector: &str, bytes: usize) -> Section {
        section(collector, &"\u{1}".repeat(bytes))
    }

    #[test]
    fn a_slot_takes_a_report_that_is_read_back_as_any_other() {
        let (_dir, spool) = spool();
        let mut report = sample();
        spool.put_into_reserve(&mut report).unwrap();
        assert_eq!(spool.read(Place::New, &report.id).unwrap(), report);
        assert_eq!(list(&spool.reserve("")).unwrap().len(), SLOTS);
        spool.refill();
        assert_eq!(list(&spool.reserve("")).unwrap().len(), SLOTS + 1);
    }

    #[test]
    fn what_does_not_fit_into_a_slot_is_left_out_the_longest_first_and_the_report_says_so() {
        let (_dir, spool) = spool();
        let mut report = sample();
        report
            .sections
            .extend([long("dmesg", 9_000), long("log", 50_000)]);
        spool.put_into_reserve(&mut report).unwrap();
        let read = spool.read(Place::New, &report.id).unwrap();
        let lengths: Vec<_> = read
            .sections
            .iter()
            .map(|section| section.text.len())
            .collect();
        assert_eq!(lengths, [sample().sections[0].text.len(), 9_000, 0]);
        assert_eq!(
            read.notes,
            ["the disk was full, and there was no room for: log"]
        );
    }

    #[test]
    fn where_two_parts_are_left_out_one_note_names_both_and_the_notes_before_stay() {
        let mut report = sample();
        report.notes = vec!["before".to_owned()];
        report.sections[0].text.clear();
        report.sections[0].data = serde_json::json!({ "x": "y".repeat(70_000) }).into();
        report.sections.push(long("log", 10_000));
        fill(&mut report, 6_000).expect("the rest fits");
        let left_out = format!("{}, log", sample().sections[0].collector);
        let note = format!("the disk was full, and there was no room for: {left_out}");
        assert_eq!(report.notes, ["before", &note]);
    }

    #[test]
    fn a_disk_that_fails_without_being_full_gets_a_name_alone_and_keeps_its_ballast() {
        let (_dir, spool) = spool();
        let mut report = sample();
        assert_eq!(spool.catch(&mut report).unwrap(), Safety::Durable);
        assert_eq!(spool.read(Place::New, &report.id).unwrap(), report);
        // Nothing can be written there.
        fs::remove_dir(spool.dir.join("tmp")).unwrap();
        fs::write(spool.dir.join("tmp"), "").unwrap();
        let mut report = sample();
        assert_eq!(spool.catch(&mut report).unwrap(), Safety::NameOnly);
        assert_eq!(report.level, Safety::NameOnly);
        assert_eq!(spool.names().unwrap().len(), 1);
        assert!(spool.reserve("ballast").exists());
        // Nor can a name be made.
        fs::remove_dir_all(spool.dir.join("new")).unwrap();
        fs::write(spool.dir.join("new"), "").unwrap();
        let mut report = sample();
        assert!(spool.catch(&mut report).is_err());
        let left = (report.level, report.notes);
        assert_eq!(left, (Safety::Memory, sample().notes));
    }

    #[test]
    fn the_reserve_is_set_aside_where_four_times_its_size_is_free() {
        let whole: u64 = pieces().map(|(_, size)| size).sum();
        assert_eq!(whole, 3 * 512 * 1024);
        assert!(is_ample(4 * whole) && !is_ample(4 * whole - 1));
    }

    #[test]
    fn a_report_that_is_nothing_but_long_names_fits_no_slot() {
        let mut report = sample();
        report.stop.job = "x".repeat(100_000);
        assert_eq!(fill(&mut report, 65_536), None);
    }

    #[test]
    fn a_name_alone_is_no_report_until_it_is_spelled_out() {
        let (_dir, spool) = spool();
        let report = sample();
        spool.put_name(&report).unwrap();
        assert_eq!(spool.ids(Place::New).unwrap(), []);
        assert_eq!(spool.names().unwrap()[0].id, report.id);
        spool.remove_name(&report).unwrap();
        assert_eq!(spool.names().unwrap(), []);
    }
}
