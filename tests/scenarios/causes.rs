//! Programs that really die, and the causes in their reports.

use std::fs;

use lastwords::report::{Confidence, Death, Report};

use crate::support::harness::Harness;
use crate::support::upstart::State;

/// Returns the report of a job whose main process runs this program, as `FILE` in its arguments.
fn report_of(machine: &Harness, command: &str, program: &str) -> Report {
    let file = machine.path("program");
    fs::write(&file, program).unwrap();
    let mut web = machine.job("web", &command.replace("FILE", &file.display().to_string()));
    web.start();
    web.wait_for(State::Waiting);
    machine.only_report()
}

/// Checks the kind of the cause, the words of its line, and that it quotes the log.
fn assert_cause(report: &Report, kind: Death, says: &[&str]) {
    let cause = &report.cause;
    assert_eq!(
        (cause.kind, cause.confidence),
        (kind, Confidence::Likely),
        "{cause:#?}"
    );
    for words in says {
        assert!(cause.line.contains(words), "{words} in {cause:#?}");
    }
    let quoted = cause
        .evidence
        .iter()
        .find(|evidence| evidence.source == "/var/log/upstart/web.log");
    assert!(
        quoted.is_some_and(|quoted| quoted.line.is_some() && !quoted.text.is_empty()),
        "{cause:#?}"
    );
}

#[test]
fn an_exception_that_node_did_not_catch_is_the_cause() {
    let machine = Harness::new();
    let program = "console.log('ready');\nsetTimeout(() => { const order = {};\n  order.customer.id;\n}, 10);\n";
    let report = report_of(&machine, "exec node FILE", program);
    assert_cause(
        &report,
        Death::UncaughtException,
        &["TypeError", "Cannot read prop", "program:3"],
    );
}

#[test]
fn a_port_that_is_taken_is_the_cause() {
    let machine = Harness::new();
    let program = "const net = require('net');\nconst taken = net.createServer().listen(0, '127.0.0.1', () =>\n\
                   net.createServer().listen(taken.address().port, '127.0.0.1'));\n";
    let report = report_of(&machine, "exec node FILE", program);
    assert_cause(&report, Death::PortInUse, &["EADDRINUSE", "127.0.0.1:"]);
}

#[test]
fn a_report_that_node_wrote_gives_the_cause_if_no_log_does() {
    let machine = Harness::new();
    // Paths of the config are looked up below the fake root.
    let reports = machine.root.join("reports");
    fs::create_dir(&reports).unwrap();
    machine.configure("web", "[collect.node_report]\ndirectory = '/reports'\n");
    let node = format!(
        "exec node --report-uncaught-exception --report-directory={} FILE 2>/dev/null",
        reports.display()
    );
    let program = "setTimeout(() => { throw new RangeError('no such tariff') }, 10);\n";
    let report = report_of(&machine, &node, program);
    let cause = &report.cause;
    assert_eq!(
        (cause.kind, cause.confidence),
        (Death::UncaughtException, Confidence::Likely),
        "{report:#?}"
    );
    assert!(
        cause.line.starts_with("RangeError: no such tariff"),
        "{cause:#?}"
    );
    assert!(
        cause.evidence[0].source.starts_with("/reports/report."),
        "{cause:#?}"
    );
    assert!(
        report.sections[0].text.contains("at Timeout._onTimeout"),
        "{report:#?}"
    );
}

#[test]
fn a_python_traceback_is_the_cause() {
    let machine = Harness::new();
    let program = "def total(orders):\n    return sum(orders) / len(orders)\n\nprint('ready', flush=True)\ntotal([])\n";
    let report = report_of(&machine, "exec python3 FILE", program);
    assert_cause(
        &report,
        Death::UncaughtException,
        &["ZeroDivisionError: division by zero", "program:2"],
    );
}

#[test]
fn a_command_that_a_shell_does_not_find_is_the_cause() {
    let machine = Harness::new();
    let report = report_of(
        &machine,
        "exec sh FILE",
        "echo ready\nno-such-server --port 80\n",
    );
    assert_cause(&report, Death::NoSuchFile, &["no-such-server", "not found"]);
}

#[test]
fn an_error_above_the_lines_that_the_section_shows_is_found() {
    let machine = Harness::new();
    machine.configure(
        "web",
        "[[collect.log]]\npath = \"/var/log/upstart/web.log\"\nlines = 2\n",
    );
    let program = "import sys\ndef descend(n):\n    raise ValueError('the bottom') if n == 0 else descend(n - 1)\n\
                   try:\n    descend(3)\nfinally:\n    sys.setrecursionlimit(99)\n";
    let report = report_of(&machine, "exec python3 FILE", program);
    assert_cause(
        &report,
        Death::UncaughtException,
        &["ValueError: the bottom"],
    );
    assert_eq!(report.sections.len(), 1);
    assert_eq!(report.sections[0].text.lines().count(), 2, "{report:#?}");
}

#[test]
fn a_signal_from_outside_stays_unknown_and_is_not_called_out_of_memory() {
    let machine = Harness::new();
    let report = report_of(
        &machine,
        "exec sh FILE",
        "echo \"Error: handled, retrying\"\nkill -KILL $$\n",
    );
    let cause = &report.cause;
    assert_eq!(
        (cause.kind, cause.confidence),
        (Death::KilledBySignal, Confidence::None),
        "{cause:#?}"
    );
    assert_eq!(cause.line, "killed by SIGKILL, cause unknown");
}

mod as_root {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read};
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::Command;
    use std::time::Duration;

    use lastwords::report::{Confidence, Death, Report};
    use rustix::fs::OFlags;

    use crate::support::cgroup::Cgroup;
    use crate::support::harness::{Harness, wait_for};
    use crate::support::upstart::State;

    /// Returns all records of the machine's own kernel log.
    fn kernel_log() -> String {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let mut log = File::options()
            .read(true)
            .custom_flags(flags)
            .open("/dev/kmsg")
            .expect("root");
        let (mut text, mut record) = (String::new(), [0; 8192]);
        loop {
            match log.read(&mut record) {
                Ok(length) => text.push_str(&String::from_utf8_lossy(&record[..length])),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return text,
                // The kernel has overwritten the record meanwhile.
                Err(_) => {}
            }
        }
    }

    /// Runs a job to its end. The machine's kernel log gets the kernel's real records about the
    /// death, then init's line.
    fn die(machine: &Harness, conf: &str) -> Report {
        let mut web = machine.job("web", conf);
        web.start();
        // The process is a zombie: it has not been waited for.
        let stat = format!("/proc/{}/stat", web.main_pid());
        wait_for("its end", || {
            fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
        });
        // The kernel may write its records a moment later.
        std::thread::sleep(Duration::from_millis(50));
        fs::write(machine.root.join("dev/kmsg"), kernel_log()).unwrap();
        web.wait_for(State::Waiting);
        machine.only_report()
    }

    fn assert_oom(report: &Report, line: &str) {
        let cause = &report.cause;
        assert_eq!(
            (cause.kind, cause.confidence),
            (Death::OomKilled, Confidence::Certain),
            "{cause:#?}"
        );
        assert!(cause.line.starts_with(line), "{line}: {cause:#?}");
        assert!(
            cause.line.contains("at its limit of 24 MiB (/lastwords-")
                && cause.line.contains("/web)"),
            "{cause:#?}"
        );
        assert!(
            cause
                .evidence
                .iter()
                .any(|it| it.source == "kernel log" && it.text.contains("Killed process")),
            "{cause:#?}"
        );
    }

    #[test]
    fn a_process_that_the_kernel_kills_at_its_cgroups_limit_is_out_of_memory() {
        let (machine, cgroup) = (Harness::new(), Cgroup::new());
        let report = die(
            &machine,
            &format!(
                "script\n{}\nexec tail /dev/zero\nend script\n",
                cgroup.enter()
            ),
        );
        assert_oom(&report, "out of memory: killed by the kernel");
        assert!(report.cause.line.ends_with(", program tail"), "{report:#?}");
    }

    #[test]
    fn a_wrapper_whose_child_the_kernel_kills_is_out_of_memory() {
        let (machine, cgroup) = (Harness::new(), Cgroup::new());
        let report = die(
            &machine,
            &format!(
                "script\n{}\ntail /dev/zero || exit $?\nend script\n",
                cgroup.enter()
            ),
        );
        assert_oom(&report, "out of memory: its process tail (");
    }

    #[test]
    fn a_service_that_survives_the_kill_of_its_helper_did_not_die_of_it() {
        let (machine, cgroup) = (Harness::new(), Cgroup::new());
        let conf = format!(
            "script\n{}\ntail /dev/zero || :\nexit 3\nend script\n",
            cgroup.enter()
        );
        let report = die(&machine, &conf);
        assert_eq!(
            (report.cause.kind, report.cause.confidence),
            (Death::PlainExit, Confidence::None),
            "{:#?}",
            report.cause
        );
    }

    #[test]
    fn an_invalid_access_names_the_address_and_the_binary() {
        let machine = Harness::new();
        let (source, program) = (machine.path("app.c"), machine.path("app"));
        fs::write(
            &source,
            "int main(void) { volatile int *nothing = 0; return nothing[2] = 1; }\n",
        )
        .unwrap();
        let compiled = Command::new("cc")
            .arg("-o")
            .args([&program, &source])
            .status()
            .unwrap();
        assert!(compiled.success());
        let report = die(&machine, &format!("exec {}\n", program.display()));
        let cause = &report.cause;
        assert_eq!(
            (cause.kind, cause.confidence),
            (Death::Segfault, Confidence::Certain),
            "{cause:#?}"
        );
        assert!(
            cause.line.starts_with(
                "segfault: invalid memory access at 0x8 (write, null pointer), in app"
            ),
            "{cause:#?}"
        );
    }
}
