//! Checks that the files with the sinks' secrets exist and that not everybody may read them.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::problem::{Problem, Severity};
use crate::host::Host;
use crate::secret::locate;
use crate::sinks::{Sink, Sinks};

/// Returns what is wrong with the secret files of these sinks. `dir` is the config's directory.
pub fn check(sinks: &Sinks, dir: &Path) -> Vec<Problem> {
    let host = Host::new("/", dir);
    let of_sink = |sink: &dyn Sink| -> Vec<Problem> {
        let wrong = |file: &&Path| {
            let path = locate(file, &host);
            // systemd may hand over a relative file when the service starts.
            problem(sink.name(), &path, file.is_relative(), fs::metadata(&path))
        };
        sink.secret_files().iter().filter_map(wrong).collect()
    };
    sinks.list().into_iter().flat_map(of_sink).collect()
}

fn problem(
    sink: &str,
    path: &Path,
    may_come: bool,
    found: io::Result<Metadata>,
) -> Option<Problem> {
    let (severity, message, help) = match found {
        Ok(metadata) if !metadata.is_file() => (
            Severity::Error,
            format!("the sink `{sink}` reads a secret from here, but this is not a regular file"),
            None,
        ),
        Ok(metadata) if metadata.permissions().mode() & 0o004 != 0 => (
            Severity::Warning,
            format!("every user may read this secret of the sink `{sink}`"),
            Some(format!(
                "remove access for others: chmod o= {}",
                path.display()
            )),
        ),
        Ok(_) => return None,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(error) if error.kind() == ErrorKind::NotFound && may_come => (
            Severity::Warning,
            format!("the sink `{sink}` reads its secret from this file, which does not exist"),
            Some("this is right only if systemd passes the secret with LoadCredential=".to_owned()),
        ),
        Err(error) => (
            Severity::Error,
            format!("the sink `{sink}` cannot read its secret from this file: {error}"),
            None,
        ),
    };
    Some(Problem::with_file(
        path,
        severity,
        &message,
        help.as_deref(),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::super::tests::told;
    use super::*;

    fn check_with(dir: &Path, file: &str) -> Vec<String> {
        let text = format!("[[slack]]\nname = \"ops\"\nwebhook_file = \"{file}\"\n");
        told(dir, &check(&toml::from_str(&text).unwrap(), dir))
    }

    #[test]
    fn a_secret_that_everybody_may_read_is_pointed_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("slack");
        fs::write(&file, "https://example.com").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(check_with(dir.path(), "slack"), [""; 0]);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let expected = "slack: every user may read this secret of the sink `ops` (remove access for others: chmod o= slack)";
        assert_eq!(check_with(dir.path(), "slack"), [expected]);
    }

    #[test]
    fn a_secret_that_is_not_there_is_pointed_out() {
        let dir = tempfile::tempdir().unwrap();
        let expected = "slack: the sink `ops` reads its secret from this file, which does not exist (this is right only \
                        if systemd passes the secret with LoadCredential=)";
        assert_eq!(check_with(dir.path(), "slack"), [expected]);
        let expected = "/nonexistent/slack: the sink `ops` cannot read its secret from this file: No such file or directory \
                        (os error 2)";
        assert_eq!(check_with(dir.path(), "/nonexistent/slack"), [expected]);
        let expected = "the sink `ops` reads a secret from here, but this is not a regular file";
        assert!(check_with(dir.path(), ".")[0].ends_with(expected));
    }
}
