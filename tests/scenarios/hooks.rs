//! Hooks in a hostile environment. Whatever is missing, broken or closed, a hook exits 0.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lastwords::report::{Status, Verdict};

use crate::support::harness::{Harness, SystemLog, killed_by};

pub const HOOKS: [&str; 3] = ["pre-start", "pre-stop", "post-stop"];

/// Returns the hook as Upstart runs it for the job `web`.
pub fn hook(machine: &Harness, name: &str) -> Command {
    let mut command = machine.hook_command(name);
    command.envs([
        ("PATH", crate::support::process::PATH),
        ("TERM", "linux"),
        ("UPSTART_JOB", "web"),
        ("UPSTART_INSTANCE", ""),
    ]);
    command.current_dir("/").stdin(Stdio::null());
    command
}

pub fn exits_0(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// Starts `web` and lets it crash. `torment` changes the command of each hook first.
pub fn crash(machine: &Harness, torment: impl Fn(&mut Command)) {
    for name in ["pre-start", "post-stop"] {
        let mut command = hook(machine, name);
        torment(&mut command);
        let said = exits_0(&mut command);
        assert!(
            said.stdout.is_empty() && said.stderr.is_empty(),
            "a hook writes nothing into its service's log: {said:?}"
        );
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
}

fn assert_segv_was_reported(machine: &Harness) {
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &killed_by("SEGV")),
        "{report:#?}"
    );
}

#[test]
fn the_hooks_work_without_a_config() {
    let machine = Harness::new();
    fs::remove_dir_all(&machine.config).unwrap();
    crash(&machine, |_| {});
    assert_segv_was_reported(&machine);
}

#[test]
fn a_broken_config_never_costs_the_report_and_the_report_names_the_problem() {
    let broken = [
        ("lastwords.toml", "sinks = [[["),
        ("lastwords.toml", "no_such_key = 1\n"),
        ("lastwords.toml", "\u{0}\u{1}\u{2}"),
        ("jobs/web.toml", "no_such_key = 1\n"),
        ("jobs/web.toml", "normal_exit = \"every one\"\n"),
        ("jobs/web.toml", "sinks = [\"no-such-sink\"]\n"),
    ];
    for (file, toml) in broken {
        let machine = Harness::new();
        fs::write(machine.config.join(file), toml).unwrap();
        crash(&machine, |_| {});
        assert_segv_was_reported(&machine);
        let notes = machine.only_report().notes;
        let name = file.rsplit('/').next().unwrap();
        assert!(
            notes.iter().any(|note| note.contains(name)),
            "{file} with {toml:?}: {notes:?}"
        );
    }
}

#[test]
fn a_config_that_is_not_a_file_never_costs_the_report() {
    let machine = Harness::new();
    fs::create_dir(machine.config.join("lastwords.toml")).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(machine.config.join("jobs/web.toml"))
        .status()
        .unwrap();
    assert!(fifo.success());
    crash(&machine, |_| {});
    assert_segv_was_reported(&machine);
}

#[test]
fn a_run_directory_that_cannot_be_made_does_not_stop_the_job_from_starting() {
    let machine = Harness::new();
    fs::write(&machine.run, "in the way").unwrap();
    let mut web = machine.job("web", "respawn\nexec sleep 1000");
    web.start();
    assert!(web.is_running());
    web.kill_main(rustix::process::Signal::SEGV);
    web.wait_for_life(2);
    web.stop();
}

#[test]
fn a_spool_that_cannot_be_made_does_not_stop_the_job_from_starting_again() {
    let machine = Harness::new();
    fs::write(&machine.spool, "in the way").unwrap();
    let mut web = machine.job("web", "respawn\nexec sleep 1000");
    web.start();
    web.kill_main(rustix::process::Signal::SEGV);
    web.wait_for_life(2);
    web.stop();
}

#[test]
fn a_report_that_cannot_be_written_anywhere_is_at_least_in_the_system_log() {
    let machine = Harness::new();
    let syslog = SystemLog::of(&machine);
    fs::write(&machine.spool, "in the way").unwrap();
    crash(&machine, |_| {});
    machine.wait_for_workers();
    let said = syslog.said();
    assert!(
        said.iter()
            .any(|line| line.contains("web") && line.contains("SEGV")),
        "{said:?}"
    );
}

#[test]
fn a_hook_without_an_error_writes_nothing_to_the_system_log() {
    let machine = Harness::new();
    let syslog = SystemLog::of(&machine);
    crash(&machine, |_| {});
    assert_eq!(syslog.said(), [""; 0]);
}

#[test]
fn a_program_that_hangs_delays_no_restart_and_is_not_left_running() {
    let machine = Harness::new();
    let slow = machine.path("slow").display().to_string();
    fs::write(&slow, "#!/bin/sh\nsleep 60\n").unwrap();
    assert!(
        Command::new("chmod")
            .args(["+x", &slow])
            .status()
            .unwrap()
            .success()
    );
    machine.configure(
        "web",
        &format!("[[collect.exec]]\nname = \"slow\"\ncommand = [\"{slow}\"]\ntimeout = \"500ms\"\nwhen = \"now\"\n"),
    );
    let began = Instant::now();
    crash(&machine, |_| {});
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_segv_was_reported(&machine);
    let sections = machine.only_report().sections;
    let slow = sections
        .iter()
        .find(|section| section.collector.contains("slow"))
        .expect("its section");
    assert_ne!(slow.status, Status::Ok);
}

#[test]
fn a_file_in_the_markers_place_that_is_not_a_marker_does_no_harm() {
    let fill = |machine: &Harness, name: &str, how: &str| {
        let path = machine.run.join("markers").join(name);
        fs::remove_file(&path).unwrap();
        let (program, args): (_, &[&str]) = match how {
            "fifo" => ("mkfifo", &[]),
            "directory" => ("mkdir", &[]),
            "link" => ("ln", &["-s", "/etc/hostname"]),
            _ => ("touch", &[]),
        };
        assert!(
            Command::new(program)
                .args(args)
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    };
    for how in ["empty", "fifo", "directory", "link"] {
        let machine = Harness::new();
        exits_0(&mut hook(&machine, "pre-start"));
        let marker = machine.markers().remove(0);
        fill(&machine, &marker, how);
        for name in HOOKS.iter().chain(&HOOKS) {
            exits_0(&mut hook(&machine, name));
        }
    }
}

#[test]
fn how_far_the_kernel_log_was_read_is_kept_from_a_stop_until_the_next_start() {
    for hooks in [&["post-stop"][..], &["pre-stop", "post-stop"]] {
        let machine = Harness::new();
        let seen = machine.run.join("markers/web~seen");
        exits_0(&mut hook(&machine, "pre-start"));
        machine.kernel_log("init: web main process (4242) killed by TERM signal");
        assert!(!seen.exists());
        for name in hooks {
            exits_0(&mut hook(&machine, name));
        }
        machine.wait_for_workers();
        assert!(seen.exists(), "{hooks:?}");
        exits_0(&mut hook(&machine, "pre-start"));
        assert!(!seen.exists(), "{hooks:?}");
    }
}

#[test]
fn how_far_the_kernel_log_was_read_in_an_earlier_boot_hides_nothing() {
    let machine = Harness::new();
    let markers = machine.run.join("markers");
    fs::create_dir_all(&markers).unwrap();
    let earlier = r#"{"boot_id":"00000000-0000-4000-8000-000000000000","sequence":1000}"#;
    fs::write(markers.join("web~seen"), earlier).unwrap();
    crash(&machine, |_| {});
    assert_segv_was_reported(&machine);
}

#[test]
fn a_deliverer_removes_the_draft_of_a_dead_hook_and_spares_that_of_a_live_one() {
    let machine = Harness::new();
    exits_0(&mut hook(&machine, "pre-start"));
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let draft = |pid: u32| machine.run.join(format!("markers/web~draft{pid}"));
    let (live, dead) = (draft(std::process::id()), draft(dead.id()));
    for draft in [&live, &dead] {
        fs::write(draft, "half a mark").unwrap();
    }
    assert!(machine.command("deliver").status().unwrap().success());
    assert!(live.exists() && !dead.exists());
}

#[test]
fn closed_descriptors_are_no_obstacle() {
    let machine = Harness::new();
    for name in ["pre-start", "post-stop"] {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"])
            .args(machine.hook_argv(name));
        command
            .env_clear()
            .envs([("UPSTART_JOB", "web"), ("UPSTART_INSTANCE", "")]);
        exits_0(&mut command);
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
    assert_segv_was_reported(&machine);
}

#[test]
fn a_dead_pipe_is_no_obstacle() {
    let machine = Harness::new();
    // A note about the broken config makes the hook write something.
    fs::write(machine.config.join("lastwords.toml"), "broken").unwrap();
    for name in ["pre-start", "post-stop"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = hook(&machine, name);
        let status = command
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .status()
            .unwrap();
        assert!(status.success(), "{name}: {status}");
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
    assert_segv_was_reported(&machine);
}

#[test]
fn a_full_pipe_without_a_reader_does_not_delay_a_hook() {
    let machine = Harness::new();
    fs::write(machine.config.join("lastwords.toml"), "broken").unwrap();
    for name in ["pre-start", "post-stop"] {
        let (_reader, mut writer) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[b'x'; 4096]).is_ok() {}
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
        let mut child = hook(&machine, name)
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        crate::support::harness::wait_for("the hook's end", || child.try_wait().unwrap().is_some());
        assert!(child.wait().unwrap().success());
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
    assert_segv_was_reported(&machine);
}

#[test]
fn a_dead_terminal_is_no_obstacle() {
    let machine = Harness::new();
    fs::write(machine.config.join("lastwords.toml"), "broken").unwrap();
    for name in ["pre-start", "post-stop"] {
        let (ours, theirs) = crate::support::process::open_pty().unwrap();
        drop(ours);
        let mut command = hook(&machine, name);
        let status = command
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs)
            .status()
            .unwrap();
        assert!(status.success(), "{name}: {status}");
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
    assert_segv_was_reported(&machine);
}

#[test]
fn names_that_are_not_utf_8_are_names() {
    let machine = Harness::new();
    for name in ["pre-start", "post-stop"] {
        let mut command = hook(&machine, name);
        command.env("UPSTART_JOB", OsStr::from_bytes(b"w\xffeb"));
        exits_0(command.env(OsStr::from_bytes(b"\xfe"), OsStr::from_bytes(b"\xfd")));
        machine.kernel_log(b"init: w\xffeb main process (4242) killed by SEGV signal");
    }
    let report = machine.only_report();
    assert!(
        report.stop.job.starts_with('w') && report.stop.job.ends_with("eb"),
        "{report:#?}"
    );
    assert_eq!(report.stop.exit, killed_by("SEGV"), "{report:#?}");
}

#[test]
fn two_names_that_differ_only_in_bytes_that_are_not_utf_8_are_two_jobs() {
    let machine = Harness::new();
    for job in [b"w\xffeb", b"w\xfeeb"] {
        exits_0(hook(&machine, "pre-start").env("UPSTART_JOB", OsStr::from_bytes(job)));
    }
    assert_eq!(machine.markers().len(), 2);
}

#[test]
fn arguments_that_are_not_utf_8_or_not_known_do_not_stop_a_job() {
    let machine = Harness::new();
    for name in HOOKS {
        for argument in [
            &b"\xff\xfe"[..],
            b"--no-such-flag",
            b"--job",
            b"--instance=\xff",
            b"--",
            b"--help",
        ] {
            let mut command = hook(&machine, name);
            command.arg(OsStr::from_bytes(argument));
            exits_0(&mut command);
        }
    }
}

#[test]
fn a_run_directory_whose_path_is_not_utf_8_works() {
    let mut machine = Harness::new();
    machine.run = machine.path("run").join(OsStr::from_bytes(b"\xff"));
    crash(&machine, |_| {});
    assert_segv_was_reported(&machine);
}

#[test]
fn an_empty_and_a_huge_environment_are_survived() {
    let machine = Harness::new();
    for name in HOOKS {
        exits_0(&mut machine.hook_command(name));
    }
    assert_eq!(machine.reports(), []);
    let huge = OsString::from("x".repeat(100_000));
    crash(&machine, |hook| {
        hook.envs((0..15).map(|i| (format!("HUGE_{i}"), huge.clone())));
    });
    assert_segv_was_reported(&machine);
}

#[test]
fn a_huge_name_does_not_stop_a_job() {
    let machine = Harness::new();
    crash(&machine, |hook| {
        hook.env("UPSTART_INSTANCE", "i".repeat(100_000));
    });
    machine.only_report();
}

#[test]
fn the_flags_name_the_job_where_the_environment_does_not() {
    let machine = Harness::new();
    for name in ["pre-start", "post-stop"] {
        let mut command = machine.hook_command(name);
        command.args(["--job", "web", "--instance", "1"]);
        exits_0(&mut command);
    }
    let report = machine.only_report();
    assert_eq!(
        (report.stop.job.as_str(), report.stop.instance.as_deref()),
        ("web", Some("1"))
    );
}

#[test]
fn a_post_stop_that_runs_twice_reports_once() {
    let machine = Harness::new();
    exits_0(&mut hook(&machine, "pre-start"));
    machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    let mut twins: Vec<_> = (0..8)
        .map(|_| hook(&machine, "post-stop").spawn().unwrap())
        .collect();
    for twin in &mut twins {
        assert!(twin.wait().unwrap().success());
    }
    assert_segv_was_reported(&machine);
}

#[test]
fn the_hooks_answer_to_their_own_names() {
    let machine = Harness::new();
    for name in ["pre-start", "post-stop"] {
        let argv = machine.hook_argv(name);
        let link = machine.path(name);
        std::os::unix::fs::symlink(fs::canonicalize(&argv[0]).unwrap(), &link).unwrap();
        let mut command = Command::new(link);
        command
            .args(&argv[2..])
            .env_clear()
            .envs([("UPSTART_JOB", "web"), ("UPSTART_INSTANCE", "")]);
        exits_0(&mut command);
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
    assert_segv_was_reported(&machine);
}
