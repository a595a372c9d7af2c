//! Breaks texts into lines. Words are never broken.

use crate::operate::history::table::width;

/// Breaks the text into lines of at most `most` columns of a terminal, of which all but the first
/// begin with `indent` spaces. The first one begins in that column too.
pub fn wrapped(text: &str, most: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if indent + width(line) + 1 + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_no_wider_than_a_terminal_and_words_stay_whole() {
        let text = wrapped(&"word ".repeat(40), 80, 26);
        assert!(
            text.lines().all(|line| line.len() <= 80) && text.lines().count() > 3,
            "{text}"
        );
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with(&" ".repeat(26))),
            "{text}"
        );
        let path = "x".repeat(200);
        assert_eq!(wrapped(&path, 80, 26), path);
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(wrapped("故障 故障 a", 9, 0), "故障 故障\na");
    }
}
