//! Writes `jobs/JOB.toml` for a job that has none, with the user, the log and the program that its
//! supervisor's files name.

use std::fmt::Write;

use crate::collectors::Collect;
use crate::config;
use crate::places::Places;
use crate::supervisor::Supervise;
use crate::supervisor::caller::toml_string;
use crate::supervisor::plan::Draft;
use crate::supervisor::supervise::Described;

pub fn draft(job: &str, supervisor: &dyn Supervise, places: &Places) -> Draft {
    let described = supervisor.described(job, &places.host());
    let (job, _) = supervisor.split(job);
    let path = config::job_file(&places.config, job);
    Draft::new(path.clone(), path, text(job, &described))
}

fn text(job: &str, described: &Described) -> String {
    let job = job.replace(char::is_control, " ");
    let mut text = format!(
        "# The job `{job}`: who is told when it dies, and what is gathered. `lastwords check` finds its mistakes.\n\n\
         # The sinks to tell, by their names in lastwords.toml. Without this key: all of them.\n# sinks = [\"ops-mail\"]\n\n\
         # Tells people what to do. It stands at the end of every message.\n# runbook = \"https://wiki.example.com/web\"\n\n\
         # The exit codes with which the job may end by itself.\n# normal_exit = [0]\n\n"
    );
    if let Some(user) = &described.user {
        let _ = write!(
            text,
            "# Its hooks run as this user; `lastwords setup` makes their directories.\nuser = {}\n\n",
            toml_string(user)
        );
    }
    if let Some(chroot) = &described.chroot {
        let _ = write!(
            text,
            "# Its hooks run in this chroot, with the lastwords in there, and leave their reports there.\n\
             chroot = {}\n\n",
            toml_string(chroot)
        );
    }
    // Whoever names one collector has no other: of a log that only the supervisor knows, that would
    // be the end.
    let standard: Vec<String> = Collect::standard()
        .list()
        .iter()
        .map(|collector| collector.name())
        .collect();
    if described.logs.is_empty() && described.program.is_none() {
        return text + &left_out(&standard);
    }
    for name in &standard {
        let _ = writeln!(text, "[collect.{name}]");
    }
    for log in &described.logs {
        let _ = write!(text, "[[collect.log]]\npath = {}\n", toml_string(log));
    }
    if described.logs.is_empty() {
        text += "# [[collect.log]]\n# path = \"/var/log/…\"     # where is its log?\n";
    }
    if let Some(program) = &described.program {
        let _ = write!(text, "[collect.program]\npath = {}\n", toml_string(program));
    }
    text
}

/// Returns comments in place of the collectors, for a job whose supervisor's files name neither a
/// log nor a program.
fn left_out(standard: &[String]) -> String {
    let mut text = format!(
        "# The collectors. A job that names none has {}, and the log that its\n\
         # supervisor keeps. A job that names one has only those that it names.\n",
        standard.join(", ")
    );
    for name in standard {
        let _ = writeln!(text, "# [collect.{name}]");
    }
    text + "# [[collect.log]]\n# path = \"/var/log/…\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    #[test]
    fn the_skeleton_is_a_config_without_a_mistake() {
        let hostile = Described {
            user: Some("a\"b".into()),
            chroot: Some("/srv/\"jail".into()),
            logs: vec!["/x\n\"y".into(), "/z".into()],
            program: Some("/z".into()),
        };
        for described in [Described::default(), hostile] {
            let dir = config::tests::config(&[
                ("lastwords.toml", config::tests::SINK),
                ("jobs/web.toml", &text("web\n[x]", &described)),
                ("etc/passwd", "a\"b:x:7:7::/:/bin/false\n"),
            ]);
            let host = Host::new(dir.path(), dir.path());
            let checked = config::check(dir.path(), &host, &[]);
            // The logs and programs of this test do not exist.
            let told = config::tests::told(dir.path(), &checked.problems);
            assert!(
                told.iter().all(|it| it.contains("there is no /")),
                "{told:?}"
            );
        }
    }
}
