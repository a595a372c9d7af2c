//! Recognises the lines that stand in a log after a death: those of wrappers and supervisors, those
//! of the service itself while it goes down, and the next start's banner. Any other line is the
//! work of a service that went on.

use super::beneath;
use super::entry::LogLevel;
use super::finding::Finding;
use super::lexicon::{self, Sense, Senses};
use super::scene::Scene;
use super::text::LogLine;
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

/// Returns the meaning of a line that follows a death.
pub fn remark(line: &LogLine, scene: &Scene) -> Remark {
    let said = line.senses();
    if (is_epilogue(line, said) || names_exit(line, scene)) && !is_of_manager(line.head()) {
        return Remark::Epilogue;
    }
    let level = line.level();
    if level < Some(LogLevel::Error) && is_start(line, said, scene) {
        return Remark::Start;
    }
    // Process 1 is the supervisor; whatever it says is no work of the service. A user's systemd has
    // another number.
    let is_supervisor =
        line.carried_from == Some(1) || line.carried_as.as_deref() == Some("systemd");
    if is_supervisor && scene.pid != line.pid() {
        return Remark::Epilogue;
    }
    if is_request(said) {
        return Remark::Request;
    }
    let is_fault = is_signal(said) && said.has(Sense::NoRequest);
    let is_closing = said.has(Sense::Closing) || said.has(Sense::Advice) || is_fault;
    if is_closing || level == Some(LogLevel::Fatal) {
        return Remark::Closing;
    }
    Remark::Ordinary
}

fn is_epilogue(line: &LogLine, said: Senses) -> bool {
    // bash: `run.sh: line 5: 12483 Killed                  node app.js`
    let of_shell = || {
        let after = line
            .head()
            .split_once(": line ")
            .and_then(|(_, rest)| rest.split_once(": "))
            .map(|(_, rest)| rest.trim());
        let word = after.and_then(|after| after.split_once(' '));
        word.is_some_and(|(pid, _)| pid.len() > 1 && pid.bytes().all(|byte| byte.is_ascii_digit()))
    };
    // The program's own error may tell of its child's end.
    let complains = said.begins(Sense::Failure) || said.has(Sense::Complaint);
    let is_error = line.level() >= Some(LogLevel::Error) && complains;
    let is_end = said.has(Sense::Epilogue) && !said.has(Sense::Closing) && !is_error;
    said.begins(Sense::Wrapper) || of_shell() || is_end && !said.has(Sense::ErrorExit)
}

/// Returns true if a line reports that a process has ended.
pub fn tells_exit(line: &LogLine) -> bool {
    let said = line.senses();
    said.has(Sense::ToldExit) && !said.has(Sense::Closing)
}

/// Returns true if a wrapper says with which code its child ended, at the end of a line: `backup
/// failed, rc=2`, `dump failed (1)`, `exit 2`.
pub fn names_exit(line: &LogLine, scene: &Scene) -> bool {
    let Exit::Code(code @ 1..) = scene.exit else {
        return false;
    };
    let text = line.head().trim_end_matches(['.', ')']);
    let before = text.strip_suffix(code.to_string().as_str());
    let said = line.senses();
    line.level() < Some(LogLevel::Error)
        && (!said.has(Sense::Closing) || lexicon::is_generic(text))
        && before.is_some_and(|before| {
            let words = before.to_ascii_lowercase();
            [
                "rc=", "rc ", "exit ", "code ", "code=", "status ", "status=", "failed (",
            ]
            .iter()
            .any(|word| words.ends_with(word))
        })
}

/// Returns what supervisord says of a program that it starts no more: `gave up: web entered FATAL
/// state, too many start retries too quickly`.
pub fn gave_up(lines: &[LogLine]) -> Option<Finding> {
    let is_told = |line: &LogLine| {
        let message = line.head();
        message.starts_with("gave up: ") && message.contains(" entered FATAL state")
    };
    let last = lines.len().saturating_sub(LAST);
    let at = lines.iter().rposition(is_told).filter(|at| *at >= last)?;
    let what = lines.get(at)?.head();
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
fn is_request(said: Senses) -> bool {
    let is_others = said.has(Sense::ThreadSignal) || said.has(Sense::NoRequest);
    said.has(Sense::Request) || is_signal(said) && !is_others
}

/// Returns true if a line tells of a signal that came in.
fn is_signal(said: Senses) -> bool {
    said.has(Sense::Signal) && said.has(Sense::Received)
}

/// Returns true if another life of the service begins here.
fn is_start(line: &LogLine, said: Senses, scene: &Scene) -> bool {
    // npm's, yarn's and pnpm's: `> shop@2.1.0 start`.
    if let Some(script) = line.text.strip_prefix("> ") {
        return script.contains('@') || script.len() < MOST_SCRIPT;
    }
    if line.text.starts_with("--> Wrapper Started") || line.text.starts_with("Launching a JVM") {
        return true;
    }
    let text = line.head();
    if is_of_manager(text) {
        return true;
    }
    // The frames of a trace name the service.
    if line.entry.is_none() && line.text.starts_with([' ', '\t']) {
        return false;
    }
    // A line that names an error of the system's is no banner: `relay: startup: dial tcp …:
    // connection refused`.
    let is_error = said.has(Sense::Failure) || said.has(Sense::Not) || said.has(Sense::Exception);
    if !said.has(Sense::Start)
        || said.has(Sense::Closing)
        || is_error
        || beneath::kind_of(said, text).is_some()
    {
        return false;
    }
    let is_marked = ["==", "--", "**"].iter().any(|mark| text.starts_with(mark));
    is_marked
        || pid_in(text).is_some()
        || names_job(text, scene.job)
        || has_version(text)
        || said.has(Sense::Service) && said.has(Sense::Starting)
}

/// Returns true if a program says at its start which version it is.
pub fn is_banner(line: &LogLine) -> bool {
    let said = line.senses();
    let is_wrong =
        said.has(Sense::Failure) || said.has(Sense::Objection) || said.opens(Sense::Hint);
    !is_wrong && said.has(Sense::Version) && has_version(line.head())
}

/// Returns true if a line says that the service has ended, and no more: `exit`, `database system is
/// shut down`, `exiting, bye-bye!`.
pub fn is_over(line: &LogLine, scene: &Scene) -> bool {
    let said = line.senses();
    let text = line.head();
    let own = text
        .get(..scene.job.len())
        .filter(|it| it.eq_ignore_ascii_case(scene.job));
    let rest = own.and_then(|own| text.get(own.len()..)).unwrap_or(text);
    said.has(Sense::Over) && !said.has(Sense::Failure) && lexicon::is_generic(rest)
}

/// Maximum length of the name of an npm script, in bytes.
const MOST_SCRIPT: usize = 400;

/// Returns true if a word of a text begins with the job's name.
fn names_job(text: &str, job: &str) -> bool {
    let (text, job) = (text.to_ascii_lowercase(), job.to_ascii_lowercase());
    let begins = |at: usize| {
        !text
            .get(..at)
            .is_some_and(|it| it.ends_with(is_alphanumeric))
    };
    !job.is_empty() && text.match_indices(&job).any(|(at, _)| begins(at))
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// Returns true if a process manager says that it starts a process: nodemon, pm2, supervisord,
/// systemd.
fn is_of_manager(text: &str) -> bool {
    let of_pm2 = text
        .strip_prefix("PM2")
        .map_or(text, |rest| rest.trim_start_matches([' ', '|']));
    let of_pm2 = of_pm2.strip_prefix("log: ").unwrap_or(of_pm2);
    let of_pm2 = of_pm2
        .strip_prefix("App [")
        .and_then(|rest| rest.split_once("] "));
    of_pm2.is_some_and(|(_, rest)| rest == "online" || rest.starts_with("starting in "))
        || text.starts_with("[nodemon] starting `")
        || (text.starts_with("spawned: '") && text.contains("' with pid "))
        || (text.starts_with("success: ") && text.contains(" entered RUNNING state"))
}

/// Returns the process that a text names: `pid 123`, `(pid: 123)`, `PID=123`, `process [123]`.
pub fn pid_in(text: &str) -> Option<u32> {
    lexicon::find(text, Sense::Process).find_map(|name| {
        let rest = text
            .get(name.end..)?
            .trim_start_matches([' ', ':', '=', '[', '(', '#', '"']);
        rest.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    })
}

/// Returns true if a word is a version: `3.1`, `v2.0.4`.
pub fn has_version(text: &str) -> bool {
    text.split([' ', '@', '/', ',', '(', ')']).any(|word| {
        let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
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
    use super::{Remark, pid_in, remark};
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
            "[FAILED] Failed to start feed.service - The feed.",
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
        for line in [
            "[main] shutting down",
            "*** Caught signal (Segmentation fault) **",
        ] {
            assert_eq!(remark_on(line), Remark::Closing, "{line}");
        }
        assert_eq!(
            remark_on("SIGTERM received, shutting down"),
            Remark::Request
        );
    }

    #[test]
    fn a_process_is_named_in_many_forms() {
        for text in [
            "pid 123",
            "(pid: 123)",
            "pid=123",
            "\"pid\":123",
            "server process [123]",
        ] {
            assert_eq!(pid_in(text), Some(123), "{text}");
        }
        assert_eq!(pid_in("rapid 123"), None);
    }
}
