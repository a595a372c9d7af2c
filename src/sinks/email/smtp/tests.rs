use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;

use lettre::Address;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::{Encryption, SmtpServer};
use crate::host::Host;
use crate::secret::SecretSource;
use crate::sinks::{Receipt, SendError};
use crate::stand_in::{Client, StandIn, smtp};

/// Starts a server that answers a line that begins so with that.
fn server(answers: &'static [(&'static str, &'static str)]) -> StandIn {
    let answer = |line: &str| {
        let scripted = answers.iter().find(|(start, _)| line.starts_with(start));
        Some(scripted.map_or(smtp(line), |(_, answer)| answer))
    };
    StandIn::start(move |client| client.smtp(answer))
}

fn deliver(
    answers: &'static [(&'static str, &'static str)],
    wait: bool,
) -> (Result<Receipt, SendError>, String) {
    let session = server(answers);
    let address = |text: &str| text.parse::<Address>().expect("an address");
    let to = [address("a@x.org"), address("b@x.org")];
    let server = SmtpServer::new(
        "127.0.0.1".to_owned(),
        session.port,
        Encryption::None,
        None,
        None,
        "db1".to_owned(),
    );
    let result = server.expect("a server").deliver(
        &address("me@x.org"),
        &to,
        b"Subject: x\r\n\r\n.\r\nbody\r\n",
        wait,
    );
    (result, session.finish().concat())
}

#[test]
fn one_transaction_takes_the_message_to_all() {
    let (result, told) = deliver(&[(".\r\n", "250 2.0.0 queued as 4F2A")], true);
    assert_eq!(result, Ok("250 2.0.0 queued as 4F2A".to_owned()));
    assert_eq!(
        told,
        "EHLO db1\r\nMAIL FROM:<me@x.org>\r\nRCPT TO:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n\
         Subject: x\r\n\r\n..\r\nbody\r\n.\r\nQUIT\r\n"
    );
}

#[test]
fn one_refused_for_good_is_named_and_the_others_get_it() {
    let (result, told) = deliver(&[("RCPT TO:<a@", "550 5.1.1 no such user")], true);
    let receipt = result.expect("a receipt");
    assert_eq!(
        receipt,
        "250 ok; NOT delivered to all, refused: a@x.org: 550 5.1.1 no such user"
    );
    assert!(told.contains("body"));
}

#[test]
fn one_put_off_holds_the_message_for_all_so_that_none_gets_it_twice() {
    let (result, told) = deliver(&[("RCPT TO:<b@", "451 4.7.1 greylisted")], true);
    let Err(SendError::Retry { why, .. }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(why, "127.0.0.1: b@x.org: 451 4.7.1 greylisted");
    assert!(!told.contains("DATA"));
    let (result, told) = deliver(&[("RCPT TO:<b@", "452 4.2.2 full")], false);
    assert_eq!(
        result.expect("a receipt"),
        "250 ok; NOT delivered to all, given up after an hour: b@x.org: 452 4.2.2 full"
    );
    assert!(told.contains("body"));
}

#[test]
fn the_servers_code_says_whether_to_try_again() {
    for (answers, refused) in [
        (&[("RCPT", "550 no")] as &[_], true),
        (&[("RCPT", "450 later")], false),
        (
            &[("RCPT TO:<a@", "550 no"), ("RCPT TO:<b@", "450 later")],
            false,
        ),
        (&[("MAIL", "550 no")], true),
        (&[("MAIL", "451 later")], false),
        (&[("DATA", "554 no")], true),
        (&[(".\r\n", "451 later")], false),
        (&[(".\r\n", "552 too big")], true),
        (&[("EHLO", "421 busy")], false),
        (&[("EHLO", "nonsense")], false),
    ] {
        let (result, _) = deliver(answers, true);
        assert_eq!(
            matches!(result, Err(SendError::Refused { .. })),
            refused,
            "{answers:?}: {result:?}"
        );
        assert!(result.is_err(), "{answers:?}");
    }
}

#[test]
fn a_probe_greets_and_says_goodbye() {
    let session = server(&[]);
    let server = SmtpServer::new(
        "127.0.0.1".to_owned(),
        session.port,
        Encryption::None,
        None,
        None,
        "db1".to_owned(),
    );
    assert_eq!(server.expect("a server").greet(), Ok(()));
    assert_eq!(session.finish().concat(), "EHLO db1\r\nNOOP\r\nQUIT\r\n");
}

#[test]
fn a_server_without_starttls_gets_nothing() {
    let session = server(&[]);
    let server = SmtpServer::new(
        "127.0.0.1".to_owned(),
        session.port,
        Encryption::Starttls,
        None,
        None,
        "db1".to_owned(),
    );
    let me = "me@x.org".parse::<Address>().expect("an address");
    let result = server
        .expect("a server")
        .deliver(&me, std::slice::from_ref(&me), b"x", true);
    let Err(SendError::Retry { why, .. }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(why, "127.0.0.1 offers no STARTTLS, so nothing was sent");
    assert_eq!(session.finish().concat(), "EHLO db1\r\nQUIT\r\n");
}

/// A server's certificate, and the directory with the file that vouches for it.
fn certificate() -> (Arc<ServerConfig>, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(dir.path().join("ca.pem"), made.cert.pem()).expect("our own directory");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    (Arc::new(config.expect("they fit")), dir)
}

/// Speaks SMTP up to STARTTLS, says `more` behind its answer in the clear, and goes on over TLS,
/// where `answer` answers each line.
fn speak(
    client: &mut Client,
    config: &Arc<ServerConfig>,
    more: &str,
    answer: impl Fn(&str) -> &'static str,
) -> io::Result<()> {
    client.say("220 stand-in ESMTP\r\n")?;
    client.line()?;
    client.say("250-stand-in\r\n250 STARTTLS\r\n")?;
    client.line()?;
    client.say(format!("220 go on\r\n{more}"))?;
    let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let stream = client.stream().try_clone()?;
    let mut tls = BufReader::new(StreamOwned::new(session, stream));
    let (mut line, mut in_message) = (String::new(), false);
    while tls.read_line(&mut line)? > 0 {
        client.keep(&format!("TLS: {line}"));
        if !in_message || line == ".\r\n" {
            let answer = answer(&line);
            in_message = answer.starts_with("354");
            tls.get_mut()
                .write_all(format!("{answer}\r\n").as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

/// Delivers a message over STARTTLS to a server that says `more` before TLS begins.
fn deliver_encrypted(
    more: &'static str,
    answer: impl Fn(&str) -> &'static str + Send + Sync + 'static,
) -> (Result<Receipt, SendError>, String) {
    let (config, dir) = certificate();
    let server = StandIn::start(move |client| speak(client, &config, more, &answer));
    let file = dir.path().join("password");
    fs::write(&file, "hush\n").expect("our own directory");
    let password = SecretSource::required("password", Some(file), None)
        .ok()
        .and_then(|source| source.read(&Host::new("/", "/")).ok());
    let me = "me@x.org".parse::<Address>().expect("an address");
    let result = SmtpServer::new(
        "localhost".to_owned(),
        server.port,
        Encryption::Starttls,
        Some(&dir.path().join("ca.pem")),
        password.map(|password| ("lab".to_owned(), password)),
        "db1".to_owned(),
    )
    .expect("a server")
    .deliver(&me, std::slice::from_ref(&me), b"Subject: x\r\n", true);
    (result, server.finish().concat())
}

#[test]
fn the_session_begins_anew_once_it_is_encrypted() {
    let answer = |line: &str| match line.split(' ').next() {
        Some("EHLO") => "250-stand-in\r\n250-8BITMIME\r\n250 AUTH LOGIN PLAIN",
        Some(".\r\n") => "250 2.0.0 queued as 4F2A",
        _ => smtp(line),
    };
    let (result, told) = deliver_encrypted("", answer);
    assert_eq!(result, Ok("250 2.0.0 queued as 4F2A".to_owned()));
    assert_eq!(
        told,
        "EHLO db1\r\nSTARTTLS\r\nTLS: EHLO db1\r\nTLS: AUTH PLAIN AGxhYgBodXNo\r\n\
         TLS: MAIL FROM:<me@x.org>\r\nTLS: RCPT TO:<me@x.org>\r\nTLS: DATA\r\n\
         TLS: Subject: x\r\nTLS: .\r\nTLS: QUIT\r\n"
    );
}

#[test]
fn answers_that_came_before_encryption_are_never_taken_for_the_servers_own() {
    let injected = "250-stand-in\r\n250 AUTH PLAIN\r\n235 in\r\n250 ok\r\n250 ok\r\n354 go on\r\n\
                    250 2.0.0 queued as INJECTED\r\n";
    let (result, told) = deliver_encrypted(injected, |_| "530 5.7.0 log in first");
    let Err(SendError::Retry { why, .. }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(
        why,
        "localhost: STARTTLS: the server, or somebody in between, answered before encryption began"
    );
    assert_eq!(told, "EHLO db1\r\nSTARTTLS\r\n");
}

#[test]
fn a_login_takes_what_the_server_offers() {
    let answer = |line: &str| match line.split(' ').next() {
        Some("EHLO") => "250-stand-in\r\n250 AUTH=LOGIN CRAM-MD5",
        Some("AUTH") => "334 VXNlcm5hbWU6",
        Some("bGFi\r\n") => "334 UGFzc3dvcmQ6",
        Some("aHVzaA==\r\n") => "535 5.7.8 not hush",
        _ => smtp(line),
    };
    let (result, _) = deliver_encrypted("", answer);
    let Err(SendError::Refused { why }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(
        why,
        "localhost: logging in: 535 5.7.8 the server refuses the login"
    );
    let (result, told) = deliver_encrypted("", |_| "250 none");
    let Err(SendError::Retry { why, .. }) = result else {
        panic!("{result:?}")
    };
    assert!(why.ends_with("no login by PLAIN or LOGIN"), "{why}");
    assert!(!told.contains("aHVza"), "{told}");
}
