//! The whole way: a node program dies under its supervisor, and every destination gets the report.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread::scope;

use lastwords::report::{Exit, Report, Verdict};
use mailparse::MailHeaderMap;
use serde_json::{Value, json};

use crate::support::harness::Harness;
use crate::support::harness::patiently;
use crate::support::servers::certs::Certs;
use crate::support::servers::postfix::{Mail, PASSWORD, Postfix, USERNAME};
use crate::support::servers::rsyslog::{Record, Rsyslog};
use crate::support::servers::slack::Slack;
use crate::support::servers::synapse::Synapse;
use crate::support::slack_rules;
use crate::support::upstart::State;

/// Writes hostile lines into its log, then dies of an uncaught exception.
const PROGRAM: &str = r"
const evil = [
    '<script>alert(1)</script> </pre> <img src=x onerror=alert(1)> &amp; {{report.id}} =?utf-8?q?x?=',
    '.\r\nSubject: injected\r\nBcc: oncall@example.test\r\n\r\n<!channel> <@U012> @room ``` */ %n %s',
    '\u001b[2J\u001b]0;owned\u0007\u001b[31mred\u202e\u0000 ünï 🦀',
].join('\n') + '\n';
process.stderr.write(Buffer.concat([Buffer.from(evil), Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0x0a])]));
setTimeout(() => { throw new TypeError('no database\r\nSubject: injected <!here> <b>too</b>\u001b[31m'); }, 100);
";

/// Texts in the log. Every destination that shows the log must show them.
const SHOWN: [&str; 4] = [
    "<script>alert(1)</script> </pre> <img src=x onerror=alert(1)> &amp; {{report.id}}",
    "<!channel> <@U012> @room ```",
    "ünï 🦀",
    "TypeError: no database",
];

mod as_root {
    use super::*;

    #[test]
    fn the_death_of_a_node_program_reaches_a_mailbox_a_room_syslog_and_slack() {
        let certs = Certs::issue();
        let (postfix, synapse, rsyslog) = scope(|threads| {
            let postfix = threads.spawn(|| Postfix::start(&certs));
            let synapse = threads.spawn(Synapse::start);
            let rsyslog = Rsyslog::start(&certs);
            (
                postfix.join().expect("Postfix starts"),
                synapse.join().expect("Synapse starts"),
                rsyslog,
            )
        });
        let slack = Slack::start();
        let machine = Harness::new();
        configure(&machine, &certs, &postfix, &synapse, &rsyslog, &slack);
        let program = machine.path("web.js");
        fs::write(&program, PROGRAM).expect("a program");
        let log = machine.root.join("var/log/upstart/web.log");
        let main = format!("exec node {} 2>>{}", program.display(), log.display());
        machine.configure(
            "web",
            "[[collect.log]]\npath = '/var/log/upstart/web.log'\n",
        );

        let mut web = machine.job("web", &main);
        web.start();
        web.wait_for(State::Waiting);
        let done = patiently(|| fs::read_dir(machine.spool.join("done")).ok()?.next());
        assert!(done.is_some(), "{:#?}", ledgers(&machine));
        let report = machine.only_report();
        assert_eq!(
            (report.verdict, &report.stop.exit),
            (Verdict::Crashed, &Exit::Code(1)),
            "{web:?}"
        );
        for mailbox in ["ops", "oncall"] {
            // Postfix has taken the mail, but may put it into the mailbox later.
            check_mail(&postfix.mail(mailbox), &report);
            assert_eq!(postfix.mails(mailbox).len(), 1, "{mailbox}");
        }
        let [message] = synapse
            .messages()
            .try_into()
            .expect("one message in the room");
        check_matrix(&message, &report);
        let [request] = slack
            .requests()
            .try_into()
            .expect("one message in the channel");
        check_slack(&request.payload, &report);
        for via in ["imudp", "imptcp", "imtcp", "imuxsock"] {
            rsyslog.record(via);
        }
        let records = rsyslog.records();
        assert_eq!(records.len(), 4, "{records:#?}");
        for record in &records {
            check_syslog(record, &report);
        }
    }
}

/// Writes a config with every way to every destination.
fn configure(
    machine: &Harness,
    certs: &Certs,
    postfix: &Postfix,
    synapse: &Synapse,
    rsyslog: &Rsyslog,
    slack: &Slack,
) {
    keep_secret(machine, "smtp", PASSWORD);
    keep_secret(machine, "slack", &slack.webhook());
    keep_secret(machine, "gitter", &synapse.token);
    fs::copy(certs.ca(), machine.root.join("etc/ca.pem")).expect("a certificate");
    symlink(rsyslog.socket(), machine.root.join("dev/log")).expect("a link");
    let email = |name: &str, to: &str, tls: &str, port: u16| {
        format!(
            "[[sink.email]]\nname = '{name}'\nto = ['{to}@example.test']\nfrom = 'lastwords@example.test'\n\
             server = 'localhost'\nport = {port}\ntls = '{tls}'\nca_file = '/etc/ca.pem'\n\
             username = '{USERNAME}'\npassword_file = '/etc/lastwords/secrets/smtp'\n"
        )
    };
    let syslog = |name: &str, address: &str| {
        let ca = if address.starts_with("tls:") {
            "ca_file = '/etc/ca.pem'\n"
        } else {
            ""
        };
        format!("[[sink.syslog]]\nname = '{name}'\naddress = '{address}'\n{ca}")
    };
    let config = [
        email("starttls", "ops", "starttls", postfix.starttls),
        email("implicit", "oncall", "implicit", postfix.implicit),
        "[[sink.slack]]\nname = 'slack'\nwebhook_file = '/etc/lastwords/secrets/slack'\n"
            .to_owned(),
        format!(
            "[[sink.gitter]]\nname = 'gitter'\nroom = 'acme/ops'\nhomeserver = '{}'\n\
             token_file = '/etc/lastwords/secrets/gitter'\n",
            synapse.homeserver
        ),
        syslog("udp", &format!("udp://127.0.0.1:{}", rsyslog.udp)),
        syslog("tcp", &format!("tcp://127.0.0.1:{}", rsyslog.tcp)),
        syslog("tls", &format!("tls://localhost:{}", rsyslog.tls)),
        syslog("unix", "unix:/dev/log"),
    ];
    fs::write(machine.config.join("lastwords.toml"), config.concat())
        .expect("the config is writable");
}

/// Makes `/etc/lastwords/secrets/NAME`.
pub fn keep_secret(machine: &Harness, name: &str, secret: &str) {
    let dir = machine.root.join("etc/lastwords/secrets");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(name), secret).expect("a secret");
    fs::set_permissions(dir.join(name), Permissions::from_mode(0o600)).expect("a secret");
}

/// Returns the outcome of each sink's attempts.
fn ledgers(machine: &Harness) -> Vec<String> {
    let entries = fs::read_dir(machine.spool.join("state"))
        .expect("the spool is there")
        .flatten();
    let ledgers = entries
        .filter_map(|entry| fs::read_dir(entry.path()).ok())
        .flatten()
        .flatten();
    ledgers
        .map(|ledger| {
            format!(
                "{}: {:?}",
                ledger.path().display(),
                fs::read_to_string(ledger.path())
            )
        })
        .collect()
}

/// Checks that nothing in the text moves a cursor, reverses the writing or is a NUL.
fn assert_harmless(text: &str) {
    let harmful = |c: &char| {
        (c.is_control() && !"\n\t".contains(*c)) || ('\u{202a}'..='\u{202e}').contains(c)
    };
    let found: Vec<_> = text.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{found:?} in {text}");
}

fn assert_tells(text: &str, report: &Report) {
    assert_harmless(text);
    for told in SHOWN
        .iter()
        .copied()
        .chain([report.id.as_str(), "web crashed"])
    {
        assert!(text.contains(told), "{told} in {text}");
    }
}

fn check_mail(mail: &Mail, report: &Report) {
    let text = String::from_utf8(mail.raw.clone()).expect("a mail is ASCII on its way");
    assert!(text.is_ascii() && !text.contains('\r'), "{text}");
    assert!(text.lines().all(|line| line.len() <= 998), "{text}");
    let parsed = mail.parse();
    let names: Vec<_> = parsed
        .headers
        .iter()
        .map(mailparse::MailHeader::get_key)
        .collect();
    for name in [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "List-Id",
    ] {
        assert_eq!(
            names
                .iter()
                .filter(|key| key.eq_ignore_ascii_case(name))
                .count(),
            1,
            "{name} in {names:?}"
        );
    }
    assert!(
        !names.iter().any(|name| name.eq_ignore_ascii_case("bcc")),
        "{names:?}"
    );
    let subject = mail.header("Subject");
    assert_harmless(&subject);
    assert!(subject.contains("web crashed"), "{subject}");
    assert!(mail.header("Message-ID").contains(report.id.as_str()));
    assert!(
        parsed
            .headers
            .get_first_value("Received")
            .expect("a hop")
            .contains("TLS"),
        "{text}"
    );

    assert_tells(&mail.text("text/plain").replace('\r', ""), report);
    let html = mail.text("text/html").replace('\r', "");
    assert_harmless(&html);
    for markup in ["<script", "<img", "<b>too"] {
        assert!(!html.contains(markup), "{html}");
    }
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &lt;/pre&gt;"),
        "{html}"
    );
    let attached: Report =
        serde_json::from_slice(&mail.bytes("application/json")).expect("the report is attached");
    // The deliverer has added the section about earlier crashes.
    assert_eq!(
        Report {
            past: None,
            now: None,
            ..attached
        },
        *report
    );
}

fn check_matrix(content: &Value, report: &Report) {
    assert_eq!(
        (&content["msgtype"], &content["m.mentions"]),
        (&json!("m.notice"), &json!({}))
    );
    assert_tells(content["body"].as_str().expect("a body"), report);
    let html = content["formatted_body"]
        .as_str()
        .expect("a formatted body");
    assert_harmless(html);
    assert!(
        !html.contains("<script") && !html.contains("<img"),
        "{html}"
    );
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &lt;/pre&gt;"),
        "{html}"
    );
}

fn check_slack(payload: &Value, report: &Report) {
    assert_eq!(slack_rules::problems(payload), [""; 0], "{payload:#}");
    slack_rules::check_with_slacks_sdk(payload);
    let texts = slack_rules::texts(&payload["blocks"]).join("\n");
    assert_tells(&texts, report);
    assert_harmless(payload["text"].as_str().expect("a fallback"));
}

/// Checks the one line for syslog. It says what happened, why, and where the report is; it holds no
/// log.
fn check_syslog(record: &Record, report: &Report) {
    const DAEMON_ERR: &str = "27";
    assert_eq!(
        (record.pri.as_str(), record.app.as_str()),
        (DAEMON_ERR, "lastwords"),
        "{record:?}"
    );
    assert!(
        !record.msg.contains(char::is_control) && record.msg.contains("web crashed"),
        "{record:?}"
    );
    assert!(record.msg.contains(report.id.as_str()), "{record:?}");
    if record.via != "imuxsock" {
        assert!(
            record.sd.contains(&format!("report=\"{}\"", report.id)),
            "{record:?}"
        );
    }
}
