//! Finds the secrets that systemd hands to lastwords.service, and to nobody else:
//! `LoadCredential=`.

use std::path::PathBuf;

use crate::host::Host;
use crate::ourselves;
use crate::secret::locate;
use crate::sinks::Sink;
use crate::supervisor::systemd::files as units;

/// A credential, as the unit's files name it.
pub struct Credential {
    pub id: String,
    /// The line that has systemd hand it over, `LoadCredential=ID:FILE`; `None` if the line holds
    /// the secret itself.
    line: Option<String>,
}

/// State of a sink's secrets.
pub enum Secrets {
    /// They can be read here.
    Here,
    HandedOver(Vec<Credential>),
    /// This file does not exist and is not handed over.
    Missing(PathBuf),
}

/// Returns the names of the credentials of lastwords.service.
pub fn names(host: &Host) -> Vec<String> {
    handed_over(host).into_iter().map(|it| it.id).collect()
}

/// Returns the credentials of lastwords.service.
fn handed_over(host: &Host) -> Vec<Credential> {
    let files = units::files("lastwords.service", host);
    let of_key = |key: &str| -> Vec<Credential> {
        let lines = units::commands(&files, key, host)
            .into_iter()
            .filter(|it| it.emptied_by.is_none());
        let credential = |value: String| {
            let line = key.starts_with("Load").then(|| format!("{key}={value}"));
            Some(Credential {
                id: value.split(':').next()?.to_owned(),
                line,
            })
        };
        lines.filter_map(|it| credential(it.command)).collect()
    };
    [
        "LoadCredential",
        "LoadCredentialEncrypted",
        "SetCredential",
        "SetCredentialEncrypted",
    ]
    .into_iter()
    .flat_map(of_key)
    .collect()
}

/// Returns where the secrets of this sink are.
pub fn of(sink: &dyn Sink, host: &Host) -> Secrets {
    let missing: Vec<_> = sink
        .secret_files()
        .into_iter()
        .filter(|file| {
            // A file that only root may look at is there.
            locate(file, host)
                .metadata()
                .is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound)
        })
        .collect();
    if missing.is_empty() {
        return Secrets::Here;
    }
    let mut handed = Vec::new();
    let mut credentials = handed_over(host);
    for file in missing {
        match credentials
            .iter()
            .position(|it| file.to_str() == Some(it.id.as_str()))
        {
            Some(at) => handed.push(credentials.swap_remove(at)),
            None => return Secrets::Missing(host.configured(file)),
        }
    }
    Secrets::HandedOver(handed)
}

/// Returns a command of ours that runs with these credentials; `None` if it would show one.
pub fn with(credentials: &[Credential], command: &str) -> Option<String> {
    let program = ourselves::program().map_or_else(
        |_| "lastwords".to_owned(),
        |program| program.display().to_string(),
    );
    let property = |it: &Credential| it.line.as_ref().map(|line| format!("-p {line} "));
    let properties: String = credentials.iter().map(property).collect::<Option<_>>()?;
    Some(format!(
        "systemd-run --quiet --pipe --wait {properties}{program} {command}"
    ))
}
