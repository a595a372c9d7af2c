//! Writes a report as a Slack message, in [Block Kit](https://api.slack.com/reference/block-kit/blocks).
//!
//! Text from outside goes into `plain_text` and `rich_text` only. Slack parses neither, so nothing
//! in it pings, links or turns bold. Slack does parse the fallback for notifications, which is
//! escaped.

use reqwest::Url;
use serde_json::{Value, json};

use crate::render::{Block, Gauge, View, head_by};

/// In characters as Slack may count them, see [`cost`]. Slack takes 150 in a header, 3,000 in a
/// text, about 13,200 in all; what these add up to stays below.
const HEADER: usize = 150;
const FALLBACK: usize = 300;
const VALUE: usize = 500;
const EVIDENCE: (usize, usize) = (4, 400);
const NOTES: (usize, usize) = (2, 300);
const LOGS: usize = 4_000;
const MACHINE: usize = 800;
const LOG: usize = 2_900;
const OTHERS: (usize, usize) = (3, 500);

/// Cuts the view's sections so that they fit.
pub fn held(view: View) -> View {
    view.within(LOGS, OTHERS.0 * OTHERS.1, cost)
}

/// Returns the whole message.
pub fn payload(view: &View) -> Value {
    let mut elements = vec![facts(view)];
    let logs: Vec<_> = view.logs().take(6).collect();
    for log in &logs {
        let room = LOG.min(LOGS / logs.len());
        elements.extend(block(log, &log.cut_by(room, cost)));
    }
    if !view.gauges.is_empty() {
        let gauges: Vec<_> = view.gauges.iter().map(gauge).collect();
        elements.extend(preformatted("Machine", &clip(&gauges.join("\n"), MACHINE)));
    }
    for other in view
        .blocks
        .iter()
        .filter(|block| !block.is_log)
        .take(OTHERS.0)
    {
        elements.extend(block(other, &other.cut_by(OTHERS.1, cost)));
    }
    if !view.notes.is_empty() {
        let notes = view
            .notes
            .iter()
            .take(NOTES.0)
            .map(|note| format!("\n{}", clip(note, NOTES.1)));
        elements.push(section(&[
            bold("What lastwords could not do"),
            text(&notes.collect::<String>()),
        ]));
    }
    json!({
        "text": fallback(view),
        "blocks": [
            { "type": "header", "text": plain(&clip(&view.subject, HEADER)) },
            { "type": "rich_text", "elements": elements },
            { "type": "context", "elements": [plain(&format!("Report {}: {}", view.id, view.show))] },
        ],
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// Returns the message in one line, in case Slack refuses the whole one.
pub fn bare(view: &View) -> Value {
    json!({ "text": fallback(view) })
}

/// Returns the text of notifications, the only one that Slack parses.
fn fallback(view: &View) -> String {
    let subject = clip(&view.subject, FALLBACK);
    escape(&format!("{subject} (report {})", view.id))
}

/// Why, where, when.
fn facts(view: &View) -> Value {
    let mut parts = Vec::new();
    let mut fact = |name: &str, value: &str| {
        parts.extend([bold(name), text(&format!("  {}\n", clip(value, VALUE)))]);
    };
    if view.drill {
        fact("Drill", "nothing died; a crash was simulated");
    }
    if let Some(by) = &view.by {
        fact("Made by", by);
    }
    fact("What", &format!("{}: {}", view.what, view.because));
    if let Some(now) = &view.now {
        fact("Now", now);
    }
    fact(
        "Why",
        &format!("{} ({})", clip(&view.why, VALUE - 20), view.confidence),
    );
    if !view.causes.is_empty() {
        fact("Causes", &view.causes.join("; "));
    }
    if let Some(exit) = &view.exit {
        fact("How", exit);
    }
    fact("Where", &view.place);
    fact("When", &view.stopped);
    if let Some(uptime) = &view.uptime {
        fact("Uptime", uptime);
    }
    if !view.past.is_empty() {
        fact("Before", &view.past.join("; "));
    }
    if let Some(day) = &view.day {
        fact("Last day", &format!("{} {}", day.line, day.words));
    }
    if !view.changes.is_empty() {
        fact("Changed", &view.changes.join("; "));
    }
    for evidence in view.evidence.iter().take(EVIDENCE.0) {
        fact(
            "Seen",
            &clip(
                &format!("{}: {}", evidence.source, evidence.text),
                EVIDENCE.1,
            ),
        );
    }
    if let Some(runbook) = &view.runbook {
        parts.extend([bold("Runbook"), text("  "), link(runbook)]);
    }
    section(&parts)
}

/// `Memory       ███████████████████░ 1.9 GiB of 2.0 GiB (95 %)`
fn gauge(gauge: &Gauge) -> String {
    format!(
        "{:20} {} {} ({} %)",
        gauge.label, gauge.bar, gauge.words, gauge.percent
    )
}

/// A titled text that is shown as it is.
fn block(block: &Block, body: &str) -> [Value; 2] {
    preformatted(&clip(&block.title, 200), body)
}

fn preformatted(title: &str, body: &str) -> [Value; 2] {
    [
        section(&[bold(title)]),
        json!({ "type": "rich_text_preformatted", "elements": [text(body)] }),
    ]
}

fn section(parts: &[Value]) -> Value {
    json!({ "type": "rich_text_section", "elements": parts })
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": present(text) })
}

fn bold(text: &str) -> Value {
    json!({ "type": "text", "text": present(text), "style": { "bold": true } })
}

/// Slack refuses a message with an empty text in it.
fn present(text: &str) -> &str {
    if text.is_empty() { "(empty)" } else { text }
}

/// A web address to click on; Slack refuses a message with a link that is none.
fn link(address: &str) -> Value {
    match Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.as_str().len() <= VALUE => {
            json!({ "type": "link", "url": url.as_str() })
        }
        _ => text(&clip(address, VALUE)),
    }
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// Escapes what Slack would parse; see "Escaping text" in its documentation.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn clip(text: &str, max: usize) -> String {
    head_by(text, max, cost)
}

/// Returns the most that a character counts against Slack's limits: escaped, in UTF-16.
fn cost(c: char) -> usize {
    match c {
        '&' => "&amp;".len(),
        '<' | '>' => "&lt;".len(),
        c => c.len_utf16(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{bare, clip, cost, escape, held, payload};
    use crate::render::View;
    use crate::report::{Report, sample, section};

    fn size(text: &str) -> usize {
        text.chars().map(cost).sum()
    }

    /// Every text in a message, at any depth.
    fn texts(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(map) => map
                .iter()
                .flat_map(|(key, value)| match value {
                    Value::String(text) if key == "text" || key == "url" => vec![text.as_str()],
                    value => texts(value),
                })
                .collect(),
            Value::Array(list) => list.iter().flat_map(texts).collect(),
            _ => Vec::new(),
        }
    }

    fn hostile(evil: &str) -> Report {
        let mut report = sample();
        report.host = evil.to_owned();
        report.stop.job = evil.to_owned();
        report.verdict_because = evil.to_owned();
        report.cause.line = evil.to_owned();
        report.cause.evidence[0].text = evil.to_owned();
        report.cause.evidence = vec![report.cause.evidence[0].clone(); 100];
        report.runbook = Some(format!("https://{evil}"));
        report.sections = ["memory", "log /a", "log /b", evil]
            .map(|name| section(name, evil))
            .to_vec();
        report.notes = vec![evil.to_owned(); 100];
        let machine = crate::render::example();
        let drawn = machine
            .sections
            .into_iter()
            .filter(|it| ["load", "disk", "memory"].contains(&it.collector.as_str()));
        report.sections.extend(drawn);
        report.past = machine.past;
        if let Some(past) = &mut report.past {
            past.last_cause = Some(evil.to_owned());
        }
        report
    }

    #[test]
    fn a_log_is_whole_at_its_limit_and_one_over_keeps_its_end() {
        for unit in ["x", "&", "🦀"] {
            let each: usize = unit.chars().map(cost).sum();
            for (more, whole) in [(0, true), (1, false)] {
                let mut report = sample();
                report.sections[0].text =
                    unit.repeat(super::LOG / each + more) + if more > 0 { "END" } else { "" };
                let message = payload(&View::of(&report)).to_string();
                assert_eq!(
                    message.contains(&report.sections[0].text),
                    whole,
                    "{unit} {more}"
                );
                assert!(whole || message.contains(&format!("{unit}END\"")), "{unit}");
            }
        }
    }

    #[test]
    fn several_logs_share_the_room_of_all_and_three_other_sections_are_whole_at_their_limit() {
        let mut report = sample();
        report.sections = ["log /a", "log /b", "x", "y", "z"]
            .map(|name| {
                section(
                    name,
                    &name[..1].repeat(if name.len() > 1 { 9_000 } else { 500 }),
                )
            })
            .to_vec();
        let view = View::of(&report);
        let unheld = payload(&view);
        let message = payload(&held(view));
        assert_eq!(message, unheld, "the message itself shares the room");
        let shown: Vec<_> = message["blocks"][1]["elements"]
            .as_array()
            .expect("elements")
            .iter()
            .filter(|it| it["type"] == "rich_text_preformatted")
            .filter_map(|it| it["elements"][0]["text"].as_str())
            .map(size)
            .collect();
        assert_eq!(shown, [2_000, 2_000, 500, 500, 500]);
    }

    #[test]
    fn every_limit_of_slacks_holds_for_the_longest_report() {
        for flood in [
            String::new(),
            "&".repeat(50_000),
            "🦀".repeat(50_000),
            "a\n".repeat(50_000),
        ] {
            let message = payload(&View::of(&hostile(&flood)));
            let header = message["blocks"][0]["text"]["text"]
                .as_str()
                .expect("a header");
            assert!(size(header) <= 150, "{header}");
            let texts = texts(&message);
            assert!(texts.iter().all(|text| (1..=3000).contains(&size(text))));
            let all: usize = texts.into_iter().map(size).sum();
            assert!(all <= 13_000, "{all}");
        }
    }

    #[test]
    fn a_header_of_150_is_whole_and_one_of_151_is_cut() {
        let mut view = View::of(&sample());
        let header = |view: &View| {
            payload(view)["blocks"][0]["text"]["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        view.subject = format!("&{}", "x".repeat(145));
        assert_eq!(header(&view), view.subject);
        view.subject.push('x');
        assert_eq!(header(&view), format!("&{}…", "x".repeat(144)));
    }

    #[test]
    fn the_verdict_and_the_last_log_lines_are_kept() {
        let mut report = sample();
        report.sections[0].text = (0..9_000)
            .map(|i| i.to_string())
            .collect::<Vec<_>>()
            .join("\n");
        let message = payload(&View::of(&report));
        let texts = texts(&message);
        assert!(
            texts.contains(&"  web crashed: it was running and nobody had asked it to stop\n"),
            "{texts:?}"
        );
        assert!(
            texts
                .iter()
                .any(|text| text.starts_with("…\n") && text.ends_with("\n8998\n8999"))
        );
        assert!(
            texts.contains(&"Report 20261123t030000-0123456789abcdef: lastwords show 20261123t030000-0123456789abcdef")
        );
    }

    #[test]
    fn nothing_from_outside_stands_where_slack_parses() {
        let evil = "<!channel> <@U1> <http://evil|x> & *b* :skull: ```\u{202e}";
        let message = payload(&View::of(&hostile(evil)));
        for parsed in [&message["text"], &bare(&View::of(&hostile(evil)))["text"]] {
            let parsed = parsed.as_str().unwrap_or_default();
            assert!(
                !parsed.contains(['<', '>']) && parsed.contains("&lt;!channel&gt;"),
                "{parsed}"
            );
        }
        let json = message.to_string();
        assert!(
            !json.contains("mrkdwn")
                && !json.contains("\"broadcast\"")
                && !json.contains("\"user\""),
            "{json}"
        );
        assert!(!json.contains('\u{202e}'));
    }

    #[test]
    fn a_runbook_is_a_link_only_where_it_is_an_address() {
        let mut report = sample();
        for (runbook, kind) in [
            ("https://wiki.example.com/a b", "link"),
            ("https://", "text"),
            ("javascript:x", "text"),
            ("ask Eve", "text"),
        ] {
            report.runbook = Some(runbook.to_owned());
            let message = payload(&View::of(&report));
            let facts = message["blocks"][1]["elements"][0]["elements"]
                .as_array()
                .expect("facts");
            assert_eq!(facts.last().expect("a runbook")["type"], kind, "{runbook}");
        }
    }

    #[test]
    fn a_cut_counts_what_escapes_will_add() {
        assert_eq!(escape(&clip("a<b>&", 13)), "a&lt;b&gt;…");
        assert_eq!(clip("🦀🦀", 4), "🦀🦀");
        assert_eq!(clip("🦀🦀🦀", 5), "🦀🦀…");
    }
}
