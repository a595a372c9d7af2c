//! The marker's states, each in a directory of its own.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::time::Duration;

use proptest::prelude::*;
use rustix::process::geteuid;
use tempfile::TempDir;

use super::{Circumstances, Claim, Marker, MarkerFile, Seen, Taken, held, rewrite, sweep};
use crate::clock::Now;
use crate::hostile::changed;
use crate::report::{ReportId, Timestamp};
use crate::supervisor::account::Account;

/// This long after the boot.
fn at(seconds: u64) -> Now {
    Now {
        wall: Timestamp::of_unix(1_800_000_000 + seconds),
        monotonic: Duration::from_secs(seconds),
    }
}

/// A marker that was armed 100 seconds after the boot.
fn marker() -> Marker {
    Marker::new("boot".to_owned(), at(100)).of("web", None)
}

fn account(invocation: &str) -> Account {
    Account {
        invocation: Some(invocation.to_owned()),
        ..Account::default()
    }
}

/// The directory of a machine's markers, with the marker of `web`.
struct Markers {
    dir: TempDir,
    web: MarkerFile,
}

impl Markers {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let web = MarkerFile::new(dir.path().join("markers"), "web".as_ref(), None);
        Self { dir, web }
    }

    /// The same, armed.
    fn armed() -> Self {
        let markers = Self::new();
        markers.web.arm(&marker()).unwrap();
        markers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("markers").join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Returns the armed marker of `web`.
    fn web(&self) -> Marker {
        let armed = self.web.armed_by(geteuid().as_raw());
        armed.unwrap().expect("an armed marker")
    }

    /// Sees to it that no marker can be written: where the draft would be stands a directory.
    fn block_drafts(&self) {
        fs::create_dir_all(self.path(&format!("web~draft{}", id()))).unwrap();
    }

    fn take(&self) -> std::io::Result<Option<Taken>> {
        let id = ReportId::new(at(200).wall, 7);
        self.web.take(id, at(200), Circumstances::default())
    }

    /// Arms and takes at once, as `lastwords run` does.
    fn take_at_once(&self, number: u64) -> (Taken, File) {
        let id = ReportId::new(at(200).wall, number);
        let by = Circumstances {
            alive: true,
            ..Circumstances::default()
        };
        self.web.arm_taken(&marker(), id, at(200), by).unwrap()
    }
}

#[test]
fn the_files_name_tells_job_and_instance_apart_and_stays_in_its_directory() {
    for (job, instance, name) in [
        ("web", None, "web"),
        ("web", Some("1"), "web%001"),
        ("web", Some(""), "web%00"),
        ("web1", None, "web1"),
        ("../web", Some("/"), "%2E.%2Fweb%00%2F"),
        ("web~taken-x", None, "web%7Etaken-x"),
    ] {
        let markers = Markers::new();
        let instance = instance.map(AsRef::as_ref);
        let file = MarkerFile::new(markers.path(""), job.as_ref(), instance);
        file.arm(&marker()).unwrap();
        assert_eq!(markers.names(), [name]);
    }
}

#[test]
fn a_marker_keeps_all_that_pre_start_knew() {
    let markers = Markers::new();
    let full = Marker {
        planned_ms: Some(1),
        seen: Some(2),
        invocation: Some("3".to_owned()),
        oom_kills: Some(4),
        pid: Some(5),
        once: true,
        account: Some(account("6")),
        unarmed: true,
        ..marker().of("web", Some("1"))
    };
    for marker in [full, marker()] {
        markers.web.arm(&marker).unwrap();
        assert_eq!(markers.web(), marker);
    }
}

#[test]
fn a_marker_of_an_older_lastwords_can_be_read() {
    let text = r#"{"boot_id":"boot","armed_at":"2027-01-15T08:01:40.000Z","armed_ms":100000}"#;
    let old = Marker {
        job: None,
        ..marker()
    };
    assert_eq!(Marker::read(text.as_bytes()).unwrap(), old);
}

#[test]
fn what_is_no_marker_or_too_long_for_one_is_an_error() {
    let text = serde_json::to_string(&marker()).unwrap();
    let spaces = |count: usize| " ".repeat(count);
    let longest = text.clone() + &spaces(64 * 1024 - text.len());
    assert_eq!(Marker::read(longest.as_bytes()).unwrap(), marker());
    let late = spaces(64 * 1024) + &text;
    for text in ["", "{", "{}", "[]", "\u{0}", &late] {
        assert!(Marker::read(text.as_bytes()).is_err(), "{text:.20}");
    }
}

#[test]
fn of_a_very_long_name_the_beginning_is_kept_in_whole_characters() {
    let name = |bytes: usize| format!("{}é", "x".repeat(bytes - 2));
    let long = marker().of(&name(4096), Some(&name(4097)));
    assert_eq!(long.job, Some(name(4096)));
    assert_eq!(long.instance, Some("x".repeat(4095)));
}

#[test]
fn uptime_and_the_age_of_a_plan_are_told_by_the_clock_that_nobody_sets() {
    let planned = Marker {
        planned_ms: Some(150_000),
        ..marker()
    };
    let now = Now {
        wall: at(0).wall,
        ..at(160)
    };
    assert_eq!(planned.uptime(now), Duration::from_mins(1));
    assert_eq!(planned.planned_ago(now), Some(Duration::from_secs(10)));
    assert_eq!(marker().planned_ago(now), None);
    // What lies ahead began just now.
    assert_eq!(planned.uptime(at(50)), Duration::ZERO);
    assert_eq!(planned.planned_ago(at(50)), Some(Duration::ZERO));
}

#[test]
fn arming_makes_a_directory_and_a_file_that_only_their_owner_can_read() {
    let markers = Markers::armed();
    for (name, mode) in [("", 0o700), ("web", 0o600)] {
        let found = fs::metadata(markers.path(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(markers.names(), ["web"], "and leaves no draft");
}

#[test]
fn arming_anew_forgets_the_last_lifes_plan() {
    let markers = Markers::armed();
    markers.web.plan(at(150), None).unwrap();
    markers.web.arm(&marker()).unwrap();
    assert_eq!(markers.web(), marker());
}

#[test]
fn a_draft_that_a_process_of_our_number_left_behind_is_not_in_the_way() {
    let markers = Markers::armed();
    fs::write(markers.path(&format!("web~draft{}", id())), "half").unwrap();
    markers.web.plan(at(150), None).unwrap();
    assert_eq!(markers.web().planned_ms, Some(150_000));
    assert_eq!(markers.names(), ["web"]);
}

#[test]
fn a_write_that_fails_leaves_no_draft() {
    let markers = Markers::new();
    // A file cannot take a directory's place.
    fs::create_dir_all(markers.path("web~seen/x")).unwrap();
    let seen = Seen {
        boot_id: "boot".to_owned(),
        sequence: 1,
    };
    assert!(markers.web.see(&seen).is_err());
    assert_eq!(markers.names(), ["web~seen"]);
}

#[test]
fn where_there_is_no_room_a_marker_without_a_word_still_arms() {
    let markers = Markers::new();
    markers.block_drafts();
    markers.web.arm(&marker()).unwrap();
    assert_eq!(fs::read(markers.path("web")).unwrap(), b"");
    assert!(markers.take().unwrap().is_some());
}

#[test]
fn where_there_is_no_room_for_another_file_the_last_lifes_will_do() {
    let markers = Markers::new();
    markers.block_drafts();
    fs::create_dir_all(markers.path("web")).unwrap();
    let cannot = markers.web.arm(&marker());
    assert!(cannot.is_err(), "there is none of the last life");
    // An empty directory is what a file cannot be made over, and another directory can.
    fs::create_dir(markers.path("web~seen")).unwrap();
    markers.web.arm(&marker()).unwrap();
    assert!(!markers.path("web~seen").exists());
}

#[test]
fn a_plan_is_noted_in_the_marker_and_changes_nothing_else() {
    let markers = Markers::armed();
    for seconds in [150, 160] {
        markers.web.plan(at(seconds), None).unwrap();
        let planned = Marker {
            planned_ms: Some(seconds * 1000),
            ..marker()
        };
        assert_eq!(markers.web(), planned);
    }
}

#[test]
fn a_plan_that_was_only_a_restart_is_taken_back_and_the_next_one_counts_again() {
    let markers = Markers::armed();
    markers.web.plan(at(150), None).unwrap();
    markers.web.take_back_plan().unwrap();
    let restarted = Marker {
        restarted: true,
        ..marker()
    };
    assert_eq!(markers.web(), restarted);
    markers.web.plan(at(160), None).unwrap();
    let planned = Marker {
        planned_ms: Some(160_000),
        ..marker()
    };
    assert_eq!(markers.web(), planned);
}

#[test]
fn an_announcement_is_known_from_before_the_start_by_its_words() {
    let markers = Markers::armed();
    assert!(!markers.web.was_announced_before("runlevel"));
    let announced = Marker {
        announced_before: Some("runlevel".to_owned()),
        ..marker()
    };
    markers.web.arm(&announced).unwrap();
    assert!(markers.web.was_announced_before("runlevel"));
    assert!(!markers.web.was_announced_before("stopping"));
}

#[test]
fn where_nothing_is_armed_a_plan_arms_nothing() {
    let markers = Markers::new();
    markers.web.plan(at(150), None).unwrap();
    assert!(!markers.path("web").exists());
}

/// Puts something in the marker's place that no pre-start of ours has made.
fn replace(markers: &Markers, how: &str) {
    let path = markers.path("web");
    fs::remove_file(&path).unwrap();
    match how {
        "damaged" => fs::write(path, "{").unwrap(),
        "a directory" => fs::create_dir(path).unwrap(),
        "a link" => symlink("/etc/hostname", path).unwrap(),
        fifo => {
            let made = Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success(), "{fifo}");
        }
    }
}

#[test]
fn a_marker_that_cannot_be_read_is_an_error_and_not_taken_for_unarmed() {
    for how in ["damaged", "a directory", "a link", "a FIFO"] {
        let markers = Markers::armed();
        replace(&markers, how);
        let uid = geteuid().as_raw();
        assert!(markers.web.armed_by(uid).is_err(), "{how}");
        assert!(markers.web.running_by(uid, &[]).is_err(), "{how}");
        assert!(markers.web.plan(at(150), None).is_err(), "{how}");
        let taken = markers.take().unwrap();
        assert!(taken.is_some(), "whoever damages it hides no crash: {how}");
    }
}

#[test]
fn a_marker_of_another_user_is_an_error_that_names_both() {
    let markers = Markers::armed();
    let owner = fs::metadata(markers.path("web")).unwrap().uid();
    let why = markers.web.armed_by(owner + 1).unwrap_err().to_string();
    let expected = format!("web belongs to user {owner}, not to user {}", owner + 1);
    assert!(why.ends_with(&expected), "{why}");
}

#[test]
fn what_the_supervisor_told_is_kept_in_the_armed_marker() {
    let markers = Markers::armed();
    markers.web.tell(account("1"), || unreachable!()).unwrap();
    let told = Marker {
        account: Some(account("1")),
        ..marker()
    };
    assert_eq!(markers.web(), told);
}

#[test]
fn what_the_supervisor_told_arms_where_nothing_is_armed_or_the_marker_is_damaged() {
    let told = Marker {
        account: Some(account("1")),
        unarmed: true,
        ..marker()
    };
    let unarmed_marker = || Marker {
        unarmed: true,
        ..marker()
    };
    let unarmed = Markers::new();
    let damaged = Markers::armed();
    replace(&damaged, "damaged");
    for markers in [unarmed, damaged] {
        markers.web.tell(account("1"), unarmed_marker).unwrap();
        assert_eq!(markers.web(), told);
    }
}

#[test]
fn where_there_is_no_room_for_what_the_supervisor_told_the_crash_is_still_known() {
    let markers = Markers::new();
    markers.block_drafts();
    markers.web.tell(account("1"), marker).unwrap();
    assert_eq!(fs::read(markers.path("web")).unwrap(), b"");
}

#[test]
fn of_two_hooks_only_one_takes_the_marker() {
    let markers = Markers::armed();
    let taken = markers.take().unwrap().expect("the marker");
    assert_eq!(markers.take().unwrap(), None);
    assert!(taken.path().exists() && !markers.path("web").exists());
    assert_eq!(MarkerFile::of(&taken).path("web"), markers.path("web"));
}

#[test]
fn a_marker_that_cannot_be_renamed_is_an_error_and_stays_armed() {
    let markers = Markers::armed();
    let taken = markers.take().unwrap().expect("the marker");
    markers.web.arm(&marker()).unwrap();
    // A file cannot take a directory's place.
    fs::remove_file(taken.path()).unwrap();
    fs::create_dir(taken.path()).unwrap();
    assert!(markers.take().is_err());
    assert_eq!(markers.web(), marker());
}

#[test]
fn a_process_that_takes_its_own_marker_holds_the_lock_before_anybody_can_find_it() {
    let markers = Markers::new();
    let (taken, file) = markers.take_at_once(1);
    assert!(matches!(taken.claim(), Ok(Claim::Others)));
    assert_eq!(Marker::read(&file).unwrap(), marker());
    assert_eq!(markers.names().len(), 1, "and no draft is left");
    drop(file);
    assert!(matches!(taken.claim(), Ok(Claim::Held(_))));
}

#[test]
fn two_of_one_job_run_at_a_time_each_with_its_own_marker() {
    let markers = Markers::new();
    let (one, _one) = markers.take_at_once(1);
    let (two, _two) = markers.take_at_once(2);
    assert!(one.path().exists() && two.path().exists());
    assert_eq!(held(&markers.path("")).len(), 2);
}

#[test]
fn a_process_that_cannot_take_its_own_marker_leaves_no_draft() {
    let markers = Markers::new();
    let (taken, _file) = markers.take_at_once(1);
    fs::remove_file(taken.path()).unwrap();
    fs::create_dir(taken.path()).unwrap();
    let by = taken.circumstances;
    let again = markers.web.arm_taken(&marker(), taken.id, at(200), by);
    assert!(again.is_err());
    assert_eq!(markers.names().len(), 1, "{:?}", markers.names());
}

#[test]
fn only_what_a_lastwords_run_has_taken_for_its_life_is_held() {
    let markers = Markers::armed();
    markers.take().unwrap();
    assert_eq!(held(&markers.path("")), []);
    assert_eq!(held(Path::new("/nonexistent")), []);
}

#[test]
fn a_service_runs_where_its_marker_is_armed_or_held_by_somebody_who_lives() {
    let uid = geteuid().as_raw();
    let markers = Markers::new();
    assert_eq!(markers.web.running_by(uid, &[]).unwrap(), None);
    let (_, file) = markers.take_at_once(1);
    let found = held(&markers.path(""));
    assert_eq!(found.len(), 1);
    assert_eq!(markers.web.running_by(uid, &found).unwrap(), Some(marker()));
    // Not another user's, nor another job's.
    assert_eq!(markers.web.running_by(uid + 1, &found).unwrap(), None);
    let db = MarkerFile::new(markers.path(""), "db".as_ref(), None);
    assert_eq!(db.running_by(uid, &found).unwrap(), None);
    let armed = Marker {
        seen: Some(7),
        ..marker()
    };
    markers.web.arm(&armed).unwrap();
    assert_eq!(markers.web.running_by(uid, &found).unwrap(), Some(armed));
    fs::remove_file(markers.path("web")).unwrap();
    // Its `lastwords run` was killed.
    drop(file);
    assert_eq!(markers.web.running_by(uid, &found).unwrap(), None);
}

#[test]
fn how_far_the_kernel_log_was_read_is_kept_until_it_is_forgotten() {
    let markers = Markers::new();
    let seen = Seen {
        boot_id: "boot".to_owned(),
        sequence: 7,
    };
    markers.web.see(&seen).unwrap();
    assert_eq!(markers.web.last_seen(), Some(seen));
    markers.web.forget_seen();
    assert_eq!(markers.web.last_seen(), None);
    assert_eq!(markers.names(), [""; 0]);
    fs::write(markers.path("web~seen"), "{").unwrap();
    assert_eq!(markers.web.last_seen(), None);
}

#[test]
fn crashes_of_the_last_ten_minutes_are_counted_up_to_sixteen() {
    let markers = Markers::new();
    let count = |seconds| markers.web.count_crash("boot", at(seconds)).unwrap();
    assert_eq!((count(0), count(1), count(599)), (1, 2, 3));
    // The first is ten minutes old.
    assert_eq!((count(600), count(601)), (3, 3));
    for _ in 0..30 {
        count(602);
    }
    assert_eq!(count(602), 16);
    assert_eq!(markers.names(), ["web~crashes"]);
}

#[test]
fn crashes_of_an_earlier_boot_or_in_a_damaged_file_are_not_counted() {
    let markers = Markers::new();
    let count = |boot| markers.web.count_crash(boot, at(1)).unwrap();
    assert_eq!((count("one"), count("one"), count("two")), (1, 2, 1));
    fs::write(markers.path("web~crashes"), "{").unwrap();
    assert_eq!(count("two"), 1);
}

#[test]
fn the_end_of_a_life_is_unseen_until_a_hook_has_kept_its_invocation() {
    let markers = Markers::new();
    assert!(!markers.web.is_unseen(None), "nothing tells of any life");
    assert!(markers.web.is_unseen(Some("one")));
    // Armed by a pre-start that knew of no invocation.
    markers.web.arm(&marker()).unwrap();
    assert!(markers.web.is_unseen(Some("one")));
    let armed = Marker {
        invocation: Some("one".to_owned()),
        ..marker()
    };
    markers.web.arm(&armed).unwrap();
    assert!(markers.web.is_unseen(Some("one")));
    assert!(!markers.web.is_unseen(Some("two")), "another life is armed");
    markers.web.keep_invocation("one").unwrap();
    assert!(!markers.web.is_unseen(Some("one")));
    let db = MarkerFile::new(markers.path(""), "db".as_ref(), None);
    assert!(
        db.is_unseen(Some("one")),
        "another service's id may be the same"
    );
}

#[test]
fn the_end_of_a_life_counts_as_seen_although_no_file_can_be_written() {
    let markers = Markers::armed();
    markers.web.keep_invocation("one").unwrap();
    // In the place of every draft, this fails as a full `/run` does.
    let draft = format!("web~draft{}", std::process::id());
    fs::create_dir(markers.path(&draft)).unwrap();
    markers.web.keep_invocation("two").unwrap();
    assert!(!markers.web.is_unseen(Some("two")) && markers.web.is_unseen(Some("one")));
    fs::remove_dir(markers.path(&draft)).unwrap();
    markers.web.keep_invocation("three").unwrap();
    assert!(!markers.web.is_unseen(Some("three")));
}

#[test]
fn a_hook_that_was_killed_had_been_told_of_this_life_or_of_another() {
    let markers = Markers::armed();
    assert!(!markers.web.has_account_of(None), "it was told nothing");
    markers.web.tell(account("one"), marker).unwrap();
    assert!(markers.web.has_account_of(Some("one")));
    assert!(!markers.web.has_account_of(Some("two")));
}

/// The number of a process that has ended.
fn of_the_dead() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn sweeping_spares_the_draft_of_a_live_hook_and_removes_that_of_a_dead_one() {
    let markers = Markers::armed();
    let live = format!("web~draft{}", id());
    let dead = format!("web~draft{}", of_the_dead());
    // Process 1 lives, and belongs to somebody else or not.
    for name in [
        &live,
        &dead,
        "web~draft1",
        "web~draft",
        "web~draftx",
        "web~draft0",
    ] {
        fs::write(markers.path(name), "").unwrap();
    }
    sweep(&markers.path(""));
    let mut spared = [
        "web",
        &live,
        "web~draft",
        "web~draft0",
        "web~draft1",
        "web~draftx",
    ];
    spared.sort_unstable();
    assert_eq!(markers.names(), spared);
    sweep(Path::new("/nonexistent"));
}

#[test]
fn a_rewritten_marker_can_be_read_though_it_was_longer_or_shorter_before() {
    let markers = Markers::armed();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(markers.path("web"))
        .unwrap();
    let long = Marker {
        invocation: Some("x".repeat(100)),
        ..marker()
    };
    rewrite(&file, &long).unwrap();
    assert_eq!(markers.web(), long);
    let length = file.metadata().unwrap().len();
    rewrite(&file, &marker()).unwrap();
    assert_eq!(markers.web(), marker());
    assert_eq!(file.metadata().unwrap().len(), length);
}

/// Returns a marker in which everything is set.
fn full() -> Marker {
    Marker {
        planned_ms: Some(7),
        announced_before: Some("RESULT".to_owned()),
        seen: Some(1),
        invocation: Some("life".to_owned()),
        oom_kills: Some(2),
        pid: Some(42),
        account: Some(account("life")),
        ..marker()
    }
}

proptest! {
    #[test]
    fn whatever_a_marker_holds_it_is_one_or_an_error(
        json in changed(serde_json::to_value(full()).unwrap()),
        bytes: Vec<u8>,
    ) {
        let _ = Marker::read(&bytes[..]);
        if let Ok(marker) = Marker::read(json.to_string().as_bytes()) {
            let now = at(200);
            prop_assert!(marker.uptime(now) <= now.monotonic);
            prop_assert!(marker.planned_ago(now) <= Some(now.monotonic));
            let again = serde_json::to_vec(&marker).unwrap();
            prop_assert_eq!(Marker::read(&again[..]).unwrap(), marker);
        }
    }

    #[test]
    fn whatever_a_taken_marker_is_called_its_name_is_read_or_it_is_none(
        name in "(?s)[^/]{0,20}",
        id in prop_oneof!["20261123t030000-[0-9a-f]{16}", "(?s).{32}"],
        millis in "[0-9a-f]{0,20}",
        flags in "(?s)[a-z0-9]{0,4}.{0,2}",
    ) {
        for path in [name.clone(), format!("{name}~taken-{id}-{millis}-{flags}")] {
            if let Some(taken) = Taken::at(Path::new(&path)) {
                let _ = (taken.service(), taken.moment(at(200)));
            }
        }
    }
}
