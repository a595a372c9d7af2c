//! Prints doctor's result: the verdict first, then the checks in the order of the flow.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::operate::doctor::Examined;
use crate::operate::json::escaped;
use crate::operate::wrap::wrapped;
use crate::redact::redact;
use crate::render::one_line;
use crate::supervisor::check::{Check, State};

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WEAK: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// Width of the page, and where its columns begin.
const WIDTH: usize = 80;
const ABOUT: usize = 13;
const TEXT: usize = ABOUT + 13;
/// Column of a remedy that is too long for the texts' column.
const REMEDY: usize = 2;
/// Maximum length of a check's text, in characters.
const LONGEST: usize = 600;

pub fn people(out: &mut impl Write, examined: &[Examined]) {
    for (n, one) in examined.iter().enumerate() {
        let style = if one.is_well() { GOOD.bold() } else { BAD };
        let gap = if n > 0 { "\n" } else { "" };
        let _ = writeln!(
            out,
            "{gap}{style}{}{style:#}\n",
            wrapped(&fit(&one.verdict), WIDTH, 0)
        );
        for check in &one.checks {
            show(out, check);
        }
    }
}

fn show(out: &mut impl Write, check: &Check) {
    let (style, word) = match check.state {
        State::Ok => (GOOD, "ok"),
        State::Problem => (BAD, "problem"),
        State::Weak => (WEAK, "weak"),
        State::Unknown => (DIM, "cannot tell"),
    };
    let about = fit(&check.about);
    let about = if about.chars().count() < TEXT - ABOUT {
        format!("{about:<13}")
    } else {
        format!("{about}\n{:TEXT$}", "")
    };
    let _ = writeln!(
        out,
        "{style}{word:<ABOUT$}{style:#}{about}{}",
        wrapped(&fit(&check.text), WIDTH, TEXT)
    );
    if let Some(remedy) = check.remedy.as_deref().filter(|_| check.state != State::Ok) {
        // The remedy may hold a command, which people copy in one piece.
        let remedy = fit_remedy(remedy);
        let indent = if TEXT + 4 + remedy.chars().count() <= WIDTH {
            TEXT
        } else {
            REMEDY
        };
        let _ = writeln!(out, "{:indent$}{HEAD}do:{HEAD:#} {remedy}", "");
    }
}

pub fn programs(out: &mut impl Write, examined: &[Examined]) {
    let check = |check: &Check| {
        let remedy = check.remedy.as_deref().map(fit_remedy);
        json!({
            "about": fit(&check.about),
            "state": check.state,
            "concerns": check.concerns,
            "text": fit(&check.text),
            "remedy": remedy,
        })
    };
    let one = |one: &Examined| {
        let checks: Vec<Value> = one.checks.iter().map(check).collect();
        json!({
            "job": one.job,
            "well": one.is_well(),
            "verdict": fit(&one.verdict),
            "checks": checks,
        })
    };
    let all = Value::from(examined.iter().map(one).collect::<Vec<_>>());
    let _ = writeln!(out, "{}", escaped(&format!("{all:#}")));
}

/// Cleans a text from outside: without secrets, and in one line.
fn fit(text: &str) -> String {
    one_line(&redact(text), LONGEST)
}

/// Cleans our own words. If they hold others' words, these were redacted already.
/// `LoadCredential=FILE` is no secret.
fn fit_remedy(text: &str) -> String {
    one_line(text, LONGEST)
}
