//! Cuts text to a length: never within a character, and always so that the cut shows.

/// Maximum length of one line of a message, in characters.
pub const LINE: usize = 500;

/// Stands where text was cut out.
const CUT: char = '…';

/// Returns the beginning of a text, at most `max` characters.
pub fn head(text: &str, max: usize) -> String {
    head_by(text, max, |_| 1)
}

/// Returns the beginning of a text, for a total cost of at most `max`. `cost` is the cost of a
/// character. The mark of a cut costs 1; it is left out only if `max` is 0.
pub fn head_by(text: &str, max: usize, cost: impl Fn(char) -> usize) -> String {
    let Some(_) = first_beyond(text.char_indices(), max, &cost) else {
        return text.to_owned();
    };
    if max == 0 {
        return String::new();
    }
    let end = first_beyond(text.char_indices(), max - 1, &cost).unwrap_or(text.len());
    format!("{}{CUT}", &text[..end])
}

/// Returns the last lines of a text, for a total cost of at most `max`. `cost` is the cost of a
/// character. These are whole lines below a line that shows the cut; if not even the last line
/// fits, it is the end of that line.
pub fn tail_by(text: &str, max: usize, cost: impl Fn(char) -> usize) -> String {
    if first_beyond(text.char_indices().rev(), max, &cost).is_none() {
        return text.to_owned();
    }
    // The mark and its newline cost 2, or more if `cost` says so for a newline.
    let mark = 1 + cost('\n');
    if let Some(lines) = max
        .checked_sub(mark)
        .and_then(|max| last_lines(text, max, &cost))
    {
        return format!("{CUT}\n{lines}");
    }
    if max == 0 {
        return String::new();
    }
    let start = first_beyond(text.char_indices().rev(), max - 1, &cost).map_or(0, |at| {
        at + text[at..].chars().next().map_or(0, char::len_utf8)
    });
    format!("{CUT}{}", &text[start..])
}

/// Returns as many whole lines from the end as `max` pays for; `None` if that is not even one.
fn last_lines(text: &str, max: usize, cost: impl Fn(char) -> usize) -> Option<&str> {
    let beyond = first_beyond(text.char_indices().rev(), max, cost)?;
    let lines = &text[beyond + text[beyond..].find('\n')? + 1..];
    (!lines.is_empty()).then_some(lines)
}

/// Returns the position of the first character that `max` no longer pays for.
fn first_beyond(
    chars: impl Iterator<Item = (usize, char)>,
    max: usize,
    cost: impl Fn(char) -> usize,
) -> Option<usize> {
    let mut sum = 0;
    for (at, c) in chars {
        sum += cost(c);
        if sum > max {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{head, head_by, tail_by};

    fn tail(text: &str, max: usize) -> String {
        tail_by(text, max, |_| 1)
    }

    #[test]
    fn what_fits_exactly_is_left_alone_and_one_more_is_cut() {
        assert_eq!(head("abcd", 4), "abcd");
        assert_eq!(head("abcde", 4), "abc…");
        assert_eq!(tail("ab\ncd", 5), "ab\ncd");
        assert_eq!(tail("xab\ncd", 5), "…\ncd");
    }

    #[test]
    fn a_tail_keeps_the_last_whole_lines() {
        assert_eq!(tail("one\ntwo\nthree\nfour", 12), "…\nthree\nfour");
        assert_eq!(tail("one\ntwo\nthree\nfour", 11), "…\nfour");
        assert_eq!(tail("one\ntwo\n", 5), "…two\n");
    }

    #[test]
    fn of_a_last_line_that_is_too_long_its_end_is_kept() {
        assert_eq!(tail("one\n🦀🦀🦀🦀🦀", 4), "…🦀🦀🦀");
        assert_eq!(tail("abcdefgh", 1), "…");
        assert_eq!(tail("abcdefgh", 0), "");
        assert_eq!(head("abcdefgh", 1), "…");
        assert_eq!(head("abcdefgh", 0), "");
    }

    #[test]
    fn dear_characters_are_paid_for_in_full() {
        let cost = |c| if c == '&' { 5 } else { 1 };
        assert_eq!(head_by("a&b", 7, cost), "a&b");
        assert_eq!(head_by("a&bc", 7, cost), "a&…");
        assert_eq!(head_by("a&bc", 6, cost), "a…");
        assert_eq!(tail_by("bc&a", 7, cost), "…&a");
        assert_eq!(tail_by("bc&a", 6, cost), "…a");
    }
}
