//! Words that mean the same in whichever program's line they stand: that an error was handled, that
//! the program gives up, that it is the end but not why.

/// Returns true if a word of the text begins with one of these stems. Text and stems are in small
/// letters.
pub fn says(lowercase: &str, stems: &[&str]) -> bool {
    stems.iter().any(|stem| {
        lowercase.match_indices(stem).any(|(at, _)| {
            let before = lowercase
                .get(..at)
                .and_then(|before| before.bytes().next_back());
            !before.is_some_and(|byte| byte.is_ascii_alphanumeric())
        })
    })
}

/// Returns true if the service says that it goes down.
pub fn is_closing(lowercase: &str) -> bool {
    says(
        lowercase,
        &[
            "exiting",
            "shutting down",
            "shutdown",
            "shut down",
            "stopping",
            "stopped",
            "bye",
            "goodbye",
            "aborting",
            "terminating",
            "quitting",
            "giving up",
            "worker failed to boot",
            "no app loaded",
            "unable to load app",
            "is now offline",
        ],
    )
}

/// Returns true if these words say that the program goes on in spite of an error.
pub fn is_handled(lowercase: &str) -> bool {
    const GOES_ON: [&str; 37] = [
        "ignor",
        "retry",
        "retries",
        "retried",
        "try again",
        "trying again",
        "using default",
        "default value",
        "going on",
        "carrying on",
        "moving on",
        "continu",
        "skip",
        "recover",
        "handled",
        "caught",
        "fallback",
        "fall back",
        "falling back",
        "queued",
        "requeue",
        "deferred",
        "postponed",
        "dropped",
        "dropping",
        "discard",
        "from cache",
        "non-fatal",
        "nonfatal",
        "not fatal",
        "suppressed",
        "swallowed",
        "degraded",
        "backing off",
        "reconnect",
        "disabled",
        "sent)",
    ];
    says(lowercase, &GOES_ON) && !gives_up(lowercase) && !lowercase.contains("non-recoverable")
}

/// Returns true if these words say that the program does not go on.
pub fn gives_up(lowercase: &str) -> bool {
    const ENDS: [&str; 22] = [
        "giving up",
        "gave up",
        "cannot continue",
        "can't continue",
        "could not continue",
        "unable to continue",
        "refusing to continue",
        "not continuing",
        "retries exhausted",
        "no more retries",
        "no retries left",
        "not retrying",
        "max retries",
        "exiting",
        "aborting",
        "terminating",
        "unrecoverable",
        "cannot recover",
        "fatal:",
        "fatal error",
        "cannot start",
        "failed to start",
    ];
    // "non-fatal error" does not end a program.
    says(lowercase, &ENDS) && !says(lowercase, &["non-fatal", "not fatal"])
}

/// Words that say that it is the end, but not why.
const GENERIC_WORDS: [&str; 116] = [
    "a",
    "abnormal",
    "abnormally",
    "aborted",
    "aborting",
    "above",
    "after",
    "an",
    "and",
    "app",
    "application",
    "are",
    "assertion",
    "be",
    "been",
    "boot",
    "but",
    "bye",
    "cannot",
    "check",
    "closed",
    "closing",
    "code",
    "complete",
    "config",
    "configuration",
    "connection",
    "connections",
    "continue",
    "could",
    "critical",
    "database",
    "detected",
    "died",
    "down",
    "due",
    "encountered",
    "end",
    "ended",
    "ending",
    "error",
    "errors",
    "event",
    "exception",
    "exit",
    "exited",
    "exiting",
    "failed",
    "failing",
    "failure",
    // MongoDB's.
    "fassert",
    "fatal",
    "file",
    "for",
    "found",
    "from",
    "goodbye",
    "has",
    "have",
    "in",
    "initialization",
    "initialize",
    "is",
    "it",
    "jvm",
    "log",
    "logs",
    "main",
    "master",
    "not",
    "now",
    "occurred",
    "of",
    "on",
    "process",
    "program",
    "promise",
    "quit",
    "quitting",
    "reason",
    "rejection",
    "run",
    "running",
    "see",
    "server",
    "service",
    "shut",
    "shutdown",
    "shutting",
    "some",
    "start",
    "started",
    "starting",
    "startup",
    "status",
    "stop",
    "stopped",
    "stopping",
    "system",
    "terminated",
    "terminating",
    "the",
    "this",
    "to",
    "unable",
    "uncaught",
    "uncaughtexception",
    "unexpected",
    "unexpectedly",
    "unhandled",
    "unhandledrejection",
    "unknown",
    "was",
    "will",
    "with",
    "worker",
];

/// Returns true if these words say that it is the end, but not why.
pub fn is_generic(what: &str) -> bool {
    let mut any = false;
    for word in what
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        any = true;
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number && !GENERIC_WORDS.contains(&word.to_ascii_lowercase().as_str()) {
            return false;
        }
    }
    any
}

/// Returns the process that a text names: `pid 123`, `(pid: 123)`, `PID=123`, `process [123]`.
pub fn pid_in(lowercase: &str) -> Option<u32> {
    let after = lowercase
        .match_indices("pid")
        .map(|(at, word)| (at, at + word.len()));
    let after = after.chain(
        lowercase
            .match_indices("process [")
            .map(|(at, word)| (at, at + word.len())),
    );
    for (at, end) in after {
        if lowercase
            .get(..at)
            .is_some_and(|before| before.ends_with(|c: char| c.is_ascii_alphanumeric()))
        {
            continue;
        }
        let rest = lowercase
            .get(end..)?
            .trim_start_matches([' ', ':', '=', '[', '(', '#', '"']);
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        if let Ok(pid) = digits.parse() {
            return Some(pid);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{is_generic, is_handled, pid_in};

    #[test]
    fn a_handled_error_says_so() {
        for text in [
            "row 118 skipped",
            "webhook failed with 503, queued for retry",
            "lag gauge failed, ignored",
        ] {
            assert!(is_handled(text), "{text}");
        }
        for text in [
            "unhandled rejection",
            "refusing to continue",
            "giving up after 5 retries",
            "uncaught exception",
        ] {
            assert!(!is_handled(text), "{text}");
        }
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

    #[test]
    fn words_that_only_say_that_it_is_the_end_are_generic() {
        assert!(
            is_generic("Worker failed to boot.")
                && is_generic("Shutting down: Master")
                && is_generic("uncaughtException")
        );
        assert!(!is_generic("cannot open the ledger") && !is_generic(""));
    }
}
