//! A report as a [CloudEvent](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md),
//! and what is cut from one that is too long.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::names;
use crate::render::{clean, head, one_line, tail_by};
use crate::report::{Audience, Exit, Kind, Report, Section, SectionData};

/// Returns the event in its structured JSON form.
pub fn envelope(report: &Report) -> Value {
    let kind = match report.kind {
        Kind::Crash => "crash",
        Kind::Summary { .. } => "summary",
        Kind::Recovered { .. } => "recovered",
        Kind::Down { .. } => "down",
        Kind::Notice => "notice",
    };
    json!({
        "specversion": "1.0",
        "id": report.id,
        // A URI reference. With the id it makes the event unique.
        "source": format!("//{}/lastwords", names::encode(&report.host)),
        "type": format!("lastwords.{kind}"),
        "time": report.made_at(),
        "subject": subject(&report.stop.service()),
        "datacontenttype": "application/json",
        "data": report,
    })
}

/// Returns a service's name as an attribute: not empty, without control characters and
/// noncharacters.
fn subject(service: &str) -> String {
    let is_character =
        |c: &char| !matches!(u32::from(*c), 0xfdd0..=0xfdef) && u32::from(*c) & 0xfffe != 0xfffe;
    let subject: String = one_line(service, 200)
        .chars()
        .filter(is_character)
        .collect();
    if subject.is_empty() {
        "unnamed".to_owned()
    } else {
        subject
    }
}

/// Returns the message in at most `max` bytes. If it is longer, all sections are cut to the largest
/// length that fits.
pub fn fit(
    report: &Report,
    max: usize,
    message: impl Fn(&Report) -> serde_json::Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let whole = message(report)?;
    if whole.len() <= max {
        return Ok(whole);
    }
    let longest = report
        .sections
        .iter()
        .map(|section| section.text.len())
        .max()
        .unwrap_or_default();
    // The longest length that fits lies between these.
    let (mut fits, mut over) = (None, longest + 1);
    let mut length = 0;
    while length < over {
        let text = message(&cut(report, length))?;
        if text.len() > max {
            over = length;
        } else {
            fits = Some((length, text));
        }
        let from = fits.as_ref().map_or(0, |(length, _)| *length);
        if over - from <= 1 {
            break;
        }
        length = from + (over - from) / 2;
    }
    if let Some((_, text)) = fits {
        return Ok(text);
    }
    let text = message(&bare(report))?;
    (text.len() <= max)
        .then_some(text)
        .context("the report is too large for a message, even with all its sections cut")
}

/// Returns the report with no section longer than this many bytes.
fn cut(report: &Report, length: usize) -> Report {
    let mut names = Vec::new();
    let sections = report.sections.iter().map(|section| {
        let is_data_long = section.data.length() > length.max(1024);
        if section.text.len() <= length && !is_data_long {
            return section.clone();
        }
        names.push(one_line(&section.collector, 80));
        let text = if section.text.len() <= length {
            section.text.clone()
        } else {
            // The mark of a cut takes three bytes and counts as one.
            tail_by(&section.text, length.saturating_sub(2), char::len_utf8)
        };
        let data = if is_data_long {
            SectionData::Nothing
        } else {
            section.data.clone()
        };
        Section {
            text,
            data,
            ..section.clone()
        }
    });
    let sections = sections.collect();
    let mut notes = report.notes.clone();
    if !names.is_empty() {
        names.truncate(20);
        notes.push(format!(
            "cut, so that the message is not too long: {}",
            names.join(", ")
        ));
    }
    Report {
        sections,
        notes,
        ..report.clone()
    }
}

/// Returns the report without its sections, in a few kilobytes whatever it holds.
fn bare(report: &Report) -> Report {
    const TEXT: usize = 300;
    let line = |text: &str| one_line(text, TEXT);
    let mut bare = report.clone();
    bare.sections.clear();
    bare.past = None;
    if let Exit::Signal { name, .. } = &mut bare.stop.exit {
        *name = one_line(name, 30);
    }
    bare.to = Audience::Job;
    bare.host = line(&report.host);
    bare.stop.job = line(&report.stop.job);
    bare.stop.instance = report.stop.instance.as_deref().map(line);
    bare.verdict_because = line(&report.verdict_because);
    bare.cause.line = line(&report.cause.line);
    bare.cause.evidence.truncate(2);
    for evidence in &mut bare.cause.evidence {
        evidence.source = line(&evidence.source);
        evidence.text = line(&evidence.text);
    }
    bare.causes.truncate(5);
    for cause in &mut bare.causes {
        cause.line = line(&cause.line);
        cause.fingerprint = line(&cause.fingerprint);
    }
    bare.fingerprint = line(&report.fingerprint);
    bare.runbook = report.runbook.as_deref().map(line);
    bare.notes =
        vec!["all sections and notes were cut, so that the message is not too long".to_owned()];
    bare.notes.extend(
        report
            .notes
            .iter()
            .take(1)
            .map(|note| head(&clean(note), TEXT)),
    );
    bare
}

#[cfg(test)]
mod tests {
    use super::{envelope, fit};
    use crate::report::{Kind, Report, Series, sample, section};
    use serde_json::Value;

    const MAX: usize = 16 * 1024;

    fn fitted(report: &Report) -> (usize, Report) {
        let text = fit(report, MAX, serde_json::to_vec).unwrap();
        (text.len(), serde_json::from_slice(&text).unwrap())
    }

    #[test]
    fn an_event_has_what_the_specification_requires() {
        let mut report = sample();
        let event = envelope(&report);
        assert_eq!(
            event["id"].as_str().zip(event["specversion"].as_str()),
            Some(("20261123t030000-0123456789abcdef", "1.0"))
        );
        assert_eq!(event["source"], "//db1/lastwords");
        assert_eq!(event["type"], "lastwords.crash");
        assert_eq!(event["time"], "2026-11-23T03:00:00.250Z");
        assert_eq!(event["subject"], "web");
        assert_eq!(
            serde_json::from_value::<Report>(event["data"].clone()).unwrap(),
            report
        );
        let all = Series::one(report.stop.stopped_at);
        report.kind = Kind::Recovered {
            new: None,
            all,
            instances: 1,
            up_s: 600,
            ended_well: None,
            stopped: None,
            made_at: all.last,
        };
        assert_eq!(envelope(&report)["type"], "lastwords.recovered");
        report.kind = Kind::Notice;
        assert_eq!(envelope(&report)["type"], "lastwords.notice");
    }

    #[test]
    fn no_hostile_name_makes_an_attribute_that_is_none() {
        let mut report = sample();
        report.host = "../evil host\n".to_owned();
        report.stop.job = "\u{0}\u{7}\u{ffff}\u{fdd0}\u{9f}".to_owned();
        let event = envelope(&report);
        assert_eq!(
            event["source"],
            "//%2E./evil%20host%0A/lastwords".replace("/evil", "%2Fevil")
        );
        assert_eq!(event["subject"], "unnamed");
    }

    #[test]
    fn what_fits_exactly_is_whole_and_one_byte_more_is_cut() {
        let mut report = sample();
        report.sections[0].text = String::new();
        let room = MAX - serde_json::to_vec(&report).unwrap().len();
        report.sections[0].text = "x".repeat(room);
        let (length, sent) = fitted(&report);
        assert_eq!((length, &sent), (MAX, &report));
        report.sections[0].text.push('x');
        let (length, sent) = fitted(&report);
        assert!(
            length <= MAX && sent.sections[0].text.starts_with('…'),
            "{length}"
        );
        assert_eq!(
            sent.notes,
            ["cut, so that the message is not too long: log"]
        );
    }

    #[test]
    fn a_cut_uses_the_room_there_is_and_keeps_the_short_sections_and_the_ends() {
        let section = |name: &str, text: String| section(name, &text);
        let long = (0..20_000)
            .map(|i| format!("🦀{i}"))
            .collect::<Vec<_>>()
            .join("\n");
        let report = Report {
            sections: vec![
                section("log", long.clone()),
                section("load", "0.5".to_owned()),
                section("dmesg", long),
            ],
            ..sample()
        };
        let (length, sent) = fitted(&report);
        assert!((MAX - 200..=MAX).contains(&length), "{length}");
        assert_eq!(sent.sections[1].text, "0.5");
        assert!(sent.sections[0].text.ends_with("🦀19999"));
        assert_eq!(sent.sections[0].text, sent.sections[2].text);
    }

    #[test]
    fn whatever_is_too_long_the_news_gets_through() {
        let flood = "\u{1}\"🦀".repeat(50_000);
        let mut report = sample();
        report.notes = vec![flood.clone(); 50];
        report.cause.evidence[0].text.clone_from(&flood);
        report.stop.job.clone_from(&flood);
        report.sections[0].data = Value::from(flood.clone()).into();
        report.fingerprint = flood;
        let (length, sent) = fitted(&report);
        assert!(length <= MAX);
        assert_eq!(
            (sent.cause.line.as_str(), sent.id),
            ("exit code 1", report.id)
        );
    }
}
