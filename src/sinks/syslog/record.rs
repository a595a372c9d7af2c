//! A report as one line of at most 1,024 bytes, which every receiver takes in practice (RFC 3164
//! §4.1). RFC 5424 §6.1 guarantees only 480.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::render::{View, one_line};
use crate::report::{Kind, Report, Verdict};

/// Maximum length of a record, in bytes.
const MAX: usize = 1024;
/// Mark before a text in UTF-8 (RFC 5424 §6.4).
const BOM: char = '\u{feff}';

/// The part of the system that speaks (RFC 5424 §6.2.1, in its order).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    Kern,
    User,
    Mail,
    #[default]
    Daemon,
    Auth,
    Syslog,
    Lpr,
    News,
    Uucp,
    Cron,
    Authpriv,
    Ftp,
    Local0 = 16,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

/// Returns the record with structured data.
pub fn rfc5424(report: &Report, facility: Facility) -> String {
    let stop = &report.stop;
    let host: String = report
        .host
        .chars()
        .filter(char::is_ascii_graphic)
        .take(128)
        .collect();
    let host = if host.is_empty() { "-" } else { &host };
    let mut record = format!(
        "<{}>1 {} {host} lastwords - ",
        priority(report, facility),
        report.made_at()
    );
    let _ = write!(record, "{} [lastwords@32473", message_id(report));
    let verdict = serde_json::to_value(report.verdict).unwrap_or_default();
    param(&mut record, "report", report.id.as_str(), 32);
    param(&mut record, "job", &stop.job, 128);
    if let Some(instance) = &stop.instance {
        param(&mut record, "instance", instance, 64);
    }
    param(
        &mut record,
        "verdict",
        verdict.as_str().unwrap_or_default(),
        16,
    );
    param(&mut record, "exit", &stop.exit.to_string(), 64);
    if let Some(seconds) = stop.uptime_s {
        param(&mut record, "uptime", &format!("{seconds:.3}"), 16);
    }
    if let Kind::Summary { new, .. } = report.kind {
        param(&mut record, "count", &new.count.to_string(), 20);
    }
    param(&mut record, "fingerprint", &report.fingerprint, 16);
    param(&mut record, "drill", &report.drill.to_string(), 5);
    record.push_str("] ");
    record.push(BOM);
    finish(record, report)
}

/// Returns the record as local programs write it. It has no time, since RFC 3164 wants local time
/// and lastwords does not know the zone; the syslog daemon adds its own.
pub fn rfc3164(report: &Report, facility: Facility) -> String {
    finish(
        format!("<{}>lastwords: ", priority(report, facility)),
        report,
    )
}

/// Returns facility and severity as one number (RFC 5424 §6.2.1).
fn priority(report: &Report, facility: Facility) -> u8 {
    let severity = match (report.kind, report.verdict) {
        _ if report.drill => 5,
        (Kind::Recovered { .. }, _) | (_, Verdict::Planned) => 5,
        (Kind::Down { .. }, _) => 2,
        (Kind::Notice, _) | (_, Verdict::Unknown) => 4,
        (_, Verdict::Crashed | Verdict::AbortedStart | Verdict::Missed) => 3,
    };
    facility as u8 * 8 + severity
}

fn message_id(report: &Report) -> &'static str {
    match (report.kind, report.verdict) {
        _ if report.drill => "DRILL",
        (Kind::Summary { .. }, _) => "SUMMARY",
        (Kind::Recovered { .. }, _) => "RECOVERED",
        (Kind::Down { .. }, _) => "DOWN",
        (Kind::Notice, _) => "NOTICE",
        (Kind::Crash, Verdict::Crashed) => "CRASH",
        (Kind::Crash, Verdict::AbortedStart) => "ABORTED-START",
        (Kind::Crash, Verdict::Planned) => "PLANNED-STOP",
        (Kind::Crash, Verdict::Unknown) => "STOP",
        (Kind::Crash, Verdict::Missed) => "MISSED",
    }
}

/// Adds a parameter of the structured data. Its value is escaped (RFC 5424 §6.3.3) and at most
/// `max` bytes long.
fn param(record: &mut String, name: &str, value: &str, max: usize) {
    let _ = write!(record, " {name}=\"");
    let end = record.len() + max;
    for c in one_line(value, max).chars() {
        let escape = matches!(c, '"' | '\\' | ']');
        if record.len() + usize::from(escape) + c.len_utf8() > end {
            break;
        }
        if escape {
            record.push('\\');
        }
        record.push(c);
    }
    record.push('"');
}

/// Adds the message for people: what happened and why, cut to fit; then the time and the report's
/// id.
fn finish(mut record: String, report: &Report) -> String {
    let View {
        title,
        stopped,
        show,
        ..
    } = View::of(report);
    let said = format!("{}{title}", if report.drill { "DRILL: " } else { "" });
    let rest = format!(" (at {stopped}; see: {show})");
    let room = MAX.saturating_sub(record.len() + rest.len());
    if said.len() <= room {
        record += &said;
    } else {
        record += &said[..said.floor_char_boundary(room.saturating_sub('…'.len_utf8()))];
        record.push('…');
    }
    record + &rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Exit, sample};

    /// A record taken apart by the letter of RFC 5424's grammar.
    struct Parsed {
        header: Vec<String>,
        params: Vec<(String, String)>,
        message: String,
    }

    fn parse(record: &str) -> Result<Parsed, String> {
        let (pri, rest) = record
            .strip_prefix('<')
            .and_then(|rest| rest.split_once('>'))
            .ok_or("no PRI")?;
        if pri.starts_with('0') || pri.parse::<u8>().map_err(|e| e.to_string())? > 191 {
            return Err(format!("PRI {pri}"));
        }
        let mut words = rest.splitn(7, ' ');
        let mut header: Vec<String> = words.by_ref().take(6).map(str::to_owned).collect();
        header.insert(0, pri.to_owned());
        let graphic = |text: &str, max: usize| {
            (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let limits = [3, 1, 32, 255, 48, 128, 32];
        if header.len() != 7
            || header[1] != "1"
            || !header
                .iter()
                .zip(limits)
                .all(|(text, max)| graphic(text, max))
        {
            return Err(format!("header {header:?}"));
        }
        humantime::parse_rfc3339(&header[2]).map_err(|e| e.to_string())?;
        let mut rest = words
            .next()
            .and_then(|rest| rest.strip_prefix("[lastwords@32473"))
            .ok_or("no SD-ID")?;
        let mut params = Vec::new();
        while let Some(param) = rest.strip_prefix(' ') {
            let (name, value) = param.split_once("=\"").ok_or("no =\"")?;
            if !graphic(name, 32) || name.contains(['=', ']', '"']) {
                return Err(format!("PARAM-NAME {name}"));
            }
            let (mut unescaped, mut chars) = (String::new(), value.chars());
            loop {
                match chars.next().ok_or("open value")? {
                    '"' => break,
                    ']' => return Err("bare ] in a value".to_owned()),
                    '\\' => unescaped.push(
                        chars
                            .next()
                            .filter(|c| "\"\\]".contains(*c))
                            .ok_or("bad escape")?,
                    ),
                    c => unescaped.push(c),
                }
            }
            params.push((name.to_owned(), unescaped));
            rest = chars.as_str();
        }
        let message = rest
            .strip_prefix("] \u{feff}")
            .ok_or("no end of SD, or no BOM")?
            .to_owned();
        Ok(Parsed {
            header,
            params,
            message,
        })
    }

    #[test]
    fn a_crash_is_one_record_of_structured_facts() {
        let record = rfc5424(&sample(), Facility::Daemon);
        let parsed = parse(&record).unwrap();
        assert_eq!(
            parsed.header,
            [
                "27",
                "1",
                "2026-11-23T03:00:00.250Z",
                "db1",
                "lastwords",
                "-",
                "CRASH"
            ]
        );
        let params: Vec<_> = parsed
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            params,
            [
                "report=20261123t030000-0123456789abcdef",
                "job=web",
                "verdict=crashed",
                "exit=exit code 1",
                "uptime=3600.250",
                "fingerprint=0011223344556677",
                "drill=false"
            ]
        );
        assert_eq!(
            parsed.message,
            "web crashed: exit code 1 (at 2026-11-23 03:00:00 UTC; \
             see: lastwords show 20261123t030000-0123456789abcdef)"
        );
    }

    #[test]
    fn a_drill_is_a_notice_that_says_drill() {
        let drill = Report {
            drill: true,
            ..sample()
        };
        assert!(
            rfc3164(&drill, Facility::Local7).starts_with("<189>lastwords: DRILL: web crashed: ")
        );
        let parsed = parse(&rfc5424(&drill, Facility::User)).unwrap();
        assert_eq!(
            (parsed.header[0].as_str(), parsed.header[6].as_str()),
            ("13", "DRILL")
        );
    }

    #[test]
    fn a_long_cause_fills_the_record_to_its_limit_and_the_id_stays() {
        let mut long = sample();
        for filler in ["é", "…", "😀"] {
            long.cause.line = filler.repeat(5000);
            for record in [
                rfc5424(&long, Facility::Local0),
                rfc3164(&long, Facility::Local0),
            ] {
                assert!(
                    (MAX - 3..=MAX).contains(&record.len()),
                    "{} bytes of {filler}",
                    record.len()
                );
                assert!(
                    record.ends_with(
                        "… (at 2026-11-23 03:00:00 UTC; see: lastwords show 20261123t030000-0123456789abcdef)"
                    )
                );
            }
        }
        long.cause.line = "x".to_owned();
        let room = MAX + 1 - rfc5424(&long, Facility::Daemon).len();
        long.cause.line = "é".repeat(room / 2) + &"x".repeat(room % 2);
        let full = rfc5424(&long, Facility::Daemon);
        assert_eq!((full.len(), full.contains('…')), (MAX, false));
    }

    proptest! {
        #[test]
        fn hostile_texts_are_data(
            text in proptest::collection::vec(prop_oneof![any::<char>(), prop::sample::select(vec!['"', '\\', ']', '\n', '\u{1b}', '\0', ' ', '[', '\u{2028}', '\u{feff}'])], 0..400),
            drill: bool,
            uptime: f64,
        ) {
            let text: String = text.into_iter().collect();
            let mut hostile = sample();
            hostile.drill = drill;
            hostile.host.clone_from(&text);
            hostile.stop.job.clone_from(&text);
            hostile.stop.instance = Some(text.clone());
            hostile.stop.uptime_s = Some(uptime);
            hostile.stop.exit = Exit::Signal { name: text.clone(), core_dumped: true };
            hostile.fingerprint.clone_from(&text);
            hostile.cause.line.clone_from(&text);
            let record = rfc5424(&hostile, Facility::Daemon);
            prop_assert!(record.len() <= MAX && rfc3164(&hostile, Facility::Daemon).len() <= MAX);
            prop_assert!(!record.contains(char::is_control));
            let parsed = parse(&record).map_err(TestCaseError::fail)?;
            prop_assert!(one_line(&text, 500).starts_with(parsed.params[1].1.trim_end_matches('…')));
            prop_assert!(parsed.message.contains("see: lastwords show 20261123t030000-0123456789abcdef)"));
            prop_assert!(!rfc3164(&hostile, Facility::Daemon).contains(char::is_control));
        }
    }
}
