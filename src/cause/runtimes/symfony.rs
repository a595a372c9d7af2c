//! Symfony's console: the exception of a command, in a box, and the command's usage.

use crate::cause::finding::{Finding, Proof, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of the box, and of the usage below it.
const BOX: usize = 20;

/// Adds the exceptions in the log: `In EnvVarProcessor.php line 187:`, the indented message, the
/// usage.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    for (at, line) in lines.iter().enumerate() {
        if line.text.starts_with("In ") {
            found.extend(exception(lines, at, &line.text));
        }
    }
}

fn exception(lines: &[LogLine], at: usize, head: &str) -> Option<Finding> {
    let place = head.trim_end().strip_prefix("In ")?.strip_suffix(':')?;
    let (file, number) = place
        .split_once(" line ")
        .filter(|(file, _)| file.rsplit_once('.').is_some_and(|(_, end)| end == "php"))?;
    let below = lines.get(at + 1..)?.iter().take(BOX);
    let inside = below
        .take_while(|line| line.is_blank() || line.text.starts_with("  "))
        .count();
    let message = (at + 1..=at + inside).map(|i| line_text(lines, i).trim());
    let message: Vec<&str> = message.filter(|text| !text.is_empty()).collect();
    // The usage is one line.
    let usage = usize::from(line_text(lines, at + 1 + inside).contains(" ["));
    (!message.is_empty()).then(|| Finding {
        lines: at..at + 1 + inside + usage,
        quoted: at,
        kind: Death::UncaughtException,
        what: message.join(" "),
        place: Some(SourcePlace {
            file: file.to_owned(),
            line: number.parse().ok(),
            function: None,
        }),
        proof: Proof::Said,
        ends: &[],
    })
}
