//! Servers that answer wrongly, late, without end or not at all. The report is tried again, the try
//! ends in time, and no other sink waits for it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use lastwords::report::{Report, ReportId, SinkKey, Timestamp};
use lastwords::{Ledger, Spool};

use crate::support::harness::{Harness, reports_in, wait_for_some};
use crate::support::servers::certs::Certs;
use crate::support::stand_in::{Client, StandIn, http, smtp};
use crate::tls;
use crate::victim::{crash, is_slow, tell};

/// A machine with reports and sinks, on which no deliverer runs yet.
pub struct Sender {
    pub machine: Harness,
    pub report: Report,
    config: String,
}

impl Sender {
    pub fn new() -> Self {
        let machine = Harness::new();
        crash(&machine);
        // This report is not to be sent, so it is finished here.
        let done = machine.spool.join("done");
        let mut report =
            wait_for_some("a report", || reports_in(std::slice::from_ref(&done)).pop());
        report.id = ReportId::new(report.stop.stopped_at, 1);
        Self {
            machine,
            report,
            config: String::new(),
        }
    }

    /// Adds another report, to be sent to all sinks.
    pub fn put(&self, number: u64) -> ReportId {
        let id = ReportId::new(Timestamp::new(SystemTime::now()), number);
        // Each is a crash of a job of its own. Of one job few get messages of their own.
        let mut report = Report {
            id: id.clone(),
            ..self.report.clone()
        };
        report.stop.job = format!("{}-{number}", report.stop.job);
        Spool::new(&self.machine.spool).put(&report).unwrap();
        id
    }

    pub fn sink(&mut self, kind: &str, name: &str, rest: &str) {
        let _ = writeln!(self.config, "[[sink.{kind}]]\nname = '{name}'\n{rest}");
        fs::write(self.machine.config.join("lastwords.toml"), &self.config).unwrap();
    }

    /// Adds a Slack sink whose webhook is this address.
    pub fn slack(&mut self, name: &str, webhook: &str) {
        let file = self.machine.path(&format!("secret-{name}"));
        fs::write(&file, webhook).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        // The file is found below the fake root.
        let root = self.machine.root.join("etc").join(name);
        fs::rename(&file, &root).unwrap();
        self.sink("slack", name, &format!("webhook_file = '/etc/{name}'"));
    }

    pub fn matrix(&mut self, name: &str, port: u16) {
        let file = self.machine.root.join("etc").join(name);
        fs::write(&file, "token").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let homeserver = format!("homeserver = 'http://127.0.0.1:{port}'");
        self.sink(
            "matrix",
            name,
            &format!("{homeserver}\nroom = '#ops:x'\ntoken_file = '/etc/{name}'"),
        );
    }

    pub fn email(&mut self, name: &str, port: u16, tls: &str) {
        let server =
            "to = ['ops@example.test']\nfrom = 'lastwords@example.test'\nserver = 'localhost'\n";
        let ca = if tls == "none" {
            ""
        } else {
            "ca_file = '/etc/ca.pem'"
        };
        self.sink(
            "email",
            name,
            &format!("{server}port = {port}\ntls = '{tls}'\n{ca}"),
        );
    }

    pub fn deliver(&self, flags: &[&str]) -> Command {
        let argv = self.machine.hook_argv("deliver");
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Returns the sink's ledger of a report, once it has been tried.
    pub fn ledger(&self, id: &ReportId, sink: &str) -> Option<Ledger> {
        let sink = SinkKey::Machine(sink.to_owned());
        let ledger = Spool::new(&self.machine.spool).ledger(id, &sink).ok()?;
        (ledger.attempts > 0).then_some(ledger)
    }

    /// Runs a deliverer until each sink has been tried once. Returns each ledger as it was after
    /// the first try.
    pub fn first_tries(&self, id: &ReportId, sinks: &[&str]) -> BTreeMap<String, Ledger> {
        let mut deliverer = Deliverer(self.deliver(&[]).spawn().unwrap());
        let mut tried = BTreeMap::new();
        let began = Instant::now();
        while tried.len() < sinks.len() {
            for &sink in sinks {
                if let (false, Some(ledger)) = (tried.contains_key(sink), self.ledger(id, sink)) {
                    tried.insert(sink.to_owned(), ledger);
                }
            }
            let missing: Vec<_> = sinks
                .iter()
                .filter(|sink| !tried.contains_key(**sink))
                .collect();
            assert!(
                began.elapsed() < Duration::from_secs(400),
                "never tried: {missing:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        deliverer.end();
        tried
    }
}

/// A deliverer that is killed when the test ends.
pub struct Deliverer(pub Child);

impl Deliverer {
    pub fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Length of the first pause, in seconds: ten, less up to a quarter.
const USUAL: std::ops::RangeInclusive<u64> = 7..=10;

/// Returns the seconds between a sink's only try and the next.
fn pause(ledger: &Ledger) -> u64 {
    let (last, next) = (
        ledger.last_try.expect("a try"),
        ledger.next_try.unwrap_or_else(|| panic!("{ledger:?}")),
    );
    next.unix() - last.unix()
}

/// A server's behaviour, and the expected content of the sink's ledger.
struct Case {
    name: &'static str,
    server: StandIn,
    /// Part of the error, and the pause in seconds; `None` for a sink that works.
    expected: Option<(&'static str, std::ops::RangeInclusive<u64>)>,
}

fn case(name: &'static str, told: &'static str, server: StandIn) -> Case {
    Case {
        name,
        server,
        expected: Some((told, USUAL)),
    }
}

/// Returns HTTP servers for Slack's sink.
fn over_http(target: &StandIn) -> Vec<Case> {
    let retry_after = |name, value: &str, pause| {
        let headers = format!("Date: Mon, 23 Nov 2026 03:00:00 GMT\r\nRetry-After: {value}\r\n");
        let answer = http("429 Too Many Requests", &headers, "rate_limited");
        Case {
            name,
            server: StandIn::http(answer),
            expected: Some(("429", pause)),
        }
    };
    let moved = |status: &str| {
        let location = format!(
            "Location: http://127.0.0.1:{}/latest/meta-data/\r\n",
            target.port
        );
        StandIn::http(http(status, &location, ""))
    };
    let bomb = || {
        let gzip = Command::new("sh")
            .args(["-c", "head -c 1G /dev/zero | gzip"])
            .output()
            .unwrap()
            .stdout;
        let headers = format!(
            "Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            gzip.len()
        );
        StandIn::http([b"HTTP/1.1 200 OK\r\n", headers.as_bytes(), &gzip].concat())
    };
    vec![
        retry_after("http-wait-0", "0", 1..=1),
        retry_after("http-wait-30", "30", 30..=30),
        retry_after("http-wait-1e9", "1000000000", 3600..=3600),
        retry_after("http-wait-date", "Mon, 23 Nov 2026 03:02:00 GMT", 120..=120),
        retry_after("http-wait-past", "Mon, 23 Nov 2020 03:02:00 GMT", 1..=1),
        retry_after("http-wait-garbage", "soon\u{fe}", USUAL),
        retry_after("http-wait-negative", "-5", USUAL),
        case("http-301", "301", moved("301 Moved Permanently")),
        case("http-302", "302", moved("302 Found")),
        case("http-307", "307", moved("307 Temporary Redirect")),
        case("http-no", "200", StandIn::http(http("200 OK", "", "no"))),
        case(
            "http-empty",
            "204",
            StandIn::http(http("204 No Content", "", "")),
        ),
        case("http-gzip-bomb", "200", bomb()),
        case(
            "http-not-http",
            "",
            StandIn::http("SSH-2.0-OpenSSH\r\n\r\n"),
        ),
        case("http-closed", "", StandIn::start(|_| Ok(()))),
        case(
            "http-endless-body",
            "200",
            StandIn::start(|client| {
                client.http_request()?;
                client.say("HTTP/1.1 200 OK\r\n\r\n")?;
                client.flood("o")
            }),
        ),
        case(
            "http-endless-header",
            "",
            StandIn::start(|client| {
                client.http_request()?;
                client.say("HTTP/1.1 200 OK\r\nX: ")?;
                client.flood("x")
            }),
        ),
        Case {
            name: "http-well",
            server: StandIn::http(http("200 OK", "", "ok")),
            expected: None,
        },
    ]
}

/// Returns those on which a sink spends half a minute.
fn slow() -> Vec<Case> {
    if !is_slow() {
        return Vec::new();
    }
    vec![
        case(
            "http-silent",
            "",
            StandIn::start(|client| client.http_request().and_then(|_| client.hang())),
        ),
        case(
            "http-slow-body",
            "200",
            StandIn::start(|client| {
                client.http_request()?;
                client.say("HTTP/1.1 200 OK\r\n\r\n")?;
                client.drip("o", Duration::from_millis(500))
            }),
        ),
        case(
            "http-byte-in-50-s",
            "",
            StandIn::start(|client| {
                client.http_request()?;
                client.drip("H", Duration::from_secs(50))
            }),
        ),
    ]
}

/// Returns servers for the email sink.
fn over_smtp() -> Vec<Case> {
    vec![
        case(
            "smtp-silent",
            "no answer in time",
            StandIn::start(Client::hang),
        ),
        case(
            "smtp-gone-after-data",
            "",
            StandIn::start(|client| {
                client.smtp(|line| Some(smtp(line)).filter(|_| line != ".\r\n"))
            }),
        ),
        case("smtp-gone", "", StandIn::start(|_| Ok(()))),
        case(
            "smtp-endless-greeting",
            "this is no answer of SMTP",
            StandIn::start(|client| client.flood("x")),
        ),
        case(
            "smtp-not-smtp",
            "",
            StandIn::start(|client| {
                client.say("\u{0}\u{1}\r\n\r\n")?;
                client.hang()
            }),
        ),
        Case {
            name: "smtp-well",
            server: StandIn::start(|client| client.smtp(|line| Some(smtp(line)))),
            expected: None,
        },
    ]
}

#[test]
fn wrong_answers_lead_to_another_try_in_time_and_delay_no_other_sink() {
    let mut sender = Sender::new();
    let target = StandIn::http(http("200 OK", "", "ok"));
    let (mut http, smtp) = (over_http(&target), over_smtp());
    http.extend(slow());
    for Case { name, server, .. } in &http {
        sender.slack(
            name,
            &format!("http://127.0.0.1:{}/services/x", server.port),
        );
    }
    let certs = Certs::issue();
    fs::copy(certs.ca(), sender.machine.root.join("etc/ca.pem")).unwrap();
    for Case { name, server, .. } in &smtp {
        sender.email(name, server.port, "none");
    }
    let stripped = StandIn::start(|client| client.smtp(|_| Some("250 ok")));
    sender.email("smtp-starttls-stripped", stripped.port, "starttls");
    sender.sink("exec", "exec-well", "command = ['true']");
    sender.sink(
        "exec",
        "exec-hangs",
        "command = ['sleep', '1000']\ntimeout = '1s'",
    );

    let cases: Vec<_> = http.iter().chain(&smtp).collect();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.extend(["smtp-starttls-stripped", "exec-well", "exec-hangs"]);
    let id = sender.put(2);
    let began = Instant::now();
    let tried = sender.first_tries(&id, &names);
    let took = began.elapsed();

    for Case { name, expected, .. } in cases {
        let ledger = &tried[*name];
        let Some((told, pauses)) = expected else {
            assert!(ledger.was_sent(), "{name}: {ledger:?}");
            continue;
        };
        let why = ledger
            .last_error
            .as_deref()
            .unwrap_or_else(|| panic!("{name}: {ledger:?}"));
        assert!(why.contains(told), "{name}: {why}");
        assert!(
            pauses.contains(&pause(ledger)),
            "{name}: {} s: {ledger:?}",
            pause(ledger)
        );
        tell(&format!("server: {name}"), &[]);
    }
    assert!(
        tried["exec-hangs"]
            .last_error
            .as_ref()
            .is_some_and(|why| why.contains("still running after 1s"))
    );
    assert!(
        tried["smtp-starttls-stripped"]
            .last_error
            .as_ref()
            .is_some_and(|why| why.contains("STARTTLS"))
    );
    assert!(
        !stripped.heard().concat().contains("MAIL"),
        "nothing was sent: {:?}",
        stripped.heard()
    );
    assert_eq!(target.heard(), [""; 0], "no redirect is followed");
    tell("server: smtp-starttls-stripped", &[]);
    tell("server: a program that hangs", &[]);
    assert_well_before_hung(
        &tried,
        &["http-well", "smtp-well", "exec-well"],
        &["smtp-silent"],
    );
    tell(
        &format!("servers: {} at once; all tried", names.len()),
        &[took],
    );
}

/// Checks that the sinks that work got their report before the hung ones' time was up.
fn assert_well_before_hung(tried: &BTreeMap<String, Ledger>, well: &[&str], hung: &[&str]) {
    for (well, hung) in well
        .iter()
        .flat_map(|well| hung.iter().map(move |hung| (well, hung)))
    {
        let at = |sink: &&str| tried[*sink].last_try.expect("a try");
        assert!(tried[*well].was_sent(), "{well}: {:?}", tried[*well]);
        assert!(at(well) < at(hung), "{well} waited for {hung}: {tried:?}");
    }
}

#[test]
fn a_message_whose_receipt_was_lost_is_sent_again_with_the_same_bytes() {
    let mut sender = Sender::new();
    let server =
        StandIn::start(|client| client.smtp(|line| Some(smtp(line)).filter(|_| line != ".\r\n")));
    sender.email("mail", server.port, "none");
    sender.put(2);
    let _deliverer = Deliverer(sender.deliver(&["--watch"]).spawn().unwrap());
    let heard = wait_for_some("two tries", || {
        Some(server.heard()).filter(|heard| heard.len() == 2 && heard[1].ends_with("\r\n.\r\n"))
    });
    assert_eq!(heard[0], heard[1]);
    assert!(heard[0].contains("Message-ID: <"), "{}", heard[0]);
    tell(
        "SMTP: gone after DATA; the second try has the same Message-ID and bytes",
        &[],
    );
}

#[test]
fn no_sink_trusts_a_bad_certificate() {
    let mut sender = Sender::new();
    let names = ["localhost", "127.0.0.1"];
    let expired = Certs::issue_for(&names, |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let elsewhere = Certs::issue_for(&["mail.example.com"], |_| {});
    let (stranger, good) = (Certs::issue(), Certs::issue());
    // All authorities but the stranger's are trusted.
    let trusted: String = [&expired, &elsewhere, &good]
        .map(|certs| fs::read_to_string(certs.ca()).unwrap())
        .concat();
    fs::write(sender.machine.root.join("etc/ca.pem"), &trusted).unwrap();
    let mut servers = Vec::new();
    for (name, certs) in [
        ("expired", expired),
        ("elsewhere", elsewhere),
        ("stranger", stranger),
        ("good", good),
    ] {
        let server = tls::server(&certs);
        sender.email(&format!("email-{name}"), server.port, "implicit");
        sender.slack(
            &format!("slack-{name}"),
            &format!("https://localhost:{}/services/x", server.port),
        );
        let address = format!(
            "address = 'tls://localhost:{}'\nca_file = '/etc/ca.pem'",
            server.port
        );
        sender.sink("syslog", &format!("syslog-{name}"), &address);
        servers.push((name, server));
    }
    let kinds = ["email", "slack", "syslog"];
    let names: Vec<String> = servers
        .iter()
        .flat_map(|(name, _)| kinds.map(|kind| format!("{kind}-{name}")))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Slack's sink has no ca_file. It trusts the system's certificates: those in SSL_CERT_FILE.
    fs::write(sender.machine.path("ca.pem"), trusted).unwrap();
    let id = sender.put(2);
    let mut deliver = sender.deliver(&[]);
    deliver.env("SSL_CERT_FILE", sender.machine.path("ca.pem"));
    let _deliverer = Deliverer(deliver.spawn().unwrap());
    for name in names {
        let ledger = wait_for_some(name, || sender.ledger(&id, name));
        if name.ends_with("-good") {
            // The stand-in speaks no SMTP.
            let not_smtp =
                name.starts_with("email") && !format!("{ledger:?}").contains("certificate");
            assert!(ledger.was_sent() || not_smtp, "{name}: {ledger:?}");
        } else {
            let why = ledger
                .last_error
                .clone()
                .unwrap_or_else(|| panic!("{name}: {ledger:?}"));
            assert!(why.to_lowercase().contains("certificate"), "{name}: {why}");
            tell(&format!("TLS: certificate of {name}"), &[]);
        }
    }
    for (name, server) in &servers {
        let plain = server.heard().concat();
        assert_eq!(
            plain.contains("lastwords"),
            *name == "good",
            "{name}: {plain}"
        );
    }
}

#[test]
fn no_sink_trusts_certificates_in_a_jobs_environment() {
    let mut sender = Sender::new();
    let certs = Certs::issue();
    let ca = certs.ca();
    let server = tls::server(&certs);
    sender.slack(
        "slack",
        &format!("https://localhost:{}/services/x", server.port),
    );
    // In the deliverer's own environment the certificate is trusted, as it should be.
    let id = sender.put(3);
    assert!(
        sender
            .deliver(&[])
            .env("SSL_CERT_FILE", &ca)
            .status()
            .unwrap()
            .success()
    );
    let ledger = sender.ledger(&id, "slack");
    assert!(ledger.as_ref().is_some_and(Ledger::was_sent), "{ledger:?}");

    let hook = |name: &str| {
        let mut hook = crate::victim::hook(&sender.machine, name, "web");
        hook.env("SSL_CERT_FILE", &ca)
            .env("SSL_CERT_DIR", ca.parent().unwrap());
        crate::victim::run(hook)
    };
    let before = sender.machine.reports();
    hook("pre-start");
    sender
        .machine
        .kernel_log("init: web main process (4242) killed by SEGV signal");
    let took = hook("post-stop");
    let reports = sender.machine.reports();
    let is_new = |report: &&Report| !before.iter().any(|known| known.id == report.id);
    let caught = reports.iter().find(is_new).expect("a report of that");
    let ledger = wait_for_some("a try", || sender.ledger(&caught.id, "slack"));
    assert!(
        ledger
            .last_error
            .as_ref()
            .is_some_and(|why| why.contains("certificate")),
        "{ledger:?}"
    );
    tell(
        "environment: SSL_CERT_FILE and SSL_CERT_DIR of a job",
        &[took],
    );
}

#[test]
fn proxies_in_the_environment_are_never_used() {
    let mut sender = Sender::new();
    let (proxy, slack, matrix) = (
        StandIn::http(http("200 OK", "", "ok")),
        StandIn::http(http("200 OK", "", "ok")),
        StandIn::http(http("200 OK", "", r#"{"room_id":"!x:x","event_id":"$x"}"#)),
    );
    sender.slack(
        "slack",
        &format!("http://127.0.0.1:{}/services/x", slack.port),
    );
    sender.matrix("matrix", matrix.port);
    let id = sender.put(2);
    let mut deliver = sender.deliver(&[]);
    for name in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        deliver.env(name, format!("http://127.0.0.1:{}/", proxy.port));
    }
    assert!(deliver.status().unwrap().success());
    for sink in ["slack", "matrix"] {
        let ledger = sender.ledger(&id, sink).unwrap();
        assert!(ledger.was_sent(), "{sink}: {ledger:?}");
    }
    assert_eq!(proxy.heard(), [""; 0]);
    tell("environment: proxies of the deliverer itself", &[]);
}

/// A server may keep every step within its limit and never come to an end. Then the limit of the
/// whole try ends it.
#[test]
#[ignore = "it takes over 4 minutes: tests/run --slow includes it"]
fn a_try_ends_at_its_deadline_whatever_the_server_does() {
    let mut sender = Sender::new();
    fs::copy(Certs::issue().ca(), sender.machine.root.join("etc/ca.pem")).unwrap();
    let drips = StandIn::start(|client| client.drip("220-x\r\n", Duration::from_secs(10)));
    let floods = StandIn::start(|client| client.flood("220-x\r\n"));
    sender.email("drips", drips.port, "none");
    sender.email("floods", floods.port, "none");
    let id = sender.put(2);
    let began = Instant::now();
    let tried = sender.first_tries(&id, &["drips", "floods"]);
    for (name, ledger) in &tried {
        let why = ledger.last_error.clone().unwrap_or_default();
        assert!(why.contains("still running after 4m"), "{name}: {why}");
    }
    tell(
        "server: SMTP drips or floods, its try is ended after 4 minutes",
        &[began.elapsed()],
    );
}
