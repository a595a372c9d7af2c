//! The servers themselves. What other programs send to them is read back as it was sent.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use serde_json::json;

use crate::support::harness::wait_for_some;
use crate::support::servers::certs::Certs;
use crate::support::servers::rsyslog::Rsyslog;
use crate::support::servers::slack::{Answer, Slack};
use crate::support::servers::synapse::Synapse;

/// Runs a Python program and returns its output.
fn python(program: &str, arguments: &[&str]) -> String {
    let output = Command::new("python3")
        .args(["-c", program])
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.expect("python3 is installed: tests/run does it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("Python prints UTF-8")
}

fn http_client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(Duration::from_secs(2));
    client
        .build()
        .expect("a client without settings can be built")
}

mod as_root {
    use super::python;
    use crate::support::servers::certs::Certs;
    use crate::support::servers::postfix::{PASSWORD, Postfix, USERNAME};

    const SEND: &str = r"
import smtplib, ssl, sys
starttls, implicit, plain = map(int, sys.argv[1:4])
ca, username, password = sys.argv[4:]
trust = ssl.create_default_context(cafile=ca)
message = 'From: a@example.test\r\nTo: ops@example.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\nbody of %s\r\n'

def send(connection, name, user='ops'):
    try:
        connection.sendmail('a@example.test', [user + '@example.test'], message % name)
        return 250
    except smtplib.SMTPRecipientsRefused as refused:
        return refused.recipients[user + '@example.test'][0]
    except smtplib.SMTPSenderRefused as refused:
        return refused.smtp_code

with smtplib.SMTP('localhost', starttls) as c:
    print('without STARTTLS', send(c, 'unencrypted'))
with smtplib.SMTP('localhost', starttls) as c:
    c.starttls(context=trust)
    print('without a password', send(c, 'anonymous'))
    try:
        c.login(username, 'wrong')
    except smtplib.SMTPAuthenticationError as refused:
        print('wrong password', refused.smtp_code)
    c.login(username, password)
    for user in ['greylisted', 'busy', 'nobody', 'full']:
        print(user, send(c, user, user))
    print('STARTTLS', send(c, 'STARTTLS'))
with smtplib.SMTP_SSL('localhost', implicit, context=trust) as c:
    c.login(username, password)
    print('implicit', send(c, 'implicit'))
with smtplib.SMTP('localhost', plain) as c:
    print('plain', send(c, 'plain', 'oncall'))
";

    #[test]
    fn postfix_takes_mail_only_as_it_should_and_delivers_it() {
        let certs = Certs::issue();
        let postfix = Postfix::start(&certs);
        let [starttls, implicit, plain] =
            [postfix.starttls, postfix.implicit, postfix.plain].map(|port| port.to_string());
        let ca = certs.ca().display().to_string();
        let said = python(
            SEND,
            &[&starttls, &implicit, &plain, &ca, USERNAME, PASSWORD],
        );
        let expected = "without STARTTLS 530\nwithout a password 554\nwrong password 535\ngreylisted 450\nbusy 451\n\
                        nobody 550\nfull 552\nSTARTTLS 250\nimplicit 250\nplain 250\n";
        assert_eq!(said, expected, "{}", postfix.log());
        assert_eq!(postfix.mail("oncall").text("text/plain"), "body of plain\n");
        let mails = crate::support::harness::wait_for_some("two mails", || {
            Some(postfix.mails("ops")).filter(|mails| mails.len() == 2)
        });
        for mail in mails {
            assert_eq!(mail.header("Subject"), "café");
            assert!(
                mail.header("Received")
                    .contains("(Authenticated sender: lastwords)"),
                "{:?}",
                mail.header("Received")
            );
        }
    }
}

#[test]
fn rsyslog_keeps_what_came_by_each_transport() {
    let certs = Certs::issue();
    let rsyslog = Rsyslog::start(&certs);
    let message = "<131>1 2026-11-22T23:00:00.123456Z db1 lastwords 42 CRASH [crash@32473 job=\"a\\\"b\\]c\"] boom ünï";
    let octets = format!("{} {message}", message.len());

    UnixDatagram::unbound()
        .and_then(|socket| socket.send_to(b"<27>lastwords: boom", rsyslog.socket()))
        .expect("sent");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    udp.send_to(message.as_bytes(), ("127.0.0.1", rsyslog.udp))
        .expect("sent");
    let mut tcp = TcpStream::connect(("127.0.0.1", rsyslog.tcp)).expect("rsyslog listens");
    tcp.write_all(octets.as_bytes()).expect("sent");
    let tls = "import socket, ssl, sys; \
        trust = ssl.create_default_context(cafile=sys.argv[1]); \
        tls = trust.wrap_socket(socket.create_connection(('localhost', int(sys.argv[2]))), server_hostname='localhost'); \
        tls.sendall(sys.argv[3].encode()); tls.unwrap()";
    python(
        tls,
        &[
            &certs.ca().display().to_string(),
            &rsyslog.tls.to_string(),
            &octets,
        ],
    );

    for via in ["imudp", "imptcp", "imtcp"] {
        let record = rsyslog.record(via);
        assert_eq!(
            (
                record.pri.as_str(),
                record.host.as_str(),
                record.app.as_str()
            ),
            ("131", "db1", "lastwords"),
            "{via}"
        );
        assert_eq!(
            (record.procid.as_str(), record.msgid.as_str()),
            ("42", "CRASH"),
            "{via}"
        );
        assert_eq!(record.sd, "[crash@32473 job=\"a\\\"b\\]c\"]", "{via}");
        assert_eq!(record.msg, "boom ünï", "{via}");
        assert_eq!(record.time, "2026-11-22T23:00:00.123456Z", "{via}");
    }
    let local = rsyslog.record("imuxsock");
    assert_eq!(
        (local.pri.as_str(), local.app.as_str(), local.msg.trim()),
        ("27", "lastwords", "boom")
    );
    assert_eq!(rsyslog.records().len(), 4);
}

#[test]
fn synapse_gives_back_what_the_bot_said() {
    let synapse = Synapse::start();
    let client = http_client();
    let api = format!("{}/_matrix/client/v3", synapse.homeserver);
    let call = |request: reqwest::blocking::RequestBuilder| {
        let answer = request
            .bearer_auth(&synapse.token)
            .send()
            .expect("Synapse answers");
        assert!(answer.status().is_success(), "{answer:?}");
    };
    call(client.get(format!("{api}/directory/room/%23acme_ops:gitter.im")));
    call(
        client
            .post(format!("{api}/join/{}", synapse.room))
            .json(&json!({})),
    );
    let message = json!({ "msgtype": "m.notice", "body": "boom" });
    for _ in 0..2 {
        call(
            client
                .put(format!(
                    "{api}/rooms/{}/send/m.room.message/id1",
                    synapse.room
                ))
                .json(&message),
        );
    }
    assert_eq!(synapse.message(), message);
    assert_eq!(
        synapse.messages().len(),
        1,
        "the same transaction id is the same message"
    );
}

#[test]
fn the_stand_in_for_slack_keeps_what_came_and_answers_as_planned() {
    let slack = Slack::start();
    let client = http_client();
    for answer in [
        Answer::RateLimited(7),
        Answer::InvalidToken,
        Answer::ServerError,
        Answer::Redirect,
        Answer::Hang,
    ] {
        slack.plan(answer);
    }
    let post = || {
        client
            .post(slack.webhook())
            .json(&json!({ "text": "boom" }))
            .send()
    };
    let limited = post().expect("an answer");
    assert_eq!(
        (
            limited.status().as_u16(),
            limited.headers()["retry-after"].as_bytes()
        ),
        (429, &b"7"[..])
    );
    for status in [403, 500, 302] {
        assert_eq!(post().expect("an answer").status().as_u16(), status);
    }
    assert!(post().expect_err("no answer").is_timeout());
    assert_eq!(
        post()
            .and_then(reqwest::blocking::Response::text)
            .expect("an answer"),
        "ok"
    );
    slack.plan(Answer::Endless);
    assert!(
        post()
            .and_then(reqwest::blocking::Response::text)
            .expect_err("no end")
            .is_timeout()
    );

    let requests = wait_for_some("seven requests", || {
        Some(slack.requests()).filter(|requests| requests.len() == 7)
    });
    for request in requests {
        assert!(
            request.line.starts_with("POST /services/"),
            "{}",
            request.line
        );
        assert_eq!(request.content_type, "application/json");
        assert_eq!(request.payload, json!({ "text": "boom" }));
    }
}
