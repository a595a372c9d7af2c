//! How things stand with a service, as the messages about its end say it.

mod as_root {
    use crate::support::harness::wait_for_some;
    use crate::systemd::machine::Machine;

    const SINK: &str = "[[sink.exec]]\nname = \"keep\"\ncommand = [\"/etc/lastwords/keep\"]\n";
    const KEEP: &str =
        "#!/bin/sh\ncp \"$LASTWORDS_REPORT_DIR/report.txt\" \"/var/spool/told/$$.$(date +%s%N)\"\n";

    /// Unit files that end, and the condition that the message about the end has to name.
    const UNITS: [(&str, &str, &str); 6] = [
        (
            "later",
            "[Service]\nExecStart=false\nRestart=always\nRestartSec=60\n",
            "restarting (systemd, in ",
        ),
        (
            "once",
            "[Service]\nExecStart=false\n",
            "down: nothing restarts it (Restart=no)",
        ),
        (
            "loop",
            "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n\
             [Service]\nExecStart=false\nRestart=always\nRestartSec=0\n",
            "down: systemd has given up (start limit)",
        ),
        (
            "picky",
            "[Service]\nExecStart=false\nRestart=on-abnormal\n",
            "down: systemd does not restart it after this end (Restart=on-abnormal)",
        ),
        (
            "back",
            "[Service]\nExecStart=sh -c 'test -e /run/died && exec sleep 1000; touch /run/died; exit 1'\n\
             Restart=always\nRestartSec=0\n",
            "up again since ",
        ),
        (
            "clock",
            "[Service]\nType=oneshot\nExecStart=false\n",
            "not running: clock.timer starts it again",
        ),
    ];

    #[test]
    fn each_message_says_how_things_stand_with_the_service_now() {
        let machine = Machine::boot();
        let file = |(name, text, _): &(&str, &str, &str)| {
            (
                format!("/etc/systemd/system/{name}.service"),
                (*text).to_owned(),
            )
        };
        let mut files: Vec<_> = UNITS.iter().map(file).collect();
        let timer = "[Timer]\nOnActiveSec=1h\n";
        files.extend([
            (
                "/etc/systemd/system/clock.timer".to_owned(),
                timer.to_owned(),
            ),
            ("/etc/lastwords/lastwords.toml".to_owned(), SINK.to_owned()),
            ("/etc/lastwords/keep".to_owned(), KEEP.to_owned()),
        ]);
        machine.write(&files);
        machine.shell(
            "chmod +x /etc/lastwords/keep; systemctl daemon-reload; systemctl start clock.timer",
        );
        for (name, _, _) in UNITS {
            machine.run(&format!("systemctl start {name}"));
        }
        for (name, _, words) in UNITS {
            let text = wait_for_some(&format!("the message about {name}"), || {
                let title = format!("{name} crashed");
                machine
                    .told()
                    .into_iter()
                    .find(|text| text.starts_with(&title))
            });
            let now = text.lines().find_map(|line| line.strip_prefix("Now      "));
            assert!(
                now.is_some_and(|now| now.starts_with(words)),
                "{name}: {now:?}"
            );
            let title = text.lines().next().unwrap_or_default();
            let is_down = words.starts_with("down");
            assert_eq!(title.contains("and is down"), is_down, "{title}");
        }
    }
}
