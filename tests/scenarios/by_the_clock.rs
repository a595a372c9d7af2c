//! Jobs that run by the clock: the next run that ends well is their recovery, and a run that is
//! missing is told.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::flood::{deliver, hook, lines, machine, set, told};
use crate::support::harness::{Harness, names_in, wait_for};

/// Runs a command of the job `backup` that ends with this code.
fn run(machine: &Harness, code: u8) {
    run_as(machine, None, code);
}

fn run_as(machine: &Harness, instance: Option<&str>, code: u8) {
    let mut run: Command = machine.command("run");
    run.args(["--job", "backup"]);
    run.args(instance.iter().flat_map(|name| ["--instance", name]));
    run.args(["--", "/bin/sh", "-c", &format!("exit {code}")]);
    run.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(run.status().unwrap().code(), Some(code.into()));
    machine.settle();
}

/// Returns a machine that expects a run of `backup`, and has looked once.
fn expecting(every: &str) -> Harness {
    let machine = machine(&["one"]);
    let toml = format!("expect = \"every {every}\"\n[collect]\n");
    machine.configure("backup", &toml);
    deliver(&machine, 0);
    machine
}

/// Makes what is known of each service so many minutes older, as if it were from before a reboot.
fn age(machine: &Harness, minutes: u64) {
    let dir = machine.spool.join("state/expected");
    for name in names_in(&dir) {
        let text = fs::read_to_string(dir.join(&name)).unwrap();
        let mut known: Value = serde_json::from_str(&text).unwrap();
        let at = humantime::parse_rfc3339(known["since"]["at"].as_str().unwrap()).unwrap();
        let at = at - std::time::Duration::from_secs(minutes * 60);
        known["since"]["at"] = json!(humantime::format_rfc3339_millis(at).to_string());
        known["since"]["boot_id"] = json!("an earlier one");
        fs::write(dir.join(&name), known.to_string()).unwrap();
    }
}

const CRASHED: &str = "backup crashed: exit code 1, cause unknown";
const WELL: &str = "backup ended well, after exit code 1";

#[test]
fn the_next_success_of_a_command_is_its_recovery() {
    let machine = machine(&["one"]);
    run(&machine, 1);
    deliver(&machine, 11);
    assert_eq!(told(&machine, "one"), [CRASHED]);
    run(&machine, 0);
    deliver(&machine, 11);
    assert_eq!(told(&machine, "one")[1..], [WELL]);
    run(&machine, 0);
    deliver(&machine, 11);
    assert_eq!(told(&machine, "one").len(), 2);
}

#[test]
fn of_several_instances_that_ended_well_none_is_said_to_be_up() {
    let machine = Harness::new();
    machine.keep_messages();
    for code in [1, 0] {
        for instance in ["a", "b"] {
            run_as(&machine, Some(instance), code);
        }
    }
    deliver(&machine, 11);
    let told = machine.messages();
    let last = told.last().unwrap();
    assert!(
        last.starts_with("backup ended well, after exit code 1"),
        "{last}"
    );
    let now = last.lines().find_map(|line| line.strip_prefix("Now "));
    let well = "all 2 not running: its last run ended well";
    assert_eq!(now.map(str::trim), Some(well), "{last}");
}

#[test]
fn a_success_before_the_failure_is_no_recovery() {
    let machine = machine(&["one"]);
    run(&machine, 0);
    run(&machine, 1);
    deliver(&machine, 60);
    assert_eq!(told(&machine, "one"), [CRASHED]);
}

#[test]
fn a_failure_a_month_ago_is_recovered_by_the_next_success() {
    let machine = machine(&["one"]);
    run(&machine, 1);
    run(&machine, 0);
    deliver(&machine, 31 * 24 * 60);
    assert_eq!(told(&machine, "one"), [CRASHED, WELL]);
}

#[test]
fn a_task_of_upstarts_that_ends_well_makes_no_report_and_is_the_recovery() {
    let machine = machine(&["one"]);
    let conf = machine.root.join("etc/init/backup.conf");
    fs::write(conf, "task\nexec /srv/backup\n").unwrap();
    hook(&machine, "backup", "pre-start");
    machine.kernel_log("init: backup main process (4242) terminated with status 1");
    hook(&machine, "backup", "post-stop");
    machine.settle();
    hook(&machine, "backup", "pre-start");
    hook(&machine, "backup", "post-stop");
    machine.settle();
    deliver(&machine, 11);
    assert_eq!(told(&machine, "one"), [CRASHED, WELL]);
}

#[test]
fn a_run_that_somebody_has_stopped_has_not_ended_well() {
    let machine = machine(&["one"]);
    let toml = "expect = \"every 24h\"\nnormal_exit = [0]\n[collect]\n";
    machine.configure("backup", toml);
    run(&machine, 1);
    hook(&machine, "backup", "pre-start");
    hook(&machine, "backup", "pre-stop");
    hook(&machine, "backup", "post-stop");
    machine.settle();
    deliver(&machine, 11);
    assert_eq!(told(&machine, "one"), [CRASHED]);
}

#[test]
fn a_run_that_never_comes_is_told_once_and_then_as_a_reminder() {
    let machine = expecting("24h");
    deliver(&machine, 26 * 60);
    assert_eq!(told(&machine, "one").len(), 0);
    deliver(&machine, 27 * 60);
    deliver(&machine, 27 * 60 + 30);
    let first = told(&machine, "one");
    assert_eq!(first.len(), 1, "{first:?}");
    let missing = "backup has not been seen to run since 20";
    assert!(first[0].starts_with(missing), "{first:?}");
    deliver(&machine, 28 * 60 + 1);
    let still = missing.replace("backup", "backup still");
    let reminder = told(&machine, "one")[1].clone();
    assert!(
        reminder.starts_with(&still) && reminder.ends_with(": it is 4 h overdue"),
        "{reminder}"
    );
    deliver(&machine, 30 * 60);
    assert_eq!(told(&machine, "one").len(), 2);
    deliver(&machine, 53 * 60);
    assert!(told(&machine, "one")[2].starts_with(&still));
}

#[test]
fn a_run_that_is_missing_is_told_with_when_the_last_one_was_though_the_machine_was_booted_anew() {
    let machine = expecting("24h");
    run(&machine, 0);
    fs::remove_dir_all(&machine.run).unwrap();
    deliver(&machine, 26 * 60);
    assert_eq!(told(&machine, "one").len(), 0);
    deliver(&machine, 27 * 60);
    let said = told(&machine, "one");
    assert!(
        said[0].starts_with("backup has not run since 20"),
        "{said:?}"
    );
}

#[test]
fn the_next_success_ends_that_a_run_is_missing() {
    let machine = expecting("10m");
    age(&machine, 12);
    deliver(&machine, 0);
    assert_eq!(told(&machine, "one").len(), 1);
    run(&machine, 0);
    // At once: nothing can flap between two runs.
    deliver(&machine, 0);
    let said = told(&machine, "one");
    let well = "backup ended well, after no run had since 20";
    assert!(said[1].starts_with(well), "{said:?}");
    // No reminder: it was due an hour after the first message.
    let missing = "backup has not run since 20";
    deliver(&machine, 70);
    assert!(told(&machine, "one")[2].starts_with(missing));
    assert_eq!(told(&machine, "one").len(), 3);
}

#[test]
fn each_missing_run_is_one_message_with_its_own_moment() {
    let machine = expecting("10m");
    age(&machine, 12);
    deliver(&machine, 0);
    run(&machine, 0);
    deliver(&machine, 0);
    // Traces of that run would make it younger again.
    fs::remove_dir_all(&machine.run).unwrap();
    age(&machine, 30);
    deliver(&machine, 0);
    deliver(&machine, 6);
    deliver(&machine, 20);
    let said = told(&machine, "one");
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[2].starts_with("backup has not run since 20"));
    let since = |title: &str| title.rsplit_once("since ").unwrap().1.to_owned();
    assert_ne!(since(&said[0]), since(&said[2]));
    deliver(&machine, 61);
    let reminder = told(&machine, "one").pop().unwrap();
    let still = format!("backup still has not run since {}: ", since(&said[2]));
    assert!(reminder.starts_with(&still), "{reminder}");
}

#[test]
fn every_message_of_a_missing_run_is_a_sentence_and_says_how_it_is_now() {
    let machine = Harness::new();
    machine.keep_messages();
    machine.configure("backup", "expect = \"every 24h\"\n[collect]\n");
    deliver(&machine, 0);
    deliver(&machine, 27 * 60);
    run(&machine, 1);
    let texts = machine.messages();
    let lines = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().trim().to_owned()
    };
    let [missing, crashed] = texts.as_slice() else {
        panic!("{texts:#?}")
    };
    let what = "backup has not been seen to run: no run of it has ended well since 20";
    assert!(lines(missing, "What ").starts_with(what), "{missing}");
    let why = "it has not been seen to run since 20";
    assert!(lines(missing, "Why ").starts_with(why), "{missing}");
    assert_eq!(lines(missing, "Now "), "no run of it has been seen");
    let now = "not running: a run that ends well is expected by 20";
    assert!(lines(crashed, "Now ").starts_with(now), "{crashed}");
    deliver(&machine, 28 * 60 + 1);
    let reminder = machine.messages().pop().unwrap();
    // One has run since.
    let what = "backup still has not been seen to end well: it is 4 h overdue; no run of it";
    assert!(lines(&reminder, "What ").starts_with(what), "{reminder}");
    let why = ", and one is expected every 1 d; the last one failed at 20";
    assert!(reminder.contains(why), "{reminder}");
    let failed = lines(&reminder, "What ");
    assert!(
        failed.ends_with(" UTC: exit code 1, cause unknown"),
        "{reminder}"
    );
    assert!(
        lines(&reminder, "When ").starts_with("due by 20"),
        "{reminder}"
    );
    let mut list = machine.command("list");
    let list = list.args(["--kind", "down"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.contains("still has not been seen to end well since 20"),
        "{list}"
    );
}

#[test]
fn a_run_that_is_under_way_when_it_is_overdue_is_said_to_run() {
    let machine = Harness::new();
    machine.keep_messages();
    machine.configure("backup", "expect = \"every 10m\"\n[collect]\n");
    deliver(&machine, 0);
    let gate = machine.path("gate");
    let gated = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    let mut run = machine.command("run");
    let run = run.args(["--job", "backup", "--", "/bin/sh", "-c", &gated]);
    let mut run = run.spawn().unwrap();
    wait_for("its marker", || !machine.markers().is_empty());
    age(&machine, 12);
    deliver(&machine, 0);
    deliver(&machine, 61);
    machine.open_gate();
    assert!(run.wait().unwrap().success());
    let texts = machine.messages();
    assert!(texts.len() >= 2, "{texts:#?}");
    for text in &texts[..2] {
        let said = |line: &str| text.contains(line);
        assert!(said("been seen to end well since 20"), "{text}");
        assert!(said("\nNow      running since "), "{text}");
    }
    machine.settle();
}

#[test]
fn a_run_that_was_stopped_has_run_but_not_ended_well() {
    let machine = expecting("10m");
    run(&machine, 0);
    age(&machine, 12);
    let markers = machine.run.join("markers");
    for name in names_in(&markers).iter().filter(|it| it.ends_with("~well")) {
        fs::remove_file(markers.join(name)).unwrap();
    }
    for name in ["pre-start", "pre-stop", "post-stop"] {
        hook(&machine, "backup", name);
    }
    machine.settle();
    deliver(&machine, 0);
    let said = told(&machine, "one");
    assert!(
        said[0].starts_with("backup has not ended well since 20"),
        "{said:?}"
    );
}

#[test]
fn a_job_of_crons_waits_for_its_next_time() {
    let machine = Harness::new();
    machine.keep_messages();
    let dir = machine.root.join("etc/cron.d");
    fs::create_dir_all(&dir).unwrap();
    let line = "0 3 * * * root lastwords run --job backup -- /bin/backup\n";
    fs::write(dir.join("backup"), line).unwrap();
    run(&machine, 1);
    let text = machine.messages().pop().unwrap();
    let now = "Now      not running: cron starts it again (/etc/cron.d/backup:1)";
    assert!(text.contains(now), "{text}");
}

#[test]
fn a_job_whose_runs_all_fail_has_not_ended_well() {
    let machine = expecting("10m");
    run(&machine, 0);
    age(&machine, 12);
    fs::remove_dir_all(&machine.run).unwrap();
    run(&machine, 1);
    deliver(&machine, 0);
    let mut said = told(&machine, "one");
    said.sort();
    assert_eq!(said[0], CRASHED);
    assert!(
        said[1].starts_with("backup has not ended well since 20"),
        "{said:?}"
    );
}

#[test]
fn each_instance_of_a_job_is_expected_to_run() {
    let machine = expecting("10m");
    run_as(&machine, Some("a"), 0);
    run_as(&machine, Some("b"), 0);
    age(&machine, 12);
    fs::remove_dir_all(&machine.run).unwrap();
    run_as(&machine, Some("b"), 0);
    deliver(&machine, 0);
    let said = told(&machine, "one");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("backup (a) has not run since 20"),
        "{said:?}"
    );
}

#[test]
fn a_job_that_is_expected_no_more_is_forgotten_and_a_broken_file_changes_nothing() {
    let machine = expecting("10m");
    age(&machine, 12);
    machine.configure("backup", "expect = \"daily\"\n");
    let mut deliver_anyway = machine.command("deliver");
    assert_eq!(deliver_anyway.status().unwrap().code(), Some(0));
    let kept = || names_in(&machine.spool.join("state/expected")).len();
    assert_eq!((kept(), told(&machine, "one").len()), (1, 0));
    machine.configure("backup", "[collect]\n");
    deliver(&machine, 0);
    assert_eq!((kept(), told(&machine, "one").len()), (0, 0));
}

#[test]
fn a_run_that_was_missing_is_back_though_a_run_has_failed_just_before() {
    let machine = expecting("1h");
    age(&machine, 70);
    deliver(&machine, 0);
    run(&machine, 1);
    run(&machine, 0);
    deliver(&machine, 0);
    let said = told(&machine, "one");
    let last = said.last().unwrap();
    let well = "backup ended well, after no run had since 20";
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(last.starts_with(well), "{said:#?}");
    assert!(last.contains(", and 1 other cause (2 times"), "{said:#?}");
    // One good end is told once, and nothing is summed up after it.
    run(&machine, 0);
    for minutes in [6, 11, 59] {
        deliver(&machine, minutes);
    }
    assert_eq!(told(&machine, "one").len(), 3);
}

/// A run is missing, and then one ends well, at the same time of day.
fn misses_one(machine: &Harness, minutes: u64) {
    // Traces of the last run would make it younger again.
    let _ = fs::remove_dir_all(&machine.run);
    age(machine, minutes);
    deliver(machine, 0);
}

#[test]
fn however_many_runs_are_missing_what_was_told_is_told_to_be_over_and_a_summary_names_the_rest() {
    let machine = expecting("2h");
    let said = || told(&machine, "one");
    for round in 1..=2 {
        misses_one(&machine, 140);
        run(&machine, 0);
        deliver(&machine, 0);
        assert_eq!(said().len(), 2 * round, "{:#?}", said());
    }
    // The third of the hour waits for a summary, five minutes.
    misses_one(&machine, 140);
    deliver(&machine, 4);
    assert_eq!(said().len(), 4, "{:#?}", said());
    deliver(&machine, 6);
    let summary = said().split_off(4);
    assert_eq!(summary.len(), 1, "{summary:#?}");
    let missed = "backup missed its time again: no run had ended well since 20";
    assert!(summary[0].starts_with(missed), "{summary:#?}");
    // No reminder before its time, which counts from there.
    deliver(&machine, 62);
    assert_eq!(said().len(), 5, "{:#?}", said());
    run(&machine, 0);
    deliver(&machine, 6);
    assert!(said()[5].starts_with("backup ended well, after no run had since 20"));
    // Two more that are over before anybody was told are in one message, in their time.
    for _ in 0..2 {
        misses_one(&machine, 140);
        run(&machine, 0);
        deliver(&machine, 0);
    }
    deliver(&machine, 20);
    assert_eq!(said().len(), 6, "{:#?}", said());
    deliver(&machine, 67);
    let last = said().split_off(6);
    assert_eq!(last.len(), 1, "{last:#?}");
    let well = "backup ended well, after no run had since 20";
    assert!(
        last[0].starts_with(well) && last[0].contains(" (2 times"),
        "{last:#?}"
    );
}

#[test]
fn a_reminder_follows_only_what_was_told() {
    let machine = expecting("2h");
    set(&machine, "one.exit", "1");
    misses_one(&machine, 140);
    deliver(&machine, 61);
    let offered = lines(&machine, "one.offered");
    assert!(
        offered.iter().all(|(_, title)| !title.contains("still")),
        "{offered:#?}"
    );
    fs::remove_file(machine.path("one.exit")).unwrap();
    deliver(&machine, 125);
    deliver(&machine, 125);
    let missing = told(&machine, "one");
    assert_eq!(missing.len(), 1, "{missing:#?}");
    assert!(missing[0].starts_with("backup has not been seen to run since 20"));
    deliver(&machine, 186);
    assert!(told(&machine, "one")[1].starts_with("backup still has not been seen"));
}

#[test]
fn where_no_deliverer_looks_check_and_doctor_say_that_no_missing_run_is_told() {
    let machine = machine(&["one"]);
    machine.configure("backup", "expect = \"every 24h\"\n[collect]\n");
    run(&machine, 0);
    let said = |verb: &str, args: &[&str]| {
        let output = machine.command(verb).args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let unwatched = "warning: no deliverer looks regularly here, and it alone finds out that a run \
                     is missing";
    let lost = "none looks regularly: that a run is missing is not told";
    assert!(
        said("check", &[]).contains(unwatched),
        "{}",
        said("check", &[])
    );
    assert!(said("doctor", &["backup"]).contains(lost));
    deliver(&machine, 0);
    assert!(!said("check", &[]).contains(unwatched));
    assert!(!said("doctor", &["backup"]).contains(lost));
}

#[test]
fn doctor_says_when_a_run_ended_well_last() {
    let machine = expecting("24h");
    let expected = || {
        let mut doctor = machine.command("doctor");
        let output = doctor.args(["backup", "--json"]).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = found[0]["checks"].as_array().unwrap().clone();
        let check = checks.into_iter().find(|it| it["about"] == "expected");
        let check = check.unwrap();
        format!(
            "{}: {}",
            check["state"].as_str().unwrap(),
            check["text"].as_str().unwrap()
        )
    };
    let never = "ok: a run is expected every 1 d; none has been seen to end well yet, since 20";
    assert!(expected().starts_with(never), "{}", expected());
    run(&machine, 0);
    let ok = "ok: a run is expected every 1 d; the last one ended well ";
    assert!(expected().starts_with(ok), "{}", expected());
    run(&machine, 3);
    let said = expected();
    let failed = said.strip_prefix("weak: a run is expected every 1 d; the last one failed ");
    let failed = failed.unwrap_or_else(|| panic!("{said}"));
    let because = " (exit code 3), and none has ended well since 20";
    assert!(failed.contains(because), "{said}");
    deliver(&machine, 27 * 60);
    let weak = "weak: a run is expected every 1 d; none has ended well since 20";
    assert!(expected().starts_with(weak), "{}", expected());
}
