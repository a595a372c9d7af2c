//! Services that stay down: people are told at once, and again while nothing has come up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::harness::{Harness, names_in, wait_for};

/// A machine whose `initctl` says what the test wants it to say of the job `web`.
struct Machine(Harness);

impl Machine {
    fn new() -> Self {
        let machine = Harness::new();
        let told = machine.path("told");
        let script = format!(
            "head -n 1 $LASTWORDS_REPORT_DIR/report.txt >>{0}; \
             grep '^Now ' $LASTWORDS_REPORT_DIR/report.txt >>{0}.now",
            told.display()
        );
        let config = format!(
            "[[sink.exec]]\nname = \"one\"\ncommand = ['/bin/sh', '-c', '''{script}''']\n\
             [default.collect]\n"
        );
        fs::write(machine.config.join("lastwords.toml"), config).unwrap();
        Self::of(machine)
    }

    fn of(machine: Harness) -> Self {
        let initctl = machine.root.join("sbin/initctl");
        fs::create_dir_all(machine.root.join("sbin")).unwrap();
        let said = machine.path("said");
        fs::write(&initctl, format!("#!/bin/sh\ncat {}\n", said.display())).unwrap();
        fs::set_permissions(&initctl, Permissions::from_mode(0o755)).unwrap();
        let machine = Self(machine);
        machine.init_says("start/running, process 42");
        machine
    }

    fn init_says(&self, state: &str) {
        fs::write(self.0.path("said"), format!("web {state}\n")).unwrap();
    }

    fn hook(&self, name: &str) {
        let mut hook = self.0.hook_command(name);
        hook.env("UPSTART_JOB", "web").env("UPSTART_INSTANCE", "");
        assert!(hook.stdin(Stdio::null()).status().unwrap().success());
    }

    fn crash(&self) {
        self.crash_of(4242);
    }

    fn crash_of(&self, pid: u32) {
        self.hook("pre-start");
        let line = format!("init: web main process ({pid}) terminated with status 1");
        self.0.kernel_log(line);
        self.hook("post-stop");
        self.0.wait_for_workers();
        self.0.settle();
    }

    fn comes_up_and_is_stopped(&self) {
        for hook in ["pre-start", "pre-stop", "post-stop"] {
            self.hook(hook);
        }
        self.0.settle();
    }

    /// Makes everything that the sink was told so many minutes older.
    fn age_conversations(&self, minutes: u64) {
        let dir = self.0.spool.join("state/groups/one");
        for name in names_in(&dir) {
            let text = fs::read_to_string(dir.join(&name)).unwrap();
            let mut kept: Value = serde_json::from_str(&text).unwrap();
            age(&mut kept, Duration::from_secs(minutes * 60));
            fs::write(dir.join(&name), kept.to_string()).unwrap();
        }
    }

    /// Replaces the first `from` in the config of the sinks.
    fn replace_in_config(&self, from: &str, to: &str) {
        let file = self.0.config.join("lastwords.toml");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(file, config.replacen(from, to, 1)).unwrap();
    }

    /// Has the sink take nothing as long as the file exists whose path is returned.
    fn send_the_sink_away(&self) -> PathBuf {
        let away = self.0.path("away");
        let script = format!("[ ! -e {} ] || exit 1; head", away.display());
        self.replace_in_config("head", &script);
        fs::write(&away, "").unwrap();
        away
    }

    /// Looks as if it were `minutes` later. Returns the titles of the messages that were sent.
    fn look(&self, minutes: u32) -> Vec<String> {
        let before = self.told("told").len();
        let later = format!("{minutes}m");
        let mut deliver = self.0.command("deliver");
        let output = deliver.args(["--later", &later]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.told("told").split_off(before)
    }

    fn told(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.0.path(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Makes each moment in this so much older.
fn age(value: &mut Value, by: Duration) {
    match value {
        Value::String(text) => {
            if let Ok(at) = humantime::parse_rfc3339(text) {
                *text = humantime::format_rfc3339_millis(at - by).to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|it| age(it, by)),
        Value::Object(fields) => fields.values_mut().for_each(|it| age(it, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

const CRASHED: &str = "exit code 1, cause unknown";

#[test]
fn the_message_about_a_crash_says_that_nothing_restarts_the_service() {
    let machine = Machine::new();
    machine.init_says("stop/waiting");
    machine.crash();
    assert_eq!(
        machine.told("told"),
        [format!("web crashed, and is down: {CRASHED}")]
    );
    assert_eq!(
        machine.told("told.now"),
        ["Now      down: nothing restarts it (no respawn)"]
    );
    assert!(machine.look(0).is_empty(), "that was said");
}

#[test]
fn a_supervisor_that_gives_up_is_news_at_once_though_its_crash_is_only_counted() {
    let machine = Machine::new();
    machine.crash();
    assert_eq!(machine.told("told"), [format!("web crashed: {CRASHED}")]);
    machine.init_says("stop/waiting");
    machine.crash();
    assert_eq!(
        machine.told("told")[1..],
        ["web is down: nothing restarts it (no respawn), after exit code 1"]
    );
    assert!(machine.look(0).is_empty());
}

#[test]
fn a_service_that_goes_down_while_its_message_is_sent_is_told_after_it() {
    let machine = Machine::new();
    let said = machine.0.path("said");
    let goes_down = format!("; echo web stop/waiting >{}''']", said.display());
    machine.replace_in_config("''']", &goes_down);
    machine.crash();
    let crashed = format!("web crashed: {CRASHED}");
    let down = "web is down: nothing restarts it (no respawn), after exit code 1";
    machine.look(0);
    assert_eq!(machine.told("told"), [&crashed, down]);
    assert!(machine.look(0).is_empty());
}

#[test]
fn a_service_that_stays_down_is_told_again_after_an_hour_and_then_each_day() {
    let machine = Machine::new();
    machine.init_says("stop/waiting");
    machine.crash();
    let mut told = Vec::new();
    for hour in 1..=50 {
        let titles = machine.look(hour * 60 + 1);
        told.extend(titles.into_iter().map(|title| (hour, title)));
    }
    let after = "after exit code 1";
    assert_eq!(
        told,
        [
            (1, format!("web has been down for 61 min, {after}")),
            (25, format!("web has been down for 25 h, {after}")),
            (49, format!("web has been down for 2 days, {after}")),
        ]
    );
}

#[test]
fn a_sink_that_was_away_hears_of_the_crash_and_gets_nothing_else_before_that() {
    let machine = Machine::new();
    let away = machine.send_the_sink_away();
    machine.init_says("stop/waiting");
    machine.crash();
    let took = [(0, 0), (6, 0), (61, 0), (67, 0), (70, 0)];
    for (minutes, count) in took {
        assert_eq!(machine.look(minutes).len(), count, "after {minutes} min");
    }
    fs::remove_file(&away).unwrap();
    let down = format!("web crashed, and is down: {CRASHED}");
    let heard = machine.look(200);
    assert_eq!(heard, [down]);
    let later = machine.look(70 + 24 * 60);
    assert!(
        later[0].starts_with("web has been down for 25 h"),
        "{later:#?}"
    );
}

#[test]
fn a_sink_that_never_takes_the_message_about_the_crash_is_told_that_the_service_is_down() {
    let machine = Machine::new();
    let no = machine.0.path("no");
    let script = format!("[ ! -e {0} ] || exit $(cat {0}); head", no.display());
    machine.replace_in_config("head", &script);
    fs::write(&no, "1").unwrap();
    machine.init_says("stop/waiting");
    machine.crash();
    assert!(machine.look(6).is_empty());
    // It refuses that one, and takes the next.
    let refuse = format!(
        "if [ -e {0} ]; then rm {0}; exit 100; fi; head",
        no.display()
    );
    machine.replace_in_config(&script, &refuse);
    let heard = machine.look(30);
    let down = "web is down: nothing restarts it (no respawn), after exit code 1";
    assert_eq!(heard.last().map(String::as_str), Some(down), "{heard:#?}");
}

#[test]
fn what_a_message_about_an_earlier_crash_has_said_is_not_said_again() {
    let machine = Machine::new();
    let away = machine.send_the_sink_away();
    machine.crash();
    machine.crash();
    fs::remove_file(&away).unwrap();
    machine.init_says("stop/waiting");
    let down = format!("web crashed, and is down: {CRASHED}");
    assert_eq!(machine.look(2), [down]);
    assert!(machine.look(3).is_empty(), "that was said");
}

#[test]
fn a_service_that_is_up_again_is_not_told_to_be_down() {
    let machine = Machine::new();
    machine.init_says("stop/waiting");
    machine.crash();
    machine.hook("pre-start");
    machine.init_says("start/running, process 43");
    let titles = machine.look(61);
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].starts_with("web is up again"), "{titles:?}");
    machine.init_says("stop/waiting");
    assert!(
        machine.look(130).is_empty(),
        "somebody has stopped it since"
    );
}

#[test]
fn a_service_that_came_back_between_two_looks_and_was_then_stopped_is_not_down() {
    let machine = Machine::new();
    machine.init_says("stop/waiting");
    machine.crash();
    machine.comes_up_and_is_stopped();
    assert_eq!(machine.look(9), [""; 0]);
    let stopped = "web came up again, and was stopped as planned, after exit code 1";
    assert_eq!(machine.look(61), [stopped]);
    // The next crash is news again.
    machine.crash();
    wait_for("the next message", || {
        machine.look(0);
        machine.told("told").len() == 3
    });
    let told = machine.told("told");
    assert_eq!(told[2], format!("web crashed, and is down: {CRASHED}"));
}

#[test]
fn a_service_that_goes_down_again_after_it_was_up_is_said_to_be_so() {
    let machine = Machine::new();
    machine.init_says("stop/waiting");
    machine.crash();
    machine.crash();
    let told = machine.told("told").split_off(1);
    let down = "web is down again: nothing restarts it (no respawn), after exit code 1";
    assert_eq!(told, [down]);
    // That crash is told, and is summed up in no other message.
    for minutes in [1, 6, 11] {
        assert_eq!(machine.look(minutes), [""; 0]);
    }
    let mut list = machine.0.command("list");
    let list = list.args(["--all", "--json", "--kind", "crash"]).output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    let told = |row: &str| serde_json::from_str::<Value>(row).unwrap()["told"]["one"].clone();
    assert_eq!(told(list.lines().next().unwrap())["state"], "summarised");
}

#[test]
fn a_crash_minutes_after_the_first_that_stays_down_is_one_message() {
    let machine = Machine::new();
    machine.crash();
    machine.age_conversations(6);
    machine.init_says("stop/waiting");
    machine.crash();
    let down = format!("web is down, after another crash: {CRASHED}");
    assert_eq!(machine.told("told")[1..], [down]);
    assert!(machine.look(0).is_empty());
    assert!(machine.look(6).is_empty());
}

#[test]
fn a_message_that_comes_late_says_that_the_service_was_stopped_meanwhile() {
    let machine = Machine::new();
    let gone = machine.0.path("gone");
    machine.replace_in_config("'''", &format!("'''[ -e {} ] || exit 1; ", gone.display()));
    machine.init_says("stop/waiting");
    machine.crash();
    machine.comes_up_and_is_stopped();
    fs::write(gone, "").unwrap();
    machine.look(1);
    assert_eq!(machine.told("told"), [format!("web crashed: {CRASHED}")]);
    let now = machine.told("told.now");
    assert!(
        now[0].starts_with("Now      stopped: as planned, at 20"),
        "{now:?}"
    );
}

#[test]
fn a_service_that_is_up_for_no_longer_than_its_last_short_life_is_not_called_up_again() {
    let machine = Machine::new();
    machine.hook("pre-start");
    // It lives for 30 s, and then again for less when the message is sent.
    let marker = machine.0.run.join("markers/web");
    let text = fs::read_to_string(&marker).unwrap();
    let mut armed: Value = serde_json::from_str(&text).unwrap();
    armed["armed_ms"] = json!(armed["armed_ms"].as_u64().unwrap().saturating_sub(30_000));
    fs::write(marker, armed.to_string()).unwrap();
    let line = "init: web main process (4242) terminated with status 1";
    machine.0.kernel_log(line);
    machine.hook("post-stop");
    machine.hook("pre-start");
    machine.0.settle();
    machine.look(0);
    let now = machine.told("told.now").pop().unwrap();
    assert!(now.starts_with("Now      up since "), "{now}");
    assert!(now.ends_with("; its last life took 30 s"), "{now}");
}

#[test]
fn a_summary_tells_of_the_latest_crash() {
    let machine = Harness::new();
    machine.keep_messages();
    let machine = Machine::of(machine);
    machine.crash_of(4242);
    machine.crash_of(4343);
    machine.look(6);
    let messages = machine.0.messages();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    assert!(messages[1].contains("again"), "{messages:#?}");
    assert!(messages[0].contains("main process (4242)"));
    assert!(messages[1].contains("main process (4343)"), "{messages:#?}");
}

#[test]
fn a_summary_after_the_service_went_down_says_that_its_crashes_were_before() {
    let machine = Machine::new();
    machine.crash();
    machine.crash();
    machine.init_says("stop/waiting");
    machine.crash();
    let told = machine.look(6);
    let down = format!("web is down, after more crashes: {CRASHED} (2 times");
    assert!(told.len() == 1 && told[0].starts_with(&down), "{told:?}");
}

#[test]
fn doctor_says_that_a_service_is_down() {
    let machine = Machine::new();
    let conf = machine.0.root.join("etc/init/web.conf");
    fs::write(conf, "exec /srv/web\n").unwrap();
    machine.init_says("stop/waiting");
    machine.crash();
    let doctor = || {
        let output = machine.0.command("doctor").arg("web").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let down = "The service is down: nothing restarts it (no respawn); its last end was";
    let said = doctor();
    assert!(
        said.contains(down) && said.contains(": exit code 1"),
        "{said}"
    );
    // Nobody has looked since.
    machine.comes_up_and_is_stopped();
    assert!(!doctor().contains(" is down"), "{}", doctor());
}

#[test]
fn a_job_that_wants_no_reminders_gets_none() {
    let machine = Machine::new();
    machine
        .0
        .configure("web", "remind = \"never\"\n[collect]\n");
    machine.init_says("stop/waiting");
    machine.crash();
    assert!(machine.look(61).is_empty());
}

#[test]
fn upstart_that_respawns_too_fast_has_given_up() {
    let machine = Machine::new();
    let conf = machine.0.root.join("etc/init/web.conf");
    fs::write(conf, "respawn\nexec /srv/web\n").unwrap();
    machine.init_says("start/post-stop, process 50");
    machine.crash();
    machine
        .0
        .kernel_log("init: web respawning too fast, stopped");
    machine.init_says("stop/waiting");
    let given_up = "web is down: Upstart has given up (respawning too fast), after exit code 1";
    assert_eq!(machine.look(0), [given_up]);
}
