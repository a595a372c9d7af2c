//! Email, through this machine's own `sendmail` or an SMTP server.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `to` | addresses: `ops@example.com`, `Ops <ops@example.com>` | required |
//! | `from` | an address | `lastwords@` and the host's name |
//! | `sendmail` | the absolute path of a program that takes mail as sendmail does | `/usr/sbin/sendmail` |
//! | `server` | an SMTP server's name: no `sendmail` then | none |
//! | `port` | the server's port | 587 for `starttls`, 465 for `implicit`, 25 for `none` |
//! | `tls` | `starttls`, `implicit` (TLS from the first byte), `none` | `starttls` |
//! | `ca_file` | certificates, as PEM, to trust beside the system's | none |
//! | `username` | whom to log in as | no login |
//! | `password_file` | a file whose first line is the password | required with `username`, or `password_env` |
//! | `password_env` | the environment variable that holds it | required with `username`, or `password_file` |
//! | `template_text` | a file of handlebars in place of the built-in text (config/templates.md) | none |
//! | `template_html` | the same in place of the built-in HTML | none |
//!
//! ```toml
//! [[sink.email]]
//! name = "ops-mail"
//! to = ["ops@example.com"]
//! server = "smtp.example.com"
//! username = "lastwords"
//! password_file = "/etc/lastwords/secrets/smtp"
//! ```
//!
//! A server without STARTTLS gets nothing unless the config says `tls = "none"`. A password goes
//! without TLS only to this machine itself.
//!
//! If the server refuses a recipient for good, the others get the message, and the receipt names
//! the refused one. If the server defers a recipient (greylisting, a full mailbox), the message
//! waits for up to an hour, so that nobody gets it twice; then the others get it.

mod keys;
mod message;
mod session;
mod smtp;

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;

use self::keys::{EmailKeys, SmtpAccount, Way};
use self::message::Letter;
use self::smtp::SmtpServer;
use super::template::{self, Template};
use super::{Form, Probed, Receipt, SendError, Sink};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::plugin::{Command, ProgramEnd, Run, run};
use crate::render::{self, Medium, View, one_line};
use crate::report::Report;
use crate::secret::SecretSource;

/// The program that takes mail where no other is named.
pub const SENDMAIL: &str = "/usr/sbin/sendmail";
/// Maximum run time of `sendmail`.
const SENDMAIL_TIMEOUT: Duration = Duration::from_secs(30);
/// Hint if the machine has no `sendmail`.
const NO_SENDMAIL: &str = "name a mail server with `server`, or install one";
/// Maximum time that a message waits for a recipient whom the server defers.
const PATIENCE: Duration = Duration::from_hours(1);

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "EmailKeys"))]
#[serde(try_from = "EmailKeys")]
pub struct Email {
    name: String,
    to: Vec<Mailbox>,
    from: Option<Mailbox>,
    way: Way,
    template_text: Option<Template>,
    template_html: Option<Template>,
}

impl TryFrom<EmailKeys> for Email {
    type Error = KeyError;
    fn try_from(keys: EmailKeys) -> Result<Self, KeyError> {
        Ok(Self {
            way: keys.way()?,
            name: keys.name,
            to: keys.to.0.into_iter().map(|person| person.0).collect(),
            from: keys.from.map(|person| person.0),
            template_text: keys.template_text,
            template_html: keys.template_html,
        })
    }
}

impl Sink for Email {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "email"
    }

    fn secret_files(&self) -> Vec<&Path> {
        let Way::Smtp(account) = &self.way else {
            return Vec::new();
        };
        let password = account.login.as_ref().map(|(_, password)| password);
        password.and_then(SecretSource::file).into_iter().collect()
    }

    fn templates(&self) -> Vec<(&Template, Medium)> {
        let text = self
            .template_text
            .iter()
            .map(|template| (template, Medium::Text));
        text.chain(
            self.template_html
                .iter()
                .map(|template| (template, Medium::Html)),
        )
        .collect()
    }

    fn form(&self, form: Form, report: &Report, host: &Host) -> Option<String> {
        let (text, html) = self.bodies(report, host);
        match form {
            Form::Html => Some(html),
            Form::Text => Some(text),
            Form::Subject => Some(render::subject(report)),
            Form::Slack | Form::Matrix | Form::Syslog | Form::Json => None,
        }
    }

    /// Enough for a server that is slow at every step. Ending a try too soon may send twice.
    fn patience(&self) -> Duration {
        Duration::from_mins(4)
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        let letter = self.letter(report, host)?;
        let to: Vec<_> = self.to.iter().map(|person| person.email.as_ref()).collect();
        let through = match &self.way {
            Way::Sendmail(path) => {
                self.command(path, &letter.from)?
                    .locate()
                    .context(NO_SENDMAIL)?;
                path.display().to_string()
            }
            Way::Smtp(account) => server(account, &report.host, host)?.to_string(),
        };
        Ok(format!(
            "to {} through {through}\n\n{}",
            to.join(", "),
            letter.readable()
        ))
    }

    /// Connects, logs in and leaves, without a MAIL.
    fn probe(&self, host: &Host) -> Result<Probed, SendError> {
        match &self.way {
            Way::Sendmail(path) => {
                let program = path.to_string_lossy().into_owned();
                Command::try_from(vec![program])
                    .map_err(anyhow::Error::msg)?
                    .locate()
                    .context(NO_SENDMAIL)?;
                Ok(Probed::Unasked(format!(
                    "{} exists (not verified: only a message shows where it sends mail)",
                    path.display()
                )))
            }
            Way::Smtp(account) => {
                let server = server(account, &host.name(), host)?;
                server.greet()?;
                Ok(Probed::Good(format!("{server} accepts the connection")))
            }
        }
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let letter = self.letter(report, host)?;
        match &self.way {
            Way::Sendmail(path) => self.sendmail(path, &letter),
            Way::Smtp(account) => {
                let to: Vec<_> = self.to.iter().map(|person| person.email.clone()).collect();
                // The message does not depend on the clock, only how long it waits for a recipient.
                let age = SystemTime::now()
                    .duration_since(report.made_at().time())
                    .unwrap_or_default();
                server(account, &report.host, host)?.deliver(
                    &letter.from,
                    &to,
                    &letter.wire(),
                    age < PATIENCE,
                )
            }
        }
    }
}

impl Email {
    fn letter(&self, report: &Report, host: &Host) -> Result<Letter> {
        let (text, html) = self.bodies(report, host);
        message::write(self.from.as_ref(), self.to.iter(), report, text, html)
    }

    /// Returns the message as text and as HTML.
    fn bodies(&self, report: &Report, host: &Host) -> (String, String) {
        let mut view = View::of(report).brief();
        let templates = [
            (self.template_text.as_ref(), Medium::Text),
            (self.template_html.as_ref(), Medium::Html),
        ];
        let [text, html] = template::fill_all(templates, &mut view, host);
        (
            text.unwrap_or_else(|| render::text_of(&view)),
            html.unwrap_or_else(|| render::html_of(&view)),
        )
    }

    /// Returns `sendmail -i -f FROM -- TO…`: a line with a dot does not end the message, and no
    /// address is taken for an option.
    fn command(&self, program: &Path, from: &Address) -> Result<Command> {
        let program = program.to_str().context("`sendmail` must be UTF-8")?;
        let to = self.to.iter().map(|person| person.email.as_ref());
        let words = [program, "-i", "-f", from.as_ref(), "--"]
            .into_iter()
            .chain(to)
            .map(str::to_owned);
        Command::try_from(words.collect::<Vec<_>>()).map_err(anyhow::Error::msg)
    }

    fn sendmail(&self, program: &Path, letter: &Letter) -> Result<Receipt, SendError> {
        let command = self.command(program, &letter.from)?;
        let home: (&str, &OsStr) = ("HOME", OsStr::new("/"));
        let lines = letter.lines();
        let outcome = run(&Run {
            command: &command,
            user: None,
            stdin: &lines,
            env: &[home],
            timeout: SENDMAIL_TIMEOUT,
            max_bytes: 4096,
        });
        judge(&outcome.end, program, &outcome.last_error)
    }
}

/// Returns the account's server, greeted in the name of the machine `name`.
///
/// # Errors
/// If the password or the certificates cannot be read.
fn server(account: &SmtpAccount, name: &str, host: &Host) -> Result<SmtpServer> {
    let login = account.login.as_ref().map(|(username, password)| {
        let password = password.read(host)?;
        anyhow::Ok((username.clone(), password))
    });
    let ca_file = account.ca_file.as_ref();
    let ca_file = ca_file.map(|file| host.configured(file));
    SmtpServer::new(
        account.server.clone(),
        account.port,
        account.tls,
        ca_file.as_deref(),
        login.transpose()?,
        message::domain(name),
    )
}

/// Returns what the end of `sendmail` means. The codes are those of sysexits(3).
fn judge(end: &ProgramEnd, program: &Path, last_error: &str) -> Result<Receipt, SendError> {
    let program = program.display();
    if end.code() == Some(0) {
        return Ok(format!("{program} took it"));
    }
    let said = if last_error.is_empty() {
        String::new()
    } else {
        format!(": {last_error}")
    };
    let why = one_line(&format!("{program}: {end}{said}"), 500);
    // EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOHOST
    if matches!(end.code(), Some(64 | 65 | 67 | 68)) {
        Err(SendError::Refused { why })
    } else {
        Err(SendError::Retry { after: None, why })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::keys::Person;
    use super::{Email, SendError, Sink};
    use crate::host::Host;
    use crate::report::sample;

    fn email(toml: &str) -> Email {
        toml::from_str(&format!("name = 'mail'\n{toml}")).expect("a config")
    }

    fn preview(toml: &str) -> anyhow::Result<String> {
        email(toml).preview(&sample(), &Host::new("/", "/nonexistent"))
    }

    /// A stand-in for sendmail that keeps what it is given.
    fn sendmail(dir: &Path, script: &str) -> Email {
        let path = dir.join("sendmail");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
        email(&format!(
            "to = ['-oops@example.com', 'b@example.com']\nsendmail = {path:?}"
        ))
    }

    #[test]
    fn an_address_is_an_address_and_nothing_more() {
        for good in [
            "ops@example.com",
            "Ops <ops@example.com>",
            "\"Ops, Night\" <ops@example.com>",
            "root@localhost",
        ] {
            assert!(Person::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ops",
            "a@b@",
            "ops@example.com, x@evil",
            "ops@example.com\r\nBcc: x@evil",
            "ö@example.com",
            "<>",
        ] {
            let why = Person::try_from(bad.to_owned()).err();
            assert!(
                why.is_some_and(|why| why.contains("expected an address")),
                "{bad}"
            );
        }
        let why = toml::from_str::<Email>("name = 'x'\nto = []")
            .expect_err("nobody")
            .to_string();
        assert!(
            why.contains("line 2") && why.contains("expected at least one address"),
            "{why}"
        );
    }

    #[test]
    fn the_preview_says_to_whom_and_over_what() {
        let text =
            preview("to = ['a@x.org', 'B <b@x.org>']\nserver = 'mx.x.org'").expect("a preview");
        assert!(
            text.starts_with(
                "to a@x.org, b@x.org through mx.x.org:587 (STARTTLS, no login)\n\nFrom: "
            ),
            "{text}"
        );
        assert!(text.contains("\nTo: a@x.org, B <b@x.org>\n"), "{text}");
        assert!(
            text.contains("\nSubject: [db1] web crashed: exit code 1"),
            "{text}"
        );
        assert!(text.contains("\n  Error: boom\n"), "{text}");
        let text = preview(
            "to = ['a@x.org']\nserver = 'mx'\ntls = 'implicit'\nusername = 'lab'\npassword_env = 'PATH'",
        );
        let text = text.expect("a preview");
        assert!(text.contains("through mx:465 (TLS, as user lab)"), "{text}");
        assert!(!text.contains(&std::env::var("PATH").expect("a PATH")));
    }

    #[test]
    fn what_could_not_be_sent_has_no_preview() {
        for (config, why) in [
            (
                "sendmail = '/nonexistent/sendmail'",
                "cannot run /nonexistent/sendmail",
            ),
            (
                "server = 'mx'\nusername = 'u'\npassword_file = 'no-such-file'",
                "cannot read the password",
            ),
            (
                "server = 'mx'\nca_file = 'no-such-file'",
                "cannot read certificates from the ca_file",
            ),
            (
                "server = 'mx'\nca_file = '/etc/passwd'",
                "holds no certificate",
            ),
        ] {
            let found = format!(
                "{:#}",
                preview(&format!("to = ['a@x.org']\n{config}")).expect_err(config)
            );
            assert!(found.contains(why), "{config}: {found}");
        }
        assert!(
            preview("to = ['a@x.org']\nserver = '127.0.0.1'\nusername = 'u'\npassword_env = 'PATH'\ntls = 'none'")
                .is_ok()
        );
    }

    #[test]
    fn sendmail_gets_the_addresses_as_arguments_and_the_message_on_stdin() {
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().display();
        let sink = sendmail(
            dir.path(),
            &format!("for a; do echo \"$a\"; done >{out}/args; cat >{out}/message; env >{out}/env"),
        );
        sink.send(&sample(), &Host::new("/", "/"))
            .expect("a receipt");
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect(name);
        assert_eq!(
            read("args"),
            "-i\n-f\nlastwords@db1\n--\n-oops@example.com\nb@example.com\n"
        );
        assert!(
            read("message").starts_with("From: lastwords@db1\n") && !read("message").contains('\r')
        );
        assert!(!read("env").contains("CARGO"));
    }

    #[test]
    fn the_end_of_sendmail_says_whether_to_try_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let host = Host::new("/", "/");
        let end = |script: &str| sendmail(dir.path(), script).send(&sample(), &host);
        let Err(SendError::Refused { why }) = end("echo no such user >&2; exit 67") else {
            panic!("refused")
        };
        assert!(
            why.ends_with("sendmail: exit status: 67: no such user"),
            "{why}"
        );
        let Err(SendError::Retry { after: None, why }) = end("echo queue full >&2; exit 75") else {
            panic!("retry")
        };
        assert!(why.ends_with("queue full"), "{why}");
        assert!(matches!(end("kill -KILL $$"), Err(SendError::Retry { .. })));
    }
}
