//! Reads a usage text and the error before it or in it.

use super::BURST;
use super::finding;
use super::phrases::is_bad_option;
use crate::cause::finding::Finding;
use crate::cause::lexicon::Sense;
use crate::cause::tail::{Tail, TailUnit};
use crate::report::{Death, Exit};

/// Number of last lines that are searched for a usage text.
const FAR: usize = 30;

/// Returns the complaint about an argument, or the usage text, in these units, which are newest
/// first.
pub fn read(tail: &Tail, units: &[TailUnit]) -> Option<Finding> {
    if !matches!(tail.scene.exit, Exit::Code(_)) {
        return None;
    }
    let is_wrong = |unit: &&TailUnit| is_bad_option(unit.line.senses());
    // A runtime's words are judged as the runtime's.
    let is_own =
        |unit: &&TailUnit| unit.remark.is_some() && (unit.line.entry.is_none() || is_wrong(unit));
    let raw = || units.iter().take(FAR).take_while(is_own);
    let end = units.first()?.lines.end;
    // The first complaint about an option among the last lines.
    if let Some(wrong) = raw().take(BURST).filter(is_wrong).last() {
        return finding(tail, wrong.lines.start, end);
    }
    let usage = raw().find(|unit| is_usage(tail, unit))?;
    let at = usage.lines.start;
    // `prog: error: …` after the usage, or the line right before it.
    let error = raw().find(|unit| unit.lines.start > at && unit.line.text.contains(": error: "));
    let before = units.iter().find(|unit| {
        (at.saturating_sub(2)..at).contains(&unit.lines.start)
            && unit.line.entry.is_none()
            && (unit.line.senses().has(Sense::Failure) || is_wrong(unit))
    });
    let told = error.or(before).unwrap_or(usage);
    finding(tail, told.lines.start, end).map(|finding| Finding {
        kind: Death::BadArguments,
        ..finding
    })
}

/// Returns true if a usage text begins here.
fn is_usage(tail: &Tail, unit: &TailUnit) -> bool {
    const HEADING: &str = "usage:";
    let shows_how = |text: &str| {
        ["[", "<", " -", "...", "OPTION"]
            .iter()
            .any(|it| text.contains(it))
    };
    let text = unit.line.text.as_str();
    let next = tail.lines.get(unit.lines.end);
    let next = next.map_or("", |next| next.text.as_str());
    let heading = text.get(..HEADING.len());
    heading.is_some_and(|it| it.eq_ignore_ascii_case(HEADING))
        && (text.len() == HEADING.len()
            || shows_how(text)
            || shows_how(next)
            || next.starts_with([' ', '\t']))
}
