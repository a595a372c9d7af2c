//! The system error beneath an error: a port in use, a full disk, a missing file. The system's own
//! words tell it.

use super::vocabulary::says;
use crate::report::Death;

/// Types of programming errors. The words in such an error are the program's, not the system's.
const PROGRAMMING: [&str; 17] = [
    "TypeError",
    "ReferenceError",
    "RangeError",
    "KeyError",
    "ValueError",
    "AttributeError",
    "IndexError",
    "NameError",
    "ZeroDivisionError",
    "AssertionError",
    "NoMethodError",
    "ArgumentError",
    "SyntaxError",
    "java.lang.NullPointerException",
    "java.lang.ClassCastException",
    "java.lang.IllegalArgumentException",
    "java.lang.IndexOutOfBoundsException",
];

const IN_USE: [&str; 7] = [
    "eaddrinuse",
    "address already in use",
    // musl's.
    "address in use",
    "addrinuse",
    "addressinuse",
    "errno 98",
    "only one usage of each socket address",
];
const DISK_FULL: [&str; 6] = [
    "enospc",
    "no space left on device",
    "disk is full",
    "edquot",
    "disk quota exceeded",
    "storagefull",
];
const FILES: [&str; 3] = ["emfile", "enfile", "too many open files"];
const MEMORY: [&str; 2] = ["enomem", "cannot allocate memory"];
const UNREACHABLE: [&str; 30] = [
    "econnrefused",
    "connection refused",
    "connectionrefused",
    "actively refused",
    "enotfound",
    "eai_again",
    "eai_fail",
    "ehostunreach",
    "ehostdown",
    "enetunreach",
    "etimedout",
    "no route to host",
    "host is unreachable",
    "network is unreachable",
    "name resolution",
    "name or service not known",
    "nodename nor servname",
    "could not translate host name",
    "no such host",
    "unknownhostexception",
    "getaddrinfo failed",
    "connection timed out",
    "connect timed out",
    "server selection timed out",
    "can't connect to mysql server",
    "could not connect to server",
    "couldn't connect to server",
    "could not resolve host",
    "communications link failure",
    "nobrokersavailable",
];
const DENIED: [&str; 6] = [
    "eacces",
    "eperm",
    "permission denied",
    "permissiondenied",
    "operation not permitted",
    "accessdeniedexception",
];
const MISSING: [&str; 5] = [
    "enoent",
    "no such file or directory",
    "nosuchfileexception",
    "filenotfoundexception",
    "executable file not found in",
];

/// The words of each kind. The first kind whose words stand in a text is the text's kind.
const KINDS: [(&[&str], Death); 7] = [
    (&IN_USE, Death::PortInUse),
    (&DISK_FULL, Death::DiskFull),
    (&FILES, Death::TooManyFiles),
    (&UNREACHABLE, Death::DependencyUnreachable),
    (&DENIED, Death::Permission),
    (&MISSING, Death::NoSuchFile),
    (&MEMORY, Death::OutOfMemoryHeap),
];

/// Returns the kind that an error's words show; `None` if they show none of these.
pub fn kind(what: &str) -> Option<Death> {
    let what = what.trim_start();
    let head = what.split([':', ' ', '[', '(']).next().unwrap_or_default();
    if PROGRAMMING.contains(&head) {
        return None;
    }
    let lowercase = what.to_ascii_lowercase();
    if says(&lowercase, &["port "])
        && says(
            &lowercase,
            &["already in use", "already allocated", "in use"],
        )
    {
        return Some(Death::PortInUse);
    }
    let (_, kind) = KINDS
        .into_iter()
        .find(|(words, _)| says(&lowercase, words))?;
    if matches!(kind, Death::Permission | Death::NoSuchFile)
        && says(&lowercase, &MISSING)
        && is_socket(&lowercase)
    {
        return Some(Death::DependencyUnreachable);
    }
    Some(kind)
}

/// Returns true if a text is about the socket of a server.
fn is_socket(lowercase: &str) -> bool {
    const WORDS: [&str; 4] = [
        "connect enoent",
        "dial unix",
        "connection to server on socket",
        "server through socket",
    ];
    says(lowercase, &WORDS) || (says(lowercase, &["connect"]) && lowercase.contains(".sock"))
}

#[cfg(test)]
mod tests {
    use super::kind;
    use crate::report::Death;

    #[test]
    fn the_system_s_words_are_known_in_every_language() {
        for (what, expected) in [
            (
                "Error: listen EADDRINUSE: address already in use :::9000",
                Death::PortInUse,
            ),
            (
                "OSError: [Errno 98] Address already in use",
                Death::PortInUse,
            ),
            ("listen tcp :80: bind: permission denied", Death::Permission),
            (
                "Error: listen EACCES: permission denied 0.0.0.0:80",
                Death::Permission,
            ),
            ("Error: spawn convert ENOENT", Death::NoSuchFile),
            (
                "exec: \"convert\": executable file not found in $PATH",
                Death::NoSuchFile,
            ),
            (
                "Error: connect ENOENT /var/run/docker.sock",
                Death::DependencyUnreachable,
            ),
            (
                "Error: getaddrinfo ENOTFOUND db.internal",
                Death::DependencyUnreachable,
            ),
            (
                "MongoServerSelectionError: connect ECONNREFUSED 127.0.0.1:27017",
                Death::DependencyUnreachable,
            ),
            (
                "Errno::ENOSPC: No space left on device @ rb_io_syswrite - /srv/a.bin",
                Death::DiskFull,
            ),
            ("accept4: too many open files", Death::TooManyFiles),
            (
                "OSError: [Errno 12] Cannot allocate memory",
                Death::OutOfMemoryHeap,
            ),
        ] {
            assert_eq!(kind(what), Some(expected), "{what}");
        }
    }

    #[test]
    fn other_errors_have_nothing_beneath() {
        for what in [
            "Error: listen EADDRNOTAVAIL: address not available 10.0.0.9:80",
            "Error: inventory service answered 503",
            "ValueError: manifest says: no such file or directory",
            "Error: read ECONNRESET",
            "FATAL:  password authentication failed for user \"web\"",
        ] {
            assert_eq!(kind(what), None, "{what}");
        }
    }
}
