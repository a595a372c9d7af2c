//! Rules for every collector and every sink. Built-in ones and plugins pass the same tests. The
//! kinds come from the program's own schema, so a new kind without a case here fails.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lastwords::report::Status;
use serde_json::Value;

use crate::schemas::schema;
use crate::support::harness::{Harness, names_in, wait_for_some};
use crate::support::stand_in::StandIn;

/// Part of every secret.
const HUSH: &str = "hushhushhushhushhushhushhushhush";

/// A hostile text in a report.
const EVIL: &str = "<script>alert(1)</script> <!channel> @everyone @admin /stop ``` **b** [a](http://evil) \
                    \u{1b}[2J\u{202e} \u{1f980} \"\\ {{report.id}} %n";

/// A kind of sink, its keys, and the text of the file `@SECRET@`.
struct Case {
    kind: &'static str,
    toml: &'static str,
    secret: &'static str,
    speaks: Speaks,
}

/// The way in which a sink delivers its reports.
enum Speaks {
    /// To a server `@URL@`, which gives these answers.
    Http {
        taken: &'static str,
        refused: &'static str,
    },
    /// To a program `@PROGRAM@`, which ends with this code if it refuses.
    Program { refused: u8 },
    /// As datagrams to a socket `@SOCKET@`. A datagram cannot be refused.
    Datagrams,
}

/// One case for each kind that the program knows; see `every_sink_has_a_case`.
const CASES: [Case; 12] = [
    Case {
        kind: "webhook",
        toml: "url = '@URL@/'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        speaks: Speaks::Http {
            taken: "204 No Content\r\n\r\n",
            refused: "410 Gone\r\n\r\n@HUSH@",
        },
    },
    Case {
        kind: "alertmanager",
        toml: "urls = ['@URL@']\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        speaks: Speaks::Http {
            taken: "200 OK\r\n\r\n",
            refused: "400 Bad Request\r\n\r\n\"@HUSH@\"",
        },
    },
    Case {
        kind: "pagerduty",
        toml: "url = '@URL@'\nrouting_key_file = '@SECRET@'",
        secret: "@HUSH@",
        speaks: Speaks::Http {
            taken: "202 Accepted\r\n\r\n{\"status\":\"success\",\"dedup_key\":\"k\"}",
            refused: "400 Bad Request\r\n\r\n{\"status\":\"invalid event\",\"message\":\"@HUSH@\"}",
        },
    },
    Case {
        kind: "discord",
        toml: "webhook_file = '@SECRET@'",
        secret: "@URL@/api/webhooks/1/@HUSH@",
        speaks: Speaks::Http {
            taken: "200 OK\r\n\r\n{\"id\":\"1\"}",
            refused: "404 Not Found\r\n\r\n{\"message\":\"/api/webhooks/1/@HUSH@\",\"code\":10015}",
        },
    },
    Case {
        kind: "telegram",
        toml: "url = '@URL@'\nchat = '1'\ntoken_file = '@SECRET@'",
        secret: "1:@HUSH@",
        speaks: Speaks::Http {
            taken: "200 OK\r\n\r\n{\"ok\":true,\"result\":{\"message_id\":1}}",
            refused: "401 Unauthorized\r\n\r\n{\"ok\":false,\"description\":\"1:@HUSH@\"}",
        },
    },
    Case {
        kind: "ntfy",
        toml: "url = '@URL@'\ntopic = 'crashes'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        speaks: Speaks::Http {
            taken: "200 OK\r\n\r\n{\"id\":\"a\"}",
            refused: "403 Forbidden\r\n\r\n{\"code\":40301,\"http\":403,\"error\":\"@HUSH@\"}",
        },
    },
    Case {
        kind: "slack",
        toml: "webhook_file = '@SECRET@'",
        secret: "@URL@/services/@HUSH@",
        speaks: Speaks::Http {
            taken: "200 OK\r\n\r\nok",
            refused: "403 Forbidden\r\n\r\ninvalid_token",
        },
    },
    Case {
        kind: "matrix",
        toml: "homeserver = '@URL@'\nroom = '#a:b'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        speaks: Speaks::Http {
            taken: MATRIX_TAKEN,
            refused: MATRIX_REFUSED,
        },
    },
    Case {
        kind: "gitter",
        toml: "homeserver = '@URL@'\nroom = 'acme/ops'\ntoken_file = '@SECRET@'",
        secret: "@HUSH@",
        speaks: Speaks::Http {
            taken: MATRIX_TAKEN,
            refused: MATRIX_REFUSED,
        },
    },
    Case {
        kind: "email",
        toml: "to = ['ops@example.com']\nsendmail = '@PROGRAM@'",
        secret: "",
        // EX_NOUSER
        speaks: Speaks::Program { refused: 67 },
    },
    Case {
        kind: "exec",
        toml: "command = ['@PROGRAM@']",
        secret: "",
        speaks: Speaks::Program { refused: 100 },
    },
    Case {
        kind: "syslog",
        toml: "address = 'unix:@SOCKET@'",
        secret: "",
        speaks: Speaks::Datagrams,
    },
];

const MATRIX_TAKEN: &str = "200 OK\r\n\r\n{\"room_id\":\"!a:b\",\"event_id\":\"$e\"}";
const MATRIX_REFUSED: &str =
    "403 Forbidden\r\n\r\n{\"errcode\":\"M_FORBIDDEN\",\"error\":\"@HUSH@\"}";

/// A temporary error, in no particular words.
const LATER: &str = "503 Service Unavailable\r\n\r\n<html>@HUSH@</html>";

/// The behaviour of a destination.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    NotNow,
    Take,
    Refuse,
}

/// A destination that keeps what it gets. It behaves the same until `will` changes that.
enum Destination {
    Server {
        taken: &'static str,
        refused: &'static str,
        answer: Arc<Mutex<String>>,
        stand_in: StandIn,
    },
    Program {
        refused: u8,
        code: PathBuf,
        got: PathBuf,
    },
    Socket {
        path: PathBuf,
        socket: Mutex<Option<UnixDatagram>>,
    },
}

impl Destination {
    /// Makes the destination of a case, and fills its place in the sink's keys and secret.
    fn of(case: &Case, machine: &Harness, does: Does) -> (Self, [String; 2]) {
        let texts = [case.toml, case.secret];
        let fill = |place: &str, with: &str| texts.map(|text| text.replace(place, with));
        let made = match case.speaks {
            Speaks::Http { taken, refused } => {
                let answer: Arc<Mutex<String>> = Arc::default();
                let said = Arc::clone(&answer);
                let stand_in = StandIn::start(move |client| {
                    client.http_request()?;
                    let answer = said.lock().unwrap().clone();
                    client.say(format!("HTTP/1.1 {answer}"))
                });
                let url = stand_in.url();
                let server = Self::Server {
                    taken,
                    refused,
                    answer,
                    stand_in,
                };
                (server, fill("@URL@", &url))
            }
            Speaks::Program { refused } => {
                let [program, code, got] = ["program", "code", "got"]
                    .map(|name| machine.path(&format!("{}.{name}", case.kind)));
                let script = format!(
                    "#!/bin/sh\n{{ cat; cat \"$LASTWORDS_REPORT_DIR\"/report.json; }} >>{} 2>/dev/null\n\
                     cat {1} >&2; exit $(head -n 1 {1})\n",
                    got.display(),
                    code.display()
                );
                fs::write(&program, script).unwrap();
                fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
                let keys = fill("@PROGRAM@", program.to_str().unwrap());
                (Self::Program { refused, code, got }, keys)
            }
            Speaks::Datagrams => {
                let path = machine.root.join("log.socket");
                let socket = Mutex::default();
                (
                    Self::Socket { path, socket },
                    fill("@SOCKET@", "/log.socket"),
                )
            }
        };
        made.0.will(does);
        made
    }

    fn will(&self, does: Does) {
        match self {
            Self::Server {
                taken,
                refused,
                answer,
                ..
            } => {
                let said = match does {
                    Does::NotNow => LATER,
                    Does::Take => taken,
                    Does::Refuse => refused,
                };
                *answer.lock().unwrap() = said.replace("@HUSH@", HUSH);
            }
            Self::Program { refused, code, .. } => {
                let ends = match does {
                    Does::NotNow => 75,
                    Does::Take => 0,
                    Does::Refuse => *refused,
                };
                fs::write(code, format!("{ends}\n")).unwrap();
            }
            Self::Socket { path, socket } => {
                let open = (does == Does::Take).then(|| UnixDatagram::bind(path).unwrap());
                *socket.lock().unwrap() = open;
            }
        }
    }

    /// Returns everything that it got: each request, or all the data as one text.
    fn got(&self) -> Vec<String> {
        match self {
            Self::Server { stand_in, .. } => stand_in.heard(),
            Self::Program { got, .. } => fs::read_to_string(got).into_iter().collect(),
            Self::Socket { socket, .. } => {
                socket
                    .lock()
                    .unwrap()
                    .as_ref()
                    .map_or_else(Vec::new, |socket| {
                        let mut record = [0; 4096];
                        socket.set_nonblocking(true).unwrap();
                        let length = socket.recv(&mut record).unwrap_or_default();
                        vec![String::from_utf8_lossy(&record[..length]).into_owned()]
                    })
            }
        }
    }
}

/// Returns a machine with a sink of every kind and a hostile log, and the sinks' destinations.
fn machine(does: Does) -> (Harness, Vec<Destination>) {
    let machine = Harness::new();
    let mut config = String::new();
    let mut destinations = Vec::new();
    for case in &CASES {
        let kind = case.kind;
        let (destination, [toml, secret]) = Destination::of(case, &machine, does);
        let (name, path) = (
            format!("{kind}.secret"),
            machine.config.join(format!("{kind}.secret")),
        );
        fs::write(&path, secret.replace("@HUSH@", HUSH)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let keys = toml.replace("@SECRET@", &name);
        config = format!("{config}[[sink.{kind}]]\nname = '{kind}'\n{keys}\n");
        destinations.push(destination);
    }
    config += "[default.collect]\n[[default.collect.log]]\npath = '/var/log/upstart/web.log'\n";
    fs::write(machine.config.join("lastwords.toml"), config).unwrap();
    let log = format!("{EVIL}\n").repeat(2000);
    fs::write(machine.root.join("var/log/upstart/web.log"), log).unwrap();
    (machine, destinations)
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

/// Returns the kinds of sinks, or of collectors, in the schema of the program's config.
fn kinds(of: &str) -> BTreeSet<String> {
    let properties = schema("config")["properties"]["default"]["properties"].take();
    let kinds = properties[of]["properties"].as_object().unwrap();
    kinds.keys().cloned().collect()
}

#[test]
fn every_sink_has_a_case() {
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.kind.to_owned()).collect();
    assert_eq!(cases, kinds("sink"));
}

#[test]
fn every_sink_tries_again_under_the_same_id_until_it_is_taken() {
    let (machine, destinations) = machine(Does::NotNow);
    crash(&machine);
    for Case { kind, .. } in &CASES {
        let ledger = ledger(&machine, kind);
        assert_eq!(
            (&ledger["outcome"], ledger["attempts"].as_u64()),
            (&Value::Null, Some(1)),
            "{kind}: {ledger}"
        );
        assert!(
            ledger["next_try"].is_string()
                && ledger["last_error"]
                    .as_str()
                    .is_some_and(|why| why.len() < 1000)
        );
    }
    for destination in &destinations {
        destination.will(Does::Take);
    }
    let id = machine.reports()[0].id.to_string();
    let deliver = machine
        .command("deliver")
        .args(["--later", "1m"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&deliver.stdout).into_owned();
    for Case { kind, .. } in &CASES {
        assert!(said.contains(&format!("sent to {kind}")), "{kind}: {said}");
    }
    wait_for_some("history", || {
        (names_in(&machine.spool.join("done")) == [id.as_str()]).then_some(())
    });
    for (Case { kind, speaks, .. }, destination) in CASES.iter().zip(&destinations) {
        let got = destination.got();
        let tries = got
            .iter()
            .map(|text| text.matches(&id).count())
            .sum::<usize>();
        let twice = !matches!(speaks, Speaks::Datagrams);
        assert!(
            tries > usize::from(twice) || *kind == "matrix" || *kind == "gitter",
            "{kind}: {tries}"
        );
        assert!(got.last().is_some_and(|last| last.contains(&id)), "{kind}");
        let most = match speaks {
            Speaks::Http { .. } | Speaks::Datagrams => 100_000,
            // Two copies of the report, with the logs.
            Speaks::Program { .. } => 1_000_000,
        };
        let is_raw = ["webhook", "exec"].contains(kind);
        for text in got {
            assert!(text.len() < most, "{kind} sends {} bytes", text.len());
            assert!(
                is_raw || !text.contains(['\u{1b}', '\u{202e}']),
                "{kind}: {text}"
            );
        }
    }
    assert!(
        !holds(&machine.spool, HUSH) && !said.contains(HUSH),
        "a secret was kept or said"
    );
}

#[test]
fn every_sink_knows_a_refusal_and_does_not_try_again() {
    let (machine, destinations) = machine(Does::Refuse);
    crash(&machine);
    let refusing = || {
        let all = CASES.iter().zip(&destinations);
        all.filter(|(case, _)| !matches!(case.speaks, Speaks::Datagrams))
    };
    let id = machine.reports()[0].id.to_string();
    let state = machine.spool.join("state").join(&id);
    for (Case { kind, .. }, destination) in refusing() {
        let ledger = ledger(&machine, kind);
        assert!(
            ledger["outcome"]["refused"]["why"]
                .as_str()
                .is_some_and(|why| !why.is_empty()),
            "{kind}: {ledger}"
        );
        let asks_to_join = ["matrix", "gitter"].contains(kind);
        let got = destination.got();
        assert!(
            asks_to_join || got.iter().any(|text| text.contains(&id)),
            "{kind}"
        );
    }
    machine
        .command("deliver")
        .args(["--later", "1h"])
        .output()
        .unwrap();
    for (Case { kind, .. }, _) in refusing() {
        let ledger = fs::read(state.join(format!("to-{kind}"))).unwrap();
        let ledger: Value = serde_json::from_slice(&ledger).unwrap();
        assert_eq!(ledger["attempts"], 1, "{kind}");
    }
    assert!(!holds(&machine.spool, HUSH), "a secret was kept");
}

/// Kinds of collectors, their keys, and the names of their sections. Programs are added to these.
const COLLECTORS: [(&str, &str, Option<&str>); 10] = [
    ("memory", "[collect.memory]\n", Some("memory")),
    ("load", "[collect.load]\n", Some("load")),
    ("disk", "[collect.disk]\n", Some("disk")),
    ("dmesg", "[collect.dmesg]\n", Some("dmesg")),
    ("processes", "[collect.processes]\n", Some("processes")),
    // A journal belongs to a life, and a drill has no life.
    ("journal", "[collect.journal]\n", None),
    (
        "program",
        "[collect.program]\npath = '/bin/sh'\n",
        Some("program"),
    ),
    (
        "node_report",
        "[collect.node_report]\ndirectory = '/none'\n",
        Some("node report"),
    ),
    (
        "log",
        "[[collect.log]]\npath = '/var/log/upstart/web.log'\n",
        Some("log /var/log/upstart/web.log"),
    ),
    (
        "log",
        "[[collect.log]]\npath = '/var/log/none.log'\n",
        Some("log /var/log/none.log"),
    ),
];

#[test]
fn every_collector_has_a_case() {
    let built_in = COLLECTORS.iter().map(|(kind, ..)| *kind);
    let cases: BTreeSet<String> = built_in.chain(["exec"]).map(str::to_owned).collect();
    assert_eq!(cases, kinds("collect"));
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
    let built_in = COLLECTORS.iter().map(|(_, toml, _)| (*toml).to_owned());
    let scripts = [
        script("plain", "echo fine"),
        script("failing", "echo half; echo no database >&2; exit 3"),
        script("killed", "kill -SEGV $$"),
        script("hanging", "trap '' TERM; while :; do sleep 100; done"),
        script("flooding", "yes '<b>@everyone' | head -c 10000000"),
        script("binary", "head -c 100000 /dev/urandom"),
        script("silent", "true"),
    ];
    machine.configure("web", &built_in.chain(scripts).collect::<String>());
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
    for name in COLLECTORS.iter().filter_map(|(.., name)| *name) {
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
        // `[redacted]` may be longer than the secret that it replaces.
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
