//! How things stand with a service, as the messages about its end say it.

mod as_root {
    use std::path::Path;

    use crate::now::{self, Row, row};
    use crate::support::harness::{keeping_sink, wait_for};
    use crate::systemd::machine::{Machine, Version};

    const TABLE: [Row; 15] = [
        row(
            "crash, then a restart",
            "back",
            &[
                ("crashed: exit code 1", "up "),
                ("is up again", "up again since "),
            ],
        ),
        row(
            "crash, and RestartSec=1h",
            "later",
            &[("crashed: exit code 1", "restarting (systemd, in ")],
        ),
        row(
            "given up (start limit)",
            "given-up",
            &[
                (
                    "crashed, and is down: exit code 1",
                    "down: systemd has given up (start limit)",
                ),
                (
                    "has been down for ",
                    "down: systemd has given up (start limit)",
                ),
            ],
        ),
        row(
            "crash without Restart=",
            "once",
            &[
                (
                    "crashed, and is down: exit code 1",
                    "down: nothing restarts it (Restart=no)",
                ),
                (
                    "has been down for ",
                    "down: nothing restarts it (Restart=no)",
                ),
            ],
        ),
        row(
            "Restart=on-abnormal, exit code 1",
            "picky",
            &[
                (
                    "crashed, and is down: exit code 1",
                    "down: systemd does not restart it after this end (Restart=on-abnormal)",
                ),
                (
                    "has been down for ",
                    "down: systemd does not restart it after this end (Restart=on-abnormal)",
                ),
            ],
        ),
        row(
            "a timer's service fails",
            "clock",
            &[(
                "crashed: exit code 1",
                "not running: clock.timer starts it again",
            )],
        ),
        row(
            "a timer's service fails, and its next run ends well",
            "nightly",
            &[
                (
                    "crashed: exit code 1",
                    "not running: nightly.timer starts it again",
                ),
                (
                    "ended well, after exit code 1",
                    "not running: nightly.timer starts it again",
                ),
            ],
        ),
        // These are found by the look that tells of all, which a busy machine leaves no time to ask.
        row(
            "User= is unknown, and it is restarted",
            "no-user",
            &[("could not start: ", "")],
        ),
        row(
            "WorkingDirectory= is gone, RestartMode=direct",
            "no-dir",
            &[("could not start: ", "")],
        ),
        row(
            "NetworkNamespacePath= is gone, and it is restarted",
            "no-net",
            &[("could not start: ", "")],
        ),
        row(
            "systemctl stop between two lives",
            "between",
            &[("crashed: exit code 1", "restarting (systemd, in ")],
        ),
        row(
            "crash, started and stopped by hand between two looks",
            "revived",
            &[
                (
                    "crashed, and is down: exit code 1",
                    "down: nothing restarts it (Restart=no)",
                ),
                ("came up again, and was stopped as planned", "stopped: "),
            ],
        ),
        row("systemctl stop", "stopped", &[]),
        row("systemctl restart", "restarted", &[]),
        row("exit code 1 at systemctl stop", "stubborn", &[]),
    ];

    const UNITS: [(&str, &str); 17] = [
        (
            "back.service",
            "[Service]\nExecStart=sh -c 'test -e /run/died && exec sleep 1000; touch /run/died; exit 1'\n\
             Restart=always\nRestartSec=0\n",
        ),
        (
            "later.service",
            "[Service]\nExecStart=false\nRestart=always\nRestartSec=1h\n",
        ),
        (
            "given-up.service",
            "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n\
             [Service]\nExecStart=false\nRestart=always\nRestartSec=0\n",
        ),
        ("once.service", "[Service]\nExecStart=false\n"),
        (
            "picky.service",
            "[Service]\nExecStart=false\nRestart=on-abnormal\n",
        ),
        (
            "clock.service",
            "[Service]\nType=oneshot\nExecStart=false\n",
        ),
        ("clock.timer", "[Timer]\nOnActiveSec=1h\n"),
        (
            "nightly.service",
            "[Service]\nType=oneshot\n\
             ExecStart=sh -c 'test -e /run/failed && exec touch /run/well; touch /run/failed; exit 1'\n",
        ),
        (
            "nightly.timer",
            "[Timer]\nOnActiveSec=20s\nOnUnitInactiveSec=1h\nAccuracySec=1s\n",
        ),
        (
            "no-user.service",
            // systemd shows the command's empty line as it is.
            "[Service]\nUser=nosuch\nExecStart=sleep 1000\nExecStopPost=-sh -c 'true\\n\\ntrue'\n\
             Restart=always\nRestartSec=1h\n",
        ),
        (
            "no-dir.service",
            "[Service]\nWorkingDirectory=/nosuch\nExecStart=sleep 1000\nRestart=always\n\
             RestartSec=1h\nRestartMode=direct\n",
        ),
        (
            "no-net.service",
            "[Service]\nNetworkNamespacePath=/run/netns/nosuch\nExecStart=sleep 1000\n\
             Restart=always\nRestartSec=1h\n",
        ),
        (
            "between.service",
            "[Service]\nExecStart=false\nRestart=always\nRestartSec=1h\n",
        ),
        (
            "revived.service",
            "[Service]\nExecStart=sh -c 'test -e /run/revived && exec sleep 1000; \
             touch /run/revived; exit 1'\n",
        ),
        ("stopped.service", "[Service]\nExecStart=sleep 1000\n"),
        ("restarted.service", "[Service]\nExecStart=sleep 1000\n"),
        (
            "stubborn.service",
            "[Service]\nType=notify\nNotifyAccess=all\nRestart=always\nExecStart=bash -c \
             'trap \"exit 1\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'\n",
        ),
    ];

    #[test]
    fn each_message_says_how_things_stand_with_the_service_now() {
        for version in Version::all() {
            let machine = Machine::boot_as(version);
            let file = |(name, text): &(&str, &str)| {
                (format!("/etc/systemd/system/{name}"), (*text).to_owned())
            };
            let mut files: Vec<_> = UNITS.iter().map(file).collect();
            let sink = keeping_sink(Path::new("/var/spool/told"));
            files.push(("/etc/lastwords/lastwords.toml".to_owned(), sink));
            machine.write(&files);
            machine.shell("systemctl daemon-reload; systemctl start clock.timer nightly.timer");
            for row in TABLE {
                machine.run(&format!("systemctl start --no-block {}", row.job));
            }
            let count = || machine.told().len();
            let at_once = TABLE.iter().filter(|row| !row.messages.is_empty()).count();
            machine.shell(
                "until systemctl is-active stopped restarted stubborn; do sleep 0.1; done >/dev/null
                 systemctl stop stopped stubborn; systemctl restart restarted",
            );
            // What no hook can see the next look finds.
            wait_for("the first messages", || {
                machine.shell("lastwords deliver");
                count() >= at_once
            });
            machine
                .shell("systemctl stop between; systemctl start revived; systemctl stop revived");
            machine.shell(
                "until [ $(systemctl show -p ActiveState --value nightly) = inactive ]; do sleep 0.1; done",
            );
            machine.shell("lastwords deliver --later 11m; lastwords deliver --later 62m");
            let title = format!("systemd {}", machine.version());
            now::check(&title, &TABLE, || machine.told());
            let doctor = machine.run("lastwords doctor once").stdout;
            let doctor = String::from_utf8(doctor).unwrap();
            let doctor = doctor.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(doctor.contains(". The service is down: "), "{doctor}");
            let ours =
                machine.shell("systemctl list-units --failed --plain --no-legend 'lastwords*'");
            assert_eq!(ours, "", "each call of ours was accepted");
        }
    }
}
