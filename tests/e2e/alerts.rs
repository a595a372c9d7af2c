//! Reports to programs: a real Alertmanager, and a receiver of signed webhooks.

use std::fs;

use lastwords::report::{Kind, Report};
use serde_json::Value;

use crate::crash::keep_secret;
use crate::support::harness::wait_for_some;
use crate::support::harness::{Harness, reports_in};
use crate::support::servers::alertmanager::Alertmanager;
use crate::support::servers::slack::Slack;
use crate::support::servers::webhook::{Request, SECRET, Webhook};

fn hook(machine: &Harness, job: &str, name: &str) {
    let mut hook = machine.hook_command(name);
    hook.envs([("UPSTART_JOB", job), ("UPSTART_INSTANCE", "")]);
    assert!(hook.status().expect("a hook").success());
}

fn crash(machine: &Harness, job: &str) {
    hook(machine, job, "pre-start");
    machine.kernel_log(format!(
        "init: {job} main process (4242) terminated with status 1"
    ));
    hook(machine, job, "post-stop");
    machine.settle();
}

pub fn deliver(machine: &Harness, minutes: u32) {
    let output = machine
        .command("deliver")
        .args(["--later", &format!("{minutes}m")])
        .output()
        .expect("a pass");
    assert!(output.status.success(), "{output:?}");
}

/// Returns Alertmanager's messages to people: the status of the group, its job, and the number of
/// alerts in it.
pub fn told(people: &Slack) -> Vec<(String, String, usize)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = people.requests().into_iter().map(|request| request.payload);
    told.map(|group| {
        (
            text(&group["status"]),
            text(&group["groupLabels"]["job"]),
            group["alerts"].as_array().map_or(0, Vec::len),
        )
    })
    .collect()
}

#[test]
fn alertmanager_groups_a_loop_as_one_alert_and_resolves_it_when_the_service_is_up_again() {
    let machine = Harness::new();
    let people = Slack::start();
    let alertmanager = Alertmanager::start(&people.webhook());
    let config = format!(
        "[[sink.alertmanager]]\nname = 'alerts'\nurls = ['{}', 'http://127.0.0.1:1']\nlabels = {{ team = 'ops' }}\n\
         [default]\nrunbook = 'https://wiki.example.com/web'\n[default.collect]\n",
        alertmanager.url
    );
    fs::write(machine.config.join("lastwords.toml"), config).expect("the config");
    let alert = || {
        let [alert] = alertmanager.alerts().try_into().expect("one alert");
        alert
    };
    for _ in 0..3 {
        crash(&machine, "web");
    }
    let first = alert();
    let report = machine.reports().remove(0);
    assert_eq!(first["labels"]["alertname"], "LastwordsCrash");
    assert_eq!(
        (&first["labels"]["job"], &first["labels"]["team"]),
        (&"web".into(), &"ops".into())
    );
    assert_eq!(first["labels"]["fingerprint"], report.fingerprint);
    assert_eq!(first["status"]["state"], "active");
    assert_eq!(first["annotations"]["report"], report.id.as_str());
    wait_for_some("people are told", || {
        (told(&people) == [("firing".to_owned(), "web".to_owned(), 1)]).then_some(())
    });

    // A summary continues the same alert.
    deliver(&machine, 6);
    let second = alert();
    assert_eq!(second["fingerprint"], first["fingerprint"]);
    assert!(
        second["endsAt"].as_str() > first["endsAt"].as_str(),
        "{second:#}"
    );
    let summary = second["annotations"]["summary"]
        .as_str()
        .expect("a summary");
    assert!(
        summary.contains("web kept crashing") && summary.contains("(2 times"),
        "{summary}"
    );
    assert_eq!(
        second["annotations"]["runbook"],
        "https://wiki.example.com/web"
    );

    hook(&machine, "web", "pre-start");
    deliver(&machine, 20);
    wait_for_some("people are told that it is over", || {
        let told = told(&people);
        assert!(told.len() <= 2, "{told:?}");
        (told.last()?.0 == "resolved").then_some(())
    });
    assert_eq!(alertmanager.alerts(), [] as [Value; 0]);
}

#[test]
fn the_standard_webhooks_library_accepts_the_signature_and_the_event_holds_the_report() {
    let machine = Harness::new();
    let webhook = Webhook::start();
    keep_secret(&machine, "good", SECRET);
    keep_secret(&machine, "bad", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let sink = |name: &str, secret: &str, more: &str| {
        format!(
            "[[sink.webhook]]\nname = '{name}'\nurl = '{}'\nsecret_file = '/etc/lastwords/secrets/{secret}'\n{more}\n",
            webhook.url
        )
    };
    let config = [
        sink("events", "good", ""),
        sink("reports", "good", "format = 'report'"),
        sink("forged", "bad", ""),
        "[default.collect]\n[[default.collect.log]]\npath = '/var/log/upstart/web.log'\n"
            .to_owned(),
    ];
    fs::write(machine.config.join("lastwords.toml"), config.concat()).expect("the config");
    // A log that is too long for a message, with every escape of JSON.
    let log = "\u{1}\"\\ünï 🦀 </script>\n".repeat(10_000);
    fs::write(machine.root.join("var/log/upstart/web.log"), log).expect("a log");
    machine.configure(
        "web",
        "[[collect.log]]\npath = '/var/log/upstart/web.log'\nlines = 100000\n",
    );
    crash(&machine, "web");
    // One sink refuses the report, so it ends in `dead/`.
    let places = ["new", "done", "dead"].map(|place| machine.spool.join(place));
    let is_crash = |report: &Report| report.kind == Kind::Crash;
    let report = reports_in(&places)
        .into_iter()
        .find(is_crash)
        .expect("a report");
    // Beside the crash there may be a notice about the sink that refused it.
    let of_the_crash = |request: &Request| request.headers["webhook-id"] == report.id.as_str();
    let requests: Vec<Request> = wait_for_some("the crash", || {
        let requests: Vec<Request> = webhook
            .requests(3)
            .into_iter()
            .filter(of_the_crash)
            .collect();
        (requests.len() == 3).then_some(requests)
    });
    assert_eq!(
        requests.iter().filter(|request| request.verified).count(),
        2,
        "{requests:#?}"
    );
    for request in &requests {
        assert!(
            request.headers["content-length"]
                .parse::<usize>()
                .is_ok_and(|length| length <= 65_536)
        );
    }
    let is_event = |request: &&Request| request.verified && request.body["specversion"] == "1.0";
    let event = requests.iter().find(is_event).expect("an event");
    assert_eq!(
        event.headers["content-type"],
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(
        (&event.body["type"], &event.body["id"]),
        (&"lastwords.crash".into(), &report.id.as_str().into())
    );
    let sent: Report =
        serde_json::from_value(event.body["data"].clone()).expect("the data is a report");
    assert_eq!(
        (sent.id, sent.cause, sent.stop),
        (report.id.clone(), report.cause.clone(), report.stop.clone())
    );
    assert!(
        requests
            .iter()
            .any(|request| request.body["id"] == report.id.as_str() && request.body["format"] == 1)
    );
}
