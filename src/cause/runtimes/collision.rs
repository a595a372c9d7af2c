//! Collision, which shows the exceptions of Laravel's console: the type, the message, the source.

use super::shape::past_most;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&["\n  at "], read).below(MESSAGE).raw()];

/// Maximum number of lines between the type and the place.
const MESSAGE: usize = 8;
/// Maximum number of lines of the source and of the stack below it.
const SOURCE: usize = 60;

/// Reads `   App\Exceptions\Broken `, the message and `  at app/Jobs/Send.php:12` below it, each
/// between blank lines.
fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let kind = spot.text().strip_prefix("   ")?.trim();
    let is_type = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'\\' || byte == b'_')
    };
    (is_type(kind) && line_text(lines, at + 1).trim().is_empty()).then_some(())?;
    let place = (at + 2..at + MESSAGE).find(|i| line_text(lines, *i).starts_with("  at "))?;
    let message = (at + 2..place).map(|i| line_text(lines, i).trim());
    let message: Vec<&str> = message.filter(|text| !text.is_empty()).collect();
    let (file, number) = line_text(lines, place).get(5..)?.trim().rsplit_once(':')?;
    file.strip_suffix(".php")?;
    let is_inside = |line: &LogLine| line.is_blank() || line.text.starts_with("  ");
    let end = past_most(lines, place + 1, SOURCE, is_inside);
    let what = format!("{kind}: {}", message.join(" "));
    let finding = Finding::at(at..end, Death::UncaughtException, what);
    let place = SourcePlace::new(file, number.parse().ok());
    (!message.is_empty()).then(|| finding.place(Some(place)))
}
