//! The words of node's own command line, and of npm, yarn and pnpm, which run scripts.

use super::describe::{Found, finding};
use crate::cause::beneath;
use crate::cause::finding::{ExpectedExit, Finding};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Returns true if a line is a wrapper's word on the end of its program.
pub fn is_epilogue(text: &str) -> bool {
    [
        "npm ERR!",
        "npm error",
        "[ELIFECYCLE] ",
        "ELIFECYCLE ",
        "error Command failed",
        "info Visit https://yarnpkg.com/",
    ]
    .iter()
    .any(|words| text.starts_with(words))
        || [
            "Aborted",
            "Aborted (core dumped)",
            "Killed",
            "Trace/breakpoint trap",
        ]
        .contains(&text)
}

/// Reads the error that begins at a line.
pub fn read(lines: &[LogLine], at: usize) -> Found {
    let text = lines.get(at)?.text.as_str();
    options(lines, at, text)
        .or_else(|| npm(lines, at, text))
        .or_else(|| script(at, text))
}

/// Reads `node: bad option: --foo`. node ends with 9 after any complaint about its command line.
fn options(lines: &[LogLine], at: usize, text: &str) -> Found {
    let is_value = text.starts_with("Error: illegal value for flag ");
    let said = if is_value {
        text.strip_prefix("Error: ")
    } else {
        of_node(text)
    };
    let said = said?;
    let kind = if said.ends_with(": not found") {
        Death::NoSuchFile
    } else {
        Death::BadArguments
    };
    let rest = lines.get(at + 1..).unwrap_or_default();
    let is_more =
        |line: &&LogLine| of_node(&line.text).is_some() || line.text == "Try --help for options";
    let end = at + 1 + rest.iter().take_while(is_more).count();
    let found = finding(at, end, at, kind, format!("node: {said}"), None);
    Some((
        Some(Finding {
            ends: &[ExpectedExit::Code(9)],
            ..found
        }),
        end,
    ))
}

/// Returns node's message behind its own name.
fn of_node(text: &str) -> Option<&str> {
    let (program, said) = text.split_once(": ")?;
    let name = program.rsplit('/').next().unwrap_or_default();
    (["node", "nodejs"].contains(&name) && !program.contains(' ')).then_some(said)
}

/// Reads the errors of npm itself: `npm ERR! Missing script: "start"`, `npm error code ENOENT`.
fn npm(lines: &[LogLine], at: usize, text: &str) -> Found {
    let said = |text: &str| {
        let said = text
            .strip_prefix("npm ERR!")
            .or_else(|| text.strip_prefix("npm error"))?;
        Some(said.trim().to_owned())
    };
    said(text)?;
    let block: Vec<String> = lines
        .get(at..)
        .unwrap_or_default()
        .iter()
        .map_while(|line| said(&line.text))
        .collect();
    let end = at + block.len();
    let missing = block
        .iter()
        .position(|line| line.to_ascii_lowercase().starts_with("missing script"));
    let code = block.iter().find_map(|line| line.strip_prefix("code "));
    let telling = match (missing, code) {
        (Some(missing), _) => Some((missing, Death::BadArguments)),
        // These codes only say that the program that npm ran has failed.
        (None, None | Some("ELIFECYCLE" | "1")) => None,
        (None, Some("EJSONPARSE")) => block
            .iter()
            .position(|line| line.contains("JSON") && !line.starts_with("code "))
            .map(|at| (at, Death::SyntaxError)),
        (None, Some(code)) => {
            let kind = block
                .iter()
                .find_map(|line| beneath::kind(line))
                .unwrap_or(Death::PlainExit);
            let told = |line: &String| line.contains(code) && !line.starts_with("code ");
            let telling = block.iter().position(told);
            telling
                .or_else(|| block.iter().position(|line| line.contains("Error: ")))
                .map(|at| (at, kind))
        }
    };
    let found = telling.and_then(|(quoted, kind)| {
        Some(finding(
            at,
            end,
            at + quoted,
            kind,
            format!("npm: {}", block.get(quoted)?),
            None,
        ))
    });
    Some((found, end))
}

/// Reads the complaint about a script that yarn, pnpm or Bun does not know.
fn script(at: usize, text: &str) -> Found {
    let said = text.trim_start();
    let is_yarn = said.starts_with("error Command \"") && said.ends_with("\" not found.");
    let is_pnpm =
        said.contains("ERR_PNPM_NO_SCRIPT") && said.to_ascii_lowercase().contains("missing script");
    let is_bun = said.starts_with("error: Script not found \"");
    let said = said.strip_prefix("error ").unwrap_or(said).to_owned();
    (is_yarn || is_pnpm || is_bun).then(|| {
        (
            Some(finding(at, at + 1, at, Death::BadArguments, said, None)),
            at + 1,
        )
    })
}
