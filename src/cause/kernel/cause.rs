//! The cause that the kernel's messages name.

use crate::cause::fingerprint::fingerprint;
use crate::cause::scene::{Explanation, Scene};
use crate::report::{Cause, Confidence, Death, Evidence};

/// A cause that the kernel names.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCause {
    pub kind: Death,
    pub line: String,
    pub confidence: Confidence,
    pub evidence: Vec<Evidence>,
    /// Text that is the same for the same cause.
    pub same: String,
    /// True if runtimes raise this fault in order to abort.
    pub is_abort: bool,
}

impl KernelCause {
    /// Returns true if the log cannot say more, because the process had no time for last words.
    pub fn is_final(&self) -> bool {
        self.kind == Death::OomKilled
    }

    /// Returns the explanation that rests on the kernel alone.
    pub fn explain(self, scene: &Scene) -> Explanation {
        Explanation {
            fingerprint: fingerprint(&[scene.job, &self.same]),
            cause: Cause {
                kind: self.kind,
                line: self.line,
                confidence: self.confidence,
                evidence: self.evidence,
                last_words: None,
            },
        }
    }
}
