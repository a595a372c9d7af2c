//! Sends an email over SMTP (RFC 5321), to all recipients in one transaction.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use lettre::Address;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::session::{DONE, GO_ON, Session, Tls, Trouble};
use crate::render::one_line;
use crate::secret::Secret;
use crate::sinks::stream::TimedStream;
use crate::sinks::{Receipt, SendError, tls};

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
    encryption: Encryption,
    tls: Option<Tls>,
    login: Option<(String, Secret)>,
    hello: String,
}

/// Writes `smtp.example.com:587 (STARTTLS, as user lab)`.
impl fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let tls = match self.encryption {
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
    /// Describes the server `name`, which is greeted as `hello`. The certificates in `ca_file` are
    /// trusted beside the system's.
    ///
    /// # Errors
    /// If there is no certificate in `ca_file`.
    pub fn new(
        name: String,
        port: u16,
        encryption: Encryption,
        ca_file: Option<&Path>,
        login: Option<(String, Secret)>,
        hello: String,
    ) -> Result<Self> {
        let tls = match encryption {
            Encryption::None => None,
            Encryption::Starttls | Encryption::Implicit => {
                let of = ServerName::try_from(name.clone())
                    .with_context(|| format!("{name} is not a valid name for a certificate"))?;
                Some((tls::client(ca_file)?, of))
            }
        };
        Ok(Self {
            name,
            port,
            encryption,
            tls,
            login,
            hello,
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
        let mut session = self.connect()?;
        session
            .ask(&format!("MAIL FROM:<{from}>"), DONE)
            .map_err(|why| self.failed("MAIL FROM", &why))?;
        let (mut taken, mut refused, mut put_off) = (0, Vec::new(), Vec::new());
        for recipient in to {
            match session.ask(&format!("RCPT TO:<{recipient}>"), DONE) {
                Ok(_) => taken += 1,
                Err(why) if why.is_permanent() => refused.push(format!("{recipient}: {why}")),
                Err(why) if why.is_transient() => put_off.push(format!("{recipient}: {why}")),
                Err(why) => return Err(self.failed("RCPT TO", &why)),
            }
        }
        if taken == 0 || (wait && !put_off.is_empty()) {
            session.leave(GOODBYE);
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
        session
            .ask("DATA", GO_ON)
            .map_err(|why| self.failed("DATA", &why))?;
        let answer = session
            .send(message, MESSAGE)
            .map_err(|why| self.failed("the message", &why))?;
        session.leave(GOODBYE);
        let mut receipt = answer.to_string();
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
        let mut session = self.connect()?;
        session
            .ask("NOOP", DONE)
            .map_err(|why| self.failed("NOOP", &why))?;
        session.leave(GOODBYE);
        Ok(())
    }

    /// Connects, encrypts and logs in as configured.
    fn connect(&self) -> Result<Session, SendError> {
        let stream = TimedStream::connect(&self.name, self.port, STEP)
            .with_context(|| format!("{}: connecting", self.name))?;
        let implicit = self
            .tls
            .as_ref()
            .filter(|_| self.encryption == Encryption::Implicit);
        let mut session = Session::begin(stream, implicit, &self.hello, STEP)
            .map_err(|why| self.unproven("connecting", &why))?;
        if let (Encryption::Starttls, Some(tls)) = (self.encryption, &self.tls) {
            if !session.offers("STARTTLS") {
                session.leave(GOODBYE);
                let why = format!("{} offers no STARTTLS, so nothing was sent", self.name);
                return Err(SendError::Retry { after: None, why });
            }
            session = session
                .starttls(tls, &self.hello)
                .map_err(|why| self.unproven("STARTTLS", &why))?;
        }
        if let Some((username, password)) = &self.login {
            session
                .log_in(username, password.expose())
                .map_err(|why| self.failed("logging in", &why))?;
        }
        Ok(session)
    }

    /// Returns the error of a step before the server has shown who it is: anybody on the way may
    /// have said so.
    fn unproven(&self, step: &str, why: &Trouble) -> SendError {
        match self.failed(step, why) {
            SendError::Refused { why } => SendError::Retry { after: None, why },
            retry @ SendError::Retry { .. } => retry,
        }
    }

    /// Returns the error of a failed step. It is a refusal only if the server answered 5xx.
    fn failed(&self, step: &str, why: &Trouble) -> SendError {
        let text = self.scrub(&format!("{}: {step}: {why}", self.name));
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
        // A cut before this could leave a part of the password.
        let text = one_line(text, usize::MAX);
        let scrubbed = match &self.login {
            Some((_, password)) => password.scrub(&text),
            None => text,
        };
        one_line(&scrubbed, 1000)
    }
}

#[cfg(test)]
mod tests;
