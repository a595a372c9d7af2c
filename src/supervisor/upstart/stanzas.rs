//! Reads the stanzas of a job that matter to lastwords; see init(5).
//!
//! Of two stanzas of a kind the later one counts. `JOB.override` comes after `JOB.conf`.

use crate::supervisor::called;

/// The stanzas of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanzas {
    pub pre_start: Option<Process>,
    pub pre_stop: Option<Process>,
    pub post_stop: Option<Process>,
    pub main: Option<Process>,
    /// The user of all its processes, its hooks too.
    pub setuid: Option<String>,
    /// Several instances may run at once, each with a log of its own.
    pub has_instances: bool,
    /// The target of its output; `log` if there is no such stanza.
    pub console: Option<String>,
}

/// The process that a stanza runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The stanza is in `JOB.override`.
    pub overrides: bool,
    /// It is a `script`, which `sh -e` runs, and not a single command.
    pub is_script: bool,
    /// Lines of the script, or the command.
    pub text: String,
}

impl Stanzas {
    /// Reads `JOB.conf`, and then `JOB.override`.
    pub fn read(conf: &str, r#override: &str) -> Self {
        let mut stanzas = Self::default();
        stanzas.take(conf, false);
        stanzas.take(r#override, true);
        stanzas
    }

    /// Returns the process of this hook.
    pub fn hook(&self, name: &str) -> Option<&Process> {
        match name {
            "pre-start" => self.pre_start.as_ref(),
            "pre-stop" => self.pre_stop.as_ref(),
            "post-stop" => self.post_stop.as_ref(),
            _ => None,
        }
    }

    fn take(&mut self, text: &str, overrides: bool) {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let line = whole(line, &mut lines);
            let (word, rest) = split_word(&line);
            match word {
                "pre-start" => {
                    self.pre_start = process(rest, &mut lines, overrides).or(self.pre_start.take());
                }
                "pre-stop" => {
                    self.pre_stop = process(rest, &mut lines, overrides).or(self.pre_stop.take());
                }
                "post-stop" => {
                    self.post_stop = process(rest, &mut lines, overrides).or(self.post_stop.take());
                }
                "post-start" => drop(process(rest, &mut lines, overrides)),
                "exec" | "script" => {
                    self.main = process(&line, &mut lines, overrides).or(self.main.take());
                }
                "setuid" => self.setuid = Some(unquoted(rest)),
                "instance" => self.has_instances = true,
                "console" => self.console = Some(unquoted(rest)),
                _ => {}
            }
        }
    }
}

/// Joins a line with those that a backslash at its end adds, and strips the comment.
fn whole<'a>(line: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut whole = line.to_owned();
    while let Some(begun) = whole.strip_suffix('\\') {
        whole = format!("{begun} {}", lines.next().unwrap_or_default());
    }
    without_comment(whole.trim()).trim_end().to_owned()
}

/// Returns the line up to a `#` that begins a word outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        } else if quote.is_none() && c == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or(line);
        }
        before = c;
    }
    line
}

fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    line.split_once(char::is_whitespace)
        .map_or((line, ""), |(word, rest)| (word, rest.trim()))
}

fn unquoted(text: &str) -> String {
    text.trim_matches(['"', '\'']).to_owned()
}

/// Reads `exec COMMAND`, or `script` and the lines up to `end script`; returns `None` if it is
/// neither.
fn process<'a>(
    rest: &str,
    lines: &mut impl Iterator<Item = &'a str>,
    overrides: bool,
) -> Option<Process> {
    match split_word(rest) {
        ("exec", command) if !command.is_empty() => Some(Process {
            overrides,
            is_script: false,
            text: command.to_owned(),
        }),
        ("script", "") => {
            let ends = |line: &str| {
                let (word, rest) = split_word(line);
                word == "end" && split_word(rest).0 == "script"
            };
            let script: Vec<&str> = lines.take_while(|line| !ends(line)).collect();
            Some(Process {
                overrides,
                is_script: true,
                text: script.join("\n"),
            })
        }
        _ => None,
    }
}

impl Process {
    /// Returns the program by which the process runs lastwords' hook; see [`called`].
    pub fn program(&self, hook: &str) -> Option<&str> {
        called(&self.text, hook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(text: &str) -> Process {
        Process {
            overrides: false,
            is_script: false,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_jobs_processes_are_told_apart_whatever_their_scripts_hold() {
        let conf = "# pre-stop exec /no\nsetuid \"www-data\"\npre-start script\n  exec a\n  pre-stop exec b\n end  script\n\
                    exec /srv/web --x '# no' \\\n   --y # a comment\npost-start exec c\nconsole none\n";
        let stanzas = Stanzas::read(conf, "");
        assert_eq!(
            stanzas.pre_start.as_ref().map(|it| it.text.as_str()),
            Some("  exec a\n  pre-stop exec b")
        );
        assert_eq!(stanzas.main, Some(exec("/srv/web --x '# no'     --y")));
        assert_eq!((stanzas.pre_stop, stanzas.post_stop), (None, None));
        assert_eq!(
            (stanzas.setuid.as_deref(), stanzas.console.as_deref()),
            (Some("www-data"), Some("none"))
        );
    }

    #[test]
    fn an_override_replaces_stanzas_and_leaves_the_others() {
        let stanzas = Stanzas::read(
            "pre-stop exec a\npost-stop exec b\nexec c",
            "manual\npost-stop exec d\n",
        );
        assert_eq!(stanzas.pre_stop, Some(exec("a")));
        assert_eq!(
            stanzas.post_stop,
            Some(Process {
                overrides: true,
                ..exec("d")
            })
        );
        assert_eq!(stanzas.main, Some(exec("c")));
    }

    #[test]
    fn a_script_without_an_end_and_a_line_that_goes_on_without_another_end_with_the_file() {
        assert_eq!(
            Stanzas::read("script\nx", "").main.map(|it| it.text),
            Some("x".to_owned())
        );
        assert_eq!(Stanzas::read("exec x \\", "").main, Some(exec("x")));
        assert_eq!(Stanzas::read("exec", "").main, None);
    }

    #[test]
    fn our_hook_is_found_by_either_name_and_nothing_else_is() {
        let called = |text: &str| {
            let process = Process {
                overrides: false,
                is_script: true,
                text: text.to_owned(),
            };
            process.program("pre-stop").map(str::to_owned)
        };
        for (text, program) in [
            ("/usr/bin/lastwords pre-stop", "/usr/bin/lastwords"),
            (
                "  date\n  \"/usr/bin/lastwords\" pre-stop --config /x || true",
                "/usr/bin/lastwords",
            ),
            (
                "/opt/upstart-monitor/bin/pre-stop",
                "/opt/upstart-monitor/bin/pre-stop",
            ),
            ("lastwords pre-stop", "lastwords"),
        ] {
            assert_eq!(called(text).as_deref(), Some(program), "{text}");
        }
        for text in [
            "# /usr/bin/lastwords pre-stop",
            "/usr/bin/lastwords pre-start",
            "echo pre-stop",
            "lastwords",
            "",
        ] {
            assert_eq!(called(text), None, "{text}");
        }
    }
}
