//! Tells how clearly a line speaks of the end of a program.

use super::phrases::{
    code_before, code_in, ends_with_code, ends_with_errno, ends_with_quoted_errno, is_diagnostic,
    is_unset,
};
use crate::cause::entry::LogLevel;
use crate::cause::lexicon::{Sense, Senses};
use crate::cause::tail::Tail;
use crate::cause::text::LogLine;
use crate::report::Exit;

/// How clearly a line speaks of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// The line ends with the system's words for an error.
    Errno,
    /// The line says that this is the end.
    End,
}

/// Returns how clearly a line speaks of the end; `None` if it does not.
pub fn strength(tail: &Tail, line: &LogLine) -> Option<Strength> {
    let (said, text, level) = (line.senses(), line.head(), line.level());
    let is_trace = line.entry.is_none() && line.text.starts_with([' ', '\t']);
    // No program goes on from a fatal error, whatever it tried before.
    let is_handled =
        said.is_handled() && !(level == Some(LogLevel::Fatal) && said.has(Sense::Closing));
    if is_trace || line.is_of_request() || is_handled || text.len() < 4 || tail.is_of_another(line)
    {
        return None;
    }
    let is_coded = ends_with_quoted_errno(text) || (level.is_none() && ends_with_code(text));
    // Quoted text may be anyone's words.
    let unquoted = text.contains('"').then(|| without_quotes(text));
    let text = unquoted.as_deref().unwrap_or(text);
    let said = unquoted.as_deref().map_or(said, Senses::of);
    if let (Some(named), Exit::Code(code)) = (code_in(text), tail.scene.exit) {
        return (named == *code).then_some(Strength::End);
    }
    let warns = level.is_none() && said.begins(Sense::Mild);
    if warns || level.is_some_and(|level| level < LogLevel::Error) {
        return None;
    }
    let begins_as_fatal = said.opens(Sense::Fatal);
    let is_fatal = level == Some(LogLevel::Fatal) || (level.is_none() && begins_as_fatal);
    let fails = said.has(Sense::Failure);
    // A polite end (`queue drained, exiting`) is no failure. Deep in a line, `fatal error` is a
    // quotation.
    let is_quoted = said.has(Sense::FatalError) && !begins_as_fatal;
    let gives_up =
        !is_quoted && said.gives_up() && (level.is_some() || fails || said.has(Sense::GivingUp));
    let names_code =
        || code_before(text).is_some_and(|code| *tail.scene.exit == Exit::Code(code)) && fails;
    if is_fatal
        || gives_up
        || said.has(Sense::CannotStart)
        || said.has(Sense::BadConfig)
        || is_unset(line, text, said)
        || names_code()
        || is_diagnostic(text, said)
    {
        return Some(Strength::End);
    }
    ((is_coded || ends_with_errno(text))
        && (level.is_none() || said.has(Sense::Step) || fails)
        && *tail.scene.exit != Exit::Unknown)
        .then_some(Strength::Errno)
}

fn without_quotes(text: &str) -> String {
    text.split('"').step_by(2).collect()
}
