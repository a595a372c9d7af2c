//! JSON that a terminal shows as it is: `--json` is read by people too, and a job's name or a log's
//! line may hold anything.

use std::fmt::Write;

use crate::escapes::is_invisible;

/// Escapes what a terminal would obey, or an eye would not see, in JSON. Such characters stand in
/// strings only, and to a program that reads them they stay the same.
pub fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmless(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

fn is_harmless(c: char) -> bool {
    // Newlines stand between the values.
    c == '\n' || !(c.is_control() || is_invisible(c))
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_terminal_sees_no_control_and_a_program_sees_no_difference() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}txt.exe\u{2066}\u{feff}\u{e0041}\u{e0100}\
                       \u{3164}\"\\\n\té🦀";
        let value = serde_json::json!({ "name": hostile, "list": [1, hostile] });
        for json in [value.to_string(), format!("{value:#}")] {
            let shown = escaped(&json);
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(read, value);
            assert!(shown.contains(r"\u202etxt.exe"), "{shown}");
            assert!(shown.contains(r"\udb40\udc41\udb40\udd00\u3164"), "{shown}");
            assert!(shown.contains("é🦀"), "{shown}");
            assert!(
                !shown.contains(|c: char| c.is_control() && c != '\n'),
                "{shown}"
            );
        }
    }
}
