//! Turns the errors of toml and serde into words for people.
//!
//! Values are never repeated, since one may be a password in the wrong place.

/// A message, and a hint: what was probably meant.
pub type Wording = (String, Option<String>);

/// Returns the most similar of the names, if one is similar enough to have been meant.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    // Of short names one wrong letter is a large part.
    let is_slip = |other| name.len() > 2 && strsim::osa_distance(name, other) == 1;
    let score =
        |other| strsim::jaro_winkler(name, other).max(if is_slip(other) { 0.8 } else { 0.0 });
    let scored = names.into_iter().map(|other| (score(other), other));
    scored
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}

/// Returns the hint ``did you mean `lines`?``
pub fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, names).map(|name| format!("did you mean `{name}`?"))
}

/// Returns the names in a row: `` `a`, `b` or `c` ``.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns the key that a table lacks, if that is serde's error.
pub fn missing_key(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Returns the key that was probably meant, if serde's error is an unknown key.
pub fn meant_key(message: &str) -> Option<String> {
    let (name, wanted) = message
        .strip_prefix("unknown field `")?
        .rsplit_once("`, expected ")?;
    nearest(name, listed(wanted)).map(str::to_owned)
}

/// Returns the names in serde's lists: `` one of `path`, `lines` ``.
fn listed(wanted: &str) -> impl Iterator<Item = &str> {
    wanted.split('`').skip(1).step_by(2)
}

/// Words a type error. `found` is the value's text in the file.
pub fn of_type_error(message: &str, found: &str) -> Wording {
    if let Some(key) = missing_key(message) {
        return (format!("the key `{key}` is missing in this table"), None);
    }
    if let Some(key) = message.strip_prefix("unknown field `") {
        return unknown(key, "key");
    }
    if let Some(word) = message.strip_prefix("unknown variant `") {
        return unknown(word, "value");
    }
    if message == "wanted string or table" {
        return expected("a string", "", found);
    }
    if message == "integer number overflowed" {
        return ("expected an integer of at most 64 bits".to_owned(), None);
    }
    match message
        .strip_prefix("invalid type: ")
        .or(message.strip_prefix("invalid value: "))
    {
        Some(rest) => rest.rsplit_once(", expected ").map_or_else(
            || (message.to_owned(), None),
            |(found_kind, wanted)| expected(wanted, found_kind, found),
        ),
        // The words of a plugin, with the hint on the second line.
        None => match message.split_once('\n') {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (message.to_owned(), None),
        },
    }
}

/// Words an unknown key or value. `rest` is serde's: ``lins`, expected one of `path`, `lines` ``.
fn unknown(rest: &str, what: &str) -> Wording {
    let Some((name, wanted)) = rest.rsplit_once("`, expected ") else {
        let name = rest
            .rsplit_once("`, there are no ")
            .map_or(rest, |(name, _)| name);
        return (
            format!("unknown {what} `{name}`: none are known here"),
            None,
        );
    };
    let message = format!(
        "unknown {what} `{name}`, expected {}",
        one_of(listed(wanted))
    );
    (message, did_you_mean(name, listed(wanted)))
}

fn expected(wanted: &str, found_kind: &str, found: &str) -> Wording {
    let header = found.trim_matches(['[', ']']);
    let kind = match found.bytes().next() {
        _ if found.starts_with("[[") && found.ends_with("]]") => "a list of tables",
        Some(b'"' | b'\'') => "a string",
        Some(b'0'..=b'9') if found_kind == "map" => "a date or a time",
        _ if found_kind == "map" => "a table",
        Some(b'[') => "an array",
        Some(_) if found.len() <= 40 => &format!("`{found}`"),
        _ => "something else",
    };
    let wanted = match wanted {
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
        "a nonzero u16" => "an integer from 1 to 65535",
        "u32" => "an integer from 0 to 4294967295",
        "u64" | "usize" => "an integer of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "an array",
        "path string" => "a string with a path",
        "a map" => "a table",
        wanted if wanted.starts_with("struct ") => "a table",
        wanted => wanted,
    };
    let help = match (wanted, kind) {
        ("a duration", _) => Some("durations look like \"10s\", \"5m\" or \"1h 30m\"".to_owned()),
        ("an array", "a table") if found.starts_with('[') => Some(format!(
            "there may be several of them: write `[[{header}]]`"
        )),
        ("an array", "a string") => Some("put it in brackets: `[\"…\"]`".to_owned()),
        ("a table", "a list of tables") => {
            Some(format!("there can be only one of them: write `[{header}]`"))
        }
        ("a string" | "a string with a path", kind) if kind.starts_with('`') => {
            Some("put it in quotes".to_owned())
        }
        ("`true` or `false`" | "a number", "a string") => {
            Some("write it without quotes".to_owned())
        }
        (wanted, "a string") if wanted.starts_with("an integer") => {
            Some("write it without quotes".to_owned())
        }
        _ => None,
    };
    (format!("expected {wanted}, found {kind}"), help)
}

/// Returns true if the error is an unclosed array, table or string that may span lines.
pub fn is_unclosed(message: &str) -> bool {
    [
        "unclosed array,",
        "unclosed inline table,",
        "invalid multi-line",
    ]
    .iter()
    .any(|start| message.starts_with(start))
}

/// Ranks the errors on one line; the lowest tells most. An unclosed value swallows the text after
/// it, and a key without a value usually follows from another error.
pub fn rank(message: &str) -> u8 {
    if is_unclosed(message) {
        0
    } else {
        1 + u8::from(message.starts_with("key with no value"))
    }
}

/// Words a syntax error. `found` is the text that the error points at, `before` the text before it
/// on its line.
pub fn of_syntax_error(message: &str, found: &str, before: &str) -> Wording {
    let (what, wanted) = message.split_once(", expected ").unwrap_or((message, ""));
    let header = before.trim_start();
    let is_word = found.starts_with(char::is_alphabetic) && before.contains('=');
    let (message, help) = match what {
        "string values must be quoted" if found.is_empty() => {
            ("expected a value after `=`, found none", None)
        }
        "string values must be quoted" => (
            "expected a value, found text without quotes",
            Some("put strings in quotes: `\"…\"`"),
        ),
        _ if is_word && what.starts_with("invalid ") => (
            "expected a value, found text without quotes",
            Some("put strings in quotes: `\"…\"`"),
        ),
        "duplicate key" if header.starts_with("[[") || !header.starts_with('[') => (
            &*format!("the key `{found}` is defined twice"),
            Some("keep one of them"),
        ),
        "duplicate key" => (
            &*format!("the table `{found}` is defined twice"),
            Some(
                "keep one of them; a table that may occur several times has double brackets, as `[[sink.slack]]`",
            ),
        ),
        "key with no value" => ("expected `=` and a value after this key", None),
        "unclosed array" => ("this array is never closed: expected `]`", None),
        "unclosed inline table" => ("this table is never closed: expected `}`", None),
        "unclosed table" => ("expected `]` at the end of this table's header", None),
        "unclosed array table" => ("expected `]]` at the end of this table's header", None),
        "invalid unquoted key" => ("expected a key of letters, digits, `-` and `_`", None),
        "invalid multi-line basic string" | "invalid multi-line literal string" => {
            ("this string is never closed: expected three quotes", None)
        }
        "invalid basic string" | "invalid literal string" if wanted.len() == "`'`".len() => (
            &*format!("expected {wanted} at the end of this string"),
            None,
        ),
        _ => (message, None),
    };
    (message.to_owned(), help.map(str::to_owned))
}
