//! What stands in a log after a death: what wrappers and supervisors add, what the service itself
//! says while it goes down, and the next start's banner. All else is the work of a service that
//! went on.

use super::beneath;
use super::entry::LogLevel;
use super::scene::Scene;
use super::text::LogLine;
use super::vocabulary::{is_closing, pid_in, says};

/// What a line is, seen from a death before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A shell's, a package manager's or a supervisor's word on the end of a process.
    Epilogue,
    /// The service goes down.
    Closing,
    /// The service goes down because somebody asked it to.
    Request,
    /// The first line of another life of the service.
    Start,
    /// Anything else: work.
    Ordinary,
}

/// The most of a line that is looked at, in bytes.
const HEAD: usize = 400;

/// Returns how a line reads after a death.
pub fn remark(line: &LogLine, scene: &Scene) -> Remark {
    let text = head(line);
    let low = text.to_ascii_lowercase();
    if is_epilogue(text, &low) && !is_of_manager(&low) {
        return Remark::Epilogue;
    }
    if is_start(line, &low, scene) {
        return Remark::Start;
    }
    if is_request(&low) {
        return Remark::Request;
    }
    let level = line.entry.as_ref().and_then(|entry| entry.level);
    if is_closing(&low) || level == Some(LogLevel::Fatal) {
        return Remark::Closing;
    }
    // Process 1 is the supervisor; whatever it says is no work of the service.
    if line.pid() == Some(1) && scene.pid != Some(1) {
        return Remark::Epilogue;
    }
    Remark::Ordinary
}

/// The message of a line, as far as it is looked at.
pub fn head(line: &LogLine) -> &str {
    let text = line
        .entry
        .as_ref()
        .map_or(line.text.as_str(), |entry| entry.message.as_str())
        .trim();
    text.get(..text.floor_char_boundary(HEAD))
        .unwrap_or_default()
}

fn is_epilogue(text: &str, low: &str) -> bool {
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
        let after = low
            .split_once(": line ")
            .and_then(|(_, rest)| rest.split_once(": "))
            .map(|(_, rest)| rest.trim());
        let word = after.and_then(|after| after.split_once(' '));
        word.is_some_and(|(pid, _)| pid.len() > 1 && pid.bytes().all(|byte| byte.is_ascii_digit()))
    };
    BEGIN.iter().any(|words| text.starts_with(words))
        || of_shell()
        || says(
            low,
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
        ) && !is_closing(low)
}

/// Whether somebody says of a process that it has ended.
pub fn tells_exit(line: &LogLine) -> bool {
    let low = head(line).to_ascii_lowercase();
    let words = [
        "exited with",
        "exited unexpectedly",
        "exited on signal",
        "main process exited",
        "app crashed",
        "died with",
    ];
    says(&low, &words) && !is_closing(&low)
}

/// Whether somebody asked the service to go down.
fn is_request(low: &str) -> bool {
    let signal = says(
        low,
        &[
            "sigterm",
            "sigint",
            "sighup",
            "sigquit",
            "signal 15",
            "signal 2",
            "signal 1",
        ],
    ) || (says(low, &["signal"]) && says(low, &["received", "caught", "got"]));
    let asks = says(
        low,
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

/// Whether somebody asked this life of the service to go down, in the last lines before this one.
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

/// Whether another life of the service begins here.
fn is_start(line: &LogLine, low: &str, scene: &Scene) -> bool {
    // npm's, yarn's and pnpm's: `> shop@2.1.0 start`.
    if let Some(script) = line.text.strip_prefix("> ") {
        return script.contains('@') || script.len() < HEAD;
    }
    if line.text.starts_with("--> Wrapper Started") || line.text.starts_with("Launching a JVM") {
        return true;
    }
    if is_of_manager(low) {
        return true;
    }
    let begins = says(
        low,
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
    // What names an error of the system's is no banner: `relay: startup: dial tcp …: connection
    // refused`.
    if !begins
        || is_closing(low)
        || beneath::kind(low).is_some()
        || says(
            low,
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
    let is_marked = low.starts_with("==") || low.starts_with("--") || low.starts_with("**");
    let job = scene.job.to_ascii_lowercase();
    is_marked
        || pid_in(low).is_some()
        || (!job.is_empty() && says(low, &[&job]))
        || has_version(low)
        || {
            says(
                low,
                &["application", "server", "master", "daemon", "service"],
            ) && says(low, &["starting", "booting"])
        }
}

/// Whether a manager of processes says that it starts one: nodemon, pm2, supervisord, systemd.
fn is_of_manager(low: &str) -> bool {
    let low = low
        .strip_prefix("pm2")
        .map_or(low, |rest| rest.trim_start_matches([' ', '|']));
    let low = low.strip_prefix("log: ").unwrap_or(low);
    let of_pm2 = low
        .strip_prefix("app [")
        .and_then(|rest| rest.split_once("] "));
    of_pm2.is_some_and(|(_, rest)| rest == "online" || rest.starts_with("starting in "))
        || low.starts_with("[nodemon] starting `")
        || (low.starts_with("spawned: '") && low.contains("' with pid "))
        || (low.starts_with("success: ") && low.contains(" entered running state"))
}

/// Whether a word is a version: `3.1`, `v2.0.4`.
fn has_version(low: &str) -> bool {
    low.split([' ', '@', '/', ',', '(', ')']).any(|word| {
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
