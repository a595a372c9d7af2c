//! A job's configuration, `/etc/init/JOB.conf`: the part of init(5) that the tests need.

use std::time::Duration;

/// One job's stanzas.
#[derive(Clone, Debug)]
pub struct Conf {
    pub pre_start: Option<Stanza>,
    pub main: Option<Stanza>,
    pub post_start: Option<Stanza>,
    pub pre_stop: Option<Stanza>,
    pub post_stop: Option<Stanza>,
    pub respawn: bool,
    /// Maximum number of respawns within that time.
    pub respawn_limit: (u32, Duration),
    /// Exit codes, and signal numbers shifted by 8.
    pub normal_exit: Vec<i32>,
    pub kill_timeout: Duration,
    pub uid: Option<u32>,
    pub env: Vec<(String, String)>,
    /// `console log` (the default): a pty for each process; else `/dev/null`.
    pub console_log: bool,
}

/// The command of one process of a job.
#[derive(Clone, Debug)]
pub enum Stanza {
    Exec(String),
    Script(String),
}

impl Stanza {
    /// Returns the command as Upstart makes it. Only scripts, and lines with characters that shells
    /// interpret, get a shell.
    pub fn argv(&self) -> Vec<String> {
        let shell = |script: &str| ["/bin/sh", "-e", "-c", script].map(str::to_owned).to_vec();
        match self {
            Self::Script(script) => shell(script),
            Self::Exec(line) if line.contains(|c| "~`!$^&*()=|\\{}[];\"'<>?".contains(c)) => {
                shell(&format!("exec {line}"))
            }
            Self::Exec(line) => line.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

impl Conf {
    /// Reads a job's stanzas. Of two stanzas of one kind the later wins.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self {
            pre_start: None,
            main: None,
            post_start: None,
            pre_stop: None,
            post_stop: None,
            respawn: false,
            respawn_limit: (10, Duration::from_secs(5)),
            normal_exit: Vec::new(),
            kill_timeout: Duration::from_secs(5),
            uid: None,
            env: Vec::new(),
            console_log: true,
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let line = line.trim();
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "pre-start" => conf.pre_start = Some(stanza(rest, &mut lines)),
                "post-start" => conf.post_start = Some(stanza(rest, &mut lines)),
                "pre-stop" => conf.pre_stop = Some(stanza(rest, &mut lines)),
                "post-stop" => conf.post_stop = Some(stanza(rest, &mut lines)),
                "exec" | "script" => conf.main = Some(stanza(line, &mut lines)),
                "respawn" if rest.is_empty() => conf.respawn = true,
                "respawn" => conf.respawn_limit = respawn_limit(rest),
                "normal" => conf.normal_exit = rest.split(' ').skip(1).map(exit_status).collect(),
                "kill" => conf.kill_timeout = seconds(rest.trim_start_matches("timeout ")),
                "setuid" => conf.uid = Some(rest.parse().expect("a numeric uid")),
                "env" => conf.env.push(
                    rest.split_once('=')
                        .map(|(k, v)| (k.into(), v.into()))
                        .expect("K=V"),
                ),
                "console" => conf.console_log = rest == "log",
                "instance" | "start" | "stop" | "description" | "" => {}
                comment if comment.starts_with('#') => {}
                unknown => {
                    panic!("the supervisor of these tests does not know the stanza `{unknown}`")
                }
            }
        }
        conf
    }
}

fn stanza<'a>(rest: &str, lines: &mut impl Iterator<Item = &'a str>) -> Stanza {
    if rest == "script" {
        Stanza::Script(
            lines
                .take_while(|line| line.trim() != "end script")
                .collect::<Vec<_>>()
                .join("\n"),
        )
    } else {
        Stanza::Exec(
            rest.strip_prefix("exec ")
                .expect("`exec` or `script`")
                .to_owned(),
        )
    }
}

fn respawn_limit(rest: &str) -> (u32, Duration) {
    let (count, within) = rest
        .trim_start_matches("limit ")
        .split_once(' ')
        .expect("COUNT SECONDS");
    (count.parse().expect("a count"), seconds(within))
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().expect("seconds"))
}

fn exit_status(word: &str) -> i32 {
    if word == "TERM" {
        15 << 8
    } else {
        word.parse().expect("an exit code or TERM")
    }
}
