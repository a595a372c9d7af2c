//! What a user does to the deliverer through its own directories: it costs root's reports no time,
//! the others little, and the machine no memory.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lastwords::report::{Kind, Report};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::namespaces::in_private;
use crate::neighbours::{Neighbourhood, entry, new_id};
use crate::support::fuse::mount_unanswered;
use crate::support::harness::{names_in, reports_in, wait_for, wait_for_some};
use crate::victim::{OTHER_UID, UID, crash_of, ends, hook_as, run, tell};

/// How long a deliverer may go on that a user does everything to: a steward's time, and some more
/// for a machine under load.
const PATIENCE: Duration = Duration::from_mins(1);

/// The place, with a report of root's job that waits, and one that a user's hook has left.
fn crashed() -> (Neighbourhood, Report) {
    let place = Neighbourhood::new();
    place.crash_as(UID, "mine", || {});
    let [honest] = wait_for_some("the report of the user's hook", || {
        <[Report; 1]>::try_from(reports_in(&[place.inbox(UID)])).ok()
    });
    fs::remove_file(place.inbox(UID).join(honest.id.as_str())).unwrap();
    (place, honest)
}

fn plant(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    chown(path, Some(UID), Some(UID)).unwrap();
}

/// A marker of the user's that a hook seems to have taken at this moment.
fn taken(place: &Neighbourhood, number: u64, millis: &str) -> std::path::PathBuf {
    let name = format!("m{number}~taken-20261129t050000-{number:016x}-{millis}-u");
    place
        .machine
        .run
        .join(format!("user/{UID}/markers"))
        .join(name)
}

fn marker() -> Vec<u8> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let armed = r#""armed_at":"2026-11-29T05:00:00Z","armed_ms":1"#;
    format!(r#"{{"boot_id":"{}",{armed},"job":"mine"}}"#, boot.trim()).into_bytes()
}

/// A deliverer at work, and its peak of memory.
struct Deliverer {
    child: Child,
    began: Instant,
}

impl Deliverer {
    fn start(place: &Neighbourhood) -> Self {
        let mut command = place.command("deliver");
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        Self {
            child,
            began: Instant::now(),
        }
    }

    /// Waits for its end; returns what it printed and how long it took.
    fn end(mut self) -> (String, Duration) {
        assert!(ends(&mut self.child, PATIENCE), "it hangs");
        let mut said = String::new();
        let mut out = self.child.stdout.take().unwrap();
        out.read_to_string(&mut said).unwrap();
        (said, self.began.elapsed())
    }
}

/// Starts deliverers until one is at work beside processes of this user, and stops these.
fn stop_at_work(place: &Neighbourhood, verb: &str) -> (Deliverer, Vec<Pid>) {
    wait_for_some("what runs for the user", || {
        plant(&taken(place, 1, "1000"), &marker());
        let mut deliverer = Deliverer::start(place);
        // They are soon done, and a busy machine may show none of them.
        while deliverer.child.try_wait().unwrap().is_none() {
            let pids = processes_of(place, UID, verb);
            let stop = |pid: &Pid| kill_process(*pid, Signal::STOP).is_ok();
            if !pids.is_empty() && pids.iter().all(stop) {
                return Some((deliverer, pids));
            }
        }
        None
    })
}

/// Returns the processes of this user that lastwords runs for it in this place.
fn processes_of(place: &Neighbourhood, uid: u32, verb: &str) -> Vec<Pid> {
    let spool = place.machine.spool.as_os_str().as_encoded_bytes();
    let pids = names_in(Path::new("/proc")).into_iter();
    let is_one = |pid: &String| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = String::from_utf8_lossy(&read("status")).into_owned();
        let mut words = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .unwrap_or("")
            .split('\t');
        let argv = read("cmdline");
        let says = |said: &[u8]| argv.split(|byte| *byte == 0).any(|word| word == said);
        words.nth(1) == Some(&uid.to_string()) && says(verb.as_bytes()) && says(spool)
    };
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(is_one)
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

/// A FUSE daemon that takes all that it is asked, and answers nothing but the kernel's greeting: then
/// a process that waits for it cannot even be killed. It ends when the file system is gone.
fn never_answer(daemon: OwnedFd) {
    const GREETING: u32 = 26;
    let mut daemon = File::from(daemon);
    let answer = move || {
        let mut asked = vec![0; 256 * 1024];
        while let Ok(length @ 40..) = daemon.read(&mut asked) {
            if asked[4..8] == GREETING.to_ne_bytes() && length > 48 {
                let mut greeting = [0; 80];
                greeting[..4].copy_from_slice(&80_u32.to_ne_bytes());
                greeting[8..16].copy_from_slice(&asked[8..16]);
                for (at, number) in [(16, 7_u32), (20, 31), (36, 65_536)] {
                    greeting[at..at + 4].copy_from_slice(&number.to_ne_bytes());
                }
                daemon.write_all(&greeting).unwrap();
            }
        }
    };
    thread::Builder::new().spawn(answer).unwrap();
}

/// Checks that a process could not be dumped from its first instruction on: the kernel calls a program
/// secure that begins with another real group than the one by whose rights it acts.
fn was_never_the_users(pid: Pid) {
    const AT_SECURE: u64 = 23;
    let aux = fs::read(format!("/proc/{}/auxv", pid.as_raw_pid())).unwrap();
    let words: Vec<u64> = aux
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
        .collect();
    let secure = words.chunks_exact(2).find(|pair| pair[0] == AT_SECURE);
    assert_eq!(secure.unwrap()[1], 1);
}

mod as_root {
    use super::*;

    #[test]
    fn a_report_of_a_user_that_is_too_long_or_too_deep_is_put_aside_unread() {
        let (place, honest) = crashed();
        let many = |what: &str, bytes: usize| {
            let text = String::from_utf8(entry(&honest)).unwrap();
            let json = text.split('\n').next().unwrap().replacen(
                "\"notes\":[",
                &format!(
                    "\"more\":[{}0],\"notes\":[",
                    format!("{what},").repeat(bytes / what.len())
                ),
                1,
            );
            let json = format!("{json}\n");
            let sum = crc32(json.as_bytes());
            format!("{json}lastwords-entry 1 {} {sum:08x}\n", json.len()).into_bytes()
        };
        let kinds = [
            ("16 MB of objects", many("{\"\":0}", 16 << 20)),
            ("1 MB of objects", many("{\"\":0}", 900_000)),
            ("1 MB of lists", many("[]", 900_000)),
            (
                "a deep one",
                many(
                    &format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
                    100_000,
                ),
            ),
        ];
        for (kind, bytes) in kinds {
            let path = place.inbox(UID).join(honest.id.as_str());
            plant(&path, &bytes);
            let mut limited = Command::new("prlimit");
            // Each of these took ten times as much and more.
            limited
                .arg(format!("--data={}", 96 << 20))
                .args(place.machine.hook_argv("deliver"));
            let began = Instant::now();
            let output = limited.output().unwrap();
            assert!(output.status.success(), "{kind}: {output:?}");
            assert!(!path.exists(), "{kind}");
            assert_eq!(
                place
                    .told()
                    .iter()
                    .filter(|it| it.user == Some(UID))
                    .count(),
                0,
                "{kind}"
            );
            let corrupt = place.machine.spool.join("corrupt");
            assert!(!names_in(&corrupt).is_empty(), "{kind}");
            fs::remove_dir_all(&corrupt).unwrap();
            fs::create_dir(&corrupt).unwrap();
            tell(&format!("inbox: {kind}"), &[began.elapsed()]);
        }
    }

    #[test]
    fn taken_markers_from_the_future_cost_nobody_time() {
        let (place, _) = crashed();
        let mut times = Vec::new();
        for kind in ["FIFO", "link", "marker"] {
            for number in 0..300 {
                let path = taken(&place, number, "ffffffffff");
                match kind {
                    "FIFO" => {
                        let mode = rustix::fs::Mode::RWXU;
                        let fifo = rustix::fs::FileType::Fifo;
                        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
                        chown(&path, Some(UID), Some(UID)).unwrap();
                    }
                    "link" => std::os::unix::fs::symlink("/nonexistent", &path).unwrap(),
                    _ if number < 10 => plant(&path, &marker()),
                    _ => {}
                }
            }
            let (_, took) = Deliverer::start(&place).end();
            // 100 ms for each of them made 30 s.
            assert!(took < Duration::from_secs(25), "{kind}: {took:?}");
            times.push(took);
            for name in names_in(taken(&place, 0, "1").parent().unwrap()) {
                let _ = fs::remove_file(taken(&place, 0, "1").with_file_name(name));
            }
        }
        tell("300 taken markers from the future", &times);
    }

    #[test]
    fn a_user_that_stops_what_works_for_it_delays_neither_root_nor_the_others() {
        for verb in ["steward", "adopt"] {
            let (place, _) = crashed();
            place.crash_as(OTHER_UID, "other", || {});
            let (deliverer, stopped) = stop_at_work(&place, verb);
            for pid in stopped.iter().filter(|_| verb == "adopt") {
                was_never_the_users(*pid);
            }
            crash_of(&place.machine, "web");
            place.told_of("web");
            place.told_of("other");
            let told = deliverer.began.elapsed();
            let (_, took) = deliverer.end();
            wait_for("the end of what was stopped", || {
                processes_of(&place, UID, verb).is_empty()
            });
            drop(stopped);
            tell(
                &format!("the user's {verb} is stopped: root's and another's report"),
                &[told],
            );
            tell(
                &format!("the user's {verb} is stopped: the deliverer's end"),
                &[took],
            );
        }
    }

    #[test]
    fn a_file_system_of_a_users_that_hangs_delays_no_other_and_its_service_is_known_again_later() {
        let test = "stewards::as_root::a_file_system_of_a_users_that_hangs_delays_no_other_and_its_service_is_known_again_later";
        in_private(test, &["--mount"], "", || {
            let (place, honest) = crashed();
            plant(&place.inbox(UID).join(honest.id.as_str()), &entry(&honest));
            Deliverer::start(&place).end();
            place.told_of("mine");
            let users = place.machine.run.join(format!("user/{UID}"));
            let dirs = [users.join("markers"), users.join("inbox"), place.inbox(UID)];
            // `user_allow_other` in /etc/fuse.conf lets root in, where it waits for ever.
            let daemons = dirs
                .each_ref()
                .map(|dir| mount_unanswered(dir, UID, ",allow_other"));
            crash_of(&place.machine, "web");
            let deliverer = Deliverer::start(&place);
            place.told_of("web");
            let told = deliverer.began.elapsed();
            let (said, took) = deliverer.end();
            let unknown = format!("not known which services of user {UID} run");
            assert!(said.contains(&unknown), "{said}");
            let doctor = place.command("doctor").arg("mine").output().unwrap();
            let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
            assert!(doctor.contains("may not answer"), "{doctor}");
            for dir in &dirs {
                unmount(dir, UnmountFlags::DETACH).unwrap();
            }
            drop(daemons);
            run(hook_as(UID, &place.machine, "pre-start", "mine"));
            let later = place.command("deliver").args(["--later", "11m"]).output();
            let later = later.unwrap();
            assert!(later.status.success(), "{later:?}");
            let told_of = place.told_of("mine");
            let is_up = |report: &Report| matches!(report.kind, Kind::Recovered { .. });
            assert!(told_of.iter().any(is_up), "{told_of:?} {later:?}");
            tell("the user's FUSE hangs: root's report", &[told]);
            tell("the user's FUSE hangs: the deliverer's end", &[took]);
        });
    }

    #[test]
    fn stewards_that_a_user_keeps_from_dying_do_not_add_up() {
        let test = "stewards::as_root::stewards_that_a_user_keeps_from_dying_do_not_add_up";
        in_private(test, &["--mount"], "", || {
            let (place, honest) = crashed();
            plant(&place.inbox(UID).join(honest.id.as_str()), &entry(&honest));
            never_answer(mount_unanswered(&place.inbox(UID), UID, ",allow_other"));
            for _ in 0..3 {
                Deliverer::start(&place).end();
            }
            let stewards = || processes_of(&place, UID, "steward").len();
            assert_eq!(stewards(), 1);
            // This ends the file system's answers, though it is too busy to go.
            let _ = unmount(place.inbox(UID), UnmountFlags::FORCE);
            wait_for("the steward's end", || stewards() == 0);
            unmount(place.inbox(UID), UnmountFlags::DETACH).unwrap();
            Deliverer::start(&place).end();
            place.told_of("mine");
        });
    }

    #[test]
    fn a_steward_has_its_users_rights_and_none_of_roots() {
        let (place, _) = crashed();
        let (deliverer, stopped) = stop_at_work(&place, "steward");
        let [pid] = stopped[..] else {
            panic!("several at work: {stopped:?}");
        };
        let proc = format!("/proc/{}", pid.as_raw_pid());
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        for line in [
            "NoNewPrivs:\t1",
            "CapEff:\t0000000000000000",
            "CapPrm:\t0000000000000000",
        ] {
            assert!(status.contains(line), "{line}: {status}");
        }
        let ids = format!("\t{UID}\t{UID}\t{UID}\t{UID}");
        assert!(status.contains(&format!("Uid:{ids}")), "{status}");
        assert!(!status.contains("Gid:\t0"), "{status}");
        let limits = fs::read_to_string(format!("{proc}/limits")).unwrap();
        for limit in [
            "Max cpu time",
            "Max data size",
            "Max open files",
            "Max processes",
        ] {
            let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
            assert!(!line.contains("unlimited"), "{line}");
        }
        // What cannot be dumped belongs to root: its user can neither trace it nor take its files.
        let mut look = crate::victim::user(UID);
        look.args(["ls", &format!("{proc}/fd")]);
        assert!(!look.output().unwrap().status.success());
        let _ = kill_process(pid, Signal::CONT);
        deliverer.end();
        tell("the steward's rights", &[]);
    }

    #[test]
    fn a_users_drill_is_not_sent() {
        let (place, honest) = crashed();
        let drill = Report {
            id: new_id(1),
            drill: true,
            ..honest.clone()
        };
        plant(&place.inbox(UID).join(drill.id.as_str()), &entry(&drill));
        let (said, _) = Deliverer::start(&place).end();
        assert!(said.contains("left 1 drills"), "{said}");
        assert!(!place.told().iter().any(|report| report.drill));
        assert_eq!(names_in(&place.inbox(UID)), [""; 0]);
        tell("a drill in an inbox", &[]);
    }

    #[test]
    fn what_a_user_says_of_a_job_that_is_not_its_own_is_told_as_the_users_word() {
        let (place, honest) = crashed();
        place
            .machine
            .configure("db", "runbook = 'https://wiki.example.com/db'\n");
        let mut forged = Report {
            id: new_id(1),
            host: "payments-prod-1".to_owned(),
            runbook: Some("https://wiki.example.com.evil.test/db".to_owned()),
            notes: (0..30).map(|n| format!("note {n}")).collect(),
            ..honest.clone()
        };
        forged.stop.job = "db".to_owned();
        let mut own = Report {
            id: new_id(2),
            ..forged.clone()
        };
        own.stop.job = "mine".to_owned();
        for report in [&forged, &own] {
            plant(&place.inbox(UID).join(report.id.as_str()), &entry(report));
        }
        Deliverer::start(&place).end();
        let told = |instance: Option<&str>| {
            let mut told = place.told().into_iter();
            let found = told.find(|report| {
                report.user == Some(UID) && report.stop.instance.as_deref() == instance
            });
            found.unwrap_or_else(|| panic!("{:?}", place.told()))
        };
        let ours = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        for (report, job, title) in [
            (
                told(Some("db")),
                format!("user-{UID}"),
                format!("user {UID} says: db crashed"),
            ),
            (
                told(None),
                "mine".to_owned(),
                format!("mine of user {UID} crashed"),
            ),
        ] {
            assert_eq!(report.stop.job, job);
            assert_eq!(report.runbook, None);
            assert_ne!(report.host, "payments-prod-1");
            let _ = &ours;
            let subject = lastwords::subject(&report);
            assert!(subject.contains(&title), "{subject}");
            assert!(!subject.contains("payments"), "{subject}");
            for form in [
                lastwords::Form::Text,
                lastwords::Form::Slack,
                lastwords::Form::Matrix,
            ] {
                let message = lastwords::form(form, &report);
                let by = message.find(&format!("user {UID}, as whom"));
                let what = message.find("it was running").unwrap_or(usize::MAX);
                assert!(by.is_some_and(|by| by < what), "{message}");
                assert!(!message.contains("evil.test"), "{message}");
            }
            let json = serde_json::to_string(&report).unwrap();
            assert!(json.find("\"user\"").unwrap() < json.find("\"stop\"").unwrap());
        }
        tell("a report that a user made for root's job", &[]);
    }

    #[test]
    fn the_history_of_a_user_takes_no_others_place() {
        let (place, honest) = crashed();
        crash_of(&place.machine, "web");
        let roots = place.told_of("web")[0].id.clone();
        let done = place.machine.spool.join("done");
        wait_for("root's history", || done.join(roots.as_str()).exists());
        let long = "x".repeat(700_000);
        for pass in 0..6 {
            for number in 0..15 {
                let mut report = Report {
                    id: new_id(pass * 100 + number),
                    fingerprint: format!("{:016x}", pass * 100 + number),
                    ..honest.clone()
                };
                report.stop.job = format!("made-up-{pass}-{number}");
                report.sections[0].text.clone_from(&long);
                plant(&place.inbox(UID).join(report.id.as_str()), &entry(&report));
            }
            Deliverer::start(&place).end();
        }
        // The cap counts at the next takeover.
        plant(&place.inbox(UID).join("rubbish"), b"");
        Deliverer::start(&place).end();
        let of_user = reports_in(std::slice::from_ref(&done))
            .iter()
            .filter(|report| report.user == Some(UID))
            .count();
        assert!(
            (1..=48).contains(&of_user),
            "32 MiB of 90 x 0.7 MB: {of_user}"
        );
        assert!(done.join(roots.as_str()).exists());
        let remembered = names_in(&place.machine.spool.join("state/jobs"));
        assert!(
            remembered.iter().any(|name| name.starts_with("web")),
            "{remembered:?}"
        );
        let of_user = names_in(&place.machine.spool.join(format!("state/jobs-of/{UID}")));
        assert!((1..=50).contains(&of_user.len()), "{of_user:?}");
        tell("a user's reports in the history, 63 MB", &[]);
    }

    #[test]
    fn the_causes_that_a_user_makes_up_are_forgotten_from_the_oldest_on() {
        let (place, honest) = crashed();
        for number in 0..110 {
            let report = Report {
                id: new_id(number),
                fingerprint: format!("{number:016x}"),
                ..honest.clone()
            };
            plant(&place.inbox(UID).join(report.id.as_str()), &entry(&report));
            if number == 60 {
                Deliverer::start(&place).end();
            }
        }
        Deliverer::start(&place).end();
        assert_eq!(names_in(&place.inbox(UID)), [""; 0]);
        let groups = place.machine.spool.join("state/groups");
        for sink in names_in(&groups) {
            let kept = names_in(&groups.join(&sink)).len();
            assert!((1..=100).contains(&kept), "{sink}: {kept}");
        }
        tell("110 causes that a user made up", &[]);
    }

    #[test]
    fn a_deliverer_that_may_not_become_the_user_says_so_and_loses_nothing() {
        let (place, honest) = crashed();
        plant(&place.inbox(UID).join(honest.id.as_str()), &entry(&honest));
        let mut command = crate::victim::without_capabilities("setuid,setgid");
        command.args(place.machine.hook_argv("deliver"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(&format!("user {UID} left: its steward failed")),
            "{output:?}"
        );
        assert_eq!(names_in(&place.inbox(UID)), [honest.id.as_str()]);
        Deliverer::start(&place).end();
        place.told_of("mine");
        tell("no right to become the user", &[]);
    }
}

/// The CRC-32 of these bytes, by another way than the program's own.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}
