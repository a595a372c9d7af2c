//! Plants secrets wherever lastwords looks. None of them may come out anywhere.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::hooks;
use crate::support::harness::{self, Harness, SystemLog, names_in, wait_for};

/// Part of every planted secret.
const CANARY: &str = "cAn4ry";

/// Lines of a log, as programs write them.
const LOG: &str = r#"ordinary line before
Authorization: Bearer cAn4ry-0
authorization: Basic cAn4ry1=
Proxy-Authorization: Digest username="app", response="cAn4ry2"
Cookie: sid=cAn4ry3; theme=dark
{"level":50,"req":{"headers":{"cookie":"sid=cAn4ry4","x-api-key":"cAn4ry5"}}}
connecting to postgres://app:cAn4ry6@db1:5432/shop
connecting to redis://:cAn4ry7@cache/0
GET /v1/orders?page=2&access_token=cAn4ry8 200
GET /v1/orders?sig=cAn4ry9&key=cAn4ry10 200
level=info user=bob password=cAn4ry11 took=3ms
login failed password="cAn4ry12 with spaces" user=bob
AWS_SECRET_ACCESS_KEY=cAn4ry13
  DB_PASSWORD=correct cAn4ry14 staple
env: STRIPE_KEY=cAn4ry15, GITHUB_TOKEN=cAn4ry16
{"apiKey": "cAn4ry17", "port": 1}
{"msg":"{\"client_secret\":\"cAn4ry18\"}"}
{ password: 'cAn4ry19', port: 1 }
{:secret_key_base=>"cAn4ry20"}
{Name:app Password:cAn4ry21 Port:1}
Config { token: Some("cAn4ry22"), port: 1 }
  password: correct cAn4ry23 staple
<db><password>cAn4ry24</password></db>
starting worker --password cAn4ry25 --api-key=cAn4ry26
mysqldump -u root -pcAn4ry27 shop
AWS key AKIACAN4RYCAN4RYCAN4 (pass=cAn4ry28 password=cAn4ry29)
https://hooks.slack.com/services/T0/B0/cAn4ry30
https://api.telegram.org/bot123:cAn4ry31/sendMessage
eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjQW40cnkifQ.cAn4ry32
ghp_cAn4ry330123456789abcdefghijABCDEFGH
xoxb-123456789012-cAn4ry34
-----BEGIN RSA PRIVATE KEY-----
cAn4ryEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8
cAn4ry35==
-----END RSA PRIVATE KEY-----
{"pem":"-----BEGIN PRIVATE KEY-----\ncAn4ry36cAn4ry\n-----END PRIVATE KEY-----\n"}
customer cAn4ry37 ordered
ordinary line after
"#;

fn secret_file(machine: &Harness, name: &str, text: &str) {
    let path = machine.config.join("secrets").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

/// A process with a secret on its command line.
struct Neighbour(Child);

impl Neighbour {
    fn start() -> Self {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "read line",
            "sh",
            "--password",
            "cAn4ry-argv",
            "--url",
            "amqp://u:cAn4ry-argv@mq/",
        ]);
        Self(shell.stdin(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A config with secrets in every place that takes one, and in some that do not.
fn configure(machine: &Harness, neighbour: &Neighbour) {
    secret_file(machine, "smtp", "cAn4ry-smtp");
    secret_file(machine, "matrix", "cAn4ry-matrix");
    secret_file(
        machine,
        "slack",
        "https://hooks.slack.com/services/T0/B0/cAn4ry-slack",
    );
    let got = machine.path("got");
    fs::create_dir(&got).unwrap();
    let keep = "cat >\"$0/stdin\" && cp \"$LASTWORDS_REPORT_DIR\"/* \"$0\" && echo taken, token=cAn4ry-receipt";
    let fail = "echo cannot log in with password=cAn4ry-stderr >&2; exit 1";
    let toml = format!(
        "[[sink.exec]]\nname = 'keeps'\ncommand = ['sh', '-c', '{keep}', '{got}', '--token', 'cAn4ry-sink-argv']\n\
         settings = {{ token = 'cAn4ry-settings' }}\n\
         [[sink.exec]]\nname = 'fails'\ncommand = ['sh', '-c', '{fail}']\n\
         [[sink.email]]\nname = 'mail'\nto = ['ops@example.test']\nserver = 'localhost'\nport = 1\nusername = 'u'\n\
         password_file = 'secrets/smtp'\n\
         [[sink.matrix]]\nname = 'chat'\nhomeserver = 'http://127.0.0.1:1'\nroom = '!r:localhost'\n\
         token_file = 'secrets/matrix'\n\
         [default]\nredact = ['customer (\\S+)']\n",
        got = got.display()
    );
    fs::write(machine.config.join("lastwords.toml"), toml).unwrap();
    let mut job =
        "runbook = 'https://wiki:cAn4ry-wiki@example.test/web'\n[[collect.log]]\npath = '/var/log/upstart/web.log'\n\
                   [collect.processes]\n[collect.dmesg]\n"
            .to_owned();
    for (name, when, end) in [
        ("ps", "now", ""),
        (
            "later",
            "later",
            "; echo token=cAn4ry-exec-stderr >&2; exit 3",
        ),
    ] {
        let pid = neighbour.0.id();
        let script = format!(
            "tr \"\\\\0\" \" \" </proc/{pid}/cmdline; echo; echo password=cAn4ry-exec{end}"
        );
        let _ = write!(
            job,
            "[[collect.exec]]\nname = '{name}'\nwhen = '{when}'\ncommand = ['sh', '-c', '{script}']\n\
             settings = {{ password = 'cAn4ry-settings' }}\n"
        );
    }
    machine.configure("web", &job);
    // Mistakes for `check` to report.
    machine.configure(
        "api",
        "[[sink.email]]\nname = 'own'\nto = []\npassword = 'cAn4ry-misplaced'\n",
    );
}

fn lastwords(machine: &Harness, words: &[&str]) -> Output {
    let mut command = Command::new(harness::binary());
    command
        .args(words)
        .arg("--config")
        .arg(&machine.config)
        .arg("--run-dir")
        .arg(&machine.run);
    command.arg("--spool").arg(&machine.spool);
    command.arg("--root").arg(&machine.root);
    command.env("PASSWORD", "cAn4ry-env").output().unwrap()
}

/// Returns every file below `dir`: its name and its content.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for name in names_in(dir) {
        let path = dir.join(&name);
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

fn assert_clean(what: &str, text: &str) {
    if let Some(at) = text.find(CANARY) {
        let around = text
            .get(text.floor_char_boundary(at.saturating_sub(80))..text.ceil_char_boundary(at + 40));
        panic!("{what}: {around:?}");
    }
}

/// Returns a long text that looks drawn by lot, the same each time.
fn drawn(length: usize) -> String {
    // A linear congruential generator, see Knuth, TAOCP 3.3.4.
    let mut state = 42_u64;
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(letters[usize::try_from(state >> 33).unwrap() % letters.len()])
    };
    (0..length).map(|_| letter()).collect()
}

#[test]
fn no_part_of_a_long_secret_is_left_in_a_cause_or_at_the_beginning_of_a_log() {
    let secret = drawn(900);
    let rows: Vec<&str> = (0..14)
        .map(|row| &secret[row * 64..row * 64 + 64])
        .collect();
    let (begin, end) = (
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END RSA PRIVATE KEY-----",
    );
    let key = rows.join("\n");
    let messages = [
        format!("Error: cannot verify eyJhbGciOiJSUzI1NiJ9.{secret}.x1"),
        format!("Error: refused token={secret}"),
        format!("Error: refused {{\"access_token\":\"{secret}\",\"x\":1}}"),
        format!("Error: bad Cookie: sid={secret}"),
        format!("Error: bad key {begin}\n{key}\n{end}"),
        format!("Error: bad key {begin}\\n{}\\n{end}", rows.join("\\n")),
    ];
    let as_node = |message: &String| {
        format!(
            "/srv/a.js:3\n    throw x\n    ^\n\n{message}\n    at f (/srv/a.js:3:1)\n\nNode.js v20.1.0\n"
        )
    };
    let as_fatal = |message: &String| message.replacen("Error:", "FATAL", 1) + "\n";
    // The section begins within the key.
    let long = format!(
        "{}{key}\n{end}\n{}",
        "line\n".repeat(100),
        "x\n".repeat(32_700)
    );
    let logs = messages
        .iter()
        .map(as_node)
        .chain(messages.iter().map(as_fatal))
        .chain([long]);
    for log in logs {
        let machine = Harness::new();
        machine.configure(
            "web",
            "[[collect.log]]\npath = '/var/log/upstart/web.log'\nlines = 100000\n",
        );
        fs::write(machine.root.join("var/log/upstart/web.log"), &log).unwrap();
        hooks::crash(&machine, |_| {});
        let report = serde_json::to_string(&machine.only_report()).unwrap();
        let left = (0..secret.len() - 12).find(|i| report.contains(&secret[*i..i + 12]));
        assert_eq!(left, None, "{}", &log[..200]);
    }
}

#[test]
fn a_secret_that_begins_far_above_the_end_of_a_log_is_in_no_cause_and_no_section() {
    let machine = Harness::new();
    machine.configure("web", "[[collect.log]]\npath = '/var/log/web.log'\n");
    let log = machine.root.join("var/log/web.log");
    let list = "- words of the secret here\n".repeat(5000);
    for text in [
        format!(
            "secret: |\n{}    ERROR cAn4ry and3 more\n",
            "    ab\n".repeat(25_000)
        ),
        format!("passwords:\n{list}- fatal error: cAn4ry failed\n"),
    ] {
        fs::write(&log, text).unwrap();
        let mut explain = Command::new(harness::binary());
        let explain = explain.arg("explain").arg("--log").arg(&log);
        let said = explain.args(["--exit", "1"]).output().unwrap().stdout;
        assert!(said.starts_with(b"exit code 1"), "{said:?}");
        assert_clean("explain", &String::from_utf8_lossy(&said));
        hooks::crash(&machine, |_| {});
    }
    machine.wait_for_workers();
    let reports = machine.reports();
    assert_eq!(reports.len(), 2);
    for report in reports {
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains("[redacted]"), "{json}");
        assert_clean("the report", &json);
    }
}

#[test]
fn secrets_in_logs_config_environment_and_command_lines_come_out_nowhere() {
    let machine = Harness::new();
    let syslog = SystemLog::of(&machine);
    let neighbour = Neighbour::start();
    configure(&machine, &neighbour);
    fs::write(machine.root.join("var/log/upstart/web.log"), LOG).unwrap();
    machine.kernel_log("web[4242]: connecting with password=cAn4ry-kmsg");
    hooks::crash(&machine, |command| {
        command
            .env("API_TOKEN", "cAn4ry-env")
            .env("UPSTART_STOP_EVENTS", "")
            .args(["--token", "cAn4ry-flag"]);
    });
    let sent = || files(&machine.path("got")).len() == 3;
    wait_for("the message", || {
        let delivered = lastwords(&machine, &["deliver"]);
        assert_clean("deliver", &format!("{delivered:?}"));
        sent()
    });
    let report = machine.only_report();
    let log = &report
        .sections
        .iter()
        .find(|section| section.collector.starts_with("log"))
        .expect("the log")
        .text;
    assert!(
        log.starts_with("ordinary line before\n") && log.ends_with("ordinary line after"),
        "{log}"
    );
    assert_eq!(log.lines().count(), LOG.lines().count() - 1, "{log}");
    assert!(
        log.contains("level=info user=bob password=[redacted] took=3ms"),
        "{log}"
    );
    let added: Vec<_> = files(&machine.spool.join("state"))
        .into_iter()
        .filter(|(path, _)| path.ends_with("sections"))
        .collect();
    assert!(
        added.len() == 1 && added[0].1.contains("password=[redacted]"),
        "{added:?}"
    );

    for dir in [&machine.run, &machine.spool, &machine.path("got")] {
        for (path, text) in files(dir) {
            // Only the sink's program gets its settings.
            let text = if path.ends_with("/stdin") {
                text.replace("cAn4ry-settings", "")
            } else {
                text
            };
            assert_clean(&path, &format!("{path}\n{text}"));
        }
    }
    for words in [
        &["check"][..],
        &["check", "--json"],
        &["show"],
        &["show", "--json"],
        &["post-stop", "--simulate-crash", "--job", "web"],
        &["post-stop", "--simulate-crash", "--job", "web", "--json"],
        &["post-stop", "--simulate-crash", "--job", "web", "--send"],
        &[
            "post-stop",
            "--simulate-crash",
            "--job",
            "web",
            "--send",
            "--json",
        ],
    ] {
        let said = lastwords(&machine, words);
        assert!(
            said.stdout.len() > 200 || words[0] == "check",
            "{words:?}: {said:?}"
        );
        assert_clean(&words.join(" "), &String::from_utf8_lossy(&said.stdout));
        assert_clean(&words.join(" "), &String::from_utf8_lossy(&said.stderr));
    }
    assert_clean("syslog", &syslog.said().join("\n"));
}
