//! Tests that hold each decision about the rows of a key, without the rest of redaction, which
//! would find some of them by their shape.

use super::{LONGEST, bodies, may_hold_a_key};

/// A row of 16 characters. Full rows have 40 at least; a key's have 64.
const SHORT: &str = "Zq7fT9wLm2Xc4Rv8";

/// Returns a text with `#` in the place of each part that is taken out.
fn taken(text: &str) -> String {
    let text = written(text);
    let mut left = String::new();
    let mut done = 0;
    for part in bodies(text.as_bytes()) {
        if part.start < done {
            continue;
        }
        left += &text[done..part.start];
        left.push('#');
        done = part.end;
    }
    left + &text[done..]
}

/// Spells a text out: the first and the last line of a key, and rows of so many characters.
fn written(text: &str) -> String {
    text.replace("BEGIN", "-----BEGIN PRIVATE KEY-----")
        .replace("END", "-----END PRIVATE KEY-----")
        .replace("CERT", "-----BEGIN CERTIFICATE-----")
        .replace("S16", SHORT)
        .replace("F48", &SHORT.repeat(3))
        .replace("F64", &SHORT.repeat(4))
}

fn all(cases: &[(&str, &str)]) {
    for (text, left) in cases {
        assert_eq!(taken(text), written(left), "{text}");
    }
}

#[test]
fn most_texts_hold_neither_a_keys_words_nor_a_long_mixture_and_are_not_read_row_by_row() {
    for text in [
        "BEGIN",
        "BEGIN%20PRIVATE",
        "Private-Lines: 1",
        "a F48 b",
        "F48",
    ] {
        assert!(may_hold_a_key(written(text).as_bytes()), "{text}");
    }
    for text in [
        "",
        "GET /private/keys 200",
        "a S16 S16 S16 b",
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "anordinarywordthatgoesonandonandonandonand",
    ] {
        assert!(!may_hold_a_key(written(text).as_bytes()), "{text}");
    }
}

#[test]
fn between_the_first_line_and_the_last_all_is_a_keys_but_what_a_log_puts_there() {
    all(&[
        ("a\nBEGIN\nS16\nS16==\nEND\nb", "a\nBEGIN\n#\n#\nEND\nb"),
        ("BEGIN\nnot base64!\n\nS16\nEND", "BEGIN\n#\n\n#\nEND"),
        (
            "web | BEGIN\nweb | S16\nweb | a b\nweb | END",
            "web | BEGIN\nweb | #\nweb | #\nweb | END",
        ),
        (
            "1 | BEGIN\n10 | F48\n100 | F48\n4 | END",
            "1 | BEGIN\n10 | #\n100 | #\n4 | END",
        ),
        (
            "{\"k\":\"BEGIN\\nS16\\nF48\\nEND\"}",
            "{\"k\":\"BEGIN\\n#\\n#\\nEND\"}",
        ),
        ("KEY=BEGIN S16 S16 END", "KEY=BEGIN # END"),
        (
            "{\"log\":\"BEGIN\\n\",\"at\":1}\n{\"log\":\"S16\\n\",\"at\":2}\n{\"log\":\"END\\n\",\"at\":3}",
            "{\"log\":\"BEGIN\\n\",\"at\":1}\n{\"log\":\"#\\n\",\"at\":2}\n{\"log\":\"END\\n\",\"at\":3}",
        ),
    ]);
}

#[test]
fn a_first_line_and_a_last_line_belong_together_if_no_other_stands_between_and_they_are_near() {
    all(&[
        (
            "BEGIN\nS16\na b c\nBEGIN\nS16\nEND",
            "BEGIN\n#\na b c\nBEGIN\n#\nEND",
        ),
        ("BEGIN\nS16\nEND\na b c\nEND", "BEGIN\n#\nEND\na b c\nEND"),
    ]);
    let far = |lines: usize| "a b c\n".repeat(lines);
    let near = LONGEST / 6;
    let text = |lines: usize, between: usize| format!("{}BEGIN\n{}END", far(lines), far(between));
    // Wherever it stands.
    let left = text(2 * near, 1).replace("\nBEGIN\na b c", "\nBEGIN\n#");
    all(&[(&text(2 * near, 1), &left)]);
    let left = text(0, near - 1).replace("a b c", "#");
    all(&[(&text(0, near - 1), &left)]);
    all(&[(&text(0, near + 1), &text(0, near + 1))]);
}

#[test]
fn behind_a_first_line_alone_rows_are_a_keys_until_something_else_stands_there() {
    all(&[
        ("BEGIN\nF48\nF48\nS16\na b", "BEGIN\n#\n#\n#\na b"),
        ("BEGIN\nF48\nZq7fT9w\na b", "BEGIN\n#\nZq7fT9w\na b"),
        ("BEGIN\nF48\nZq7fT9w", "BEGIN\n#\n#"),
        ("BEGIN\nS16\na b\nF48", "BEGIN\n#\na b\nF48"),
        (
            "BEGIN\nProc-Type: 4\n\nF48\nF48",
            "BEGIN\nProc-Type: 4\n\n#\n#",
        ),
        ("BEGIN\nfound nothing\nF48", "BEGIN\nfound nothing\nF48"),
        (
            "BEGIN\na: b\na: b\na: b\na: b\na: b\nF48",
            "BEGIN\na: b\na: b\na: b\na: b\na: b\n#",
        ),
        (
            "BEGIN\na: b\na: b\na: b\na: b\na: b\na: b\nF48",
            "BEGIN\na: b\na: b\na: b\na: b\na: b\na: b\nF48",
        ),
        (
            "web | BEGIN\nweb | S16\nweb | a b",
            "web | BEGIN\nweb | #\nweb | a b",
        ),
        ("{\"k\":\"BEGIN\\nS16\\nF48", "{\"k\":\"BEGIN\\n#\\nF48"),
        ("BEGIN", "BEGIN"),
        ("BEGIN\n", "BEGIN\n"),
    ]);
}

#[test]
fn before_a_last_line_alone_rows_are_a_keys_from_the_first_full_one_on() {
    all(&[
        ("a b\nF48\nF48\nS16==\nEND\nb", "a b\n#\n#\n#\nEND\nb"),
        ("a b\nF48\nEND", "a b\n#\nEND"),
        ("a b\nS16\nEND", "a b\n#\nEND"),
        ("a b\nEND", "a b\nEND"),
        ("END", "END"),
        (
            "a b\nweb | F48\nweb | S16\nweb | END",
            "a b\nweb | #\nweb | #\nweb | END",
        ),
        (
            "web | F48\nweb | F48\nweb | END",
            "web | #\nweb | #\nweb | END",
        ),
        // The beginning was cut away.
        ("T9wLm2\nF48\nEND", "#\n#\nEND"),
        ("T9wLm2\nS16\nEND", "#\n#\nEND"),
        ("a b\n[cut] T9wLm2\nF48\nEND", "a b\n[cut] #\n#\nEND"),
        ("[cut] T9wLm2\nEND", "[cut] #\nEND"),
        (
            "web | F48\nweb | \"a b\nweb | END",
            "web | F48\nweb | \"a b\nweb | END",
        ),
        ("T9w==\nF48\nEND", "T9w==\n#\nEND"),
        ("a b\nT9wLm2\nF48\nEND", "a b\nT9wLm2\n#\nEND"),
    ]);
}

#[test]
fn without_a_first_or_last_line_rows_of_a_keys_width_are_a_keys() {
    let hash = "9fceb02d0ae598e95dc970b74767f19372d61af89fceb02d0ae598e95dc970b7";
    let capitals = hash.to_uppercase();
    let letters = "abcdefghijABCDEF".repeat(4);
    all(&[
        ("a b\nF64\nF64\nS16\na b", "a b\n#\n#\n#\na b"),
        ("a b\nF64\nF64\nF48\na b", "a b\n#\n#\n#\na b"),
        ("a b\nF64\na b", "a b\nF64\na b"),
        ("a b\nF48\nF48\nF48\na b", "a b\nF48\nF48\nF48\na b"),
        ("a b\nF64\nF48\nF64\na b", "a b\nF64\nF48\nF64\na b"),
        ("a b\nF48\nF64\nF64\na b", "a b\nF48\nF64\nF64\na b"),
        ("F48\nF64\nF64\na b", "#\n#\n#\na b"),
        ("a b\nF64\na b\nF64\na b", "a b\nF64\na b\nF64\na b"),
        ("a b\nF64\n\nF64\na b", "a b\nF64\n\nF64\na b"),
    ]);
    for row in [hash, &capitals, &letters] {
        let text = format!("a b\n{row}\n{row}\n{row}\n");
        all(&[(&text, &text)]);
    }
    // A certificate's lines look the same.
    let far = "a b\n".repeat(8);
    for (lines, is_near) in [(3, true), (5, false)] {
        let between = "a b\n".repeat(lines);
        for text in [
            format!("{far}CERT\n{between}F64\nF64\n"),
            format!("{far}F64\nF64\n{between}CERT\n"),
        ] {
            let left = text.replace("F64", if is_near { "F64" } else { "#" });
            all(&[(&text, &left)]);
        }
    }
}
