//! A logger's line: its level, its message and, where it is JSON, the error that it carries.

mod json;

use std::sync::LazyLock;

use regex::Regex;
use regex::bytes::{self, Captures};

use super::stamp;

/// Severity that a logger gives to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    /// Fatal, critical, alert or emergency: the program is about to end, or should be.
    Fatal,
}

/// A logger's line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogEntry {
    pub level: Option<LogLevel>,
    pub message: String,
    /// Seconds since an arbitrary moment; use only differences.
    pub at: Option<f64>,
    /// Process that wrote the entry.
    pub pid: Option<u32>,
    /// Lines of the error's stack. The first is `Type: message`.
    pub error: Vec<String>,
    /// True if the entry came as JSON.
    pub json: bool,
    /// True if the entry is about one request that was served.
    pub of_request: bool,
}

/// Words of servers for an exception that became a 500: uvicorn, Flask, aiohttp and gunicorn,
/// Django, Tornado, Tomcat.
const SERVED: [&str; 6] = [
    "Exception in ASGI application",
    "Exception on /",
    "Error handling request",
    "Internal Server Error: /",
    "Uncaught exception GET /",
    "Servlet.service() for servlet",
];

impl LogEntry {
    /// Reads a line as a logger's entry; `None` if the line has neither a timestamp nor a level.
    pub fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if text.starts_with('{') {
            return json::from_json(text);
        }
        from_text(text)
    }

    /// Returns true if the level is at least that of an error.
    pub fn is_error(&self) -> bool {
        self.level >= Some(LogLevel::Error)
    }
}

/// Returns true if a text begins with a logger's time.
pub fn is_timed(text: &str) -> bool {
    from_redis(text).is_some() || stamp::read(text).is_some()
}

/// Returns true if a word is a level's name in capitals, as loggers write it.
pub fn is_level(word: &str) -> bool {
    word.len() > 2
        && word.bytes().all(|byte| byte.is_ascii_uppercase())
        && level_named(word).is_some()
}

/// Returns the level with this name, in any case.
pub fn level_named(name: &str) -> Option<LogLevel> {
    Some(match name.to_ascii_lowercase().as_str() {
        "d" | "trc" | "trace" | "debug" | "verbose" | "fine" | "finer" | "finest" | "silly"
        | "dbg" => LogLevel::Debug,
        "i" | "n" | "info" | "information" | "notice" | "note" | "system" | "config" | "inf"
        | "log" | "http" => LogLevel::Info,
        "w" | "warn" | "warning" | "wrn" => LogLevel::Warn,
        "e" | "error" | "err" | "severe" | "eror" => LogLevel::Error,
        "c" | "f" | "fatal" | "critical" | "crit" | "alert" | "emerg" | "emergency" | "panic"
        | "ftl" | "dpanic" => LogLevel::Fatal,
        _ => return None,
    })
}

/// A level before a line's message: in capitals, or marked by the characters around it.
///
/// It knows bytes and no characters, and sets no bounds: with either it would take several times as
/// long to compile. The text that it is looked for in is short.
static LEVEL: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"(?x-u)^(?:
            [IWEFD](?P<glog>\d{4})\x20[\d:.]+\x20+\d+\x20[\w./-]+:\d+\]\x20
          | \[(?P<brief>[DIWEC])\x20\d[^\]]+\]\x20
          | (?P<plain>critical|warning|information|notice|debug)/\w+:\x20
          | [DIWEFA],\x20\[[^\]]+\]\x20+(?P<ruby>[A-Z]{3,5})\x20--\x20[^:]*:\x20?
          | (?:[\[(<\x20]{0,2}(?:\d[\d:.,TZ+/-]*|[\w.$/:@\#()-]+|\{[^}]*\})(?:\x20?[\])>]\x20*|:?\x20+)){0,5}?
            (?: (?P<caps>TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|FATAL|CRITICAL|CRIT|ALERT|EMERG|PANIC)(?:\x20*[:|/\]>-]|[\x20\t]|\[\d+\]|$)
              | [\[(<]\x20?(?:[\w\x20\#-]+/)?(?P<boxed>(?i:trace|debug|verbose|info(?:rmation)?|notice|note|system|warn(?:ing)?|err(?:or)?|severe|crit(?:ical)?|fatal|alert|emerg(?:ency)?|panic|dbg|inf|wrn|ftl|trc)|[IWEFD])(?:\x20*[\])>])
              | (?P<letter>[IWEFD])!\x20
              | (?P<initial>[IWEFDCN])\x20(?:\||[A-Z-]+\x20+\[\w+\])
              | (?:(?:ts|time|t|caller|logger|component)=(?:\x22[^\x22]*\x22|[^\x20\x22]+)\x20){0,4}l(?:eve|v)l=\x22?(?P<fmt>[A-Za-z]{3,8})\x22?
              | (?P<channel>[a-z]\w*)\.(?P<php>DEBUG|INFO|NOTICE|WARNING|ERROR|CRITICAL|ALERT|EMERGENCY):\x20
              | (?P<named>trace|debug|info|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|alert|emerg|fatal|panic):\x20 ) )",
    )
    .ok()
});

static PID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u)(?:\[|#|pid[ =:]|\()(\d{2,7})[\])#: ]").ok());

/// Reads the form of Redis and Valkey: `15913:M 23 Nov 2026 04:24:33.685 # Failed listening …`.
fn from_redis(text: &str) -> Option<LogEntry> {
    let (process, rest) = text.split_once(' ')?;
    let (pid, role) = process.split_once(':')?;
    let pid = pid.parse().ok().filter(|_| role.len() == 1)?;
    let (at, length) = stamp::read(rest)?;
    let message = rest.get(length..)?.trim_start();
    let message = message
        .strip_prefix(['.', '-', '*', '#'])
        .unwrap_or(message)
        .trim()
        .to_owned();
    Some(LogEntry {
        at: Some(at),
        pid: Some(pid),
        message,
        ..LogEntry::default()
    })
}

/// Returns the message and the error of a logfmt line: `level=error msg="cannot load" err="open x:
/// no such file"`.
fn logfmt(text: &str) -> Option<String> {
    let value = |names: [&str; 2]| {
        names.iter().find_map(|name| {
            let (_, rest) = text.split_once(name)?;
            let rest = rest.strip_prefix('"').map_or_else(
                || rest.split(' ').next().unwrap_or_default().to_owned(),
                |rest| {
                    let end = rest
                        .match_indices('"')
                        .find(|(at, _)| !rest.get(..*at).is_some_and(|it| it.ends_with('\\')));
                    rest.get(..end.map_or(rest.len(), |(at, _)| at))
                        .unwrap_or_default()
                        .replace("\\\"", "\"")
                },
            );
            Some(rest).filter(|value| !value.is_empty())
        })
    };
    match (
        value([" msg=", " message="]),
        value([" err=", " error="]).or_else(|| value([" reason=", " reason="])),
    ) {
        (Some(message), Some(error)) => Some(format!("{message}: {error}")),
        (message, error) => message.or(error),
    }
}

/// Removes the process id before a message: nginx's `123#123: *7 `, and `(123) : ` of `HAProxy`.
fn without_process(message: &str) -> &str {
    static PROCESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?-u)^(?:\d{1,8}#\d{1,8}: (?:\*\d+ )?|\(\d{1,8}\) ?: |\[\d{1,8}\] [A-Z]{3,8}: {1,4})",
        )
        .ok()
    });
    let length = || PROCESS.as_ref()?.find(message).map(|found| found.end());
    if !message.starts_with(|c: char| c.is_ascii_digit() || c == '(' || c == '[') {
        return message;
    }
    length()
        .and_then(|length| message.get(length..))
        .unwrap_or(message)
}

/// Removes a logger's name: `[main:ServiceUtils@42] - `, `[org.keycloak.Main] `.
fn without_logger(message: String) -> String {
    let name = message.strip_prefix('[').and_then(|it| it.split_once(']'));
    match name {
        Some((name, rest)) if name.len() < 80 && name.contains(['.', '@']) => {
            let rest = rest.trim_start_matches([' ', '-', ':']);
            // JBoss's thread: `(main) `.
            let thread = rest.strip_prefix('(').and_then(|it| it.split_once(") "));
            let named = thread.filter(|(name, _)| name.len() < 80);
            named.map_or(rest, |(_, rest)| rest).to_owned()
        }
        _ => message,
    }
}

/// Returns the time behind the level's letter: `I1122 23:50:03.359004`, `E,
/// [2026-11-22T23:41:58.558388 #11607]`.
fn inner_time(head: &str, found: &Captures) -> Option<f64> {
    if found.name("ruby").is_some() {
        return Some(stamp::read(head.get(4..)?)?.0);
    }
    let date = found.name("glog")?;
    let day: u32 = head.get(date.range())?.parse().ok()?;
    let (time, _) = stamp::read(head.get(date.end() + 1..)?)?;
    Some(f64::from((day / 100 * 31 + day % 100) * 86_400) + time)
}

/// Reads the form of Zabbix: `  20538:20261122:234612.192 cannot bind socket`.
fn from_zabbix(text: &str) -> Option<LogEntry> {
    let (head, message) = text.trim_start().split_once(' ')?;
    let (pid, stamp) = head.split_once(':')?;
    let (date, time) = stamp.split_once(':')?;
    let is_stamp = date.len() == 8 && time.len() == 10 && time.get(6..7) == Some(".");
    let part = |text: &str, at: usize| text.get(at..at + 2)?.parse::<f64>().ok();
    let (day, hour, minute) = (part(date, 6)?, part(time, 0)?, part(time, 2)?);
    let seconds: f64 = time.get(4..)?.parse().ok()?;
    is_stamp.then_some(LogEntry {
        at: Some(day * 86_400.0 + hour * 3600.0 + minute * 60.0 + seconds),
        pid: Some(pid.parse().ok()?),
        message: message.trim().to_owned(),
        ..LogEntry::default()
    })
}

fn from_text(text: &str) -> Option<LogEntry> {
    if let Some(entry) = from_redis(text).or_else(|| from_zabbix(text)) {
        return Some(entry);
    }
    let stamped = stamp::read(text);
    let (at, length) = stamped.map_or((None, 0), |(at, length)| (Some(at), length));
    let rest = text.get(length..).unwrap_or_default();
    let rest = rest
        .strip_prefix([']', ':'])
        .unwrap_or(rest)
        .trim_start_matches([' ', '\t', '-', '|']);
    let head = rest
        .get(..rest.floor_char_boundary(200))
        .unwrap_or_default();
    let found = LEVEL.as_ref()?.captures(head.as_bytes());
    let level = found.as_ref().and_then(|found| {
        let glog = found
            .name("glog")
            .and_then(|_| match head.as_bytes().first()? {
                b'I' => Some(LogLevel::Info),
                b'W' => Some(LogLevel::Warn),
                b'E' => Some(LogLevel::Error),
                b'F' => Some(LogLevel::Fatal),
                _ => Some(LogLevel::Debug),
            });
        // Programs write bare words before a colon (`error: …`) too. They count as a level only
        // behind a timestamp.
        let names: &[&str] = if at.is_some() {
            &[
                "ruby", "caps", "boxed", "letter", "initial", "fmt", "php", "named", "plain",
            ]
        } else {
            &["ruby", "brief", "caps", "boxed", "fmt"]
        };
        glog.or_else(|| {
            names
                .iter()
                .find_map(|name| found.name(name))
                .and_then(|name| level_named(head.get(name.range())?))
        })
    });
    let at = at.or_else(|| inner_time(head, found.as_ref()?));
    if at.is_none() && level.is_none() {
        return None;
    }
    let message = match (&found, level) {
        (Some(found), Some(_)) => head.get(found.get(0)?.end()..).map(|_| {
            rest.get(found.get(0).map_or(0, |it| it.end())..)
                .unwrap_or_default()
        }),
        _ => Some(rest),
    };
    let message = message.unwrap_or_default();
    let trimmed = message.trim_start_matches([' ', ':', '|', '-', ']', '\t']);
    // An option of a command line is a part of the message.
    let is_option = message.strip_prefix("--") == Some(trimmed);
    let message = if is_option { message } else { trimmed };
    let fmt = (text.contains("level=") || text.contains("lvl="))
        .then(|| logfmt(text))
        .flatten();
    let message = fmt.unwrap_or_else(|| without_process(message).to_owned());
    let message = without_logger(message);
    // Numbers in the message are others: `failed (13: Permission denied)`.
    let before = text.len().saturating_sub(message.len()).min(120);
    let pid = PID
        .as_ref()?
        .captures(text.get(..text.floor_char_boundary(before))?)
        .and_then(|found| found.get(1)?.as_str().parse().ok());
    // Symfony's: an exception that became a 500.
    let channel = found.as_ref().and_then(|found| found.name("channel"));
    let of_request = channel.is_some_and(|channel| channel.as_bytes() == b"request")
        || SERVED.iter().any(|words| message.contains(words));
    Some(LogEntry {
        level,
        message,
        at,
        pid,
        error: Vec::new(),
        json: false,
        of_request,
    })
}

#[cfg(test)]
mod tests;
