//! The shapes of lines, and of several lines in a row.

use crate::cause::text::LogLine;

/// Returns true if a text has one of these shapes. `…` in a shape stands for any text, as in `…
/// had compilation errors.`
pub fn is_like(text: &str, shapes: &[&str]) -> bool {
    shapes.iter().any(|shape| has_shape(text, shape))
}

fn has_shape(text: &str, shape: &str) -> bool {
    let mut parts = shape.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Returns the lines below a line.
pub fn below(lines: &[LogLine], at: usize) -> &[LogLine] {
    lines.get(at + 1..).unwrap_or_default()
}

/// Returns the line after those that belong together, from this line on.
pub fn past(lines: &[LogLine], from: usize, belongs: impl Fn(&LogLine) -> bool) -> usize {
    past_most(lines, from, usize::MAX, belongs)
}

/// Returns the line after those that belong together, from this line on: so many at most.
pub fn past_most(
    lines: &[LogLine],
    from: usize,
    most: usize,
    belongs: impl Fn(&LogLine) -> bool,
) -> usize {
    let rest = lines.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .take(most)
        .take_while(|line| belongs(line))
        .count()
}

/// Splits a text after the number that it begins with.
pub fn number(text: &str) -> Option<(u32, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_shape_fits_the_whole_text() {
        for (text, shape, fits) in [
            ("", "", true),
            ("a", "", false),
            ("abc", "abc", true),
            ("abcd", "abc", false),
            ("abcd", "abc…", true),
            ("abcd", "…cd", true),
            ("abcd", "…c", false),
            ("abcd", "a…d", true),
            ("a", "a…a", false),
            ("a b c d", "…b…c…", true),
            ("a c b d", "…b…c…", false),
        ] {
            assert_eq!(is_like(text, &[shape]), fits, "{text} {shape}");
        }
    }
}
