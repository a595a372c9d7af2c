//! Problems with the config, in words for people.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::escapes::is_invisible;
use crate::redact::masked;

/// A problem with a config file.
///
/// The texts contain no control characters and none of the file's values, so they may go into a
/// report.
#[derive(Clone, Debug)]
pub struct Problem {
    pub file: PathBuf,
    /// Place in the file; `None` if the problem is with the file as a whole.
    pub place: Option<Location>,
    pub severity: Severity,
    /// The message: expected this, found that.
    pub message: String,
    /// A hint: what was probably meant, or what to do.
    pub help: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A part of the config cannot be used.
    Error,
    /// The config can be used, but probably does not do what was meant.
    Warning,
}

/// A place in a config file.
#[derive(Clone, Debug)]
pub struct Location {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Range of bytes.
    pub span: Range<usize>,
    text: Arc<str>,
}

/// Maximum length of the underlined text, in bytes. Longer lines are cut around it.
const UNDERLINED: usize = 60;

impl Problem {
    /// Makes a problem with a file as a whole.
    pub fn with_file(file: &Path, severity: Severity, message: &str, help: Option<&str>) -> Self {
        let message = visible(message);
        Self {
            file: file.to_owned(),
            place: None,
            severity,
            message,
            help: help.map(visible),
        }
    }

    /// Renders the problem as a compiler does: message, place, the line underlined, help.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let file = visible(&self.file.to_string_lossy());
        let title = level.primary_title(self.message.as_str());
        let group = match &self.place {
            None => title.element(Origin::path(file)),
            Some(place) => {
                let (line, underlined) = place.snippet();
                let snippet = Snippet::source(line).line_start(place.line).path(file);
                title.element(snippet.annotation(AnnotationKind::Primary.span(underlined)))
            }
        };
        let group = group.elements(self.help.as_deref().map(|help| Level::HELP.message(help)));
        let renderer = if colour {
            Renderer::styled().hyperlink(false)
        } else {
            Renderer::plain()
        };
        renderer.term_width(100).render(&[group])
    }
}

/// Writes the problem on one line: `lastwords.toml:3:1: unknown key …`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&visible(&self.file.to_string_lossy()))?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        self.help
            .as_ref()
            .map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl Location {
    /// Returns the line with its secrets masked, and the range to underline in it.
    fn snippet(&self) -> (String, Range<usize>) {
        let Range { start, end } = self.span;
        let first = self.text[..start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let last = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |length| start + length);
        let end = self
            .text
            .floor_char_boundary(end.min(last).min(start + UNDERLINED))
            .max(start);
        // The renderer shows all control characters but these. The replacements have the same
        // length in bytes, so that the range stays right.
        let visible = |c| match c {
            '\u{80}'..='\u{9f}' => '·',
            c if is_invisible(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        (
            masked(&self.text[first..last])
                .chars()
                .map(visible)
                .collect(),
            start - first..end - first,
        )
    }
}

/// A config file's text.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: PathBuf,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(file: &Path, text: &str) -> Self {
        // A byte order mark does not count as a column.
        Self {
            file: file.to_owned(),
            text: text.trim_start_matches('\u{feff}').into(),
        }
    }

    /// Makes a problem at a range of bytes, which is clamped to the text.
    pub fn problem(
        &self,
        span: &Range<usize>,
        severity: Severity,
        message: &str,
        help: Option<&str>,
    ) -> Problem {
        let start = self.text.floor_char_boundary(span.start);
        let span = start..self.text.ceil_char_boundary(span.end).max(start);
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let place = Location {
            line,
            column,
            span,
            text: Arc::clone(&self.text),
        };
        Problem {
            place: Some(place),
            ..Problem::with_file(&self.file, severity, message, help)
        }
    }
}

/// Maximum length of a message, in characters. A key may be as long as the file.
const MAX_MESSAGE: usize = 600;

/// Escapes the characters that control a terminal or change the direction of writing.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len().min(MAX_MESSAGE));
    for (i, c) in text.chars().enumerate() {
        if i == MAX_MESSAGE {
            visible.push('…');
            break;
        }
        match c {
            c if is_invisible(c) => visible.extend(c.escape_unicode()),
            c if c.is_control() => visible.extend(c.escape_default()),
            c => visible.push(c),
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, span: Range<usize>) -> Problem {
        Source::new(Path::new("web.toml"), text).problem(&span, Severity::Warning, "what", None)
    }

    #[test]
    fn a_problem_on_one_line_names_file_line_and_column() {
        let mut problem = at("a = 1\né = 2\n", 9..10);
        assert_eq!(problem.to_string(), "web.toml:2:3: what");
        problem.help = Some("do this".into());
        problem.place = None;
        assert_eq!(problem.to_string(), "web.toml: what (do this)");
    }

    #[test]
    fn the_files_escapes_do_not_reach_the_terminal() {
        let problem = at("a\u{1b}[2J\t\u{202e} = \"\u{9b}31m\u{7}\"\r\n", 0..4);
        let shown = problem.render(false);
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "{shown:?}"
        );
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
        let hostile = Problem::with_file(
            Path::new("a\u{1b}b\n"),
            Severity::Error,
            "x\u{1b}[2J\u{202e}y",
            Some("\u{7}"),
        );
        assert_eq!(
            hostile.to_string(),
            r"a\u{1b}b\n: x\u{1b}[2J\u{202e}y (\u{7})"
        );
        assert!(
            hostile
                .render(false)
                .chars()
                .all(|c| c == '\n' || !c.is_control())
        );
    }

    #[test]
    fn a_line_of_1_mb_is_cut_around_the_problem() {
        let line = "é".repeat(500_000);
        for span in [
            0..0,
            0..1_000_000,
            600_001..600_003,
            999_999..1_000_000,
            1_000_000..2_000_000,
        ] {
            let shown = at(&line, span.clone()).render(false);
            assert!(shown.len() < 1000, "{span:?}: {} bytes", shown.len());
            assert!(shown.contains('^'), "{span:?}: {shown}");
        }
        assert!(
            Problem::with_file(Path::new("f"), Severity::Error, &line, None)
                .message
                .len()
                < 2000
        );
    }

    #[test]
    fn colour_is_the_callers_choice() {
        assert!(!at("a = 1", 0..1).render(false).contains('\u{1b}'));
        assert!(at("a = 1", 0..1).render(true).contains("\u{1b}["));
    }

    #[test]
    fn a_problem_that_spans_lines_underlines_the_first() {
        assert_eq!(
            at("a = [\n1,\n]", 4..10).render(false),
            "\
warning: what
 --> web.toml:1:5
  |
1 | a = [
  |     ^"
        );
    }
}
