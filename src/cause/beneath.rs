//! The system error beneath an error: a port in use, a full disk, a missing file. The system's own
//! words tell it.

use super::lexicon::{Sense, Senses};
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

/// The senses that are system errors. The first that a text has is the text's kind.
const KINDS: [(Sense, Death); 7] = [
    (Sense::PortInUse, Death::PortInUse),
    (Sense::DiskFull, Death::DiskFull),
    (Sense::TooManyFiles, Death::TooManyFiles),
    (Sense::Unreachable, Death::DependencyUnreachable),
    (Sense::Denied, Death::Permission),
    (Sense::NoSuchFile, Death::NoSuchFile),
    (Sense::NoMemory, Death::OutOfMemoryHeap),
];

/// Returns the kind that an error's words show; `None` if they show none of these.
pub fn kind(what: &str) -> Option<Death> {
    let what = what.trim_start();
    let head = what.split([':', ' ', '[', '(']).next().unwrap_or_default();
    if PROGRAMMING.contains(&head) {
        return None;
    }
    kind_of(Senses::of(what), what)
}

/// Returns the kind that a line's words show. No program's name is a type of error.
pub fn kind_of(said: Senses, text: &str) -> Option<Death> {
    if said.has(Sense::Port) && said.has(Sense::InUse) {
        return Some(Death::PortInUse);
    }
    let (_, kind) = KINDS.into_iter().find(|(sense, _)| said.has(*sense))?;
    let is_missing = said.has(Sense::NoSuchFile);
    // About the socket of a server.
    let is_socket = || {
        said.has(Sense::Socket)
            || said.has(Sense::Connect) && text.to_ascii_lowercase().contains(".sock")
    };
    Some(match kind {
        Death::Permission | Death::NoSuchFile if is_missing && is_socket() => {
            Death::DependencyUnreachable
        }
        kind => kind,
    })
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
