//! Everything that is known about a death, and the explanation of it.

use serde::{Deserialize, Serialize};

use crate::report::{Cause, Evidence, Exit};

/// Everything that is known about a death.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub job: &'a str,
    /// Id of the main process.
    pub pid: Option<u32>,
    pub exit: &'a Exit,
    /// Name of the log, and its end.
    pub log: Option<(&'a str, &'a str)>,
    /// Name of the kernel log, and its messages about this life of the service.
    pub kernel: (&'a str, &'a [KernelMessage]),
}

/// A message that the kernel itself wrote, not a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelMessage {
    /// Line of the input, from 1; `None` if the message did not come in lines.
    pub line: Option<usize>,
    pub text: String,
}

impl KernelMessage {
    pub fn evidence(&self, source: &str) -> Evidence {
        Evidence {
            source: source.to_owned(),
            line: self.line,
            text: self.text.clone(),
        }
    }
}

/// The cause of a death, and its fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub cause: Cause,
    /// 16 hexadecimal digits, the same for the same kind of crash.
    pub fingerprint: String,
}
