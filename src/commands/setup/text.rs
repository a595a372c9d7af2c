//! The texts of `config/`, with this program, its flags and the job's name put in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::commands::{Places, ourselves};

/// Where lastwords is in those texts.
const INSTALLED: &str = "/usr/bin/lastwords";

/// How a supervisor calls this program.
pub struct Caller {
    pub program: PathBuf,
    /// The directories that are not the usual ones.
    flags: Vec<String>,
}

impl Caller {
    /// This program, with these directories.
    ///
    /// # Errors
    /// Where it does not know itself, or a name is not UTF-8, which no supervisor's file could hold.
    pub fn of(places: &Places) -> Result<Self> {
        let program = ourselves::program().context("cannot find this program")?;
        let usual = Places::default().flags();
        let flags = places.flags();
        let pairs = flags.chunks(2).zip(usual.chunks(2)).filter(|(given, usual)| given != usual);
        let words = pairs.flat_map(|(given, _)| given).map(|word| word.to_str().map(str::to_owned));
        let flags = words.collect::<Option<Vec<_>>>().context("a directory's name is not UTF-8")?;
        Ok(Self { program, flags })
    }

    /// `PROGRAM VERB FLAGS`, as a shell reads it.
    pub fn call(&self, verb: &str) -> String {
        let program = quoted(&self.program.to_string_lossy());
        let flags: String = self.flags.iter().map(|flag| format!(" {}", quoted(flag))).collect();
        format!("{program} {verb}{flags}")
    }

    /// A text of `config/`: each `/usr/bin/lastwords VERB` becomes this program's call, and `JOB` the job.
    pub fn fill(&self, text: &str, job: &str) -> String {
        let mut filled = String::new();
        for line in text.lines() {
            let called = line.split_once(INSTALLED).filter(|_| !line.trim_start().starts_with('#'));
            match called.and_then(|(before, rest)| Some((before, rest.strip_prefix(' ')?))) {
                Some((before, rest)) => {
                    let (verb, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
                    filled += &format!("{before}{}{}", self.call(verb), rest.replace("JOB", job));
                }
                None => filled += &line.replace("JOB", job),
            }
            filled.push('\n');
        }
        filled
    }
}

/// A word for a shell, in quotes where it needs them.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A string for TOML.
pub fn toml_string(path: impl AsRef<Path>) -> String {
    toml::Value::from(path.as_ref().to_string_lossy().into_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_calls_this_program_with_its_directories() {
        let caller = Caller { program: "/opt/last words".into(), flags: vec!["--spool".into(), "/srv/spool".into()] };
        let filled =
            caller.fill("# /usr/bin/lastwords x: JOB\nExecStopPost=-+/usr/bin/lastwords post-stop --job JOB\n", "web");
        assert_eq!(
            filled,
            "# /usr/bin/lastwords x: web\nExecStopPost=-+'/opt/last words' post-stop --spool /srv/spool --job web\n"
        );
    }

    #[test]
    fn the_usual_directories_need_no_flags() {
        assert!(Caller::of(&Places::default()).unwrap().flags.is_empty());
        let places = Places { spool: "/srv/it's".into(), ..Places::default() };
        assert!(Caller::of(&places).unwrap().call("deliver").ends_with(r" deliver --spool '/srv/it'\''s'"));
    }
}
