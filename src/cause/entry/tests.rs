use super::{LogEntry, LogLevel};

fn read(text: &str) -> (Option<LogLevel>, String) {
    let entry = LogEntry::read(text).unwrap_or_else(|| panic!("no entry: {text}"));
    (entry.level, entry.message)
}

#[test]
fn the_levels_of_common_loggers_are_known() {
    for (text, level) in [
        (
            "2026-11-22 23:51:05,167 [ERROR] sync - lag gauge failed",
            LogLevel::Error,
        ),
        (
            "2026-11-22 23:51:05,167 ERROR sync: lag gauge failed",
            LogLevel::Error,
        ),
        (
            "2026-11-22T23:48:34.239Z DEBUG sched: lag gauge failed",
            LogLevel::Debug,
        ),
        (
            "2026-11-22 23:55:23,812 ERROR [main] c.a.Main - lag gauge failed",
            LogLevel::Error,
        ),
        (
            "2026-11-22 23:44:38.531  WARN 7789 --- [nio-8080-exec-6] com.acme.S : lag gauge failed",
            LogLevel::Warn,
        ),
        (
            "2026/11/22 23:58:42 [emerg] 12106#12106: lag gauge failed",
            LogLevel::Fatal,
        ),
        (
            "[2026-11-22 23:50:56 +0000] [1202] [INFO] lag gauge failed",
            LogLevel::Info,
        ),
        (
            "E, [2026-11-22T23:41:58.558388 #11607]  ERROR -- : lag gauge failed",
            LogLevel::Error,
        ),
        (
            "E1122 23:59:59.000000   12345 server.go:123] lag gauge failed",
            LogLevel::Error,
        ),
        (
            "level=error ts=2026 msg=\"lag gauge failed\"",
            LogLevel::Error,
        ),
        (
            "time=2026-11-22T23:58:50.100Z level=ERROR msg=\"lag gauge failed\"",
            LogLevel::Error,
        ),
        (
            "[2026-11-22T23:58:50.100000+00:00] app.CRITICAL: lag gauge failed",
            LogLevel::Fatal,
        ),
        ("ERROR:root:lag gauge failed", LogLevel::Error),
        ("[ERROR] lag gauge failed", LogLevel::Error),
        (
            "2026-11-22T23:54:50.444808Z ERROR sync::auth: lag gauge failed",
            LogLevel::Error,
        ),
        (
            "{\"level\":50,\"time\":1795390507999,\"msg\":\"lag gauge failed\"}",
            LogLevel::Error,
        ),
        (
            "{\"event\": \"lag gauge failed\", \"level\": \"error\", \"timestamp\": \"2026-11-22T23:50:20Z\"}",
            LogLevel::Error,
        ),
        (
            "2026-11-22 23:58:42 UTC [123] FATAL:  lag gauge failed",
            LogLevel::Fatal,
        ),
    ] {
        let (found, message) = read(text);
        assert_eq!(found, Some(level), "{text}");
        assert!(
            message.ends_with("lag gauge failed") || message.ends_with("lag gauge failed\""),
            "{text}: {message}"
        );
    }
}

#[test]
fn the_time_behind_a_level_s_letter_is_known() {
    for (one, next) in [
        (
            "I1122 23:59:59.500000   12345 a.cc:1] x",
            "I1123 00:00:01.000000   12345 a.cc:1] x",
        ),
        (
            "E, [2026-11-22T23:59:59.500000 #7]  ERROR -- : x",
            "E, [2026-11-23T00:00:01.000000 #7]  ERROR -- : x",
        ),
    ] {
        let at = |text: &str| {
            LogEntry::read(text)
                .and_then(|entry| entry.at)
                .unwrap_or_else(|| panic!("{text}"))
        };
        assert!((at(next) - at(one) - 1.5).abs() < 0.01, "{one}");
    }
}

#[test]
fn the_words_of_a_runtime_are_no_logger_s() {
    for text in [
        "TypeError: Cannot read properties of undefined (reading 'id')",
        "    at lead (/srv/raft/app.js:2:40)",
        "Traceback (most recent call last):",
        "  File \"/srv/sync/main.py\", line 5, in <module>",
        "panic: runtime error: integer divide by zero",
        "Error: boom",
        "error: boom",
        "fatal: WORKER_QUEUE is not set",
        "{ code: 42, msg: 'not an Error' }",
        "",
    ] {
        assert_eq!(LogEntry::read(text), None, "{text}");
    }
}

#[test]
fn the_error_in_a_json_entry_comes_as_lines() {
    let text = r#"{"level":60,"msg":"boom","err":{"type":"TypeError","message":"x","stack":"TypeError: x\n    at f (a.js:1:2)"}}"#;
    assert_eq!(
        LogEntry::read(text).unwrap().error,
        ["TypeError: x", "    at f (a.js:1:2)"]
    );
    let text = r#"{"level":"error","message":"boom","error":{"name":"TypeError","message":"x"}}"#;
    assert_eq!(LogEntry::read(text).unwrap().error, ["TypeError: x"]);
    let zap = r#"{"level":"fatal","msg":"boot","error":"no broker","stacktrace":"main.main\n\t/srv/x/main.go:40"}"#;
    assert_eq!(
        LogEntry::read(zap).unwrap().error.first().unwrap(),
        "no broker"
    );
    let structlog = r#"{"level":"critical","event":"boot","exception":[{"exc_type":"KeyError","exc_value":"'x'"}]}"#;
    assert_eq!(LogEntry::read(structlog).unwrap().error, ["KeyError: 'x'"]);
}
