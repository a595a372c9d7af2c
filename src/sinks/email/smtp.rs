//! Sends an email over SMTP (RFC 5321), to all recipients in one transaction.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, response::Response};
use serde::Deserialize;

use crate::render::one_line;
use crate::secret::Secret;
use crate::sinks::{Receipt, SendError, use_ring};

/// Maximum wait for the server at each step.
const STEP: Duration = Duration::from_secs(20);
/// Maximum time until the server accepts the message. Leaving earlier may send a second copy.
const MESSAGE: Duration = Duration::from_mins(2);
/// Maximum wait for the server's goodbye, when it has the message already.
const GOODBYE: Duration = Duration::from_secs(2);

/// Encryption of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    Starttls,
    Implicit,
    None,
}

impl Encryption {
    /// Returns the standard port (RFC 6409, RFC 8314, RFC 5321).
    pub fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// A mail server and everything needed to connect to it.
pub struct SmtpServer {
    name: String,
    port: u16,
    tls: Encryption,
    parameters: Option<TlsParameters>,
    login: Option<(String, Secret)>,
    hello: ClientId,
}

/// Writes `smtp.example.com:587 (STARTTLS, as user lab)`.
impl fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let tls = match self.tls {
            Encryption::Starttls => "STARTTLS",
            Encryption::Implicit => "TLS",
            Encryption::None => "no TLS",
        };
        write!(f, "{}:{} ({tls}, ", self.name, self.port)?;
        match &self.login {
            Some((username, _)) => write!(f, "as user {username})"),
            None => f.write_str("no login)"),
        }
    }
}

impl SmtpServer {
    /// Describes the server `name`, which is greeted as `hello`. `ca` is PEM to trust beside the
    /// system's certificates.
    ///
    /// # Errors
    /// If there is no certificate in `ca`.
    pub fn new(
        name: String,
        port: u16,
        tls: Encryption,
        ca: Option<&[u8]>,
        login: Option<(String, Secret)>,
        hello: String,
    ) -> Result<Self> {
        let parameters = (tls != Encryption::None)
            .then(|| parameters(&name, ca))
            .transpose()?;
        Ok(Self {
            name,
            port,
            tls,
            parameters,
            login,
            hello: ClientId::Domain(hello),
        })
    }

    /// Delivers a message. If the server defers some recipients and takes others, `wait` withholds
    /// it from all.
    pub fn deliver(
        &self,
        from: &Address,
        to: &[Address],
        message: &[u8],
        wait: bool,
    ) -> Result<Receipt, SendError> {
        let mut connection = self.connect()?;
        connection
            .command(Mail::new(Some(from.clone()), vec![]))
            .map_err(|why| self.failed("MAIL FROM", &why))?;
        let (mut taken, mut refused, mut put_off) = (0, Vec::new(), Vec::new());
        for recipient in to {
            match connection.command(Rcpt::new(recipient.clone(), vec![])) {
                Ok(_) => taken += 1,
                Err(why) if why.is_permanent() => {
                    refused.push(format!("{recipient}: {}", said(&why)));
                }
                Err(why) if why.is_transient() => {
                    put_off.push(format!("{recipient}: {}", said(&why)));
                }
                Err(why) => return Err(self.failed("RCPT TO", &why)),
            }
        }
        if taken == 0 || (wait && !put_off.is_empty()) {
            goodbye(connection);
            let retry = !put_off.is_empty();
            let why = self.scrub(&format!(
                "{}: {}",
                self.name,
                [put_off, refused].concat().join("; ")
            ));
            return Err(if retry {
                SendError::Retry { after: None, why }
            } else {
                SendError::Refused { why }
            });
        }
        connection
            .command(Data)
            .map_err(|why| self.failed("DATA", &why))?;
        let _ = connection.set_timeout(Some(MESSAGE));
        let answer = connection
            .message(message)
            .map_err(|why| self.failed("the message", &why))?;
        goodbye(connection);
        let mut receipt = format!("{} {}", answer.code(), text(&answer));
        for (what, whom) in [("refused", refused), ("given up after an hour", put_off)] {
            if !whom.is_empty() {
                receipt = format!(
                    "{receipt}; NOT delivered to all, {what}: {}",
                    whom.join("; ")
                );
            }
        }
        Ok(self.scrub(&receipt))
    }

    /// Connects and logs in, and sends nothing.
    pub fn greet(&self) -> Result<(), SendError> {
        let mut connection = self.connect()?;
        connection
            .command(Noop)
            .map_err(|why| self.failed("NOOP", &why))?;
        goodbye(connection);
        Ok(())
    }

    /// Connects, encrypts and logs in as configured.
    fn connect(&self) -> Result<SmtpConnection, SendError> {
        let address = (self.name.as_str(), self.port);
        let implicit = self
            .parameters
            .as_ref()
            .filter(|_| self.tls == Encryption::Implicit);
        let mut connection =
            SmtpConnection::connect(address, Some(STEP), &self.hello, implicit, None)
                .map_err(|why| self.failed("connecting", &why))?;
        if let Some(parameters) = self
            .parameters
            .as_ref()
            .filter(|_| self.tls == Encryption::Starttls)
        {
            if !connection.can_starttls() {
                goodbye(connection);
                let why = format!("{} offers no STARTTLS, so nothing was sent", self.name);
                return Err(SendError::Retry { after: None, why });
            }
            connection
                .starttls(parameters, &self.hello)
                .map_err(|why| self.failed("STARTTLS", &why))?;
        }
        if let Some((username, password)) = &self.login {
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            login.map_err(|why| self.failed("logging in", &why))?;
        }
        Ok(connection)
    }

    /// Returns the error of a failed step. It is a refusal only if the server answered 5xx.
    fn failed(&self, step: &str, why: &Error) -> SendError {
        let text = self.scrub(&format!("{}: {step}: {}", self.name, said(why)));
        if why.is_permanent() {
            SendError::Refused { why: text }
        } else {
            SendError::Retry {
                after: None,
                why: text,
            }
        }
    }

    fn scrub(&self, text: &str) -> String {
        let text = one_line(text, 1000);
        self.login
            .as_ref()
            .map_or(text.clone(), |(_, password)| password.scrub(&text))
    }
}

fn parameters(name: &str, ca: Option<&[u8]>) -> Result<TlsParameters> {
    use_ring();
    let mut builder = TlsParameters::builder(name.to_owned());
    if let Some(pem) = ca {
        ensure!(
            pem.windows(10).any(|window| window == b"-----BEGIN"),
            "there is no certificate in the ca_file"
        );
        builder = builder
            .add_root_certificate(Certificate::from_pem(pem).context("cannot read the ca_file")?);
    }
    builder.build().context("cannot use TLS")
}

/// Ends a session. The message does not depend on this.
fn goodbye(mut connection: SmtpConnection) {
    let _ = connection.set_timeout(Some(GOODBYE));
    let _ = connection.quit();
}

fn text(answer: &Response) -> String {
    answer.message().collect::<Vec<_>>().join(" ")
}

/// Returns an error in the words of the server or the system.
fn said(why: &Error) -> String {
    if let (Some(code), Some(source)) = (why.status(), why.source()) {
        return one_line(&format!("{code} {source}"), 300);
    }
    let mut source = why.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        {
            return "no answer in time".to_owned();
        }
        // rustls's own text is long.
        if inner
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof)
        {
            return "the server closed the connection".to_owned();
        }
        source = inner.source();
    }
    one_line(&why.to_string(), 300)
}

#[cfg(test)]
mod tests {
    use lettre::Address;

    use super::{Encryption, SmtpServer};
    use crate::sinks::{Receipt, SendError};
    use crate::stand_in::{StandIn, smtp};

    /// Starts a server that answers a line that begins so with that.
    fn server(answers: &'static [(&'static str, &'static str)]) -> StandIn {
        let answer = |line: &str| {
            let scripted = answers.iter().find(|(start, _)| line.starts_with(start));
            Some(scripted.map_or(smtp(line), |(_, answer)| answer))
        };
        StandIn::start(move |client| client.smtp(answer))
    }

    fn deliver(
        answers: &'static [(&'static str, &'static str)],
        wait: bool,
    ) -> (Result<Receipt, SendError>, String) {
        let session = server(answers);
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let to = [address("a@x.org"), address("b@x.org")];
        let server = SmtpServer::new(
            "127.0.0.1".to_owned(),
            session.port,
            Encryption::None,
            None,
            None,
            "db1".to_owned(),
        );
        let result = server.expect("a server").deliver(
            &address("me@x.org"),
            &to,
            b"Subject: x\r\n\r\n.\r\nbody\r\n",
            wait,
        );
        (result, session.finish().concat())
    }

    #[test]
    fn one_transaction_takes_the_message_to_all() {
        let (result, told) = deliver(&[(".\r\n", "250 2.0.0 queued as 4F2A")], true);
        assert_eq!(result, Ok("250 2.0.0 queued as 4F2A".to_owned()));
        assert_eq!(
            told,
            "EHLO db1\r\nMAIL FROM:<me@x.org>\r\nRCPT TO:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n\
             Subject: x\r\n\r\n..\r\nbody\r\n\r\n.\r\nQUIT\r\n"
        );
    }

    #[test]
    fn one_refused_for_good_is_named_and_the_others_get_it() {
        let (result, told) = deliver(&[("RCPT TO:<a@", "550 5.1.1 no such user")], true);
        let receipt = result.expect("a receipt");
        assert_eq!(
            receipt,
            "250 ok; NOT delivered to all, refused: a@x.org: 550 5.1.1 no such user"
        );
        assert!(told.contains("body"));
    }

    #[test]
    fn one_put_off_holds_the_message_for_all_so_that_none_gets_it_twice() {
        let (result, told) = deliver(&[("RCPT TO:<b@", "451 4.7.1 greylisted")], true);
        let Err(SendError::Retry { why, .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(why, "127.0.0.1: b@x.org: 451 4.7.1 greylisted");
        assert!(!told.contains("DATA"));
        let (result, told) = deliver(&[("RCPT TO:<b@", "452 4.2.2 full")], false);
        assert_eq!(
            result.expect("a receipt"),
            "250 ok; NOT delivered to all, given up after an hour: b@x.org: 452 4.2.2 full"
        );
        assert!(told.contains("body"));
    }

    #[test]
    fn the_servers_code_says_whether_to_try_again() {
        for (answers, refused) in [
            (&[("RCPT", "550 no")] as &[_], true),
            (&[("RCPT", "450 later")], false),
            (
                &[("RCPT TO:<a@", "550 no"), ("RCPT TO:<b@", "450 later")],
                false,
            ),
            (&[("MAIL", "550 no")], true),
            (&[("MAIL", "451 later")], false),
            (&[("DATA", "554 no")], true),
            (&[(".\r\n", "451 later")], false),
            (&[(".\r\n", "552 too big")], true),
            (&[("EHLO", "421 busy")], false),
            (&[("EHLO", "nonsense")], false),
        ] {
            let (result, _) = deliver(answers, true);
            assert_eq!(
                matches!(result, Err(SendError::Refused { .. })),
                refused,
                "{answers:?}: {result:?}"
            );
            assert!(result.is_err(), "{answers:?}");
        }
    }

    #[test]
    fn a_probe_greets_and_says_goodbye() {
        let session = server(&[]);
        let server = SmtpServer::new(
            "127.0.0.1".to_owned(),
            session.port,
            Encryption::None,
            None,
            None,
            "db1".to_owned(),
        );
        assert_eq!(server.expect("a server").greet(), Ok(()));
        assert_eq!(session.finish().concat(), "EHLO db1\r\nNOOP\r\nQUIT\r\n");
    }

    #[test]
    fn a_server_without_starttls_gets_nothing() {
        let session = server(&[]);
        let server = SmtpServer::new(
            "127.0.0.1".to_owned(),
            session.port,
            Encryption::Starttls,
            None,
            None,
            "db1".to_owned(),
        );
        let me = "me@x.org".parse::<Address>().expect("an address");
        let result = server
            .expect("a server")
            .deliver(&me, std::slice::from_ref(&me), b"x", true);
        let Err(SendError::Retry { why, .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(why, "127.0.0.1 offers no STARTTLS, so nothing was sent");
        assert_eq!(session.finish().concat(), "EHLO db1\r\nQUIT\r\n");
    }
}
