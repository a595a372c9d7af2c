//! Numbers of crashes in words, and the causes of those that a message tells of together.

use super::clean::one_line;
use crate::report::{CauseCount, Kind, Report};

/// Maximum number of causes that are shown with their lines.
const SHOWN: usize = 5;
/// Maximum length of a cause's line, in characters.
const LINE: usize = 120;

/// Returns `347 times`.
pub fn times(count: u64) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

/// Returns the causes with their numbers, in lines: those with the most crashes, and how many there
/// are beside them.
pub fn lines(report: &Report) -> Vec<String> {
    if !matches!(report.kind, Kind::Summary { .. } | Kind::Recovered { .. }) {
        return Vec::new();
    }
    let line = |cause: &CauseCount| {
        let times = times(cause.crashes.count);
        format!("{times}: {}", one_line(&cause.line, LINE))
    };
    let (shown, rest) = report.causes.split_at(SHOWN.min(report.causes.len()));
    let mut lines: Vec<_> = shown.iter().map(line).collect();
    let count = rest.iter().map(|cause| cause.crashes.count);
    if !rest.is_empty() {
        let count = count.fold(0, u64::saturating_add);
        lines.push(format!("{}: of {}", times(count), others(rest)));
    }
    lines
}

/// Returns `, and 35 other causes`: what a title says beside the first; nothing if there are none.
pub fn beside_the_first(causes: &[CauseCount]) -> String {
    match causes {
        [] | [_] => String::new(),
        [_, rest @ ..] => format!(", and {}", others(rest)),
    }
}

/// Returns `35 other causes`. The last may stand for several.
fn others(causes: &[CauseCount]) -> String {
    let is_more = causes
        .last()
        .is_some_and(|last| last.fingerprint.is_empty());
    match causes.len() {
        1 if is_more => "other causes".to_owned(),
        1 => "1 other cause".to_owned(),
        count if is_more => format!("more than {count} other causes"),
        count => format!("{count} other causes"),
    }
}

#[cfg(test)]
mod tests {
    use super::{beside_the_first, lines};
    use crate::report::{CauseCount, Death, Kind, Report, Series, sample};

    fn causes(counts: &[u64]) -> Report {
        let mut report = sample();
        let new = Series::one(report.stop.stopped_at);
        report.kind = Kind::Summary {
            new,
            all: new,
            instances: 1,
            made_at: new.last,
        };
        let cause = |(n, count): (usize, &u64)| CauseCount {
            kind: Death::UncaughtException,
            line: format!("Error: {n}"),
            fingerprint: format!("{n:016x}"),
            crashes: Series {
                count: *count,
                ..new
            },
        };
        report.causes = counts.iter().enumerate().map(cause).collect();
        report
    }

    #[test]
    fn the_first_causes_are_shown_and_the_others_are_counted() {
        assert_eq!(
            lines(&causes(&[3, 1])),
            ["3 times: Error: 0", "once: Error: 1"]
        );
        let mut many = causes(&[9, 8, 7, 6, 5, 4, 3]);
        assert_eq!(
            lines(&many)[4..],
            ["5 times: Error: 4", "7 times: of 2 other causes"]
        );
        many.causes[6].fingerprint.clear();
        assert_eq!(lines(&many)[5], "7 times: of more than 2 other causes");
        many.kind = Kind::Crash;
        assert_eq!(lines(&many), [""; 0]);
    }

    #[test]
    fn a_title_says_how_many_causes_there_are_beside_the_first() {
        for (counts, expected) in [
            (&[3_u64][..], ""),
            (&[3, 2], ", and 1 other cause"),
            (&[3, 2, 1], ", and 2 other causes"),
        ] {
            assert_eq!(beside_the_first(&causes(counts).causes), expected);
        }
    }
}
