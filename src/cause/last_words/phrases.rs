//! How programs say that they cannot go on, in forms that many share.

use crate::cause::beneath;
use crate::cause::entry::LogLevel;
use crate::cause::lexicon::{self, Sense, Senses};
use crate::cause::text::LogLine;

/// Returns true if a line complains that a setting is missing or that the settings cannot be read.
pub fn is_unset(line: &LogLine, text: &str, said: Senses) -> bool {
    let is_unread = said.has(Sense::Settings) && said.has(Sense::Unread)
        || said.has(Sense::ReadsConfig) && said.has(Sense::Failure);
    let is_environment = lexicon::find(text, Sense::Environment).any(|name| {
        let before = text.get(..name.start).unwrap_or_default();
        Senses::of(before).has(Sense::Undefined)
    });
    let names_variable = || {
        line.head()
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .any(is_variable)
    };
    is_unread || is_environment || said.has(Sense::Unset) && names_variable()
}

/// Returns true if a word is the name of an environment variable: `DATABASE_URL`.
fn is_variable(word: &str) -> bool {
    word.contains('_')
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns true if a line only adds a second complaint to the first.
pub fn is_added(line: &LogLine) -> bool {
    let said = line.senses();
    line.level().is_none_or(|level| level >= LogLevel::Error)
        && (said.has(Sense::Added) || said.has(Sense::Failure))
        && !said.is_handled()
}

/// Returns true if a line tells people what to do.
pub fn is_hint(line: &LogLine) -> bool {
    // Postgres's.
    let adds = [" HINT:  ", " DETAIL:  ", " CONTEXT:  "]
        .iter()
        .any(|mark| line.text.contains(mark));
    let begins = line.senses().begins(Sense::Hint) && line.head().starts_with(char::is_alphabetic);
    adds || line.level().is_none() && begins
}

/// Returns the exit code that a line names: `exiting with 78`, `exiting; exit code: 78`.
pub fn code_in(text: &str) -> Option<i32> {
    let end = lexicon::find(text, Sense::ExitCode).next()?.end;
    let rest = text.get(end..)?.trim_start_matches([' ', ':', '=', '(']);
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
pub fn code_before(text: &str) -> Option<i32> {
    let (program, rest) = text.split_once(": (")?;
    let (code, _) = rest.split_once(") ").filter(|_| !program.contains(' '))?;
    code.parse().ok()
}

/// Returns true if a line ends with an error's words in quotes and brackets, as `MySQL` does:
/// `(Errcode: 13 "Permission denied")`.
pub fn ends_with_quoted_errno(text: &str) -> bool {
    text.strip_suffix("\")")
        .and_then(|text| text.rsplit_once('"'))
        .is_some_and(|(_, quoted)| {
            lexicon::find(quoted, Sense::Errno).any(|words| words == (0..quoted.len()))
        })
}

/// Returns true if a line contains the system's words for an error.
pub fn names_errno(said: Senses, text: &str) -> bool {
    said.has(Sense::Errno) || beneath::kind_of(said, text).is_some()
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
    // PHP's `#3 /srv/app.php(41): run()`.
    let is_call = || {
        let rest = text.strip_prefix('#');
        let rest = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest.is_some_and(|rest| rest.starts_with([' ']) && text.len() > rest.len() + 1)
    };
    // ClickHouse's `3. DB::StatusFile::StatusFile(…) @ 0x0000000010ab2a93`.
    let is_numbered = || text.contains(" @ 0x") && text.starts_with(|c: char| c.is_ascii_digit());
    // ` Error during initialisation:`
    let is_said = text.starts_with(' ') && !text.starts_with("  ");
    let is_error = is_said && line.senses().begins(Sense::Failure);
    line.entry.is_none()
        && (text.starts_with([' ', '\t']) && !is_error
            || text == "stack traceback:"
            || !text.contains(|c: char| c.is_alphanumeric())
            || is_frame()
            || is_call()
            || is_numbered())
}

/// Returns true if a line complains of a place in a configuration, as compilers do: `n.conf:1:0:
/// unknown field`.
pub fn is_diagnostic(text: &str, said: Senses) -> bool {
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
    text.split(' ').any(is_place)
        && !text.to_ascii_lowercase().contains("warn")
        && (said.has(Sense::Failure) || said.has(Sense::Expectation))
}

/// Returns true if a line ends with the system's words for an error. A number or a place may follow
/// them.
pub fn ends_with_errno(text: &str) -> bool {
    let end = text.trim_end_matches(['"', '\'', ')', ']', '}', '.', ' ', '!']);
    let end = end
        .rsplit_once(" (")
        .filter(|(_, in_brackets)| in_brackets.len() < 24)
        .map_or(end, |(end, _)| end);
    // Apache's: `(98)Address already in use: AH00072: …`.
    let coded = text
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .filter(|(code, _)| code.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|(code, _)| code.len() + 2);
    lexicon::find(text, Sense::Errno)
        .any(|words| words.end == end.len() || Some(words.start) == coded)
}

/// Returns true if a program complains of its arguments.
pub fn is_bad_option(said: Senses) -> bool {
    said.has(Sense::BadOption) && !said.is_handled()
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
