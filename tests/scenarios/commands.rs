//! Commands that people type: the drill, `check`, `setup`, `show`; the example configuration and
//! the plugins.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::harness::{self, Harness, SERVE, names_in, wait_for};
use crate::support::upstart::State;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the README's drill on the example configuration.
fn drill(args: &[&str]) -> Output {
    let mut command = Command::new(harness::binary());
    command.current_dir(project()).args([
        "post-stop",
        "--simulate-crash",
        "--job",
        "web",
        "--config",
        "config",
    ]);
    command.args(args).output().unwrap()
}

#[test]
fn the_readmes_drill_runs_on_the_example_and_shows_what_each_sink_would_be_sent() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    assert!(
        readme.contains(
            "cargo run --release -- post-stop --simulate-crash --job web --config config\n"
        )
    );
    let output = drill(&[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let verdict = text(&output.stdout);
    assert!(verdict.lines().count() <= 24, "one screen: {verdict}");
    for part in [
        "message    DRILL [",
        "yes  ops-mail (email): to ops@example.com through smtp.example.com:587",
        "yes  ops-slack (slack): POST https://hooks.slack.com/… (the rest is secret)",
        "nothing was sent, and no sink was asked. --full shows the messages",
    ] {
        assert!(verdict.contains(part), "{part} in {verdict}");
    }
    assert!(!verdict.contains("Subject: DRILL"), "{verdict}");

    let shown = text(&drill(&["--full"]).stdout);
    for part in [
        "──── ops-mail (email)\nto ops@example.com through smtp.example.com:587 (STARTTLS, no login)",
        "Subject: DRILL [",
        "──── ops-slack (slack)\nPOST https://hooks.slack.com/… (the rest is secret)",
        "──── ops-gitter (gitter)",
        "%23acme_ops:gitter.im",
        "──── local-syslog (syslog)",
        "TypeError: Cannot read properties of undefined",
        "nothing was sent",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    for secret in ["slack", "gitter"] {
        let secret = fs::read_to_string(project().join("config/secrets").join(secret)).unwrap();
        assert!(!shown.contains(secret.trim()), "a secret is shown");
    }
}

#[test]
fn the_example_configuration_has_no_errors() {
    let output = Command::new(harness::binary())
        .arg("check")
        .arg("--config")
        .arg(project().join("config"))
        .output();
    let output = output.unwrap();
    // git does not keep the mode 0600, so the secrets are readable: the only warnings.
    let summary = text(&output.stdout);
    assert_eq!(
        (output.status.code(), summary.contains("error")),
        (Some(0), false),
        "{summary}"
    );
}

#[test]
fn a_drill_can_be_shaped_and_read_by_programs() {
    let machine = Harness::new();
    let log = machine.path("other.log");
    fs::write(&log, "the other log\n").unwrap();
    let output = drill(&[
        "--json",
        "--signal",
        "SIGSEGV",
        "--log",
        log.to_str().unwrap(),
    ]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["report"]["stop"]["exit"]["signal"]["name"], "SEGV");
    assert_eq!(
        (&json["report"]["drill"], &json["failures"]),
        (&Value::Bool(true), &Value::Array(vec![]))
    );
    let sections = json["report"]["sections"].as_array().unwrap();
    let logs: Vec<_> = sections
        .iter()
        .filter(|section| section["collector"].as_str().unwrap().starts_with("log"))
        .collect();
    assert_eq!(
        (logs.len(), &logs[0]["text"]),
        (1, &Value::from("the other log"))
    );
}

#[test]
fn a_drill_fails_where_a_real_crash_would() {
    let machine = Harness::new();
    let config = "[[sink.slack]]\nname = 'ops'\nwebhook_file = 'secrets/none'\n";
    fs::write(machine.config.join("lastwords.toml"), config).unwrap();
    machine.configure("web", "[[collect.log]]\npath = '/no/such.log'\n");
    let output = machine
        .command("post-stop")
        .args(["--simulate-crash", "--job", "web"])
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("  no   ops (slack): ") && shown.contains("secrets/none"),
        "{shown}"
    );
    assert!(shown.contains("would fail log /no/such.log: "), "{shown}");
}

#[test]
fn a_drill_that_is_sent_is_marked_and_shows_each_receipt() {
    let machine = Harness::new();
    let kept = machine.path("kept");
    let config = format!(
        "[[sink.exec]]\nname = 'keep'\ncommand = ['/bin/sh', '-c', 'cat >{}; echo filed under 7']\n\
         [[sink.exec]]\nname = 'gone'\ncommand = ['/bin/sh', '-c', 'echo the wire is cut >&2; exit 1']\n",
        kept.display()
    );
    fs::write(machine.config.join("lastwords.toml"), config).unwrap();
    machine.configure("web", "[collect.memory]\n");
    let send = ["--simulate-crash", "--job", "web", "--send"];
    let output = machine.command("post-stop").args(send).output().unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("  yes  keep (exec): filed under 7"),
        "{shown}"
    );
    assert!(
        shown.contains("  no   gone (exec): ") && shown.contains("the wire is cut"),
        "{shown}"
    );
    let task: Value = serde_json::from_slice(&fs::read(kept).unwrap()).unwrap();
    assert_eq!(task["report"]["drill"], true);
    // The message names the id.
    let id = task["report"]["id"].as_str().unwrap();
    let show = machine.command("show").arg(id).output().unwrap();
    let shown = text(&show.stdout);
    assert!(show.status.success(), "{shown}");
    assert!(
        shown.contains("filed under 7") && shown.contains("the wire is cut"),
        "{shown}"
    );
    let deliver = machine.command("deliver").output().unwrap();
    assert!(
        deliver.status.success() && deliver.stdout.is_empty(),
        "{deliver:?}"
    );
}

#[test]
fn a_drill_for_a_job_without_a_file_names_the_job_that_was_probably_meant() {
    let machine = Harness::new();
    machine.configure("web", "");
    let drill = |job: &str, flags: &[&str]| {
        let mut command = machine.command("post-stop");
        command.args(["--simulate-crash", "--job", job]).args(flags);
        command.output().unwrap()
    };
    let warning = "warning    nobody here knows a job webb; did you mean web?\n";
    let output = drill("webb", &[]);
    assert!(text(&output.stdout).contains(warning), "{output:?}");
    assert_eq!(output.status.code(), drill("web", &[]).status.code());
    let json: Value = serde_json::from_slice(&drill("webb", &["--json"]).stdout).unwrap();
    let unknown = "nobody here knows a job webb; did you mean web?";
    assert_eq!(json["warnings"][0], unknown);
    let output = drill("web", &[]);
    assert!(!text(&output.stdout).contains("warning"), "{output:?}");
    let unknown = "warning    nobody here knows a job postgres\n";
    assert!(text(&drill("postgres", &[]).stdout).contains(unknown));
}

#[test]
fn explain_with_nothing_to_read_says_so_and_fails() {
    let machine = Harness::new();
    let log = machine.path("web.log");
    let log = log.to_str().unwrap();
    fs::write(log, "\n").unwrap();
    let empty = format!("{log} is empty");
    for (args, why) in [
        (&[][..], "--log FILE"),
        (&["--exit", "SIGKILL"], "--kernel FILE"),
        (&["--log", log, "--exit", "1"], &empty),
    ] {
        let output = Command::new(harness::binary())
            .arg("explain")
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(
            text(&output.stderr).contains("nothing to read: ")
                && text(&output.stderr).contains(why),
            "{output:?}"
        );
    }
}

#[test]
fn check_shows_all_mistakes_with_their_lines_and_exits_with_78() {
    let machine = Harness::new();
    fs::write(
        machine.config.join("lastwords.toml"),
        "[[sink.slak]]\n[[sink.syslog]]\nname = 'log'\nfacilty = 'x'\n",
    )
    .unwrap();
    machine.configure("web", "stop_timeout = 'soon'\nsinks = ['lgo']\n");
    let output = machine
        .command("check")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{shown}");
    for part in [
        "lastwords.toml:1:",
        "`slack`",
        "lastwords.toml:4:",
        "`facility`",
        "web.toml:1:",
        "web.toml:2:",
        "`log`",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn check_finds_the_sinks_that_would_fail_at_the_first_crash() {
    for (sink, place, what) in [
        (
            "[[sink.email]]\nname = 'x'\nto = ['a@x.org']\nserver = 'mx'\nsendmail = '/x'",
            "lastwords.toml:5:12",
            "expected `sendmail` or `server`, found both",
        ),
        (
            "[[sink.email]]\nname = 'x'\nto = ['a@x.org']\nusername = 'u'",
            "lastwords.toml:4:12",
            "this table has no `server`",
        ),
        (
            "[[sink.slack]]\nname = 'x'",
            "lastwords.toml:1:1",
            "expected `webhook_file` or `webhook_env`",
        ),
        (
            "[[sink.syslog]]\nname = 'x'\naddress = 'udp://x.org'\nformat = 'rfc3164'",
            "lastwords.toml:4:10",
            "\"rfc3164\" is for the local socket only",
        ),
    ] {
        let machine = Harness::new();
        let good = "[[sink.exec]]\nname = 'good'\ncommand = ['true']\n";
        let config = format!("{sink}\n{good}");
        fs::write(machine.config.join("lastwords.toml"), config).unwrap();
        let output = machine.command("check").output().unwrap();
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "{shown}");
        assert!(shown.contains(place) && shown.contains(what), "{shown}");

        // The other sink gets the crash, and the report names the mistake.
        let drill = machine
            .command("post-stop")
            .args(["--simulate-crash", "--job", "web", "--send", "--json"])
            .output()
            .unwrap();
        let drill: Value = serde_json::from_slice(&drill.stdout).unwrap();
        let sinks = drill["sinks"].as_array().unwrap();
        assert_eq!(sinks.len(), 1, "{drill:#}");
        assert_eq!(sinks[0]["name"], "good", "{drill:#}");
        let notes = drill["report"]["notes"].to_string();
        let what = what.replace('"', "\\\"");
        assert!(notes.contains(&what), "{notes}");
    }
}

#[test]
fn check_warns_of_what_the_machine_does_not_have() {
    let machine = Harness::new();
    machine.bare_job("web", SERVE);
    let sinks = "[[sink.slack]]\nname = 'chat'\nwebhook_file = 'secrets/none'\n\
                 [[sink.exec]]\nname = 'own'\ncommand = ['/no/such']\n";
    fs::write(machine.config.join("lastwords.toml"), sinks).unwrap();
    machine.configure("wbe", "[[collect.log]]\npath = '/var/log/none.log'\n");
    machine.configure("web", "");
    let check = || {
        let output = machine.command("check").output().unwrap();
        (output.status.code(), text(&output.stdout))
    };
    let (code, shown) = check();
    assert_eq!(code, Some(78), "{shown}");
    for part in [
        "error: the sink `chat` cannot read its webhook: ",
        "lastwords.toml:3:16",
        "error: this sink can tell nobody: cannot run /no/such: ",
        "lastwords.toml:6:12",
        "warning: there is no /var/log/none.log",
        "wbe.toml:2:8",
        "warning: no unit, service or job here is called `wbe`",
        "did you mean `web`?",
        "2 errors, 2 warnings in 2 files",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    // systemd hands the secret over, says the unit.
    let unit = machine.root.join("etc/systemd/system/lastwords.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(unit, "[Service]\nLoadCredential=secrets/none:/x\n").unwrap();
    let shown = check().1;
    assert!(!shown.contains("webhook"), "{shown}");
}

#[test]
fn a_job_in_a_sub_directory_has_its_file_and_check_and_doctor_find_it() {
    let machine = Harness::new();
    machine.bare_job("sub/web", SERVE);
    let sink = "[[sink.exec]]\nname = 'own'\ncommand = ['/bin/true']\n";
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    machine.configure("sub%2Fweb", "runbook = 'https://x.org'\n");
    let run = |verb: &str, args: &[&str]| {
        let output = machine.command(verb).args(args).output().unwrap();
        text(&output.stdout)
    };
    let said = run("check", &[]);
    assert!(said.ends_with(" and 1 job file are fine\n"), "{said}");
    let said = run("doctor", &["sub/web"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("jobs/sub%2Fweb.toml is fine"), "{said}");
}

#[test]
fn check_says_that_the_directory_it_was_told_of_does_not_exist() {
    let mut machine = Harness::new();
    machine.config = machine.path("nowhere");
    let output = machine.command("check").output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("error: there is no such directory"), "{said}");
}

#[test]
fn show_finds_the_last_report_and_says_so_if_there_is_none() {
    let machine = Harness::new();
    let output = machine.command("show").output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), "error: there is no report yet\n".to_owned())
    );
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let id = machine.only_report().id.to_string();
    for wanted in ["last", &id] {
        let output = machine.command("show").arg(wanted).output().unwrap();
        assert!(
            text(&output.stdout).contains(&format!("Report {id}")),
            "{output:?}"
        );
    }
    let json: Value = serde_json::from_slice(
        &machine
            .command("show")
            .arg("--json")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    assert_eq!(json["id"], id);
    let output = machine
        .command("show")
        .arg("../../etc/passwd")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_example_plugins_do_what_their_page_says() {
    let machine = Harness::new();
    let crashes = machine.path("crashes");
    fs::create_dir(&crashes).unwrap();
    let plugin = |name: &str| project().join("plugins").join(name).display().to_string();
    let config = format!(
        "[[sink.exec]]\nname = 'files'\ncommand = ['{}']\nsettings = {{ directory = '{}' }}\n",
        plugin("sinks/directory"),
        crashes.display()
    );
    fs::write(machine.config.join("lastwords.toml"), config).unwrap();
    let job = format!(
        "[[collect.exec]]\nname = 'tcp states'\ncommand = ['{}']\n",
        plugin("collectors/tcp-states")
    );
    machine.configure("web", &job);
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    wait_for("the report in the history", || {
        names_in(&machine.spool.join("done")).len() == 1
    });
    let id = machine.only_report().id;
    assert_eq!(names_in(&crashes), [format!("{id}.txt")]);
    let kept = fs::read_to_string(crashes.join(format!("{id}.txt"))).unwrap();
    assert!(
        kept.contains("web crashed: killed by SIGSEGV") && kept.contains("--- tcp states ---"),
        "{kept}"
    );
    let counted = kept
        .lines()
        .find_map(|line| line.trim().strip_prefix("in all"))
        .unwrap();
    assert!(counted.trim().parse::<u32>().is_ok(), "{kept}");
}

#[test]
fn the_upstart_files_are_jobs_with_our_hooks() {
    let machine = Harness::new();
    let web = fs::read_to_string(project().join("config/upstart/web.conf")).unwrap();
    let web = web.replace("/usr/bin/node /srv/web/server.js", "sleep 1000");
    let web = ["pre-start", "pre-stop", "post-stop"]
        .iter()
        .fold(web, |conf, hook| {
            conf.replace(&format!("/usr/bin/lastwords {hook}"), &machine.hook(hook))
        });
    let mut web = machine.bare_job("web", &web);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for_life(2);
    web.stop();
    assert_eq!(
        web.history(),
        "pre-start main post-stop pre-start main pre-stop TERM post-stop"
    );
    machine.only_report();

    let own = fs::read_to_string(project().join("config/upstart/lastwords.conf")).unwrap();
    let own = ["setup", "deliver"].iter().fold(own, |conf, verb| {
        conf.replace(&format!("/usr/bin/lastwords {verb}"), &machine.hook(verb))
    });
    let mut own = machine.bare_job("lastwords", &own);
    own.start();
    wait_for("the directories", || machine.spool.join("lock").is_dir());
    own.stop();
}

pub mod as_root {
    use super::*;

    #[test]
    fn setup_makes_the_directories_that_a_setuid_job_needs() {
        let machine = Harness::new();
        fs::write(
            machine.root.join("etc/passwd"),
            "root:x:0:0::/:/bin/sh\napp:x:54322:54322::/:/bin/sh\n",
        )
        .unwrap();
        machine.configure("web", "user = 'app'\n");
        let output = machine.command("setup").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        for dir in [
            machine.run.join("user/54322/markers"),
            machine.spool.join("inbox/54322"),
        ] {
            let found = fs::metadata(&dir).unwrap();
            assert_eq!(
                (found.uid(), found.mode() & 0o7777),
                (54322, 0o700),
                "{dir:?}"
            );
        }
        let spool: PathBuf = machine.spool.join("new");
        assert_eq!(fs::metadata(spool).unwrap().mode() & 0o7777, 0o700);
        machine.configure("web", "user = 'nobody-here'\n");
        let output = machine.command("setup").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("this user is not in /etc/passwd"),
            "{output:?}"
        );
    }

    #[test]
    fn reports_from_the_hooks_of_a_setuid_job_are_taken_over_and_sent() {
        let machine = Harness::new();
        let report = machine.path("report");
        let config = format!(
            "[[sink.exec]]\nname = 'keep'\ncommand = ['/bin/sh', '-c', 'cat >{}']\n",
            report.display()
        );
        fs::write(machine.config.join("lastwords.toml"), config).unwrap();
        let mut web = machine.job("web", SERVE);
        web.start();
        web.kill_main(Signal::SEGV);
        web.wait_for(State::Waiting);
        wait_for("the first report in the history", || {
            names_in(&machine.spool.join("done")).len() == 1
        });
        machine.settle();
        fs::remove_file(&report).unwrap();

        // The same entry under another name, as if a hook of this user had left it.
        let inbox = machine.spool.join("inbox/54323");
        fs::create_dir_all(&inbox).unwrap();
        let id = machine.only_report().id.to_string();
        fs::rename(machine.spool.join("done").join(&id), inbox.join(&id)).unwrap();
        fs::remove_dir_all(machine.spool.join("state")).unwrap();
        for owned in [inbox.join(&id), inbox.clone()] {
            std::os::unix::fs::chown(owned, Some(54323), Some(54323)).unwrap();
        }
        let output = machine.command("deliver").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(names_in(&inbox), [""; 0], "{output:?}");
        let task: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
        assert!(
            task["report"]["notes"]
                .to_string()
                .contains("made by user 54323"),
            "{task:#}"
        );
    }
}

#[test]
fn output_that_is_lost_is_said_unless_its_reader_had_enough() {
    let machine = Harness::new();
    let mut schema = Command::new(harness::binary());
    schema.args(["schema", "config"]);
    for mut command in [machine.command("queue"), machine.command("stats"), schema] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            complaint.contains("cannot write all of the output"),
            "{complaint}"
        );
    }
    let (reads, writes) = std::io::pipe().unwrap();
    drop(reads);
    let output = Command::new(harness::binary())
        .args(["schema", "config"])
        .stdout(writes)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_usage_error_repeats_what_was_typed_but_no_secret() {
    let machine = Harness::new();
    let said = |word: &str| {
        let output = machine.command("list").arg(word).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let tip = said("--token");
    assert!(
        tip.contains("unexpected argument '--token'") && !tip.contains("redacted"),
        "{tip}"
    );
    let token = "ghp_R4nd0mZx81KqWvTt3JpLs9YbNc5GhFe2UaQd";
    for secret in ["--password=R4nd0m-hush", "password='R4nd0m-hush'", token] {
        let tip = said(secret);
        assert!(!tip.contains("R4nd0m"), "{tip}");
    }
}
