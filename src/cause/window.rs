//! Views of the end of a log. A death is told by its last lines, so the end is read first, and more
//! of the log only if the end cannot tell.

/// Lengths of the ends that are read before the whole log, in bytes.
const LENGTHS: [usize; 2] = [64 * 1024, 256 * 1024];

/// The end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogWindow<'a> {
    /// The log before it, which is not read.
    pub above: &'a str,
    /// Whole lines.
    pub text: &'a str,
}

impl<'a> LogWindow<'a> {
    /// Returns the views of a log, the shortest first. The last is the whole log. One that is more
    /// than half of the log would save little.
    pub fn of(log: &'a str) -> impl Iterator<Item = Self> {
        let ends = LENGTHS.into_iter().filter(move |it| log.len() > 2 * it);
        let views = ends.filter_map(move |length| Self::end(log, length));
        views.chain([Self {
            above: "",
            text: log,
        }])
    }

    fn end(log: &'a str, length: usize) -> Option<Self> {
        let from = log.len().checked_sub(length)?;
        let line = log.bytes().skip(from).position(|byte| byte == b'\n')? + 1;
        let (above, text) = log.split_at_checked(from + line)?;
        Some(Self { above, text })
    }

    /// Returns the number of the first line, from 1.
    pub fn first_line(&self) -> usize {
        self.above.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Returns true if the log above has words of a message, as a message that differs only in its
    /// digits would.
    pub fn may_have_above(&self, message: &str) -> bool {
        let pieces = message.split(|c: char| !(c.is_ascii_alphabetic() || c == ' '));
        let longest = pieces.max_by_key(|piece| piece.len()).unwrap_or_default();
        self.above.contains(longest) && !self.above.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{LENGTHS, LogWindow};

    #[test]
    fn the_views_of_a_log_begin_at_a_line_and_end_in_the_whole() {
        let lines: Vec<_> = (0..200_000).map(|i| format!("line {i}\n")).collect();
        let log = lines.concat();
        let views: Vec<_> = LogWindow::of(&log).collect();
        assert_eq!(views.len(), LENGTHS.len() + 1);
        for view in &views {
            let line = view.text.lines().next().expect("a line");
            assert_eq!(line, format!("line {}", view.first_line() - 1));
            assert_eq!(view.above.len() + view.text.len(), log.len());
        }
        assert_eq!(views.last().map(|view| view.text), Some(log.as_str()));
        let short = "x\n".repeat(LENGTHS[0]);
        assert_eq!(LogWindow::of(&short).count(), 1);
        let one_line = "x".repeat(1 << 20);
        assert_eq!(LogWindow::of(&one_line).count(), 1);
    }

    #[test]
    fn words_above_are_found_whatever_their_digits() {
        let view = LogWindow {
            above: "12:00 job 7 failed: refused\n",
            text: "",
        };
        assert!(view.may_have_above("job 8 failed: refused"));
        assert!(!view.may_have_above("job 8 is done"));
        assert!(!LogWindow::default().may_have_above(""));
    }
}
