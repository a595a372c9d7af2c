//! A real systemd and its services.

use std::fmt::Write as _;

use lastwords::report::{Exit, Report, Verdict};

use super::cases::{self, Case};
use super::machine::{Machine, RECEIVER, Version};
use crate::support::harness::{wait_for, wait_for_some};

/// A sink's program that keeps each report.
const SINK: &str = "[[sink.exec]]\nname = \"keep\"\ncommand = [\"/etc/lastwords/keep\"]\n";
const KEEP: &str = "#!/bin/sh\ncat >\"/var/spool/told/$$.$(date +%s%N)\"\necho '{\"ok\": true}'\n";

/// Functions for the scripts: the main process's pid, and waiting for the unit's end.
const WORDS: &str = r#"
pid() { systemctl show -p MainPID --value "$u"; }
gone() { until systemctl show -p ActiveState "$u" | grep -qE '=(inactive|failed)'; do sleep 0.05; done; }
"#;

fn unit_file(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.service")
}

fn boot_with(cases: &[Case], version: Version) -> Machine {
    let machine = Machine::boot_as(version);
    let unit = |case: &Case| {
        // A template is the unit file of all its instances.
        let name = case
            .unit
            .find('@')
            .map_or(case.unit, |at| &case.unit[..=at]);
        let text = format!(
            "[Service]\nTimeoutStopSec=30\nLimitCORE=0\n{}\n",
            case.service
        );
        (unit_file(name), text)
    };
    let mut files: Vec<_> = cases.iter().map(unit).collect();
    files.push(("/etc/lastwords/lastwords.toml".into(), SINK.into()));
    files.push(("/etc/lastwords/keep".into(), KEEP.into()));
    files.push(("/srv/thrown".into(), cases::THROWN.into()));
    machine.write(&files);
    machine.shell("chmod +x /etc/lastwords/keep; systemctl daemon-reload");
    machine
}

/// How many units end at once. For more, systemd may be too busy to answer a hook in time.
const AT_ONCE: usize = 10;

/// Lets all units end, and waits for that.
fn run(machine: &Machine, cases: &[Case]) {
    let mut script = WORDS.to_owned();
    for case in cases {
        writeln!(
            script,
            "( u={}.service; {} ) 2>/dev/null &
             [ $(jobs -rp | wc -l) -lt {AT_ONCE} ] || wait -n || true",
            case.unit, case.end
        )
        .expect("into a string");
    }
    // The handlers of OnFailure= come after the units' ends.
    script += "wait; while systemctl list-units --plain --no-legend 'lastwords@*' | grep -q activating; do sleep 0.05; done";
    machine.shell(&script);
}

/// Returns the difference between a case's reports and the expected ones, if there is one.
fn check(case: &Case, reports: &[Report]) -> Option<String> {
    let (job, instance) = case
        .unit
        .split_once('@')
        .map_or((case.unit, None), |(job, part)| (job, Some(part)));
    let ours: Vec<_> = reports
        .iter()
        .filter(|it| it.stop.job == job && it.stop.instance.as_deref() == instance)
        .collect();
    let right = match (&case.report, ours.as_slice()) {
        (None, []) => true,
        (Some(told), [report]) => {
            report.verdict == told.verdict
                && report.stop.exit == told.exit
                && report.cause.line.contains(told.line)
                && report.stop.supervisor.name() == "systemd"
                && report.stop.invocation.is_some()
        }
        _ => false,
    };
    let found = ours.iter().map(|it| {
        let log: Vec<_> = it
            .sections
            .iter()
            .filter(|section| section.collector.starts_with("log"))
            .collect();
        (it.verdict, &it.stop, &it.cause, &it.verdict_because, log)
    });
    let found: Vec<_> = found.collect();
    (!right).then(|| format!("{}: {found:#?}", case.unit))
}

#[test]
fn each_way_to_end_has_its_verdict_and_its_cause_and_is_sent() {
    for version in Version::all() {
        let cases = cases::all();
        let machine = boot_with(&cases, version);
        run(&machine, &cases);
        let expected = cases.iter().filter(|case| case.report.is_some()).count();
        let reports = machine.wait_for_crashes(expected);
        let wrong: Vec<_> = cases
            .iter()
            .filter_map(|case| check(case, &reports))
            .collect();
        assert!(wrong.is_empty(), "{version:?}: {}", wrong.join("\n"));
        assert_eq!(reports.len(), expected, "of nothing else: {reports:#?}");
        let ours = machine.shell("systemctl list-units --failed --plain --no-legend 'lastwords*'");
        assert_eq!(ours, "", "the deliverer can do its work in its sandbox");
        let killed = machine
            .shell("journalctl --no-pager -o cat | grep 'Killing process .*lastwords' || true");
        assert_eq!(killed, "", "each hook has ended when it has ended");
    }
}

#[test]
fn a_secret_that_systemd_passes_reaches_its_sink() {
    let machine = Machine::boot();
    let crash = Case {
        unit: "web",
        service: "ExecStart=sh -c 'exit 3'",
        end: "systemctl start $u",
        report: None,
    };
    machine.write(&[
        ("/srv/receiver".into(), RECEIVER.into()),
        ("/srv/token".into(), "correct-horse-battery\n".into()),
        (
            "/etc/lastwords/lastwords.toml".into(),
            "[[sink.webhook]]\nname = 'events'\nurl = 'http://127.0.0.1:8080/'\ntoken_file = 'token'\n".into(),
        ),
        (unit_file("receiver"), "[Service]\nExecStart=python3 /srv/receiver\n".into()),
        (unit_file("web"), format!("[Service]\n{}\n", crash.service)),
    ]);
    // The secret belongs to root, and only the deliverer may get it.
    machine.shell(
        "chmod 600 /srv/token; mkdir /etc/systemd/system/lastwords.service.d 2>/dev/null || true",
    );
    let credential = "[Service]\nLoadCredential=token:/srv/token\n";
    machine.write(&[(
        "/etc/systemd/system/lastwords.service.d/credentials.conf".into(),
        credential.into(),
    )]);
    machine.shell("systemctl daemon-reload; systemctl start receiver; until [ -e /run/receives ]; do sleep 0.05; done");
    run(&machine, &[crash]);
    let reports = machine.wait_for_crashes(1);
    let told = wait_for_some("the sink's word", || {
        let told = machine.shell("cat /var/spool/told/* || true");
        (!told.is_empty()).then_some(told)
    });
    assert_eq!(told, "Bearer correct-horse-battery", "{reports:#?}");
    assert_eq!(
        machine
            .shell("systemctl show -p Result --value lastwords")
            .trim(),
        "success"
    );
}

#[test]
fn the_start_limit_holds_and_no_end_is_reported_twice() {
    // The default is 5 starts in 10 seconds. This leaves room for a busy machine.
    let service = "Restart=always\nRestartSec=0\nExecStart=sh -c 'exit 7'\n\
                   [Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=5";
    let end = "systemctl start $u; until systemctl show -p Result $u | grep -q start-limit-hit || \
               systemctl show -p ActiveState $u | grep -q failed; do sleep 0.05; done";
    for version in Version::all() {
        let loops = [Case {
            unit: "loops",
            service,
            end,
            report: None,
        }];
        let machine = boot_with(&loops, version);
        run(&machine, &loops);
        let reports = machine.wait_for_crashes(5);
        assert_eq!(
            machine
                .shell("systemctl show -p NRestarts --value loops")
                .trim(),
            "5"
        );
        let exits: Vec<_> = reports
            .into_iter()
            .map(|report| (report.verdict, report.stop.exit))
            .collect();
        assert_eq!(exits, vec![(Verdict::Crashed, Exit::Code(7)); 5]);
    }
}

#[test]
fn a_shutdown_is_not_a_crash_of_any_service() {
    let fails = "Type=notify\nNotifyAccess=all\nExecStart=bash -c \
                 'trap \"exit 3\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'";
    for version in Version::all() {
        let cases = [
            ("one", "ExecStart=sleep 1000"),
            ("two", "ExecStart=sleep 1000"),
            ("three", fails),
            ("four", "ExecStart=sleep 1000\nKillMode=mixed"),
        ];
        let cases = cases.map(|(unit, service)| Case {
            unit,
            service,
            end: "systemctl start $u",
            report: None,
        });
        let mut machine = boot_with(&cases, version);
        run(&machine, &cases);
        machine.shell(
            "(exec journalctl --no-pager -f -n 0 >/var/spool/told/.log 2>&1 </dev/null) &
             until [ -e /var/spool/told/.log ]; do sleep 0.05; done",
        );
        machine.run("systemctl poweroff");
        machine.wait_for_the_end();
        assert_eq!(machine.crashes(), []);
        let log = machine.kept(".log");
        assert!(log.contains("three.service"), "{log}");
        assert!(!log.contains("OnFailure= job, ignoring"), "{log}");
    }
}

/// How often a service is stopped to see whether a hook is left.
const STOPS: usize = 20;

#[test]
fn no_process_of_a_hook_is_left_for_systemd_to_kill() {
    let mixed = [Case {
        unit: "mixed",
        service: "ExecStart=sleep 1000\nKillMode=mixed",
        end: "",
        report: None,
    }];
    for version in Version::all() {
        let machine = boot_with(&mixed, version);
        machine.shell(&format!(
            "for i in $(seq {STOPS}); do systemctl start mixed; systemctl stop mixed; done"
        ));
        let killed = "journalctl --sync; journalctl --no-pager -o cat -u mixed | \
                      grep 'Killing process .*lastwords' || true";
        assert_eq!(machine.shell(killed), "");
    }
}

/// What a soft-reboot unmounts is copied into the machine's own files.
const STAY: &str = "cp /usr/bin/lastwords /usr/bin/copy; umount -l /usr/bin/lastwords \
                    /var/spool/lastwords; mv /usr/bin/copy /usr/bin/lastwords";

#[test]
fn what_a_soft_reboot_kills_has_not_crashed() {
    for version in Version::all() {
        // Nothing stops it: systemd kills it when everything else has ended.
        let cases = [Case {
            unit: "outlives",
            service: "ExecStart=sleep 1000\n[Unit]\nDefaultDependencies=no",
            end: "systemctl start $u",
            report: None,
        }];
        let machine = boot_with(&cases, version);
        if machine.version() < 254 {
            // It knows no soft-reboot.
            continue;
        }
        machine.shell(STAY);
        run(&machine, &cases);
        machine.run("systemctl soft-reboot");
        machine.wait_for_the_soft_reboot();
        wait_for("the machine to be up again", || {
            let is_up = "systemctl is-active lastwords.timer && ! systemctl is-active outlives";
            machine.run(is_up).status.success()
        });
        let end = "systemctl start outlives; systemctl kill -s SEGV outlives; \
                   until systemctl is-failed outlives; do sleep 0.1; done; \
                   lastwords deliver >&2; lastwords list --all";
        let listed = machine.shell(end);
        let is_told = |line: &&str| line.starts_with("20");
        let told: Vec<&str> = listed.lines().filter(is_told).collect();
        assert!(told.len() == 1 && told[0].contains("SEGV"), "{listed}");
    }
}

#[test]
fn the_deliverers_sandbox_lets_it_finish_a_users_work_and_run_programs_as_that_user() {
    let machine = Machine::boot();
    let sink = "[[sink.exec]]\nname = 'keep'\ncommand = ['/etc/lastwords/keep']\nuser = 'nobody'\n";
    let keep = "#!/bin/sh\ncd $LASTWORDS_REPORT_DIR && cp report.json /var/spool/told/$(id -u)\n";
    let job = "user = 'nobody'\n[[collect.exec]]\nname = 'who'\ncommand = ['id', '-un']\n\
               [[collect.exec]]\nname = 'hangs'\ncommand = ['sleep', '1000']\ntimeout = '1s'\n";
    machine.write(&[
        ("/etc/lastwords/lastwords.toml".into(), sink.into()),
        ("/etc/lastwords/keep".into(), keep.into()),
    ]);
    machine.shell(
        "chmod +x /etc/lastwords/keep; chmod 777 /var/spool/told; mkdir -p /etc/lastwords/jobs",
    );
    machine.write(&[("/etc/lastwords/jobs/batch.toml".into(), job.into())]);
    let as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups";
    machine.shell(&format!(
        "lastwords setup
        {as_nobody} lastwords run --job batch -- sleep 1000 >/dev/null 2>&1 &
        until ls /run/lastwords/user/65534/markers | grep -q taken; do sleep 0.05; done
        kill -KILL $!"
    ));
    let told = wait_for_some("the sink's report", || {
        machine.run("systemctl start lastwords");
        let told = machine.run("cat /var/spool/told/65534");
        serde_json::from_slice::<Report>(&told.stdout).ok()
    });
    let text = |name: &str| {
        let mut sections = told.sections.iter();
        let section = sections.find(|section| section.collector == name);
        section.map_or("", |section| section.text.as_str())
    };
    assert_eq!((told.stop.job.as_str(), text("who")), ("batch", "nobody\n"));
    assert_eq!(text("hangs"), "still running after 1s, so it was killed");
    let doctor = || String::from_utf8(machine.run("lastwords doctor batch").stdout).unwrap();
    let problem = "lastwords.service may not become user 65534";
    assert!(!doctor().contains(problem), "{}", doctor());
    machine.shell("mkdir /etc/systemd/system/lastwords.service.d 2>/dev/null || true");
    machine.write(&[(
        "/etc/systemd/system/lastwords.service.d/earlier.conf".into(),
        "[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\n".into(),
    )]);
    machine.shell("systemctl daemon-reload");
    let words = doctor()
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(words.contains(problem), "{words}");
    let left = machine.run("pgrep -x sleep -u nobody; ls /run/lastwords/user/65534/markers");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{told:#?}");
}
