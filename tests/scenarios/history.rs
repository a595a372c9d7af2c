//! Questions about the history and the reports that wait: `list`, `show`, `queue`, `stats`.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use lastwords::report::{Confidence, Kind, Report, ReportId, SinkKey, Timestamp};
use lastwords::{Attempt, Ledger, Place, Spool};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use crate::hooks;
use crate::support::harness::{Harness, names_in, wait_for};

const WIDE: &str = "TypeError: 名前が見つかりません: Cannot read properties of undefined (reading 'name') at /srv/データ/app.js:7 🦀";

/// Returns a machine whose sink `one` adds a line to `offered` for each report that it is offered,
/// and exits with the code in `exit`.
fn machine() -> Harness {
    let machine = Harness::new();
    let (offered, exit) = (machine.path("offered"), machine.path("exit"));
    let script = format!(
        "echo x >>{}; echo one says no >&2; exit $(cat {} 2>/dev/null || echo 0)",
        offered.display(),
        exit.display()
    );
    let sink = format!(
        "[[sink.exec]]\nname = 'one'\ncommand = ['/bin/sh', '-c', '''{script}''']\n[default.collect]\n"
    );
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    machine
}

fn offers(machine: &Harness) -> usize {
    fs::read_to_string(machine.path("offered"))
        .unwrap_or_default()
        .lines()
        .count()
}

/// Returns a machine on which a crash waits for `one`, which does not take it.
fn machine_with_one_waiting() -> (Harness, String) {
    let machine = machine();
    fs::write(machine.path("exit"), "75").unwrap();
    hooks::crash(&machine, |_| {});
    machine.settle();
    let id = machine.only_report().id.to_string();
    assert_eq!(
        (names_in(&machine.spool.join("new")), offers(&machine)),
        (vec![id.clone()], 1)
    );
    (machine, id)
}

fn run(machine: &Harness, verb: &str, args: &[&str]) -> Output {
    machine.command(verb).args(args).output().unwrap()
}

/// Returns the output of a command that succeeds.
fn said(machine: &Harness, verb: &str, args: &[&str]) -> String {
    let output = run(machine, verb, args);
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn place(machine: &Harness, place: &str) -> Vec<String> {
    names_in(&machine.spool.join(place))
}

/// Returns a machine with a history: four deaths of one cause, two others, and one report that
/// waits.
fn machine_with_a_history() -> Harness {
    let elsewhere = Harness::new();
    hooks::crash(&elsewhere, |_| {});
    let report = elsewhere.only_report();
    let machine = machine();
    let spool = Spool::new(&machine.spool);
    spool.create().unwrap();
    let port = "port in use: Error: listen EADDRINUSE: address already in use :::9000 at /srv/web/server.js:12";
    for (number, job, fingerprint, line, kind) in [
        (0x1111, "web", "a", port, Kind::Crash),
        (0x2222, "feed", "b", "exit code 1", Kind::Crash),
        (0x3333, "web", "a", port, Kind::Crash),
        (0x4444, "web", "a", port, Kind::Crash),
        (0x5555, "データ処理", "c", WIDE, Kind::Crash),
        (
            0x6666,
            "web",
            "d",
            "one has not taken the report",
            Kind::Notice,
        ),
        (0x7777, "web", "a", port, Kind::Crash),
    ] {
        let at = Timestamp::of_unix(1_795_374_800 + number / 0x1111 * 3600);
        let mut report = Report {
            id: ReportId::new(at, number),
            kind,
            host: "db1".to_owned(),
            ..report.clone()
        };
        job.clone_into(&mut report.stop.job);
        line.clone_into(&mut report.cause.line);
        report.cause.confidence = Confidence::Certain;
        report.stop.stopped_at = at;
        report.fingerprint = format!("{fingerprint:0>16}");
        spool.put(&report).unwrap();
        if number == 0x7777 {
            continue;
        }
        let (mut ledger, receipt) = (Ledger::default(), "250 queued\u{1b}[2J".to_owned());
        ledger.record(
            Attempt::Sent { receipt },
            Timestamp::of_unix(at.unix() + 2),
            0.0,
        );
        spool
            .write_ledger(&report.id, &SinkKey::Machine("one".into()), &ledger)
            .unwrap();
        spool.finish(&[report.id], Place::Done).unwrap();
    }
    machine
}

#[test]
fn a_list_in_a_pipe_is_aligned_and_whole() {
    assert_eq!(
        said(&machine_with_a_history(), "list", &[]),
        format!(
            "\
WHEN (UTC)        ID    JOB         TIMES  TOLD         WHY
2026-11-23 02:13  7777  web             4  one waiting  port in use: Error: listen EADDRINUSE: address already in use :::9000 at /srv/web/server.js:12
2026-11-23 00:13  5555  データ処理      1  1 sent       {WIDE}
2026-11-22 21:13  2222  feed            1  1 sent       exit code 1
"
        )
    );
}

/// Returns the command's output on a terminal with this number of columns.
fn on_a_terminal(mut command: Command, columns: u16) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    tcsetwinsize(
        &ours,
        Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .unwrap();
    let theirs = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = File::options().read(true).write(true).open(theirs).unwrap();
    command
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    let mut child = command
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    drop(command);
    let mut output = Vec::new();
    // Reading fails with EIO once no process holds the other end.
    let _ = File::from(ours).read_to_end(&mut output);
    assert!(child.wait().unwrap().success());
    text(&output).replace("\r\n", "\n")
}

#[test]
fn a_list_on_a_terminal_of_80_columns_cuts_what_is_long_and_has_colours() {
    let machine = machine_with_a_history();
    let shown = on_a_terminal(machine.command("list"), 80);
    assert!(
        shown.contains("\u{1b}[33mone waiting\u{1b}[0m"),
        "{shown:?}"
    );
    let mut plain = shown;
    while let Some((start, rest)) = plain.clone().split_once('\u{1b}') {
        plain = format!("{start}{}", rest.split_once('m').unwrap().1);
    }
    assert_eq!(
        plain,
        "\
WHEN (UTC)        ID    JOB         TIMES  TOLD         WHY
2026-11-23 02:13  7777  web             4  one waiting  port in use: Error: lis…
2026-11-23 00:13  5555  データ処理      1  1 sent       TypeError: 名前が見つか…
2026-11-22 21:13  2222  feed            1  1 sent       exit code 1
"
    );
}

#[test]
fn a_list_shows_only_the_reports_that_match_its_options() {
    let machine = machine_with_a_history();
    let ids = |args: &[&str]| {
        let rows = objects(&said(&machine, "list", &[args, &["--json"]].concat()));
        rows.iter()
            .map(|row| row["id"].as_str().unwrap()[28..].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&["--all"]),
        ["7777", "5555", "4444", "3333", "2222", "1111"]
    );
    assert_eq!(ids(&["--all", "-n", "2"]), ["7777", "5555"]);
    assert_eq!(
        ids(&["--all", "--job", "web"]),
        ["7777", "4444", "3333", "1111"]
    );
    assert_eq!(ids(&["--all", "--since", "2026-11-23"]), ["7777", "5555"]);
    assert_eq!(ids(&["--since", "2026-11-23 01:00:00"]), ["7777"]);
    assert_eq!(ids(&["--cause", "typeerror"]), ["5555"]);
    assert_eq!(ids(&["--undelivered"]), ["7777"]);
    assert_eq!(ids(&["--kind", "notice"]), ["6666"]);
    assert_eq!(ids(&["--job", "nobody"]), [""; 0]);
    let rows = objects(&said(&machine, "list", &["--json"]));
    assert_eq!(
        (&rows[0]["count"], &rows[0]["told"]["one"]["state"]),
        (&4.into(), &"waiting".into())
    );
    assert_eq!(
        (&rows[0]["first"], &rows[0]["last"]),
        (
            &"2026-11-22T20:13:20.000Z".into(),
            &"2026-11-23T02:13:20.000Z".into()
        )
    );
    assert_eq!(
        rows[1]["told"]["one"]["receipt"], "250 queued",
        "no terminal's escape gets through"
    );
}

#[test]
fn without_a_report_each_command_says_so() {
    let machine = machine();
    let output = run(&machine, "list", &[]);
    assert_eq!(
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr)
        ),
        (
            Some(0),
            String::new(),
            "there is no report yet\n".to_owned()
        )
    );
    assert_eq!(said(&machine, "queue", &[]), "No report is waiting.\n");
    assert_eq!(
        said(&machine, "stats", &[]),
        "Nothing has died in the last 30 days.\n"
    );
    assert_eq!(run(&machine, "show", &[]).status.code(), Some(1));
}

#[test]
fn a_damaged_report_is_counted_and_left_where_it_is() {
    let machine = machine_with_a_history();
    let path = machine.spool.join("done").join(&place(&machine, "done")[0]);
    fs::write(&path, "no report").unwrap();
    let output = run(&machine, "list", &[]);
    assert_eq!(
        (output.status.code(), text(&output.stdout).lines().count()),
        (Some(0), 4)
    );
    assert!(
        text(&output.stderr).starts_with("1 of the reports could not be read; the first error: "),
        "{output:?}"
    );
    assert!(path.exists());
}

#[test]
fn a_report_is_shown_by_any_part_of_its_id_that_no_other_has() {
    let machine = machine_with_a_history();
    let shown = said(&machine, "show", &["5555"]);
    assert!(shown.contains("データ処理 crashed: TypeError"), "{shown}");
    let end = "\n\n--- who was told ---\n  one  sent 2026-11-23 00:13:22 UTC, at the first try: 250 queued\n";
    assert!(shown.ends_with(end), "{shown:?}");
    assert!(said(&machine, "show", &["20261123t0013"]).ends_with(end));
    assert!(said(&machine, "show", &["--job", "feed"]).contains("feed crashed: exit code 1"));
    let output = run(&machine, "show", &["2026"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("7 reports are called \"2026\", the newest of them 2026"),
        "{output:?}"
    );
    assert!(
        text(&run(&machine, "show", &["ffff"]).stderr).contains("`lastwords list` shows the ids")
    );
}

#[test]
fn a_report_is_written_as_html_for_its_owner_alone() {
    let machine = machine_with_a_history();
    let file = machine.path("crash.html");
    said(
        &machine,
        "show",
        &["last", "--html", file.to_str().unwrap()],
    );
    assert!(fs::read_to_string(&file).unwrap().contains("port in use"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_queue_names_each_report_that_waits_its_sink_and_the_error() {
    let (machine, id) = machine_with_one_waiting();
    let shown = said(&machine, "queue", &[]);
    let mut lines = shown.lines();
    assert_eq!(
        lines
            .next()
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        "ID JOB AGE SINK TRIES NEXT TRY WHY IT WAITS"
    );
    let row = lines.next().unwrap();
    assert!(
        row.starts_with(&format!("{}  web  ", &id[28..]))
            && row.ends_with("exit status: 75: one says no"),
        "{shown}"
    );
    let [row] = objects(&said(&machine, "queue", &["--json"]))
        .try_into()
        .unwrap();
    assert_eq!(
        (&row["sink"], &row["tries"], &row["held"]),
        (&"one".into(), &1.into(), &Value::Null)
    );

    let config = machine.config.join("lastwords.toml");
    fs::write(
        &config,
        fs::read_to_string(&config).unwrap() + "bogus = 1\n",
    )
    .unwrap();
    let shown = said(&machine, "queue", &[]);
    assert!(
        shown.contains("once fixed") && shown.contains("the config is broken: "),
        "{shown}"
    );
}

#[test]
fn a_waiting_report_is_tried_at_once_on_request_even_beside_a_deliverer() {
    let (machine, id) = machine_with_one_waiting();
    assert_eq!(
        run(&machine, "queue", &["retry", "ffff"]).status.code(),
        Some(1)
    );
    let retried = said(&machine, "queue", &["retry", &id[20..]]);
    assert!(
        retried.starts_with(&format!("{id} of web is due for one\n")),
        "{retried}"
    );
    wait_for("the second offer", || offers(&machine) == 2);
    machine.settle();
    assert_eq!(
        objects(&said(&machine, "queue", &["--json"]))[0]["tries"],
        2,
        "the pauses go on to grow"
    );

    let mut deliverer = machine
        .command("deliver")
        .arg("--watch")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    fs::remove_file(machine.path("exit")).unwrap();
    said(&machine, "queue", &["retry", "--all"]);
    wait_for("the report in the history", || {
        place(&machine, "done") == [id.as_str()]
    });
    kill_process(Pid::from_child(&deliverer), Signal::KILL).unwrap();
    deliverer.wait().unwrap();
    assert_eq!(offers(&machine), 3, "one of the two deliverers, not both");
    assert_eq!(
        said(&machine, "queue", &["retry", "--all"]),
        "No report is waiting for a sink.\n"
    );
    assert!(
        said(&machine, "queue", &["retry", &id])
            .starts_with(&format!("{id} is not waiting: it is in done/"))
    );
}

#[test]
fn nothing_is_changed_while_a_deliverer_is_sending() {
    let (machine, id) = machine_with_one_waiting();
    let now = lastwords::Now::read().monotonic;
    let sending = Spool::new(&machine.spool)
        .lock("to-one", now)
        .unwrap()
        .unwrap();
    let mut patient = machine
        .command("queue")
        .args(["drop", &id])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let output = run(&machine, "queue", &["retry", "--all"]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(1), String::new())
    );
    let said = "a deliverer is sending to one right now, so its reports are unchanged; try again\n";
    assert_eq!(text(&output.stderr), said);
    assert!(!patient.wait().unwrap().success());
    assert_eq!(place(&machine, "new"), [id.as_str()]);

    let mut patient = machine
        .command("queue")
        .args(["drop", &id])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(sending);
    assert!(patient.wait().unwrap().success());
    assert_eq!(place(&machine, "dead"), [id.as_str()]);
}

#[test]
fn a_dropped_report_is_kept_and_never_sent() {
    let (machine, id) = machine_with_one_waiting();
    let dropped = said(
        &machine,
        "queue",
        &["drop", &id[28..], "--why", "known since May"],
    );
    assert_eq!(
        dropped,
        format!("{id} of web is dropped and kept in dead/; not told: one\n")
    );
    fs::remove_file(machine.path("exit")).unwrap();
    said(&machine, "deliver", &["--later", "2h"]);
    assert_eq!(
        (place(&machine, "new").len(), place(&machine, "dead")),
        (0, vec![id.clone()])
    );
    assert_eq!(
        offers(&machine),
        1,
        "nor is anybody told that it was not sent"
    );
    assert!(said(&machine, "list", &[]).contains("  one dropped  "));
    let shown = said(&machine, "show", &[]);
    assert!(
        shown.contains("  one  dropped: by hand, 20") && shown.ends_with(": known since May\n"),
        "{shown}"
    );
    assert_eq!(
        run(&machine, "queue", &["drop", &id]).status.code(),
        Some(1),
        "once is enough"
    );

    // The next crash gets a message again.
    hooks::crash(&machine, |_| {});
    wait_for("the next report in the history", || {
        place(&machine, "done").len() == 1
    });
    assert_eq!(offers(&machine), 2);
}

#[test]
fn stats_count_deaths_and_deliveries() {
    let (machine, _) = machine_with_one_waiting();
    let stats: Value = serde_json::from_str(&said(&machine, "stats", &["--json"])).unwrap();
    assert_eq!(
        (&stats["jobs"][0]["job"], &stats["jobs"][0]["day"]),
        (&"web".into(), &1.into())
    );
    assert_eq!(stats["jobs"][0]["causes"][0]["count"], 1);
    assert_eq!(
        (&stats["sinks"][0]["sink"], &stats["sinks"][0]["waiting"]),
        (&"one".into(), &1.into())
    );
    let shown = said(&machine, "stats", &[]);
    assert!(shown.contains("·············▁"), "{shown}");
}

mod as_root {
    use super::*;

    #[test]
    fn users_other_than_root_are_told_what_to_do() {
        let machine = machine_with_a_history();
        for verb in ["list", "show", "queue", "stats"] {
            let command = machine.command(verb);
            let output = Command::new("/usr/bin/setpriv")
                .args(["--reuid=54321", "--regid=54321", "--clear-groups", "--"])
                .arg(command.get_program())
                .args(command.get_args())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(
                text(&output.stderr).contains("try again with sudo"),
                "{output:?}"
            );
        }
    }
}
