//! Checks the house rules by reading the files of `src`. [`known`] lists the exceptions. An entry
//! that is no longer true fails the test too, so the lists can only shrink.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use source::Source;

mod documents;
mod imports;
mod known;
mod levels;
mod source;

/// The rooms (files and folders of `src`) of each floor, from the top down. A file may import from
/// its own room and from the floors below.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["verbs"],
    &["cli"],
    &["operate"],
    &["run"],
    &["deliver"],
    &["catch"],
    &["supervisor"],
    &["places"],
    &["config"],
    &["spool", "collectors", "sinks"],
    &["cause", "render", "plugin", "past", "notice"],
    &["redact"],
    GROUND,
    // Every floor may import the report, which imports nothing.
    &["report"],
];

/// Small rooms that may import one another.
const GROUND: &[&str] = &[
    "accounts",
    "bytes",
    "clock",
    "dbus",
    "draft",
    "escapes",
    "host",
    "key_error",
    "kmsg",
    "limits",
    "mounts",
    "names",
    "ourselves",
    "random",
    "rights",
    "schema",
    "secret",
    "when",
];

/// Rooms that may read the clock and the environment, and write to standard output.
const TOP: &[&str] = &["main", "verbs", "cli", "operate", "run", "deliver", "catch"];

/// Exceptions to that in other rooms.
const BELOW_THE_TOP: &[&str] = &[
    // All others get the clock and the path of this program from here.
    "clock.rs: time of day",
    "ourselves.rs: environment",
    // The config may name a variable with a secret.
    "secret.rs: environment",
    // An answer's Retry-After may be a date.
    "sinks/http.rs: time of day",
    // If the server defers one of several recipients, the sink waits for it for up to an hour.
    "sinks/email.rs: time of day",
    // The time that a program, a disk, a collector, a server or the bus may take, or has taken.
    "collectors/disk.rs: stopwatch",
    "collectors/runner.rs: stopwatch",
    "dbus.rs: stopwatch",
    "plugin.rs: stopwatch",
    "plugin/process.rs: stopwatch",
    "sinks/http.rs: stopwatch",
    "sinks/stream.rs: stopwatch",
];

const WIDTH: usize = 100;
const LEVELS: usize = 4;

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(source::all);

/// Breaches of a rule. Each is an entry as in [`known`], with a remark if that helps.
type Found = BTreeMap<String, String>;

#[test]
fn imports_run_only_downward() {
    let mut found = Found::new();
    for (file, others) in imports::imports(&SOURCES) {
        for other in others {
            if !may_import(source::room(&file), source::room(&other)) {
                found.insert(format!("{file} -> {other}"), String::new());
            }
        }
    }
    assert_known(&found, known::UPWARD);
}

fn may_import(room: &str, other: &str) -> bool {
    let floor = |room| {
        let floor = FLOORS.iter().position(|rooms| rooms.contains(&room));
        floor.unwrap_or_else(|| panic!("src/{room} is on no floor: add it to FLOORS"))
    };
    let both_on = |rooms: &[&str]| rooms.contains(&room) && rooms.contains(&other);
    room == other || floor(room) < floor(other) || both_on(GROUND)
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    let imports = imports::imports(&SOURCES);
    let circles = imports::circles(&imports);
    let entry = |files: Vec<&str>| (files.join(" "), String::new());
    assert_known(&circles.into_iter().map(entry).collect(), known::CIRCLES);
}

#[test]
fn only_the_top_floors_read_the_clock_and_the_environment_and_write_to_standard_output() {
    let mut found = Found::new();
    for source in SOURCES
        .iter()
        .filter(|source| !TOP.contains(&source.room()))
    {
        for i in 0..source.tokens.len() {
            let use_of = match [0, 1, 2].map(|next| source.token(i + next)) {
                ["env", "::", _] => "environment",
                ["SystemTime", "::", "now"] => "time of day",
                ["Instant", "::", "now"] => "stopwatch",
                ["stdout", "(", ")"] if source.token(i - 1) != "." => "standard output",
                _ => continue,
            };
            found.insert(format!("{}: {use_of}", source.path), String::new());
        }
    }
    assert_known(&found, BELOW_THE_TOP);
}

#[test]
fn no_two_types_have_the_same_name() {
    let mut files = BTreeMap::<_, Vec<_>>::new();
    for source in SOURCES.iter() {
        for (i, token) in source.tokens.iter().enumerate() {
            if matches!(token.as_str(), "struct" | "enum" | "trait") {
                let files: &mut Vec<_> = files.entry(source.token(i + 1)).or_default();
                files.push(source.path.as_str());
            }
        }
    }
    files.retain(|_, files| files.len() > 1);
    let entry =
        |(name, files): (&str, Vec<_>)| (format!("{} {name}", files.len()), files.join(" "));
    assert_known(&files.into_iter().map(entry).collect(), known::SAME_NAME);
}

#[test]
fn no_function_is_nested_deeper_than_four_levels() {
    let mut found = Found::new();
    for source in SOURCES.iter() {
        for (name, levels) in levels::of_functions(source) {
            if levels > LEVELS {
                found.insert(
                    format!("{}: {name}", source.path),
                    format!("{levels} levels"),
                );
            }
        }
    }
    assert_known(&found, known::DEEP);
}

#[test]
fn no_line_is_wider_than_100_columns_but_for_literals_addresses_and_tables() {
    let mut found = Found::new();
    for source in SOURCES.iter() {
        for (i, line) in source.text.lines().enumerate() {
            let literals = source.literals.get(&(i + 1)).copied().unwrap_or_default();
            let is_free = line.contains("://") || line.starts_with("//! |");
            if !is_free && line.chars().count() > WIDTH + literals {
                found.insert(source.path.clone(), format!("{}: {line}", i + 1));
            }
        }
    }
    assert_known(&found, known::WIDE);
}

#[test]
fn no_doc_comment_begins_with_what_or_whether() {
    let is_doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
    let mut found = Vec::new();
    for source in SOURCES.iter() {
        let mut before = "";
        for (i, line) in source.text.lines().map(str::trim_start).enumerate() {
            let first = line.split_whitespace().nth(1).unwrap_or_default();
            if is_doc(line) && !is_doc(before) && matches!(first, "What" | "Whether") {
                found.push(format!("src/{}:{}: {line}", source.path, i + 1));
            }
            before = line;
        }
    }
    let (found, count, known) = (found.join("\n"), found.len(), known::WHAT_OR_WHETHER);
    assert!(
        count <= known,
        "{found}\n{count} of these, but known.rs allows {known}"
    );
    assert!(
        count + 20 > known,
        "{count} of these are left: lower the number in known.rs"
    );
}

#[track_caller]
fn assert_known(found: &Found, known: &[&str]) {
    let new = found
        .iter()
        .filter(|(entry, _)| !known.contains(&entry.as_str()));
    let new: Vec<_> = new
        .map(|(entry, remark)| format!("{entry:?},  {remark}"))
        .collect();
    assert!(new.is_empty(), "this breaks the rule:\n{}", new.join("\n"));
    let gone = known.iter().filter(|entry| !found.contains_key(**entry));
    let gone: Vec<_> = gone.map(|entry| format!("{entry:?},")).collect();
    assert!(
        gone.is_empty(),
        "no longer true, strike it from known.rs:\n{}",
        gone.join("\n")
    );
}

/// Checks that the rules find a breach. A rule that finds none would always hold.
#[test]
fn the_rules_find_imports_of_every_form() {
    let file = |path: &str, text: &str| Source::new(path, text.to_owned());
    let sources = [
        file("lib.rs", "pub mod a; pub mod b; pub mod c;"),
        file(
            "a/mod.rs",
            "mod one; mod two; pub use one::One; use two::f;
             use crate::{b::{self, B}, c::{\n C as D, },\n};",
        ),
        file(
            "a/one.rs",
            "use super::two::*; fn f() -> crate::c::C { c(\"crate::b\") }",
        ),
        file(
            "a/two.rs",
            "use crate::b; // use crate::c;\n#[cfg(test)] mod tests { use crate::c; }",
        ),
        file(
            "b.rs",
            "use crate::a::One; fn f(c: char) -> bool { c == '\"' || super::c::f() }",
        ),
        file(
            "c.rs",
            "fn f<'a>() -> &'a str { r#\"\" use crate::a; \"#; }",
        ),
    ];
    let imports = imports::imports(&sources);
    let of = |file: &str| imports[file].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a/mod.rs"), ["b.rs", "c.rs"]);
    assert_eq!(of("a/one.rs"), ["a/two.rs", "c.rs"]);
    assert_eq!(of("a/two.rs"), ["b.rs"]);
    assert_eq!(of("b.rs"), ["a/one.rs", "c.rs"]);
    assert!(of("c.rs").is_empty());
    let circles: Vec<_> = imports::circles(&imports).into_iter().collect();
    assert_eq!(circles, [["a/one.rs", "a/two.rs", "b.rs"]]);
}

#[test]
fn the_rules_find_how_deep_a_function_is_nested() {
    let text = "fn flat(a: [u8; 2]) -> Some { Some { a: Other { b: 1 } } }
        fn deep(a: u8) { for b in c { match a { 1 => { f(|x| { x }) } _ => {} } } }
        fn chain() { if a {} else if b {} else if c { d(Some { e }) } else {} }
        fn head() { if a == Kind::Other { while let Some { b } = c { d(Even { f }) } } }";
    let source = Source::new("a.rs", text.to_owned());
    let levels = levels::of_functions(&source);
    assert_eq!(
        levels,
        [("flat", 0), ("deep", 4), ("chain", 3), ("head", 2)]
    );
}
