//! Entries that a logger writes as JSON.

use serde_json::{Map, Value};

use super::{LogEntry, LogLevel, level_named};
use crate::cause::stamp;

/// Returns the first of these fields that exists.
fn field<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names
        .iter()
        .find_map(|name| object.get(*name))
        .filter(|value| !value.is_null())
}

fn string(object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| object.get(*name)?.as_str())
        .map(str::to_owned)
}

/// Reads the entries of pino, bunyan, winston, zap, slog, zerolog, logrus, structlog,
/// python-json-logger, Logstash, ECS, Serilog and tracing.
pub(super) fn from_json(text: &str) -> Option<LogEntry> {
    let Value::Object(object) = serde_json::from_str(text).ok()? else {
        return None;
    };
    let level = field(
        &object,
        &[
            "level",
            "severity",
            "levelname",
            "log.level",
            "lvl",
            "@l",
            "loglevel",
            "Level",
        ],
    )
    .and_then(level_of)
    .or_else(|| mongo_level(&object));
    let inner = object.get("fields").and_then(Value::as_object);
    let message = string(
        &object,
        &[
            "msg",
            "message",
            "event",
            "@m",
            "@mt",
            "short_message",
            "body",
            "Message",
            "MESSAGE",
            "RenderedMessage",
            "MessageTemplate",
        ],
    )
    .or_else(|| inner.and_then(|inner| string(inner, &["message", "msg"])));
    let attributes = object.get("attr").and_then(Value::as_object);
    let message = match attributes.and_then(mongo_message) {
        Some(detail) if level == Some(LogLevel::Error) => {
            message.map(|message| format!("{message}: {detail}"))
        }
        _ => message,
    };
    let at = field(
        &object,
        &[
            "time",
            "timestamp",
            "@timestamp",
            "ts",
            "@t",
            "asctime",
            "Timestamp",
            "datetime",
            "t",
        ],
    )
    .and_then(time_of);
    if level.is_none() && (message.is_none() || at.is_none()) {
        return None;
    }
    let error = error_of(&object)
        .or_else(|| inner.or(attributes).and_then(error_of))
        .unwrap_or_default();
    let pid = field(&object, &["pid", "process", "PID"])
        .and_then(Value::as_u64)
        .and_then(|pid| pid.try_into().ok());
    let of_request = REQUEST.iter().any(|name| object.contains_key(*name));
    Some(LogEntry {
        level,
        message: message.unwrap_or_default(),
        at,
        pid,
        error,
        json: true,
        of_request,
    })
}

/// Fields in the entries of a request, by pino-http and similar loggers.
const REQUEST: [&str; 12] = [
    "req",
    "res",
    "reqId",
    "req_id",
    "request",
    "request_id",
    "requestId",
    "response",
    "statusCode",
    "status_code",
    "http.request.method",
    "http",
];

/// Names of the field that holds a stack.
const STACK: [&str; 8] = [
    "stack",
    "stack_trace",
    "stacktrace",
    "stackTrace",
    "error.stack_trace",
    "exc_info",
    "errorVerbose",
    "trace",
];

/// Returns the stack of the error in a JSON entry, or the error's words if it has no stack.
fn error_of(object: &Map<String, Value>) -> Option<Vec<String>> {
    const ERROR: [&str; 8] = [
        "err",
        "error",
        "exception",
        "Exception",
        "exc_info",
        "@x",
        "cause",
        "reason",
    ];
    let text = ERROR
        .iter()
        .find_map(|name| match object.get(*name)? {
            Value::Object(error) => error_in_object(error),
            Value::Array(chain) => error_in_chain(chain),
            // Python's `exc_info` is the whole traceback.
            Value::String(text) if *name == "exc_info" => Some(text.clone()),
            Value::String(text) => Some(with_stack(text, object)),
            _ => None,
        })
        .or_else(|| string(object, &STACK))?;
    Some(text.lines().map(str::to_owned).collect())
}

/// Reads `{"type": …, "message": …, "stack": …}`.
fn error_in_object(error: &Map<String, Value>) -> Option<String> {
    if let Some(stack) = string(error, &STACK) {
        return Some(stack);
    }
    let kind = string(error, &["type", "name", "kind", "code", "class"]);
    let message = string(error, &["message", "msg"]);
    let words: Vec<_> = kind.into_iter().chain(message).collect();
    (!words.is_empty()).then(|| words.join(": "))
}

/// Reads structlog's list: the exception first, then its causes.
fn error_in_chain(chain: &[Value]) -> Option<String> {
    let error = chain.first()?.as_object()?;
    let kind = string(error, &["exc_type"])?;
    Some([kind, string(error, &["exc_value"])?].join(": "))
}

/// Adds the entry's stack to an error's words. zap's stack has only the frames.
fn with_stack(words: &str, object: &Map<String, Value>) -> String {
    match string(object, &STACK[..4]) {
        Some(stack) if stack.contains(words) => stack,
        Some(stack) => [words, stack.as_str()].join("\n"),
        None => words.to_owned(),
    }
}

/// Returns the level of `MongoDB`'s entries: `"s":"F"`.
fn mongo_level(object: &Map<String, Value>) -> Option<LogLevel> {
    object.get("t")?.get("$date")?;
    Some(match object.get("s")?.as_str()? {
        "F" => LogLevel::Fatal,
        "E" => LogLevel::Error,
        "W" => LogLevel::Warn,
        "I" => LogLevel::Info,
        _ => LogLevel::Debug,
    })
}

/// Returns what `MongoDB`'s storage engine says, which stands among the attributes.
fn mongo_message(attributes: &Map<String, Value>) -> Option<String> {
    match attributes.get("message")? {
        Value::Object(inner) => {
            let message = string(inner, &["msg"])?;
            let error = string(inner, &["error_str"]);
            Some(error.map_or_else(|| message.clone(), |error| format!("{message}: {error}")))
        }
        message => message.as_str().map(str::to_owned),
    }
}

fn level_of(value: &Value) -> Option<LogLevel> {
    match value {
        // pino and bunyan count 10, 20 … 60; syslog 7 … 0.
        Value::Number(number) => Some(match number.as_u64()? {
            0..=2 | 60.. => LogLevel::Fatal,
            3 | 50..60 => LogLevel::Error,
            4 | 40..50 => LogLevel::Warn,
            5 | 6 | 30..40 => LogLevel::Info,
            7..30 => LogLevel::Debug,
        }),
        Value::String(name) => level_named(name),
        Value::Object(object) => object.get("name").and_then(level_of),
        _ => None,
    }
}

fn time_of(value: &Value) -> Option<f64> {
    match value {
        Value::String(time) => stamp::read(time).map(|(at, _)| at),
        // `MongoDB`'s.
        Value::Object(time) => time.get("$date").and_then(time_of),
        // A number that would be thousands of years away in seconds is in milliseconds.
        Value::Number(time) => time
            .as_f64()
            .map(|at| if at > 1e11 { at / 1e3 } else { at }),
        _ => None,
    }
}
