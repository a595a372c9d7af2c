//! Finds what a plugin does that its author cannot have meant, and says what to do about it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::geteuid;

use crate::plugin::{ProgramEnd, ProgramOutcome};

/// Exit code by which a sink refuses for good.
const REFUSED: i32 = 100;
/// Minimum length of a secret that is searched for, in bytes.
const TELLING: usize = 6;

#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    pub what: String,
    pub remedy: String,
}

fn mistake(what: impl Into<String>, remedy: impl Into<String>) -> Mistake {
    Mistake {
        what: what.into(),
        remedy: remedy.into(),
    }
}

/// Returns the faults of the plugin's file.
pub fn of_file(path: &Path) -> Vec<Mistake> {
    let mut found = Vec::new();
    let Ok(metadata) = fs::metadata(path) else {
        return found;
    };
    let shown = path.display();
    if !metadata.is_file() {
        return vec![mistake(
            format!("{shown} is not a file"),
            "name the program itself",
        )];
    }
    let mode = metadata.permissions().mode();
    if mode & 0o111 == 0 {
        found.push(mistake("it is not executable", format!("chmod +x {shown}")));
    }
    if mode & 0o022 != 0 {
        let who = if mode & 0o002 != 0 {
            "everybody"
        } else {
            "its group"
        };
        found.push(mistake(
            format!("{who} may change it, and lastwords runs it as root"),
            format!("chmod go-w {shown}"),
        ));
    }
    if ![0, geteuid().as_raw()].contains(&metadata.uid()) {
        found.push(mistake(
            format!(
                "it belongs to the user {}, and lastwords runs it as root",
                metadata.uid()
            ),
            format!("chown root {shown}"),
        ));
    }
    let mut start = Vec::new();
    if File::open(path)
        .and_then(|file| file.take(256).read_to_end(&mut start))
        .is_ok()
    {
        found.extend(of_start(&start));
    }
    found
}

/// Returns the fault of the file's beginning.
fn of_start(start: &[u8]) -> Option<Mistake> {
    if start.starts_with(b"\x7fELF") {
        return None;
    }
    let Some(rest) = start.strip_prefix(b"#!") else {
        return Some(mistake(
            "it is not a binary, and its first line does not name an interpreter",
            "begin it with a line such as #!/bin/sh or #!/usr/bin/env python3",
        ));
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Some(mistake(
            "its lines end as on Windows (CRLF), so the kernel cannot find its interpreter",
            "sed -i 's/\\r$//' on it",
        ));
    }
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_ascii_whitespace().next().unwrap_or_default();
    if !Path::new(interpreter).is_absolute() || !Path::new(interpreter).exists() {
        return Some(mistake(
            format!("its first line names {interpreter}, which does not exist"),
            "name a program by its whole path, or as #!/usr/bin/env NAME",
        ));
    }
    None
}

/// Returns true if a setting of this name holds a secret itself, not the name of a file with one.
pub fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("_file")
        && ["password", "passwd", "token", "secret", "key"]
            .iter()
            .any(|word| key.contains(word))
}

/// Returns the faults that the run shows. `secrets` are the settings that nobody may see.
pub fn of_run(
    is_sink: bool,
    outcome: &ProgramOutcome,
    left: &[String],
    secrets: &[&str],
) -> Vec<Mistake> {
    let mut found = Vec::new();
    let output = String::from_utf8_lossy(&outcome.stdout);
    match (&outcome.end, outcome.end.code()) {
        (ProgramEnd::TimedOut(_), _) => found.push(mistake(
            "it was still running at its deadline",
            "give each thing it waits for a time limit below `timeout`; at `timeout` it is killed without warning",
        )),
        (_, Some(126 | 127)) => found.push(mistake(
            "a program that it calls was not found, or is not executable",
            "its PATH is /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin, its directory is /, and no shell \
             has set variables: name other programs by their whole path",
        )),
        (_, Some(REFUSED)) if !is_sink => {
            found.push(mistake("exit code 100 has no meaning for a collector", "exit with 1 on an error"));
        }
        (ProgramEnd::Ended(_), code) if code != Some(0) && outcome.last_error.is_empty() => found.push(mistake(
            "it failed and printed no error",
            "print what went wrong to standard error: the last line is what people see",
        )),
        _ => {}
    }
    if outcome.end.code() == Some(0) {
        if is_sink && output.trim().lines().nth(1).is_some() {
            found.push(mistake(
                "it prints more than one line; a sink's last line is kept as the receipt, the others are lost",
                "print one line that says where the report went, such as a message's number; errors go to standard error",
            ));
        }
        if !is_sink && output.trim().is_empty() {
            found.push(mistake(
                "it printed nothing, so the section is empty",
                "print what it found, or that it found nothing",
            ));
        }
    }
    if std::str::from_utf8(&outcome.stdout).is_err() && !outcome.truncated {
        found.push(mistake(
            "its output is not all UTF-8; other bytes are shown as \u{fffd}",
            "print UTF-8; LANG is C.UTF-8",
        ));
    }
    if outcome.truncated {
        found.push(mistake(
            "it printed more than lastwords keeps",
            "print less; for a collector, `max_bytes` can be raised",
        ));
    }
    if !left.is_empty() {
        found.push(mistake(
            format!(
                "it left processes behind, and they were killed: {}",
                left.join(", ")
            ),
            "wait for them: when the plugin ends, its whole process group is killed",
        ));
    }
    let tells = |text: &str| {
        secrets
            .iter()
            .any(|secret| secret.len() >= TELLING && text.contains(secret))
    };
    if tells(&outcome.last_error) || (is_sink && tells(&output)) {
        found.push(mistake(
            "it prints a secret from its settings, and its output is kept and shown",
            "do not print secrets; read them from a file that only root may read",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Command, Run, run};
    use std::time::Duration;

    fn outcome(script: &str) -> ProgramOutcome {
        let command = Command::try_from(["sh", "-c", script].map(str::to_owned).to_vec()).unwrap();
        run(&Run {
            user: None,
            command: &command,
            stdin: b"",
            env: &[],
            timeout: Duration::from_secs(30),
            max_bytes: 1000,
        })
    }

    fn whats(is_sink: bool, script: &str, secrets: &[&str]) -> Vec<String> {
        of_run(is_sink, &outcome(script), &[], secrets)
            .into_iter()
            .map(|mistake| mistake.what)
            .collect()
    }

    #[test]
    fn what_a_plugin_should_do_is_no_mistake() {
        assert_eq!(whats(true, "echo message 42", &["settings"]), [""; 0]);
        assert_eq!(whats(true, "echo gone >&2; exit 100", &[]), [""; 0]);
        assert_eq!(whats(false, "echo one; echo two", &[]), [""; 0]);
    }

    #[test]
    fn what_it_cannot_have_meant_is_named() {
        for (is_sink, script, what) in [
            (true, "exit 1", "failed and printed no error"),
            (true, "echo a; echo b", "more than one line"),
            (true, "echo hush-hush", "prints a secret"),
            (true, "echo hush-hush >&2; exit 1", "prints a secret"),
            (false, "exit 100", "no meaning for a collector"),
            (false, "true", "the section is empty"),
            (false, "no-such-program", "was not found"),
            (false, "printf '\\377'", "not all UTF-8"),
            (
                false,
                "head -c 2000 /dev/zero | tr '\\0' x",
                "more than lastwords keeps",
            ),
        ] {
            let found = whats(is_sink, script, &["hush-hush"]);
            assert!(
                found.iter().any(|found| found.contains(what)),
                "{script}: {found:?}"
            );
        }
    }

    #[test]
    fn a_file_that_the_kernel_will_not_run_is_explained() {
        assert_eq!(of_start(b"#!/bin/sh\necho"), None);
        assert_eq!(of_start(b"\x7fELF..."), None);
        for (start, what) in [
            (&b"echo hello\n"[..], "does not name an interpreter"),
            (b"#!/bin/sh\r\necho", "as on Windows"),
            (
                b"#!/usr/bin/pyhton3\n",
                "names /usr/bin/pyhton3, which does not exist",
            ),
            (b"#!python3\n", "names python3"),
            (b"#!", "does not exist"),
        ] {
            let found = of_start(start).unwrap();
            assert!(found.what.contains(what), "{found:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_change_is_pointed_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugin");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(of_file(&path), []);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let found: Vec<String> = of_file(&path)
            .into_iter()
            .map(|mistake| mistake.what)
            .collect();
        assert_eq!(
            found,
            [
                "it is not executable",
                "everybody may change it, and lastwords runs it as root"
            ]
        );
    }
}
