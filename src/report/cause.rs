//! The cause of death, and the evidence for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The cause of a service's death.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cause {
    /// The sort of death.
    #[serde(default)]
    pub kind: Death,
    /// The one line that answers "why".
    pub line: String,
    /// How well the evidence proves the cause.
    pub confidence: Confidence,
    /// The evidence for it.
    pub evidence: Vec<Evidence>,
    /// The words that the service said last, if nothing proves a cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<Evidence>,
}

impl Cause {
    /// Returns a cause that lastwords itself knows, where nobody has died.
    pub fn own(line: String) -> Self {
        Self {
            kind: Death::Unknown,
            line,
            confidence: Confidence::Certain,
            evidence: Vec::new(),
            last_words: None,
        }
    }
}

/// The sort of death that a service died: the most specific one that the evidence shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Death {
    /// An exception that nothing caught.
    UncaughtException,
    /// A rejected promise that nothing handled.
    UnhandledRejection,
    /// The runtime's own limit: it had no memory left to hand out.
    OutOfMemoryHeap,
    /// The kernel killed it because memory ran out.
    OomKilled,
    /// A signal, and nothing more is known.
    KilledBySignal,
    /// An invalid memory access.
    Segfault,
    /// It aborted itself.
    Abort,
    /// An assertion did not hold.
    Assertion,
    /// A panic, as Go and Rust have them.
    Panic,
    /// Recursion without an end.
    StackOverflow,
    /// The address that it wanted to listen on is taken.
    PortInUse,
    /// A module, package, class or shared library is not there.
    MissingModule,
    /// Its program or its configuration does not parse.
    SyntaxError,
    /// It was called with arguments that it does not take.
    BadArguments,
    /// A file, directory or program is not there.
    NoSuchFile,
    /// It lacks a permission.
    Permission,
    /// The disk, or its quota, is full.
    DiskFull,
    /// No file descriptor was left.
    TooManyFiles,
    /// Another service that it needs did not answer.
    DependencyUnreachable,
    /// It ended by itself, and its last words, if any, fit none of the others.
    PlainExit,
    /// There is no evidence.
    #[default]
    Unknown,
}

impl fmt::Display for Death {
    /// Writes it as in JSON: `uncaught-exception`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// How well the evidence proves a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The supervisor or the kernel said so.
    Certain,
    /// The evidence fits this cause and no other that is known.
    Likely,
    /// Nothing proves a cause.
    None,
}

impl Confidence {
    /// Returns it in words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::None => "not proven",
        }
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// The source: `kernel log`, `environment of the hook`, a file's path.
    pub source: String,
    /// The number of the line within the part that was read, from 1; absent if there are no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The line itself, unchanged.
    pub text: String,
}
