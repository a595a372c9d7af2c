//! Services that crash of many causes: few messages all the same, and every crash is counted in one.

use std::fs;

use serde_json::{Value, json};

use super::flood::{deliver, hook, in_place, lines, machine, set, told};
use crate::support::harness::{Harness, names_in};

/// A crash of `web` with each of these exit codes, each a cause of its own.
fn crash(machine: &Harness, codes: impl IntoIterator<Item = u32>) {
    for code in codes {
        hook(machine, "web", "pre-start");
        machine.kernel_log(format!(
            "init: web main process (4242) terminated with status {code}"
        ));
        hook(machine, "web", "post-stop");
        machine.wait_for_workers();
    }
    machine.settle();
}

/// A crash of `web` for each of these words in an error of its log.
fn crash_saying(machine: &Harness, words: &[&str]) {
    machine.configure("web", "[[collect.log]]\npath = '/var/log/web.log'\n");
    for word in words {
        let log = format!(
            "Traceback (most recent call last):\n  File \"/srv/a.py\", line 3, in <module>\n    \
             f()\nValueError: unknown customer {word}\n"
        );
        fs::write(machine.root.join("var/log/web.log"), log).unwrap();
        crash(machine, [1]);
    }
}

fn says(machine: &Harness, command: &str, args: &[&str]) -> String {
    let output = machine.command(command).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_error_with_another_word_each_time_is_one_cause() {
    let machine = machine(&["one"]);
    crash_saying(
        &machine,
        &["alice", "bob", "carol", "dave", "erin", "frank"],
    );
    assert_eq!(
        told(&machine, "one"),
        ["web crashed: ValueError: unknown customer alice at /srv/a.py:3"]
    );
    deliver(&machine, 6);
    let summary = told(&machine, "one").pop().unwrap();
    assert!(
        summary.starts_with("web kept crashing: ValueError: unknown customer")
            && summary.contains("(5 times"),
        "{summary}"
    );
}

#[test]
fn crashes_of_twelve_causes_make_four_reports_a_summary_that_counts_each_and_one_up_again() {
    let machine = machine(&["one"]);
    crash(&machine, 1..=12);
    let of = |code| format!("web crashed: exit code {code}, cause unknown");
    assert_eq!(told(&machine, "one"), [1, 2, 3, 4].map(of));
    let queue = says(&machine, "queue", &[]);
    assert!(
        queue.contains("8 more of web counted for one: summary in "),
        "{queue}"
    );
    deliver(&machine, 2);
    assert_eq!(told(&machine, "one").len(), 4);

    deliver(&machine, 6);
    let summary = &told(&machine, "one")[4..];
    assert_eq!(summary.len(), 1, "{summary:?}");
    assert!(
        summary[0].starts_with("web kept crashing: exit code ")
            && summary[0].contains(", and 7 other causes (8 times"),
        "{summary:?}"
    );
    let id = says(&machine, "list", &["--json", "--kind", "summary"]);
    let id = serde_json::from_str::<Value>(&id).unwrap()["id"].take();
    let shown = says(&machine, "show", &[id.as_str().unwrap()]);
    assert_eq!(shown.matches("once: exit code ").count(), 5, "{shown}");
    assert!(shown.contains("3 times: of 3 other causes\n"), "{shown}");

    // Each of the eight says which message told of it.
    let rows = says(&machine, "list", &["--json", "--all", "--kind", "crash"]);
    let told_by: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["told"]["one"].take())
        .filter(|told| told["state"] == "summarised")
        .collect();
    assert_eq!(told_by.len(), 8, "{rows}");
    assert!(told_by.iter().all(|told| told["in"] == id), "{told_by:?}");

    hook(&machine, "web", "pre-start");
    for minutes in [20, 25] {
        deliver(&machine, minutes);
        let up = &told(&machine, "one")[5..];
        assert_eq!(up.len(), 1, "{up:?}");
        assert!(
            up[0].starts_with("web is up again: running for ")
                && up[0].contains(", and 11 other causes (12 times"),
            "{up:?}"
        );
    }
}

#[test]
fn a_deliverer_killed_after_a_summary_of_many_causes_was_taken_repeats_its_id() {
    let machine = machine(&["one"]);
    crash(&machine, 1..=8);
    set(&machine, "one.kill", "");
    let killed = machine.command("deliver").args(["--later", "6m"]).status();
    assert!(!killed.unwrap().success());
    deliver(&machine, 6);
    deliver(&machine, 30);
    let told = lines(&machine, "one.told");
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(told[4], told[5]);
    assert!(
        told[5].1.contains(", and 3 other causes (4 times"),
        "{told:?}"
    );
}

#[test]
fn a_sink_that_was_down_gets_four_reports_and_a_summary_of_the_other_causes() {
    let machine = machine(&["one"]);
    set(&machine, "one.exit", "1");
    crash(&machine, 1..=10);
    assert_eq!(
        in_place(&machine, "new"),
        4,
        "only those that are told wait"
    );
    fs::remove_file(machine.path("one.exit")).unwrap();
    deliver(&machine, 65);
    deliver(&machine, 71);
    let told = told(&machine, "one");
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(
        told[4].contains(", and 5 other causes (6 times"),
        "{told:?}"
    );
    assert_eq!(in_place(&machine, "new"), 0);
}

/// Rewrites what is kept as the version before kept it, under another fingerprint and with seven
/// more crashes that wait.
fn make_older(machine: &Harness) {
    let dir = machine.spool.join("state/groups/one");
    let [name] = names_in(&dir).try_into().unwrap();
    let kept: Value = serde_json::from_slice(&fs::read(dir.join(&name)).unwrap()).unwrap();
    fs::remove_file(dir.join(name)).unwrap();
    let (mut about, talk) = (kept["about"].clone(), &kept["talk"]);
    about["fingerprint"] = "00112233aabbccdd".into();
    let group = talk["groups"].as_object().unwrap().values().next().unwrap();
    let at = &talk["brake"]["taken"][0]["at"];
    let old = json!({
        "sink": "one",
        "about": about,
        "thread": {
            "open": null, "latest": talk["latest"], "taken": [at], "since": at, "refused": false,
            "messages": 1, "waiting": { "count": 7, "first": at, "last": at },
            "row": group["row"], "instances": [null], "resolved": false, "counted": {},
        },
    });
    fs::write(dir.join("web%0000112233aabbccdd%00"), old.to_string()).unwrap();
}

#[test]
fn a_conversation_of_the_version_before_goes_on_and_ends_once() {
    let machine = machine(&["one"]);
    crash_saying(&machine, &["alice"]);
    make_older(&machine);
    crash_saying(&machine, &["bob"]);
    let told = || told(&machine, "one");
    assert_eq!(told().len(), 1, "{:?}", told());
    deliver(&machine, 6);
    let summary = told().pop().unwrap();
    assert!(summary.contains("(8 times"), "{summary}");
    assert_eq!(
        names_in(&machine.spool.join("state/groups/one")),
        ["web%00"]
    );
    hook(&machine, "web", "pre-start");
    deliver(&machine, 20);
    deliver(&machine, 25);
    let up = &told()[2..];
    assert!(
        up.len() == 1 && up[0].starts_with("web is up again"),
        "{up:?}"
    );
}
