//! Delivery from the spool to the sinks: which sink gets which report and when, and what the spool
//! keeps about that.

use std::fs;
use std::process::Output;

use crate::support::harness::{Harness, SERVE, names_in, wait_for, wait_for_some};
use crate::support::upstart::State;

/// Returns the config of a sink that adds each report's id to `told`, and exits with the code in
/// the file `behaviour`.
fn noting(machine: &Harness, name: &str) -> String {
    let (told, behaviour) = (
        machine.path(&format!("{name}.told")),
        machine.path(&format!("{name}.behaviour")),
    );
    let script = format!(
        "sed -n 's/.*\"id\": *\"\\([0-9a-z-]*\\)\".*/\\1/p' \"$LASTWORDS_REPORT_DIR/report.json\" >>{told}; \
         echo {name} says no >&2; exit $(cat {behaviour} 2>/dev/null || echo 0)",
        told = told.display(),
        behaviour = behaviour.display(),
    );
    format!("[[sink.exec]]\nname = '{name}'\ncommand = ['/bin/sh', '-c', '''{script}''']\n")
}

fn behave(machine: &Harness, name: &str, exit_code: u8) {
    fs::write(
        machine.path(&format!("{name}.behaviour")),
        exit_code.to_string(),
    )
    .unwrap();
}

fn told(machine: &Harness, name: &str) -> Vec<String> {
    let told = fs::read_to_string(machine.path(&format!("{name}.told"))).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

fn sinks(machine: &Harness, sinks: &[String]) {
    fs::write(machine.config.join("lastwords.toml"), sinks.concat()).unwrap();
}

fn crash(machine: &Harness) {
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(rustix::process::Signal::SEGV);
    web.wait_for(State::Waiting);
}

fn deliver(machine: &Harness) -> Output {
    machine.command("deliver").output().unwrap()
}

fn in_place(machine: &Harness, place: &str) -> usize {
    names_in(&machine.spool.join(place)).len()
}

#[test]
fn a_crash_is_sent_to_every_sink_once_and_at_once() {
    let machine = Harness::new();
    sinks(
        &machine,
        &[noting(&machine, "one"), noting(&machine, "two")],
    );
    crash(&machine);
    wait_for("the report in the history", || {
        in_place(&machine, "done") == 1
    });
    let id = machine.only_report().id.to_string();
    assert_eq!(told(&machine, "one"), [id.as_str()]);
    assert_eq!(told(&machine, "two"), [id.as_str()]);
    assert!(deliver(&machine).status.success());
    assert_eq!(told(&machine, "one").len(), 1);
}

#[test]
fn a_sink_that_cannot_take_a_report_now_is_tried_again_and_delays_no_other() {
    let machine = Harness::new();
    sinks(
        &machine,
        &[noting(&machine, "one"), noting(&machine, "two")],
    );
    behave(&machine, "one", 1);
    crash(&machine);
    machine.settle();
    let id = machine.only_report().id.to_string();
    assert_eq!(
        (
            told(&machine, "one").len(),
            told(&machine, "two").len(),
            in_place(&machine, "new")
        ),
        (1, 1, 1)
    );

    // The sink's pause is not over yet.
    assert!(deliver(&machine).status.success());
    assert_eq!(told(&machine, "one").len(), 1);

    behave(&machine, "one", 0);
    let ledger = machine.spool.join(format!("state/{id}/to-one"));
    let text = fs::read_to_string(&ledger).unwrap();
    assert!(
        text.contains("one says no"),
        "the error that people see: {text}"
    );
    let mut edited: serde_json::Value = serde_json::from_str(&text).unwrap();
    edited["next_try"] = "2026-01-01T00:00:00Z".into();
    fs::write(&ledger, edited.to_string()).unwrap();
    let said = String::from_utf8(deliver(&machine).stdout).unwrap();
    assert!(said.contains(&format!("{id} sent to one")), "{said}");
    assert_eq!(
        (told(&machine, "one"), told(&machine, "two").len()),
        (vec![id.clone(), id], 1)
    );
    assert_eq!(in_place(&machine, "done"), 1);
}

#[test]
fn a_sink_that_refuses_for_good_is_not_tried_again() {
    let machine = Harness::new();
    sinks(
        &machine,
        &[noting(&machine, "one"), noting(&machine, "two")],
    );
    behave(&machine, "one", 100);
    crash(&machine);
    wait_for("the report among the dead", || {
        in_place(&machine, "dead") == 1
    });
    machine.settle();
    assert!(deliver(&machine).status.success());
    assert_eq!(
        (told(&machine, "one").len(), told(&machine, "two").len()),
        (1, 2),
        "the other is told of it"
    );
}

#[test]
fn a_sink_with_a_mistake_in_its_config_gets_the_report_once_the_config_is_fixed() {
    let machine = Harness::new();
    let broken = noting(&machine, "two").replace("name =", "nmae =");
    sinks(&machine, &[noting(&machine, "one"), broken]);
    crash(&machine);
    machine.settle();
    let report = machine.only_report();
    assert!(
        report.notes.iter().any(|note| note.contains("nmae")),
        "{:?}",
        report.notes
    );
    assert_eq!(
        (told(&machine, "one").len(), told(&machine, "two").len()),
        (1, 0)
    );
    let output = deliver(&machine);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert_eq!(in_place(&machine, "new"), 1, "it waits for the config");

    sinks(
        &machine,
        &[noting(&machine, "one"), noting(&machine, "two")],
    );
    assert!(deliver(&machine).status.success());
    assert_eq!(
        (told(&machine, "one").len(), told(&machine, "two").len()),
        (1, 1)
    );
    assert_eq!(in_place(&machine, "done"), 1);
}

#[test]
fn a_report_goes_to_the_sinks_that_its_job_names_and_to_the_jobs_own() {
    let machine = Harness::new();
    sinks(
        &machine,
        &[noting(&machine, "one"), noting(&machine, "two")],
    );
    machine.configure(
        "web",
        &format!("sinks = ['two', 'own']\n{}", noting(&machine, "own")),
    );
    crash(&machine);
    wait_for("the report in the history", || {
        in_place(&machine, "done") == 1
    });
    assert_eq!(
        ["one", "two", "own"].map(|name| told(&machine, name).len()),
        [0, 1, 1]
    );
}

#[test]
fn a_damaged_report_is_put_aside_and_the_others_are_sent() {
    let machine = Harness::new();
    sinks(&machine, &[noting(&machine, "one")]);
    behave(&machine, "one", 1);
    crash(&machine);
    machine.settle();
    let id = machine.only_report().id.to_string();
    let path = machine.spool.join("new").join(&id);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("web", "bew", 1)).unwrap();
    behave(&machine, "one", 0);
    crash(&machine);
    wait_for("the second report and a notice in the history", || {
        in_place(&machine, "done") == 2
    });
    machine.settle();
    assert_eq!(names_in(&machine.spool.join("corrupt")), [id.as_str()]);
    assert_eq!(
        told(&machine, "one").len(),
        3,
        "the first try, the second report, and a notice of the damage"
    );
}

#[test]
fn slow_programs_run_in_the_deliverer_and_their_output_is_part_of_the_message() {
    let machine = Harness::new();
    sinks(&machine, &[noting(&machine, "one")]);
    machine.configure(
        "web",
        "[[collect.exec]]\nname = 'depth'\ncommand = ['/bin/sh', '-c', 'echo 42 waiting']\n",
    );
    crash(&machine);
    wait_for("the report in the history", || {
        in_place(&machine, "done") == 1
    });
    assert_eq!(
        machine.only_report().sections,
        [],
        "what the hook itself wrote"
    );
    let shown = String::from_utf8(machine.command("show").output().unwrap().stdout).unwrap();
    assert!(shown.contains("--- depth ---\n  42 waiting"), "{shown}");
}

#[test]
fn what_stands_in_the_place_of_a_sinks_lock_is_put_aside_and_told() {
    let machine = Harness::new();
    sinks(&machine, &[noting(&machine, "pager")]);
    behave(&machine, "pager", 1);
    crash(&machine);
    let locks = machine.spool.join("lock");
    let of_sink = || {
        names_in(&locks)
            .into_iter()
            .find(|it| it.starts_with("to-"))
    };
    let lock = locks.join(wait_for_some("the sink's lock", of_sink));
    machine.settle();
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    behave(&machine, "pager", 0);
    let deliver = machine.command("deliver").args(["--later", "1h"]).output();
    let deliver = deliver.unwrap();
    assert!(deliver.status.success(), "{deliver:?}");
    assert_eq!(in_place(&machine, "corrupt"), 1);
    assert_eq!(
        in_place(&machine, "done"),
        2,
        "the crash, and that something was put aside"
    );
}

#[test]
fn a_job_with_a_name_longer_than_any_files_is_told() {
    let machine = Harness::new();
    sinks(&machine, &[noting(&machine, "pager")]);
    let job = "x".repeat(300);
    for hook in ["pre-start", "post-stop"] {
        let hook = machine.command(hook).args(["--job", &job]).status();
        assert!(hook.unwrap().success());
    }
    let report = machine.only_report();
    assert_eq!(report.stop.job, job);
    let output = deliver(&machine);
    assert!(output.status.success(), "{output:?}");
    wait_for("the message", || {
        told(&machine, "pager") == [report.id.as_str()]
    });
}
