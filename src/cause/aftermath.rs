//! Recognises the lines that stand in a log after a death: those of wrappers and supervisors, those
//! of the service itself while it goes down, and the next start's banner. Any other line is the
//! work of a service that went on.

use super::beneath;
use super::entry::LogLevel;
use super::finding::Finding;
use super::scene::Scene;
use super::text::LogLine;
use super::vocabulary::{is_closing, pid_in, says};
use crate::report::{Death, Exit};

/// A line's meaning when it follows a death in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A shell, a package manager or a supervisor reports the end of a process.
    Epilogue,
    /// The service says that it goes down.
    Closing,
    /// Someone asked the service to go down.
    Request,
    /// The first line of the service's next life.
    Start,
    /// Any other line: the service works.
    Ordinary,
}

/// Maximum number of bytes of a line that are read.
const HEAD: usize = 400;

/// Returns the meaning of a line that follows a death.
pub fn remark(line: &LogLine, scene: &Scene) -> Remark {
    let text = head(line);
    let lowercase = text.to_ascii_lowercase();
    if is_epilogue(text, &lowercase) && !is_of_manager(&lowercase) {
        return Remark::Epilogue;
    }
    let level = line.level();
    if level < Some(LogLevel::Error) && is_start(line, &lowercase, scene) {
        return Remark::Start;
    }
    // Process 1 is the supervisor; whatever it says is no work of the service. A user's systemd has
    // another number.
    let is_supervisor = line.pid() == Some(1) || line.carried_as.as_deref() == Some("systemd");
    if is_supervisor && scene.pid != line.pid() {
        return Remark::Epilogue;
    }
    if is_request(&lowercase) {
        return Remark::Request;
    }
    if is_closing(&lowercase) || is_advice(&lowercase) || level == Some(LogLevel::Fatal) {
        return Remark::Closing;
    }
    Remark::Ordinary
}

/// Returns true if a line only tells people where to read on, or belongs to the host of .NET.
pub fn is_advice(lowercase: &str) -> bool {
    says(
        lowercase,
        &[
            "for complete error details",
            "for more detail",
            "for more information",
            "more information",
            "check the logs",
            "did not exit normally",
            "refer to the log",
            "examine the log",
        ],
    ) || lowercase.starts_with("info: microsoft.hosting.lifetime")
}

/// Returns the message of a line, truncated to [`HEAD`].
pub fn head(line: &LogLine) -> &str {
    let text = line.message().trim();
    text.get(..text.floor_char_boundary(HEAD))
        .unwrap_or_default()
}

fn is_epilogue(text: &str, lowercase: &str) -> bool {
    const BEGIN: [&str; 22] = [
        "npm ERR!",
        "npm error",
        "npm notice",
        "npm warn",
        "error Command failed",
        "info Visit https://yarnpkg.com",
        "ELIFECYCLE",
        "\u{2009}ELIFECYCLE",
        "error: script ",
        "JVM ",
        "<-- Wrapper",
        "Aborted",
        "Killed",
        "Terminated",
        "Segmentation fault",
        "Bus error",
        "Illegal instruction",
        "Trace/breakpoint trap",
        "Floating point exception",
        "make: ***",
        "[nodemon]",
        "PM2",
    ];
    // bash: `run.sh: line 5: 12483 Killed                  node app.js`
    let of_shell = || {
        let after = lowercase
            .split_once(": line ")
            .and_then(|(_, rest)| rest.split_once(": "))
            .map(|(_, rest)| rest.trim());
        let word = after.and_then(|after| after.split_once(' '));
        word.is_some_and(|(pid, _)| pid.len() > 1 && pid.bytes().all(|byte| byte.is_ascii_digit()))
    };
    BEGIN.iter().any(|words| text.starts_with(words))
        || of_shell()
        || says(
            lowercase,
            &[
                "exited with",
                "exited unexpectedly",
                "exited normally",
                "exited on signal",
                "exit status",
                "exit code",
                "ended with",
                "died with",
                "was killed by",
                "killed by signal",
                "terminated by signal",
                "terminated unexpectedly",
                "main process exited",
                "failed with result",
                "entered failed state",
                "scheduled restart job",
                "service hold-off time over",
                "restarting in",
                "will restart",
                "respawning",
                "backing off restarting",
                "waiting for changes to restart",
                "consumed ",
            ],
        ) && !is_closing(lowercase)
            && !lowercase.contains("exited with error: ")
}

/// Returns true if a line reports that a process has ended.
pub fn tells_exit(line: &LogLine) -> bool {
    let lowercase = head(line).to_ascii_lowercase();
    let words = [
        "exited with",
        "exited unexpectedly",
        "exited on signal",
        "main process exited",
        "app crashed",
        "died with",
    ];
    says(&lowercase, &words) && !is_closing(&lowercase)
}

/// Returns what supervisord says of a program that it starts no more: `gave up: web entered FATAL
/// state, too many start retries too quickly`.
pub fn gave_up(lines: &[LogLine]) -> Option<Finding> {
    let is_told = |line: &LogLine| {
        let message = head(line);
        message.starts_with("gave up: ") && message.contains(" entered FATAL state")
    };
    let last = lines.len().saturating_sub(LAST);
    let at = lines.iter().rposition(is_told).filter(|at| *at >= last)?;
    let what = head(lines.get(at)?);
    Some(Finding::at(at..at + 1, Death::PlainExit, what))
}

/// Number of last lines that may tell the exit.
const LAST: usize = 12;

/// Returns the exit that the log itself tells, if nothing but the end follows it.
pub fn exit(lines: &[LogLine], scene: &Scene) -> Option<Exit> {
    lines
        .iter()
        .rev()
        .filter(|line| !line.is_blank())
        .take(LAST)
        .take_while(|line| remark(line, scene) != Remark::Ordinary)
        .find_map(|line| exit_in(&line.text))
}

/// Reads systemd's, Docker Compose's and supervisord's words on an end.
fn exit_in(text: &str) -> Option<Exit> {
    let number = |text: &str| {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    let signal = |name: &str| Exit::Signal {
        name: name.trim_start_matches("SIG").to_owned(),
        core_dumped: false,
    };
    if let Some((_, rest)) = text.split_once("Main process exited, code=") {
        let (how, rest) = rest.split_once(", status=")?;
        let (number, name) = rest.split_once('/')?;
        return match how {
            "exited" => number.parse().ok().map(Exit::Code),
            _ => Some(signal(name)),
        };
    }
    if let Some((_, rest)) = text.split_once("exited: ") {
        let (_, rest) = rest.split_once(" (")?;
        return match rest.strip_prefix("exit status ") {
            Some(code) => number(code).map(Exit::Code),
            None => Some(signal(
                rest.strip_prefix("terminated by ")?
                    .split([' ', ';'])
                    .next()?,
            )),
        };
    }
    let (_, code) = text.split_once(" exited with code ")?;
    number(code).map(Exit::Code)
}

/// Returns true if a line tells of a request to go down.
fn is_request(lowercase: &str) -> bool {
    // ClickHouse's own signals to its threads have negative numbers.
    let signal = says(
        lowercase,
        &[
            "sigterm",
            "sigint",
            "sighup",
            "sigquit",
            "signal 15",
            "signal 2",
            "signal 1",
        ],
    ) || (says(lowercase, &["signal"])
        && says(lowercase, &["received", "caught", "got"])
        && !lowercase.contains("signal -"));
    let asks = says(
        lowercase,
        &[
            "stop requested",
            "shutdown requested",
            "requested shutdown",
            "shutdown request",
            "on request",
        ],
    );
    signal || asks
}

/// Returns true if someone asked this life of the service to go down, in the last lines before this
/// one.
pub fn was_asked(lines: &[LogLine], before: usize, scene: &Scene) -> bool {
    const NEAR: usize = 20;
    // A reload goes on, and a fault's signal is no request.
    const OTHERS: [&str; 8] = [
        "sighup",
        "reload",
        "sigsegv",
        "sigabrt",
        "sigbus",
        "sigfpe",
        "signal 6",
        "signal 11",
    ];
    let is_other = |line: &LogLine| says(&head(line).to_ascii_lowercase(), &OTHERS);
    let said = lines
        .get(..before)
        .unwrap_or_default()
        .iter()
        .rev()
        .filter(|line| !line.is_blank())
        .take(NEAR);
    said.filter(|line| !is_other(line))
        .map(|line| remark(line, scene))
        .find(|remark| matches!(remark, Remark::Request | Remark::Start))
        == Some(Remark::Request)
}

/// Returns true if another life of the service begins here.
fn is_start(line: &LogLine, lowercase: &str, scene: &Scene) -> bool {
    // npm's, yarn's and pnpm's: `> shop@2.1.0 start`.
    if let Some(script) = line.text.strip_prefix("> ") {
        return script.contains('@') || script.len() < HEAD;
    }
    if line.text.starts_with("--> Wrapper Started") || line.text.starts_with("Launching a JVM") {
        return true;
    }
    if is_of_manager(lowercase) {
        return true;
    }
    let begins = says(
        lowercase,
        &[
            "starting",
            "start",
            "started",
            "booting",
            "boot",
            "launching",
            "restarted",
        ],
    );
    // A line that names an error of the system's is no banner: `relay: startup: dial tcp …:
    // connection refused`.
    if !begins
        || is_closing(lowercase)
        || beneath::kind(lowercase).is_some()
        || says(
            lowercase,
            &[
                "fail",
                "error",
                "cannot",
                "can't",
                "could not",
                "unable",
                "not ",
            ],
        )
    {
        return false;
    }
    let is_marked =
        lowercase.starts_with("==") || lowercase.starts_with("--") || lowercase.starts_with("**");
    let job = scene.job.to_ascii_lowercase();
    is_marked
        || pid_in(lowercase).is_some()
        || (!job.is_empty() && says(lowercase, &[&job]))
        || has_version(lowercase)
        || {
            says(
                lowercase,
                &["application", "server", "master", "daemon", "service"],
            ) && says(lowercase, &["starting", "booting"])
        }
}

/// Returns true if a process manager says that it starts a process: nodemon, pm2, supervisord,
/// systemd.
fn is_of_manager(lowercase: &str) -> bool {
    let lowercase = lowercase
        .strip_prefix("pm2")
        .map_or(lowercase, |rest| rest.trim_start_matches([' ', '|']));
    let lowercase = lowercase.strip_prefix("log: ").unwrap_or(lowercase);
    let of_pm2 = lowercase
        .strip_prefix("app [")
        .and_then(|rest| rest.split_once("] "));
    of_pm2.is_some_and(|(_, rest)| rest == "online" || rest.starts_with("starting in "))
        || lowercase.starts_with("[nodemon] starting `")
        || (lowercase.starts_with("spawned: '") && lowercase.contains("' with pid "))
        || (lowercase.starts_with("success: ") && lowercase.contains(" entered running state"))
}

/// Returns true if a word is a version: `3.1`, `v2.0.4`.
fn has_version(lowercase: &str) -> bool {
    lowercase.split([' ', '@', '/', ',', '(', ')']).any(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let mut parts = word.split('.');
        let number = |part: &str| {
            !part.is_empty() && part.len() < 5 && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        word.contains('.')
            && parts.next().is_some_and(number)
            && parts.next().is_some_and(number)
            && word.len() < 16
    })
}

#[cfg(test)]
mod tests {
    use super::{Remark, remark};
    use crate::cause::{Scene, text};
    use crate::report::Exit;

    fn remark_on(line: &str) -> Remark {
        let lines = text::read(line);
        let scene = Scene {
            job: "feed",
            pid: Some(4242),
            exit: &Exit::Code(1),
            log: None,
            kernel: ("", &[]),
        };
        remark(&lines[0], &scene)
    }

    #[test]
    fn wrappers_and_supervisors_words_on_an_end_are_no_work() {
        for line in [
            "npm ERR! Exit status 1",
            "run.sh: line 5: 12483 Killed                  node app.js",
            "Aborted (core dumped)",
            "[super] schema exited with code 1, restarting in 2s",
            "Nov 22 23:58:59 db1 systemd[1]: feed.service: Main process exited, code=exited, status=1/FAILURE",
            "wrapper  | JVM exited unexpectedly.",
            "app.js ended with 137",
        ] {
            assert_eq!(remark_on(line), Remark::Epilogue, "{line}");
        }
    }

    #[test]
    fn the_next_start_is_known_by_its_banner() {
        for line in [
            "[boot] feed starting, pid 13152",
            "== orders start 2026-11-22 23:56:07 ==",
            "helpdesk 3.1 booting",
            "> shop@2.1.0 start",
            "2026-11-22T23:58:44.448Z INFO  pool: edge starting (pid 12161)",
            "INFO:     Started server process [12161]",
            "[2026-11-22 23:50:56 +0000] [1202] [INFO] Starting gunicorn 21.2.0",
            "[nodemon] starting `node app.js`",
            "PM2        | App [feed:0] starting in -fork mode-",
            "2026-11-22T23:50:16: PM2 log: App [feed:0] online",
            "2026-11-22 23:58:11,415 INFO spawned: 'feed' with pid 4242",
        ] {
            assert_eq!(remark_on(line), Remark::Start, "{line}");
        }
        for line in [
            "failed to start server on port 80",
            "compaction started",
            "job reindex#12 started",
            "heartbeat ok",
        ] {
            assert_eq!(remark_on(line), Remark::Ordinary, "{line}");
        }
    }

    #[test]
    fn going_down_by_itself_is_told_from_being_asked_to() {
        assert_eq!(remark_on("[main] shutting down"), Remark::Closing);
        assert_eq!(
            remark_on("SIGTERM received, shutting down"),
            Remark::Request
        );
    }
}
