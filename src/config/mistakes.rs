//! Tests that a sink or collector whose keys contradict each other is an error of the file, at the
//! key's line, and not a surprise at the first crash.

use std::path::Path;

use super::document::Document;
use super::keys::{JobFile, MachineFile};
use super::parse::parse;
use super::problem::Source;

/// Returns the only problem with a file, on one line and without the file's name.
fn problem<T: serde::de::DeserializeOwned>(text: &str) -> String {
    let source = Source::new(Path::new(""), text);
    let problems = parse::<T>(&Document::of(&source)).1;
    let [problem] = problems.as_slice() else {
        panic!("{text}: {problems:?}")
    };
    problem.to_string()
}

/// `(kind, keys below the name, the problem)`. The first of the keys is in line 3.
const SINKS: [(&str, &str, &str); 44] = [
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx'\nsendmail = '/x'",
        ":5:12: expected `sendmail` or `server`, found both (keep one of them)",
    ),
    (
        "email",
        "to = ['a@x.org']\nsendmail = 'sendmail'",
        ":4:12: expected an absolute path",
    ),
    (
        "email",
        "to = ['a@x.org']\nsendmail = \"/bin/\\u0000\"",
        ":4:12: expected an absolute path",
    ),
    (
        "email",
        "to = ['a@x.org']\nport = 25",
        ":4:8: `port` is for an SMTP server, and this table has no `server` (name the server with `server`)",
    ),
    (
        "email",
        "to = ['a@x.org']\ntls = 'none'",
        ":4:7: `tls` is for an SMTP server, and this table has no `server` (name the server with `server`)",
    ),
    (
        "email",
        "to = ['a@x.org']\nca_file = 'ca.pem'",
        ":4:11: `ca_file` is for an SMTP server, and this table has no `server` (name the server with `server`)",
    ),
    (
        "email",
        "to = ['a@x.org']\nusername = 'u'",
        ":4:12: `username` is for an SMTP server, and this table has no `server` (name the server with `server`)",
    ),
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx'\npassword_file = 'x'",
        ":5:17: a password needs a `username` beside it",
    ),
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx'\npassword_env = 'x'",
        ":5:16: a password needs a `username` beside it",
    ),
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx'\nusername = 'u'",
        ":5:12: expected `password_file` or `password_env` for this `username`, found neither",
    ),
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx'\nusername = 'u'\npassword_file = 'x'\ntls = 'none'",
        ":7:7: a password never goes to another machine without TLS (write \"starttls\" or \"implicit\")",
    ),
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx:587'",
        ":4:10: expected the name or address of a server (set the port with `port`)",
    ),
    (
        "email",
        "to = ['a@x.org']\nserver = 'mx'\nport = 0",
        ":5:8: expected an integer from 1 to 65535, found `0`",
    ),
    ("email", "to = []", ":3:6: expected at least one address"),
    (
        "slack",
        "",
        ":1:1: expected `webhook_file` or `webhook_env` in this table, found neither",
    ),
    (
        "slack",
        "webhook_file = 'https://hooks.slack.com/services/T0/B0/x'",
        ":3:16: expected the name of a file that holds the secret, found an address \
         (write the address into a file with mode 0600, and name that file here)",
    ),
    (
        "slack",
        "webhook_file = 'x'\nwebhook_env = 'X'",
        ":4:15: expected `webhook_file` or `webhook_env`, found both (keep one of them)",
    ),
    (
        "discord",
        "",
        ":1:1: expected `webhook_file` or `webhook_env` in this table, found neither",
    ),
    (
        "gitter",
        "room = 'acme/ops'",
        ":1:1: expected `token_file` or `token_env` in this table, found neither",
    ),
    (
        "matrix",
        "homeserver = 'https://x.org'\nroom = '#a:x.org'",
        ":1:1: expected `token_file` or `token_env` in this table, found neither",
    ),
    (
        "matrix",
        "homeserver = 'http://x.org'\nroom = '#a:x.org'\ntoken_env = 'X'",
        ":3:14: expected an address that starts with https:// (http:// is for this machine only)",
    ),
    (
        "telegram",
        "chat = '1'",
        ":1:1: expected `token_file` or `token_env` in this table, found neither",
    ),
    (
        "pagerduty",
        "",
        ":1:1: expected `routing_key_file` or `routing_key_env` in this table, found neither",
    ),
    (
        "syslog",
        "address = 'udp://x.org'\nformat = 'rfc3164'",
        ":4:10: \"rfc3164\" is for the local socket only (leave `format` out: a server gets \"rfc5424\")",
    ),
    (
        "syslog",
        "address = 'tcp://x.org'\nca_file = 'ca.pem'",
        ":4:11: `ca_file` is for an address that starts with tls://",
    ),
    (
        "syslog",
        "address = 'tls://a..b'",
        ":3:11: expected unix:/path, udp://host:port, tcp://host:port or tls://host:port, found \"tls://a..b\"",
    ),
    (
        "ntfy",
        "",
        ":1:1: expected `topic` or `topic_file` in this table, found neither",
    ),
    (
        "ntfy",
        "topic = 'a'\ntopic_file = 'b'",
        ":4:14: expected `topic` or `topic_file`, found both (keep one of them)",
    ),
    (
        "ntfy",
        "topic = 'a b'",
        ":3:9: expected a topic of at most 64 letters, digits, `-` and `_`",
    ),
    (
        "ntfy",
        "topic = 'a'\npriority = 6",
        ":4:12: expected a priority from 1 to 5",
    ),
    (
        "ntfy",
        "topic = 'a'\nurl = 'http://x.org'",
        ":4:7: expected an address that starts with https://, or tls = \"none\" in this table",
    ),
    (
        "ntfy",
        "topic = 'a'\ntoken_file = 'x'\ntoken_env = 'X'",
        ":5:13: expected `token_file` or `token_env`, found both (keep one of them)",
    ),
    (
        "webhook",
        "",
        ":1:1: expected `url`, `url_file` or `url_env` in this table, found none",
    ),
    (
        "webhook",
        "url_env = 'X'\nurl = 'https://x.org'",
        ":4:7: expected one of `url`, `url_file` and `url_env`, found two (keep one of them)",
    ),
    (
        "webhook",
        "url = 'https://user:hush@x.org'",
        ":3:7: expected an address without a user and a password: every user of the machine can read the config",
    ),
    (
        "webhook",
        "url = 'https://x.org'\nmax_bytes = 100\nheaders = { X = 'y' }",
        ":4:13: expected at least 16384 bytes",
    ),
    (
        "webhook",
        "url = 'https://x.org'\nheaders = { host = 'x' }",
        ":4:11: lastwords sets the header host itself; to send a token, use `token_file`",
    ),
    (
        "webhook",
        "url = 'https://x.org'\nsecret_env = 'X'\nsecret_file = 'x'",
        ":4:14: expected `secret_file` or `secret_env`, found both (keep one of them)",
    ),
    (
        "alertmanager",
        "urls = []",
        ":3:8: expected the address of an Alertmanager, such as \"http://localhost:9093\"",
    ),
    (
        "alertmanager",
        "urls = ['https://x.org', 'x']",
        ":3:8: expected an address such as https://example.com/path",
    ),
    (
        "alertmanager",
        "urls = ['https://x.org']\nresolve_after = '1h'",
        ":4:17: expected at least 70m (lastwords sends an update once an hour while a service keeps crashing)",
    ),
    (
        "alertmanager",
        "urls = ['https://x.org']\nlabels = { job = 'x' }",
        ":4:10: \"job\" is a label that lastwords sets itself, or it is not a valid label name (letters, digits, `_`)",
    ),
    (
        "exec",
        "command = ['true']\ntimeout = '0s'",
        ":4:11: expected a duration longer than 0s",
    ),
    (
        "exec",
        "command = ['bin/true']",
        ":3:11: expected an absolute path or a bare name, found \"bin/true\"",
    ),
];

#[test]
fn what_a_sink_knows_of_its_keys_is_said_at_their_line() {
    for (kind, keys, expected) in SINKS {
        let text = format!("[[sink.{kind}]]\nname = 'x'\n{keys}\n");
        assert_eq!(problem::<MachineFile>(&text), expected, "{text}");
    }
}

#[test]
fn what_a_collector_knows_of_its_keys_is_said_at_their_line() {
    for (table, expected) in [
        (
            "[collect.disk]\ntimeout = '0s'",
            ":2:11: expected a duration longer than 0s",
        ),
        (
            "[[collect.exec]]\nname = 'x'\ncommand = ['df']\ntimeout = '0s'",
            ":4:11: expected a duration longer than 0s",
        ),
        (
            "[[collect.exec]]\nname = 'x'\ncommand = []",
            ":3:11: expected a program and its arguments, such as [\"free\", \"-h\"]",
        ),
        (
            "[[collect.log]]\npath = '/x'\nmax_bytes = 65537",
            ":3:13: a section holds at most 65536 bytes, not 65537",
        ),
        (
            "[[collect.log]]\npath = ''",
            ":2:8: expected a path, found an empty string or a NUL",
        ),
        (
            "[collect.program]\npath = ''",
            ":2:8: expected a path, found an empty string or a NUL",
        ),
        (
            "[collect.node_report]\ndirectory = \"\\u0000\"",
            ":2:13: expected a path, found an empty string or a NUL",
        ),
    ] {
        assert_eq!(problem::<JobFile>(table), expected, "{table}");
    }
}

#[test]
fn a_sink_that_contradicts_itself_is_left_out_and_costs_no_other() {
    let good = "[[sink.slack]]\nname = 'good'\nwebhook_env = 'X'\n";
    for (kind, keys, _) in SINKS {
        let text = format!("[[sink.{kind}]]\nname = 'bad'\n{keys}\n{good}");
        let source = Source::new(Path::new(""), &text);
        let machine = parse::<MachineFile>(&Document::of(&source)).0;
        let machine = machine.unwrap_or_else(|| panic!("{text}: nothing was read"));
        let names: Vec<&str> = machine.sink.list().iter().map(|sink| sink.name()).collect();
        assert_eq!(names, ["good"], "{text}");
    }
}

#[test]
fn a_sink_with_many_mistakes_hides_none_of_others_and_costs_no_other() {
    let many =
        "[[sink.matrix]]\nname = 5\nhomeserver = 'ftp://x'\nroom = 'a/b'\ntoken_file = 'x'\n";
    let text = [
        many,
        "[[sink.telegram]]\nname = 'bad'\nchat = '@a'\n",
        "[[sink.slack]]\nname = 'good'\nwebhook_env = 'X'\n",
    ];
    let text = text.concat();
    let source = Source::new(Path::new(""), &text);
    let (machine, problems) = parse::<MachineFile>(&Document::of(&source));
    let places = problems.iter().map(ToString::to_string);
    let places: Vec<String> = places.map(|it| it[..4].to_owned()).collect();
    assert_eq!(places, [":2:8", ":3:1", ":4:8", ":6:1"], "{problems:?}");
    assert_eq!(machine.unwrap().sink.list().len(), 1);
}

#[test]
fn a_sink_that_contradicts_itself_costs_no_other_of_its_kind() {
    let good = |name| format!("[[sink.slack]]\nname = '{name}'\nwebhook_env = 'X'\n");
    let bad = "[[sink.slack]]\nname = 'bad'\nwebhook_file = 'x'\nwebhook_env = 'X'\n";
    let listed = "slack = [{ name = 'a', webhook_env = 'X' }, { name = 'bad' }]\n";
    let both = ": expected `webhook_file` or `webhook_env`, found both (keep one of them)";
    let neither = ": expected `webhook_file` or `webhook_env` in this table, found neither";
    for (text, kept, expected) in [
        (
            [good("a").as_str(), bad, good("b").as_str(), bad].concat(),
            vec!["a", "b"],
            vec![format!(":7:15{both}"), format!(":14:15{both}")],
        ),
        (
            [bad, bad, good("a").as_str()].concat(),
            vec!["a"],
            vec![format!(":4:15{both}"), format!(":8:15{both}")],
        ),
        (
            format!("[sink]\n{listed}[[sink.ntfy]]\nname = 'b'\ntopic = 'b'\n"),
            vec!["a", "b"],
            vec![format!(":2:45{neither}")],
        ),
        (
            format!("x = 1\n{}[[sink.slack]]\nname = 'bad'\n", good("a")),
            vec!["a"],
            vec![
                ":1:1: unknown key `x`, expected `sink` or `default`".to_owned(),
                format!(":5:1{neither}"),
            ],
        ),
    ] {
        let source = Source::new(Path::new(""), &text);
        let (machine, problems) = parse::<MachineFile>(&Document::of(&source));
        let machine = machine.unwrap_or_else(|| panic!("{text}: nothing was read"));
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, expected, "{text}");
        let names: Vec<&str> = machine.sink.list().iter().map(|sink| sink.name()).collect();
        assert_eq!(names, kept, "{text}");
    }
}
