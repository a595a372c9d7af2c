//! A report in a few lines, as the messengers show it.

use crate::render::{View, head_by, tail_by};

/// Maximum number of pieces of evidence.
const EVIDENCE: usize = 2;

/// Returns the facts, the most important first: a name, and one line of at most `max`, as `cost`
/// counts.
pub fn facts(view: &View, max: usize, cost: impl Fn(char) -> usize) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |name, value: &str| facts.push((name, head_by(value, max, &cost)));
    if view.drill {
        add("Drill", "nothing died; a crash was simulated");
    }
    if let Some(by) = &view.by {
        add("Made by", by);
    }
    add("What", &format!("{}: {}", view.what, view.because));
    if let Some(now) = &view.now {
        add("Now", now);
    }
    // The confidence must not be cut off.
    let sure = format!(" ({})", view.confidence);
    let why = head_by(&view.why, max.saturating_sub(sure.len()), &cost);
    add("Why", &format!("{why}{sure}"));
    if !view.causes.is_empty() {
        add("Causes", &view.causes.join("; "));
    }
    for (name, value) in [
        ("How", &view.exit),
        ("Uptime", &view.uptime),
        ("Runbook", &view.runbook),
    ] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    add("Where", &view.place);
    add("When", &view.stopped);
    if !view.past.is_empty() {
        add("Before", &view.past.join("; "));
    }
    for evidence in view.evidence.iter().take(EVIDENCE) {
        add("Seen", &format!("{}: {}", evidence.source, evidence.text));
    }
    if let Some(note) = view.notes.first() {
        add("Note", note);
    }
    facts
}

/// Returns the end of the first log that is not empty, in at most `max` as `cost` counts; `None` if
/// there is no log, or no room for a line.
pub fn last_lines(view: &View, max: usize, cost: impl Fn(char) -> usize) -> Option<String> {
    const LEAST: usize = 40;
    let log = view
        .logs()
        .find(|log| !log.text.is_empty())
        .filter(|_| max >= LEAST)?;
    if log.text.chars().map(&cost).sum::<usize>() <= max {
        return Some(log.text.clone());
    }
    // The mark of a cut counts as 1, whatever it costs.
    Some(tail_by(&log.text, max + 1 - cost('…'), cost))
}

/// Returns the runbook, if it is an address of at most `max` bytes.
pub fn runbook(view: &View, max: usize) -> Option<String> {
    let runbook = view.runbook.as_ref().filter(|_| view.runbook_is_link)?;
    let url = reqwest::Url::parse(runbook).ok()?;
    (url.has_host() && url.as_str().len() <= max).then(|| url.into())
}

/// Reports for testing the services' limits.
#[cfg(test)]
pub mod tests {
    use crate::report::{Report, sample};

    /// Returns a report with this text in every place for text from outside.
    pub fn full_of(text: &str) -> Report {
        let mut report = sample();
        let text = || text.to_owned();
        report.host = text();
        report.stop.job = text();
        report.stop.instance = Some(text());
        report.verdict_because = text();
        report.cause.line = text();
        report.cause.evidence = vec![report.cause.evidence[0].clone(); 4];
        for evidence in &mut report.cause.evidence {
            evidence.text = text();
        }
        report.fingerprint = text();
        report.notes = vec![text(); 3];
        report.runbook = Some(format!("https://wiki.example.com/{}", text()));
        report.sections = ["log /a", "memory", "log /b"]
            .map(|name| crate::report::section(name, &text()))
            .to_vec();
        report
    }

    /// Returns long texts: of short and long characters, of lines, of markup; and an empty one.
    pub fn floods() -> Vec<String> {
        let evil = "<!channel> <@1> @everyone @here @admin /stop [a](http://evil) <b>&amp;</b> ``` **b** ||s|| :skull: \"\\ ";
        [
            "",
            "x",
            "🦀",
            "a\n",
            "\"\\",
            "&<>",
            "`",
            "*_",
            evil,
            "\u{1b}[2J\u{202e}\u{0}",
        ]
        .map(|part| part.repeat(60_000 / part.len().max(1)))
        .to_vec()
    }
}
