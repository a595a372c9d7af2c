//! What the kernel's words make of a death.

use crate::cause::fingerprint::fingerprint;
use crate::cause::scene::{Explanation, Scene};
use crate::report::{Cause, Confidence, Death, Evidence};

/// What the kernel tells of a death.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCause {
    pub kind: Death,
    pub line: String,
    pub confidence: Confidence,
    pub evidence: Vec<Evidence>,
    /// What makes it the same as another.
    pub same: String,
    /// It is what runtimes do to abort: the fault was meant.
    pub is_abort: bool,
}

impl KernelCause {
    /// Whether nothing that stands in the log can say more: the process had no time for last words.
    pub fn is_final(&self) -> bool {
        self.kind == Death::OomKilled
    }

    /// The cause that the kernel tells.
    pub fn explain(self, scene: &Scene) -> Explanation {
        Explanation {
            fingerprint: fingerprint(&[scene.job, &self.same]),
            cause: Cause {
                kind: self.kind,
                line: self.line,
                confidence: self.confidence,
                evidence: self.evidence,
            },
        }
    }
}
