//! Every user chooses its processes' names, and the kernel writes them into its log. There, too,
//! a name must not be taken for anything else.

use std::fs::OpenOptions;
use std::io::Write;

use rustix::time::{ClockId, clock_gettime};

use crate::support::harness::{Harness, killed_by, wait_for};
use crate::victim::{hook, run, tell};

/// Names of processes, at most 15 bytes long, that look like a text of the kernel or of init.
/// `4242` is the victim.
const NAMES: [&str; 9] = [
    "Killed process ",
    "Out of memory: ",
    ") Killed proces",
    "4242 (web) tota",
    "\nKilled process",
    "init: web main ",
    "x) (4242) kille",
    "\u{1b}[2J\u{1b}]0;evil",
    "\\x0aKilled proc",
];

/// Returns kernel log lines with this name, as kernels write it.
fn lines_with(name: &str) -> [String; 8] {
    [
        format!(
            "{name}[4242]: segfault at 0 ip 0000000000401136 sp 00007ffd error 6 in x[401000+1000]"
        ),
        format!(
            "traps: {name}[4242] general protection fault ip:401136 sp:7ffd error:0 in x[401000+1000]"
        ),
        format!(
            "Out of memory: Killed process 77 ({name}) total-vm:4242kB, anon-rss:1kB, UID:54321"
        ),
        format!(
            "Memory cgroup out of memory: Killed process 77 ({name}) total-vm:4242kB, anon-rss:1kB"
        ),
        format!("Killed process 77 ({name}) total-vm:4242kB, anon-rss:1kB"),
        format!("{name} invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0"),
        format!("oom_reaper: reaped process 77 ({name}), now anon-rss:0kB"),
        format!("[   4242] 54321  4242     1000      100    53248        0             0 {name}"),
    ]
}

#[test]
fn a_process_name_in_the_kernels_lines_changes_no_cause() {
    for name in NAMES {
        let machine = Harness::new();
        run(hook(&machine, "pre-start", "web"));
        let mut log = OpenOptions::new()
            .append(true)
            .open(machine.root.join("dev/kmsg"))
            .unwrap();
        for (sequence, line) in lines_with(name).iter().enumerate() {
            let now = clock_gettime(ClockId::Monotonic);
            let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
            // Escapes the name as the kernel does, the backslash included.
            let escaped: String = line
                .bytes()
                .map(|byte| match byte {
                    b' '..=b'~' if byte != b'\\' => char::from(byte).to_string(),
                    _ => format!("\\x{byte:02x}"),
                })
                .collect();
            writeln!(log, "4,{sequence},{micros},-;{escaped}").unwrap();
        }
        machine.kernel_log("init: web main process (4242) killed by KILL signal");
        let took = run(hook(&machine, "post-stop", "web"));
        wait_for("the report", || !machine.reports().is_empty());
        let report = machine.only_report();
        assert_eq!(report.stop.exit, killed_by("KILL"), "{name:?}: {report:#?}");
        assert_eq!(
            report.cause.line, "killed by SIGKILL, cause unknown",
            "{name:?}"
        );
        tell(&format!("kernel log: a process named {name:?}"), &[took]);
    }
}

mod as_root {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Stdio;

    use super::{Harness, Write, hook, killed_by, run, tell, wait_for};
    use crate::victim::{UID, section, user};

    const DIE: &str = r"
import ctypes, sys, time
libc = ctypes.CDLL(None)
libc.prctl(15, sys.argv[1].encode(), 0, 0, 0)
if sys.argv[2] == 'live':
    print('begun', flush=True)
    time.sleep(1000)
ctypes.string_at(0)
";

    #[test]
    fn real_processes_with_such_names_die_and_live_beside_the_victim() {
        let machine = Harness::new();
        machine.configure(
            "web",
            "[collect.processes]\ncount = 100000\n[collect.dmesg]\n",
        );
        fs::remove_file(machine.root.join("dev/kmsg")).unwrap();
        symlink("/dev/kmsg", machine.root.join("dev/kmsg")).unwrap();
        run(hook(&machine, "pre-start", "web"));
        let program = |name: &str, end: &str| {
            let mut command = user(UID);
            command
                .args(["/usr/bin/python3", "-c", DIE, name, end])
                .stdout(Stdio::piped());
            command
        };
        for name in ["Killed process ", "init: web main "] {
            assert!(!program(name, "die").status().unwrap().success());
        }
        let mut alive = program("\n\u{1b}[2J) R 1 evil", "live").spawn().unwrap();
        let comm = format!("/proc/{}/comm", alive.id());
        wait_for("its name", || {
            fs::read_to_string(&comm).is_ok_and(|name| name.contains("evil"))
        });
        // Writes init's line, as init does.
        let mut log = fs::OpenOptions::new()
            .write(true)
            .open("/dev/kmsg")
            .unwrap();
        log.write_all(b"<4>init: web main process (4242) killed by KILL signal\n")
            .unwrap();
        let took = run(hook(&machine, "post-stop", "web"));
        alive.kill().unwrap();
        alive.wait().unwrap();

        wait_for("the report", || !machine.reports().is_empty());
        let report = machine.only_report();
        assert_eq!(
            (&report.stop.exit, report.cause.line.as_str()),
            (&killed_by("KILL"), "killed by SIGKILL, cause unknown")
        );
        let text = &section(&report, "dmesg").text;
        assert!(
            text.contains("Killed process [") && text.contains("segfault"),
            "the kernel did write it: {text}"
        );
        let text = &section(&report, "processes").text;
        let row = text
            .lines()
            .find(|line| line.contains("evil"))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(row.contains(r"\n\u{1b}[2J) R 1 evil"), "{row:?}");
        tell("processes: hostile names, dying and alive", &[took]);
    }
}
