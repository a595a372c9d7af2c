//! Deno and Bun, if they print other forms than node: `error: Uncaught (in promise) TypeError: …`,
//! and numbered lines of source with a caret beneath them.

use super::describe::{self, place_of};
use super::error::{self, Printed};
use super::frame::{JsFrame, Owner};
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::{is_like, past};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::line_text;
use crate::report::Death;

fn is_caret(text: &str) -> bool {
    !text.is_empty() && text.trim_start().bytes().all(|byte| byte == b'^') && text.ends_with('^')
}

/// Reads Deno's last words.
pub fn deno(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let said = spot.text().strip_prefix("error: ")?;
    let thrown = said.strip_prefix("Uncaught ");
    let is_missing = said.starts_with("Module not found \"");
    let is_unread = || is_like(said, &["SyntaxError: …", "… could not be parsed…"]);
    (thrown.is_some() || is_missing || is_unread()).then_some(())?;
    let promise = thrown.and_then(|thrown| thrown.strip_prefix("(in promise) "));
    let head = promise.or(thrown).unwrap_or(said);
    // The line of source and the caret.
    let is_marked = is_caret(line_text(lines, at + 2));
    let mut printed = Printed::read(head, lines, at + 1 + if is_marked { 2 } else { 0 });
    let mut end = printed.end;
    while let Some(cause) = line_text(lines, end).strip_prefix("Caused by: ") {
        let cause = Printed::read(cause, lines, end + 1);
        end = cause.end;
        printed.causes.push(cause);
    }
    let end = past(lines, end, |line| {
        line.is_blank() || is_like(&line.text, &["Stack backtrace:", "   …"])
    });
    let kind = match describe::kind(&printed, promise.is_some_and(|_| is_in_function(&printed))) {
        _ if is_missing => Death::MissingModule,
        _ if thrown.is_none() => Death::SyntaxError,
        kind => kind,
    };
    let finding = Finding::at(at..end, kind, describe::what(&printed));
    Some(finding.place(place_of(&printed, None)).last_words(&[]))
}

/// Returns true if a function's promise was rejected. Modules are run by promises too.
fn is_in_function(printed: &Printed) -> bool {
    let outermost = printed
        .frames
        .iter()
        .rev()
        .find(|frame| frame.owner() == Owner::App);
    outermost.is_none_or(|frame| frame.function.is_some())
}

/// Number of lines below an error that are searched for Bun's footer.
const MOST: usize = 60;

/// Reads what Bun prints as it dies: an error, its properties, its stack and the footer. The error
/// stands below a caret, or begins with `error: `.
pub fn bun(spot: &Spot) -> Option<Finding> {
    let lines = spot.lines;
    let is_error = spot.text().starts_with("error: ");
    (is_error || is_caret(spot.text())).then_some(())?;
    let at = if is_error { spot.at } else { spot.at + 1 };
    let head = lines.get(at).filter(|line| !line.is_blank())?;
    let mut below = at + 1..at + 1 + MOST;
    let footer = below.find(|i| error::is_footer(line_text(lines, *i)))?;
    line_text(lines, footer)
        .starts_with("Bun v")
        .then_some(())?;
    let mut printed = Printed::without_head(lines, footer);
    head.text.clone_into(&mut printed.text);
    printed.frames = (at + 1..footer)
        .filter_map(|i| JsFrame::read(line_text(lines, i)))
        .collect();
    let missing = [
        "error: Cannot find module …",
        "error: Cannot find package …",
    ];
    let kind = if is_like(&head.text, &missing) {
        Death::MissingModule
    } else {
        describe::kind(&printed, false)
    };
    let finding = Finding::at(at..footer + 1, kind, describe::what(&printed));
    Some(finding.place(place_of(&printed, None)).last_words(&[]))
}
