//! Node programs that really die, and the causes that are found.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

#[derive(Debug, Deserialize)]
struct Answer {
    kind: String,
    line: String,
}

/// A program, its command line, and the expected cause.
struct Case<'a> {
    /// Its files. The first is the main one.
    files: &'a [(&'a str, &'a str)],
    options: &'a [&'a str],
    kind: &'a str,
    /// Texts that the cause must contain.
    says: &'a [&'a str],
}

/// Runs a program up to its death, and explains that.
fn explain(case: &Case) -> Answer {
    let directory = TempDir::new().unwrap();
    for (name, text) in case.files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let log = directory.path().join("log");
    // Ordinary lines, and an error that has nothing to do with the end.
    fs::write(&log, "GET / 200\ncache refresh failed: Error: stale\n    at refresh (/srv/old.js:1:2)\nGET / 200\n")
        .unwrap();
    let out = fs::File::options().append(true).open(&log).unwrap();
    let main = directory.path().join(case.files[0].0);
    let status = Command::new("node")
        .args(case.options)
        .arg(main)
        .current_dir(&directory)
        .env_remove("NODE_OPTIONS")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .status()
        .unwrap();
    let exit = match (status.code(), status.signal()) {
        (Some(code), _) => format!("code:{code}"),
        (_, Some(6)) => "signal:ABRT".to_owned(),
        (_, Some(5)) => "signal:TRAP".to_owned(),
        (_, Some(4)) => "signal:ILL".to_owned(),
        other => panic!("an unexpected end: {other:?}"),
    };
    explain_log(&log, &exit)
}

fn explain_log(log: &Path, exit: &str) -> Answer {
    let binary =
        std::env::var_os("LASTWORDS_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lastwords").into());
    let output = Command::new(binary)
        .args(["explain", "--json", "--job", "web", "--exit", exit, "--log"])
        .arg(log)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn check(case: &Case) {
    let answer = explain(case);
    assert_eq!(answer.kind, case.kind, "{}", answer.line);
    for words in case.says {
        assert!(
            answer.line.contains(words),
            "lacks {words:?}: {}",
            answer.line
        );
    }
    assert!(!answer.line.contains("stale"), "{}", answer.line);
}

/// A program of one file, called without options.
#[track_caller]
fn dies(program: &str, kind: &str, says: &[&str]) {
    check(&Case {
        files: &[("app.js", program)],
        options: &[],
        kind,
        says,
    });
}

#[test]
fn every_thrown_value_is_named_with_its_place() {
    dies(
        "\nsetTimeout(() => { ({}).rate.value }, 1)",
        "uncaught-exception",
        &["TypeError: Cannot read", "'value'", "app.js:2"],
    );
    dies(
        "\nthrow 'ledger is closed'",
        "uncaught-exception",
        &["ledger is closed", "app.js:2"],
    );
    dies("\nthrow null", "uncaught-exception", &["null", "app.js:2"]);
    dies(
        "\nthrow {status: 503}",
        "uncaught-exception",
        &["status: 503", "app.js:2"],
    );
    let coded = "const e = new Error('account is closed'); e.name = 'LedgerError'; e.code = 'E_LEDGER'\nthrow e";
    dies(
        coded,
        "uncaught-exception",
        &["account is closed", "E_LEDGER", "app.js:1"],
    );
    let thrown_by_handler = "process.on('uncaughtException', () => { throw new Error('no reporter') })\nthrow new Error('first')";
    dies(
        thrown_by_handler,
        "uncaught-exception",
        &["no reporter", "app.js:1"],
    );
}

#[test]
fn a_rejection_is_distinguished_from_an_exception() {
    dies(
        "async function pull() {\n  throw new Error('token revoked')\n}\npull()",
        "unhandled-rejection",
        &["token revoked", "app.js:2"],
    );
    dies(
        "async function pull() {\n  await null\n  null.token\n}\npull()",
        "unhandled-rejection",
        &["TypeError", "app.js:3"],
    );
    dies(
        "Promise.reject('no quota left'); setTimeout(() => {}, 50)",
        "unhandled-rejection",
        &["no quota left"],
    );
    dies(
        "function pull() {\n  throw new Error('token revoked')\n}\npull()",
        "uncaught-exception",
        &["token revoked", "app.js:2"],
    );
}

#[test]
fn the_underlying_error_is_named() {
    let refused = "require('net').connect(1, '127.0.0.1')";
    dies(
        refused,
        "dependency-unreachable",
        &["ECONNREFUSED", "127.0.0.1:1"],
    );
    let caused = "let e = new Error('connect ECONNREFUSED 10.0.0.9:5432')\nthrow new Error('no price list', {cause: e})";
    dies(
        caused,
        "dependency-unreachable",
        &["no price list", "ECONNREFUSED 10.0.0.9:5432", "app.js:2"],
    );
    let taken = "const s = require('net').createServer().listen(0, '127.0.0.1', () =>\n  require('net').createServer().listen(s.address().port, '127.0.0.1'))";
    dies(taken, "port-in-use", &["EADDRINUSE", "127.0.0.1:"]);
    dies(
        "\nrequire('fs').readFileSync('conf/live.json')",
        "no-such-file",
        &["ENOENT", "conf/live.json", "app.js:2"],
    );
    dies(
        "require('fs').writeFileSync('/dev/full', 'x')",
        "disk-full",
        &["ENOSPC", "app.js:1"],
    );
    let all = "Promise.any([Promise.reject(new Error('mirror 1 is down'))])";
    dies(
        all,
        "unhandled-rejection",
        &["AggregateError", "mirror 1 is down"],
    );
}

#[test]
fn modules_and_sources_that_do_not_load_are_named() {
    dies(
        "\nrequire('expresss')",
        "missing-module",
        &["Cannot find module 'expresss'", "app.js:2"],
    );
    check(&Case {
        files: &[("app.mjs", "import 'fastify'")],
        options: &[],
        kind: "missing-module",
        says: &["Cannot find package 'fastify'", "app.mjs"],
    });
    check(&Case {
        files: &[
            ("app.js", "require('./orders')"),
            ("orders.js", "\nlet x = ( };"),
        ],
        options: &[],
        kind: "syntax-error",
        says: &["SyntaxError", "orders.js:2"],
    });
    check(&Case {
        files: &[
            ("app.mjs", "import {start} from './x.mjs'"),
            ("x.mjs", "export const stop = 1"),
        ],
        options: &[],
        kind: "syntax-error",
        says: &["does not provide an export named 'start'", "app.mjs:1"],
    });
    check(&Case {
        files: &[("app.js", "require('./c.json')"), ("c.json", "{,}")],
        options: &[],
        kind: "syntax-error",
        says: &["SyntaxError", "c.json"],
    });
    let parsed = "function load(text) {\n  return JSON.parse(text)\n}\nload('<html>')";
    dies(parsed, "uncaught-exception", &["SyntaxError", "app.js:2"]);
}

#[test]
fn the_runtime_s_own_ends_are_known() {
    let grow = "const a = []; for (;;) a.push({x: new Array(100).fill(1)})";
    let limited = ["--max-old-space-size=30"];
    check(&Case {
        files: &[("app.js", grow)],
        options: &limited,
        kind: "out-of-memory-heap",
        says: &["heap out of memory"],
    });
    dies(
        "function walk(n) { return walk(n + 1) + 1 }\nwalk(0)",
        "stack-overflow",
        &["Maximum call stack size exceeded", "app.js:1"],
    );
    dies("process.abort()", "abort", &["aborted itself"]);
    check(&Case {
        files: &[("app.js", "")],
        options: &["--foo"],
        kind: "bad-arguments",
        says: &["bad option: --foo"],
    });
    let asserted = "const assert = require('assert')\nassert.strictEqual(2, 3)";
    dies(
        asserted,
        "assertion",
        &["AssertionError [ERR_ASSERTION]", "2 !== 3", "app.js:2"],
    );
    let worker = "const {Worker} = require('worker_threads')\nnew Worker(\"throw new Error('job 7')\", {eval: true})";
    dies(worker, "uncaught-exception", &["Error: job 7"]);
}

#[test]
fn an_error_that_the_program_logs_as_it_ends_counts_only_as_the_last() {
    let program = "function rate() { null.price }\ntry { rate() } catch (e) { console.error(e) }";
    dies(
        &format!("{program}\nprocess.exit(1)"),
        "uncaught-exception",
        &["TypeError", "app.js:1"],
    );
    dies(
        &format!("{program}\nconsole.log('GET / 200'); process.exit(1)"),
        "plain-exit",
        &["exit code 1", "unknown"],
    );
}
