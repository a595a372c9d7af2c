//! Writes `jobs/JOB.toml` for a job that has none, with the user and the log that its supervisor's
//! file names.

use std::fmt::Write;
use std::path::Path;

use crate::config;
use crate::host::Host;
use crate::places::Places;
use crate::report::Supervisor;
use crate::supervisor::caller::toml_string;
use crate::supervisor::plan::Draft;
use crate::supervisor::services;
use crate::supervisor::upstart::program;
use crate::supervisor::upstart::stanzas::Stanzas;

/// The skeleton's content.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    /// User as whom the hooks run, if it is not root.
    user: Option<String>,
    log: Option<String>,
    program: Option<String>,
}

/// What stands in place of the collectors.
const LEFT_OUT: &str = "\
# What is gathered. Where nothing is named: memory, load, disk, kernel log, processes, and the log that its supervisor
# keeps. Whoever names one names all.
# [collect.memory]
# [collect.dmesg]
# [[collect.log]]
# path = \"/var/log/…\"
";

pub fn draft(job: &str, supervisor: Supervisor, places: &Places) -> Draft {
    let known = known(job, supervisor, &places.host());
    let (job, _) = services::job_of(supervisor, job);
    let path = config::job_file(&places.config, job);
    Draft::new(path.clone(), path, text(job, &known))
}

fn known(job: &str, supervisor: Supervisor, host: &Host) -> Findings {
    let read = |file: &Path| host.read(file).unwrap_or_default();
    let file = services::file_of(supervisor, job, host);
    match (supervisor, &file) {
        (Supervisor::Upstart, Some(file)) => {
            let conf = read(file);
            of_upstart(&conf, &read(&file.with_extension("override")))
        }
        (Supervisor::Supervisord, Some(file)) => Findings {
            log: of_supervisord(&read(file), job),
            ..Findings::default()
        },
        // Their hooks run as root, and their output goes to a logger that has its own place for it.
        (Supervisor::Runit, Some(_)) => {
            let log = format!("/var/log/{job}/current");
            Findings {
                log: host.path(&log).exists().then_some(log),
                ..Findings::default()
            }
        }
        _ => Findings::default(),
    }
}

fn of_upstart(conf: &str, r#override: &str) -> Findings {
    let stanzas = Stanzas::read(conf, r#override);
    let redirected = stanzas
        .main
        .as_ref()
        .and_then(|main| redirection(&main.text));
    let logged = matches!(stanzas.console.as_deref(), None | Some("log"));
    let file = if stanzas.has_instances {
        "{job}-{instance}.log"
    } else {
        "{job}.log"
    };
    let log = redirected.or_else(|| logged.then(|| format!("/var/log/upstart/{file}")));
    let program = program(r#override)
        .or_else(|| program(conf))
        .map(str::to_owned);
    Findings {
        user: stanzas.setuid.filter(|user| user != "root"),
        log,
        program,
    }
}

/// Returns the file that a shell's `>>` or `>` leads the output to: the last one.
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

fn of_supervisord(text: &str, job: &str) -> Option<String> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != format!("[program:{job}]"))
        .skip(1);
    let own = lines.by_ref().take_while(|line| !line.starts_with('['));
    let value = |line: &str| {
        line.strip_prefix("stderr_logfile")?
            .trim_start()
            .strip_prefix('=')
            .map(str::trim)
            .map(str::to_owned)
    };
    own.filter_map(value)
        .find(|path| path.starts_with('/') && !path.contains('%'))
}

fn text(job: &str, known: &Findings) -> String {
    let job = job.replace(char::is_control, " ");
    let mut text = format!(
        "# The job `{job}`: who is told when it dies, and what is gathered. `lastwords check` says what is wrong with it.\n\n\
         # Who is told, by the names in lastwords.toml; where this is left out, all.\n# sinks = [\"ops-mail\"]\n\n\
         # What people do about it stands at the end of every message.\n# runbook = \"https://wiki.example.com/web\"\n\n\
         # How it may end by itself with nothing wrong.\n# normal_exit = [0]\n\n"
    );
    if let Some(user) = &known.user {
        let _ = write!(
            text,
            "# Its hooks run as this user; `lastwords setup` makes their directories.\nuser = {}\n\n",
            toml_string(user)
        );
    }
    // A job that names one collector has no other. A log that only the supervisor knows would be
    // lost.
    if known.log.is_none() && known.program.is_none() {
        return text + LEFT_OUT;
    }
    text +=
        "[collect.memory]\n[collect.load]\n[collect.disk]\n[collect.dmesg]\n[collect.processes]\n";
    match &known.log {
        Some(log) => {
            let _ = write!(text, "[[collect.log]]\npath = {}\n", toml_string(log));
        }
        None => text += "# [[collect.log]]\n# path = \"/var/log/…\"     # where is its log?\n",
    }
    if let Some(program) = &known.program {
        let _ = write!(text, "[collect.program]\npath = {}\n", toml_string(program));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstarts_file_tells_the_user_the_log_and_the_program() {
        let known = of_upstart("setuid www-data\ninstance $N\nexec /srv/web\n", "");
        let expected = Findings {
            user: Some("www-data".into()),
            log: Some("/var/log/upstart/{job}-{instance}.log".into()),
            program: Some("/srv/web".into()),
        };
        assert_eq!(known, expected);
        let log = |conf| of_upstart(conf, "").log;
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
        assert_eq!(of_upstart("setuid root\n", "").user, None);
    }

    #[test]
    fn supervisords_file_tells_the_log() {
        let text = "[program:a]\nstderr_logfile=/a\n[program:web]\ncommand=x\nstderr_logfile = /var/log/web.err\n";
        assert_eq!(
            of_supervisord(text, "web").as_deref(),
            Some("/var/log/web.err")
        );
        assert_eq!(of_supervisord(text, "x"), None);
    }

    #[test]
    fn the_skeleton_is_a_config_without_a_mistake() {
        let hostile = Findings {
            user: Some("a\"b".into()),
            log: Some("/x\n\"y".into()),
            program: Some("/z".into()),
        };
        for known in [Findings::default(), hostile] {
            let dir = config::tests::config(&[
                ("lastwords.toml", config::tests::SINK),
                ("jobs/web.toml", &text("web\n[x]", &known)),
            ]);
            let checked = config::check(dir.path());
            assert_eq!(config::tests::told(dir.path(), &checked.problems), [""; 0]);
        }
    }
}
