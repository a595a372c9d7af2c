//! Rules for every collector and every sink. Those that are built in and plugins pass the same
//! tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lastwords::report::Status;
use serde_json::Value;

use crate::support::harness::{Harness, names_in, wait_for_some};
use crate::support::stand_in::StandIn;

/// Part of every secret.
const HUSH: &str = "hushhushhushhushhushhushhushhush";

/// A hostile text in a report.
const EVIL: &str = "<script>alert(1)</script> <!channel> @everyone @admin /stop ``` **b** [a](http://evil) \
                    \u{1b}[2J\u{202e} \u{1f980} \"\\ {{report.id}} %n";

/// A sink, and the server that it speaks to.
struct Case {
    name: &'static str,
    toml: &'static str,
    secret: &'static str,
    taken: &'static str,
    refused: &'static str,
}

const CASES: [Case; 8] = [
    Case {
        name: "webhook",
        toml: "url = '@URL@/'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        taken: "204 No Content\r\n\r\n",
        refused: "410 Gone\r\n\r\n@HUSH@",
    },
    Case {
        name: "alertmanager",
        toml: "urls = ['@URL@']\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        taken: "200 OK\r\n\r\n",
        refused: "400 Bad Request\r\n\r\n\"@HUSH@\"",
    },
    Case {
        name: "pagerduty",
        toml: "url = '@URL@'\nrouting_key_file = '@SECRET@'",
        secret: "@HUSH@",
        taken: "202 Accepted\r\n\r\n{\"status\":\"success\",\"dedup_key\":\"k\"}",
        refused: "400 Bad Request\r\n\r\n{\"status\":\"invalid event\",\"message\":\"@HUSH@\"}",
    },
    Case {
        name: "discord",
        toml: "webhook_file = '@SECRET@'",
        secret: "@URL@/api/webhooks/1/@HUSH@",
        taken: "200 OK\r\n\r\n{\"id\":\"1\"}",
        refused: "404 Not Found\r\n\r\n{\"message\":\"/api/webhooks/1/@HUSH@\",\"code\":10015}",
    },
    Case {
        name: "telegram",
        toml: "url = '@URL@'\nchat = '1'\ntoken_file = '@SECRET@'",
        secret: "1:@HUSH@",
        taken: "200 OK\r\n\r\n{\"ok\":true,\"result\":{\"message_id\":1}}",
        refused: "401 Unauthorized\r\n\r\n{\"ok\":false,\"description\":\"1:@HUSH@\"}",
    },
    Case {
        name: "ntfy",
        toml: "url = '@URL@'\ntopic = 'crashes'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        taken: "200 OK\r\n\r\n{\"id\":\"a\"}",
        refused: "403 Forbidden\r\n\r\n{\"code\":40301,\"http\":403,\"error\":\"@HUSH@\"}",
    },
    Case {
        name: "slack",
        toml: "webhook_file = '@SECRET@'",
        secret: "@URL@/services/@HUSH@",
        taken: "200 OK\r\n\r\nok",
        refused: "403 Forbidden\r\n\r\ninvalid_token",
    },
    Case {
        name: "matrix",
        toml: "homeserver = '@URL@'\nroom = '#a:b'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        taken: "200 OK\r\n\r\n{\"room_id\":\"!a:b\",\"event_id\":\"$e\"}",
        refused: "403 Forbidden\r\n\r\n{\"errcode\":\"M_FORBIDDEN\",\"error\":\"@HUSH@\"}",
    },
];

/// Not now, in nobody's own words.
const LATER: &str = "503 Service Unavailable\r\n\r\n<html>@HUSH@</html>";

/// A server that gives one answer until it is given another.
struct Server {
    stand_in: StandIn,
    answer: Arc<Mutex<String>>,
}

impl Server {
    fn start(answer: &str) -> Self {
        let answer = Arc::new(Mutex::new(answer.replace("@HUSH@", HUSH)));
        let said = Arc::clone(&answer);
        let stand_in = StandIn::start(move |client| {
            client.http_request()?;
            let answer = said.lock().unwrap().clone();
            client.say(format!("HTTP/1.1 {answer}"))
        });
        Self { stand_in, answer }
    }

    fn answer(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.replace("@HUSH@", HUSH);
    }

    fn requests(&self) -> Vec<String> {
        self.stand_in.heard()
    }
}

/// A machine with every sink, a plugin included, and a hostile log; and the sinks' servers.
fn machine(answer: impl Fn(&Case) -> &'static str) -> (Harness, Vec<Server>) {
    let machine = Harness::new();
    let keep = |name: &str, text: &str| {
        let path = machine.config.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    let mut config = String::new();
    let mut servers = Vec::new();
    for case in &CASES {
        let server = Server::start(answer(case));
        let secret = format!("{}.secret", case.name);
        let filled = |text: &str| {
            text.replace("@URL@", &server.stand_in.url())
                .replace("@HUSH@", HUSH)
                .replace("@SECRET@", &secret)
        };
        keep(&secret, &filled(case.secret));
        config = format!(
            "{config}[[sink.{0}]]\nname = '{0}'\n{1}\n",
            case.name,
            filled(case.toml)
        );
        servers.push(server);
    }
    let (exit, offered) = (machine.path("exit"), machine.path("offered"));
    let script = format!(
        "cat $LASTWORDS_REPORT_DIR/report.json >>{}; cat {1} >&2; exit $(head -n 1 {1})",
        offered.display(),
        exit.display()
    );
    config = format!(
        "{config}[[sink.exec]]\nname = 'plugin'\ncommand = ['/bin/sh', '-c', '''{script}''']\n"
    );
    config += "[default.collect]\n[[default.collect.log]]\npath = '/var/log/upstart/web.log'\n";
    fs::write(machine.config.join("lastwords.toml"), config).unwrap();
    let log = format!("{EVIL}\n").repeat(2000);
    fs::write(machine.root.join("var/log/upstart/web.log"), log).unwrap();
    (machine, servers)
}

fn plugin_ends(machine: &Harness, code: u8) {
    fs::write(machine.path("exit"), format!("{code}\n")).unwrap();
}

fn crash(machine: &Harness) {
    for name in ["pre-start", "post-stop"] {
        let mut hook = machine.hook_command(name);
        hook.envs([("UPSTART_JOB", "web"), ("UPSTART_INSTANCE", "")]);
        assert!(hook.status().unwrap().success());
    }
    machine.settle();
}

/// Returns the ledger of one sink.
fn ledger(machine: &Harness, sink: &str) -> Value {
    let state = machine.spool.join("state");
    wait_for_some(&format!("a try of {sink}"), || {
        let mut reports = names_in(&state)
            .into_iter()
            .map(|id| state.join(id).join(format!("to-{sink}")));
        reports.find_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
    })
}

/// Returns true if a file in the directory, or below it, holds the text.
fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => holds(&entry.path(), text),
            _ => fs::read(entry.path())
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)),
        })
}

fn sinks() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name).chain(["plugin"])
}

#[test]
fn every_sink_tries_again_under_the_same_id_until_it_is_taken() {
    let (machine, servers) = machine(|_| LATER);
    plugin_ends(&machine, 75);
    crash(&machine);
    for sink in sinks() {
        let ledger = ledger(&machine, sink);
        assert_eq!(
            (&ledger["outcome"], ledger["attempts"].as_u64()),
            (&Value::Null, Some(1)),
            "{sink}: {ledger}"
        );
        assert!(
            ledger["next_try"].is_string()
                && ledger["last_error"]
                    .as_str()
                    .is_some_and(|why| why.len() < 1000)
        );
    }
    for (case, server) in CASES.iter().zip(&servers) {
        server.answer(case.taken);
    }
    plugin_ends(&machine, 0);
    let id = machine.reports()[0].id.to_string();
    let deliver = machine
        .command("deliver")
        .args(["--later", "1m"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&deliver.stdout).into_owned();
    for sink in sinks() {
        assert!(said.contains(&format!("sent to {sink}")), "{sink}: {said}");
    }
    wait_for_some("history", || {
        (names_in(&machine.spool.join("done")) == [id.as_str()]).then_some(())
    });
    for (case, server) in CASES.iter().zip(&servers) {
        let requests = server.requests();
        assert!(requests.len() >= 2, "{}", case.name);
        let with_id = requests
            .iter()
            .filter(|request| request.contains(&id))
            .count();
        assert!(
            with_id >= 1 && requests.last().is_some_and(|last| last.contains(&id)),
            "{}",
            case.name
        );
        for request in &requests {
            assert!(
                request.len() < 100_000,
                "{} sends {} bytes",
                case.name,
                request.len()
            );
            assert!(
                !request.contains(['\u{1b}', '\u{202e}']) || case.name == "webhook",
                "{}: {request}",
                case.name
            );
        }
    }
    let offered = fs::read_to_string(machine.path("offered")).unwrap();
    assert_eq!(offered.matches(&format!("\"id\": \"{id}\"")).count(), 2);
    assert!(
        !holds(&machine.spool, HUSH) && !said.contains(HUSH),
        "a secret was kept or said"
    );
}

#[test]
fn every_sink_knows_a_refusal_and_does_not_try_again() {
    let (machine, servers) = machine(|case| case.refused);
    plugin_ends(&machine, 100);
    crash(&machine);
    let sent: Vec<usize> = servers
        .iter()
        .map(|server| server.requests().len())
        .collect();
    for sink in sinks() {
        let ledger = ledger(&machine, sink);
        assert!(
            ledger["outcome"]["refused"]["why"]
                .as_str()
                .is_some_and(|why| !why.is_empty()),
            "{sink}: {ledger}"
        );
        assert_eq!(ledger["attempts"], 1, "{sink}");
    }
    let report = |request: &String| request.contains("web");
    machine
        .command("deliver")
        .args(["--later", "1h"])
        .output()
        .unwrap();
    for ((case, server), before) in CASES.iter().zip(&servers).zip(sent) {
        // What comes later is word of the others' refusals.
        let requests = server.requests();
        let asks_to_join = case.name == "matrix";
        assert!(
            asks_to_join || requests[..before].iter().any(report),
            "{}",
            case.name
        );
    }
    assert!(!holds(&machine.spool, HUSH), "a secret was kept");
}

#[test]
fn every_collector_brings_a_bounded_section_with_a_status() {
    let machine = Harness::new();
    let script = |name: &str, script: &str| {
        let path = machine.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        format!(
            "[[collect.exec]]\nname = '{name}'\ncommand = ['{}']\ntimeout = '2s'\n",
            path.display()
        )
    };
    let config = [
        "[collect.memory]\n[collect.load]\n[collect.disk]\n[collect.dmesg]\n[collect.processes]\n"
            .to_owned(),
        "[collect.program]\npath = '/bin/sh'\n[[collect.log]]\npath = '/var/log/upstart/web.log'\n"
            .to_owned(),
        "[[collect.log]]\npath = '/var/log/none.log'\n".to_owned(),
        script("plain", "echo fine"),
        script("failing", "echo half; echo no database >&2; exit 3"),
        script("killed", "kill -SEGV $$"),
        script("hanging", "trap '' TERM; while :; do sleep 100; done"),
        script("flooding", "yes '<b>@everyone' | head -c 10000000"),
        script("binary", "head -c 100000 /dev/urandom"),
        script("silent", "true"),
    ];
    machine.configure("web", &config.concat());
    fs::write(
        machine.root.join("var/log/upstart/web.log"),
        format!("{EVIL}\n").repeat(20_000),
    )
    .unwrap();
    let output = machine
        .command("post-stop")
        .args(["--simulate-crash", "--job", "web", "--json"])
        .output()
        .unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = json["report"]["sections"].as_array().unwrap();
    let names: Vec<&str> = sections
        .iter()
        .map(|section| section["collector"].as_str().unwrap())
        .collect();
    for name in [
        "memory",
        "load",
        "disk",
        "dmesg",
        "processes",
        "log /var/log/upstart/web.log",
        "log /var/log/none.log",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let status = |name: &str| {
        let section = sections
            .iter()
            .find(|section| section["collector"] == name)
            .unwrap();
        (
            serde_json::from_value::<Status>(section["status"].clone()).unwrap(),
            section["text"].as_str().unwrap(),
        )
    };
    for section in sections {
        // What redaction puts in a secret's place may be longer than the secret.
        assert!(
            section["text"]
                .as_str()
                .is_some_and(|text| text.len() <= 65 * 1024),
            "{}",
            section["collector"]
        );
        assert!(
            section["millis"].is_u64()
                && serde_json::from_value::<Status>(section["status"].clone()).is_ok()
        );
    }
    assert_eq!(status("plain"), (Status::Ok, "fine\n"));
    assert_eq!(
        status("failing"),
        (
            Status::Failed,
            "exit status: 3: no database\nits output so far:\nhalf"
        )
    );
    assert!(status("killed").1.contains("SIGSEGV"));
    assert!(
        status("hanging")
            .1
            .contains("still running after 2s, so it was killed")
    );
    assert_eq!(
        (status("flooding").0, status("binary").0, status("silent").0),
        (Status::Ok, Status::Ok, Status::Ok)
    );
    assert_eq!(status("log /var/log/none.log").0, Status::Failed);
    machine.settle();
}
