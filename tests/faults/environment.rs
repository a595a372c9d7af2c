//! The environment of a hook is the job's, and may be hostile. None of it reaches the deliverer or
//! costs the report.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use lastwords::report::Verdict;

use crate::support::harness::{self, Harness, killed_by, wait_for, wait_for_some};
use crate::victim::{hook, run, tell};

/// Variables in a job's environment that would harm a program that trusts them.
const HOSTILE: [(&str, &str); 26] = [
    ("http_proxy", "http://127.0.0.1:1/"),
    ("https_proxy", "http://127.0.0.1:1/"),
    ("HTTP_PROXY", "http://127.0.0.1:1/"),
    ("HTTPS_PROXY", "http://127.0.0.1:1/"),
    ("ALL_PROXY", "socks5://127.0.0.1:1/"),
    ("SSL_CERT_FILE", "/dev/zero"),
    ("SSL_CERT_DIR", "/proc"),
    ("PATH", "/nonexistent:.:relative"),
    ("IFS", "/"),
    ("SHELL", "/bin/false"),
    ("RUST_BACKTRACE", "full"),
    ("RUST_LOG", "trace"),
    ("RUST_MIN_STACK", "1"),
    ("HOME", "/dev/full"),
    ("TMPDIR", "/dev/full"),
    ("XDG_CONFIG_HOME", "/dev/full"),
    ("XDG_RUNTIME_DIR", "/dev/full"),
    ("MALLOC_PERTURB_", "255"),
    ("MALLOC_ARENA_MAX", "1"),
    ("GLIBC_TUNABLES", "glibc.malloc.check=3"),
    ("RES_OPTIONS", "ndots:15 timeout:30 attempts:5"),
    ("LOCALDOMAIN", "evil.example"),
    ("HOSTALIASES", "/dev/zero"),
    ("LANG", "../../../../tmp/x"),
    ("TZ", ":/dev/zero"),
    ("LASTWORDS_REPORT_DIR", "/dev/full"),
];

/// Lets the service crash, with these variables in the environment of every hook.
fn crash_in(machine: &Harness, environment: &[(&str, &str)]) -> std::time::Duration {
    let with = |name| {
        let mut hook = hook(machine, name, "web");
        hook.envs(environment.iter().copied());
        hook
    };
    run(with("pre-start"));
    machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    run(with("post-stop"))
}

/// Returns the config of a sink that writes down three environments: its own, its attempt's and the
/// deliverer's.
fn witness(machine: &Harness) -> String {
    let script = machine.path("witness");
    let seen = machine.path("seen").display().to_string();
    let text = format!(
        "#!/bin/sh\nexec >>{seen}\nenv\ntr '\\0' '\\n' </proc/$PPID/environ\n\
         deliverer=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' /proc/$PPID/stat)\ntr '\\0' '\\n' </proc/$deliverer/environ\n\
         tr '\\0' ' ' </proc/$deliverer/cmdline\necho; echo done\n"
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    format!(
        "[[sink.exec]]\nname = 'witness'\ncommand = ['{}']\n",
        script.display()
    )
}

#[test]
fn nothing_of_a_jobs_environment_gets_into_the_deliverer_or_costs_the_report() {
    let machine = Harness::new();
    fs::write(machine.config.join("lastwords.toml"), witness(&machine)).unwrap();
    let took = crash_in(&machine, &HOSTILE);
    let seen = wait_for_some("the deliverer's environment", || {
        fs::read_to_string(machine.path("seen"))
            .ok()
            .filter(|seen| seen.ends_with("\ndone\n"))
    });
    assert!(
        seen.contains("lastwords deliver "),
        "that was the deliverer: {seen}"
    );
    for (name, value) in HOSTILE {
        let line = format!("{name}={value}");
        assert!(!seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &killed_by("SEGV")),
        "{report:#?}"
    );
    tell(
        "environment: proxies, certificates, PATH, HOME, TMPDIR, allocator, resolver",
        &[took],
    );
}

/// A library whose constructor writes down the command that loaded it.
const PRELOADED: &str = r#"
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void get_in(int argc, char **argv) {
    int fd = open(CANARY, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (argc > 1) { write(fd, argv[1], __builtin_strlen(argv[1])); write(fd, "\n", 1); }
    close(fd);
}
"#;

#[test]
fn a_library_that_the_job_preloads_gets_no_further_than_a_dynamic_hook() {
    let machine = Harness::new();
    fs::write(machine.config.join("lastwords.toml"), witness(&machine)).unwrap();
    let (library, canary) = (machine.path("evil.so"), machine.path("canary"));
    fs::write(machine.path("evil.c"), PRELOADED).unwrap();
    let mut compile = Command::new("cc");
    compile
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(&library)
        .arg(machine.path("evil.c"));
    assert!(
        compile
            .arg(format!("-DCANARY=\"{}\"", canary.display()))
            .status()
            .unwrap()
            .success()
    );
    let took = crash_in(&machine, &[("LD_PRELOAD", library.to_str().unwrap())]);
    wait_for("the delivery", || machine.path("seen").exists());
    machine.only_report();

    let got_into = fs::read_to_string(&canary).unwrap_or_default();
    if is_static(&harness::binary()) {
        assert_eq!(got_into, "", "a static program loads no library");
    } else {
        assert!(
            got_into.contains("post-stop"),
            "a hook loads this library: {got_into}"
        );
        assert!(
            got_into.lines().all(|command| command.starts_with('p')),
            "hooks only: {got_into}"
        );
    }
    tell("environment: LD_PRELOAD", &[took]);
}

/// Returns true if the program asks for no dynamic linker.
fn is_static(binary: &str) -> bool {
    let output = Command::new("readelf")
        .args(["--program-headers", binary])
        .output()
        .unwrap();
    !String::from_utf8_lossy(&output.stdout).contains("INTERP")
}
