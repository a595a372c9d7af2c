//! JSON that a terminal shows as it is: `--json` is read by people too, and a job's name or a log's
//! line may hold anything.

use std::fmt::Write;

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

/// Returns false for control characters, and for those that are invisible or change the direction
/// of writing.
fn is_harmless(c: char) -> bool {
    let is_hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    // Newlines stand between the values.
    c == '\n' || !(c.is_control() || is_hidden)
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_terminal_sees_no_control_and_a_program_sees_no_difference() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}txt.exe\u{2066}\u{feff}\u{e0041}\"\\\n\té🦀";
        let value = serde_json::json!({ "name": hostile, "list": [1, hostile] });
        for json in [value.to_string(), format!("{value:#}")] {
            let shown = escaped(&json);
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(read, value);
            assert!(shown.contains(r"\u202etxt.exe"), "{shown}");
            assert!(shown.contains(r"\udb40\udc41"), "{shown}");
            assert!(shown.contains("é🦀"), "{shown}");
            assert!(
                !shown.contains(|c: char| c.is_control() && c != '\n'),
                "{shown}"
            );
        }
    }
}
