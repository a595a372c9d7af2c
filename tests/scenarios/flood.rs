//! Services that crash again and again: there are few messages, and each crash is counted in one of
//! them.

use std::fs;
use std::process::Stdio;

use crate::support::harness::{Harness, names_in};

/// Returns the config of a sink that adds the id and title of each message to `NAME.offered`, and
/// to `NAME.told` if it takes the message. It hangs while there is a `NAME.hang`, and exits with
/// the code in `NAME.exit`. If `NAME.kill` exists, it takes the message, removes the file and kills
/// the deliverer.
fn sink(machine: &Harness, name: &str) -> String {
    let at = machine.path(name);
    let at = at.display();
    let script = format!(
        "line=\"$(sed -n 's/^  \"id\": \"\\(.*\\)\",$/\\1/p' $LASTWORDS_REPORT_DIR/report.json) \
         $(head -n 1 $LASTWORDS_REPORT_DIR/report.txt)\"; echo \"$line\" >>{at}.offered; \
         while [ -e {at}.hang ]; do sleep 0.05; done; [ ! -e {at}.exit ] || exit $(cat {at}.exit); echo \"$line\" >>{at}.told; \
         [ ! -e {at}.kill ] || {{ rm {at}.kill; kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat); }}"
    );
    format!("[[sink.exec]]\nname = '{name}'\ncommand = ['/bin/sh', '-c', '''{script}''']\n")
}

pub fn machine(sinks: &[&str]) -> Harness {
    let machine = Harness::new();
    // Collecting takes time and makes no difference here.
    let sinks: String = sinks.iter().map(|name| sink(&machine, name)).collect();
    fs::write(
        machine.config.join("lastwords.toml"),
        format!("{sinks}[default.collect]\n"),
    )
    .unwrap();
    machine
}

pub fn set(machine: &Harness, file: &str, text: &str) {
    fs::write(machine.path(file), text).unwrap();
}

/// Returns the ids and titles in a file.
pub fn lines(machine: &Harness, file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(machine.path(file)).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, title)| (id.to_owned(), title.to_owned()))
        .collect()
}

pub fn told(machine: &Harness, sink: &str) -> Vec<String> {
    lines(machine, &format!("{sink}.told"))
        .into_iter()
        .map(|(_, title)| title)
        .collect()
}

pub fn hook(machine: &Harness, job: &str, name: &str) {
    hook_of(machine, job, "", name);
}

fn hook_of(machine: &Harness, job: &str, instance: &str, name: &str) {
    let mut hook = machine.hook_command(name);
    hook.envs([("UPSTART_JOB", job), ("UPSTART_INSTANCE", instance)])
        .stdin(Stdio::null());
    assert!(hook.status().unwrap().success());
}

/// Lets each of these instances of `web` crash. They are not started again.
fn crash_instances(machine: &Harness, instances: &[&str]) {
    for instance in instances {
        hook_of(machine, "web", instance, "pre-start");
        machine.kernel_log(format!(
            "init: web ({instance}) main process (4242) terminated with status 1"
        ));
        hook_of(machine, "web", instance, "post-stop");
        machine.wait_for_workers();
    }
    machine.settle();
}

pub fn crash(machine: &Harness, job: &str, times: usize) {
    for _ in 0..times {
        hook(machine, job, "pre-start");
        machine.kernel_log(format!(
            "init: {job} main process (4242) terminated with status 1"
        ));
        hook(machine, job, "post-stop");
        // On a busy machine the hook returns before its worker is done. The next life's line must
        // not be in the log before that.
        machine.wait_for_workers();
    }
    machine.settle();
}

/// Runs a pass of the deliverer as if it were `minutes` later.
pub fn deliver(machine: &Harness, minutes: u32) -> String {
    let output = machine
        .command("deliver")
        .args(["--later", &format!("{minutes}m")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn in_place(machine: &Harness, place: &str) -> usize {
    names_in(&machine.spool.join(place)).len()
}

/// Returns a machine that has sent messages of every kind: crashes, a summary, a recovery and a
/// notice.
pub fn machine_with_every_kind() -> Harness {
    let machine = machine(&["one", "two"]);
    crash(&machine, "web", 3);
    deliver(&machine, 6);
    hook(&machine, "web", "pre-start");
    deliver(&machine, 80);
    set(&machine, "two.exit", "100");
    crash(&machine, "feed", 1);
    machine
}

#[test]
fn two_hundred_crashes_make_one_message_now_and_summaries_later_and_one_when_it_is_up_again() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 200);
    assert_eq!(
        told(&machine, "one"),
        ["web crashed: exit code 1, cause unknown"]
    );
    assert_eq!(
        (in_place(&machine, "new"), in_place(&machine, "done")),
        (0, 200)
    );
    // The summary is due 5 minutes after the first message. On a busy machine some of them have
    // passed already.
    deliver(&machine, 2);
    assert_eq!(told(&machine, "one").len(), 1);

    let said = deliver(&machine, 6);
    assert!(
        said.contains("is for one: ") && said.contains("sent to one"),
        "{said}"
    );
    let summary = &told(&machine, "one")[1];
    assert!(
        summary.starts_with("web kept crashing: exit code 1, cause unknown (199 times"),
        "{summary}"
    );
    let shown = machine.command("show").output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains(" died 200 times in 24 hours\n"), "{shown}");

    crash(&machine, "web", 3);
    deliver(&machine, 50);
    assert_eq!(told(&machine, "one").len(), 2);
    deliver(&machine, 67);
    let summary = &told(&machine, "one")[2];
    assert!(
        summary.starts_with("web kept crashing: exit code 1, cause unknown (3 times"),
        "{summary}"
    );

    // The service is down, so no message says that it is up.
    deliver(&machine, 90);
    assert_eq!(told(&machine, "one").len(), 3);
    hook(&machine, "web", "pre-start");
    for _ in 0..2 {
        deliver(&machine, 91);
        let up = &told(&machine, "one")[3..];
        assert_eq!(up.len(), 1, "{up:?}");
        assert!(
            up[0].starts_with("web is up again: running for 2 h, after exit code 1 (203 times"),
            "{up:?}"
        );
    }
}

#[test]
fn a_group_is_not_called_up_again_while_one_of_its_two_instances_is_down() {
    let machine = machine(&["one"]);
    crash_instances(&machine, &["a", "b"]);
    deliver(&machine, 6);
    assert_eq!(told(&machine, "one").len(), 2);
    hook_of(&machine, "web", "b", "pre-start");
    deliver(&machine, 80);
    assert_eq!(told(&machine, "one").len(), 2);
    hook_of(&machine, "web", "a", "pre-start");
    deliver(&machine, 81);
    let up = &told(&machine, "one")[2..];
    assert_eq!(up.len(), 1, "{up:?}");
    assert!(up[0].starts_with("web is up again"), "{up:?}");
}

#[test]
fn a_marker_of_an_earlier_boot_calls_nothing_up_again() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 1);
    hook(&machine, "web", "pre-start");
    let marker = machine.run.join("markers/web");
    let ours = fs::read_to_string(&marker).unwrap();
    let mut earlier: serde_json::Value = serde_json::from_str(&ours).unwrap();
    earlier["boot_id"] = "00000000-0000-4000-8000-000000000000".into();
    fs::write(&marker, earlier.to_string()).unwrap();
    deliver(&machine, 15);
    assert_eq!(told(&machine, "one").len(), 1);
    fs::write(&marker, ours).unwrap();
    deliver(&machine, 15);
    let up = &told(&machine, "one")[1..];
    assert!(up.len() == 1 && up[0].contains("is up again"), "{up:?}");
}

#[test]
fn a_sink_that_refuses_a_recovery_is_not_offered_it_at_every_pass() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 1);
    hook(&machine, "web", "pre-start");
    set(&machine, "one.exit", "100");
    for (minutes, offered) in [(15, 2), (20, 2), (70, 2), (80, 3)] {
        deliver(&machine, minutes);
        let seen = lines(&machine, "one.offered");
        assert_eq!(seen.len(), offered, "after {minutes} minutes: {seen:?}");
    }
}

#[test]
fn crashes_after_a_recovery_are_counted_anew() {
    let machine = machine(&["one"]);
    crash_instances(&machine, &["a", "b"]);
    hook_of(&machine, "web", "a", "pre-start");
    hook_of(&machine, "web", "b", "pre-start");
    deliver(&machine, 15);
    crash_instances(&machine, &["c", "c"]);
    // The first crash gets a message of its own; the second is in a summary 5 minutes later.
    deliver(&machine, 7);
    assert_eq!(
        told(&machine, "one"),
        [
            "web (a) crashed: exit code 1, cause unknown",
            "web is up again: running for 15 min, after exit code 1 (2 times)",
            "web (c) crashed: exit code 1, cause unknown",
            "web (c) crashed again: exit code 1, cause unknown",
        ]
    );
}

#[test]
fn a_group_that_is_up_again_is_remembered_for_an_hour_after_its_last_message() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 1);
    hook(&machine, "web", "pre-start");
    for (minutes, kept) in [(15, 1), (60, 1), (80, 0)] {
        deliver(&machine, minutes);
        assert_eq!(told(&machine, "one").len(), 2);
        let groups = in_place(&machine, "state/groups/one");
        assert_eq!(groups, kept, "after {minutes} minutes");
    }
}

#[test]
fn a_sink_that_was_down_gets_one_message_and_a_summary_of_the_rest() {
    let machine = machine(&["one", "two"]);
    set(&machine, "two.exit", "1");
    crash(&machine, "web", 20);
    assert_eq!(
        (told(&machine, "one").len(), told(&machine, "two").len()),
        (1, 0)
    );
    assert_eq!(in_place(&machine, "new"), 1, "only the first one waits");
    fs::remove_file(machine.path("two.exit")).unwrap();
    deliver(&machine, 55);
    assert_eq!(
        told(&machine, "two"),
        ["web crashed: exit code 1, cause unknown"]
    );
    deliver(&machine, 61);
    assert_eq!(told(&machine, "two").len(), 2);
    for sink in ["one", "two"] {
        assert!(
            told(&machine, sink)[1]
                .starts_with("web kept crashing: exit code 1, cause unknown (19 times"),
            "{sink}"
        );
    }
    assert_eq!(in_place(&machine, "new"), 0);
}

#[test]
fn a_deliverer_that_was_killed_after_the_sink_took_a_message_repeats_its_id() {
    let machine = machine(&["one"]);
    set(&machine, "one.kill", "");
    crash(&machine, "web", 1);
    crash(&machine, "web", 4);
    set(&machine, "one.kill", "");
    assert!(
        !machine
            .command("deliver")
            .args(["--later", "6m"])
            .status()
            .unwrap()
            .success()
    );
    deliver(&machine, 6);
    deliver(&machine, 30);
    let told = lines(&machine, "one.told");
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!((&told[0], &told[2]), (&told[1], &told[3]));
    assert!(
        told[2]
            .1
            .starts_with("web kept crashing: exit code 1, cause unknown (4 times"),
        "{told:?}"
    );
}

#[test]
fn crashes_of_one_job_hold_back_no_message_about_another() {
    let machine = machine(&["one"]);
    for _ in 0..3 {
        crash(&machine, "web", 1);
        crash(&machine, "db", 1);
    }
    assert_eq!(
        told(&machine, "one"),
        [
            "web crashed: exit code 1, cause unknown",
            "db crashed: exit code 1, cause unknown"
        ]
    );
    deliver(&machine, 6);
    let mut summaries: Vec<_> = told(&machine, "one")[2..]
        .iter()
        .map(|title| title.split(" (2").next().unwrap().to_owned())
        .collect();
    summaries.sort();
    assert_eq!(
        summaries,
        [
            "db kept crashing: exit code 1, cause unknown",
            "web kept crashing: exit code 1, cause unknown"
        ]
    );
}

#[test]
fn a_drill_is_never_held_back() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 2);
    for _ in 0..3 {
        let drill = machine
            .command("post-stop")
            .args(["--simulate-crash", "--send", "--job", "web"])
            .output()
            .unwrap();
        assert!(drill.status.success(), "{drill:?}");
    }
    let drills = told(&machine, "one")
        .iter()
        .filter(|title| title.contains("DRILL"))
        .count();
    assert_eq!(
        (told(&machine, "one").len(), drills),
        (4, 3),
        "{:?}",
        told(&machine, "one")
    );
}

#[test]
fn a_refusal_for_good_is_told_once_to_the_other_sinks_only() {
    let machine = machine(&["one", "two", "three"]);
    set(&machine, "one.exit", "100");
    crash(&machine, "web", 5);
    crash(&machine, "db", 1);
    deliver(&machine, 6);
    let (id, _) = &lines(&machine, "one.offered")[0];
    for other in ["two", "three"] {
        let notices: Vec<_> = told(&machine, other)
            .into_iter()
            .filter(|title| title.starts_with("lastwords: "))
            .collect();
        assert_eq!(
            notices,
            [format!(
                "lastwords: one has not taken the report {id} about web"
            )]
        );
    }
    assert!(
        lines(&machine, "one.offered")
            .iter()
            .all(|(_, title)| !title.starts_with("lastwords: "))
    );

    // A later summary counts the crashes of the refused message.
    fs::remove_file(machine.path("one.exit")).unwrap();
    deliver(&machine, 75);
    let told = told(&machine, "one");
    assert!(
        told.iter().any(
            |title| title.starts_with("web kept crashing: exit code 1, cause unknown (5 times")
        ),
        "{told:?}"
    );
    assert!(
        told.contains(&"db crashed again: exit code 1, cause unknown".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_notice_that_is_refused_leads_to_no_further_notice() {
    let machine = machine(&["one", "two"]);
    set(&machine, "one.exit", "100");
    set(&machine, "two.exit", "100");
    crash(&machine, "web", 1);
    deliver(&machine, 1);
    for (sink, other) in [("one", "two"), ("two", "one")] {
        let titles: Vec<_> = lines(&machine, &format!("{sink}.offered"))
            .into_iter()
            .map(|(_, title)| title)
            .collect();
        assert_eq!(titles.len(), 2, "{titles:?}");
        // Both sinks are served at once. One of them may be offered the notice about the other's
        // refusal before it is offered the crash.
        let notice = format!("lastwords: {other} has not taken");
        assert!(
            titles.iter().any(|title| title.starts_with(&notice)),
            "{titles:?}"
        );
    }
    assert_eq!(in_place(&machine, "new"), 0);
}

#[test]
fn a_damaged_file_about_a_group_costs_no_crash() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 3);
    let groups = machine.spool.join("state/groups/one");
    let [group] = names_in(&groups).try_into().unwrap();
    fs::write(groups.join(group), "{").unwrap();
    crash(&machine, "web", 1);
    assert_eq!(
        told(&machine, "one"),
        ["web crashed: exit code 1, cause unknown"; 2]
    );
}

#[test]
fn a_summary_that_is_damaged_is_not_made_again_and_again_and_the_next_one_counts_its_crashes() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 4);
    set(&machine, "one.exit", "1");
    deliver(&machine, 6);
    let [summary] = names_in(&machine.spool.join("new")).try_into().unwrap();
    fs::write(machine.spool.join("new").join(&summary), "damaged").unwrap();
    deliver(&machine, 8);
    assert_eq!(names_in(&machine.spool.join("corrupt")), [summary]);
    fs::remove_file(machine.path("one.exit")).unwrap();
    deliver(&machine, 70);
    let summaries = told(&machine, "one")
        .into_iter()
        .filter(|title| title.starts_with("web kept crashing"));
    let summaries: Vec<_> = summaries.collect();
    assert_eq!(summaries.len(), 1, "{summaries:?}");
    assert!(
        summaries[0].starts_with("web kept crashing: exit code 1, cause unknown (3 times"),
        "{summaries:?}"
    );
}

#[test]
fn a_sink_that_the_config_no_longer_has_is_forgotten() {
    let machine = machine(&["one", "two"]);
    set(&machine, "two.exit", "1");
    crash(&machine, "web", 3);
    fs::write(machine.config.join("lastwords.toml"), sink(&machine, "one")).unwrap();
    deliver(&machine, 1);
    assert_eq!(
        (
            in_place(&machine, "new"),
            in_place(&machine, "state/groups/two")
        ),
        (0, 0)
    );
}

#[test]
fn the_first_crashes_of_a_loop_are_kept_whole_and_the_others_with_their_log_only() {
    let machine = machine(&["one"]);
    fs::write(machine.root.join("var/log/web.log"), "Error: boom\n").unwrap();
    machine.configure(
        "web",
        "[collect.load]\n[[collect.log]]\npath = '/var/log/web.log'\n",
    );
    crash(&machine, "web", 8);
    let sections: Vec<_> = machine
        .reports()
        .into_iter()
        .map(|report| report.sections.len())
        .collect();
    assert_eq!(sections, [2, 2, 2, 2, 2, 1, 1, 1]);
    let last = machine.reports().pop().unwrap();
    assert_eq!(last.sections[0].text, "Error: boom");
    assert!(
        last.notes[0].contains("only the log is kept"),
        "{:?}",
        last.notes
    );
}

#[test]
fn a_command_whose_name_begins_with_log_is_left_out_in_a_loop() {
    let machine = machine(&["one"]);
    fs::write(machine.root.join("var/log/web.log"), "Error: boom\n").unwrap();
    let logins = "name = 'logins'\ncommand = ['echo', 'alice']\nwhen = 'now'\n";
    machine.configure(
        "web",
        &format!("[[collect.log]]\npath = '/var/log/web.log'\n[[collect.exec]]\n{logins}"),
    );
    crash(&machine, "web", 7);
    let collected: Vec<Vec<String>> = machine
        .reports()
        .into_iter()
        .map(|report| report.sections.into_iter().map(|it| it.collector).collect())
        .collect();
    assert_eq!(collected[0], ["log /var/log/web.log", "logins"]);
    assert_eq!(collected[6], ["log /var/log/web.log"]);
}

#[test]
fn crashes_that_wait_for_their_summary_are_said_to_be_counted() {
    let machine = machine(&["one"]);
    crash(&machine, "web", 3);
    let said = |verb: &str, args: &[&str]| {
        let output = machine.command(verb).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let row = said("list", &[]);
    assert!(row.contains("  counted, summary in "), "{row}");
    let waits = said("list", &["--undelivered", "--all"]);
    assert_eq!(waits.lines().count(), 3, "a title and two crashes: {waits}");
    let shown = said("show", &["last"]);
    assert!(shown.contains("one  counted: summary in "), "{shown}");
    deliver(&machine, 6);
    assert_eq!(said("list", &["--undelivered"]), "");
    let told = said("show", &[last_crash(&machine).as_str()]);
    assert!(told.contains("one  told in the summary 20"), "{told}");
}

/// Returns the id of the latest crash.
fn last_crash(machine: &Harness) -> String {
    let reports = machine.reports().into_iter();
    let mut crashes = reports.filter(|it| it.kind == lastwords::report::Kind::Crash);
    crashes.next_back().unwrap().id.to_string()
}

#[test]
fn a_summary_of_several_instances_says_how_it_is_with_each() {
    let machine = Harness::new();
    let now = machine.path("now");
    let script = format!(
        "grep '^Now ' $LASTWORDS_REPORT_DIR/report.txt >>{}",
        now.display()
    );
    let sink = format!(
        "[[sink.exec]]\nname = 'one'\ncommand = ['/bin/sh', '-c', '''{script}''']\n[default.collect]\n"
    );
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    machine.initctl_is("#!/bin/sh\necho 'web (b) start/running, process 7'\n");
    crash_instances(&machine, &["a", "b", "a"]);
    deliver(&machine, 6);
    let said = fs::read_to_string(now).unwrap();
    let last = said.lines().next_back().unwrap();
    assert_eq!(
        last,
        "Now      1 of 2 up again; web (a) down: nothing restarts it (no respawn)"
    );
}
