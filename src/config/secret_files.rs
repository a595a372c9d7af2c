//! Checks the files with the sinks' secrets: that they exist, hold what could be one, and that not
//! everybody may read them. They are read from the parsed text, so that a mistake is told with its
//! place.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::problem::{Problem, Severity, Source};
use super::sink_tables::sink_tables;
use crate::host::Host;
use crate::secret::{first_line, locate};

/// Length of a PagerDuty integration key.
const ROUTING_KEY: usize = 32;

/// A key that names a file with a secret.
struct SecretFile {
    /// The key without `_file`: `webhook`.
    name: String,
    sink: String,
    path: Spanned<String>,
}

/// The secrets' files that one table names.
#[derive(Default)]
pub struct SecretFiles(Vec<SecretFile>);

impl SecretFiles {
    pub fn of(table: &DeTable) -> Self {
        let mut found = Vec::new();
        for (_, sink) in sink_tables(table) {
            let text = |key| sink.get(key).and_then(|it| it.get_ref().as_str());
            let name = text("name").unwrap_or_default();
            for (key, value) in sink {
                let secret = key.get_ref().strip_suffix("_file");
                let secret = secret.filter(|secret| *secret != "ca");
                if let (Some(secret), Some(path)) = (secret, value.get_ref().as_str()) {
                    found.push(SecretFile {
                        name: secret.to_owned(),
                        sink: name.to_owned(),
                        path: Spanned::new(value.span(), path.to_owned()),
                    });
                }
            }
        }
        found.sort_by_key(|it| it.path.span().start);
        Self(found)
    }

    /// Returns what is wrong with them. `dir` is the config's directory; `credentials` are the
    /// files that systemd hands to the deliverer.
    pub fn problems(&self, source: &Source, dir: &Path, credentials: &[String]) -> Vec<Problem> {
        let host = Host::new("/", dir);
        let check = |secret: &SecretFile| secret.problems(source, &host, credentials);
        self.0.iter().flat_map(check).collect()
    }
}

impl SecretFile {
    fn problems(&self, source: &Source, host: &Host, credentials: &[String]) -> Vec<Problem> {
        let Self { name, sink, path } = self;
        // An address in its place is told by the sink's own check.
        if path.get_ref().contains("://") {
            return Vec::new();
        }
        let file = locate(Path::new(path.get_ref()), host);
        let here = |severity, message: String, help: Option<&str>| {
            source.problem(&path.span(), severity, &message, help)
        };
        match fs::metadata(&file) {
            Ok(found) => {
                let text = found.is_file().then(|| first_line(&file).ok()).flatten();
                let implausible = text.and_then(|text| implausible(name, &text));
                let implausible = implausible.map(|(severity, why)| {
                    let message =
                        format!("the {name} of the sink `{sink}` {why}: {}", file.display());
                    here(severity, message, None)
                });
                let of_file = of_file(sink, &file, &found);
                of_file.into_iter().chain(implausible).collect()
            }
            Err(why) if why.kind() == ErrorKind::PermissionDenied => Vec::new(),
            Err(_) if credentials.contains(path.get_ref()) => Vec::new(),
            Err(why) => {
                let message = format!(
                    "the sink `{sink}` cannot read its {name}: {}: {}",
                    file.display(),
                    plainly(&why)
                );
                let help = "put the secret there, with mode 0600, or let systemd hand it over: \
                            LoadCredential= in lastwords.service";
                vec![here(Severity::Error, message, Some(help))]
            }
        }
    }
}

fn plainly(why: &io::Error) -> String {
    if why.kind() == ErrorKind::NotFound {
        "there is no such file".to_owned()
    } else {
        why.to_string()
    }
}

/// Returns what is wrong with the file itself.
fn of_file(sink: &str, path: &Path, found: &Metadata) -> Option<Problem> {
    if !found.is_file() {
        let message =
            format!("the sink `{sink}` reads a secret from here, but this is not a regular file");
        return Some(Problem::with_file(path, Severity::Error, &message, None));
    }
    let message = format!("every user may read this secret of the sink `{sink}`");
    let help = format!("remove access for others: chmod o= {}", path.display());
    (found.permissions().mode() & 0o004 != 0)
        .then(|| Problem::with_file(path, Severity::Warning, &message, Some(&help)))
}

/// Returns why a text cannot be the secret of this name, or hardly can. It never shows the text.
fn implausible(name: &str, text: &str) -> Option<(Severity, &'static str)> {
    let is_address = text.starts_with("https://") || text.starts_with("http://");
    let has_blanks = text.contains(|c: char| c.is_whitespace() || c.is_control());
    match name {
        _ if text.is_empty() => Some((Severity::Error, "is empty")),
        "webhook" | "url" if !is_address => Some((Severity::Error, "is no address (https://…)")),
        "routing_key" if text.len() != ROUTING_KEY => {
            Some((Severity::Warning, "is not 32 characters long"))
        }
        "password" => None,
        _ if has_blanks => Some((Severity::Warning, "holds blanks, which none does")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::super::check;
    use super::super::tests::{config, told};
    use super::*;

    fn checked(keys: &str, secret: Option<(&str, u32)>, credentials: &[&str]) -> Vec<String> {
        let machine = format!("[[sink.{keys}\n");
        let dir = config(&[("lastwords.toml", &machine)]);
        if let Some((text, mode)) = secret {
            let file = dir.path().join("it");
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        }
        let credentials: Vec<String> = credentials.iter().map(ToString::to_string).collect();
        let problems = check(dir.path(), &Host::new("/", dir.path()), &credentials).problems;
        told(dir.path(), &problems)
    }

    const SLACK: &str = "slack]]\nname = 'ops'\nwebhook_file = 'it'";

    #[test]
    fn a_secret_that_everybody_may_read_is_pointed_out() {
        let at = |mode| checked(SLACK, Some(("https://x.org", mode)), &[]);
        assert_eq!(at(0o640), [""; 0]);
        let expected = "it: every user may read this secret of the sink `ops` (remove access for others: chmod o= it)";
        assert_eq!(at(0o644), [expected]);
        let empty = checked(SLACK, Some(("", 0o644)), &[]);
        assert_eq!(empty.len(), 2, "{empty:?}");
        assert_eq!(empty[0], expected);
        let also = "the webhook of the sink `ops` is empty: it";
        assert!(empty[1].ends_with(also), "{empty:?}");
    }

    #[test]
    fn a_secret_that_is_not_there_is_an_error_at_its_line_unless_systemd_hands_it_over() {
        let expected = "lastwords.toml:3:16: the sink `ops` cannot read its webhook: it: there is no such file (put the \
                        secret there, with mode 0600, or let systemd hand it over: LoadCredential= in lastwords.service)";
        assert_eq!(checked(SLACK, None, &["other"]), [expected]);
        assert_eq!(checked(SLACK, None, &["it"]), [""; 0]);
        let nowhere = SLACK.replace("'it'", "'.'");
        let told = checked(&nowhere, None, &[]);
        let expected = "the sink `ops` reads a secret from here, but this is not a regular file";
        assert!(told[0].ends_with(expected), "{told:?}");
    }

    #[test]
    fn a_secret_that_cannot_be_one_is_told_without_being_shown() {
        let matrix = "matrix]]\nname = 'ops'\nhomeserver = 'https://x.org'\nroom = '!a:x.org'\ntoken_file = 'it'";
        let email = "email]]\nname = 'ops'\nto = ['a@x.org']\nserver = 'x.org'\nusername = 'u'\npassword_file = 'it'";
        for (keys, text, expected) in [
            (
                SLACK,
                "",
                Some("the webhook of the sink `ops` is empty: it"),
            ),
            (
                SLACK,
                "\nx",
                Some("the webhook of the sink `ops` is empty: it"),
            ),
            (
                SLACK,
                "xoxb-12",
                Some("the webhook of the sink `ops` is no address (https://…): it"),
            ),
            (SLACK, "https://x.org/s\n", None),
            (
                matrix,
                "my token",
                Some("the token of the sink `ops` holds blanks, which none does: it"),
            ),
            (email, "my password", None),
        ] {
            let told = checked(keys, Some((text, 0o600)), &[]);
            assert_eq!(told.len(), usize::from(expected.is_some()), "{told:?}");
            if let Some(expected) = expected {
                assert!(told[0].ends_with(expected), "{told:?}");
            }
        }
    }
}
