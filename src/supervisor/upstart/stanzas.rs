//! Reads the stanzas of a job that matter to lastwords; see init(5).
//!
//! Of two stanzas of a kind the later one counts. `JOB.override` comes after `JOB.conf`.

use std::time::Duration;

use crate::config;
use crate::host::Host;
use crate::report::Exit;
use crate::supervisor::called;
use crate::supervisor::command;

/// The stanzas of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanzas {
    pub pre_start: Option<Process>,
    pub post_start: Option<Process>,
    pub pre_stop: Option<Process>,
    pub post_stop: Option<Process>,
    pub main: Option<Process>,
    /// The job is started again when its main process ends.
    pub respawns: bool,
    /// The job is a task: each of its runs is to end, and the next one starts it again.
    pub is_task: bool,
    /// The exits that `normal exit` names. init logs no line about them.
    pub normal_exits: Vec<Exit>,
    /// How long the main process may take to end after SIGTERM.
    pub kill_timeout: Option<Duration>,
    /// The root directory of all its processes, its hooks too.
    pub chroot: Option<String>,
    /// The directory of all its processes.
    pub chdir: Option<String>,
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
    /// Reads the files of a job; returns `None` if it has none.
    pub fn of(job: &str, host: &Host) -> Option<Self> {
        // A job's name is a path below /etc/init. One that leads out of there names no job.
        let stays = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !job.split('/').all(stays) {
            return None;
        }
        let read = |ending| host.read(format!("/etc/init/{job}.{ending}"));
        let conf = read("conf").ok()?;
        Some(Self::read(&conf, &read("override").unwrap_or_default()))
    }

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

    /// Returns true if Upstart keeps the job's output in a log: by default it does.
    pub fn keeps_console(&self) -> bool {
        matches!(self.console.as_deref(), None | Some("log"))
    }

    /// Returns the file that holds the program which the job runs, if its stanzas name one.
    pub fn program(&self) -> Option<String> {
        let main = self.main.as_ref()?;
        let dir = main.directory().or(self.chdir.as_deref());
        command::program(&main.words()?, dir)
    }

    /// Returns the exits that are no failure.
    pub fn allowed_exits(self) -> Vec<Exit> {
        let done = self.is_task.then_some(Exit::Code(0));
        self.normal_exits.into_iter().chain(done).collect()
    }

    /// Returns the path of the command that init itself runs, if it is one.
    pub fn command(&self) -> Option<&str> {
        let main = self.main.as_ref().filter(|main| !main.is_script)?;
        let first = main.words()?.first().copied();
        first.filter(|word| word.starts_with('/'))
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
                "post-start" => {
                    let process = process(rest, &mut lines, overrides);
                    self.post_start = process.or(self.post_start.take());
                }
                "exec" | "script" => {
                    self.main = process(&line, &mut lines, overrides).or(self.main.take());
                }
                "respawn" if rest.is_empty() => self.respawns = true,
                "task" => self.is_task = true,
                "normal" => self.normal_exits.extend(normal_exits(rest)),
                "kill" => self.kill_timeout = kill_timeout(rest).or(self.kill_timeout),
                "chroot" => self.chroot = Some(unquoted(rest)),
                "chdir" => self.chdir = Some(unquoted(rest)),
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

/// Reads `exit 0 42 TERM SIGHUP`.
fn normal_exits(rest: &str) -> impl Iterator<Item = Exit> {
    let (word, exits) = split_word(rest);
    let exits = exits
        .split_ascii_whitespace()
        .filter(move |_| word == "exit");
    exits.filter_map(|exit| match exit.parse() {
        Ok(code) => Some(Exit::Code(code)),
        Err(_) => config::signal(exit).ok(),
    })
}

/// Reads `timeout 90`.
fn kill_timeout(rest: &str) -> Option<Duration> {
    let (word, seconds) = split_word(rest);
    let seconds = unquoted(seconds).parse().ok().filter(|_| word == "timeout");
    seconds.map(Duration::from_secs)
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

    /// Returns the words of the command: that of the last `exec` of a script.
    fn words(&self) -> Option<Vec<&str>> {
        let command = if self.is_script {
            let mut lines = self.text.lines().rev();
            lines.find_map(|line| line.trim_start().strip_prefix("exec "))?
        } else {
            &self.text
        };
        Some(command::words(command))
    }

    /// Returns the last directory that a script enters before that.
    fn directory(&self) -> Option<&str> {
        let mut lines = self.text.lines().rev().filter(|_| self.is_script);
        lines.find_map(|line| match command::words(line).as_slice() {
            ["cd", dir, ..] => Some(*dir),
            _ => None,
        })
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
        assert_eq!(stanzas.post_start, Some(exec("c")));
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
    fn how_it_may_end_is_read_and_what_is_no_stanza_is_not() {
        let conf = "respawn limit 5 10\nnormal exit 0 42 \\\n TERM SIGHUP nonsense\nnormal x 7\n\
                    kill timeout 90\nkill signal INT\nchroot /srv/jail\n# respawn\n";
        let stanzas = Stanzas::read(conf, "");
        let signal = |name| config::signal(name).unwrap();
        let exits = [Exit::Code(0), Exit::Code(42), signal("TERM"), signal("HUP")];
        assert_eq!(stanzas.normal_exits, exits);
        assert_eq!(stanzas.kill_timeout, Some(Duration::from_secs(90)));
        assert_eq!(stanzas.chroot.as_deref(), Some("/srv/jail"));
        assert!(!stanzas.respawns && Stanzas::read("", "respawn").respawns);
        assert_eq!(Stanzas::read("kill timeout soon", "").kill_timeout, None);
    }

    #[test]
    fn the_program_is_what_the_last_exec_of_the_main_process_runs() {
        let hooks = "post-stop script\n  exec /usr/bin/lastwords post-stop\nend script\n";
        for (conf, program) in [
            (
                "respawn\n  exec /srv/web/server --port 80\n",
                "/srv/web/server",
            ),
            (
                "script\n  cd /\n  exec \"/srv/web\"\nend script\n",
                "/srv/web",
            ),
            (
                "chdir /srv/web\nexec node --inspect server.js",
                "/srv/web/server.js",
            ),
            (
                "script\n cd /srv/a\n exec python3 b.py\nend script\n",
                "/srv/a/b.py",
            ),
        ] {
            let stanzas = Stanzas::read(&format!("{conf}\n{hooks}"), "");
            assert_eq!(stanzas.program().as_deref(), Some(program), "{conf}");
        }
        for conf in [
            "exec node server.js",
            "exec $BIN",
            "script\n  /srv/web\nend script",
            "pre-start exec /bin/x",
            "executable /x",
            "",
        ] {
            assert_eq!(Stanzas::read(conf, "").program(), None, "{conf}");
        }
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
