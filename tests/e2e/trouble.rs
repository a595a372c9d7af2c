//! Real servers that refuse. A message is tried again if the server may take it later, and given up
//! if not. Neither delays the other sinks.

use std::fs;

use lastwords::report::Kind;
use rustix::process::Signal;
use serde::Deserialize;

use crate::crash::keep_secret;
use crate::support::harness::patiently;
use crate::support::harness::{Harness, reports_in};
use crate::support::servers::slack::{Answer, Slack};
use crate::support::servers::synapse::Synapse;
use crate::support::upstart::State;

/// A ledger: the record in the spool of one report and one sink.
#[derive(Debug, Deserialize)]
struct Ledger {
    attempts: u32,
    next_try: Option<String>,
    last_error: Option<String>,
    outcome: Option<Outcome>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Sent { receipt: String },
    Refused { why: String },
}

/// Expected outcome of a sink's first attempt, with a text that must be said about it.
enum Expected {
    Sent(&'static str),
    Retry(&'static str),
    Refused(&'static str),
}

/// Lets a service crash on a machine with this config.
fn crash(machine: &Harness, config: &str) {
    fs::write(machine.config.join("lastwords.toml"), config).expect("the config is writable");
    let mut web = machine.job("web", "exec sleep 1000");
    web.start();
    web.kill_main(Signal::KILL);
    web.wait_for(State::Waiting);
}

/// Waits until the sink has been tried, and checks its ledger.
fn check(machine: &Harness, sink: &str, expected: &Expected) {
    let tried = || {
        // Beside the crash there may be a notice about the sink that refused it.
        let places = ["new", "done", "dead"].map(|place| machine.spool.join(place));
        let id = reports_in(&places)
            .into_iter()
            .find(|report| report.kind == Kind::Crash)?
            .id;
        let ledger = machine.spool.join(format!("state/{id}/to-{sink}"));
        serde_json::from_slice::<Ledger>(&fs::read(ledger).ok()?).ok()
    };
    let ledger = patiently(tried).unwrap_or_else(|| panic!("{sink} was never tried"));
    assert_eq!(ledger.attempts, 1, "{sink}: {ledger:?}");
    let (said, part) = match (&ledger.outcome, expected) {
        (Some(Outcome::Sent { receipt }), Expected::Sent(part)) => (Some(receipt), part),
        (Some(Outcome::Refused { why }), Expected::Refused(part)) => (Some(why), part),
        (None, Expected::Retry(part)) => (
            ledger
                .last_error
                .as_ref()
                .filter(|_| ledger.next_try.is_some()),
            part,
        ),
        _ => panic!("{sink}: {ledger:?}"),
    };
    assert!(
        said.is_some_and(|said| said.contains(part)),
        "{sink}: {part:?} in {ledger:?}"
    );
}

#[test]
fn a_message_is_tried_again_only_if_slack_may_take_it_later() {
    let machine = Harness::new();
    let cases = [
        ("limited", Answer::RateLimited(7), Expected::Retry("429")),
        ("broken", Answer::ServerError, Expected::Retry("500")),
        ("moved", Answer::Redirect, Expected::Retry("302")),
        ("endless", Answer::Endless, Expected::Retry("200")),
        (
            "gone",
            Answer::InvalidToken,
            Expected::Refused("invalid_token"),
        ),
        ("fine", Answer::Ok, Expected::Sent("ok")),
    ];
    // Each sink has a Slack of its own. One more never answers, and the test does not wait for it.
    let servers: Vec<_> = cases
        .iter()
        .map(|(name, answer, _)| slack(&machine, name, answer.clone()))
        .collect();
    let (_silent, hung) = slack(&machine, "hung", Answer::Hang);
    let config: String = servers
        .iter()
        .map(|(_, config)| config.as_str())
        .chain([hung.as_str()])
        .collect();
    crash(&machine, &config);
    for (name, _, expected) in &cases {
        check(&machine, name, expected);
    }
    for (server, _) in &servers {
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "no redirect is followed: {requests:#?}");
    }
}

/// Returns a Slack that gives this answer, and the config of a sink that posts to it.
fn slack(machine: &Harness, name: &str, answer: Answer) -> (Slack, String) {
    let slack = Slack::start();
    slack.plan(answer);
    keep_secret(machine, name, &slack.webhook());
    let config = format!(
        "[[sink.slack]]\nname = '{name}'\nwebhook_file = '/etc/lastwords/secrets/{name}'\n"
    );
    (slack, config)
}

#[test]
fn a_refusal_by_synapse_is_reported_in_its_words() {
    let machine = Harness::new();
    let synapse = Synapse::start();
    keep_secret(&machine, "good", &synapse.token);
    keep_secret(&machine, "bad", "not-a-token");
    let sink = |name: &str, room: &str, token: &str| {
        let homeserver = &synapse.homeserver;
        format!(
            "[[sink.matrix]]\nname = '{name}'\nroom = '{room}'\nhomeserver = '{homeserver}'\n\
             token_file = '/etc/lastwords/secrets/{token}'\n"
        )
    };
    let config = [
        sink("by-alias", "#acme_ops:gitter.im", "good"),
        sink("by-id", &synapse.room, "good"),
        sink("stranger", "#acme_ops:gitter.im", "bad"),
        sink("nowhere", "#nowhere:gitter.im", "good"),
    ];
    crash(&machine, &config.concat());
    check(&machine, "by-alias", &Expected::Sent(""));
    check(&machine, "by-id", &Expected::Sent(""));
    check(&machine, "stranger", &Expected::Refused("M_UNKNOWN_TOKEN"));
    check(&machine, "nowhere", &Expected::Refused("M_NOT_FOUND"));
    assert_eq!(
        synapse.messages().len(),
        1,
        "two ways to one room are one message"
    );
}

mod as_root {
    use super::{Expected, Harness, check, crash, fs, keep_secret};
    use crate::support::harness::wait_for_some;
    use crate::support::servers::certs::Certs;
    use crate::support::servers::postfix::{PASSWORD, Postfix, USERNAME};

    #[test]
    fn a_message_is_tried_again_only_if_postfix_may_take_it_later() {
        let machine = Harness::new();
        let certs = Certs::issue();
        let postfix = Postfix::start(&certs);
        keep_secret(&machine, "good", PASSWORD);
        keep_secret(&machine, "bad", "wrong");
        fs::copy(certs.ca(), machine.root.join("etc/ca.pem")).expect("a certificate");

        let sink = |name: &str, to: &str, rest: &str| {
            let to = to.replace(' ', "@example.test', '");
            format!(
                "[[sink.email]]\nname = '{name}'\nto = ['{to}@example.test']\nfrom = 'lastwords@example.test'\n\
                 server = 'localhost'\n{rest}"
            )
        };
        let trusted = format!(
            "port = {}\nca_file = '/etc/ca.pem'\nusername = '{USERNAME}'\n",
            postfix.starttls
        );
        let good = format!("{trusted}password_file = '/etc/lastwords/secrets/good'\n");
        let config = [
            sink("fine", "ops", &good),
            sink("greylisted", "greylisted", &good),
            sink("busy", "busy", &good),
            sink("unknown", "nobody", &good),
            sink("full", "full", &good),
            sink("some", "oncall nobody", &good),
            sink(
                "wrong-password",
                "ops",
                &format!("{trusted}password_file = '/etc/lastwords/secrets/bad'\n"),
            ),
            sink(
                "no-password",
                "ops",
                &trusted.replace(&format!("username = '{USERNAME}'\n"), ""),
            ),
            sink(
                "untrusted",
                "ops",
                &format!("port = {}\n", postfix.starttls),
            ),
            sink("no-tls", "ops", &format!("port = {}\n", postfix.plain)),
            sink(
                "plain",
                "oncall",
                &format!("port = {}\ntls = 'none'\n", postfix.plain),
            ),
        ];
        crash(&machine, &config.concat());
        check(&machine, "fine", &Expected::Sent("queued as"));
        check(
            &machine,
            "greylisted",
            &Expected::Retry("Greylisted, try again in 5 minutes"),
        );
        check(&machine, "busy", &Expected::Retry("Try again later"));
        check(&machine, "unknown", &Expected::Refused("No such user here"));
        check(&machine, "full", &Expected::Refused("Mailbox full"));
        check(&machine, "some", &Expected::Sent("nobody@example.test"));
        check(&machine, "wrong-password", &Expected::Refused("535"));
        check(&machine, "no-password", &Expected::Refused("Access denied"));
        check(&machine, "untrusted", &Expected::Retry("certificate"));
        check(&machine, "no-tls", &Expected::Retry("STARTTLS"));
        check(&machine, "plain", &Expected::Sent("queued as"));
        for (mailbox, count) in [("ops", 1), ("oncall", 2)] {
            let what = format!("{mailbox} gets {count} mails");
            wait_for_some(&what, || {
                (postfix.mails(mailbox).len() == count).then_some(())
            });
        }
    }
}
