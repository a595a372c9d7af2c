//! Renders a report for people: as a subject line, as plain text, as HTML. It uses no clock and no
//! file.
//!
//! Every message is made from a [`View`]. Its strings are already clean and bounded: a template or
//! a sink only has to escape them for their destination. Log text stays data: in the plain text it
//! is indented, so that none of its lines can pass for one of ours.

mod clean;
pub mod condition;
mod counts;
mod cut;
mod example;
mod headline;
mod past;
mod picture;
mod template;
mod view;

use handlebars::{RenderError, html_escape, no_escape};

use crate::report::Report;

pub use clean::{clean, one_line};
pub use counts::beside_the_first;
pub use cut::{head, head_by, tail_by};
pub use example::{example, examples};
pub use picture::Gauge;
pub use template::{Medium, TemplateFault, fill};
pub use view::{Block, View};

const TEXT: &str = include_str!("message.txt.hbs");
const HTML: &str = include_str!("message.html.hbs");

/// Returns the report in one line: `[db1] web crashed: exit code 1`.
pub fn subject(report: &Report) -> String {
    View::of(report).subject
}

/// Returns the whole message as plain text.
pub fn text(report: &Report) -> String {
    text_of(&View::of(report))
}

/// Returns a view as plain text.
pub fn text_of(view: &View) -> String {
    template::fill_now(TEXT, no_escape, usize::MAX, view).unwrap_or_else(|why| plain(view, &why))
}

/// Returns a view as an HTML document for mail readers: tables and inline styles, nothing remote,
/// nothing active. The colours are for a light background; readers that know
/// `prefers-color-scheme` get others on a dark one.
pub fn html_of(view: &View) -> String {
    template::fill_now(HTML, html_escape, usize::MAX, view)
        .unwrap_or_else(|why| format!("<pre>{}</pre>\n", html_escape(&plain(view, &why))))
}

/// Returns a message without a template: the news must arrive even if a template is wrong.
fn plain(view: &View, why: &RenderError) -> String {
    let logs = view
        .logs()
        .map(|log| format!("{}:\n{}", log.title, log.text))
        .collect::<Vec<_>>()
        .join("\n\n");
    let View { subject, show, .. } = view;
    format!(
        "{subject}\n\n{logs}\n\n{show}\n\n(This message is short because its template failed: {why})\n"
    )
}

#[cfg(test)]
mod tests {
    use super::template::fill_now;
    use super::{View, html_of, no_escape, plain, subject, text};
    use crate::report::{CollectorKind, Report, Status, sample};

    fn html(report: &Report) -> String {
        html_of(&View::of(report))
    }

    #[test]
    fn the_subject_says_where_what_and_why() {
        let mut report = sample();
        assert_eq!(subject(&report), "[db1] web crashed: exit code 1");
        report.cause.line = "out of memory".to_owned();
        report.stop.instance = Some("a/b".to_owned());
        report.drill = true;
        assert_eq!(
            subject(&report),
            "DRILL [db1] web (a/b) crashed: out of memory"
        );
    }

    #[test]
    fn the_plain_text_answers_on_one_screen() {
        let mut report = sample();
        let mut failed = report.sections[0].clone();
        failed.kind = CollectorKind::DMESG;
        failed.collector = "dmesg".to_owned();
        failed.status = Status::Failed;
        failed.text = "no such device\n".to_owned();
        report.sections.insert(0, failed);
        report.notes = vec!["the config could not be read".to_owned()];
        report.cause.line = "Error: boom".to_owned();
        assert_eq!(
            text(&report),
            "\
web crashed: Error: boom

What     web crashed: it was running and nobody had asked it to stop
Why      Error: boom (certain)
         kernel log: init: web main process (4242) terminated with status 1
How      exit code 1
Where    db1, supervised by Upstart
When     2026-11-23 03:00:00 UTC (started 2026-11-23 02:00:00 UTC)
Uptime   1 h
Runbook  https://wiki.example.com/web

--- log ---
  listening on 8080
  Error: boom

--- dmesg (failed) ---
  no such device

--- what lastwords could not do ---
  the config could not be read

Report 20261123t030000-0123456789abcdef. To see all of it, on db1: lastwords show 20261123t030000-0123456789abcdef
"
        );
    }

    #[test]
    fn no_log_line_passes_for_one_of_ours() {
        let mut report = sample();
        report.sections[0].text = "a\r--- memory ---\nReport {{id}} {{{log}}}".to_owned();
        let text = text(&report);
        assert!(
            text.contains("\n  a\n  --- memory ---\n  Report {{id}} {{{log}}}\n"),
            "{text}"
        );
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let evil = "</pre><script src=//evil>\"'`=&amp;<img onerror=x>";
        let mut report = sample();
        report.host = evil.to_owned();
        report.stop.job = evil.to_owned();
        report.stop.instance = Some(evil.to_owned());
        report.verdict_because = evil.to_owned();
        report.cause.line = evil.to_owned();
        report.cause.evidence[0].source = evil.to_owned();
        report.cause.evidence[0].text = evil.to_owned();
        report.sections[0].collector = evil.to_owned();
        report.sections[0].text = evil.to_owned();
        report.notes = vec![evil.to_owned()];
        report.runbook = Some(format!("https://{evil}"));
        let html = html(&report);
        for markup in ["<script", "<img", "</pre><", "\"'`", "&amp;<"] {
            assert!(!html.contains(markup), "{markup} in {html}");
        }
        assert_eq!(
            html.matches("<pre ").count(),
            html.matches("</pre>").count()
        );
    }

    #[test]
    fn a_runbook_that_is_no_web_address_is_no_link() {
        let mut report = sample();
        assert!(html(&report).contains("href=\"https://wiki.example.com/web\""));
        report.runbook = Some("javascript:alert(1)".to_owned());
        assert!(!html(&report).contains("href"));
    }

    #[test]
    fn a_hostile_report_makes_a_message_of_bounded_size() {
        let mut report = sample();
        let flood = "<\u{1b}[31m".repeat(20_000);
        report.sections[0].text = flood.clone();
        report.sections.resize(100, report.sections[0].clone());
        report.notes = vec![flood.clone(); 100];
        report.cause.line = flood;
        assert!(text(&report).len() < 1 << 20);
        assert!(html(&report).len() < 4 << 20);
    }

    #[test]
    fn a_broken_template_still_brings_the_news() {
        let view = View::of(&sample());
        let why = fill_now("{{#if drill}}", no_escape, 99, &view).expect_err("an unclosed block");
        let message = plain(&view, &why);
        assert!(
            message.starts_with("[db1] web crashed") && message.contains("Error: boom\n"),
            "{message}"
        );
    }
}
