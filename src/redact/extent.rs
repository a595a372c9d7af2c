//! Finds where a value ends.
//!
//! Each function reads its value once. The walk goes on behind what was read, so all of them
//! together read a text once.

use std::ops::Range;

/// How far to look for the name of a next value, in bytes.
const LONGEST_NAME: usize = 64;
/// Most quotes and backslashes around a name.
const MOST_QUOTES: usize = 8;

/// Returns one value: the text in quotes, or a word.
pub fn value(text: &[u8], at: usize) -> Range<usize> {
    quoted(text, at).unwrap_or_else(|| word(text, at))
}

/// Returns a value that goes on to the end of its line, unless it is in quotes.
pub fn line(text: &[u8], at: usize) -> Range<usize> {
    quoted(text, at).unwrap_or_else(|| {
        let end = skip(text, at, |byte| byte != b'\n');
        at..at + text.get(at..end).unwrap_or_default().trim_ascii_end().len()
    })
}

/// Returns a header's value with its spaces, up to the quote or the bracket around the header.
pub fn header(text: &[u8], at: usize) -> Range<usize> {
    let ends = |i: usize| match text.get(i) {
        None | Some(b'\n' | b'\r') => true,
        Some(b'"' | b'\'' | b'`') => match text.get(i + 1) {
            // In `username="u", realm="r"` the quotes are the value's own.
            Some(b',') => {
                let next = skip(text, i + 2, |byte| byte == b' ').min(i + 2 + MOST_QUOTES);
                matches!(text.get(next), None | Some(b'"' | b'\'' | b'\n'))
            }
            next => next.is_none_or(|byte| byte.is_ascii_whitespace() || b")]}".contains(byte)),
        },
        Some(b'\\') => matches!(text.get(i + 1), Some(b'n' | b'r')),
        _ => false,
    };
    at..(at..text.len()).find(|i| ends(*i)).unwrap_or(text.len())
}

/// Returns the items of the list whose bracket opens before `at`, and where the list ends. They are
/// in quotes, or words: `["a", "b"]`, `[a b]`.
pub fn list(text: &[u8], at: usize) -> (Vec<Range<usize>>, usize) {
    let mut items = Vec::new();
    let mut at = at;
    loop {
        at = skip(text, at, |byte| byte.is_ascii_whitespace() || byte == b',');
        let item = quoted(text, at).unwrap_or_else(|| {
            at..skip(text, at, |byte| {
                !byte.is_ascii_whitespace() && !b"],}\"'".contains(&byte)
            })
        });
        let is_item = !item.is_empty() && !b"{[".contains(text.get(item.start).unwrap_or(&b'['));
        if !is_item {
            return (items, at);
        }
        at = skip(text, item.end, |byte| b"\\\"'`".contains(&byte));
        // A list of words ends on its line.
        if item.end == at && text.get(at) == Some(&b'\n') {
            items.push(item);
            return (items, at);
        }
        items.push(item);
    }
}

/// Returns the indented lines of the block of YAML that begins at `at` with `|` or `>`.
pub fn block(text: &[u8], at: usize) -> Option<Range<usize>> {
    text.get(at).filter(|byte| b"|>".contains(byte))?;
    let start = skip(text, at + 1, |byte| b"+-0123456789 \t\r".contains(&byte)) + 1;
    text.get(start - 1).filter(|byte| **byte == b'\n')?;
    let lines = text.get(start..)?.split_inclusive(|byte| *byte == b'\n');
    let end = start
        + lines
            .take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t"))
            .map(<[u8]>::len)
            .sum::<usize>();
    let start = skip(text, start, |byte| byte.is_ascii_whitespace()).min(end);
    let end = start + text.get(start..end)?.trim_ascii_end().len();
    (start < end).then_some(start..end)
}

/// Returns the text in the quotes that open at `at`; in a JSON text within a JSON text these are
/// `\"`. Quotes that are not closed go to the end of the line.
pub fn quoted(text: &[u8], at: usize) -> Option<Range<usize>> {
    let (start, quote, depth) = opening(text, at)?;
    let mut backslashes = 0;
    for (i, byte) in text.iter().enumerate().skip(start) {
        match *byte {
            b'\\' => backslashes += 1,
            b'\n' => return Some(start..i),
            byte if byte == quote && backslashes % (2 * depth + 2) == depth => {
                return Some(start..i - depth);
            }
            _ => backslashes = 0,
        }
    }
    Some(start..text.len())
}

/// Returns the position after the quotes that open at `at`, the quote, and the number of
/// backslashes before it.
fn opening(text: &[u8], at: usize) -> Option<(usize, u8, usize)> {
    let window = text
        .get(..text.len().min(at + MOST_QUOTES))
        .unwrap_or_default();
    let depth = skip(window, at, |byte| byte == b'\\') - at.min(window.len());
    let quote = *text.get(at + depth).filter(|byte| b"\"'`".contains(byte))?;
    Some((at + depth + 1, quote, depth))
}

/// Returns the position after the quotes that open at `at`, or `at`.
pub fn inside(text: &[u8], at: usize) -> usize {
    opening(text, at).map_or(at, |(start, ..)| start)
}

/// Returns a value without quotes, up to a space or to the name of a next value.
fn word(text: &[u8], start: usize) -> Range<usize> {
    let mut i = start;
    while let Some(byte) = text.get(i) {
        match byte {
            0..=b' ' | 0x7f => break,
            // The end of an element
            b'<' if text.get(i + 1) == Some(&b'/') => break,
            b',' | b'&' | b';' if names_next(text, i + 1) => break,
            b'%' if text.get(i..).is_some_and(|rest| rest.starts_with(b"%26")) => break,
            b'"' | b'\'' | b'`' if closes(text, i) => break,
            // `Some("a b")`
            b'"' | b'\'' | b'`' if i > start && text.get(i - 1) == Some(&b'(') => {
                return value(text, i);
            }
            b'\\' => {
                let quote = skip(text, i, |byte| byte == b'\\');
                if matches!(text.get(quote), Some(b'"' | b'\'' | b'`')) && closes(text, quote) {
                    break;
                }
                i = quote;
            }
            _ => i += 1,
        }
    }
    let i = i.min(text.len());
    let found = text.get(start..i).unwrap_or_default();
    let trailing = found
        .iter()
        .rev()
        .take_while(|byte| b")]},;.:>\"'`".contains(byte))
        .count();
    start..i - trailing
}

/// Returns true if the quote at `at` ends a value.
fn closes(text: &[u8], at: usize) -> bool {
    text.get(at + 1)
        .is_none_or(|byte| byte.is_ascii_whitespace() || b",;)]}:>\\\"'&".contains(byte))
}

/// Returns true if `name=` or `"name":` stands at `at`.
fn names_next(text: &[u8], at: usize) -> bool {
    let window = text
        .get(..text.len().min(at + MOST_QUOTES + LONGEST_NAME))
        .unwrap_or_default();
    let quotes = |byte| matches!(byte, b'\\' | b'"' | b'\'');
    let start = skip(window, at, |byte| byte == b' ' || quotes(byte));
    let end = skip(window, start, |byte| {
        byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
    });
    let after = skip(window, end, quotes);
    end > start && matches!(window.get(after), Some(b'=' | b':'))
}

/// Returns the first position from `at` on whose byte is none of these.
pub fn skip(text: &[u8], at: usize, these: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at.min(text.len()) + rest.iter().take_while(|byte| these(**byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what a reader takes from texts; the value begins at `^`.
    fn takes(read: impl Fn(&[u8], usize) -> Range<usize>, cases: &[(&str, &str)]) {
        for (marked, expected) in cases {
            let at = marked.find('^').unwrap();
            let text = marked.replacen('^', "", 1);
            let found = read(text.as_bytes(), at);
            assert_eq!(text.get(found), Some(*expected), "{marked}");
        }
    }

    #[test]
    fn a_value_is_a_word_or_stands_in_quotes() {
        takes(
            value,
            &[
                ("a=^b c", "b"),
                ("a=^b", "b"),
                ("a=^b\tc", "b"),
                ("a=^", ""),
                ("a=^b\x7fc", "b"),
                ("a=^\"b c\" d", "b c"),
                ("a=^'b c' d", "b c"),
                ("a=^`b c` d", "b c"),
                ("a=^b<c", "b<c"),
                ("<a>^b</a>", "b"),
                ("a=^b%26c", "b"),
                ("a=^b%2fc", "b%2fc"),
                ("a=^b,c", "b,c"),
                ("a=^b,c=d", "b"),
                ("a=^b&c=d", "b"),
                ("a=^b;c=d", "b"),
                ("a=^b, \"c\":d", "b"),
                ("a=^b,c", "b,c"),
                ("a=^b,=", "b,="),
                ("a=^b|c=d", "b|c=d"),
                ("(a=^b)", "b"),
                ("{a=^b}.", "b"),
                ("a=^b\"c d", "b\"c"),
                ("\"a=^b\" c", "b"),
                ("\"a=^b\", c", "b"),
                ("\"a=^b\",c d", "b"),
                ("\\\"a=^b\\\" c", "b"),
                ("a=^b\\c d", "b\\c"),
                ("a=^b\\\\\\\\c d", "b\\\\\\\\c"),
                ("a=^Some(\"b c\") d", "b c"),
                ("a=^Some('b c", "b c"),
                ("a=^(\"b c\")", "b c"),
            ],
        );
    }

    #[test]
    fn quotes_close_at_their_own_depth_or_at_the_lines_end() {
        takes(
            |text, at| quoted(text, at).unwrap_or(at..at),
            &[
                ("^\"b\\\"c\" d", "b\\\"c"),
                ("^\"b\\\\\" d", "b\\\\"),
                ("^\\\"b c\\\" d", "b c"),
                ("^\\\"b\\\\\\\"c\\\" d", "b\\\\\\\"c"),
                ("^\"b c\nd\"", "b c"),
                ("^\"b c", "b c"),
                ("^\"\"", ""),
                ("^b", ""),
                ("^\\b", ""),
                ("^\\\\\\\\\\\\\\\"b\\\\\\\\\\\\\\\" c", "b"),
                ("^\\\\\\\\\\\\\\\\\\\"b", ""),
            ],
        );
        assert_eq!(
            (inside(b"\\\"b", 0), inside(b"\"b", 0), inside(b"b", 0)),
            (2, 1, 0)
        );
    }

    #[test]
    fn a_line_ends_before_its_last_spaces_and_a_header_at_its_quote() {
        takes(
            line,
            &[
                ("a: ^b c \nd", "b c"),
                ("a: ^b c", "b c"),
                ("a: ^'b c' d\n", "b c"),
            ],
        );
        takes(
            header,
            &[
                ("a: ^b c\nd", "b c"),
                ("a: ^b c\r\nd", "b c"),
                ("a: ^b c", "b c"),
                ("'a: ^b c' d", "b c"),
                ("'a: ^b c'", "b c"),
                ("('a: ^b c')", "b c"),
                ("'a: ^b c', 'd'", "b c"),
                ("'a: ^b c',\n", "b c"),
                // Eight spaces, and more
                ("'a: ^b c',        'd'", "b c"),
                ("'a: ^b c',            'd'", "b c',            'd"),
                ("a: ^b=\"c\", d=\"e\"\n", "b=\"c\", d=\"e"),
                ("a: ^b \"c\"d\n", "b \"c\"d"),
                ("a: ^b\\nc", "b"),
                ("a: ^b\\rc", "b"),
                ("a: ^b\\xc", "b\\xc"),
            ],
        );
    }

    #[test]
    fn a_list_has_words_or_quotes_and_ends_at_its_bracket() {
        for (text, items, rest) in [
            ("'a', \"b c\"] d", &["a", "b c"][..], "] d"),
            ("a b] c", &["a", "b"], "] c"),
            ("a,b] c", &["a", "b"], "] c"),
            ("\n  'a',\n  'b'\n] c", &["a", "b"], "] c"),
            ("a\nb] c", &["a"], "\nb] c"),
            ("\\\"a\\\",\\\"b\\\"] c", &["a", "b"], "] c"),
            ("{a} b] c", &[], "{a} b] c"),
            ("[a] b] c", &[], "[a] b] c"),
            ("] c", &[], "] c"),
            ("", &[], ""),
        ] {
            let (found, end) = list(text.as_bytes(), 0);
            let found: Vec<&str> = found.into_iter().map(|item| &text[item]).collect();
            assert_eq!((&found[..], &text[end..]), (items, rest), "{text}");
        }
    }

    #[test]
    fn a_block_of_yaml_is_its_indented_lines() {
        for (text, expected) in [
            ("|\n  a\n  b\nc", Some("a\n  b")),
            (">-\n\ta\n", Some("a")),
            ("|2 \r\n a", Some("a")),
            ("|\nc", None),
            ("|\n \nc", None),
            ("|x\n a", None),
            ("|", None),
            ("a\n b", None),
        ] {
            let found = block(text.as_bytes(), 0).map(|found| &text[found]);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_next_name_is_seen_behind_quotes_and_up_to_its_longest() {
        for (text, expected) in [
            ("a=b", true),
            ("a: b", true),
            (" a=b", true),
            ("\\\"a\\\": b", true),
            ("a.b-c_d=e", true),
            ("a b=c", false),
            ("=b", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(names_next(text.as_bytes(), 0), expected, "{text}");
        }
        let name = |length: usize| format!("{}=", "a".repeat(length));
        let longest = LONGEST_NAME + MOST_QUOTES - 1;
        assert!(names_next(name(longest).as_bytes(), 0));
        assert!(!names_next(name(longest + 1).as_bytes(), 0));
    }
}
