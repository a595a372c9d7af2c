//! Terminal escape sequences (ECMA-48), in their 7-bit and 8-bit forms, and characters that nobody
//! sees.

/// Returns the text after the escape sequence that `first` begins, or `None` if it begins none.
/// `rest` is the text after `first`.
pub fn after_sequence(first: char, rest: &str) -> Option<&str> {
    match first {
        '\u{1b}' => Some(after_escape(rest)),
        '\u{9b}' => Some(after_control_sequence(rest)),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => Some(after_control_string(rest)),
        _ => None,
    }
}

/// Returns true if a character is invisible, changes the direction of writing, or ends a line
/// (Unicode's `Default_Ignorable_Code_Point`, the annotations, the separators and the blank of
/// braille).
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the text after a sequence that begins with ESC.
fn after_escape(rest: &str) -> &str {
    let mut chars = rest.chars();
    match chars.next() {
        Some('[') => after_control_sequence(chars.as_str()),
        Some(']' | 'P' | 'X' | '^' | '_') => after_control_string(chars.as_str()),
        // ESC, intermediate bytes, one final byte.
        Some(' '..='/') => {
            let rest = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
            without_first(rest, |c| matches!(c, '0'..='~'))
        }
        Some('0'..='~') => chars.as_str(),
        _ => rest,
    }
}

/// Returns the text after a control sequence (CSI): parameter and intermediate bytes, one final
/// byte.
fn after_control_sequence(rest: &str) -> &str {
    let rest = rest.trim_start_matches(|c| matches!(c, ' '..='?'));
    without_first(rest, |c| matches!(c, '@'..='~'))
}

/// Returns the text after a control string (OSC, DCS and their like), which ends at BEL or ST. It
/// also ends at the end of the line, so that none can hide the lines after it.
fn after_control_string(rest: &str) -> &str {
    let Some(end) = rest.find(['\u{7}', '\u{9c}', '\u{1b}', '\r', '\n']) else {
        return "";
    };
    let end = &rest[end..];
    end.strip_prefix("\u{1b}\\")
        .unwrap_or_else(|| without_first(end, |c| matches!(c, '\u{7}' | '\u{9c}')))
}

/// Returns the text without its first character, if that is one of these.
fn without_first(text: &str, these: impl Fn(char) -> bool) -> &str {
    text.strip_prefix(these).unwrap_or(text)
}
