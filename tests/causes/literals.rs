//! Checks that every phrase that `src/cause` looks for is in a line that a program prints.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Minimum length of a literal that needs a line. Shorter ones are words of every program.
const LONG: usize = 6;

#[test]
fn every_longer_literal_of_cause_stands_in_a_sample_a_table_or_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut proven, mut wanted) = (String::new(), Vec::new());
    for file in files(&root.join("src/cause")) {
        let text = fs::read_to_string(&file).unwrap();
        let is_test = ["lines.rs", "decoys.rs", "tests.rs"]
            .iter()
            .any(|it| file.ends_with(it));
        let (code, tests) = match text.split_once("#[cfg(test)]\nmod tests {") {
            _ if is_test => ("", text.as_str()),
            Some(parts) => parts,
            None => (text.as_str(), ""),
        };
        proven.push_str(&(literals(tests).join("\n") + "\n"));
        let name = file.strip_prefix(root).unwrap().display().to_string();
        let all = literals(code);
        let long = all
            .iter()
            .flat_map(|it| parts(it))
            .filter(|it| it.len() >= LONG);
        // lastwords itself composes the texts with gaps.
        let whole = long.filter(|it| !(it.contains('{') && it.contains('}')));
        wanted.extend(whole.map(|literal| (name.clone(), literal)));
    }
    for folder in ["tests/samples", "tests/causes"] {
        for file in files(&root.join(folder)) {
            let text = fs::read(&file).unwrap();
            let text = String::from_utf8_lossy(&text);
            match file.extension().and_then(|it| it.to_str()) {
                Some("toml") => strings(&toml::from_str(&text).unwrap(), &mut proven),
                Some("rs") => proven.push_str(&(literals(&text).join("\n") + "\n")),
                _ => proven.push_str(&text),
            }
        }
    }
    let proven = proven.to_lowercase();
    assert!(
        wanted.len() > 1_000,
        "only {} literals were found",
        wanted.len()
    );
    wanted.retain(|(_, literal)| !proven.contains(&literal.to_lowercase()));
    assert!(wanted.is_empty(), "without a line: {wanted:#?}");
}

/// Returns the files of a folder and of the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let expand = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries.flat_map(expand).collect()
}

/// Adds the strings of a table.
fn strings(value: &toml::Value, found: &mut String) {
    match value {
        toml::Value::String(text) => {
            found.push_str(text);
            found.push('\n');
        }
        toml::Value::Array(values) => values.iter().for_each(|it| strings(it, found)),
        toml::Value::Table(table) => table.values().for_each(|it| strings(it, found)),
        _ => {}
    }
}

/// Returns the parts of a shape, in which `…` stands for any text, or of a mark, in which a line
/// break stands for a line's beginning or end.
fn parts(literal: &str) -> Vec<String> {
    let parts = literal.split('…').map(|part| part.trim_matches('\n'));
    parts.map(str::to_owned).collect()
}

/// Returns the string literals of Rust code, except raw ones, which are patterns, and sets of
/// bytes.
fn literals(code: &str) -> Vec<String> {
    let literal = Regex::new(concat!(
        r##"(?s)//[^\n]*|#\[[^\]]*\]|'(?:[^'\\\n]|\\[^'\n]+|\\')'"##,
        r##"|b?r#+".*?"#+|b?r"[^"]*"|b"(?:[^"\\]|\\.)*"|"((?:[^"\\]|\\.)*)""##
    ))
    .unwrap();
    let found = literal.captures_iter(code).filter_map(|it| it.get(1));
    found.map(|it| unescape(it.as_str())).collect()
}

fn unescape(text: &str) -> String {
    let text = Regex::new(r"\\\n\s*").unwrap().replace_all(text, "");
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('u') => {
                let digits: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(digits.trim_start_matches('{'), 16);
                plain.extend(code.ok().and_then(char::from_u32));
            }
            other => plain.extend(other),
        }
    }
    plain
}
