//! C programs that the test compiles and runs until they die, and the causes that are found.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use serde_json::Value;

const PROGRAM: &str = r#"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int stock) { assert(stock >= 0 && "stock below zero"); }

int main(int argc, char **argv) {
    const char *how = argv[argc - 1];
    char *volatile block = malloc(32);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("INFO  started");
    if (!strcmp(how, "assert")) check(-1);
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "double-free")) { char *volatile same = block; free(block); free(same); }
    if (!strcmp(how, "segfault")) *(volatile int *)0 = 1;
    return 3;
}
"#;

/// Returns the cause found for a program that died this way.
fn cause_of(how: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("depot.c");
    fs::write(&source, PROGRAM).unwrap();
    let program = directory.path().join("depot");
    let compiler = Command::new("gcc")
        .args(["-w", "-O0", "-o"])
        .arg(&program)
        .arg(&source)
        .output()
        .unwrap();
    assert!(
        compiler.status.success(),
        "{}",
        String::from_utf8_lossy(&compiler.stderr)
    );
    let output = Command::new(&program).arg(how).output().unwrap();
    let log = directory.path().join("log");
    let text = [&b"depot: open\n"[..], &output.stdout, &output.stderr].concat();
    fs::write(&log, text).unwrap();
    explain(&log, output.status)
}

fn explain(log: &Path, status: ExitStatus) -> Value {
    let exit = match (status.code(), status.signal()) {
        (Some(code), _) => format!("code:{code}"),
        (None, Some(6)) => "signal:ABRT".to_owned(),
        (None, Some(11)) => "signal:SEGV".to_owned(),
        (None, signal) => panic!("ended by {signal:?}"),
    };
    let binary =
        std::env::var_os("LASTWORDS_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lastwords").into());
    let mut command = Command::new(binary);
    let output = command
        .args(["explain", "--json", "--exit", &exit, "--log"])
        .arg(log)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_failed_assertion_is_named_with_its_words() {
    let cause = cause_of("assert");
    assert_eq!(cause["kind"], "assertion", "{cause}");
    assert!(
        cause["line"].as_str().unwrap().contains("stock below zero"),
        "{cause}"
    );
}

#[test]
fn a_damaged_heap_is_named_in_the_c_library_s_words() {
    let cause = cause_of("double-free");
    assert_eq!(cause["kind"], "abort", "{cause}");
    assert!(
        cause["line"].as_str().unwrap().contains("double free"),
        "{cause}"
    );
}

#[test]
fn a_program_that_says_nothing_as_it_dies_has_no_cause() {
    for how in ["abort", "segfault", "exit"] {
        let cause = cause_of(how);
        assert_eq!(cause["confidence"], "none", "{how}: {cause}");
    }
}
