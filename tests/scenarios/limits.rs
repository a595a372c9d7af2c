//! Little room: `lastwords run` under the command's limits, and a collector that reads a large file.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use lastwords::report::Exit;

use crate::support::harness::{Harness, wait_for};

/// Runs a script under a limit, with `lastwords run` in front of it and without, and compares.
/// Returns false if it does not run at all: the loader needs a descriptor, too.
fn runs_as_without_us(machine: &Harness, limit: &str, script: &str, uid: Option<u32>) -> bool {
    let run = machine.hook("run");
    let ours: Vec<&str> = run.split(' ').chain(["--job", "web", "--"]).collect();
    let [bare, run] = [&[][..], &ours].map(|before| {
        let mut command = Command::new("prlimit");
        command.arg(limit).args(before).args(["sh", "-c", script]);
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        command.current_dir("/").output().unwrap()
    });
    let runs = bare.status.success() || !bare.stdout.is_empty();
    let is_same = (run.status, &run.stdout) == (bare.status, &bare.stdout);
    assert!(is_same || !runs, "{limit}: {run:?}, {bare:?}");
    runs
}

#[test]
fn a_command_with_few_descriptors_runs_as_without_us_and_its_crash_is_caught() {
    for limit in 3..10 {
        let machine = Harness::new();
        let soft = format!("--nofile={limit}:");
        if runs_as_without_us(&machine, &soft, "ulimit -n; echo hello; exit 3", None) {
            assert_eq!(machine.only_report().stop.exit, Exit::Code(3), "{limit}");
        }
    }
}

#[test]
fn a_report_of_node_is_read_in_little_memory_whatever_it_holds() {
    let machine = Harness::new();
    fs::create_dir(machine.root.join("reports")).unwrap();
    machine.configure("web", "[collect.node_report]\ndirectory = '/reports'\n");
    // As a value of JSON, each item takes 40 times its length.
    let items = "[0],".repeat(1 << 19);
    let text = format!(
        r#"{{"header":{{"event":"Exception","trigger":"Exception"}},"javascriptStack":
        {{"message":"Error: no ledger","errorProperties":{{"items":[{items}0]}}}}}}"#
    );
    fs::write(machine.root.join("reports/report.1.json"), text).unwrap();
    let drill = machine.hook("post-stop");
    // On a busy machine a debug build may need more than the time that a crash leaves it.
    wait_for("the report", || {
        let output = Command::new("prlimit")
            .arg(format!("--as={}", 96 << 20))
            .args(drill.split(' '))
            .args(["--simulate-crash", "--job", "web", "--json"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        said.contains("Error: no ledger {\\n  items: [Array],")
    });
}

mod as_root {
    use super::runs_as_without_us;
    use crate::as_root::machine_for_users;

    #[test]
    fn a_command_whose_hard_limits_are_low_runs_as_without_us() {
        let scripts = [
            "ulimit -n; echo hello; exit 3",
            "/bin/echo one; /bin/echo two; kill -TERM $$",
        ];
        for limit in 1..8 {
            let machine = machine_for_users();
            // A user for each: the processes of the last one's do not count.
            let uid = Some(54_400 + limit);
            for script in scripts {
                runs_as_without_us(&machine, &format!("--nproc={limit}"), script, uid);
                runs_as_without_us(&machine, &format!("--nofile={limit}"), script, uid);
            }
        }
    }
}
