//! Reads from a job's stanzas what its config has to repeat.

use crate::host::Host;
use crate::supervisor::supervise::Described;
use crate::supervisor::upstart::stanzas::Stanzas;

/// Returns the file in which Upstart keeps a job's output.
pub fn log(has_instances: bool) -> &'static str {
    if has_instances {
        "/var/log/upstart/{job}-{instance}.log"
    } else {
        "/var/log/upstart/{job}.log"
    }
}

/// Returns the file in which Upstart keeps what a job writes to its terminal, if it keeps it.
pub fn console_log(job: &str, instance: Option<&str>, host: &Host) -> Option<String> {
    let stanzas = Stanzas::of(job, host)?;
    let name = instance.map_or_else(|| job.to_owned(), |instance| format!("{job}-{instance}"));
    let path = format!("/var/log/upstart/{}.log", name.replace('/', "_"));
    stanzas.keeps_console().then_some(path)
}

/// Describes a job by its stanzas.
pub fn described(stanzas: Stanzas) -> Described {
    let main = stanzas.main.as_ref();
    let redirected = main.and_then(|main| redirection(&main.text));
    let logged = stanzas.keeps_console();
    let program = stanzas.program();
    let log = redirected.or_else(|| logged.then(|| log(stanzas.has_instances).to_owned()));
    Described {
        user: stanzas.setuid.filter(|user| user != "root"),
        chroot: stanzas.chroot,
        logs: log.into_iter().collect(),
        program,
    }
}

/// Returns the last file to which a shell's `>>` or `>` leads the output.
fn redirection(script: &str) -> Option<String> {
    let after = |part: &str| {
        let word = part
            .split_whitespace()
            .next()?
            .trim_matches(['"', '\'', ';']);
        (word.starts_with('/') && !word.contains(['$', '`']) && word != "/dev/null")
            .then(|| word.to_owned())
    };
    script.split('>').skip(1).filter_map(after).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstarts_file_tells_the_user_the_log_and_the_program() {
        let described = |conf| described(Stanzas::read(conf, ""));
        let found = described("setuid www-data\ninstance $N\nexec /srv/web\n");
        let expected = Described {
            user: Some("www-data".into()),
            chroot: None,
            logs: vec!["/var/log/upstart/{job}-{instance}.log".into()],
            program: Some("/srv/web".into()),
        };
        assert_eq!(found, expected);
        let log = |conf| described(conf).logs.pop();
        assert_eq!(
            log("exec node x.js >> /var/log/web.log 2>&1").as_deref(),
            Some("/var/log/web.log")
        );
        assert_eq!(
            log("script\n exec x >>\"/var/log/w.log\" 2>/dev/null\nend script").as_deref(),
            Some("/var/log/w.log")
        );
        assert_eq!(log("console none\nexec x"), None);
        assert_eq!(log("exec x").as_deref(), Some("/var/log/upstart/{job}.log"));
        assert_eq!(described("setuid root\n").user, None);
    }
}
