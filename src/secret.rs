//! Passwords, tokens and webhook addresses: read late, kept short, never shown.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host::Host;

/// A secret's text. It has neither `Debug` nor `Display`, so that it cannot end up in a message by
/// accident.
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text without this secret in it: for errors that a library or a server wrote.
    pub fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, "[secret]")
    }
}

/// Reads a secret from the first line of a file, or else from an environment variable.
///
/// A relative path is looked for in `$CREDENTIALS_DIRECTORY` (where systemd's `LoadCredential=`
/// puts it), then beside the config.
///
/// # Errors
/// Where neither is named, what is named cannot be read, or it is empty.
pub fn read(what: &str, file: Option<&Path>, env: Option<&str>, host: &Host) -> Result<Secret> {
    let text = match (file, env) {
        (Some(file), _) => {
            let path = locate(file, host);
            read_file(&path)
                .with_context(|| format!("cannot read the {what} from {}", path.display()))?
        }
        (None, Some(name)) => std::env::var(name).with_context(|| {
            format!("cannot read the {what} from the environment variable {name}")
        })?,
        (None, None) => bail!("no {what} is configured: set `{what}_file` (or `{what}_env`)"),
    };
    let line = text.lines().next().unwrap_or_default().trim();
    ensure!(!line.is_empty(), "the {what} is empty");
    Ok(Secret(line.to_owned()))
}

/// Where a secret's file is.
pub fn locate(file: &Path, host: &Host) -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .filter(|_| file.is_relative())
        .map(|credentials| PathBuf::from(credentials).join(file))
        .filter(|path| path.exists())
        .unwrap_or_else(|| host.configured(file))
}

fn read_file(path: &Path) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let mut text = String::new();
    File::from(openat(CWD, path, flags, Mode::empty())?)
        .take(64 * 1024)
        .read_to_string(&mut text)?;
    Ok(text)
}
