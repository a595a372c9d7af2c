//! All that is known of a death, and the answer to why it came.

use crate::report::{Cause, Evidence, Exit};

/// All that is known about a death.
pub struct Scene<'a> {
    pub job: &'a str,
    /// The main process.
    pub pid: Option<u32>,
    pub exit: &'a Exit,
    /// What the log is called, and its end.
    pub log: Option<(&'a str, &'a str)>,
    /// What the kernel log is called, and what it says about this life of the service.
    pub kernel: (&'a str, &'a [KernelMessage]),
}

/// What the kernel, and no program, says in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelMessage {
    /// Which line of the input it is, from 1; `None` where it did not come in lines.
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

/// Why it died, and what makes it the same death as another.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub cause: Cause,
    /// 16 hexadecimal digits.
    pub fingerprint: String,
}
