//! The doctor probes real servers, with right and wrong credentials. It sends no message.

use std::fs;

use serde_json::Value;

use crate::crash::keep_secret;
use crate::support::harness::Harness;
use crate::support::servers::certs::Certs;
use crate::support::servers::postfix::{PASSWORD, Postfix, USERNAME};
use crate::support::servers::synapse::Synapse;

/// Returns the doctor's lines about this sink.
fn said(machine: &Harness, sink: &str) -> (String, String) {
    machine.configure("web", "");
    let output = machine
        .command("doctor")
        .args(["web", "--json"])
        .output()
        .expect("the doctor runs");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = json[0]["checks"].as_array().expect("checks");
    let check = checks
        .iter()
        .find(|check| check["about"] == sink)
        .unwrap_or_else(|| panic!("{sink}: {json:#}"));
    assert!(
        !json.to_string().contains(PASSWORD) && !json.to_string().contains("wrong-secret"),
        "{json:#}"
    );
    let text = |key: &str| check[key].as_str().expect("a text").to_owned();
    (text("state"), text("text"))
}

mod as_root {
    use super::*;

    #[test]
    fn a_mail_server_says_whether_it_knows_the_password() {
        let certs = Certs::issue();
        let postfix = Postfix::start(&certs);
        let machine = Harness::new();
        fs::copy(certs.ca(), machine.root.join("etc/ca.pem")).expect("a certificate");
        let email = |tls: &str, port: u16, ca: &str| {
            let config = format!(
                "[[sink.email]]\nname = 'mail'\nto = ['ops@example.test']\nserver = 'localhost'\nport = {port}\n\
                 tls = '{tls}'\n{ca}username = '{USERNAME}'\npassword_file = '/etc/lastwords/secrets/smtp'\n"
            );
            fs::write(machine.config.join("lastwords.toml"), config)
                .expect("the config is writable");
        };
        let ca = "ca_file = '/etc/ca.pem'\n";
        for (tls, port) in [
            ("starttls", postfix.starttls),
            ("implicit", postfix.implicit),
        ] {
            email(tls, port, ca);
            keep_secret(&machine, "smtp", PASSWORD);
            let (state, text) = said(&machine, "mail");
            assert_eq!(state, "ok", "{text}");
            assert!(
                text.ends_with(&format!("as user {USERNAME}) accepts the connection")),
                "{text}"
            );
            keep_secret(&machine, "smtp", "wrong-secret");
            let (state, text) = said(&machine, "mail");
            assert_eq!(state, "problem", "{text}");
            assert!(text.starts_with("localhost: logging in: 535"), "{text}");
        }
        email("implicit", postfix.implicit, "");
        let (state, text) = said(&machine, "mail");
        assert!(state == "problem" && text.contains("certificate"), "{text}");
        assert!(!postfix.log().contains("from=<"), "{}", postfix.log());
        assert_eq!(postfix.mails("ops").len(), 0);
    }
}

#[test]
fn a_homeserver_names_the_tokens_user_and_whether_that_is_in_the_room() {
    let synapse = Synapse::start();
    let machine = Harness::new();
    let room = |name: &str| {
        let config = format!(
            "[[sink.gitter]]\nname = 'room'\nroom = '{name}'\nhomeserver = '{}'\n\
             token_file = '/etc/lastwords/secrets/gitter'\n",
            synapse.homeserver
        );
        fs::write(machine.config.join("lastwords.toml"), config).expect("the config is writable");
    };
    room("acme/ops");
    keep_secret(&machine, "gitter", &synapse.token);
    let (state, text) = said(&machine, "room");
    assert!(
        state == "unknown" && text.contains("is not in #acme_ops:gitter.im yet"),
        "{state}: {text}"
    );

    let client = reqwest::blocking::Client::new();
    let join = format!(
        "{}/_matrix/client/v3/join/{}",
        synapse.homeserver, synapse.room
    );
    let joined = client
        .post(join)
        .bearer_auth(&synapse.token)
        .body("{}")
        .send()
        .expect("Synapse answers");
    assert!(joined.status().is_success(), "{joined:?}");
    let (state, text) = said(&machine, "room");
    assert!(
        state == "ok" && text.ends_with("which is in #acme_ops:gitter.im"),
        "{state}: {text}"
    );

    room("acme/nowhere");
    let (state, text) = said(&machine, "room");
    assert!(
        state == "problem" && text.starts_with("cannot find the room: "),
        "{state}: {text}"
    );
    keep_secret(&machine, "gitter", "wrong-secret");
    let (state, text) = said(&machine, "room");
    assert!(
        state == "problem" && text.contains("401 M_UNKNOWN_TOKEN"),
        "{state}: {text}"
    );
    assert_eq!(synapse.messages().len(), 0);
}
