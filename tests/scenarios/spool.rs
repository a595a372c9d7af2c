//! The spool after kills, power cuts, floods, hostile users and clocks that jump.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use lastwords::report::{Kind, Report, ReportId, Timestamp};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::hooks;
use crate::support::harness::{Harness, SystemLog, names_in, reports_in, wait_for};

/// A user id that no machine uses.
const UID: u32 = 54_321;

/// Returns a machine whose sink `one` keeps the ids of the reports that it gets. While the file
/// `busy` exists, the sink takes nothing.
fn machine() -> Harness {
    let machine = Harness::new();
    let (told, busy) = (machine.path("told"), machine.path("busy"));
    let script = format!(
        "test -e {busy} && exit 75; sed -n 's/.*\"id\": *\"\\([0-9a-z-]*\\)\".*/\\1/p' \"$LASTWORDS_REPORT_DIR/report.json\" >>{told}",
        told = told.display(),
        busy = busy.display()
    );
    let sink =
        format!("[[sink.exec]]\nname = 'one'\ncommand = ['/bin/sh', '-c', '''{script}''']\n");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    machine
}

fn told(machine: &Harness) -> Vec<String> {
    fs::read_to_string(machine.path("told"))
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Returns the report of a real crash.
fn a_report() -> Report {
    let elsewhere = Harness::new();
    hooks::crash(&elsewhere, |_| {});
    elsewhere.only_report()
}

/// Returns the same report with another time and id.
fn again(report: &Report, number: u64) -> Report {
    let time = Timestamp::of_unix(report.stop.stopped_at.unix() - 100_000 + number);
    Report {
        id: ReportId::new(time, number),
        sections: Vec::new(),
        notes: Vec::new(),
        ..report.clone()
    }
}

fn entry(report: &Report) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(report).unwrap();
    bytes.push(b'\n');
    let trailer = format!(
        "lastwords-entry 1 {} {:08x}\n",
        bytes.len(),
        crc32fast::hash(&bytes)
    );
    [bytes, trailer.into_bytes()].concat()
}

fn plant(machine: &Harness, place: &str, report: &Report) -> PathBuf {
    let path = machine.spool.join(place).join(report.id.as_str());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, entry(report)).unwrap();
    path
}

/// Runs a deliverer as if it were `later`.
fn deliver(machine: &Harness, later: &str) -> Output {
    let output = machine
        .command("deliver")
        .args(["--later", later])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn names(machine: &Harness, place: &str) -> Vec<String> {
    names_in(&machine.spool.join(place))
}

/// Returns the texts of all notices.
fn notices(machine: &Harness) -> Vec<String> {
    let reports = reports_in(&[machine.spool.join("new"), machine.spool.join("done")]);
    reports
        .into_iter()
        .filter(|report| report.kind == Kind::Notice)
        .map(|notice| notice.cause.line)
        .collect()
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[test]
fn a_fifo_in_the_place_of_the_deliverers_trace_holds_up_nothing() {
    let machine = machine();
    fs::create_dir_all(&machine.run).unwrap();
    fifo(&machine.run.join("deliverer"));
    hooks::crash(&machine, |_| {});
    deliver(&machine, "0s");
    machine.settle();
    assert_eq!(told(&machine).len(), 1);
    machine.configure("web", "");
    let doctor = machine.command("doctor").arg("web").output().unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("deliverer"), "{said}");
}

#[test]
fn a_whole_report_that_a_kill_left_in_tmp_is_sent_and_half_of_one_leads_to_a_notice() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    let [whole, half, empty, sent] = [1, 2, 3, 4].map(|number| again(&report, number));
    plant(&machine, "tmp", &whole);
    plant(&machine, "tmp", &sent);
    plant(&machine, "done", &sent);
    let path = plant(&machine, "tmp", &half);
    fs::write(&path, &entry(&half)[..500]).unwrap();
    fs::write(plant(&machine, "tmp", &empty), vec![0; 65536]).unwrap();
    fs::write(machine.spool.join("tmp/.to-one"), "half a led").unwrap();
    fifo(&machine.spool.join("tmp/fifo"));
    fs::create_dir(machine.spool.join("tmp/directory")).unwrap();

    // Until a moment has passed, the writers of the other files may be about to lock them.
    let said = deliver(&machine, "2m");
    assert!(
        String::from_utf8_lossy(&said.stdout).contains("was found whole in tmp/"),
        "{said:?}"
    );
    assert!(
        told(&machine).contains(&whole.id.to_string())
            && !told(&machine).contains(&sent.id.to_string())
    );
    assert_eq!(
        names(&machine, "tmp"),
        [".to-one", half.id.as_str(), empty.id.as_str()]
    );
    assert_eq!(names(&machine, "corrupt"), ["directory", "fifo"]);

    deliver(&machine, "20m");
    assert_eq!(names(&machine, "tmp"), [""; 0]);
    assert_eq!(
        names(&machine, "corrupt"),
        [half.id.as_str(), "directory", "fifo"]
    );
    assert!(
        notices(&machine)
            .iter()
            .any(|line| line.contains("damaged or no report")),
        "{:?}",
        notices(&machine)
    );
}

#[test]
fn a_draft_in_tmp_that_a_process_is_writing_is_left_alone() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    let report = again(&report, 1);
    let writer = File::open(plant(&machine, "tmp", &report)).unwrap();
    writer.lock().unwrap();
    deliver(&machine, "20m");
    assert_eq!(
        (names(&machine, "tmp"), told(&machine).len()),
        (vec![report.id.to_string()], 0)
    );
    drop(writer);
    deliver(&machine, "40m");
    assert_eq!(
        (names(&machine, "tmp").len(), told(&machine)),
        (0, vec![report.id.to_string()])
    );
}

#[test]
fn a_file_that_is_not_a_report_is_put_aside_unopened_and_stops_nothing() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    let canary = machine.path("canary");
    fs::write(&canary, entry(&again(&report, 1))).unwrap();
    let mut planted = 0;
    for (number, place) in (10..).step_by(10).zip(["new", "done", "dead"]) {
        let at = |number: u64| {
            machine
                .spool
                .join(place)
                .join(again(&report, number).id.as_str())
        };
        symlink(&canary, at(number)).unwrap();
        symlink("/", at(number + 1)).unwrap();
        fifo(&at(number + 2));
        drop(UnixListener::bind(machine.spool.join(place).join("s")).unwrap());
        fs::create_dir_all(at(number + 3).join("full")).unwrap();
        for name in [
            &b"..x"[..],
            b"...",
            b"-rf",
            b"a\nb",
            b"\xff\xfe",
            b"%2e%2e",
            &[b'n'; 255],
        ] {
            fs::write(
                machine.spool.join(place).join(OsStr::from_bytes(name)),
                "no report",
            )
            .unwrap();
        }
        planted += 5 + 7;
    }
    // A report under the name of another, and one of 4 GB.
    fs::write(
        machine
            .spool
            .join("new")
            .join(again(&report, 90).id.as_str()),
        entry(&again(&report, 91)),
    )
    .unwrap();
    File::create(
        machine
            .spool
            .join("new")
            .join(again(&report, 92).id.as_str()),
    )
    .unwrap()
    .set_len(4 << 30)
    .unwrap();
    let good = again(&report, 99);
    plant(&machine, "new", &good);

    deliver(&machine, "2m");
    assert!(told(&machine).contains(&good.id.to_string()));
    let corrupt = fs::read_dir(machine.spool.join("corrupt")).unwrap().count();
    assert_eq!(corrupt, planted + 2);
    for place in ["new", "dead"] {
        assert_eq!(names(&machine, place), [""; 0]);
    }
    assert_eq!(fs::read(&canary).unwrap(), entry(&again(&report, 1)));
}

#[test]
fn what_lies_about_among_the_deliverers_own_files_stops_nothing() {
    let (machine, report) = (machine(), a_report());
    let [first, mut second] = [1, 2].map(|number| again(&report, number));
    second.stop.job = "db".to_owned();
    plant(&machine, "new", &first);
    deliver(&machine, "0s");
    let state = machine.spool.join("state");
    fs::write(state.join("groups/stray"), "").unwrap();
    fifo(&state.join("groups/fifo"));
    symlink("/nonexistent", state.join("groups/link")).unwrap();
    for about in [&first, &second] {
        let of_report = state.join(about.id.as_str());
        fs::create_dir_all(of_report.join("to-directory")).unwrap();
        fifo(&of_report.join("to-fifo"));
        symlink("/etc/passwd", of_report.join("to-link")).unwrap();
    }
    plant(&machine, "new", &second);
    deliver(&machine, "2h");
    assert_eq!(
        told(&machine),
        [first.id, second.id].map(|id| id.to_string())
    );
    assert_eq!(names(&machine, "new"), [""; 0]);
    for verb in ["list", "queue", "stats"] {
        let output = machine.command(verb).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_notice_that_is_itself_damaged_is_not_made_again_and_again() {
    let machine = machine();
    deliver(&machine, "0s");
    fs::write(machine.path("busy"), "").unwrap();
    fs::write(machine.spool.join("new/rubbish"), "no report").unwrap();
    deliver(&machine, "2m");
    let [notice] = names(&machine, "new").try_into().unwrap();
    fs::write(machine.spool.join("new").join(&notice), "damaged").unwrap();
    for later in ["4m", "6m"] {
        deliver(&machine, later);
        assert_eq!(names(&machine, "new"), [""; 0]);
        assert_eq!(names(&machine, "corrupt"), [notice.as_str(), "rubbish"]);
    }
}

#[test]
fn reports_are_kept_for_30_days_and_their_ledgers_go_with_them() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    let dated = |days: u64| {
        let time = Timestamp::of_unix(report.stop.stopped_at.unix() - days * 24 * 60 * 60);
        Report {
            id: ReportId::new(time, days),
            ..report.clone()
        }
    };
    for (place, days) in [
        ("done", 29),
        ("done", 31),
        ("dead", 28),
        ("dead", 32),
        ("new", 33),
    ] {
        plant(&machine, place, &dated(days));
        fs::create_dir(machine.spool.join("state").join(dated(days).id.as_str())).unwrap();
    }
    fs::create_dir(machine.spool.join("state").join(dated(1).id.as_str())).unwrap();
    deliver(&machine, "2m");
    let done = [33, 31, 29].map(|days| dated(days).id.to_string());
    assert_eq!(names(&machine, "done"), done, "one goes at a time");
    assert_eq!(names(&machine, "dead"), [dated(28).id.as_str()]);
    assert_eq!(
        told(&machine),
        [dated(33).id.as_str()],
        "what waits is never too old"
    );
    for later in ["4m", "6m", "8m"] {
        deliver(&machine, later);
    }
    assert_eq!(names(&machine, "done"), done[2..]);
    assert_eq!(names(&machine, "dead"), [dated(28).id.as_str()]);
    let kept = names(&machine, "state");
    let kept: Vec<_> = kept
        .iter()
        .filter(|name| ReportId::parse(name).is_ok())
        .collect();
    assert_eq!(
        kept,
        [29, 28].map(|days| dated(days).id.to_string()).each_ref()
    );
}

#[test]
fn if_there_are_too_many_reports_delivered_ones_go_first_then_the_middle_of_loops_with_a_notice() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    // They wait, since one of their sinks is not in the config.
    fs::write(machine.config.join("lastwords.toml"), "broken").unwrap();
    for number in 0..9_980 {
        plant(&machine, "new", &again(&report, number));
    }
    let lonely: Vec<_> = (0..30)
        .map(|number| again(&report, 20_000 + number))
        .collect();
    for (number, report) in lonely.iter().enumerate() {
        plant(
            &machine,
            "new",
            &Report {
                fingerprint: format!("{number:016}"),
                ..report.clone()
            },
        );
    }
    let delivered: Vec<_> = (0..10)
        .map(|number| again(&report, 30_000 + number))
        .collect();
    for report in &delivered {
        plant(&machine, "done", report);
    }
    let output = machine
        .command("deliver")
        .args(["--later", "2m"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert_eq!(names(&machine, "done"), [""; 0]);
    let kept = names(&machine, "new");
    assert_eq!(kept.len(), 10_000 + 1, "and the notice");
    for stays in [
        &again(&report, 0),
        &again(&report, 11),
        &again(&report, 9_979),
    ]
    .into_iter()
    .chain(&lonely)
    {
        assert!(kept.contains(&stays.id.to_string()), "{}", stays.id);
    }
    for goes in 1..=10 {
        assert!(
            !kept.contains(&again(&report, goes).id.to_string()),
            "{goes}"
        );
    }
    assert_eq!(
        notices(&machine),
        ["10 reports were dropped undelivered: the spool was full"]
    );
}

#[test]
fn permissions_of_other_users_are_removed() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    fs::write(machine.path("busy"), "").unwrap();
    let path = plant(&machine, "new", &again(&report, 1));
    let modes = [
        ("tmp", 0o700),
        ("new", 0o700),
        ("state", 0o700),
        ("lock", 0o700),
        ("inbox", 0o711),
    ];
    for (place, _) in modes {
        fs::set_permissions(machine.spool.join(place), Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    deliver(&machine, "2m");
    for (place, mode) in modes {
        assert_eq!(
            fs::metadata(machine.spool.join(place)).unwrap().mode() & 0o777,
            mode,
            "{place}"
        );
    }
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn nothing_is_sent_from_a_spool_that_others_can_write_into_but_the_hook_keeps_what_it_can() {
    let machine = machine();
    deliver(&machine, "0s");
    fs::set_permissions(&machine.spool, Permissions::from_mode(0o777)).unwrap();
    let syslog = SystemLog::of(&machine);
    hooks::crash(&machine, |_| {});
    machine.settle();
    let output = machine.command("deliver").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("others than its owner may write into"),
        "{output:?}"
    );
    let said = syslog.said();
    assert!(
        said.iter()
            .any(|line| line.contains("others than its owner may write into")),
        "{said:?}"
    );
    assert_eq!((machine.reports().len(), told(&machine).len()), (1, 0));

    fs::set_permissions(&machine.spool, Permissions::from_mode(0o711)).unwrap();
    deliver(&machine, "0s");
    assert_eq!(told(&machine).len(), 1);
}

#[test]
fn a_ledger_with_a_time_in_the_past_or_future_holds_no_report_back() {
    let (machine, report) = (machine(), a_report());
    deliver(&machine, "0s");
    let ledger = |number: u64| {
        machine
            .spool
            .join("state")
            .join(again(&report, number).id.as_str())
            .join("to-one")
    };
    let now = report.stop.stopped_at;
    let tried = |next_try: String| {
        format!(
            "{{\"attempts\":3,\"first_try\":\"{now}\",\"last_try\":\"{now}\",\"next_try\":\"{next_try}\"}}"
        )
    };
    let ledgers = [
        // The machine was off for a week during a pause.
        tried(Timestamp::of_unix(now.unix() - 7 * 24 * 60 * 60).to_string()),
        // The clock was ten years ahead.
        tried(Timestamp::of_unix(now.unix() + 10 * 365 * 24 * 60 * 60).to_string()),
        // The clock was before 1970.
        tried("1970-01-01T00:00:00Z".to_owned()),
        "half a led".to_owned(),
        String::new(),
    ];
    for (number, text) in (0..).zip(&ledgers) {
        // Each crash is of a job of its own, so each gets a message of its own.
        let mut report = again(&report, number);
        report.stop.job = format!("job-{number}");
        plant(&machine, "new", &report);
        fs::create_dir_all(ledger(number).parent().unwrap()).unwrap();
        fs::write(ledger(number), text).unwrap();
    }
    let mut waits = again(&report, 50);
    waits.stop.job = "job-50".to_owned();
    plant(&machine, "new", &waits);
    fs::create_dir_all(ledger(50).parent().unwrap()).unwrap();
    fs::write(
        ledger(50),
        tried(Timestamp::of_unix(now.unix() + 30 * 60).to_string()),
    )
    .unwrap();
    deliver(&machine, "0s");
    assert_eq!(
        (told(&machine).len(), names(&machine, "new")),
        (ledgers.len(), vec![waits.id.to_string()])
    );
    deliver(&machine, "31m");
    assert_eq!(names(&machine, "new"), [""; 0]);
}

#[test]
fn the_first_message_leaves_before_all_that_waits_is_worked_on() {
    let machine = Harness::new();
    let (jobs, told) = (machine.spool.join("state/jobs"), machine.path("told"));
    let script = format!("ls {} | wc -l >>{}", jobs.display(), told.display());
    let sink = format!("[[sink.exec]]\nname = 'one'\ncommand = ['/bin/sh', '-c', \"{script}\"]\n");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    let report = a_report();
    deliver(&machine, "0s");
    for number in 0..200 {
        let mut report = again(&report, number);
        report.stop.job = format!("web{number}");
        plant(&machine, "new", &report);
    }
    deliver(&machine, "0s");
    let told = fs::read_to_string(told).unwrap();
    let counted = |line: &str| line.trim().parse().unwrap();
    let worked_on: Vec<usize> = told.lines().map(counted).collect();
    assert_eq!(worked_on.len(), 200, "each is told: {worked_on:?}");
    assert_eq!((worked_on[0], worked_on[199]), (64, 200));
}

#[test]
fn a_frozen_deliverer_delays_a_report_only_for_a_while() {
    let machine = Harness::new();
    let (first, gate, told_to) = (
        machine.path("first"),
        machine.path("gate"),
        machine.path("told"),
    );
    fifo(&gate);
    let script = format!(
        "mkdir {} 2>/dev/null && read line <{}; sed -n 's/.*\"id\": *\"\\([0-9a-z-]*\\)\".*/\\1/p' \
         \"$LASTWORDS_REPORT_DIR/report.json\" >>{}",
        first.display(),
        gate.display(),
        told_to.display()
    );
    let sink =
        format!("[[sink.exec]]\nname = 'one'\ncommand = ['/bin/sh', '-c', '''{script}''']\n");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    let report = again(&a_report(), 1);
    plant(&machine, "new", &report);
    let mut frozen = machine
        .command("deliver")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the first try", || first.exists());
    let pid = Pid::from_child(&frozen);
    kill_process(pid, Signal::STOP).unwrap();

    deliver(&machine, "1m");
    assert_eq!(told(&machine).len(), 0, "it may just be slow");
    deliver(&machine, "10m");
    assert_eq!(told(&machine), [report.id.as_str()]);
    assert_eq!(names(&machine, "done"), [report.id.as_str()]);

    kill_process(pid, Signal::CONT).unwrap();
    fs::write(&gate, "go on\n").unwrap();
    assert!(frozen.wait().unwrap().success());
    assert_eq!(told(&machine), [report.id.as_str(); 2], "under the same id");
    assert_eq!(names(&machine, "new"), [""; 0]);
}

mod as_root {
    use super::*;

    fn plant_in_inbox(machine: &Harness, name: &str, bytes: &[u8]) {
        let inbox = machine.spool.join(format!("inbox/{UID}"));
        fs::create_dir_all(&inbox).unwrap();
        chown(&inbox, Some(UID), Some(UID)).unwrap();
        let path = inbox.join(name);
        fs::write(&path, bytes).unwrap();
        chown(&path, Some(UID), Some(UID)).unwrap();
    }

    #[test]
    fn a_user_who_fills_its_inbox_gets_a_bounded_part_of_the_spool() {
        let (machine, report) = (machine(), a_report());
        deliver(&machine, "0s");
        // With a broken config, reports wait.
        let config = machine.config.join("lastwords.toml");
        let good = fs::read(&config).unwrap();
        fs::write(&config, "broken").unwrap();
        for number in 0..150 {
            let report = again(&report, number);
            plant_in_inbox(&machine, report.id.as_str(), &entry(&report));
        }
        for number in 0..500 {
            plant_in_inbox(&machine, &format!("rubbish{number}"), b"rubbish");
        }
        let roots = again(&report, 999);
        plant(&machine, "new", &roots);
        let output = machine.command("deliver").output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let waits = |machine: &Harness| reports_in(&[machine.spool.join("new")]).into_iter();
        assert_eq!(
            waits(&machine)
                .filter(|report| report.user == Some(UID))
                .count(),
            100
        );
        assert_eq!(names(&machine, &format!("inbox/{UID}")).len(), 50);
        assert!(
            names(&machine, "corrupt").len() <= 10,
            "{:?}",
            names(&machine, "corrupt")
        );

        fs::write(&config, good).unwrap();
        deliver(&machine, "2h");
        deliver(&machine, "4h");
        assert!(told(&machine).contains(&roots.id.to_string()));
        assert_eq!(names(&machine, &format!("inbox/{UID}")), [""; 0]);
    }

    #[test]
    fn a_user_who_makes_up_jobs_and_causes_gets_few_messages() {
        let (machine, report) = (machine(), a_report());
        deliver(&machine, "0s");
        for number in 0..250 {
            let mut report = Report {
                fingerprint: format!("{:016x}", number * 7919),
                ..again(&report, number)
            };
            report.stop.job = format!("made-up-{}", number % 50);
            plant_in_inbox(&machine, report.id.as_str(), &entry(&report));
        }
        let mut roots = again(&report, 999);
        roots.stop.job = "roots".to_owned();
        plant(&machine, "new", &roots);
        deliver(&machine, "0s");
        let told_now = told(&machine);
        assert_eq!(told_now.len(), 4 + 1, "{told_now:?}");
        assert!(told_now.contains(&roots.id.to_string()));
        deliver(&machine, "6m");
        deliver(&machine, "20m");
        assert_eq!(told(&machine).len(), 4 + 1 + 1);
        let count = |report: &Report| match report.kind {
            Kind::Summary { new, .. } => Some((new.count, report.user, report.causes.len())),
            _ => None,
        };
        let reports = machine.reports();
        let summaries: Vec<_> = reports.iter().filter_map(count).collect();
        assert!(
            matches!(summaries[..], [(246, Some(UID), 40..)]),
            "{summaries:?}"
        );
    }

    #[test]
    fn a_users_report_is_marked_as_the_users_own_word() {
        let (machine, report) = (machine(), a_report());
        deliver(&machine, "0s");
        let mut secret = again(&report, 1);
        secret.stop.job = "somebody-elses".to_owned();
        secret.notes.push("password=cAn4ry".to_owned());
        let mut forged = again(&report, 2);
        forged.kind = Kind::Notice;
        for report in [&secret, &forged] {
            plant_in_inbox(&machine, report.id.as_str(), &entry(report));
        }
        deliver(&machine, "0s");
        let found = reports_in(&[machine.spool.join("done")]);
        let [taken] = found
            .iter()
            .filter(|report| report.user.is_some())
            .collect::<Vec<_>>()[..]
        else {
            panic!("{found:#?}")
        };
        assert_ne!(taken.id, secret.id);
        assert_eq!(
            (taken.user, taken.stop.job.as_str(), taken.stop.service()),
            (
                Some(UID),
                "user-54321",
                "user-54321 (somebody-elses)".to_owned()
            )
        );
        let notes = taken.notes.join("\n");
        assert!(
            notes.contains("made by user 54321") && notes.contains(secret.id.as_str()),
            "{notes}"
        );
        assert!(notes.contains("password=[redacted]"), "{notes}");
    }

    #[test]
    fn reports_of_another_owner_are_not_sent_and_nothing_is_sent_from_another_users_spool() {
        let (machine, report) = (machine(), a_report());
        deliver(&machine, "0s");
        let foreign = again(&report, 1);
        chown(plant(&machine, "new", &foreign), Some(UID), Some(UID)).unwrap();
        deliver(&machine, "0s");
        assert_eq!(names(&machine, "corrupt"), [foreign.id.as_str()]);
        assert!(!told(&machine).contains(&foreign.id.to_string()));

        chown(&machine.spool, Some(UID), Some(UID)).unwrap();
        let output = machine.command("deliver").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("belongs to user 54321"),
            "{output:?}"
        );
    }
}
