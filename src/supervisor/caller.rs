//! Puts this program, its flags and the job's name into the texts of `config/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::ourselves;
use crate::places::Places;

/// The program in those texts.
const INSTALLED: &str = "/usr/bin/lastwords";

/// The way in which a supervisor calls this program.
pub struct Caller {
    pub program: PathBuf,
    /// Flags for the directories that are not the usual ones.
    flags: Vec<String>,
    /// The directory in which the supervisor keeps the service, if it is in none of the usual ones.
    pub directory: Option<PathBuf>,
    /// The run directory and the spool, if they are not the usual ones.
    run_dir: Option<String>,
    spool: Option<String>,
}

impl Caller {
    /// Returns the way to call this program with these directories.
    ///
    /// # Errors
    /// Fails if the program's path is unknown, or a name is not UTF-8: no supervisor's file could
    /// hold that.
    pub fn of(places: &Places) -> Result<Self> {
        let program = ourselves::program().context("cannot find this program")?;
        let usual = Places::default().flags();
        let flags = places.flags();
        let pairs = flags
            .chunks(2)
            .zip(usual.chunks(2))
            .filter(|(asked, usual)| asked != usual);
        let words = pairs
            .flat_map(|(asked, _)| asked)
            .map(|word| word.to_str().map(str::to_owned));
        let flags = words
            .collect::<Option<Vec<_>>>()
            .context("a directory's name is not UTF-8")?;
        let value = |name: &str| {
            let mut pairs = flags
                .chunks(2)
                .filter(|pair| pair.first().is_some_and(|it| it == name));
            pairs.next().and_then(|pair| pair.get(1)).cloned()
        };
        Ok(Self {
            program,
            directory: None,
            run_dir: value("--run-dir"),
            spool: value("--spool"),
            flags,
        })
    }

    /// Returns the same for a service that its supervisor keeps in this directory, if that is none
    /// of the usual ones.
    #[must_use]
    pub fn of_service_in(self, directory: Option<PathBuf>) -> Self {
        Self { directory, ..self }
    }

    /// Returns `PROGRAM VERB FLAGS`, quoted for a shell.
    pub fn call(&self, verb: &str) -> String {
        let program = quoted(&self.program.to_string_lossy());
        format!("{program} {verb} {}", self.flags())
            .trim_end()
            .to_owned()
    }

    /// Returns `FLAGS`, quoted for a shell: the directories that are not the usual ones.
    pub fn flags(&self) -> String {
        let flags: Vec<String> = self.flags.iter().map(|flag| quoted(flag)).collect();
        flags.join(" ")
    }

    /// Fills in a text of `config/`: each `/usr/bin/lastwords VERB…` becomes this program's call,
    /// and the job `web` becomes this one. In comments only the job changes.
    pub fn fill(&self, text: &str, job: &str) -> String {
        text.lines()
            .map(|line| self.fill_line(line, job) + "\n")
            .collect()
    }

    fn fill_line(&self, line: &str, job: &str) -> String {
        if line.starts_with(['#', ';']) {
            return line
                .split(' ')
                .map(|word| renamed(word, job))
                .collect::<Vec<_>>()
                .join(" ");
        }
        let line = self.with_directories(line);
        let line = line.replace("--job web", &format!("--job {}", quoted(job)));
        let Some((before, rest)) = line.split_once(&format!("{INSTALLED} ")) else {
            return line;
        };
        let (verb, rest) = rest.split_at(rest.find(" -").unwrap_or(rest.len()));
        format!("{before}{}{rest}", self.call(verb))
    }

    /// Puts our directories into a line of a unit: of the path unit, and of the deliverer's
    /// sandbox, which lets it write nothing else.
    fn with_directories(&self, line: &str) -> String {
        match (line, &self.run_dir, &self.spool) {
            ("RuntimeDirectory=lastwords", Some(run_dir), _) => writable(run_dir),
            ("ReadWritePaths=/var/spool", _, Some(spool)) => {
                format!("{line}\nBindPaths={}", quoted(&format!("-{spool}")))
            }
            (_, Some(run_dir), _) => line.replace("=/run/lastwords/", &format!("={run_dir}/")),
            _ => line.to_owned(),
        }
    }
}

/// Returns the setting by which a unit's sandbox lets it write a run directory. Only below `/run`
/// systemd can make one at each boot.
fn writable(run_dir: &str) -> String {
    let below_run = run_dir
        .strip_prefix("/run/")
        .filter(|rest| !rest.contains(' '));
    below_run.map_or_else(
        || format!("BindPaths={}", quoted(&format!("-{run_dir}"))),
        |rest| format!("RuntimeDirectory={rest}"),
    )
}

/// Renames the job in a word of a comment: `web`, `web.service.d/`, `/etc/init/web.override`.
fn renamed(word: &str, job: &str) -> String {
    let is_web =
        |part: &str| part.trim_end_matches([':', ',']) == "web" || part.starts_with("web.");
    let parts = word.split('/').map(|part| {
        if is_web(part) {
            part.replacen("web", job, 1)
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Quotes a word for a shell, if it needs that.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Writes a path as a TOML string.
pub fn toml_string(path: impl AsRef<Path>) -> String {
    toml::Value::from(path.as_ref().to_string_lossy().into_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_calls_this_program_with_its_directories_for_this_job() {
        let flags = ["--run-dir", "/srv/run"].map(str::to_owned).to_vec();
        let caller = Caller {
            directory: None,
            program: "/opt/last words".into(),
            flags,
            run_dir: Some("/srv/run".into()),
            spool: Some("/srv/my spool".into()),
        };
        for (text, filled) in [
            (
                "# /etc/init/web.override: around the job web, a website",
                "# /etc/init/a b.override: around the job a b, a website",
            ),
            (
                "exec /usr/bin/lastwords post-stop --job web -- \"$@\"",
                "exec '/opt/last words' post-stop --run-dir /srv/run --job 'a b' -- \"$@\"",
            ),
            (
                "ExecStart=-+/usr/bin/lastwords deliver",
                "ExecStart=-+'/opt/last words' deliver --run-dir /srv/run",
            ),
            (
                "DirectoryNotEmpty=/run/lastwords/wake",
                "DirectoryNotEmpty=/srv/run/wake",
            ),
            ("RuntimeDirectory=lastwords", "BindPaths=-/srv/run"),
            (
                "ReadWritePaths=/var/spool",
                "ReadWritePaths=/var/spool\nBindPaths='-/srv/my spool'",
            ),
            ("Description=a website", "Description=a website"),
        ] {
            assert_eq!(caller.fill(text, "a b"), format!("{filled}\n"));
        }
    }

    #[test]
    fn the_usual_directories_need_no_flags() {
        let usual = Caller::of(&Places::default()).unwrap();
        assert!(usual.flags.is_empty());
        for line in ["RuntimeDirectory=lastwords", "ReadWritePaths=/var/spool"] {
            assert_eq!(usual.fill(line, "web"), format!("{line}\n"));
        }
        assert_eq!(writable("/run/ours/words"), "RuntimeDirectory=ours/words");
        let places = Places {
            spool: "/srv/it's".into(),
            ..Places::default()
        };
        assert!(
            Caller::of(&places)
                .unwrap()
                .call("deliver")
                .ends_with(r" deliver --spool '/srv/it'\''s'")
        );
    }
}
