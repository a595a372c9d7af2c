use super::*;

fn sh(script: &str) -> Command {
    Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

fn run_for(command: &Command, stdin: &[u8], timeout: Duration) -> ProgramOutcome {
    run(&Run {
        command,
        user: None,
        stdin,
        env: &[("EXTRA", OsStr::new("yes"))],
        timeout,
        max_bytes: 1000,
    })
}

/// Long enough for a loaded machine: a test that reaches it has hung.
const AMPLE: Duration = Duration::from_secs(30);

fn lives(pid: &str) -> bool {
    // A killed orphan has ended once it is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn dies(pid: &str) -> bool {
    let start = Instant::now();
    while lives(pid) && start.elapsed() < AMPLE {
        std::thread::yield_now();
    }
    !lives(pid)
}

#[test]
fn a_program_reads_its_stdin_and_its_stdout_is_kept() {
    let input = vec![b'x'; 900];
    let outcome = run_for(
        &sh("cat; echo first >&2; echo \u{1b}[31mlast >&2; echo >&2; exit 3"),
        &input,
        AMPLE,
    );
    assert_eq!((outcome.end.code(), outcome.stdout), (Some(3), input));
    assert_eq!(outcome.last_error, "[31mlast");
    assert!(!outcome.truncated);
}

#[test]
fn the_environment_holds_nothing_of_ours() {
    let outcome = run_for(&Command(vec!["env".to_owned()]), b"", AMPLE);
    let mut lines: Vec<_> = std::str::from_utf8(&outcome.stdout)
        .unwrap()
        .lines()
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["EXTRA=yes", "LANG=C.UTF-8", &format!("PATH={PATH}")]
    );
}

#[test]
fn a_program_that_does_not_read_a_megabyte_of_stdin_does_not_block() {
    let outcome = run_for(&sh("echo done"), &vec![0; 1024 * 1024], AMPLE);
    assert_eq!(
        (outcome.end.code(), outcome.stdout.as_slice()),
        (Some(0), &b"done\n"[..])
    );
}

#[test]
fn a_gigabyte_of_output_is_cut_and_drained() {
    let outcome = run_for(&sh("head -c 1G /dev/zero"), b"", AMPLE);
    assert_eq!(
        (outcome.end.code(), outcome.stdout.len(), outcome.truncated),
        (Some(0), 1000, true)
    );
}

#[test]
fn a_program_that_ignores_term_is_killed_at_its_deadline_with_its_children() {
    // A busy machine takes a while until the shell has come to its trap.
    let timeout = Duration::from_secs(3);
    let outcome = run_for(
        &sh("trap '' TERM HUP; sleep 1000 & echo $!; while :; do sleep 1000; done"),
        b"",
        timeout,
    );
    assert!(
        matches!(outcome.end, ProgramEnd::TimedOut(_)),
        "{:?}",
        outcome.end
    );
    assert_eq!(
        outcome.end.to_string(),
        "still running after 3s, so it was killed"
    );
    assert!(dies(std::str::from_utf8(&outcome.stdout).unwrap()));
}

#[test]
fn a_child_that_holds_the_pipe_is_neither_waited_for_nor_left() {
    let outcome = run_for(&sh("sleep 1000 & echo $!"), b"", AMPLE);
    assert_eq!(outcome.end.code(), Some(0));
    assert!(dies(std::str::from_utf8(&outcome.stdout).unwrap()));
}

#[test]
fn a_program_that_left_by_setsid_and_floods_the_pipe_is_not_waited_for() {
    let start = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let floods = dir.path().join("floods").display().to_string();
    // More than a pipe holds: some of it has been read by then.
    let flood = format!("head -c 100000 /dev/zero; : >{floods}; exec timeout 100 yes");
    let leader = format!("setsid sh -c '{flood}' & until [ -e {floods} ]; do sleep 0.01; done");
    let outcome = run_for(&sh(&leader), b"", AMPLE);
    assert_eq!((outcome.end.code(), outcome.truncated), (Some(0), true));
    assert!(start.elapsed() < AMPLE);
}

#[test]
fn a_fork_bomb_ends_with_its_group() {
    let script = "f() { sleep 0.01; f & f & }; f; wait; sleep 1000";
    let outcome = run_for(&sh(script), b"", Duration::from_millis(200));
    assert!(matches!(outcome.end, ProgramEnd::TimedOut(_)));
}

#[test]
fn a_signal_is_named() {
    let outcome = run_for(&sh("kill -SEGV $$"), b"", AMPLE);
    assert_eq!(outcome.end.code(), None);
    assert!(
        outcome.end.to_string().contains("SIGSEGV"),
        "{}",
        outcome.end
    );
}

#[test]
fn what_cannot_be_started_says_why() {
    let why = |name: &str| {
        run_for(&Command(vec![name.to_owned()]), b"", AMPLE)
            .end
            .to_string()
    };
    assert!(why("/nonexistent/plugin").contains("No such file"));
    assert!(why("no-such-plugin-anywhere").contains("no program no-such-plugin-anywhere in /usr"));
    assert!(why("/etc/passwd").contains("not executable"));
    assert!(why("/etc").contains("not a file"));
}

#[test]
fn a_command_is_a_bare_name_or_an_absolute_path() {
    let parse = |words: &[&str]| {
        Command::try_from(words.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert!(parse(&["free", "-h"]).is_ok());
    assert!(parse(&["/bin/true"]).is_ok());
    for bad in [&[][..], &[""], &["./x"], &["a/b"], &["a", "\0"]] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn settings_become_json_and_keep_their_values_from_debug() {
    let table = "when = 2026-11-23\nlist = [1, 2.5, true, { a = 'b' }]"
        .parse()
        .unwrap();
    let settings = Settings(table);
    assert_eq!(
        settings.json(),
        serde_json::json!({ "when": "2026-11-23", "list": [1, 2.5, true, { "a": "b" }] })
    );
    assert!(!format!("{settings:?}").contains("2.5"));
}
