//! Measures what becomes of secrets, and of texts that hold none.
//!
//! ```text
//! cargo test --test redaction -- --nocapture
//! ```
//! prints the tables. No secret here is one: each is made up of its kind's shape and a fixed
//! sequence of random characters.

mod kinds;

use std::fmt::Write as _;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::Path;

use kinds::{KINDS, SecretKind};
use lastwords::redact;

/// Minimum share of the kinds that are known bare, in per cent.
const BARE: usize = 90;
/// Minimum share of the kinds that are taken out in each other form, in per cent.
const IN_A_FORM: usize = 95;
/// Number of ordinary lines of which one may lose something that is no secret.
const LINES_TO_A_LOSS: usize = 1000;
/// Number of characters of a secret that may be left: what a prefix has.
const LEFT: usize = 8;

/// The forms, in groups. `{}` stands for the secret, `{name}` and `{NAME}` for its owner.
const FORMS: &[(&str, &[&str])] = &[
    (
        "key=value",
        &[
            "{name}_key={}",
            "ready {name}_auth={} took=3ms",
            "{name}_api_key='{}'",
            "{NAME}_TOKEN={}",
            "export {NAME}_SECRET=\"{}\"",
            "{name}.password={},user=bob",
        ],
    ),
    (
        "header",
        &[
            "X-Api-Key: {}",
            "authorization: Bearer {}",
            "Authorization: {name}Key {}",
            "curl -H 'X-{name}-Token: {}' https://h/",
            "map[Authorization:[Bearer {}] Host:[h]]",
            "'x-auth-token': '{}',",
        ],
    ),
    (
        "URL",
        &[
            "GET https://h/v1?api_key={}&page=2 200",
            "fetch https://h/v1?page=2&access_token={} failed",
            "cannot clone https://oauth2:{}@git.example.com/a.git",
            "https://h/?token={}",
        ],
    ),
    (
        "JSON",
        &[
            "{\"apiKey\":\"{}\",\"n\":1}",
            "{\"n\": 1, \"{name}_token\": \"{}\"}",
            "msg=\"{\\\"secret\\\":\\\"{}\\\",\\\"n\\\":1}\"",
            "{\"tokens\":[\"{}\"]}",
            "{\n  \"{name}_key\":\n    \"{}\"\n}",
        ],
    ),
    (
        "YAML",
        &[
            "{name}_key: {}",
            "{name}:\n  token: {}\n  port: 1",
            "  {name}_api_key: '{}'",
            "{name}_secret: |\n  {}\nport: 1",
            "passwords:\n  - {}\nport: 1",
        ],
    ),
];

/// A linear congruential generator, see Knuth, TAOCP 3.3.4: the same secrets each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn characters(&mut self, class: char, length: usize) -> String {
        const ALL: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-+/";
        let of = match class {
            'd' => &ALL[..10],
            'h' => &ALL[..16],
            'a' => &ALL[..36],
            'A' => &ALL[..62],
            'L' => &ALL[10..62],
            'w' => &ALL[..64],
            // The capitals and digits of base32.
            'U' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            'b' => b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/",
            'u' => {
                let lengths = [8, 4, 4, 4, 12].map(|length| self.characters('h', length));
                return lengths.join("-");
            }
            class => panic!("no class {class}"),
        };
        let mut characters: Vec<u8> = (0..length).map(|_| of[self.below(of.len())]).collect();
        // A word may not end in what is no part of a word.
        if let Some(last) = characters.last_mut().filter(|last| b"_-+/".contains(last)) {
            *last = b'x';
        }
        String::from_utf8(characters).unwrap()
    }

    fn secret(&mut self, kind: &SecretKind) -> String {
        let mut secret = String::new();
        for part in kind.shape.split('{') {
            let (class, text) = part.split_once('}').unwrap_or(("", part));
            if let Some(letter) = class.chars().next() {
                secret += &self.characters(letter, class[1..].parse().unwrap());
            }
            secret += text;
        }
        secret
    }
}

/// Returns true if no more of the secret is left than a prefix.
fn is_taken_out(secret: &str, text: &str) -> bool {
    let left = redact(text);
    secret.as_bytes().windows(LEFT + 1).all(|part| {
        let part = std::str::from_utf8(part).unwrap();
        // Everybody may see whose webhook it is.
        "https://hooks.slack.com/services/".contains(part) || !left.contains(part)
    })
}

fn fill(form: &str, kind: &SecretKind, secret: &str) -> String {
    form.replace("{name}", kind.owner)
        .replace("{NAME}", &kind.owner.to_uppercase())
        .replace("{}", secret)
}

/// Returns the number of those that are taken out, and the others.
fn recall<'k>(
    kinds: impl Iterator<Item = &'k SecretKind>,
    form: &str,
) -> (usize, usize, Vec<String>) {
    let mut random = Random(42);
    let (mut taken, mut all, mut missed) = (0, 0, Vec::new());
    for kind in kinds {
        all += 1;
        let secret = random.secret(kind);
        let text = fill(form, kind, &secret);
        if is_taken_out(&secret, &text) {
            taken += 1;
        } else {
            missed.push(format!("{} {}", kind.owner, kind.shape));
        }
    }
    (taken, all, missed)
}

#[test]
fn secrets_of_all_kinds_are_taken_out_in_all_forms() {
    let mut table = String::new();
    let mut failed = Vec::new();
    let mut row = |group: &str, form: &str, found: (usize, usize, Vec<String>), least: usize| {
        let (taken, all, missed) = found;
        let share = 100 * taken / all;
        let _ = writeln!(
            table,
            "{group:10} {taken:4} of {all:4} {share:4} %  {form:?}"
        );
        if share < least {
            failed.push(format!("{group} {form:?}: {share} %, missed {missed:?}"));
        }
    };
    let prefixed = KINDS.iter().filter(|kind| kind.is_prefixed());
    let bare = "WARN upstream rejected {} for tenant 12";
    row("bare", bare, recall(prefixed, bare), BARE);
    for (group, forms) in FORMS {
        for form in *forms {
            row(group, form, recall(KINDS.iter(), form), IN_A_FORM);
        }
    }
    let _ = writeln!(stdout(), "{table}");
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Returns the texts of ordinary logs, with their names.
fn ordinary() -> Vec<(String, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let samples = fs::read_dir(tests.join("samples")).unwrap();
    let samples = samples.map(|sample| sample.unwrap().path().join("log"));
    let others = fs::read_dir(tests.join("redaction/ordinary")).unwrap();
    let others = others.map(|other| other.unwrap().path());
    let mut all: Vec<_> = samples
        .chain(others)
        .filter_map(|path| {
            let text = String::from_utf8_lossy(&fs::read(&path).ok()?).into_owned();
            Some((path.display().to_string(), text))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn ordinary_lines_stay_as_they_are() {
    let (mut lines, mut losses) = (0, Vec::new());
    for (path, text) in ordinary() {
        let left = redact(&text);
        lines += text.lines().count();
        let mut left = left.lines();
        for line in text.lines() {
            let left = left.next().unwrap_or_default();
            if left != line {
                losses.push(format!("{path}\n    {line}\n    {left}"));
            }
        }
    }
    let _ = writeln!(
        stdout(),
        "false positives: {} of {lines} lines\n{}",
        losses.len(),
        losses.join("\n")
    );
    assert!(losses.len() * LINES_TO_A_LOSS <= lines, "{}", losses.len());
}
