//! The patterns of `redact`. They are read from the parsed text, so that a mistake elsewhere in a
//! file puts no secret into a report.

use std::ops::Range;

use toml::de::DeTable;

use super::problem::{Problem, Severity, Source};
use crate::redact::Pattern;

/// Maximum number of patterns in one table.
const MAX: usize = 50;

/// The patterns of one table, and what is wrong with them.
#[derive(Default)]
pub struct Patterns {
    pub good: Vec<Pattern>,
    wrong: Vec<(Range<usize>, String)>,
}

impl Patterns {
    pub fn of(table: &DeTable) -> Self {
        let mut patterns = Self::default();
        let list = table
            .get("redact")
            .and_then(|list| list.get_ref().as_array());
        for (i, item) in list.into_iter().flat_map(|list| list.iter()).enumerate() {
            // Anything but a string is one of the type errors.
            let Some(text) = item.get_ref().as_str() else {
                continue;
            };
            match Pattern::new(text) {
                _ if i >= MAX => {
                    patterns.wrong.push((
                        item.span(),
                        format!("expected at most {MAX} patterns, found more"),
                    ));
                    break;
                }
                Ok(pattern) => patterns.good.push(pattern),
                Err(why) => patterns.wrong.push((item.span(), why)),
            }
        }
        patterns
    }

    /// Returns what is wrong with the patterns.
    pub fn problems(&self, source: &Source) -> Vec<Problem> {
        let help = Some("the syntax is that of https://docs.rs/regex, without Unicode classes");
        self.wrong
            .iter()
            .map(|(span, why)| source.problem(span, Severity::Error, why, help))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::tests::{SINK, config, told};

    const TEXT: &str = "customer 42, card 7, ticket 9";

    #[test]
    fn a_jobs_patterns_are_added_to_those_of_the_machine() {
        let machine = format!("{SINK}[default]\nredact = ['customer (\\d+)']\n");
        let dir = config(&[
            ("lastwords.toml", &machine),
            ("jobs/web.toml", "redact = ['card \\d']"),
        ]);
        let loaded = load(dir.path(), "web");
        assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
        assert_eq!(
            loaded.redactor.text(TEXT),
            "customer [redacted], [redacted], ticket 9"
        );
        assert_eq!(
            load(dir.path(), "db").redactor.text(TEXT),
            "customer [redacted], card 7, ticket 9"
        );
    }

    #[test]
    fn a_bad_pattern_is_told_with_its_place_and_takes_no_other_with_it() {
        let job =
            "redact = [\n  'card \\d',\n  '(',\n  7,\n  'ticket \\d',\n]\nsinks = 1\nbroken\n";
        let dir = config(&[("lastwords.toml", SINK), ("jobs/web.toml", job)]);
        let loaded = load(dir.path(), "web");
        let told = told(dir.path(), &loaded.problems);
        let expected = "jobs/web.toml:3:3: expected a regular expression, but unclosed group (the syntax is that of \
                        https://docs.rs/regex, without Unicode classes)";
        assert!(told.iter().any(|line| line == expected), "{told:?}");
        assert_eq!(
            loaded.redactor.text(TEXT),
            "customer 42, [redacted], [redacted]"
        );
    }
}
