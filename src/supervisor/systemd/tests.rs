use super::*;

fn told(result: &str, code: &str, status: &str) -> Told {
    let [result, code, status] = [result, code, status].map(str::to_owned);
    Told {
        result,
        code,
        status,
        invocation: Some("42".into()),
        prefix: "",
    }
}

/// A service that was up and whose main process died.
fn died() -> Unit {
    Unit {
        active_since: 11,
        main_since: 10,
        main_until: 20,
        active_until: 21,
        main_pid: 7,
        ..Unit::default()
    }
}

/// One that somebody stops.
fn stopped(kind: &str) -> Unit {
    Unit {
        job: Some((5, kind.to_owned())),
        main_until: 22,
        ..died()
    }
}

fn signal(name: &str) -> Exit {
    Exit::Signal {
        name: name.into(),
        core_dumped: false,
    }
}

#[test]
fn a_units_name_is_a_job_and_its_instance() {
    assert_eq!(service("web.service"), ("web", None));
    assert_eq!(service("web@blue.service"), ("web", Some("blue")));
    assert_eq!(
        service(r"web@a-b\x2dc@d.service"),
        ("web", Some(r"a-b\x2dc@d"))
    );
    assert_eq!(service("web.service.service"), ("web.service", None));
    for odd in ["@x", "x@", "", "web"] {
        assert_eq!(service(odd), (odd, None));
    }
}

#[test]
fn the_same_words_are_a_stop_with_a_job_and_a_death_without() {
    for told in [
        told("success", "killed", "TERM"),
        told("timeout", "killed", "KILL"),
    ] {
        let with = account(&told, Some(&stopped("stop"))).unwrap();
        assert_eq!(with.announced.unwrap().text, "a stop job (5) was running");
        assert_eq!(account(&told, Some(&died())).unwrap().announced, None);
    }
    let start = Unit {
        job: Some((5, "start".into())),
        ..died()
    };
    assert_eq!(
        account(&told("exit-code", "exited", "1"), Some(&start))
            .unwrap()
            .announced,
        None
    );
}

#[test]
fn a_signal_by_which_systemd_stops_a_unit_is_no_fault_of_it() {
    let unit = |signals: &[&str]| Unit {
        stop_signals: signals.iter().map(|name| (*name).to_owned()).collect(),
        ..stopped("stop")
    };
    for (told, signals, is_harmless) in [
        (
            told("signal", "killed", "ABRT"),
            &["ABRT", "KILL"][..],
            true,
        ),
        (told("timeout", "dumped", "ABRT"), &["TERM", "ABRT"], true),
        (told("signal", "dumped", "ABRT"), &["TERM", "KILL"], false),
        (told("signal", "killed", "SEGV"), &["ABRT"], false),
        // The kernel may have killed it for want of memory meanwhile.
        (told("oom-kill", "killed", "KILL"), &["TERM", "KILL"], false),
    ] {
        let account = account(&told, Some(&unit(signals))).unwrap();
        let found = matches!(account.ending, Ending::Harmless { .. });
        assert_eq!(found, is_harmless, "{told:?}, {signals:?}");
        assert!(account.announced.is_some());
    }
}

#[test]
fn what_a_soft_reboot_kills_has_not_crashed() {
    // As systemd 257 said it of a service without DefaultDependencies=.
    let unit = |userspace| Unit {
        main_since: 1_329_223_447,
        main_until: 1_401_131_821,
        active_since: 1_329_254_933,
        active_until: 1_401_440_275,
        userspace,
        ..Unit::default()
    };
    let told = told("signal", "killed", "KILL");
    for (userspace, is_harmless) in [
        ((1_382_428_881, 0), true),
        ((1_382_428_881, 1_500_000_000), true),
        // It has survived the reboot, and was killed later.
        ((1_382_428_881, 1_390_000_000), false),
        // It is of this userspace.
        ((1_300_000_000, 1_310_000_000), false),
        ((0, 0), false),
    ] {
        let account = account(&told, Some(&unit(userspace))).unwrap();
        let found = matches!(account.ending, Ending::Harmless { .. });
        assert_eq!(found, is_harmless, "{userspace:?}");
    }
}

#[test]
fn who_died_before_the_stop_was_not_stopped() {
    let unit = Unit {
        job: Some((5, "stop".into())),
        ..died()
    };
    let told = told("signal", "killed", "KILL");
    let account_of = |unit: &Unit| account(&told, Some(unit)).unwrap();
    let died = account_of(&unit);
    assert_eq!(
        (&died.announced, died.ending.main().unwrap().pid),
        (&None, Some(7))
    );
    let remains = Unit {
        remains_after_exit: true,
        ..unit.clone()
    };
    assert!(
        account_of(&remains).announced.is_some(),
        "its main process had long been gone"
    );
    let never_up = Unit {
        active_since: 5,
        active_until: 6,
        ..unit
    };
    assert!(
        account_of(&never_up).announced.is_some(),
        "what an earlier life did tells nothing"
    );
}

#[test]
fn without_the_manager_what_may_be_a_stop_is_in_doubt_and_the_rest_is_not() {
    let doubt = |told: Told| {
        let ending = account(&told, None).unwrap().ending;
        matches!(ending, Ending::Doubtful { .. })
    };
    for (result, code, status) in [
        ("success", "killed", "TERM"),
        ("success", "exited", "0"),
        ("exit-code", "exited", "3"),
        ("timeout", "killed", "KILL"),
        ("signal", "", ""),
    ] {
        assert!(
            doubt(told(result, code, status)),
            "{result} {code} {status}"
        );
    }
    for (result, code, status) in [
        ("signal", "killed", "SEGV"),
        ("core-dump", "dumped", "ABRT"),
        ("watchdog", "killed", "ABRT"),
    ] {
        assert!(
            !doubt(told(result, code, status)),
            "{result} {code} {status}"
        );
    }
}

#[test]
fn when_the_job_is_over_only_who_died_first_was_not_stopped() {
    let late = |result: &str, unit: &Unit| {
        let told = Told {
            prefix: "MONITOR_",
            ..told(result, "exited", "3")
        };
        let ending = account(&told, Some(unit)).unwrap().ending;
        matches!(ending, Ending::Doubtful { .. })
    };
    let ended_by_systemd = Unit {
        main_until: 22,
        ..died()
    };
    for result in ["exit-code", "timeout"] {
        assert!(
            late(result, &ended_by_systemd) && !late(result, &died()),
            "{result}"
        );
    }
}

#[test]
fn what_cannot_be_run_or_is_not_up_in_time_has_failed_to_start() {
    let why = |told: Told, unit: &Unit| {
        let ending = account(&told, Some(unit)).unwrap().ending;
        ending.failed_start().unwrap().why.clone()
    };
    let not_up = Unit {
        main_since: 10,
        main_until: 20,
        ..Unit::default()
    };
    assert!(
        why(told("exit-code", "exited", "203"), &died())
            .starts_with("exit code 203: the program cannot")
    );
    let missing = Unit {
        command: "/srv/web".into(),
        ..died()
    };
    assert!(
        why(told("exit-code", "exited", "203"), &missing)
            .starts_with("exit code 203: /srv/web cannot be run: it is missing")
    );
    assert!(why(told("exit-code", "", ""), &Unit::default()).contains("ExecStartPre="));
    for (exit, expected) in [
        (Exit::Code(3), "ExecStartPre=/bin/check failed: exit code 3"),
        (
            Exit::Code(203),
            "ExecStartPre=/bin/check failed: exit code 203: /bin/check cannot be run: it is \
             missing, not executable or of no known format (EXEC)",
        ),
        (
            signal("KILL"),
            "ExecStartPre=/bin/check failed: killed by SIGKILL",
        ),
    ] {
        let failed_command = Some(FailedCommand {
            key: "ExecStartPre",
            program: "/bin/check".into(),
            exit,
        });
        let unit = Unit {
            failed_command,
            ..Unit::default()
        };
        assert_eq!(why(told("exit-code", "", ""), &unit), expected);
    }
    assert!(why(told("timeout", "killed", "TERM"), &not_up).contains("TimeoutStartSec="));
    let ran = account(&told("timeout", "killed", "TERM"), Some(&not_up)).unwrap();
    assert!(matches!(ran.ending, Ending::DiedStarting { .. }));
    assert_eq!(ran.ending.exit(), signal("TERM"));
    assert!(
        account(&told("timeout", "killed", "TERM"), Some(&died()))
            .unwrap()
            .ending
            .failed_start()
            .is_none()
    );
}

#[test]
fn the_last_word_on_where_the_output_goes_counts() {
    let file = |files: &[&str]| output_file(files.iter().map(|text| (*text).to_owned()));
    assert_eq!(
        file(&["[Service]\nStandardOutput = append:/var/log/web.log\n"]),
        Some("/var/log/web.log".into())
    );
    assert_eq!(
        file(&["StandardOutput=file:/a", "StandardOutput=truncate:/b"]),
        Some("/b".into())
    );
    assert_eq!(
        file(&["StandardOutput=file:/a", "StandardOutput=journal"]),
        None
    );
    assert_eq!(file(&["StandardOutput=file:/var/log/%n.log"]), None);
}

#[test]
fn nothing_told_is_no_account_and_odd_words_are_no_exit() {
    assert_eq!(account(&Told::default(), None), None);
    let exit = |code: &str, status: &str| {
        let ending = account(&told("new-word", code, status), None)
            .unwrap()
            .ending;
        ending.main().map(|main| main.exit.clone())
    };
    assert_eq!(exit("killed", "SEGV"), Some(signal("SEGV")));
    assert_eq!(
        (
            exit("killed", "a b"),
            exit("killed", ""),
            exit("exited", "x"),
            exit("", "1")
        ),
        (None, None, None, None)
    );
}
