//! The words of node's own command line, and of npm, yarn and pnpm, which run scripts.

use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::{is_like, past};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::line_text;
use crate::report::Death;

const EPILOGUES: [&str; 10] = [
    "npm ERR!…",
    "npm error…",
    "[ELIFECYCLE] …",
    "ELIFECYCLE …",
    "error Command failed…",
    "info Visit https://yarnpkg.com/…",
    "Aborted",
    "Aborted (core dumped)",
    "Killed",
    "Trace/breakpoint trap",
];

/// Returns true if a line is a wrapper's word on the end of its program.
pub fn is_epilogue(text: &str) -> bool {
    is_like(text, &EPILOGUES)
}

/// Reads `node: bad option: --foo`. node ends with 9 after any complaint about its command line.
pub fn options(spot: &Spot) -> Option<Finding> {
    let text = spot.text();
    let said = if text.starts_with("Error: illegal value for flag ") {
        text.strip_prefix("Error: ")?
    } else {
        of_node(text)?
    };
    let kind = if said.ends_with(": not found") {
        Death::NoSuchFile
    } else {
        Death::BadArguments
    };
    let end = past(spot.lines, spot.at + 1, |line| {
        of_node(&line.text).is_some() || line.text == "Try --help for options"
    });
    let finding = Finding::at(spot.at..end, kind, format!("node: {said}"));
    Some(finding.last_words(&[Code(9)]))
}

/// Returns node's message behind its own name.
fn of_node(text: &str) -> Option<&str> {
    let (program, said) = text.split_once(": ")?;
    let name = program.rsplit('/').next().unwrap_or_default();
    (["node", "nodejs"].contains(&name) && !program.contains(' ')).then_some(said)
}

/// Returns npm's message behind its own name.
fn of_npm(text: &str) -> Option<&str> {
    let said = text
        .strip_prefix("npm ERR!")
        .or_else(|| text.strip_prefix("npm error"))?;
    Some(said.trim())
}

/// Reads the errors of npm itself: `npm ERR! Missing script: "start"`, `npm error code ENOENT`.
pub fn npm(spot: &Spot) -> Option<Finding> {
    let end = past(spot.lines, spot.at, |line| of_npm(&line.text).is_some());
    let block: Vec<&str> = (spot.at..end)
        .filter_map(|i| of_npm(line_text(spot.lines, i)))
        .collect();
    let position = |is: &dyn Fn(&str) -> bool| block.iter().position(|line| is(line));
    let is_code = |line: &str| line.starts_with("code ");
    let missing = position(&|line| line.to_ascii_lowercase().starts_with("missing script"));
    let code = block.iter().find_map(|line| line.strip_prefix("code "));
    let telling = match (missing, code) {
        (Some(missing), _) => Some((missing, Death::BadArguments)),
        // These codes only say that the program that npm ran has failed.
        (None, None | Some("ELIFECYCLE" | "1")) => None,
        (None, Some("EJSONPARSE")) => position(&|line| line.contains("JSON") && !is_code(line))
            .map(|at| (at, Death::SyntaxError)),
        (None, Some(code)) => {
            let kind = block.iter().find_map(|line| beneath::kind(line));
            position(&|line| line.contains(code) && !is_code(line))
                .or_else(|| position(&|line| line.contains("Error: ")))
                .map(|at| (at, kind.unwrap_or(Death::PlainExit)))
        }
    };
    let Some((quoted, kind)) = telling else {
        return Some(Finding::nothing(spot.at..end));
    };
    let finding = Finding::at(spot.at..end, kind, format!("npm: {}", block.get(quoted)?));
    Some(finding.quoted(spot.at + quoted).last_words(&[]))
}

pub const SCRIPTS: [&str; 3] = [
    "error Command \"",
    "ERR_PNPM_NO_SCRIPT",
    "error: Script not found \"",
];

/// Reads the complaint about a script that yarn, pnpm or Bun does not know.
pub fn script(spot: &Spot) -> Option<Finding> {
    const COMPLAINTS: [&str; 4] = [
        "error Command \"…\" not found.",
        "…ERR_PNPM_NO_SCRIPT…Missing script…",
        "…ERR_PNPM_NO_SCRIPT…missing script…",
        "error: Script not found \"…",
    ];
    let said = spot.text().trim_start();
    let what = said.strip_prefix("error ").unwrap_or(said);
    let finding = Finding::at(spot.at..spot.at + 1, Death::BadArguments, what);
    is_like(said, &COMPLAINTS).then(|| finding.last_words(&[]))
}
