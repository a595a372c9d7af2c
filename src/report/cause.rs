//! Why a service died, and on what evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a service died.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cause {
    /// What sort of death it was.
    #[serde(default)]
    pub kind: Death,
    /// The one line that answers "why".
    pub line: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

/// What sort of death a service died: the most specific one that the evidence shows.
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
    /// The kernel killed it for want of memory.
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
    /// It lacks a right.
    Permission,
    /// The disk, or its quota, is full.
    DiskFull,
    /// No file descriptor was left.
    TooManyFiles,
    /// Another service that it needs did not answer.
    DependencyUnreachable,
    /// It ended by itself; what it said at its end, if anything, is none of the others.
    PlainExit,
    /// Nothing tells.
    #[default]
    Unknown,
}

impl fmt::Display for Death {
    /// As data has it: `uncaught-exception`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// How far the evidence carries a cause.
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
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::None => "not proven",
        }
    }
}

/// One thing that was seen, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Where: `kernel log`, `environment of the hook`, a file's path.
    pub source: String,
    /// Which line of what was read of it, from 1; `None` where it has no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The line as it stands there.
    pub text: String,
}
