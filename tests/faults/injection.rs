//! Puts hostile texts into every field of a report, sends it through every sink, and reads it back
//! at the destination. There, none of them may act as markup, header, mention, record or escape
//! sequence.

/// Hostile texts for log lines, job names and process names.
const HOSTILE: [&str; 70] = [
    "<script>evil()</script>",
    "<img src=x onerror=evil()>",
    "</pre></code><b>evil</b>",
    "<a href='javascript:evil()'>evil</a>",
    "<a href=\"https://evil.example\">evil</a>",
    "\"><svg onload=evil()>",
    "'><iframe src=//evil.example>",
    "<!-- evil",
    "--><h1>evil</h1>",
    "<![CDATA[<evil>]]>",
    "<style>*{display:none}</style>",
    "<mx-reply>evil</mx-reply>",
    "<font data-mx-bg-color=\"red\">evil</font>",
    "<span data-mx-spoiler>evil</span>",
    "&lt;evil&gt;",
    "&#60;evil&#62;",
    "&amp;lt;evil",
    "{{evil}}",
    "{{{evil}}}",
    "{{#each evil}}x{{/each}}",
    "{{> evil}}",
    "${evil}",
    "$(evil)",
    "`evil`",
    "; rm -rf /evil",
    "%s%n%x evil",
    "%00evil",
    "evil\r\nBcc: evil@evil.example",
    "\r\nSubject: evil\r\n",
    "\r\n\r\nevil body",
    "\r\n.\r\nMAIL FROM:<evil@evil.example>",
    "\n.\nQUIT",
    ".\r",
    "From evil Mon Nov 23 2026",
    "=?utf-8?q?evil?=",
    "=?utf-8?b?ZXZpbA==?=",
    "\r\n--=_all_evil--\r\nContent-Type: text/html\r\n\r\n<b>evil",
    "Content-Type: text/html; charset=evil",
    "evil@evil.example",
    "Reply-To: evil@evil.example",
    "<!channel>",
    "<!here>",
    "<!everyone>",
    "<@U012EVIL>",
    "<#C012EVIL>",
    "<!subteam^S012EVIL>",
    "<https://evil.example|click>",
    "*evil* _evil_ ~evil~",
    "> evil",
    "```evil```",
    ":evil:",
    "@room",
    "@everyone",
    "@evil:gitter.im",
    "https://matrix.to/#/@evil:gitter.im",
    "[evil](https://evil.example)",
    "![evil](https://evil.example/x.png)",
    "\n<13>1 2026-11-23T03:00:00Z evil evil - - - evil",
    "\n<0>evil",
    "\"] evil [evil@1 x=\"",
    "\\\"]\\",
    "\u{1b}[2J\u{1b}[31mevil",
    "\u{1b}]0;evil\u{7}",
    "\u{9b}31mevil\u{9d}0;evil\u{9c}",
    "\u{1b}P1;1|evil\u{1b}\\",
    "\u{8}\u{8}\u{7f}evil\r",
    "\u{202e}live\u{2066}evil\u{200f}",
    "\u{2028}evil\u{2029}evil\u{85}evil",
    "\u{feff}evil\u{0}evil\u{fffe}",
    "\u{1f980}e\u{301}\u{301}\u{301}\u{301}vil\u{e0001}",
];

/// Returns each text alone, in the middle of others, and on a line of its own.
fn texts() -> Vec<String> {
    let forms = |text: &&str| {
        [
            (*text).to_owned(),
            format!("before {text} after"),
            format!("first\r\n{text}\nlast"),
        ]
    };
    HOSTILE.iter().flat_map(forms).collect()
}

/// Returns the markup of a document: everything from a `<` to its `>`.
fn tags(html: &str) -> std::collections::BTreeSet<&str> {
    html.match_indices('<')
        .map(|(at, _)| html[at..].split_inclusive('>').next().unwrap_or_default())
        .collect()
}

/// Checks that nothing in the text moves a cursor, reverses the writing or breaks a line.
fn assert_harmless(what: &str, text: &str) {
    let harmful = |c: &char| {
        (c.is_control() && !"\n\t".contains(*c))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    let found: Vec<_> = text.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {text}");
}

mod as_root {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::thread::scope;

    use lastwords::Spool;
    use lastwords::report::{
        CollectorKind, Evidence, Exit, Report, ReportId, Section, SectionData, Status,
    };
    use serde_json::Value;

    use super::{assert_harmless, tags, texts};
    use crate::answers::Sender;
    use crate::support::harness::wait_for;
    use crate::support::servers::certs::Certs;
    use crate::support::servers::postfix::{Mail, Postfix};
    use crate::support::servers::rsyslog::Rsyslog;
    use crate::support::servers::slack::Slack;
    use crate::support::servers::synapse::Synapse;
    use crate::support::slack_rules;
    use crate::victim::{is_slow, tell};

    /// Number of fields of a report that take a text.
    const FIELDS: usize = 10;

    /// Returns the report with a text in each of its fields.
    fn filled(report: &Report, id: ReportId, text: impl Fn(usize) -> String) -> Report {
        let mut report = Report {
            id,
            ..report.clone()
        };
        report.stop.job = text(0);
        report.stop.instance = Some(text(1));
        report.host = text(2);
        report.cause.line = text(3);
        report.cause.evidence = vec![Evidence {
            source: text(4),
            line: None,
            text: text(5),
        }];
        report.verdict_because = text(6);
        report.stop.exit = Exit::Signal {
            name: text(7),
            core_dumped: false,
        };
        report.notes = vec![text(8)];
        let section = |collector: &str, text: String| Section {
            kind: match collector {
                "log" => CollectorKind::LOG,
                "memory" => CollectorKind::MEMORY,
                _ => CollectorKind::EXEC,
            },
            collector: collector.to_owned(),
            status: Status::Ok,
            text,
            data: SectionData::Nothing,
            millis: 1,
        };
        report.sections = vec![
            section("log", text(9)),
            section(&text(4), text(9)),
            section("memory", text(5)),
        ];
        report
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one life, told from its beginning to its end"
    )]
    #[test]
    fn hostile_texts_arrive_as_text_at_every_destination() {
        let mut sender = Sender::new();
        let certs = Certs::issue();
        let (postfix, synapse, rsyslog) = scope(|threads| {
            let postfix = threads.spawn(|| Postfix::start(&certs));
            let synapse = threads.spawn(Synapse::start);
            let rsyslog = Rsyslog::start(&certs);
            (postfix.join().unwrap(), synapse.join().unwrap(), rsyslog)
        });
        let slack = Slack::start();
        let etc = sender.machine.root.join("etc");
        fs::copy(certs.ca(), etc.join("ca.pem")).unwrap();
        fs::write(etc.join("token"), &synapse.token).unwrap();
        fs::set_permissions(etc.join("token"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink(rsyslog.socket(), sender.machine.root.join("dev/log")).unwrap();
        let told = sender.machine.path("told");
        fs::create_dir(&told).unwrap();

        sender.slack("slack", &slack.webhook());
        let room = format!(
            "homeserver = '{}'\nroom = '{}'",
            synapse.homeserver, synapse.room
        );
        sender.sink(
            "matrix",
            "matrix",
            &format!("{room}\ntoken_file = '/etc/token'"),
        );
        let mail = format!(
            "to = ['ops@example.test']\nserver = 'localhost'\nport = {}\ntls = 'none'",
            postfix.plain
        );
        sender.sink(
            "email",
            "mail",
            &format!("{mail}\nfrom = 'lastwords@example.test'"),
        );
        sender.sink(
            "syslog",
            "udp",
            &format!("address = 'udp://127.0.0.1:{}'", rsyslog.udp),
        );
        sender.sink(
            "syslog",
            "tcp",
            &format!("address = 'tcp://127.0.0.1:{}'", rsyslog.tcp),
        );
        let tls = format!(
            "address = 'tls://localhost:{}'\nca_file = '/etc/ca.pem'",
            rsyslog.tls
        );
        sender.sink("syslog", "tls", &tls);
        sender.sink("syslog", "unix", "address = 'unix:/dev/log'");
        let keep = format!(
            "cp \"$LASTWORDS_REPORT_DIR/report.txt\" {}/$$",
            told.display()
        );
        sender.sink("exec", "exec", &format!("command = ['sh', '-c', '{keep}']"));

        // The first report is benign. The messages of the others may contain only the markup and
        // headers that its message has.
        let texts = texts();
        let spool = Spool::new(&sender.machine.spool);
        let id = |number| ReportId::new(sender.report.stop.stopped_at, number);
        spool
            .put(&filled(&sender.report, id(0), |_| "benign".to_owned()))
            .unwrap();
        let count = if is_slow() {
            texts.len()
        } else {
            texts.len().div_ceil(FIELDS)
        };
        let (wide, step) = if is_slow() { (1, 1) } else { (1, count) };
        for number in 0..count {
            let text = |field: usize| texts[(number * wide + field * step) % texts.len()].clone();
            let number = u64::try_from(number).unwrap() + 1;
            spool
                .put(&filled(&sender.report, id(number), text))
                .unwrap();
        }
        let all = count + 1;
        let said = sender
            .deliver(&[])
            .stdout(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert!(said.status.success());
        assert_harmless("the deliverer", &String::from_utf8(said.stdout).unwrap());

        check_slack(&slack, all);
        check_matrix(&synapse, all);
        wait_for("the mails", || postfix.mails("ops").len() == all);
        check_mails(&postfix.mails("ops"));
        wait_for("the records", || rsyslog.records().len() >= all * 4);
        check_syslog(&rsyslog, all);
        let files: Vec<_> = fs::read_dir(&told)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert_eq!(files.len(), all);
        for file in files {
            assert_harmless("report.txt", &fs::read_to_string(file).unwrap());
        }
        for number in 0..all {
            let argv = sender.machine.hook_argv("show");
            let id = id(u64::try_from(number).unwrap());
            let said = Command::new(&argv[0])
                .args(&argv[1..])
                .arg(id.as_str())
                .output()
                .unwrap();
            assert!(said.status.success(), "{said:?}");
            assert_harmless("show", &String::from_utf8(said.stdout).unwrap());
        }
        tell(
            &format!(
                "injection: {} texts in {FIELDS} fields through 8 sinks, {all} reports",
                texts.len()
            ),
            &[],
        );
    }

    fn check_slack(slack: &Slack, all: usize) {
        let requests = slack.requests();
        assert_eq!(requests.len(), all);
        for request in requests {
            assert_eq!(
                slack_rules::problems(&request.payload),
                [""; 0],
                "{:#}",
                request.payload
            );
            for text in slack_rules::texts(&request.payload["blocks"]) {
                assert_harmless("slack", text);
            }
            assert_harmless("slack", request.payload["text"].as_str().unwrap());
        }
    }

    fn check_matrix(synapse: &Synapse, all: usize) {
        let messages = synapse.messages();
        assert_eq!(messages.len(), all);
        let html = |message: &Value| message["formatted_body"].as_str().unwrap().to_owned();
        let benign = messages
            .iter()
            .map(html)
            .find(|html| html.contains("benign"))
            .expect("the benign one");
        for message in &messages {
            assert_eq!(message["m.mentions"], serde_json::json!({}), "{message}");
            assert_harmless("matrix", message["body"].as_str().unwrap());
            let html = html(message);
            assert_harmless("matrix", &html);
            assert!(tags(&html).is_subset(&tags(&benign)), "{:?}", tags(&html));
        }
    }

    fn check_mails(mails: &[Mail]) {
        let headers = |mail: &Mail| {
            let mut count = BTreeMap::new();
            for header in mail.parse().headers {
                *count.entry(header.get_key()).or_insert(0) += 1;
            }
            count
        };
        // A log that is too long to be shown whole is also attached as a file.
        let is_log = |part: &&mailparse::ParsedMail| {
            part.ctype.mimetype == "text/plain"
                && part.get_content_disposition().disposition
                    == mailparse::DispositionType::Attachment
        };
        let parts = |mail: &Mail| {
            let parsed = mail.parse();
            parsed
                .parts()
                .filter(|part| !is_log(part))
                .map(|part| part.ctype.mimetype.clone())
                .collect::<Vec<_>>()
        };
        let benign = mails
            .iter()
            .find(|mail| mail.header("Subject").contains("benign"))
            .expect("the benign one");
        let benign_html = benign.text("text/html");
        // The document's title is the subject, and that is text.
        let structure = |html: &str| {
            tags(html)
                .into_iter()
                .map(str::to_owned)
                .collect::<std::collections::BTreeSet<_>>()
        };
        for mail in mails {
            let raw = String::from_utf8(mail.raw.clone()).expect("a mail is ASCII on its way");
            assert!(
                raw.is_ascii() && raw.lines().all(|line| line.len() <= 998),
                "{raw}"
            );
            assert_eq!(headers(mail), headers(benign), "{raw}");
            assert_eq!(parts(mail), parts(benign), "{raw}");
            for header in [
                "Subject",
                "From",
                "To",
                "Message-ID",
                "List-Id",
                "References",
            ] {
                assert_harmless(header, &mail.header(header));
            }
            assert!(
                mail.header("To") == "ops@example.test"
                    && mail.header("From") == "lastwords@example.test"
            );
            assert_harmless("text", &mail.text("text/plain").replace('\r', ""));
            let html = mail.text("text/html").replace('\r', "");
            assert_harmless("html", &html);
            let benign = structure(&benign_html.replace('\r', ""));
            // A cause that is too long for the title is below it, once, in bold.
            let is_known = |tag: &String| {
                benign.contains(tag) || tag == "<b>" && html.matches("<b>").count() == 1
            };
            let more: Vec<_> = structure(&html)
                .into_iter()
                .filter(|tag| !is_known(tag))
                .collect();
            assert!(more.is_empty(), "{more:?} in {html}");
            serde_json::from_slice::<Report>(&mail.bytes("application/json"))
                .expect("the report is attached");
        }
    }

    fn check_syslog(rsyslog: &Rsyslog, all: usize) {
        let records = rsyslog.records();
        assert_eq!(records.len(), all * 4, "a text made a record of its own");
        for record in records {
            assert_eq!(
                (record.pri.as_str(), record.app.as_str()),
                ("27", "lastwords"),
                "{record:?}"
            );
            assert_harmless("syslog", &record.msg);
            assert!(
                !record.msg.contains('\n') && record.msg.contains("see: lastwords show "),
                "{record:?}"
            );
            if record.via != "imuxsock" {
                let ids = record.sd.matches("[lastwords@32473 report=\"").count();
                assert!(ids == 1 && record.sd.ends_with("\"]"), "{record:?}");
            }
        }
    }
}
