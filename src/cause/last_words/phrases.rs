//! How programs say that they cannot go on, each in words that many share.

use crate::cause::aftermath;
use crate::cause::beneath;
use crate::cause::entry::LogLevel;
use crate::cause::text::LogLine;
use crate::cause::vocabulary::{self, says};

/// Words of a program that cannot start.
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
pub const BAD_CONFIG: [&str; 31] = [
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
    "configuration error",
    "bad configuration",
    "bad option at line",
    "config file error",
    "fatal config",
    "invalid command",
    "error in config",
    "errors found in config",
    "error loading config",
];

/// Returns true if a line complains that a setting is missing or that the settings cannot be read.
pub fn is_unset(line: &LogLine, lowercase: &str) -> bool {
    let is_settings = says(lowercase, &["config", "settings", ".env"])
        && says(
            lowercase,
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
        || says(
            lowercase,
            &["loading config", "reading config", "parsing config"],
        ) && says(lowercase, &["fail", "error"]);
    let is_environment = ["environment variable", "env variable", "env var"]
        .iter()
        .any(|words| {
            lowercase
                .split_once(words)
                .is_some_and(|(before, _)| says(before, &["missing", "invalid", "undefined"]))
        });
    let is_missing = || {
        says(
            lowercase,
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

/// Returns true if a word is the name of an environment variable: `DATABASE_URL`.
fn is_variable(word: &str) -> bool {
    word.contains('_')
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Words for the steps of a start.
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

/// Returns true if a line only adds a second complaint to the first.
pub fn is_added(line: &LogLine, lowercase: &str) -> bool {
    let level = line.level();
    let hints = says(lowercase, &["hint", "do you already"]);
    level.is_none_or(|level| level >= LogLevel::Error)
        && (hints || says(lowercase, &FAILED))
        && !vocabulary::is_handled(lowercase)
}

/// Returns true if a line tells people what to do.
pub fn is_hint(line: &LogLine, lowercase: &str) -> bool {
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
        && begins.iter().any(|begin| lowercase.starts_with(begin))
}

pub fn is_of_request(line: &LogLine) -> bool {
    line.entry.as_ref().is_some_and(|entry| entry.of_request)
}

pub fn begins_as_fatal(lowercase: &str) -> bool {
    // `prog: fatal: …`, `** fatal error`, `CRITICAL …`.
    let lowercase = lowercase.trim_start_matches(['*', '#', '!', '-', '=', ' ', '[']);
    let words = [
        "fatal",
        "panic",
        "critical",
        "emergency",
        "abort",
        "unrecoverable",
    ];
    let begins = |text: &str| words.iter().any(|word| text.starts_with(word));
    begins(lowercase)
        || lowercase
            .split_once(": ")
            .is_some_and(|(head, rest)| !head.contains(' ') && begins(rest))
}

/// Returns the exit code that a line names: `exiting with 78`, `exiting; exit code: 78`.
pub fn code_in(lowercase: &str) -> Option<i32> {
    let at = [
        "exiting with ",
        "exiting code ",
        "exit code",
        "exit status",
        "exiting (",
    ]
    .iter()
    .find_map(|words| lowercase.find(words).map(|at| at + words.len()))?;
    let rest = lowercase
        .get(at..)?
        .trim_start_matches([' ', ':', '=', '(']);
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

/// Returns the exit code before a program's message: `curl: (7) Failed to connect`.
pub fn code_before(lowercase: &str) -> Option<i32> {
    let (program, rest) = lowercase.split_once(": (")?;
    let (code, _) = rest.split_once(") ").filter(|_| !program.contains(' '))?;
    code.parse().ok()
}

/// The system's words for errors, as perror(3) prints them; see errno(3).
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

/// Returns true if a line ends with an error's words in quotes and brackets, as `MySQL` does:
/// `(Errcode: 13 "Permission denied")`.
pub fn ends_with_quoted_errno(lowercase: &str) -> bool {
    lowercase
        .strip_suffix("\")")
        .and_then(|lowercase| lowercase.rsplit_once('"'))
        .is_some_and(|(_, quoted)| ERRNO.contains(&quoted))
}

/// Returns true if a line contains the system's words for an error.
pub fn names_errno(lowercase: &str) -> bool {
    beneath::kind(lowercase).is_some() || ERRNO.iter().any(|words| lowercase.contains(words))
}

/// Returns true if a line ends with an error's code and its object, as libuv prints them: `connect
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

/// Returns true if a line continues the one before: a trace, the inside of a structure, a ruler.
pub fn is_continued(line: &LogLine) -> bool {
    let text = line.text.as_str();
    let is_frame = || {
        text.split_once(":in ")
            .is_some_and(|(place, _)| !place.contains(' ') && has_position(place))
    };
    // ClickHouse's `3. DB::StatusFile::StatusFile(…) @ 0x0000000010ab2a93`.
    let is_numbered = || text.contains(" @ 0x") && text.starts_with(|c: char| c.is_ascii_digit());
    line.entry.is_none()
        && (text.starts_with([' ', '\t'])
            || text == "stack traceback:"
            || !text.contains(|c: char| c.is_alphanumeric())
            || is_frame()
            || is_numbered())
}

/// Returns true if a line complains of a place in a configuration, as compilers do: `n.conf:1:0:
/// unknown field`.
pub fn is_diagnostic(lowercase: &str) -> bool {
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
    lowercase.split(' ').any(is_place)
        && !lowercase.contains("warn")
        && says(
            lowercase,
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

/// Returns true if a line ends with the system's words for an error. A number or a place may follow
/// them.
pub fn ends_with_errno(lowercase: &str) -> bool {
    let end = lowercase
        .trim_end_matches(|c: char| ['"', '\'', ')', ']', '}', '.', ' ', '!'].contains(&c));
    let end = end
        .rsplit_once(" (")
        .filter(|(_, in_brackets)| in_brackets.len() < 24)
        .map_or(end, |(end, _)| end);
    ERRNO.iter().any(|words| end.ends_with(words)) || {
        // Apache's: `(98)Address already in use: AH00072: …`.
        let coded = lowercase
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'));
        coded.is_some_and(|(code, rest)| {
            code.bytes().all(|byte| byte.is_ascii_digit())
                && ERRNO.iter().any(|words| rest.starts_with(words))
        })
    }
}

/// Returns true if a program complains of its arguments.
pub fn is_bad_option(text: &str) -> bool {
    let lowercase = text
        .get(..text.floor_char_boundary(400))
        .unwrap_or_default()
        .to_ascii_lowercase();
    says(
        &lowercase,
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
    ) && !vocabulary::is_handled(&lowercase)
}

/// Returns true if a text names a line of a file: `nginx.conf:7`, `line 7`.
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
