//! `lastwords run` where the command's limits leave little room.

use std::os::unix::process::CommandExt;
use std::process::Command;

use lastwords::report::Exit;

use crate::support::harness::Harness;

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
