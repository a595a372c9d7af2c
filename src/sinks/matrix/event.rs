//! A report as the content of an `m.room.message` event: once as plain text, once in Matrix's
//! subset of HTML.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::render::{Block, Gauge, View, head_by};

/// Maximum sizes of an event's parts, counted by [`cost`]: bytes of JSON in both forms together. An
/// event may have 65,536 bytes (client-server API, "Size limits"), of which the homeserver needs
/// some; the parts add up to less than 60,000.
const VALUE: usize = 800;
const EVIDENCE: usize = 4;
const NOTES: usize = 4;
const LOGS: usize = 24_000;
const MACHINE: usize = 4_000;
const OTHERS: usize = 9_000;

/// Cuts the view's sections so that they fit.
pub fn held(view: View) -> View {
    view.within(LOGS, OTHERS, cost)
}

/// Returns the whole message. `m.mentions` says that it mentions nobody, whatever its text.
pub fn content(view: &View) -> Value {
    let (body, formatted_body) = message(view);
    json!({
        "msgtype": "m.notice",
        "body": body,
        "format": "org.matrix.custom.html",
        "formatted_body": formatted_body,
        "m.mentions": {},
    })
}

/// The message in both forms.
fn message(view: &View) -> (String, String) {
    let subject = clip(&view.subject);
    let mut text = format!("{subject}\n");
    let mut html = format!("<p><strong>{}</strong></p>\n<p>", escape(&subject));
    for (at, (name, value)) in facts(view).iter().enumerate() {
        let value = clip(value);
        let _ = write!(text, "\n{name}: {value}");
        let _ = write!(
            html,
            "{}<strong>{name}</strong>: {}",
            if at == 0 { "" } else { "<br>\n" },
            escape(&value)
        );
    }
    html += "</p>\n";
    for (title, shown) in blocks(view) {
        let _ = write!(text, "\n\n{title}:\n  {}", shown.replace('\n', "\n  "));
        let _ = writeln!(
            html,
            "<p>{}</p>\n<pre><code>{}</code></pre>",
            escape(&title),
            escape(&shown)
        );
    }
    let _ = write!(text, "\n\nReport {}: {}", view.id, view.show);
    let _ = write!(
        html,
        "<p>Report {}: <code>{}</code></p>",
        view.id, view.show
    );
    (text, html)
}

/// Adds the facts: what, why, where, when, a line each.
fn facts(view: &View) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if view.drill {
        facts.push(("Drill", "nothing died; a crash was simulated".to_owned()));
    }
    facts.extend(view.by.clone().map(|by| ("Made by", by)));
    facts.push(("What", format!("{}: {}", view.what, view.because)));
    facts.extend(view.now.clone().map(|now| ("Now", now)));
    facts.push((
        "Why",
        format!(
            "{} ({})",
            head_by(&view.why, VALUE - 50, cost),
            view.confidence
        ),
    ));
    facts.extend((!view.causes.is_empty()).then(|| ("Causes", view.causes.join("; "))));
    facts.extend(view.exit.clone().map(|exit| ("How", exit)));
    facts.push(("Where", view.place.clone()));
    facts.push(("When", view.stopped.clone()));
    facts.extend(view.uptime.clone().map(|uptime| ("Uptime", uptime)));
    facts.extend((!view.past.is_empty()).then(|| ("Before", view.past.join("; "))));
    facts.extend(
        view.day
            .as_ref()
            .map(|day| ("Last day", format!("{} {}", day.line, day.words))),
    );
    facts.extend((!view.changes.is_empty()).then(|| ("Changed", view.changes.join("; "))));
    facts.extend(view.runbook.clone().map(|runbook| ("Runbook", runbook)));
    let seen = view.evidence.iter().take(EVIDENCE);
    facts.extend(seen.map(|evidence| ("Seen", format!("{}: {}", evidence.source, evidence.text))));
    facts.extend(
        view.notes
            .iter()
            .take(NOTES)
            .map(|note| ("Note", note.clone())),
    );
    facts
}

/// Returns the titles and texts that fit: the end of a log, the beginning of anything else.
fn blocks(view: &View) -> Vec<(String, String)> {
    let (logs, others): (Vec<&Block>, Vec<&Block>) =
        view.blocks.iter().partition(|block| block.is_log);
    let share = |all: usize, blocks: &[&Block]| (all / blocks.len().max(1)).saturating_sub(VALUE);
    let (log, other) = (share(LOGS, &logs), share(OTHERS, &others));
    let logs = logs
        .iter()
        .map(|block| (clip(&block.title), block.cut_by(log, cost)));
    let machine = (!view.gauges.is_empty())
        .then(|| ("machine".to_owned(), head_by(&gauges(view), MACHINE, cost)));
    let others = others
        .iter()
        .map(|block| (clip(&block.title), block.cut_by(other, cost)));
    logs.chain(machine).chain(others).collect()
}

/// Returns a line for each gauge: `Memory       ███████████████████░ 1.9 GiB of 2.0 GiB (95 %)`.
fn gauges(view: &View) -> String {
    let line = |it: &Gauge| format!("{:20} {} {} ({} %)", it.label, it.bar, it.words, it.percent);
    view.gauges.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn clip(text: &str) -> String {
    head_by(text, VALUE, cost)
}

/// Escapes the characters that HTML would act on.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match entity(c) {
            Some(entity) => escaped += entity,
            None => escaped.push(c),
        }
    }
    escaped
}

fn entity(c: char) -> Option<&'static str> {
    Some(match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        _ => return None,
    })
}

/// Returns the maximum bytes of JSON that a character takes, in both forms together.
fn cost(c: char) -> usize {
    let json = match c {
        '"' | '\\' | '\t' => 2,
        // Includes the two spaces before a line of plain text.
        '\n' => 4,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    };
    json + entity(c).map_or(json, str::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Report, sample, section};

    fn flooded(text: &str, logs: usize) -> Report {
        let mut report = sample();
        let line: String = text.chars().take(1_000).collect();
        for field in [
            &mut report.host,
            &mut report.stop.job,
            &mut report.verdict_because,
            &mut report.cause.line,
        ] {
            line.clone_into(field);
        }
        report.runbook = Some(line.clone());
        report.notes = vec![line.clone(); 40];
        report.cause.evidence[0].text = line.clone();
        report.cause.evidence[0].source = line.clone();
        report.cause.evidence = vec![report.cause.evidence[0].clone(); 40];
        report.sections = vec![report.sections[0].clone(); logs + 3];
        for (at, section) in report.sections.iter_mut().enumerate() {
            let name = format!("{}{line}", if at < logs { "log " } else { "" });
            *section = crate::report::section(&name, text);
        }
        let machine = crate::render::example();
        let drawn = machine
            .sections
            .into_iter()
            .filter(|it| ["load", "disk", "memory"].contains(&it.collector.as_str()));
        report.sections.extend(drawn);
        report.past = machine.past;
        report
    }

    fn size(report: &Report) -> usize {
        content(&View::of(report)).to_string().len()
    }

    #[test]
    fn the_longest_reports_make_events_that_fit() {
        for filler in ["a", "\"", "&", "\\", "😀", "\n", "a\n", "\t", "\u{7f}", "…"] {
            for logs in [0, 1, 3, 30] {
                let size = size(&flooded(&filler.repeat(30_000), logs));
                assert!(size < 60_000, "{size} bytes of {filler:?} in {logs} logs");
            }
        }
    }

    #[test]
    fn the_verdict_and_the_logs_last_lines_stay() {
        let mut report = sample();
        let text = report.sections[0].text.clone();
        report.sections.push(section("memory", &text));
        report.sections[0].text = (0..100_000)
            .map(|at| format!("line <{at}>"))
            .collect::<Vec<_>>()
            .join("\n");
        let content = content(&View::of(&report));
        let of = |key: &str| content[key].as_str().unwrap().to_owned();
        let (body, html) = (of("body"), of("formatted_body"));
        assert!(body.starts_with("[db1] web crashed: exit code 1\n\nWhat: web crashed: "));
        assert!(
            body.contains("\n  …\n  line <") && body.contains("\n  line <99999>\n\nmemory:\n"),
            "{body}"
        );
        assert!(html.contains("\nline &lt;99999&gt;</code></pre>\n"));
        assert!(
            body.ends_with("Report 20261123t030000-0123456789abcdef: lastwords show 20261123t030000-0123456789abcdef")
        );
        assert!(content.to_string().len() > 20_000);
        assert_eq!(content["m.mentions"], json!({}));
    }

    #[test]
    fn a_log_is_whole_at_its_limit_and_one_over_keeps_its_end() {
        for unit in ["x", "&", "🦀"] {
            let each: usize = unit.chars().map(cost).sum();
            for (more, whole) in [(0, true), (1, false)] {
                let mut report = sample();
                report.sections[0].text =
                    unit.repeat((LOGS - VALUE) / each + more) + if more > 0 { "END" } else { "" };
                let content = content(&View::of(&report));
                let body = content["body"].as_str().unwrap();
                assert_eq!(
                    body.contains(&report.sections[0].text),
                    whole,
                    "{unit} {more}"
                );
                assert!(whole || body.contains(&format!("{unit}END\n")), "{unit}");
                let html = content["formatted_body"].as_str().unwrap();
                assert!(
                    !html.replace("&amp;", "").contains('&'),
                    "an escape is whole or not there"
                );
            }
        }
    }

    #[test]
    fn a_drill_says_so() {
        let mut report = sample();
        report.drill = true;
        let content = content(&View::of(&report));
        assert!(
            content["body"]
                .as_str()
                .unwrap()
                .starts_with("DRILL [db1] web crashed")
        );
        assert!(
            content["formatted_body"]
                .as_str()
                .unwrap()
                .contains("nothing died")
        );
    }

    /// Returns the tags of an HTML text; an error if a `<`, `>` or `&` is anything else.
    fn tags(html: &str) -> Result<Vec<&str>, String> {
        let mut tags = Vec::new();
        for piece in html.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').ok_or("open tag")?;
            tags.push(tag);
            if text.contains(['>', '"', '\'']) {
                return Err(format!("markup in {text:?}"));
            }
        }
        Ok(tags)
    }

    proptest! {
        #[test]
        fn nothing_from_outside_becomes_markup(
            text in prop::collection::vec(prop_oneof![any::<char>(), prop::sample::select(vec!['<', '>', '&', '"', '/', '\n'])], 0..100)
        ) {
            let (body, html) = message(&View::of(&flooded(&text.into_iter().collect::<String>(), 3)));
            let tags = tags(&html).map_err(TestCaseError::fail)?;
            let allowed = ["p", "/p", "strong", "/strong", "br", "pre", "/pre", "code", "/code"];
            prop_assert!(tags.iter().all(|tag| allowed.contains(tag)), "{tags:?}");
            prop_assert_eq!(tags.iter().filter(|tag| **tag == "pre").count(), 10);
            prop_assert!(body.lines().last().is_some_and(|line| line.starts_with("Report 2026")));
        }
    }
}
