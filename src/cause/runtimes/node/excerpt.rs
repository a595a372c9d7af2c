//! The excerpt of the source that node shows above an error.

use super::frame::{self, Owner};
use crate::cause::finding::SourcePlace;
use crate::cause::text::LogLine;

/// The place, the line of source and the carets beneath it.
pub struct Excerpt<'a> {
    pub file: &'a str,
    line: u32,
    source: &'a str,
    /// Column of the caret, in characters.
    column: usize,
    /// Line after the excerpt (an index).
    pub end: usize,
}

impl<'a> Excerpt<'a> {
    pub fn read(lines: &'a [LogLine], at: usize) -> Option<Self> {
        let (file, line) = lines.get(at)?.text.rsplit_once(':')?;
        let line = line.parse().ok()?;
        let carets = lines.get(at + 2)?;
        let mark = carets.text.trim();
        // node cuts long lines, and the caret with them.
        let is_marked = !mark.is_empty() && mark.bytes().all(|byte| byte == b'^');
        let is_far = mark.is_empty() && carets.text.len() > 1000;
        // If the source ends too early, there is nothing to show.
        let is_end = mark.is_empty()
            && lines
                .get(at + 4)
                .is_some_and(|line| line.text.starts_with("SyntaxError: "));
        let is_far = is_far || is_end && lines.get(at + 1..at + 4)?.iter().all(LogLine::is_blank);
        (!file.is_empty() && (is_marked || is_far)).then_some(())?;
        let column = carets.text.chars().take_while(|c| *c != '^').count();
        Some(Self {
            file,
            line,
            source: &lines.get(at + 1)?.text,
            column,
            end: at + 3,
        })
    }

    pub fn place(&self) -> Option<SourcePlace> {
        let file = self.file.strip_prefix("file://").unwrap_or(self.file);
        let is_named = !matches!(frame::owner(file), Owner::Runtime | Owner::NoFile);
        is_named.then(|| SourcePlace::new(file, Some(self.line)))
    }

    /// Returns true if words stand before the place. node itself puts none there: `worker died:
    /// /srv/app.js:1`.
    pub fn has_words_before(&self) -> bool {
        [" /", " [", " file://", " node:"]
            .iter()
            .any(|begin| self.file.contains(begin))
    }

    /// Returns the source at the caret.
    pub fn marked(&self) -> &'a str {
        self.source
            .char_indices()
            .nth(self.column)
            .and_then(|(at, _)| self.source.get(at..))
            .unwrap_or_default()
    }
}
