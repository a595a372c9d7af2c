//! Writes a report as an email (RFC 5322), with the same bytes at every try.

use std::fmt::Write;

use anyhow::{Context, Result};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MaybeString, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::render::{self, View};
use crate::report::Report;

/// Maximum number of attached logs.
const LOGS: usize = 8;

/// An email, and the parts of it that a preview shows.
pub struct Letter {
    pub from: Address,
    message: Message,
    text: String,
    html_bytes: usize,
    json_bytes: usize,
}

/// Writes the email.
///
/// Its id is the report's, so that mail readers recognise a second copy. All equal crashes of a
/// service answer to one message that was never sent, so that mail readers show them as one thread.
pub fn write<'a>(
    from: Option<&Mailbox>,
    to: impl Iterator<Item = &'a Mailbox>,
    report: &Report,
    text: String,
    html: String,
) -> Result<Letter> {
    let domain = domain(&report.host);
    let from = match from {
        Some(from) => from.clone(),
        None => Address::new("lastwords", &domain)
            .with_context(|| format!("cannot use {domain} in the sender's address: set `from`"))?
            .into(),
    };
    let job = label(&report.stop.service());
    let thread = format!("<{job}-{}@lastwords.{domain}>", label(&report.fingerprint));
    let json = serde_json::to_vec_pretty(report)?;
    let (html_bytes, json_bytes) = (html.len(), json.len());

    let alternative = MultiPart::alternative()
        .boundary(boundary("text", report))
        .singlepart(part(ContentType::TEXT_PLAIN, text.clone())?)
        .singlepart(part(ContentType::TEXT_HTML, html)?);
    let mut body = MultiPart::mixed()
        .boundary(boundary("all", report))
        .multipart(alternative);
    for log in View::of(report)
        .logs()
        .filter(|log| !log.text.is_empty())
        .take(LOGS)
    {
        body = body.singlepart(attachment(
            &log_name(&log.title),
            log.text.clone(),
            ContentType::TEXT_PLAIN,
        )?);
    }
    let body = body.singlepart(attachment(
        "report.json",
        json,
        ContentType::parse("application/json")?,
    )?);

    let mut builder = Message::builder().from(from.clone());
    for recipient in to {
        builder = builder.to(recipient.clone());
    }
    let message = builder
        // Keeps mail readers from decoding an encoded word (RFC 2047) in a job's name.
        .subject(render::subject(report).replace("=?", "= ?"))
        .date(report.made_at().time())
        .message_id(Some(format!("<{}@lastwords.{domain}>", report.id)))
        .references(thread.clone())
        .in_reply_to(thread)
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(header("List-Id", format!("<{job}.lastwords.{domain}>")))
        .multipart(body)?;
    Ok(Letter {
        from: from.email,
        message,
        text,
        html_bytes,
        json_bytes,
    })
}

impl Letter {
    /// Returns the bytes for SMTP, with CRLF.
    pub fn wire(&self) -> Vec<u8> {
        self.message.formatted()
    }

    /// Returns the bytes for a local program, with LF. All parts are encoded and contain no CR of
    /// their own.
    pub fn lines(&self) -> Vec<u8> {
        self.wire()
            .into_iter()
            .filter(|byte| *byte != b'\r')
            .collect()
    }

    /// Returns the headers and the text, decoded, for people.
    pub fn readable(&self) -> String {
        let mut readable = String::new();
        for name in [
            "From",
            "To",
            "Date",
            "Subject",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Auto-Submitted",
            "List-Id",
        ] {
            if let Some(value) = self.message.headers().get_raw(name) {
                let _ = writeln!(readable, "{name}: {value}");
            }
        }
        let Self {
            text,
            html_bytes,
            json_bytes,
            ..
        } = self;
        let _ = write!(
            readable,
            "\n{text}\n[the same as HTML, {html_bytes} bytes; report.json, {json_bytes} bytes]\n"
        );
        readable
    }
}

fn part(kind: ContentType, text: String) -> Result<SinglePart> {
    let body = encoded(text, ContentTransferEncoding::QuotedPrintable)?;
    Ok(SinglePart::builder().header(kind).body(body))
}

fn attachment(
    name: &str,
    content: impl Into<MaybeString>,
    kind: ContentType,
) -> Result<SinglePart> {
    Ok(Attachment::new(name.to_owned())
        .body(encoded(content, ContentTransferEncoding::Base64)?, kind))
}

/// Returns a file name that opens as text: `web.log.txt` for `log /var/log/upstart/web.log`.
fn log_name(title: &str) -> String {
    let name = title.rsplit('/').next().unwrap_or_default();
    let safe = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let name: String = name.chars().filter(safe).take(60).collect();
    format!("{}.txt", name.trim_matches('.'))
}

fn encoded(text: impl Into<MaybeString>, encoding: ContentTransferEncoding) -> Result<Body> {
    Body::new_with_encoding(text, encoding)
        .ok()
        .context("a part of the message cannot be encoded")
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// Returns a boundary that is the same at every try. It contains `=_`, which neither base64 nor
/// quoted-printable makes (RFC 2045, 6.7).
fn boundary(part: &str, report: &Report) -> String {
    format!("=_{part}_{}", report.id)
}

/// Returns a host's name as a domain name (RFC 1123): labels of letters, digits and inner hyphens.
pub fn domain(host: &str) -> String {
    let labels: Vec<_> = host
        .split('.')
        .filter(|part| !part.is_empty())
        .map(label)
        .take(4)
        .collect();
    if labels.is_empty() {
        label("")
    } else {
        labels.join(".")
    }
}

/// Returns a text as one label of a domain name, with at most 40 characters.
fn label(text: &str) -> String {
    let safe: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let safe = safe.trim_matches('-');
    if safe.is_empty() {
        "unknown".to_owned()
    } else {
        safe.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use mailparse::MailHeaderMap;

    use super::{Letter, domain, write};
    use crate::render;
    use crate::report::{Report, sample};

    fn letter(report: &Report) -> Letter {
        let to = "ops@example.com".parse().expect("an address");
        let (text, html) = (render::text(report), "<p>é</p>".to_owned());
        write(None, std::iter::once(&to), report, text, html).expect("a letter")
    }

    fn wire(report: &Report) -> String {
        String::from_utf8(letter(report).wire()).expect("ASCII")
    }

    #[test]
    fn the_headers_say_who_what_when_and_which_thread() {
        let mut report = sample();
        let first = wire(&report);
        for header in [
            "From: lastwords@db1\r\n",
            "To: ops@example.com\r\n",
            "Date: Mon, 23 Nov 2026 03:00:00 +0000\r\n",
            "Subject: [db1] web crashed: exit code 1\r\n",
            "Message-ID: <20261123t030000-0123456789abcdef@lastwords.db1>\r\n",
            "References: <web-0011223344556677@lastwords.db1>\r\n",
            "In-Reply-To: <web-0011223344556677@lastwords.db1>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "List-Id: <web.lastwords.db1>\r\n",
            "MIME-Version: 1.0\r\n",
        ] {
            assert!(first.contains(header), "{header} in {first}");
        }
        assert_eq!(wire(&report), first, "a second try is the same message");
        report.host = "e\r\nBcc: x@evil".to_owned();
        assert!(wire(&report).contains("@lastwords.e--Bcc--x-evil>"));
    }

    #[test]
    fn all_that_is_said_of_one_cause_lands_in_one_thread_and_each_message_is_itself() {
        let value = |report: &Report, name: &str| {
            letter(report)
                .message
                .headers()
                .get_raw(name)
                .map(str::to_owned)
                .unwrap_or_default()
        };
        let about_web = ["crash", "drill", "summary", "recovered"];
        let about_web = render::examples()
            .into_iter()
            .filter(|(name, _)| about_web.contains(name))
            .map(|(_, it)| it);
        let threads: std::collections::BTreeSet<_> =
            about_web.map(|it| value(&it, "References")).collect();
        assert_eq!(threads.len(), 1, "{threads:?}");
        let mut other = sample();
        other.fingerprint = "ffffffffffffffff".to_owned();
        assert_ne!(value(&other, "References"), value(&sample(), "References"));
        assert_eq!(
            value(&other, "Message-ID"),
            value(&sample(), "Message-ID"),
            "the report's id, and nothing else"
        );
    }

    #[test]
    fn a_subject_in_any_script_is_encoded_words_that_read_as_it_was() {
        let mut report = sample();
        report.stop.job = "магазин-日本🦀".to_owned();
        report.cause.line = format!("ошибка {}", "é🦀".repeat(300));
        let wire = wire(&report);
        let parsed = mailparse::parse_mail(wire.as_bytes()).expect("a mail");
        let subject = parsed
            .headers
            .get_first_value("Subject")
            .expect("a subject");
        assert_eq!(subject, render::subject(&report));
        assert!(subject.chars().count() <= 200, "{subject}");
    }

    #[test]
    fn the_whole_log_is_attached_as_text_that_any_terminal_shows() {
        let mut report = sample();
        report.sections[0].collector = "log /var/log/../web\u{1b} é.log".to_owned();
        report.sections[0].text = format!("first\n{}\u{1b}[2Jlast", "x\n".repeat(500));
        let wire = wire(&report);
        let parsed = mailparse::parse_mail(wire.as_bytes()).expect("a mail");
        let log = parsed.subparts.iter().find(|part| {
            part.get_content_disposition()
                .params
                .get("filename")
                .is_some_and(|name| name == "web.log.txt")
        });
        let text = log
            .expect("a log")
            .get_body()
            .expect("text")
            .replace("\r\n", "\n");
        assert!(
            text.starts_with("first\nx") && text.trim_end().ends_with("x\nlast"),
            "{text}"
        );
        assert_eq!(
            parsed
                .subparts
                .last()
                .and_then(|part| part
                    .get_content_disposition()
                    .params
                    .get("filename")
                    .cloned())
                .as_deref(),
            Some("report.json")
        );
    }

    #[test]
    fn every_byte_on_the_wire_is_ascii_in_lines_that_any_server_takes() {
        let mut report = sample();
        report.stop.job = format!(
            "wéb\r\nBcc: x@evil\r\n\r\nbody =?utf-8?B?DQo=?= {}",
            "🦀".repeat(500)
        );
        report.sections[0].text = format!(
            ".\r\n.\r\nFrom x\n--=_all_{}\n{}\0é\u{feff}",
            report.id,
            "x".repeat(100_000)
        );
        report.notes = vec!["é".repeat(5_000)];
        let wire = wire(&report);
        assert!(wire.is_ascii());
        assert!(
            wire.split("\r\n")
                .all(|line| line.len() <= 200 && !line.contains(['\r', '\n', '\0']))
        );
        let (headers, _) = wire.split_once("\r\n\r\n").expect("a body");
        assert!(
            !headers
                .lines()
                .any(|line| line.starts_with("Bcc") || line.contains("=?utf-8?B?")),
            "{headers}"
        );
        let ours = format!("--=_all_{}", report.id);
        assert_eq!(
            wire.lines().filter(|line| line.starts_with(&ours)).count(),
            4
        );
    }

    #[test]
    fn a_preview_is_readable_where_the_wire_is_not() {
        let mut report = sample();
        report.stop.job = "wéb".to_owned();
        let readable = letter(&report).readable();
        assert!(
            readable.contains("\nSubject: [db1] wéb crashed"),
            "{readable}"
        );
        assert!(
            readable.contains("\n  Error: boom\n") && readable.contains("report.json, "),
            "{readable}"
        );
    }

    #[test]
    fn any_hosts_name_makes_a_domain() {
        for (host, made) in [
            ("db1.example.com", "db1.example.com"),
            ("my_host", "my-host"),
            ("", "unknown"),
            ("..", "unknown"),
            ("-a-.\u{202e}", "a.unknown"),
        ] {
            assert_eq!(domain(host), made);
        }
        assert!(domain(&"x".repeat(5_000)).len() <= 40);
    }
}
