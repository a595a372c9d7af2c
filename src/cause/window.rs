//! Views of the end of a log. A death is told by its last lines, so the end is read first, and more
//! of the log only if the end cannot tell.

use std::borrow::Cow;

use crate::redact::{LONGEST, REDACTED, Redactor};

/// Lengths of the ends that are read before the whole log, in bytes.
const LENGTHS: [usize; 2] = [64 * 1024, 256 * 1024];
/// Maximum number of lines that are read. In memory a line takes a few hundred bytes, however short
/// it is.
const LINES: usize = 20_000;

/// The end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogWindow<'a> {
    /// Number of lines before all others that are never read.
    dropped: usize,
    log: &'a str,
    /// Where the end begins: at a line.
    from: usize,
}

impl<'a> LogWindow<'a> {
    /// Returns the views of a log, the shortest first. The last is the whole log, or its last
    /// [`LINES`]. One that is more than half of the log would save little.
    pub fn of(log: &'a str) -> impl Iterator<Item = Self> {
        let whole = Self::whole(log);
        let log = whole.log;
        let ends = LENGTHS.into_iter().filter(move |it| log.len() > 2 * it);
        let views = ends.filter_map(move |length| whole.end(length));
        views.chain([whole])
    }

    /// Returns the view of the whole log, or of its last [`LINES`].
    pub fn whole(log: &'a str) -> Self {
        let (dropped, log) = last_lines(log);
        Self {
            dropped,
            log,
            from: 0,
        }
    }

    /// Returns the view of the lines that begin at most this far before the end.
    fn end(self, length: usize) -> Option<Self> {
        let from = next_line(self.log, self.log.len().checked_sub(length)?)?;
        Some(Self { from, ..self })
    }

    /// Returns the log before it, which is not read. Its secrets are in it.
    pub fn above(&self) -> &'a str {
        self.log.get(..self.from).unwrap_or_default()
    }

    /// Returns the lines, without the secrets that the redactor knows.
    pub fn text(&self, redactor: Option<&Redactor>) -> Cow<'a, str> {
        let Some(redactor) = redactor else {
            return self.log.get(self.from..).unwrap_or_default().into();
        };
        // A secret that begins above may end here.
        let margin = self.from.saturating_sub(LONGEST);
        let margin = next_line(self.log, margin).filter(|_| margin > 0);
        let margin = margin.unwrap_or_default().min(self.from);
        let above = breaks(self.log.get(margin..self.from).unwrap_or_default());
        let text = redactor.lines(self.log.get(margin..).unwrap_or_default());
        let Some(last) = above.checked_sub(1) else {
            return text;
        };
        let from = text.match_indices('\n').nth(last).map(|(at, _)| at + 1);
        text.get(from.unwrap_or_default()..)
            .unwrap_or_default()
            .to_owned()
            .into()
    }

    /// Returns the number of the first line, from 1.
    pub fn first_line(&self) -> usize {
        self.dropped + breaks(self.above()) + 1
    }

    /// Returns true if the log above has words of a message, as a message that differs only in its
    /// digits would.
    pub fn may_have_above(&self, message: &str) -> bool {
        let pieces = message.split(|c: char| !(c.is_ascii_alphabetic() || c == ' '));
        let longest = pieces.max_by_key(|piece| piece.len()).unwrap_or_default();
        let is_there = || message.contains(REDACTED) || self.above().contains(longest);
        !self.above().is_empty() && is_there()
    }
}

/// Returns where the line after this place begins.
fn next_line(log: &str, at: usize) -> Option<usize> {
    let rest = log.as_bytes().get(at..)?;
    Some(at + rest.iter().position(|byte| *byte == b'\n')? + 1)
}

/// Returns the last lines of a log, and the number of those before them.
fn last_lines(log: &str) -> (usize, &str) {
    let mut ends = log.rmatch_indices('\n').map(|(at, _)| at + 1);
    // The first is that of the last line.
    let from = ends.nth(LINES).unwrap_or_default();
    let (dropped, text) = log.split_at_checked(from).unwrap_or(("", log));
    (breaks(dropped), text)
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::{LENGTHS, LINES, LogWindow};
    use crate::redact::Redactor;

    #[test]
    fn the_views_of_a_log_begin_at_a_line_and_end_in_the_whole() {
        let words = "x".repeat(100);
        let lines: Vec<_> = (0..LINES).map(|i| format!("line {i} {words}\n")).collect();
        let log = lines.concat();
        let views: Vec<_> = LogWindow::of(&log).collect();
        assert_eq!(views.len(), LENGTHS.len() + 1);
        for view in &views {
            let text = view.text(None);
            let line = text.lines().next().expect("a line");
            assert_eq!(line, format!("line {} {words}", view.first_line() - 1));
            assert_eq!(view.above().len() + text.len(), log.len());
        }
        assert!(views.last().is_some_and(|view| view.text(None) == log));
        let short = "x\n".repeat(LINES);
        assert_eq!(LogWindow::of(&short).count(), 1);
        let one_line = "x".repeat(1 << 20);
        assert_eq!(LogWindow::of(&one_line).count(), 1);
    }

    #[test]
    fn of_the_shortest_lines_only_the_last_are_read() {
        let log = "x\n".repeat(500_000);
        let views: Vec<_> = LogWindow::of(&log).collect();
        for view in views {
            assert_eq!(view.text(None).lines().count(), LINES);
            assert_eq!(view.first_line(), 500_000 - LINES + 1);
        }
    }

    #[test]
    fn a_key_that_begins_above_is_redacted_in_each_view() {
        let row = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj\n";
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}", row.repeat(100));
        let after = "x y\n".repeat(LENGTHS[0] / 4 - 200);
        let log = format!("{}{key}{after}", "before\n".repeat(10_000));
        let redactor = Redactor::default();
        let whole = redactor.lines(&log);
        for view in LogWindow::of(&log) {
            let text = view.text(Some(&redactor));
            assert!(whole.ends_with(text.as_ref()) && !text.contains("MII"));
            let line = whole.lines().nth(view.first_line() - 1);
            assert_eq!(text.lines().next(), line);
        }
    }

    #[test]
    fn words_above_are_found_whatever_their_digits() {
        let log = "12:00 job 7 failed: refused\n";
        let view = LogWindow {
            log,
            from: log.len(),
            ..LogWindow::default()
        };
        assert!(view.may_have_above("job 8 failed: refused"));
        assert!(!view.may_have_above("job 8 is done"));
        assert!(!LogWindow::default().may_have_above(""));
    }
}
