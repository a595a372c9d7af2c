use super::{Tail, read};
use crate::cause::window::LogWindow;
use crate::cause::{Scene, text};
use crate::report::{Death, Exit};

fn said(exit: &Exit, log: &str) -> Option<(Death, String)> {
    let scene = Scene {
        job: "web",
        pid: Some(42),
        exit,
        log: None,
        kernel: ("", &[]),
    };
    let lines = text::read(log);
    read(&Tail::read(&lines, LogWindow::default(), &[], &scene))
        .map(|finding| (finding.kind, finding.what))
}

#[test]
fn a_program_that_says_that_it_ends_is_believed() {
    for (code, log, what) in [
        (
            1,
            "ready\nfatal: WORKER_QUEUE is not set",
            "fatal: WORKER_QUEUE is not set",
        ),
        (
            78,
            "2026-11-22 23:55:23,812 ERROR [main] c.a.Main - no seat left, exiting with 78",
            "exiting with 78",
        ),
        (
            1,
            "2026/11/22 23:56:05 cannot connect: dial tcp 127.0.0.1:5432: connect: connection refused",
            "5432",
        ),
        (
            1,
            "engine: bind to port 53: Address already in use\n== web start 2026-11-22 ==",
            "port 53",
        ),
        (
            1,
            "2026/11/22 23:58:42 [emerg] 1#1: host not found in upstream \"x\"",
            "host not found",
        ),
        (
            1,
            "level=error ts=1 msg=\"cannot load\" err=\"open a.yml: no such file or directory\"",
            "open a.yml",
        ),
        (3, "giving up after 5 attempts", "giving up after 5"),
        (
            1,
            "feed: DATABASE_URL is not set",
            "DATABASE_URL is not set",
        ),
        (
            2,
            "error: could not read config: missing field `seat`",
            "missing field",
        ),
        (
            1,
            "2026/11/22 23:58:42 [emerg] 7#7: unexpected end of file, expecting \"}\" in /srv/n.conf:2",
            "n.conf:2",
        ),
        (
            1,
            "MongoDB connection error: connect ECONNREFUSED 127.0.0.1:27017",
            "ECONNREFUSED",
        ),
        (
            1,
            "x: Can't change dir to '/srv/x' (Errcode: 2 \"No such file or directory\")",
            "/srv/x",
        ),
        (
            7,
            "curl: (7) Failed to connect to 127.0.0.1 port 9794",
            "9794",
        ),
        (
            1,
            "nats-server: n.conf:1:0: unknown field \"prot\"",
            "n.conf:1",
        ),
        (
            1,
            "23-Nov-2026 07:36:38.466 unknown parameter x\n23-Nov-2026 07:36:38.466 exiting (due to fatal error)",
            "x",
        ),
        (
            1,
            "Invalid environment variables: {\n  DSN: [ 'required' ]\n}",
            "Invalid environment",
        ),
        (
            1,
            ">>> 'maxmemory 10qb'\nargument must be a memory value",
            "10qb",
        ),
        (
            1,
            ">>> 'maxmemroy 10mb'\nBad directive or wrong number of arguments",
            "maxmemroy",
        ),
    ] {
        let found = said(&Exit::Code(code), log);
        assert!(
            found
                .as_ref()
                .is_some_and(|(_, found)| found.contains(what)),
            "{log}: {found:?}"
        );
    }
}

#[test]
fn an_ordinary_error_before_a_silent_end_proves_nothing() {
    for log in [
        "ERROR could not geolocate 10.0.7.93, using default",
        "ERROR validation error on field 'email' (400 sent)",
        "2026/11/22 23:58:42 [error] 1#1: *7 upstream timed out (110: Connection timed out) while reading",
        "{\"level\":50,\"time\":1,\"msg\":\"webhook failed with 503, queued for retry\"}",
        "Error: could not geolocate 10.0.3.194, using default",
        "SIGTERM received, shutting down",
        "queue drained, nothing left to do, exiting",
        "step 2/3 convert",
        "user said: \"fatal error\"",
        "0 failed, 0 fatal, 14 checks passed",
        "{\"level\":50,\"time\":1,\"msg\":\"user report: app says FATAL ERROR: heap out of memory\"}",
        "Error: name is required",
        "usage: 80% of quota",
        "upload bob.csv:12: invalid date, expected ISO 8601",
        "upload.json:3: unexpected token, rejected",
        "queue: (1) message left unacked",
        "ERROR feed: tick rejected\n    reason=stale",
        "warning: LEDGER_DSN is not set, metrics off",
        "environment variables: 14 set, 0 missing",
        "2026-11-22 23:58:59,100 ERROR smtp: Connection refused",
        "ERROR config: remote config fetch failed: read tcp 10.0.0.1:443: i/o timeout",
        "user 12 wrote: \"cannot save: permission denied\"",
        "received SIGTERM, draining\nredis: connect ECONNREFUSED 127.0.0.1:6379",
    ] {
        assert_eq!(said(&Exit::Code(1), log), None, "{log}");
    }
}

#[test]
fn words_of_another_process_are_not_the_dead_one_s() {
    let log = "2026-11-22 23:58:30.100 UTC [42] LOG:  checkpoint complete\n2026-11-22 23:58:50.100 UTC [77] FATAL:  password authentication failed\n";
    assert_eq!(said(&Exit::Code(1), log), None);
    assert!(said(&Exit::Code(1), &log.replace("[77]", "[42]")).is_some());
}

#[test]
fn only_a_failure_has_last_words() {
    let log = "fatal: WORKER_QUEUE is not set";
    let killed = Exit::Signal {
        name: "KILL".into(),
        core_dumped: false,
    };
    for exit in [Exit::Code(0), Exit::Code(143), Exit::Code(124), killed] {
        assert_eq!(said(&exit, log), None, "{exit:?}");
    }
    assert!(said(&Exit::Code(1), &format!("{log}\nGET / 200")).is_none());
    assert!(said(&Exit::Code(2), "done, exiting with 1").is_none());
}

#[test]
fn an_error_that_was_survived_before_proves_nothing() {
    let line = "poller: feed 7: Connection refused\n";
    let work = "GET / 200\n".repeat(20);
    assert!(said(&Exit::Code(1), line).is_some());
    assert!(said(&Exit::Code(1), &format!("{line}{work}{line}")).is_none());
}

#[test]
fn the_reason_counts_more_than_the_end() {
    let redis = "Could not create server TCP listening socket *:6379: bind: Address already in use\nFailed listening on port 6379 (tcp), aborting.";
    let (_, what) = said(&Exit::Code(1), redis).unwrap();
    assert!(what.contains("Address already in use"), "{what}");
    let mysql = "2026-11-22 23:58:42 0 [ERROR] Can't start server: Bind on TCP/IP port: Address already in use\n2026-11-22 23:58:42 0 [ERROR] Aborting";
    let (_, what) = said(&Exit::Code(1), mysql).unwrap();
    assert!(what.contains("Address already in use"), "{what}");
}

#[test]
fn a_usage_text_means_bad_arguments() {
    let usage =
        "usage: web [-h] --port PORT\nweb: error: the following arguments are required: --port";
    assert_eq!(
        said(&Exit::Code(2), usage).map(|it| it.0),
        Some(Death::BadArguments)
    );
    let clap = "error: unexpected argument '--prot' found\n\nUsage: web [OPTIONS]\n\nFor more information, try '--help'.";
    let (kind, what) = said(&Exit::Code(2), clap).unwrap();
    assert!(
        kind == Death::BadArguments && what.contains("--prot"),
        "{what}"
    );
}
