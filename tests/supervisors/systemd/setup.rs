//! The whole way on systemd, from a service without lastwords to its crash, with the doctor's
//! answers on the way.

use serde_json::Value;

use super::machine::{Machine, RECEIVER};
use crate::support::harness::wait_for_some;
use crate::told::Doctor;

const SINK: &str =
    "[[sink.webhook]]\nname = 'events'\nurl = 'http://127.0.0.1:8080/'\ntoken_file = 'token'\n";
const WEB: &str =
    "[Service]\nExecStart=sh -c 'echo no more orders; exec sleep 1000'\nExecStopPost=-/bin/false\n";
const DROP_INS: &str = "/etc/systemd/system/web.service.d";

impl Machine {
    fn doctor(&self) -> Doctor {
        Doctor::of(
            &self.run("lastwords doctor web --json"),
            &self.run("lastwords doctor web"),
        )
    }

    fn file(&self, path: &str, text: &str) {
        self.write(&[(path.to_owned(), text.to_owned())]);
    }
}

/// Returns the commands that activate the units, as `setup` names them.
fn activation(said: &str) -> String {
    let lines = said
        .split_once("then, to make it active:\n")
        .expect("it says so")
        .1
        .lines();
    lines
        .take_while(|line| line.starts_with("  "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn with_the_files_of_setup_a_crash_is_caught_and_sent_and_the_doctor_knows_each_step() {
    let machine = Machine::boot_without();
    machine.file("/srv/receiver", RECEIVER);
    machine.file(
        "/etc/systemd/system/receiver.service",
        "[Service]\nExecStart=python3 /srv/receiver\n",
    );
    machine.file("/etc/systemd/system/web.service", WEB);
    machine.file("/etc/lastwords/lastwords.toml", SINK);
    machine.shell(
        "systemctl daemon-reload; systemctl start receiver web; until [ -e /run/receives ]; do sleep 0.05; done",
    );
    let pid = || machine.shell("systemctl show -p MainPID --value web");
    let before = pid();
    machine.doctor().assert_problem(
        "hooks",
        "NOT be caught: no ExecStopPost=",
        "lastwords setup web --write",
    );

    // The files are written, shown, and written again.
    let said = machine.shell("lastwords setup web --write");
    machine.doctor().assert_problem(
        "hooks",
        "systemd has not read them yet",
        "systemctl daemon-reload",
    );
    assert!(
        machine
            .shell("lastwords setup web --write")
            .contains("nothing to write: all of it is there")
    );
    machine.shell(&activation(&said));
    assert_eq!(pid(), before, "no service is started anew for it");
    let doctor = machine.doctor();
    doctor.assert_problem(
        "events",
        "NOT told: the file with its secret does not exist",
        "LoadCredential=",
    );
    doctor.assert("hooks", "ok", "systemd calls post-stop", "");
    doctor.assert(
        "marker",
        "weak",
        "was started before its hooks were set up",
        "systemctl restart web.service",
    );
    doctor.assert("log", "ok", "the journal can be read", "");

    // The secret belongs to root, and systemd passes it to the deliverer.
    machine.shell("echo hush >/srv/token; chmod 600 /srv/token; mkdir -p /etc/systemd/system/lastwords.service.d");
    machine.file(
        "/etc/systemd/system/lastwords.service.d/secrets.conf",
        "[Service]\nLoadCredential=token:/srv/token\n",
    );
    machine.shell("systemctl daemon-reload");
    let doctor = machine.doctor();
    assert_eq!(
        (doctor.code, doctor.verdict()),
        (
            Some(0),
            "web: a crash would be caught and told to events (not verified)"
        )
    );
    machine.shell(&doctor.remedy("events"));
    machine
        .doctor()
        .assert("events", "ok", "it took the drill", "");

    machine.shell("rm /var/spool/told/*; systemctl kill -s SEGV web");
    // The drill is kept too.
    let report = machine
        .wait_for_crashes(2)
        .into_iter()
        .find(|it| !it.drill)
        .unwrap();
    assert!(
        report.cause.line.starts_with("killed by SIGSEGV"),
        "{report:#?}"
    );
    assert!(
        report
            .sections
            .iter()
            .any(|it| it.collector == "log journal" && it.text.contains("no more orders"))
    );
    machine.doctor().assert("deliverer", "ok", "looked ", "");
}

#[test]
fn each_obstacle_is_named_with_a_remedy_that_helps() {
    let machine = Machine::boot_without();
    machine.file("/etc/systemd/system/web.service", WEB);
    machine.file("/etc/systemd/system/shop@.service", WEB);
    machine.file(
        "/etc/lastwords/lastwords.toml",
        "[[sink.exec]]\nname = 'keep'\ncommand = ['/bin/cat']\n",
    );
    machine.shell("systemctl daemon-reload; systemctl start web shop@blue");
    for job in ["web", "shop@blue"] {
        let said = machine.shell(&format!("lastwords setup {job} --write"));
        machine.shell(&activation(&said));
    }
    let all: Value = serde_json::from_str(&machine.shell("lastwords doctor --json")).unwrap();
    let jobs: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["job"].as_str().unwrap())
        .collect();
    assert_eq!(jobs, ["shop@blue", "web"]);
    assert!(
        machine
            .shell("lastwords doctor shop")
            .starts_with("shop@blue: a crash would be caught")
    );

    // A foreign drop-in removes our hook.
    machine.file(
        &format!("{DROP_INS}/web.conf"),
        "[Service]\nExecStopPost=\n",
    );
    machine.doctor().assert(
        "hooks",
        "weak",
        "it ends with the next daemon-reload",
        "mv ",
    );
    machine.shell("systemctl daemon-reload");
    let doctor = machine.doctor();
    doctor.assert_problem(
        "hooks",
        "NOT be caught: an empty ExecStopPost= in",
        "let ours come last: mv ",
    );
    machine.shell(doctor.remedy("hooks").split_once(": ").unwrap().1);
    machine
        .doctor()
        .assert("hooks", "ok", "systemd calls post-stop", "");
    assert!(
        machine
            .shell("lastwords setup web --write")
            .contains("nothing to write")
    );

    // The hook runs with the service's own rights, after a command that fails.
    let own = "[Service]\nUser=nobody\nExecStopPost=\nExecStopPost=/bin/false\nExecStopPost=/usr/bin/lastwords post-stop --job %n\n";
    machine.file(&format!("{DROP_INS}/zzz.conf"), own);
    machine.shell("systemctl daemon-reload");
    let doctor = machine.doctor();
    doctor.assert_problem(
        "user",
        "NOT be caught: its ExecStopPost= runs as nobody",
        "`-+`",
    );
    doctor.assert(
        "hooks",
        "weak",
        "whenever that fails, systemd does not run ours",
        "ExecStopPost=-/bin/false",
    );
    machine.shell(&format!("rm {DROP_INS}/zzz.conf; systemctl daemon-reload"));

    for (script, about, state, text) in [
        (
            "systemctl disable lastwords.timer",
            "deliverer",
            "weak",
            "lastwords.timer is not enabled",
        ),
        (
            "systemctl stop lastwords.path",
            "deliverer",
            "problem",
            "lastwords.path is inactive",
        ),
        (
            "ln -sf /dev/null /etc/systemd/system/lastwords.timer; systemctl daemon-reload",
            "deliverer",
            "problem",
            "is masked",
        ),
        (
            "ln -sf /dev/null /etc/systemd/system/web.service; systemctl daemon-reload",
            "unit",
            "weak",
            "it is masked",
        ),
    ] {
        machine.run(script);
        machine.doctor().assert(about, state, text, "systemctl ");
    }
}

#[test]
fn directories_of_ones_own_are_in_the_deliverers_sandbox() {
    let machine = Machine::boot_without();
    let sink =
        "[[sink.exec]]\nname = 'keep'\ncommand = ['sh', '-c', 'cat >/var/spool/told/told']\n";
    machine.file(
        "/etc/systemd/system/web.service",
        // Before it is the program, its process is a part of systemd, and takes signals as such.
        "[Service]\nType=exec\nExecStart=sleep 1000\n",
    );
    machine.file("/etc/lastwords/lastwords.toml", sink);
    machine.shell("systemctl daemon-reload; systemctl start web; mkdir '/srv/my own' /home/own");
    for (spool, run_dir) in [
        ("/srv/my own/spool", "/srv/run"),
        ("/home/own/spool", "/run/our/words"),
        ("/tmp/spool", "/var/lib/run"),
    ] {
        let setup = format!("lastwords setup web --write --spool '{spool}' --run-dir {run_dir}");
        machine.shell("rm -rf /etc/systemd/system/*lastwords* /etc/systemd/system/web.service.d");
        let said = machine.shell(&setup);
        machine.shell(&activation(&said));
        machine.shell("systemctl restart lastwords.path web; rm -f /var/spool/told/told; systemctl kill -s SEGV web");
        let told = wait_for_some("the sink's report", || {
            let told = machine.run("cat /var/spool/told/told").stdout;
            (!told.is_empty()).then(|| String::from_utf8_lossy(&told).into_owned())
        });
        assert!(told.contains("SIGSEGV"), "{told}");
        let failed =
            machine.shell("systemctl list-units --failed --plain --no-legend 'lastwords*'");
        assert_eq!(failed, "", "{spool} {run_dir}");
    }
}
