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
    /// The run directory, if it is not the usual one.
    run_dir: Option<String>,
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
        let run_dir = flags
            .iter()
            .skip_while(|flag| *flag != "--run-dir")
            .nth(1)
            .cloned();
        Ok(Self {
            program,
            flags,
            run_dir,
        })
    }

    /// Returns `PROGRAM VERB FLAGS`, quoted for a shell.
    pub fn call(&self, verb: &str) -> String {
        let program = quoted(&self.program.to_string_lossy());
        let flags: Vec<String> = self.flags.iter().map(|flag| quoted(flag)).collect();
        [&[program, verb.to_owned()], flags.as_slice()]
            .concat()
            .join(" ")
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
        // In the path unit.
        let line = match self.run_dir.as_deref() {
            Some(run_dir) => line.replace("=/run/lastwords/", &format!("={run_dir}/")),
            None => line.to_owned(),
        };
        let line = line.replace("--job web", &format!("--job {}", quoted(job)));
        let Some((before, rest)) = line.split_once(&format!("{INSTALLED} ")) else {
            return line;
        };
        let (verb, rest) = rest.split_at(rest.find(" -").unwrap_or(rest.len()));
        format!("{before}{}{rest}", self.call(verb))
    }
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
            program: "/opt/last words".into(),
            flags,
            run_dir: Some("/srv/run".into()),
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
            ("Description=a website", "Description=a website"),
        ] {
            assert_eq!(caller.fill(text, "a b"), format!("{filled}\n"));
        }
    }

    #[test]
    fn the_usual_directories_need_no_flags() {
        assert!(Caller::of(&Places::default()).unwrap().flags.is_empty());
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
