//! How programs say that they cannot go on, each in words that many share.

use crate::cause::aftermath;
use crate::cause::beneath;
use crate::cause::entry::LogLevel;
use crate::cause::text::LogLine;
use crate::cause::vocabulary::{self, says};

/// A program that cannot even begin says so.
pub const CANNOT_START: [&str; 27] = [
    "cannot start",
    "can't start",
    "could not start",
    "unable to start",
    "failed to start",
    "failed starting",
    "startup failed",
    "start-up failed",
    "cannot initiali",
    "can't initiali",
    "could not initiali",
    "unable to initiali",
    "failed to initiali",
    "initialization failed",
    "initialisation failed",
    "cannot bind",
    "can't bind",
    "could not bind",
    "unable to bind",
    "failed to bind",
    "failed listening",
    "could not import module",
    "cannot listen",
    "failed to listen",
    "failed to create listening",
    "no listening sockets",
    "cannot create any",
];

/// Words for a configuration that cannot be read.
pub const BAD_CONFIG: [&str; 30] = [
    "unexpected end of file, expecting",
    "unexpected \"",
    "is not terminated by",
    "directive is not allowed here",
    "invalid number of arguments in",
    "unrecognized configuration",
    "contains errors",
    "fatal errors found",
    "error(s) found in config",
    "syntax error",
    "parse error",
    "parsing error",
    "parser error",
    "parser failed",
    "compilation failed",
    "parsing [",
    "unknown directive",
    "invalid directive",
    "bad directive",
    "unknown keyword",
    "unknown configuration",
    "invalid configuration",
    "bad configuration",
    "bad option at line",
    "config file error",
    "fatal config",
    "invalid command",
    "error in config",
    "errors found in config",
    "error loading config",
];

/// Whether a line complains that a setting is missing, or that the settings cannot be read.
pub fn is_unset(line: &LogLine, low: &str) -> bool {
    let is_settings = says(low, &["config", "settings", ".env"])
        && says(
            low,
            &[
                "could not read",
                "cannot read",
                "failed to read",
                "unable to read",
                "could not load",
                "cannot load",
                "failed to load",
                "unable to load",
                "could not parse",
                "cannot parse",
                "failed to parse",
                "unable to parse",
            ],
        )
        || says(low, &["loading config", "reading config", "parsing config"])
            && says(low, &["fail", "error"]);
    let is_environment = ["environment variable", "env variable", "env var"]
        .iter()
        .any(|words| {
            low.split_once(words)
                .is_some_and(|(before, _)| says(before, &["missing", "invalid", "undefined"]))
        });
    let is_missing = || {
        says(
            low,
            &[
                "not set",
                "must be set",
                "is required",
                "is missing",
                "missing required",
                "not defined",
                "is empty",
            ],
        )
    };
    is_settings
        || is_environment
        || (is_missing()
            && aftermath::head(line)
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .any(is_variable))
}

/// Whether a word is the name of an environment variable: `DATABASE_URL`.
fn is_variable(word: &str) -> bool {
    word.contains('_')
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What a service does as it starts.
pub const STARTING: [&str; 10] = [
    "start",
    "listen",
    "bind",
    "socket",
    "open",
    "load",
    "init",
    "lock",
    "create",
    "address already in use",
];

pub const FAILED: [&str; 12] = [
    "error",
    "fail",
    "cannot",
    "can't",
    "could not",
    "unable",
    "unknown",
    "invalid",
    "missing",
    "no such",
    "unrecogni",
    "unexpected",
];

/// Whether it only adds to what was said: a second complaint.
pub fn is_added(line: &LogLine, low: &str) -> bool {
    let level = line.entry.as_ref().and_then(|entry| entry.level);
    let hints = says(low, &["hint", "do you already"]);
    level.is_none_or(|level| level >= LogLevel::Error)
        && (hints || says(low, &FAILED))
        && !vocabulary::is_handled(low)
}

/// Whether it tells people what to do.
pub fn is_hint(line: &LogLine, low: &str) -> bool {
    let begins = [
        "hint",
        "see ",
        "please",
        "try ",
        "for more ",
        "run ",
        "usage",
        "detail",
    ];
    // Postgres's.
    let adds = [" HINT:  ", " DETAIL:  ", " CONTEXT:  "]
        .iter()
        .any(|mark| line.text.contains(mark));
    adds || line
        .entry
        .as_ref()
        .is_none_or(|entry| entry.level.is_none())
        && begins.iter().any(|begin| low.starts_with(begin))
}

pub fn is_of_request(line: &LogLine) -> bool {
    line.entry.as_ref().is_some_and(|entry| entry.of_request)
}

pub fn begins_as_fatal(low: &str) -> bool {
    // `prog: fatal: …`, `** fatal error`, `CRITICAL …`.
    let low = low.trim_start_matches(['*', '#', '!', '-', '=', ' ', '[']);
    let words = [
        "fatal",
        "panic",
        "critical",
        "emergency",
        "abort",
        "unrecoverable",
    ];
    let begins = |text: &str| words.iter().any(|word| text.starts_with(word));
    begins(low)
        || low
            .split_once(": ")
            .is_some_and(|(head, rest)| !head.contains(' ') && begins(rest))
}

/// The exit code that a line names: `exiting with 78`, `exit code: 78`, `exit status 78`.
pub fn code_in(low: &str) -> Option<i32> {
    let at = [
        "exiting with ",
        "exiting code ",
        "exit code",
        "exit status",
        "exiting (",
    ]
    .iter()
    .find_map(|words| low.find(words).map(|at| at + words.len()))?;
    let rest = low.get(at..)?.trim_start_matches([' ', ':', '=', '(']);
    let rest = ["code", "status"]
        .iter()
        .find_map(|word| rest.strip_prefix(word))
        .unwrap_or(rest);
    rest.trim_start_matches([' ', ':', '='])
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The exit code that a program puts before what it has to say: `curl: (7) Failed to connect`.
pub fn code_before(low: &str) -> Option<i32> {
    let (program, rest) = low.split_once(": (")?;
    let (code, _) = rest.split_once(") ").filter(|_| !program.contains(' '))?;
    code.parse().ok()
}

/// The system's words for errors, as at the end of perror(3)'s lines; see errno(3).
const ERRNO: [&str; 27] = [
    "address already in use",
    "address in use",
    "cannot assign requested address",
    "permission denied",
    "operation not permitted",
    "no such file or directory",
    "not a directory",
    "is a directory",
    "no space left on device",
    "disk quota exceeded",
    "too many open files",
    "too many open files in system",
    "read-only file system",
    "connection refused",
    "connection timed out",
    "connection reset by peer",
    "no route to host",
    "network is unreachable",
    "no such host",
    "name or service not known",
    "temporary failure in name resolution",
    "cannot allocate memory",
    "resource temporarily unavailable",
    "exec format error",
    "input/output error",
    "invalid argument",
    "no such device or address",
];

/// Whether a line ends with them in quotes and brackets, as `MySQL`'s: `(Errcode: 13 "Permission
/// denied")`.
pub fn ends_with_quoted_errno(low: &str) -> bool {
    low.strip_suffix("\")")
        .and_then(|low| low.rsplit_once('"'))
        .is_some_and(|(_, quoted)| ERRNO.contains(&quoted))
}

/// Whether a line has the system's words for an error in it.
pub fn names_errno(low: &str) -> bool {
    beneath::kind(low).is_some() || ERRNO.iter().any(|words| low.contains(words))
}

/// Whether a line ends with an error's code and what it was about, as libuv's do: `connect
/// ECONNREFUSED 127.0.0.1:5432`.
pub fn ends_with_code(text: &str) -> bool {
    let mut words = text.rsplit(' ');
    let last = words.next().unwrap_or_default();
    let is_code = |word: &str| {
        word.len() > 4
            && word.starts_with('E')
            && word
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let is_object = |word: &str| word.contains(['.', ':', '/']);
    let is_call =
        |word: &str| ["connect", "listen", "bind", "getaddrinfo", "spawn"].contains(&word);
    let code = if is_object(last) {
        words.next().unwrap_or_default()
    } else {
        last
    };
    is_code(code) && words.next().is_some_and(is_call) && beneath::kind(text).is_some()
}

/// Whether it goes on with what the line before it has begun: a trace, a structure's inside, a
/// ruler.
pub fn is_continued(line: &LogLine) -> bool {
    let text = line.text.as_str();
    let is_frame = || {
        text.split_once(":in ")
            .is_some_and(|(place, _)| !place.contains(' ') && has_position(place))
    };
    line.entry.is_none()
        && (text.starts_with([' ', '\t'])
            || !text.contains(|c: char| c.is_alphanumeric())
            || is_frame())
}

/// Whether it complains of a place in a configuration, as compilers do: `n.conf:1:0: unknown
/// field`.
pub fn is_diagnostic(low: &str) -> bool {
    const ENDINGS: [&str; 12] = [
        ".conf", ".cfg", ".cnf", ".config", ".ini", ".toml", ".yml", ".yaml", ".env", "rc", ".vcl",
        "file",
    ];
    let is_place = |word: &str| {
        let place =
            word.trim_end_matches(|c: char| c.is_ascii_digit() || [':', '(', ')'].contains(&c));
        word.ends_with(':')
            && place.len() + 2 < word.len()
            && ENDINGS.iter().any(|ending| place.ends_with(ending))
    };
    low.split(' ').any(is_place)
        && !low.contains("warn")
        && says(
            low,
            &[
                "error",
                "unknown",
                "invalid",
                "missing",
                "unrecogni",
                "unexpected",
                "expected",
                "undefined",
            ],
        )
}

/// Whether a line ends with the system's words for an error, be it with a number or a place behind
/// them.
pub fn ends_with_errno(low: &str) -> bool {
    let end =
        low.trim_end_matches(|c: char| ['"', '\'', ')', ']', '}', '.', ' ', '!'].contains(&c));
    let end = end
        .rsplit_once(" (")
        .filter(|(_, in_brackets)| in_brackets.len() < 24)
        .map_or(end, |(end, _)| end);
    ERRNO.iter().any(|words| end.ends_with(words)) || {
        // Apache's: `(98)Address already in use: AH00072: …`.
        let coded = low.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        coded.is_some_and(|(code, rest)| {
            code.bytes().all(|byte| byte.is_ascii_digit())
                && ERRNO.iter().any(|words| rest.starts_with(words))
        })
    }
}

/// Whether a program complains of how it was called.
pub fn is_bad_option(text: &str) -> bool {
    let low = text
        .get(..text.floor_char_boundary(400))
        .unwrap_or_default()
        .to_ascii_lowercase();
    says(
        &low,
        &[
            "unrecognized option",
            "unrecognised option",
            "unrecognized argument",
            "unrecognized command",
            "unrecognized flag",
            "unknown option",
            "unknown argument",
            "unknown flag",
            "unknown long flag",
            "unknown short flag",
            "bad command line option",
            "missing script",
            "unknown shorthand flag",
            "invalid option",
            "illegal option",
            "unexpected argument",
            "bad option:",
            "option requires an argument",
            "requires an argument",
            "arguments are required",
            "required arguments were not provided",
            "flag provided but not defined",
            "flag needs an argument",
            "required flag",
            "no such option",
        ],
    ) && !vocabulary::is_handled(&low)
}

/// Whether a text names a line of a file: `nginx.conf:7`, `line 7`.
pub fn has_position(text: &str) -> bool {
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    text.match_indices(':').any(|(at, _)| {
        text.get(at + 1..).is_some_and(digit)
            && text
                .get(..at)
                .is_some_and(|before| before.ends_with(char::is_alphabetic))
    }) || ["line ", "line: "]
        .iter()
        .any(|word| text.split(word).skip(1).any(digit))
}
