//! Deno and Bun, if they print other forms than node: `error: Uncaught (in promise) TypeError: …`,
//! and numbered lines of source with a caret beneath them.

use super::describe::{self, Found, finding, place_of};
use super::error::{self, Printed};
use super::frame::{JsFrame, Owner};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Reads the error that begins at a line.
pub fn read(lines: &[LogLine], at: usize) -> Found {
    let text = lines.get(at)?.text.as_str();
    match text.strip_prefix("error: ") {
        Some(said) => deno(lines, at, said).or_else(|| bun(lines, at)),
        None if is_caret(text) => bun(lines, at + 1),
        None => None,
    }
}

fn is_caret(text: &str) -> bool {
    !text.is_empty() && text.trim_start().bytes().all(|byte| byte == b'^') && text.ends_with('^')
}

/// Reads Deno's last words.
fn deno(lines: &[LogLine], at: usize, said: &str) -> Found {
    let thrown = said.strip_prefix("Uncaught ");
    let is_missing = said.starts_with("Module not found \"");
    if thrown.is_none()
        && !is_missing
        && !said.starts_with("SyntaxError: ")
        && !said.contains(" could not be parsed")
    {
        return None;
    }
    let promise = thrown.and_then(|thrown| thrown.strip_prefix("(in promise) "));
    let head = promise.or(thrown).unwrap_or(said);
    // The line of source and the caret.
    let is_marked = lines.get(at + 2).is_some_and(|line| is_caret(&line.text));
    let mut printed = Printed::read(head, lines, at + 1 + if is_marked { 2 } else { 0 });
    let mut end = printed.end;
    while let Some(cause) = lines
        .get(end)
        .and_then(|line| line.text.strip_prefix("Caused by: "))
    {
        let cause = Printed::read(cause, lines, end + 1);
        end = cause.end;
        printed.causes.push(cause);
    }
    let is_trace = |line: &&LogLine| {
        line.is_blank() || line.text == "Stack backtrace:" || line.text.starts_with("   ")
    };
    end += lines
        .get(end..)
        .unwrap_or_default()
        .iter()
        .take_while(is_trace)
        .count();
    let kind = match describe::kind(&printed, promise.is_some_and(|_| is_in_function(&printed))) {
        _ if is_missing => Death::MissingModule,
        _ if thrown.is_none() => Death::SyntaxError,
        kind => kind,
    };
    Some((
        Some(finding(
            at,
            end,
            at,
            kind,
            describe::what(&printed),
            place_of(&printed, None),
        )),
        end,
    ))
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

/// Reads what Bun prints as it dies: an error, its properties, its stack and the footer.
fn bun(lines: &[LogLine], at: usize) -> Found {
    let head = lines.get(at).filter(|line| !line.is_blank())?;
    let body = lines.get(at + 1..)?.iter().take(MOST);
    let footer = at + 1 + body.clone().position(|line| error::is_footer(&line.text))?;
    if !lines.get(footer)?.text.starts_with("Bun v") {
        return None;
    }
    let frames: Vec<JsFrame> = body
        .take(footer - at)
        .filter_map(|line| JsFrame::read(&line.text))
        .collect();
    let mut printed = Printed::without_head(lines, footer);
    head.text.clone_into(&mut printed.text);
    printed.frames = frames;
    let is_missing = ["error: Cannot find module ", "error: Cannot find package "]
        .iter()
        .any(|it| head.text.starts_with(it));
    let kind = if is_missing {
        Death::MissingModule
    } else {
        describe::kind(&printed, false)
    };
    Some((
        Some(finding(
            at,
            footer + 1,
            at,
            kind,
            describe::what(&printed),
            place_of(&printed, None),
        )),
        footer + 1,
    ))
}
