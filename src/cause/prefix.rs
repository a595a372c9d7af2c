//! Learns from a log what its carrier puts before each line: `web  | `, `web_1  | `, `[web] `,
//! `[pod/x/web] `, `web: `. A program may write such a thing once; before most lines it is the
//! carrier's.

use std::collections::HashMap;

use super::entry::level_named;

/// Number of last lines that are read to learn a prefix.
const SHARE: usize = 60;
/// Minimum number of lines that have the prefix.
const FEWEST: usize = 3;
/// Maximum length of a prefix, in bytes.
const LONGEST: usize = 100;

/// A prefix of one line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Prefix<'a> {
    /// `web  | `: the names of a log's containers differ, and are padded to one width.
    Piped,
    /// `[web] ` or `web: `: the same before each line.
    Named(&'a str),
}

impl<'a> Prefix<'a> {
    /// Returns the possible prefix of a line with its name and its length.
    fn of(text: &'a str) -> Option<(Self, &'a str, usize)> {
        let head = text.get(..text.floor_char_boundary(LONGEST))?;
        let word = head
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || b"_-./@".contains(b))
            .count();
        let (name, rest) = head.split_at(word);
        let padded = rest.trim_start_matches(' ');
        if word > 0 && padded.starts_with('|') && rest.len() - padded.len() < 40 {
            let length = head.len() - padded.len() + 1;
            let space = usize::from(text.get(length..).is_some_and(|it| it.starts_with(' ')));
            return Some((Self::Piped, name, length + space));
        }
        let length = match (head.strip_prefix('['), rest) {
            (Some(inner), _) => 1 + inner.find("] ")? + 2,
            // `web-6f7d8b9c4-jv5nq web ` or `web-6f7d8b9c4-jv5nq › web `, as stern shows pods.
            (None, rest) if name.contains('-') && name.contains(|c: char| c.is_ascii_digit()) => {
                let rest = rest
                    .strip_prefix(" › ")
                    .or_else(|| rest.strip_prefix(' '))?;
                let container = rest.find([' ', '\t'])?;
                let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                if container == 0 || !rest.get(..container)?.bytes().all(is_name) {
                    return None;
                }
                head.len() - rest.len() + container + 1
            }
            (None, rest) if word > 0 && rest.starts_with(": ") => word + 2,
            _ => return None,
        };
        let whole = head.get(..length)?;
        let name = whole.trim_matches(['[', ']', ':', ' ']);
        let is_name = name.contains(|c: char| c.is_ascii_alphabetic())
            && name
                .split(|c: char| !c.is_ascii_alphanumeric())
                .all(|word| level_named(word).is_none());
        is_name.then_some((Self::Named(whole), name, length))
    }
}

/// The prefix of a log.
pub enum Learnt {
    Piped,
    Named(String),
}

/// Learns the prefix that most of the lines have, which come newest first.
pub fn learn<'a>(newest: impl Iterator<Item = &'a str>) -> Option<Learnt> {
    let mut counts: HashMap<Prefix, usize> = HashMap::new();
    let mut all = 0;
    let is_carried = |text: &&str| !text.trim().is_empty() && !is_of_compose(text);
    for text in newest.filter(is_carried).take(SHARE) {
        all += 1;
        if let Some((prefix, ..)) = Prefix::of(text) {
            *counts.entry(prefix).or_default() += 1;
        }
    }
    let (prefix, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count >= FEWEST && count * 10 >= all * 8).then(|| match prefix {
        Prefix::Piped => Learnt::Piped,
        Prefix::Named(whole) => Learnt::Named(whole.to_owned()),
    })
}

/// Returns true if Docker Compose says that a container has ended. It puts no prefix before that.
pub fn is_of_compose(text: &str) -> bool {
    ended(text).is_some()
}

/// Returns the container that Docker Compose says has ended, and the exit code.
pub fn ended(text: &str) -> Option<(&str, &str)> {
    let (name, code) = text.split_once(" exited with code ")?;
    (!name.contains(' ')).then(|| (container(name), code.trim_end()))
}

impl Learnt {
    /// Returns the length of the prefix in a line that has it, and the name of the container.
    pub fn find<'a>(&self, text: &'a str) -> Option<(usize, Option<&'a str>)> {
        let (prefix, name, length) = Prefix::of(text)?;
        match (prefix, self) {
            (Prefix::Piped, Self::Piped) => Some((length, Some(container(name)))),
            (Prefix::Named(it), Self::Named(whole)) if it == whole => Some((length, None)),
            _ => None,
        }
    }
}

/// Returns a container's name without its number: `web` of `web_1`.
fn container(name: &str) -> &str {
    let number = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match number.strip_suffix(['_', '-']) {
        Some(service) if number.len() < name.len() && !service.is_empty() => service,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::learn;

    /// Returns the lines without their prefix, with the name of the container of the last one.
    fn removed(log: &[&str]) -> (Vec<String>, Option<String>) {
        let learnt = learn(log.iter().rev().copied());
        let (mut lines, mut container) = (Vec::new(), None);
        for text in log {
            let found = learnt.as_ref().and_then(|learnt| learnt.find(text));
            let (length, name) = found.unwrap_or_default();
            lines.push(text[length..].to_owned());
            container = name.map(str::to_owned);
        }
        (lines, container)
    }

    #[test]
    fn what_stands_before_most_lines_is_the_carriers() {
        for prefix in [
            "web  | ",
            "web_1  | ",
            "[web] ",
            "[pod/web-7c9-x/web] ",
            "web: ",
            "a.b/c | ",
        ] {
            let log = ["one", "two: 2", "    at three", "four"].map(|it| format!("{prefix}{it}"));
            let log: Vec<&str> = log.iter().map(String::as_str).collect();
            let (lines, _) = removed(&log);
            assert_eq!(lines, ["one", "two: 2", "    at three", "four"], "{prefix}");
        }
    }

    #[test]
    fn containers_of_many_names_are_known_by_their_bars() {
        let (lines, container) = removed(&["web_1  | a", "db_1   | b", "cache  |", "db_1   | c"]);
        assert_eq!(lines, ["a", "b", "", "c"]);
        assert_eq!(container.as_deref(), Some("db"));
        // A line of the carrier itself stays as it is.
        let (lines, _) = removed(&["web | a", "web | b", "web | c", "web | d", "web exited"]);
        assert_eq!(lines[4], "web exited");
    }

    #[test]
    fn a_level_or_a_word_of_few_lines_is_the_programs() {
        for log in [
            ["ERROR: a", "ERROR: b", "ERROR: c"],
            ["[error] a", "[error] b", "[error] c"],
            ["[22/Nov] a", "[23/Nov] b", "[24/Nov] c"],
            ["web: a", "web: b", "c"],
            ["42: a", "42: b", "42: c"],
        ] {
            assert_eq!(removed(&log).0, log);
        }
        assert_eq!(removed(&["web: a", "web: b"]).0, ["web: a", "web: b"]);
    }
}
