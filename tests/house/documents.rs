//! Compares the pages of documentation with the code: each key table in `config/README.md` is the
//! code's, the front page is short, and every link leads to a file.
//! `LASTWORDS_SNAPSHOTS=write cargo test --test house` writes the tables anew.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Maximum number of lines of the front page.
const FRONT_PAGE: usize = 150;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all files below `dir` with this extension, sorted.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the part of a file's module documentation about its keys, up to the end of its first
/// example; `None` if it has no key table.
fn keys(source: &str) -> Option<String> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.iter().position(|line| line.starts_with("| Key |"))?;
    let start = lines.iter().position(|line| *line == "```toml")?;
    let end = start + lines[start..].iter().position(|line| *line == "```")?;
    let heading = lines[start + 1];
    let body = without_code_links(&lines[..=end].join("\n"));
    Some(format!("### `{heading}`\n\n{body}\n"))
}

/// Replaces links to other parts of the code with their words.
fn without_code_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("](super::").or_else(|| rest.find("](crate::")) {
        let open = rest[..at].rfind('[').unwrap();
        plain += &rest[..open];
        plain += &rest[open + 1..at];
        rest = &rest[at + rest[at..].find(')').unwrap() + 1..];
    }
    plain + rest
}

#[test]
fn the_page_of_keys_has_every_collector_and_sink_as_its_file_describes_it() {
    let page = project().join("config/README.md");
    let mut text = fs::read_to_string(&page).unwrap();
    for room in ["collectors", "sinks"] {
        let sections: String = files(&project().join("src").join(room), "rs")
            .iter()
            .filter_map(|file| keys(&fs::read_to_string(file).unwrap()))
            .map(|section| section + "\n")
            .collect();
        let begin = format!("<!-- the files of src/{room} -->\n\n");
        let at = text.find(&begin).expect("the page has no such part") + begin.len();
        let end = at + text[at..].find("<!-- end -->").unwrap();
        if env::var_os("LASTWORDS_SNAPSHOTS").is_some_and(|value| value == "write") {
            text.replace_range(at..end, &sections);
            fs::write(&page, &text).unwrap();
        } else {
            assert!(
                text[at..end] == sections,
                "config/README.md differs from src/{room}; to write it anew: \
                 LASTWORDS_SNAPSHOTS=write cargo test --test house"
            );
        }
    }
}

#[test]
fn the_front_page_is_short() {
    let lines = fs::read_to_string(project().join("README.md"))
        .unwrap()
        .lines()
        .count();
    assert!(lines <= FRONT_PAGE, "README.md has {lines} lines");
}

#[test]
fn every_link_of_the_pages_leads_to_a_file() {
    let mut broken = Vec::new();
    for page in files(project(), "md") {
        let text = fs::read_to_string(&page).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            let is_ours = !file.is_empty() && !target.contains(':') && !target.contains(' ');
            if is_ours && !page.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere: {broken:#?}");
}
