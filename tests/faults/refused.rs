//! Errors that pass. A report that cannot be opened now may still be a good report.

use std::fs;
use std::process::{Command, Stdio};

use crate::strace::STRACE;
use crate::support::harness::{Harness, names_in};
use crate::victim::{crash, tell};

/// Runs the deliverer so that its first `open` of this file fails. Returns its output.
fn deliver_without(machine: &Harness, file: &std::path::Path, error: &str) -> String {
    let mut command = Command::new(STRACE);
    command
        .args(["-f", "-qq", "-o"])
        .arg(machine.path("trace"))
        .arg("-P")
        .arg(file)
        .args(["-e", "trace=open,openat,openat2"])
        .arg("-e")
        .arg(format!("inject=open,openat,openat2:error={error}:when=1"))
        .args(machine.hook_argv("deliver"));
    let output = command.output().expect("this test takes strace");
    let trace = fs::read_to_string(machine.path("trace")).unwrap();
    assert!(trace.contains("(INJECTED)"), "{trace}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_error_that_may_pass_puts_no_report_aside() {
    for error in [
        "EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENXIO", "EAGAIN", "ESTALE",
    ] {
        let machine = Harness::new();
        fs::write(machine.config.join("lastwords.toml"), "").unwrap();
        crash(&machine);
        machine.settle();
        let told = machine.path("told");
        let sink = format!(
            "[[sink.exec]]\nname = 'told'\ncommand = ['sh', '-c', 'echo >>{}']\n",
            told.display()
        );
        fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
        // Without a sink the report went straight to `done/`.
        let (new, done) = (machine.spool.join("new"), machine.spool.join("done"));
        let [id] = &names_in(&done)[..] else {
            panic!("one report: {:?}", names_in(&done))
        };
        fs::rename(done.join(id), new.join(id)).unwrap();
        let said = deliver_without(&machine, &new.join(id), error);
        assert!(said.contains("is not sent"), "{error}: {said}");
        assert_eq!(names_in(&machine.spool.join("corrupt")), [""; 0], "{error}");
        let next = machine.command("deliver").output().unwrap();
        assert!(next.status.success(), "{next:?}");
        assert_eq!(
            fs::read_to_string(&told).unwrap().lines().count(),
            1,
            "{error}"
        );
        assert_eq!(&names_in(&done), std::slice::from_ref(id), "{error}");
        tell(&format!("one {error} as a report is opened"), &[]);
    }
}

#[test]
fn no_other_user_may_write_to_files_made_under_the_widest_umask() {
    let machine = Harness::new();
    fs::write(
        machine.config.join("lastwords.toml"),
        "[[sink.exec]]\nname = 'none'\ncommand = ['true']\n",
    )
    .unwrap();
    let with_umask = |name: &str, more: &[&str]| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask 0; exec \"$@\"", "sh"])
            .args(machine.hook_argv(name))
            .args(more)
            .env("UPSTART_JOB", "web")
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    with_umask("pre-start", &[]);
    with_umask("pre-stop", &[]);
    with_umask("pre-start", &[]);
    with_umask("post-stop", &[]);
    with_umask("setup", &[]);
    with_umask("deliver", &[]);
    let ran = with_umask(
        "run",
        &["--job", "batch", "--", "sh", "-c", "umask; exit 3"],
    );
    assert_eq!(ran.status.code(), Some(3));
    let umask = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(
        umask.trim().trim_start_matches('0'),
        "",
        "the command has its own umask"
    );
    machine.settle();
    let found = Command::new("find")
        .args([&machine.run, &machine.spool])
        .args(["-not", "-type", "l", "-perm", "/022"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    tell("umask 0: others write nothing", &[]);
}
