use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use proptest::prelude::{any, proptest};
use rustix::fs::{CWD, FileType, Mode, mknodat, symlinkat};

use super::{DeepTail, Log, harmless, last_lines};
use crate::collectors::runner::MAX_TEXT;
use crate::collectors::{Body, Collector, tests::stop};
use crate::host::Host;
use crate::redact::{Pattern, Redactor};
use crate::report::{Stop, Timestamp};

const LOG: &str = "/var/log/web.log";

/// A machine with an empty `/var/log`.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/log")).unwrap();
        Self(root)
    }
    fn host(&self) -> Host {
        Host::new(self.0.path(), self.0.path().join("etc"))
    }
    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> File {
        let path = self.host().path(path);
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(path).unwrap()
    }
    fn collect(&self, log: &Log) -> Result<Body, String> {
        self.collect_of(log, &stop())
    }
    fn collect_of(&self, log: &Log, stop: &Stop) -> Result<Body, String> {
        log.collect(stop, &self.host())
            .map_err(|why| format!("{why:#}"))
    }
}

#[test]
fn what_is_left_of_a_secret_at_the_beginning_never_shows() {
    let machine = Machine::new();
    let row = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    let key = format!(
        "-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n",
        row.repeat(20)
    );
    for secret in [
        key.as_str(),
        "password=\"aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn\" for bob\n",
        "refused eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.abcDEFabcDEFabcDEFabcDEFabcDEFabcDEF1234\n",
        "Cookie: sid=0123456789; a=0123456789abcdef0123456789abcdef; b=0123456789abcdef\n",
    ] {
        machine.write(
            LOG,
            format!("{}{secret}the end\n", "ordinary line\n".repeat(100)),
        );
        let parts: Vec<&str> = secret.split(|c: char| " \n.;".contains(c)).collect();
        let is_telling =
            |part: &&&str| part.len() > 8 && !part.contains("---") && !part.contains('=');
        for max_bytes in 8..u64::try_from(secret.len()).unwrap() + 40 {
            let log = Log {
                max_bytes,
                ..Log::new(LOG)
            };
            let text = machine.collect(&log).unwrap().text;
            let left = parts
                .iter()
                .filter(is_telling)
                .find(|part| text.contains(&part[part.len() - 8..]));
            assert_eq!(left, None, "{max_bytes}: {text}");
            assert!(
                !text.contains("bbbb") && !text.contains("nnnn"),
                "{max_bytes}: {text}"
            );
        }
        for lines in 1..30 {
            let log = Log {
                lines,
                ..Log::new(LOG)
            };
            let text = machine.collect(&log).unwrap().text;
            assert!(!text.contains("9Us8cKj"), "{lines}: {text}");
        }
    }
}

#[test]
fn a_jobs_own_secrets_are_taken_out_before_lines_are_cut() {
    let machine = Machine::new();
    machine.write(LOG, "card 1111 2222 3333 4444 end\n");
    for max_bytes in 4..30 {
        let log = Log {
            redactor: Redactor::new(vec![Pattern::new("card ([0-9 ]+)").unwrap()]),
            max_bytes,
            ..Log::new(LOG)
        };
        let text = machine.collect(&log).unwrap().text;
        assert!(!text.contains("444"), "{text}");
    }
}

#[test]
fn the_last_lines_are_shown_with_or_without_a_newline_at_the_end() {
    let machine = Machine::new();
    let log = Log {
        lines: 2,
        ..Log::new(LOG)
    };
    for (bytes, text) in [
        ("a\nb\nc\n", "b\nc"),
        ("a\nb\nc", "b\nc"),
        ("a\r\nb\r\n\n", "b\n"),
        ("a", "a"),
    ] {
        machine.write(LOG, bytes);
        assert_eq!(machine.collect(&log).unwrap().text, text, "{bytes:?}");
    }
    let data = machine.collect(&log).unwrap().data.to_json();
    assert_eq!((&data["path"], &data["size"]), (&LOG.into(), &1.into()));
    assert_eq!(
        (&data["lines"], &data["cut"], &data["rotated"]),
        (&1.into(), &false.into(), &false.into())
    );
}

#[test]
fn a_first_line_that_is_cut_says_so_and_one_that_just_fits_does_not() {
    let machine = Machine::new();
    machine.write(LOG, "12345\n678\n");
    for (max_bytes, text) in [
        (10, "12345\n678"),
        (9, "[cut] 2345\n678"),
        (4, "678"),
        (5, "[cut] \n678"),
        (0, "[/var/log/web.log is empty]"),
    ] {
        let body = machine
            .collect(&Log {
                max_bytes,
                ..Log::new(LOG)
            })
            .unwrap();
        assert_eq!(body.text, text, "{max_bytes}");
        assert_eq!(body.data.to_json()["cut"], text.starts_with("[cut]"));
    }
}

#[test]
fn of_100_gigabytes_only_the_end_is_read() {
    let machine = Machine::new();
    let file = machine.write(LOG, "");
    file.set_len(100 << 30).unwrap();
    let body = machine.collect(&Log::new(LOG)).unwrap();
    assert_eq!(body.text, format!("[cut] [{MAX_TEXT} NULs]"));
    file.write_at(b"\nthe end\n", 100 << 30).unwrap();
    let body = machine.collect(&Log::new(LOG)).unwrap();
    assert!(body.text.ends_with(" NULs]\nthe end"), "{}", body.text);
}

#[test]
fn who_names_the_cause_gets_more_than_the_section_shows() {
    let machine = Machine::new();
    let slot = DeepTail::default();
    let log = Log {
        lines: 1,
        max_bytes: 10,
        deep: Some(slot.clone()),
        ..Log::new(LOG)
    };
    machine.write(LOG, "panic\nframe\nexit");
    assert_eq!(machine.collect(&log).unwrap().text, "exit");
    let deep = slot.take().unwrap();
    assert_eq!(
        (deep.path.as_str(), deep.text.as_str()),
        (LOG, "panic\nframe\nexit")
    );
    machine.write(LOG, [b"x".repeat(1000), b"\nlast".repeat(300_000)].concat());
    assert_eq!(machine.collect(&log).unwrap().text, "last");
    let text = slot.take().unwrap().text;
    assert!(
        text.len() <= 1024 * 1024 && text.len() > 1024 * 1024 - 10 && text.starts_with("last\n")
    );
}

#[test]
fn last_words_that_were_rotated_away_are_handed_over_with_the_name_of_their_file() {
    let machine = Machine::new();
    let slot = DeepTail::default();
    let log = Log {
        deep: Some(slot.clone()),
        ..Log::new(LOG)
    };
    machine.write("/var/log/web.log.1", "panic\n");
    machine.write(LOG, "");
    machine.collect(&log).unwrap();
    assert_eq!(
        slot.take().map(|deep| (deep.path, deep.text)),
        Some((format!("{LOG}.1"), "panic\n".to_owned()))
    );
    machine.write(LOG, "bye\n");
    machine.collect(&log).unwrap();
    assert_eq!(
        slot.take().map(|deep| (deep.path, deep.text)),
        Some((LOG.to_owned(), "panic\nbye\n".to_owned()))
    );
    assert_eq!(slot.take(), None);
}

#[test]
fn any_bytes_become_text() {
    let machine = Machine::new();
    machine.write(LOG, b"caf\xe9 \0|\0\0\0 \x1b[31m\xff\n");
    assert_eq!(
        machine.collect(&Log::new(LOG)).unwrap().text,
        "caf\u{fffd} [NUL]|[3 NULs] \u{1b}[31m\u{fffd}"
    );
}

#[test]
fn what_was_rotated_away_while_the_service_ran_is_shown_too() {
    let machine = Machine::new();
    machine.write("/var/log/web.log.1", "old\nPanic at line 3\n");
    let log = Log {
        lines: 2,
        ..Log::new(LOG)
    };
    let head = "[the log was rotated while the service ran: the end of /var/log/web.log.1]\n";
    for (newest, text) in [
        (
            Some(""),
            "old\nPanic at line 3\n[/var/log/web.log is empty]",
        ),
        (Some("bye\n"), "Panic at line 3\n[/var/log/web.log]\nbye"),
        (
            None,
            "old\nPanic at line 3\n[/var/log/web.log no longer exists]",
        ),
    ] {
        let _ = fs::remove_file(machine.host().path(LOG));
        newest.map(|bytes| machine.write(LOG, bytes));
        let body = machine.collect(&log).unwrap();
        assert_eq!(body.text, format!("{head}{text}"));
        assert_eq!(body.data.to_json()["rotated"], true);
    }
    machine.write(LOG, "enough\nof it\n");
    assert_eq!(machine.collect(&log).unwrap().text, "enough\nof it");
}

#[test]
fn what_was_rotated_away_before_the_service_started_is_not_its() {
    let machine = Machine::new();
    let an_hour_ago = SystemTime::now() - Duration::from_hours(1);
    machine
        .write("/var/log/web.log.1", "old\n")
        .set_times(FileTimes::new().set_modified(an_hour_ago))
        .unwrap();
    machine.write(LOG, "");
    assert_eq!(
        machine.collect(&Log::new(LOG)).unwrap().text,
        "[/var/log/web.log is empty]"
    );
    let mut stop = stop();
    stop.started_at = Some(Timestamp::new(an_hour_ago - Duration::from_hours(1)));
    assert!(
        machine
            .collect_of(&Log::new(LOG), &stop)
            .unwrap()
            .text
            .contains("\nold\n")
    );
}

#[test]
fn a_log_that_is_missing_says_what_to_do() {
    assert_eq!(
        Machine::new().collect(&Log::new(LOG)).unwrap_err(),
        "there is no /var/log/web.log: set `path` in [[collect.log]] to the file that web logs to"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let machine = Machine::new();
    let log = Log::new("/var/log/web.log");
    let at = machine.host().path(LOG);
    mknodat(CWD, &at, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(
        machine.collect(&log).unwrap_err(),
        "cannot read /var/log/web.log: not a regular file but a FIFO"
    );
    fs::remove_file(&at).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&at).unwrap();
    assert!(
        machine
            .collect(&log)
            .unwrap_err()
            .starts_with("cannot read /var/log/web.log: ")
    );
    fs::remove_file(&at).unwrap();
    fs::create_dir(&at).unwrap();
    assert!(
        machine
            .collect(&log)
            .unwrap_err()
            .ends_with("not a regular file but a directory")
    );
    fs::remove_dir(&at).unwrap();
    symlinkat("/etc/shadow", CWD, &at).unwrap();
    assert!(
        machine
            .collect(&log)
            .unwrap_err()
            .ends_with("is a symbolic link: name the real file")
    );
}

#[test]
fn the_path_names_the_service_and_cannot_be_left() {
    let path = |job: &str, instance: Option<&str>| {
        let stop = Stop {
            job: job.to_owned(),
            instance: instance.map(str::to_owned),
            ..stop()
        };
        Log::new("/var/log/{job}/{instance}.log").path_of(&stop)
    };
    assert_eq!(path("web", Some("a/b")), "/var/log/web/a_b.log");
    assert_eq!(
        path("..", Some("../../etc/shadow")),
        "/var/log/__/.._.._etc_shadow.log"
    );
    assert_eq!(
        path("{instance}", Some("{job}")),
        "/var/log/{instance}/{job}.log"
    );
    assert_eq!(path("web", None), "/var/log/web/.log");
    assert_eq!(
        [".", "...", "", "a..b"].map(harmless),
        ["_", "___", "", "a..b"]
    );
}

#[test]
fn a_relative_path_starts_at_the_config() {
    let machine = Machine::new();
    fs::create_dir(machine.host().configured(std::path::Path::new(""))).unwrap();
    machine.write("/etc/web.log", "here");
    assert_eq!(
        machine.collect(&Log::new("{job}.log")).unwrap().text,
        "here"
    );
}

#[test]
fn more_bytes_than_a_section_holds_are_an_error_in_the_config() {
    let error = toml::from_str::<Log>("path = 'a'\nmax_bytes = 65537")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a section holds at most 65536 bytes, not 65537"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_line_is_lost_or_made_up(bytes: Vec<u8>, starts_a_line: bool, lines in any::<u8>()) {
        let (last, cut, all) = last_lines(&bytes, starts_a_line, lines.into());
        let newlines = bytes.split(|&byte| byte == b'\n').skip(1).count();
        let there = newlines + usize::from(bytes.last().is_some_and(|&byte| byte != b'\n'));
        assert_eq!(last.len(), there.min(lines.into()));
        assert_eq!(all, there <= usize::from(lines));
        assert!(!cut || (all && !starts_a_line));
    }
}
