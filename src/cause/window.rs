//! Views of the end of a log. A death is told by its last lines, so the end is read first, and more
//! of the log only if the end cannot tell.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::redact::{REDACTED, Redactor};

/// Lengths of the ends that are read before the whole log, in bytes.
const LENGTHS: [usize; 2] = [64 * 1024, 256 * 1024];
/// Maximum number of lines that are read. In memory a line takes a few hundred bytes, however short
/// it is.
const LINES: usize = 20_000;

/// The end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogWindow<'a> {
    /// Where its text begins in the whole log.
    pub start: usize,
    /// Number of lines before all others that are never read.
    pub dropped: usize,
    /// The log before it, which is not read.
    pub above: &'a str,
    /// Whole lines.
    pub text: &'a str,
}

impl<'a> LogWindow<'a> {
    /// Returns the views of a log, the shortest first. The last is the whole log, or its last
    /// [`LINES`]. One that is more than half of the log would save little.
    pub fn of(log: &'a str) -> impl Iterator<Item = Self> {
        let start = last_lines(log);
        let (dropped, log) = log.split_at_checked(start).unwrap_or(("", log));
        let whole = Self {
            start,
            dropped: breaks(dropped),
            above: "",
            text: log,
        };
        let ends = LENGTHS.into_iter().filter(move |it| log.len() > 2 * it);
        let views = ends.filter_map(move |length| whole.end(length));
        views.chain([whole])
    }

    /// Returns the view of the lines that begin at most this far before the end.
    fn end(self, length: usize) -> Option<Self> {
        let from = self.text.len().checked_sub(length)?;
        let line = self
            .text
            .bytes()
            .skip(from)
            .position(|byte| byte == b'\n')?
            + 1;
        let (above, text) = self.text.split_at_checked(from + line)?;
        Some(Self {
            start: self.start + above.len(),
            above,
            text,
            ..self
        })
    }

    /// Returns the number of the first line, from 1.
    pub fn first_line(&self) -> usize {
        self.dropped + breaks(self.above) + 1
    }

    /// Returns the lines without their secrets. The view is one of this log; `whole` keeps the
    /// whole log without its secrets, which some views take.
    pub fn redacted<'t>(
        &self,
        log: &'t str,
        redactor: &Redactor,
        whole: &'t OnceCell<Cow<'t, str>>,
    ) -> Cow<'t, str> {
        if whole.get().is_none()
            && let Some(end) = redactor.lines_from(log, self.start)
        {
            return end;
        }
        let whole = whole.get_or_init(|| redactor.lines(log));
        let above = whole.split_inclusive('\n').take(self.first_line() - 1);
        let above = above.map(str::len).sum();
        whole.get(above..).unwrap_or_default().into()
    }

    /// Returns true if the log above has words of a message, as a message that differs only in its
    /// digits would. Nobody knows which words stood in the place of a secret.
    pub fn may_have_above(&self, message: &str) -> bool {
        let pieces = message.split(|c: char| !(c.is_ascii_alphabetic() || c == ' '));
        let longest = pieces.max_by_key(|piece| piece.len()).unwrap_or_default();
        let is_there = self.above.contains(longest) || message.contains(REDACTED);
        is_there && !self.above.is_empty()
    }
}

/// Returns where the last [`LINES`] of a log begin.
fn last_lines(log: &str) -> usize {
    let mut ends = log.rmatch_indices('\n').map(|(at, _)| at + 1);
    // The first is that of the last line.
    ends.nth(LINES).unwrap_or_default()
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::{LENGTHS, LINES, LogWindow};

    #[test]
    fn the_views_of_a_log_begin_at_a_line_and_end_in_the_whole() {
        let words = "x".repeat(100);
        let lines: Vec<_> = (0..LINES).map(|i| format!("line {i} {words}\n")).collect();
        let log = lines.concat();
        let views: Vec<_> = LogWindow::of(&log).collect();
        assert_eq!(views.len(), LENGTHS.len() + 1);
        for view in &views {
            let line = view.text.lines().next().expect("a line");
            assert_eq!(line, format!("line {} {words}", view.first_line() - 1));
            assert_eq!(view.above.len() + view.text.len(), log.len());
        }
        assert_eq!(views.last().map(|view| view.text), Some(log.as_str()));
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
            assert_eq!(view.text.lines().count(), LINES);
            assert_eq!(view.first_line(), 500_000 - LINES + 1);
        }
    }

    #[test]
    fn words_above_are_found_whatever_their_digits() {
        let view = LogWindow {
            above: "12:00 job 7 failed: refused\n",
            ..LogWindow::default()
        };
        assert!(view.may_have_above("job 8 failed: refused"));
        assert!(!view.may_have_above("job 8 is done"));
        assert!(!LogWindow::default().may_have_above(""));
    }
}
