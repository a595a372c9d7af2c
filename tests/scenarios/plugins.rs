//! The plugins that come with lastwords, each run by `lastwords plugin test`; and the transcripts
//! of their documentation.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::harness;
use crate::support::stand_in::{Client, StandIn, http};

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins")
}

/// Runs `plugin test` on it. Returns the answer, as JSON, and the exit code.
fn test(plugin: &str, args: &[&str]) -> (Value, Option<i32>) {
    let mut command = Command::new(harness::binary());
    command
        .args(["plugin", "test", "--json"])
        .arg(plugins().join(plugin))
        .args(args);
    let output = command.output().unwrap();
    let said =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {output:?}"));
    (said, output.status.code())
}

/// Returns the text of a collector's section.
fn section(plugin: &str, args: &[&str]) -> String {
    let (said, code) = test(plugin, args);
    assert_eq!(
        (&said["meaning"], code),
        (&json!("section"), Some(0)),
        "{said:#}"
    );
    assert_eq!(said["mistakes"], json!([]), "{said:#}");
    said["text"].as_str().unwrap().to_owned()
}

fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|found| found.status.success())
}

/// Panics if a program that a plugin needs is missing.
fn require(program: &str) {
    assert!(
        has(program),
        "this test takes {program}: tests/run installs it, or leaves this out and says so"
    );
}

#[test]
fn tcp_states_counts_the_connections() {
    let _server = StandIn::start(Client::hang);
    assert!(section("collectors/tcp-states", &[]).contains("listening"));
}

#[test]
fn sockets_counts_the_connections() {
    require("ss");
    let server = StandIn::start(Client::hang);
    let port = server.port.to_string();
    let found = section("collectors/sockets", &[]);
    assert!(
        found.contains("TCP:") && found.contains("listening:"),
        "{found}"
    );
    assert!(
        found.lines().count() < 40 || found.contains(&port) || found.contains("more"),
        "{found}"
    );
}

#[test]
fn containers_lists_those_that_ended_first_and_no_environment() {
    let dir = tempfile::tempdir().unwrap();
    let docker = dir.path().join("docker");
    let script = "#!/bin/sh\n[ \"$1 $2\" = 'ps --all' ] || exit 9\n\
                  printf 'web\\tacme/web:1\\tUp 3 hours\\ndb\\tpostgres:15\\tExited (137) 2 minutes ago\\n'\n";
    fs::write(&docker, script).unwrap();
    fs::set_permissions(&docker, Permissions::from_mode(0o755)).unwrap();
    let found = section("collectors/containers", &["--", docker.to_str().unwrap()]);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines[0], "1 not running, 1 running");
    assert!(
        lines[1].contains("db ") && lines[1].ends_with("Exited (137) 2 minutes ago"),
        "{found}"
    );
    fs::write(
        &docker,
        "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n",
    )
    .unwrap();
    let (said, code) = test("collectors/containers", &["--", docker.to_str().unwrap()]);
    assert_eq!((said["meaning"].as_str(), code), (Some("failed"), Some(1)));
    assert_eq!(said["stderr"], "Cannot connect to the Docker daemon");
}

#[test]
fn deploy_shows_the_last_commits_and_what_was_changed_by_hand() {
    require("git");
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(dir.path())
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(args);
        assert!(git.output().unwrap().status.success(), "{args:?}");
    };
    fs::write(dir.path().join("web.js"), "1").unwrap();
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "Serve faster"]);
    // A command that the repository's config names is not run.
    git(&[
        "config",
        "core.fsmonitor",
        &format!("touch {}/owned", dir.path().display()),
    ]);
    fs::write(dir.path().join("web.js"), "2").unwrap();
    let found = section("collectors/deploy", &["--", dir.path().to_str().unwrap()]);
    assert!(
        found.contains("Serve faster") && found.contains("not as committed:\n   M web.js"),
        "{found}"
    );
    assert!(
        found.starts_with("directory  20") && found.contains(" UTC, 0 min ago"),
        "{found}"
    );
    assert!(!dir.path().join("owned").exists());
    let link = dir.path().join("current");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    assert!(
        section("collectors/deploy", &["--", link.to_str().unwrap()]).starts_with("link to    /")
    );
    let (said, _) = test("collectors/deploy", &["--", "/nonexistent"]);
    assert_eq!(
        (said["meaning"].as_str(), said["exit_code"].as_i64()),
        (Some("failed"), Some(1))
    );
}

#[test]
fn node_report_shows_this_crash_and_no_variable_of_the_environment() {
    require("node");
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let mut node = Command::new("node");
    node.args([
        "--report-uncaught-exception",
        &format!("--report-directory={at}"),
        "-e",
    ]);
    node.arg("throw new TypeError('no database')")
        .env("DB_PASSWORD", "hushhush");
    assert!(!node.output().unwrap().status.success());
    assert!(fs::read_dir(at).unwrap().flatten().any(|report| {
        fs::read_to_string(report.path())
            .unwrap()
            .contains("hushhush")
    }));
    fs::write(dir.path().join("report.broken.json"), "{").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("report.link.json")).unwrap();
    let found = section(
        "collectors/node-report",
        &["--setting", &format!("directory={at}")],
    );
    assert!(
        found.contains("TypeError: no database") && found.contains("heap: "),
        "{found}"
    );
    assert!(
        !found.contains("hush") && !found.contains("PATH"),
        "{found}"
    );
    let empty = tempfile::tempdir().unwrap();
    let setting = format!("directory={}", empty.path().display());
    assert!(
        section("collectors/node-report", &["--setting", &setting])
            .starts_with("no report of this crash in ")
    );
}

#[test]
fn redis_fails_in_time_if_no_server_answers() {
    let (said, _) = test("collectors/redis", &["--setting", "port=1"]);
    assert!(
        said["stderr"]
            .as_str()
            .is_some_and(|why| why.starts_with("ConnectionRefusedError")),
        "{said:#}"
    );
    // A server that accepts connections and never answers.
    let silent = StandIn::start(Client::hang);
    let port = format!("port={}", silent.port);
    let (said, _) = test(
        "collectors/redis",
        &["--setting", &port, "--setting", "timeout=0.2"],
    );
    assert_eq!(
        (said["timed_out"].as_bool(), said["exit_code"].as_i64()),
        (Some(false), Some(1)),
        "{said:#}"
    );
}

#[test]
fn redis_shows_its_state() {
    require("redis-server");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    fs::write(dir.path().join("password"), "hushhush\n").unwrap();
    let mut redis = Command::new("redis-server");
    redis
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--requirepass",
            "hushhush",
            "--unixsocket",
        ])
        .arg(&socket);
    let mut redis = redis
        .current_dir(dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    harness::wait_for("Redis", || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    let (socket, password) = (
        format!("socket={}", socket.display()),
        format!("password_file={}/password", dir.path().display()),
    );
    let (denied, _) = test("collectors/redis", &["--setting", &socket]);
    let (said, code) = test(
        "collectors/redis",
        &["--setting", &socket, "--setting", &password],
    );
    redis.kill().unwrap();
    redis.wait().unwrap();
    assert!(
        denied["stderr"]
            .as_str()
            .is_some_and(|why| why.contains("NOAUTH")),
        "{denied:#}"
    );
    let text = said["text"].as_str().unwrap();
    assert_eq!(code, Some(0), "{said:#}");
    assert!(
        text.contains("answers: PONG") && text.contains("maxmemory_policy"),
        "{text}"
    );
}

#[test]
fn postgres_fails_in_time_if_no_server_answers() {
    require("psql");
    let (said, _) = test(
        "collectors/postgres",
        &["--", "host=127.0.0.1 port=1 user=nobody"],
    );
    assert_eq!(
        (said["meaning"].as_str(), said["timed_out"].as_bool()),
        (Some("failed"), Some(false)),
        "{said:#}"
    );
    let silent = StandIn::start(Client::hang);
    let port = silent.port;
    let (said, _) = test(
        "collectors/postgres",
        &["--", &format!("host=127.0.0.1 port={port} user=nobody")],
    );
    assert_eq!(said["timed_out"], false, "{said:#}");
    assert!(
        said["stderr"]
            .as_str()
            .is_some_and(|why| why.contains("timeout expired")),
        "{said:#}"
    );
}

#[test]
fn directory_keeps_the_report_once_and_refuses_without_its_setting() {
    let dir = tempfile::tempdir().unwrap();
    let setting = format!("directory={}", dir.path().display());
    let (said, code) = test("sinks/directory", &["--setting", &setting]);
    assert_eq!(
        (said["meaning"].as_str(), code, &said["mistakes"]),
        (Some("done"), Some(0), &json!([])),
        "{said:#}"
    );
    let file = said["text"].as_str().unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("\nweb crashed"));
    let (said, code) = test("sinks/directory", &[]);
    assert_eq!(
        (said["meaning"].as_str(), code),
        (Some("refused"), Some(100)),
        "{said:#}"
    );
    let (said, code) = test("sinks/directory", &["--setting", "directory=/nonexistent"]);
    assert_eq!(
        (said["meaning"].as_str(), code),
        (Some("later"), Some(75)),
        "{said:#}"
    );
}

/// The venv that `tests/run` makes.
fn python() -> String {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers/venv/bin/python");
    let program = python.to_str().unwrap().to_owned();
    let can = Command::new(&program)
        .args(["-c", "import apprise"])
        .output()
        .is_ok_and(|ran| ran.status.success());
    assert!(
        can,
        "this test takes Apprise: tests/run installs it, or leaves this out and says so"
    );
    program
}

#[test]
fn apprise_takes_its_addresses_from_a_file_that_only_its_owner_may_read() {
    let python = python();
    let dir = tempfile::tempdir().unwrap();
    let urls = dir.path().join("urls");
    let plugin = plugins().join("sinks/apprise");
    let run = |text: &str, mode: u32| {
        fs::write(&urls, text).unwrap();
        fs::set_permissions(&urls, Permissions::from_mode(mode)).unwrap();
        let setting = format!("urls_file={}", urls.display());
        let mut command = Command::new(harness::binary());
        command
            .args([
                "plugin",
                "test",
                "--json",
                "--sink",
                &python,
                "--setting",
                &setting,
                "--",
            ])
            .arg(&plugin);
        let output = command.output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout)
            .unwrap_or_else(|why| panic!("{why}: {output:?}"))
    };
    let server = StandIn::http(http("200 OK", "", "ok"));
    let said = run(
        &format!("# ours\njson://user:hushhush@127.0.0.1:{}/\n", server.port),
        0o600,
    );
    assert_eq!(
        (said["meaning"].as_str(), said["text"].as_str()),
        (Some("done"), Some("taken by 1 of 1 services")),
        "{said:#}"
    );
    let request = server.finish().remove(0);
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let message: Value = serde_json::from_str(body).unwrap();
    assert!(
        message["title"]
            .as_str()
            .is_some_and(|title| title.starts_with("DRILL [") && title.contains("web crashed"))
    );
    assert!(
        message["message"]
            .as_str()
            .is_some_and(|body| body.contains("lastwords show ")),
        "{message:#}"
    );

    let readable = run("json://127.0.0.1:1/hushhush", 0o644);
    assert_eq!(readable["meaning"], "refused", "{readable:#}");
    let nobody = run(
        "json://user:hushhush@127.0.0.1:1/\nnonsense://hushhush\n",
        0o600,
    );
    assert_eq!(nobody["meaning"], "later", "{nobody:#}");
    assert!(!format!("{readable}{nobody}{said}").contains("hush"));
}

#[test]
fn plugin_test_shows_what_a_person_needs_and_names_mistakes_with_their_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let run = |script: &str, mode: u32, args: &[&str]| -> Output {
        let path = dir.path().join("plugin");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Command::new(harness::binary())
            .args(["plugin", "test"])
            .arg(&path)
            .args(args)
            .output()
            .unwrap()
    };
    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let output = run("#!/bin/sh\necho '{' >&2; exit 100\n", 0o755, &["--sink"]);
    assert_eq!(output.status.code(), Some(100));
    assert!(said(&output).contains("refused for good"), "{output:?}");
    let leaves_one =
        "#!/bin/sh\nsleep 1000 &\nuntil grep -q sleep /proc/$!/comm; do :; done\necho one\n";
    let output = run(leaves_one, 0o755, &["--collector"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).contains("it left processes behind, and they were killed: sleep"),
        "{}",
        said(&output)
    );
    let output = run(
        "#!/bin/sh\nsleep 1000\n",
        0o755,
        &["--collector", "--timeout", "100ms"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("still running after 100ms") && said(&output).contains("mistake"),
        "{}",
        said(&output)
    );
    for (script, mode, remedy) in [
        ("#!/bin/sh\n", 0o644, "chmod +x"),
        (
            "echo hello\n",
            0o755,
            "begin it with a line such as #!/bin/sh",
        ),
        ("#!/usr/bin/pyhton3\n", 0o755, "by its whole path"),
    ] {
        let output = run(script, mode, &["--sink"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains(remedy), "{}", said(&output));
    }
    let output = run("#!/bin/sh\n", 0o755, &[]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Say --collector or --sink"),
        "{output:?}"
    );
    let output = run(
        "#!/bin/sh\ngrep -q '\"queue\":\"orders\"' && grep -c . $LASTWORDS_REPORT_DIR/report.txt",
        0o755,
        &["--sink", "--setting", "queue=orders"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// Runs each command after a `$ ` in plugins/README.md, in a directory with the files that the page
/// shows. The output must be the page's.
#[test]
fn the_transcripts_of_the_documentation_are_true() {
    let page = fs::read_to_string(plugins().join("README.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bin = PathBuf::from(harness::binary());
    let path = format!("{}:/usr/bin:/bin", bin.parent().unwrap().display());
    let mut transcripts = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind.split_once(' ') {
            Some((_, name)) => {
                let file = dir.path().join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, text).unwrap();
                fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
            }
            None if kind == "console" => {
                let (command, expected) = text.split_once('\n').unwrap();
                let command = command.strip_prefix("$ ").unwrap();
                let mut shell = Command::new("sh");
                shell
                    .args(["-c", command])
                    .current_dir(dir.path())
                    .env("PATH", &path);
                let output = shell.output().unwrap();
                let said = String::from_utf8(output.stdout).unwrap()
                    + &String::from_utf8(output.stderr).unwrap();
                assert_eq!(plain(&said), plain(expected), "{command}");
                transcripts += 1;
            }
            None => {}
        }
    }
    assert!(transcripts >= 4, "{transcripts}");
}

/// Replaces the times, which differ in each run.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        if word.chars().all(|c| c.is_ascii_digit()) {
            "N".to_owned()
        } else {
            word.to_owned()
        }
    };
    text.trim_end()
        .split(' ')
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}
