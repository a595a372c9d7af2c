//! Services that stay down: people are told at once, and again while nothing has come up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::harness::Harness;

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
        self.hook("pre-start");
        self.0
            .kernel_log("init: web main process (4242) terminated with status 1");
        self.hook("post-stop");
        self.0.wait_for_workers();
        self.0.settle();
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
    let file = machine.0.config.join("lastwords.toml");
    let config = fs::read_to_string(&file).unwrap();
    let said = machine.0.path("said");
    let goes_down = format!("; echo web stop/waiting >{}'''", said.display());
    fs::write(file, config.replacen("''']", &format!("{goes_down}]"), 1)).unwrap();
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
            (1, format!("web is still down for 61 min, {after}")),
            (25, format!("web is still down for 25 h, {after}")),
            (49, format!("web is still down for 2 days, {after}")),
        ]
    );
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
