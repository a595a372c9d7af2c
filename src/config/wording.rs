//! What toml's and serde's errors say, said to people.
//!
//! Values of the file are not repeated: one may be a password that stands where it should not.

/// What was expected and found, and what was probably meant.
pub type Wording = (String, Option<String>);

/// The nearest of the names, where one is near enough to have been meant.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    let scored = names.into_iter().map(|other| (strsim::jaro_winkler(name, other), other));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}

/// ``did you mean `lines`?``
pub fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, names).map(|name| format!("did you mean `{name}`?"))
}

/// Names in a row: `` `a`, `b` or `c` ``.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The key that serde missed in a table.
pub fn missing_key(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Words for a value that is TOML, but not what belongs there; `found` is how it stands in the file.
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
    match message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: ")) {
        Some(rest) => rest
            .rsplit_once(", expected ")
            .map_or_else(|| (message.to_owned(), None), |(found_kind, wanted)| expected(wanted, found_kind, found)),
        // The words of a plugin; the help that they know stands on the second line.
        None => match message.split_once('\n') {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (message.to_owned(), None),
        },
    }
}

/// `rest` is serde's: ``lins`, expected one of `path`, `lines` ``.
fn unknown(rest: &str, what: &str) -> Wording {
    let Some((name, wanted)) = rest.rsplit_once("`, expected ") else {
        let name = rest.rsplit_once("`, there are no ").map_or(rest, |(name, _)| name);
        return (format!("unknown {what} `{name}`: none are known here"), None);
    };
    let names: Vec<&str> = wanted.split('`').skip(1).step_by(2).collect();
    let message = format!("unknown {what} `{name}`, expected {}", one_of(names.iter().copied()));
    (message, did_you_mean(name, names))
}

fn expected(wanted: &str, found_kind: &str, found: &str) -> Wording {
    let kind = match found.bytes().next() {
        Some(b'"' | b'\'') => "a string".to_owned(),
        Some(b'[') if found.starts_with("[[") && found_kind != "sequence" => "a list of tables".to_owned(),
        Some(b'[') if found_kind == "map" => "a table".to_owned(),
        Some(b'[') => "an array".to_owned(),
        Some(b'{') => "a table".to_owned(),
        _ if found_kind == "map" => "a date or a table".to_owned(),
        Some(b't' | b'f') => format!("`{found}`"),
        _ if found.len() <= 40 && !found.is_empty() => format!("`{found}`"),
        _ => "something else".to_owned(),
    };
    let wanted = match wanted {
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
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
    let header = found.trim_matches(['[', ']']);
    let help = match wanted {
        "a duration" => Some("durations look like \"10s\", \"5m\" or \"1h 30m\"".to_owned()),
        "an array" if kind == "a table" => Some(format!("there may be several of them: write `[[{header}]]`")),
        "an array" if kind == "a string" => Some("put it in brackets: `[\"…\"]`".to_owned()),
        _ if found.starts_with("[[") => Some(format!("there can be only one of them: write `[{header}]`")),
        "a string" | "a string with a path" if kind.starts_with('`') => Some("put it in quotes".to_owned()),
        "`true` or `false`" | "a number" if kind == "a string" => Some("write it without quotes".to_owned()),
        wanted if wanted.starts_with("an integer") && kind == "a string" => Some("write it without quotes".to_owned()),
        _ => None,
    };
    (format!("expected {wanted}, found {kind}"), help)
}

/// Words for what is not TOML; `found` is what the error points at, `before` what stands before it on its line.
pub fn of_syntax_error(message: &str, found: &str, before: &str) -> Wording {
    let (what, wanted) = message.split_once(", expected ").unwrap_or((message, ""));
    let in_header = before.trim_start().starts_with('[');
    match what {
        "string values must be quoted" if found.is_empty() => {
            ("expected a value after `=`, found none".to_owned(), None)
        }
        "string values must be quoted" => (
            "expected a value, found text without quotes".to_owned(),
            Some("strings stand in quotes: `\"…\"`".to_owned()),
        ),
        "duplicate key" => {
            let what = if in_header { "table" } else { "key" };
            let help = if in_header && !before.trim_start().starts_with("[[") {
                "keep one of them; what can be there several times stands in double brackets, as `[[sink.slack]]`"
            } else {
                "keep one of them"
            };
            (format!("the {what} `{found}` is there twice"), Some(help.to_owned()))
        }
        "key with no value" => ("expected `=` and a value after this key".to_owned(), None),
        "unclosed table" => (format!("expected {wanted} at the end of this table's header"), None),
        _ if what.starts_with("invalid ") && what.ends_with(" string") && matches!(wanted, "`\"`" | "'''" | "`'`") => {
            (format!("expected {wanted} at the end of this string"), None)
        }
        _ => (message.to_owned(), None),
    }
}
