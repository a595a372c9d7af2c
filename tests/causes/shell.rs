//! Shell scripts that really die.

use super::live::{Answer, Live};

const SHELLS: [&str; 2] = ["sh", "bash"];

/// Returns the answers about a script, one for each shell.
fn scripts(text: &str) -> Vec<Answer> {
    let live = Live::program("run.sh", text);
    SHELLS
        .iter()
        .map(|shell| live.dies(&[shell, "run.sh"]))
        .collect()
}

#[test]
fn a_command_that_is_not_there_is_named_with_the_script_s_line() {
    for answer in scripts("echo starting\nexec gatewayd --port 1\n") {
        answer.is("no-such-file", &["gatewayd: not found", "run.sh:2"]);
    }
    for answer in scripts("echo starting\nnosuchcmd\n") {
        answer.is("no-such-file", &["nosuchcmd", "not found", "run.sh:2"]);
    }
}

#[test]
fn a_command_that_cannot_be_run_is_distinguished_from_a_missing_one() {
    for answer in scripts(": > engine\n./engine\n") {
        answer.is("permission", &["./engine: Permission denied", "run.sh:2"]);
    }
    for answer in scripts("printf '\\177ELFxx' > engine; chmod +x engine\n./engine\n") {
        answer.is("bad-arguments", &["Exec format error", "run.sh:2"]);
    }
}

#[test]
fn a_script_that_cannot_be_read_is_a_syntax_error() {
    for answer in scripts("if true; then\necho x\n") {
        answer.is("syntax-error", &["run.sh:3"]);
    }
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    for answer in scripts("set -u\necho $QUEUE\n") {
        answer.is("plain-exit", &["QUEUE", "run.sh:2"]);
    }
}

#[test]
fn a_child_that_a_fault_has_killed_is_named_in_the_shell_s_words() {
    for answer in scripts("sh -c 'kill -SEGV $$'\nexit $?\n") {
        answer.is("segfault", &["Segmentation fault"]);
    }
    for answer in scripts("sh -c 'kill -KILL $$'\nexit $?\n") {
        answer.is_unknown();
    }
}

#[test]
fn a_program_that_only_runs_another_says_why_it_cannot() {
    let live = Live::program("run.sh", "");
    for command in [
        ["env", "nosuchcmd"],
        ["nohup", "nosuchcmd"],
        ["nice", "nosuchcmd"],
    ] {
        live.dies(&command).is("no-such-file", &["nosuchcmd"]);
    }
}

#[test]
fn a_missing_command_in_the_middle_of_a_script_is_not_the_cause() {
    for answer in scripts("nosuchcmd\necho going on\nexit 3\n") {
        answer.is_unknown();
    }
    for answer in scripts("set -e\necho step 1\nfalse\n") {
        answer.is_unknown();
    }
}
