//! The keys of `[[sink.email]]`, and which of them go together.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use lettre::Address;
use lettre::message::Mailbox;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::SENDMAIL;
use super::smtp::Encryption;
use crate::key_error::KeyError;
use crate::plugin::Command;
use crate::secret::SecretSource;
use crate::sinks::http;
use crate::sinks::template::Template;

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EmailKeys {
    pub name: String,
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub to: Addressees,
    pub from: Option<Person>,
    sendmail: Option<PathBuf>,
    server: Option<String>,
    port: Option<NonZeroU16>,
    tls: Option<Encryption>,
    ca_file: Option<PathBuf>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    pub template_text: Option<Template>,
    pub template_html: Option<Template>,
}

/// The way out of this machine.
#[derive(Clone, Debug)]
pub enum Way {
    Sendmail(PathBuf),
    Smtp(SmtpAccount),
}

/// An SMTP server and the login there.
#[derive(Clone, Debug)]
pub struct SmtpAccount {
    pub server: String,
    pub port: u16,
    pub tls: Encryption,
    pub ca_file: Option<PathBuf>,
    /// The username and where the password is.
    pub login: Option<(String, SecretSource)>,
}

impl EmailKeys {
    /// # Errors
    /// If the keys contradict each other.
    pub fn way(&self) -> Result<Way, KeyError> {
        match (&self.server, &self.sendmail) {
            (Some(server), None) => self.account(server).map(Way::Smtp),
            (None, sendmail) => self.program(sendmail.as_deref()).map(Way::Sendmail),
            (Some(_), Some(_)) => {
                let message = "expected `sendmail` or `server`, found both";
                Err(KeyError::at("sendmail", message).help("keep one of them"))
            }
        }
    }

    fn program(&self, sendmail: Option<&Path>) -> Result<PathBuf, KeyError> {
        let strays = [
            ("port", self.port.is_some()),
            ("tls", self.tls.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("username", self.username.is_some()),
            ("password_file", self.password_file.is_some()),
            ("password_env", self.password_env.is_some()),
        ];
        if let Some((key, _)) = strays.iter().find(|(_, is_set)| *is_set) {
            let message = format!("`{key}` is for an SMTP server, and this table has no `server`");
            return Err(KeyError::at(key, message).help("name the server with `server`"));
        }
        let path = sendmail.unwrap_or(Path::new(SENDMAIL));
        let is_command = |path: &Path| {
            let words = path.to_str().map(|word| vec![word.to_owned()]);
            words.is_some_and(|words| Command::try_from(words).is_ok())
        };
        if !path.is_absolute() || !is_command(path) {
            return Err(KeyError::at("sendmail", "expected an absolute path"));
        }
        Ok(path.to_owned())
    }

    fn account(&self, server: &str) -> Result<SmtpAccount, KeyError> {
        if ServerName::try_from(server).is_err() {
            return Err(
                KeyError::at("server", "expected the name or address of a server")
                    .help("set the port with `port`"),
            );
        }
        let tls = self.tls.unwrap_or(Encryption::Starttls);
        let login = self.login()?;
        if login.is_some() && tls == Encryption::None && !http::is_loopback(server) {
            return Err(KeyError::at(
                "tls",
                "a password never goes to another machine without TLS",
            )
            .help("write \"starttls\" or \"implicit\""));
        }
        Ok(SmtpAccount {
            server: server.to_owned(),
            port: self.port.map_or(tls.port(), NonZeroU16::get),
            tls,
            ca_file: self.ca_file.clone(),
            login,
        })
    }

    fn login(&self) -> Result<Option<(String, SecretSource)>, KeyError> {
        let (file, env) = (self.password_file.clone(), self.password_env.clone());
        let password = SecretSource::optional("password", file, env)?;
        match (&self.username, password) {
            (None, None) => Ok(None),
            (Some(username), Some(password)) => Ok(Some((username.clone(), password))),
            (Some(_), None) => {
                let message =
                    "expected `password_file` or `password_env` for this `username`, found neither";
                Err(KeyError::at("username", message))
            }
            (None, Some(password)) => {
                let key = if password.file().is_some() {
                    "password_file"
                } else {
                    "password_env"
                };
                Err(KeyError::at(key, "a password needs a `username` beside it"))
            }
        }
    }
}

/// One address or more.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "Vec<String>"))]
#[serde(try_from = "Vec<Person>")]
pub struct Addressees(pub Vec<Person>);

impl TryFrom<Vec<Person>> for Addressees {
    type Error = &'static str;
    fn try_from(people: Vec<Person>) -> Result<Self, Self::Error> {
        if people.is_empty() {
            Err("expected at least one address")
        } else {
            Ok(Self(people))
        }
    }
}

/// An address, with or without a name.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct Person(pub Mailbox);

impl TryFrom<String> for Person {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
            Some((name, address)) => (Some(name.trim().trim_matches('"').to_owned()), address),
            None => (None, text.as_str()),
        };
        let name = name.filter(|name| !name.is_empty());
        match address.parse::<Address>() {
            Ok(address) if text.is_ascii() && !text.contains(char::is_control) => {
                Ok(Self(Mailbox::new(name, address)))
            }
            _ => Err(format!(
                "expected an address, `ops@example.com` or `Ops <ops@example.com>`, found {text:?}"
            )),
        }
    }
}
