//! Equal crashes have one fingerprint whatever words their errors hold, and different crashes have
//! different ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use crate::samples::{explain, explain_sample, label_of, samples};

/// Logs of one crash in many runtimes. `WORD` stands for what varies.
const VARIED: [(&str, &str); 12] = [
    (
        "python",
        "Traceback (most recent call last):\n  File \"/srv/a.py\", line 3, in <module>\n    f()\nValueError: unknown customer WORD\n",
    ),
    (
        "python key",
        "Traceback (most recent call last):\n  File \"/srv/a.py\", line 3, in <module>\n    f()\nKeyError: 'WORD'\n",
    ),
    (
        "node",
        "/srv/app.js:3\n    throw new Error('x');\n    ^\n\nError: WORD has no plan\n    at f (/srv/app.js:3:9)\n\nNode.js v20.20.2\n",
    ),
    (
        "java",
        "Exception in thread \"main\" java.lang.IllegalStateException: no plan of WORD\n\tat a.Main.main(Main.java:3)\n",
    ),
    (
        "go",
        "panic: no backend for host \"WORD\"\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/a/main.go:7 +0x1d\nexit status 2\n",
    ),
    (
        "rust",
        "thread 'main' panicked at src/main.rs:3:5:\nno backend for WORD\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
    ),
    (
        "ruby",
        "app.rb:2:in `f': unknown customer WORD (RuntimeError)\n\tfrom app.rb:5:in `<main>'\n",
    ),
    (
        "php",
        "PHP Fatal error:  Uncaught RuntimeException: unknown customer WORD in /srv/a.php:3\nStack trace:\n#0 {main}\n  thrown in /srv/a.php on line 3\n",
    ),
    ("perl", "unknown customer WORD at /srv/a.pl line 3.\n"),
    ("quoted", "FATAL: unknown customer 'WORD'\n"),
    ("path", "FATAL: cannot read /srv/data/WORD/orders\n"),
    ("value", "FATAL: no plan, customer=WORD\n"),
];

const WORDS: [&str; 6] = [
    "alice",
    "bob",
    "9fx2c71q",
    "4711",
    "0b9f3c1e-6f0e-4a3b-9c55-0b2f9f6f2a11",
    "zoë",
];

/// Returns the fingerprint and the line that `explain` finds for a log.
fn of_log(log: &str) -> (String, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log.as_bytes()).unwrap();
    let answer = explain(&["--job", "web"], file.path());
    (answer.fingerprint, answer.line)
}

#[test]
fn a_word_that_varies_makes_no_other_fingerprint_in_any_runtime() {
    let mut all = BTreeMap::new();
    for (name, log) in VARIED {
        let mut fingerprints = BTreeSet::new();
        for word in WORDS {
            let (fingerprint, line) = of_log(&log.replace("WORD", word));
            assert!(!line.contains("cause unknown"), "{name}: {line}");
            fingerprints.insert(fingerprint);
        }
        assert_eq!(fingerprints.len(), 1, "{name}");
        let before = all.insert(fingerprints.pop_first(), name);
        assert_eq!(before, None, "{name} is the same crash as another");
    }
}

#[test]
fn another_type_or_place_makes_another_fingerprint() {
    let [(_, python), ..] = VARIED;
    let (one, _) = of_log(python);
    for (from, to) in [
        ("ValueError", "KeyError"),
        ("a.py", "b.py"),
        ("line 3", "line 4"),
    ] {
        assert_ne!(of_log(&python.replace(from, to)).0, one, "{to}");
    }
}

/// Samples that are one crash, though their lines differ.
const SAME: [&[&str]; 12] = [
    // The limit of a group of processes is no part of the cause.
    &[
        "go-oomkill",
        "node-memcg-oom",
        "node-oomkill-json",
        "node-oomkill-sh",
        "php-oomkill",
        "py-oomkill-invoked-by-child",
        "systemd-oom-unit",
    ],
    // The port says which dependency it is. Its address may be another at every start.
    &["node-econnrefused", "node-nest-typeorm", "node-pg-refused"],
    // Names in quotes, paths and ids vary; so do addresses to listen on.
    &["etcd-bootstrapped", "go-etcd-bootstrapped"],
    // Which of a service's programs the kernel chooses is no part of the cause.
    &["journal-kernel-oom", "kern-oom-scope", "oom-other-program"],
    // Both may not open a file of the store; the user's name and the path vary.
    &["mongo-error-twin", "mongo-wt-eperm"],
    &["keycloak-dbpass", "said-chain-of-errors"],
    &["go-zerolog-inuse", "node_exporter-port"],
    &["nginx-cert", "nginx-cert-missing"],
    &["nginx-journal", "nginx-upstream"],
    &["pg-socket-lock", "postgres-lock"],
    &["rust-alloc", "rust-alloc-failed"],
    &["py-gunicorn-port", "python-gunicorn-inuse"],
];

#[test]
fn no_two_samples_of_different_crashes_have_one_fingerprint() {
    let mut crashes: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for sample in samples() {
        let name = sample.file_name().unwrap().to_string_lossy().into_owned();
        // They are all one job's here: nothing but the crash tells them apart.
        let answer = explain_sample(&sample, "web", label_of(&sample).pid);
        let crash = format!("{} {}", answer.kind, answer.line);
        crashes
            .entry(answer.fingerprint)
            .or_default()
            .insert(name, crash);
    }
    let is_wrong = |crashes: &&BTreeMap<String, String>| {
        let lines: BTreeSet<_> = crashes.values().collect();
        let names: Vec<_> = crashes.keys().map(String::as_str).collect();
        let is_same = |same: &&[&str]| names.iter().all(|name| same.contains(name));
        lines.len() > 1 && !SAME.iter().any(is_same)
    };
    let merged: Vec<_> = crashes.values().filter(is_wrong).collect();
    assert!(merged.is_empty(), "{merged:#?}");
}
