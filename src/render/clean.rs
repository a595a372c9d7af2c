//! Text from outside, made safe to show: it may colour nothing, move no cursor, turn no line
//! around.

use crate::escapes::{after_sequence, is_invisible};

/// Removes what a terminal, a mail reader or an eye would take for more than text.
///
/// These are escape sequences, control characters other than newline and tab, the overrides,
/// embeddings and isolates that turn the direction of writing (UAX #9), and all that is invisible
/// but the joiners and variants of which emoji and some scripts are made. CRLF, a lone CR and
/// Unicode's line and paragraph separators become newlines.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if let Some(after) = after_sequence(c, rest.as_str()) {
            rest = after.chars();
            continue;
        }
        match c {
            '\n' | '\t' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => clean.push(c),
            '\r' => {
                if !rest.as_str().starts_with('\n') {
                    clean.push('\n');
                }
            }
            '\u{2028}' | '\u{2029}' => clean.push('\n'),
            c if c.is_control() || is_invisible(c) => {}
            c => clean.push(c),
        }
    }
    clean
}

/// Returns text from outside as one line of at most `max_chars` characters; a cut shows as `…`.
pub fn one_line(text: &str, max_chars: usize) -> String {
    let line = clean(text).replace(['\n', '\t'], " ");
    super::cut::head(line.trim(), max_chars)
}

#[cfg(test)]
mod tests {
    use super::{clean, one_line};

    #[test]
    fn escape_sequences_leave_only_the_text_between_them() {
        for (hostile, left) in [
            ("\u{1b}[31;1mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}[>4;1mx", "x"),
            ("\u{1b}]0;title\u{7}a", "a"),
            (
                "\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\",
                "link",
            ),
            ("\u{9d}52;c;ZXZpbA==\u{9c}a", "a"),
            ("\u{1b}Pq#0\u{1b}\\a", "a"),
            ("\u{1b}(Ba", "a"),
            ("\u{1b}ca", "a"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}]never ends", ""),
            ("\u{1b}é", "é"),
            ("\u{1b}[3\u{1b}[1mx", "x"),
        ] {
            assert_eq!(clean(hostile), left, "{hostile:?}");
        }
    }

    #[test]
    fn an_unfinished_control_string_hides_no_more_than_its_line() {
        assert_eq!(clean("a\u{1b}]0;hidden\nshown"), "a\nshown");
        assert_eq!(clean("a\u{1b}]0;hidden\u{1b}[31mshown"), "ashown");
    }

    #[test]
    fn control_characters_marks_and_turned_writing_are_gone() {
        assert_eq!(clean("a\0b\u{8}c\u{7f}d\u{85}e\u{feff}f"), "abcdef");
        assert_eq!(
            clean("user \u{202e}txt.exe\u{202c} \u{2066}x\u{2069}"),
            "user txt.exe x"
        );
    }

    #[test]
    fn every_line_end_is_a_newline() {
        assert_eq!(clean("a\r\nb\rc\nd\u{2028}e\r\r\nf"), "a\nb\nc\nd\ne\n\nf");
        assert_eq!(one_line("a\r\nBcc: x@evil\n\tb\n", 100), "a Bcc: x@evil  b");
    }

    #[test]
    fn a_line_is_cut_at_a_character_and_shows_it() {
        assert_eq!(one_line("🦀🦀🦀", 3), "🦀🦀🦀");
        assert_eq!(one_line("🦀🦀🦀🦀", 3), "🦀🦀…");
    }
}
