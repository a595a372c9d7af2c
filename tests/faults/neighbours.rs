//! Hostile neighbours: a service's user in the directories that are prepared for it, and any other
//! user. They cannot read foreign files, make root touch them, hide the crash of another job, or
//! delay the hook or the deliverer.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lastwords::Spool;
use lastwords::report::{Kind, Report, ReportId, Timestamp};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::harness::{Harness, names_in, reports_in, wait_for};
use crate::victim::{
    OTHER_UID, UID, crash, ends, hook_as, is_slow, machine_for_users, run, tell, user,
};

const CANARY: &str = "canary-that-only-root-may-read";

/// Maximum time for one pass of the deliverer on a loaded machine.
const PASS: Duration = Duration::from_mins(1);

/// A machine with root's job `web`, a job of each of the two users, and a sink that keeps what it
/// gets.
pub struct Neighbourhood {
    pub machine: Harness,
}

impl Neighbourhood {
    pub fn new() -> Self {
        let machine = machine_for_users();
        for (job, uid) in [("mine", UID), ("other", OTHER_UID)] {
            machine.configure(job, &format!("user = '{uid}'\n"));
        }
        let told = machine.path("told");
        fs::create_dir(&told).unwrap();
        let keep = format!(
            "cp \"$LASTWORDS_REPORT_DIR/report.json\" {}/$$",
            told.display()
        );
        let config = format!("[[sink.exec]]\nname = 'told'\ncommand = ['sh', '-c', '{keep}']\n");
        fs::write(machine.config.join("lastwords.toml"), config).unwrap();
        let neighbourhood = Self { machine };
        neighbourhood.succeeds("setup");
        fs::write(neighbourhood.canary(), CANARY).unwrap();
        fs::set_permissions(neighbourhood.canary(), Permissions::from_mode(0o600)).unwrap();
        neighbourhood
    }

    fn canary(&self) -> PathBuf {
        self.machine.path("canary")
    }

    pub fn command(&self, name: &str) -> Command {
        let argv = self.machine.hook_argv(name);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::null());
        command
    }

    fn succeeds(&self, name: &str) -> Duration {
        let began = Instant::now();
        let mut child = self.command(name).stdout(Stdio::null()).spawn().unwrap();
        let ended = ends(&mut child, PASS);
        if !ended {
            child.kill().unwrap();
        }
        assert!(
            child.wait().unwrap().success() && ended,
            "{name} failed or hangs"
        );
        began.elapsed()
    }

    /// Starts the user's service and kills it. The user does `meanwhile` before post-stop.
    pub fn crash_as(&self, uid: u32, job: &str, meanwhile: impl FnOnce()) -> Duration {
        run(hook_as(uid, &self.machine, "pre-start", job));
        meanwhile();
        run(hook_as(uid, &self.machine, "pre-stop", job));
        self.machine.kernel_log(format!(
            "init: {job} main process (4343) killed by SEGV signal"
        ));
        run(hook_as(uid, &self.machine, "post-stop", job))
    }

    pub fn inbox(&self, uid: u32) -> PathBuf {
        self.machine.spool.join(format!("inbox/{uid}"))
    }

    /// Returns the reports that the sink got, by job.
    pub fn told(&self) -> Vec<Report> {
        let dir = self.machine.path("told");
        // A report that is still being written is left out.
        let read = |name: &String| serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).ok();
        names_in(&dir).iter().filter_map(read).collect()
    }

    /// Waits until the sink has a report of this job, and returns all of them.
    pub fn told_of(&self, job: &str) -> Vec<Report> {
        let of_job = || {
            self.told()
                .into_iter()
                .filter(|report| report.stop.job == job)
                .collect::<Vec<_>>()
        };
        wait_for(&format!("a report of {job}"), || !of_job().is_empty());
        of_job()
    }

    /// Checks that the file that only root may read is unchanged, and that no copy of it exists.
    fn canary_lives(&self) {
        assert_eq!(fs::read_to_string(self.canary()).unwrap(), CANARY);
        let output = Command::new("grep")
            .args(["-rlD", "skip", CANARY])
            .arg(&self.machine.spool)
            .output()
            .unwrap();
        let told = Command::new("grep")
            .args(["-rl", CANARY])
            .arg(self.machine.path("told"))
            .output()
            .unwrap();
        let found =
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(told.stdout).unwrap();
        // The user may make links to the file. A file in an inbox has not been sent.
        let found: Vec<_> = found
            .lines()
            .filter(|path| !path.contains("/inbox/"))
            .collect();
        assert_eq!(found, [""; 0]);
    }
}

/// Returns the bytes of this report's entry.
pub fn entry(report: &Report) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    Spool::new(dir.path()).put(report).unwrap();
    fs::read(dir.path().join("new").join(report.id.as_str())).unwrap()
}

/// Returns an id that no report has.
pub fn new_id(number: u64) -> ReportId {
    ReportId::new(Timestamp::new(std::time::SystemTime::now()), number)
}

/// Puts something in place of a marker. It may lead to the canary.
type Plant<'a> = &'a dyn Fn(&Path, &Path);

mod as_root {
    use super::{
        CANARY, CWD, DirBuilderExt, File, FileType, Kind, Mode, Neighbourhood, OTHER_UID, Path,
        PathBuf, Permissions, PermissionsExt, Plant, Report, UID, UnixListener, chown, crash,
        entry, fs, is_slow, lchown, mknodat, new_id, reports_in, symlink, tell, user,
    };
    use crate::namespaces::in_private;
    use crate::support::fuse::mount_unanswered;
    use crate::support::harness::{Harness, names_in};

    #[test]
    fn a_file_that_a_user_plants_as_its_marker_harms_no_other_job() {
        let many = if is_slow() { 100_000 } else { 5_000 };
        let plants: [(&str, Plant); 11] = [
            ("a symbolic link", &|marker, canary| {
                symlink(canary, marker).unwrap();
            }),
            ("a hard link", &|marker, canary| {
                fs::hard_link(canary, marker).unwrap();
            }),
            ("a FIFO", &|marker, _| {
                mknodat(CWD, marker, FileType::Fifo, Mode::RWXU, 0).unwrap();
            }),
            ("a directory", &|marker, _| fs::create_dir(marker).unwrap()),
            ("a file of root's", &|marker, _| {
                fs::write(marker, "{}").unwrap();
            }),
            ("rubbish", &|marker, _| {
                fs::write(marker, [0xff; 100]).unwrap();
            }),
            ("another boot's", &|marker, _| {
                let text = r#"{"boot_id":"x","armed_at":"1970-01-01T00:00:00.000Z","armed_ms":1}"#;
                fs::write(marker, text).unwrap();
            }),
            ("from the future", &|marker, _| {
                let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
                let (boot, never) = (boot.trim(), u64::MAX);
                let armed = format!(r#""armed_at":"9999-12-31T23:59:59.999Z","armed_ms":{never}"#);
                fs::write(
                    marker,
                    format!(r#"{{"boot_id":"{boot}",{armed},"planned_ms":{never}}}"#),
                )
                .unwrap();
            }),
            ("taken already, too", &|marker, canary| {
                symlink(canary, marker.with_file_name("mine~taken")).unwrap();
                symlink(canary, marker.with_file_name("mine~seen")).unwrap();
                fs::write(marker, "").unwrap();
            }),
            ("1 GB", &|marker, _| {
                File::create(marker).unwrap().set_len(1 << 30).unwrap();
            }),
            ("thousands of files", &|marker, _| {
                for number in 0..many {
                    File::create(marker.with_file_name(format!("mine{number}"))).unwrap();
                }
            }),
        ];
        for (name, plant) in plants {
            let place = Neighbourhood::new();
            let marker = place.machine.run.join(format!("user/{UID}/markers/mine"));
            let took = place.crash_as(UID, "mine", || {
                fs::remove_file(&marker).unwrap();
                plant(&marker, &place.canary());
                if !marker.is_symlink()
                    && marker.exists()
                    && !name.contains("root")
                    && !name.contains("hard")
                {
                    chown(&marker, Some(UID), Some(UID)).unwrap();
                }
            });
            let own = [took, crash(&place.machine)];
            assert!(
                place
                    .machine
                    .reports()
                    .iter()
                    .any(|report| report.stop.job == "web"),
                "{name}"
            );
            place.succeeds("deliver");
            assert_eq!(place.told_of("web").len(), 1, "{name}");
            place.canary_lives();
            tell(&format!("marker: {name}"), &own);
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one life, told from its beginning to its end"
    )]
    #[test]
    fn files_that_a_user_plants_in_its_inbox_are_put_aside_and_other_reports_are_sent() {
        let place = Neighbourhood::new();
        place.crash_as(UID, "mine", || {});
        place.crash_as(OTHER_UID, "other", || {});
        let inbox = place.inbox(UID);
        let [honest] = <[Report; 1]>::try_from(reports_in(std::slice::from_ref(&inbox))).unwrap();
        crash(&place.machine);
        let reports = place.machine.reports();
        let roots = reports
            .iter()
            .find(|report| report.stop.job == "web")
            .expect("its report");

        // A deliverer may be at work, so each planted file appears whole.
        let stage = place.machine.path("stage");
        fs::create_dir(&stage).unwrap();
        let plant = |name: &str, bytes: &[u8]| fs::write(stage.join(name), bytes).unwrap();
        symlink(place.canary(), stage.join(new_id(1).as_str())).unwrap();
        fs::hard_link(place.canary(), stage.join(new_id(2).as_str())).unwrap();
        mknodat(
            CWD,
            stage.join(new_id(3).as_str()),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        drop(UnixListener::bind(stage.join("socket")).unwrap());
        fs::create_dir_all(stage.join(new_id(4).as_str()).join("full")).unwrap();
        symlink("/", stage.join("root")).unwrap();
        symlink(place.machine.spool.join("new"), stage.join("new")).unwrap();
        for name in [
            "..x",
            "...",
            "-rf",
            "a\nb",
            &"n".repeat(255),
            "\u{1b}[2J",
            "%2e%2e",
        ] {
            plant(name, b"not a report");
        }
        fs::write(
            stage.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff")),
            "",
        )
        .unwrap();
        File::create(stage.join(new_id(5).as_str()))
            .unwrap()
            .set_len(4 << 30)
            .unwrap();
        plant(new_id(6).as_str(), b"{}\nlastwords-entry 1 3 00000000\n");
        // Whole reports: under a wrong name, with the id of root's report, about root's job, and
        // with hostile texts.
        let whole = |id, job: &str| {
            let mut report = honest.clone();
            report.id = id;
            report.stop.job = job.to_owned();
            report
        };
        plant(new_id(7).as_str(), &entry(&whole(new_id(8), "mine")));
        plant(
            roots.id.as_str(),
            &entry(&whole(roots.id.clone(), "forged")),
        );
        let mut hostile = whole(new_id(9), "../../../../etc/shadow\u{1b}[2J\r\nBcc: x@evil");
        hostile.host = "x".repeat(1 << 20);
        hostile.stop.instance = Some("../..".to_owned());
        hostile.sections[0].collector = "log <script>".to_owned();
        plant(hostile.id.as_str(), &entry(&hostile));
        for name in fs::read_dir(&stage).unwrap().flatten() {
            // The hard link and its target still belong to root.
            if name.file_name() != *new_id(2).as_str() {
                lchown(name.path(), Some(UID), Some(UID)).unwrap();
            }
        }
        let foreign = stage.join(new_id(10).as_str());
        fs::write(&foreign, entry(&whole(new_id(10), "foreign"))).unwrap();
        chown(&foreign, Some(OTHER_UID), Some(OTHER_UID)).unwrap();

        for planted in fs::read_dir(&stage).unwrap().flatten() {
            fs::rename(planted.path(), inbox.join(planted.file_name())).unwrap();
        }

        let took = place.succeeds("deliver");
        for job in ["web", "mine", "other"] {
            assert_eq!(place.told_of(job).len(), 1, "{job}: {:?}", place.told());
        }
        // The report that claims the id of root's report has got an id of its own.
        assert_eq!(place.told_of("web")[0].id, roots.id);
        assert!(
            place
                .told_of(&format!("user-{UID}"))
                .iter()
                .all(|report| report.id != roots.id && report.user == Some(UID))
        );
        assert!(
            !place
                .told()
                .iter()
                .any(|report| report.stop.job == "foreign")
        );
        let of_users = |report: &&Report| report.kind == Kind::Crash && report.stop.job != "web";
        for report in place.told().iter().filter(of_users) {
            assert!(
                report
                    .notes
                    .iter()
                    .any(|note| note.contains("made by user")),
                "{:?}",
                report.notes
            );
        }
        place.canary_lives();
        assert!(Path::new("/etc/shadow").exists());
        tell(
            "inbox: links, FIFO, socket, directory, foreign, 4 GB, names, forged reports",
            &[took],
        );
    }

    #[test]
    fn an_inbox_full_of_rubbish_delays_no_other_report() {
        let place = Neighbourhood::new();
        let many = if is_slow() { 100_000 } else { 3_000 };
        for number in 0..many {
            let file = place.inbox(UID).join(format!("rubbish{number}"));
            fs::write(&file, "rubbish").unwrap();
            chown(&file, Some(UID), Some(UID)).unwrap();
        }
        place.crash_as(OTHER_UID, "other", || {});
        let mut deliverer = place
            .command("deliver")
            .stdout(super::Stdio::null())
            .spawn()
            .unwrap();
        let began = std::time::Instant::now();
        crate::support::harness::wait_for("another user's report", || !place.told().is_empty());
        let took = began.elapsed();
        assert!(super::ends(&mut deliverer, super::PASS), "it hangs");
        let aside = names_in(&place.machine.spool.join("corrupt")).len();
        tell(
            &format!("inbox: {many} files that are no reports ({aside} put aside)"),
            &[took],
        );
    }

    #[test]
    fn an_inbox_that_cannot_be_listed_delays_no_other_report() {
        let test = "neighbours::as_root::an_inbox_that_cannot_be_listed_delays_no_other_report";
        in_private(test, &["--mount"], "", || {
            let place = Neighbourhood::new();
            place.crash_as(OTHER_UID, "other", || {});
            // Root may not look into it.
            let _daemon = mount_unanswered(&place.inbox(UID), UID, "");
            assert!(
                fs::read_dir(place.inbox(UID)).is_err(),
                "not even root may look into it"
            );
            let times = [crash(&place.machine), place.succeeds("deliver")];
            for job in ["web", "other"] {
                assert_eq!(place.told_of(job).len(), 1, "{job}");
            }
            let _ = rustix::mount::unmount(place.inbox(UID), rustix::mount::UnmountFlags::DETACH);
            tell("inbox: a user's FUSE in its place", &times);
        });
    }

    /// Lets a user fill the run directory up to this limit, after root's job has lived once.
    fn filled(test: &str, limit: &str) {
        let mounts = format!(
            "mount -t tmpfs none /run; mkdir /run/small; mount -t tmpfs -o {limit},mode=755 none /run/small"
        );
        in_private(
            &format!("neighbours::as_root::{test}"),
            &["--mount"],
            &mounts,
            || {
                let mut place = Neighbourhood::new();
                place.machine.run = "/run/small/run".into();
                place.succeeds("setup");
                crash(&place.machine);
                let own = place.machine.run.join(format!("user/{UID}/markers"));
                let fill = "i=0; while : >\"$0/$i\" && [ $i -lt 99 ]; do i=$((i+1)); done; dd if=/dev/zero of=\"$0/0\" bs=4k";
                let filled = user(UID)
                    .args(["sh", "-c", fill])
                    .arg(&own)
                    .output()
                    .unwrap();
                let filled = String::from_utf8_lossy(&filled.stderr).into_owned();
                assert!(filled.contains("No space left"), "{filled}");
                let took = crash(&place.machine);
                assert_eq!(place.machine.reports().len(), 2);
                tell(
                    &format!("run directory: filled by a user ({limit})"),
                    &[took],
                );
            },
        );
    }

    #[test]
    fn a_user_that_fills_the_run_directory_hides_no_crash() {
        filled(
            "a_user_that_fills_the_run_directory_hides_no_crash",
            "size=256k",
        );
    }

    #[test]
    fn a_user_that_takes_every_inode_of_the_run_directory_hides_no_crash() {
        filled(
            "a_user_that_takes_every_inode_of_the_run_directory_hides_no_crash",
            "nr_inodes=64",
        );
    }

    /// Returns everything that this user can do to these directories.
    const TRY: &str = r#"
for dir in "$@"; do
    find "$dir" -exec sh -c '
        for path; do
            [ -w "$path" ] && echo "may write $path"
            [ -d "$path" ] || { [ -r "$path" ] && echo "may read $path"; }
        done' sh {} + 2>/dev/null
done
exit 0"#;

    #[test]
    fn no_other_user_may_read_a_report_or_write_anything() {
        for umask in ["000", "022", "077"] {
            let place = Neighbourhood::new();
            // The hooks run before `setup`, with the worst of umasks.
            fs::remove_dir_all(&place.machine.run).unwrap();
            fs::remove_dir_all(&place.machine.spool).unwrap();
            let with_umask = |name: &str| {
                let mut command = super::Command::new("sh");
                command
                    .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
                    .args(place.machine.hook_argv(name));
                command
                    .env("UPSTART_JOB", "web")
                    .stdin(super::Stdio::null())
                    .output()
                    .unwrap()
            };
            with_umask("pre-start");
            place
                .machine
                .kernel_log("init: web main process (4242) killed by SEGV signal");
            with_umask("post-stop");
            with_umask("setup");
            place.crash_as(UID, "mine", || {});
            assert_eq!(
                names_in(&place.inbox(UID)).len(),
                1,
                "umask {umask}: the user's hooks reach their directories"
            );
            with_umask("deliver");
            crate::support::harness::wait_for("both reports", || {
                place.machine.reports().len() == 2
            });

            let mut attempt = user(OTHER_UID);
            attempt
                .args(["sh", "-c", TRY, "sh"])
                .args([&place.machine.run, &place.machine.spool]);
            let said = String::from_utf8(attempt.output().unwrap().stdout).unwrap();
            // The time of the deliverer's last pass is no secret: every user's `lastwords doctor` shows it.
            let is_trace =
                |line: &str| line.starts_with("may read ") && line.ends_with("/run/deliverer");
            let own: Vec<_> = said
                .lines()
                .filter(|line| !line.contains(&OTHER_UID.to_string()) && !is_trace(line))
                .collect();
            assert_eq!(own, [""; 0], "umask {umask}");
            let list = user(OTHER_UID)
                .arg("ls")
                .arg(&place.machine.spool)
                .output()
                .unwrap();
            assert!(
                !list.status.success(),
                "another user can list the spool: {list:?}"
            );
            for kept in reports_dirs(&place.machine) {
                let found = fs::metadata(&kept).unwrap();
                let mode = found.permissions().mode() & 0o777;
                if found.is_file() && found.len() == 0 {
                    continue;
                }
                assert!(
                    matches!(mode, 0o600 | 0o700),
                    "{}: {mode:o}",
                    kept.display()
                );
            }
            tell(
                &format!("another user, umask {umask}: reads and writes nothing"),
                &[],
            );
        }
    }

    /// Returns the directories of the spool that hold reports, and the files in them.
    fn reports_dirs(machine: &Harness) -> Vec<PathBuf> {
        let dirs = ["tmp", "new", "state", "done", "dead", "corrupt", "lock"]
            .map(|dir| machine.spool.join(dir));
        let files = dirs
            .iter()
            .flat_map(|dir| names_in(dir).into_iter().map(|name| dir.join(name)));
        files.chain(dirs.iter().cloned()).collect()
    }

    #[test]
    fn setup_follows_no_link_to_a_users_directories() {
        let place = Neighbourhood::new();
        // A user could do this before `setup`, if the parent directory were its own.
        let own = place.machine.run.join(format!("user/{UID}"));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(place.machine.path("roots"))
            .unwrap();
        fs::remove_dir_all(&own).unwrap();
        fs::create_dir(&own).unwrap();
        symlink(place.machine.path("roots"), own.join("markers")).unwrap();
        assert!(!place.command("setup").output().unwrap().status.success());
        let owner = fs::metadata(place.machine.path("roots")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
        assert_eq!(
            fs::metadata(place.canary()).unwrap().permissions(),
            Permissions::from_mode(0o100_600)
        );
        assert_eq!(fs::read_to_string(place.canary()).unwrap(), CANARY);
    }
}
