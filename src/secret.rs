//! Passwords, tokens and webhook addresses: read late, kept short, never shown.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host::Host;
use crate::key_error::KeyError;

/// Length of the shortest secret that is also looked for in its codes, in bytes.
const SHORTEST_CODED: usize = 6;

/// A secret's text. It has neither `Debug` nor `Display`, so that it cannot end up in a message by
/// accident.
pub struct Secret(String);

impl Secret {
    /// Returns the text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns a text without this secret, as it is and as addresses and headers encode it: for
    /// errors that a library or a server wrote.
    pub fn scrub(&self, text: &str) -> String {
        let mut scrubbed = text.replace(&self.0, "[secret]");
        // The code of a few letters may be a part of any word.
        if self.0.len() >= SHORTEST_CODED {
            for code in self.codes() {
                scrubbed = scrubbed.replace(&code, "[secret]");
            }
        }
        scrubbed
    }

    /// Returns the secret in base64 and in percent-encoding.
    fn codes(&self) -> [String; 4] {
        let percent = |hex: fn(u8) -> String| {
            let byte = |byte: u8| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                other => hex(other),
            };
            self.0.bytes().map(byte).collect()
        };
        [
            STANDARD_NO_PAD.encode(&self.0),
            URL_SAFE_NO_PAD.encode(&self.0),
            percent(|byte| format!("%{byte:02X}")),
            percent(|byte| format!("%{byte:02x}")),
        ]
    }
}

/// The source of a secret: the config's `NAME_file` or `NAME_env`.
///
/// A relative path is looked up in `$CREDENTIALS_DIRECTORY` (where systemd's `LoadCredential=`
/// puts it), then beside the config.
#[derive(Clone, Debug)]
pub struct SecretSource {
    name: &'static str,
    place: Holder,
}

#[derive(Clone, Debug)]
enum Holder {
    File(PathBuf),
    Env(String),
}

impl SecretSource {
    /// Takes the keys `NAME_file` and `NAME_env` of a table that must have one of them.
    ///
    /// # Errors
    /// If the table has neither or both.
    pub fn required(
        name: &'static str,
        file: Option<PathBuf>,
        env: Option<String>,
    ) -> Result<Self, KeyError> {
        Self::optional(name, file, env)?.ok_or_else(|| {
            KeyError::of_table(format!(
                "expected `{name}_file` or `{name}_env` in this table, found neither"
            ))
        })
    }

    /// Takes the keys `NAME_file` and `NAME_env` of a table that may do without the secret.
    ///
    /// # Errors
    /// If the table has both.
    pub fn optional(
        name: &'static str,
        file: Option<PathBuf>,
        env: Option<String>,
    ) -> Result<Option<Self>, KeyError> {
        let place = match (file, env) {
            (None, None) => return Ok(None),
            (Some(file), None) if file.to_string_lossy().contains("://") => {
                let message = "expected the name of a file that holds the secret, found an address";
                let help = "write the address into a file with mode 0600, and name that file here";
                return Err(KeyError::at(&format!("{name}_file"), message.to_owned()).help(help));
            }
            (Some(file), None) => Holder::File(file),
            (None, Some(env)) => Holder::Env(env),
            (Some(_), Some(_)) => {
                let message = format!("expected `{name}_file` or `{name}_env`, found both");
                return Err(KeyError::at(&format!("{name}_env"), message).help("keep one of them"));
            }
        };
        Ok(Some(Self { name, place }))
    }

    /// Returns the file that holds the secret, as the config names it.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Holder::File(file) => Some(file),
            Holder::Env(_) => None,
        }
    }

    /// Reads the secret: the first line of the file or variable.
    ///
    /// # Errors
    /// If it cannot be read, or is empty.
    pub fn read(&self, host: &Host) -> Result<Secret> {
        let Self { name, place } = self;
        let text = match place {
            Holder::File(file) => {
                let path = locate(file, host);
                first_line(&path)
                    .with_context(|| format!("cannot read the {name} from {}", path.display()))?
            }
            Holder::Env(variable) => {
                let text = std::env::var(variable).with_context(|| {
                    format!("cannot read the {name} from the environment variable {variable}")
                })?;
                text.lines().next().unwrap_or_default().trim().to_owned()
            }
        };
        ensure!(!text.is_empty(), "the {name} is empty");
        Ok(Secret(text))
    }
}

/// Returns the path of a secret's file on this machine.
pub fn locate(file: &Path, host: &Host) -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .filter(|_| file.is_relative())
        .map(|credentials| PathBuf::from(credentials).join(file))
        .filter(|path| path.exists())
        .unwrap_or_else(|| host.configured(file))
}

/// Returns the secret that a file holds: its first line.
///
/// # Errors
/// If the file cannot be read.
pub fn first_line(path: &Path) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let mut text = String::new();
    File::from(openat(CWD, path, flags, Mode::empty())?)
        .take(64 * 1024)
        .read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_server_that_repeats_a_secret_in_base64_or_in_an_address_shows_nothing_of_it() {
        let secret = Secret("p\u{e4}ss/word+1".to_owned());
        let said = "p\u{e4}ss/word+1 cMOkc3Mvd29yZCsx p%C3%A4ss%2Fword%2B1 p%c3%a4ss%2fword%2b1";
        assert_eq!(secret.scrub(said), ["[secret]"; 4].join(" "));
        let padded = Secret("hushhush".to_owned());
        assert_eq!(padded.scrub("aHVzaGh1c2g="), "[secret]=");
        assert_eq!(Secret("abc".to_owned()).scrub("YWJj abc"), "YWJj [secret]");
    }
}
