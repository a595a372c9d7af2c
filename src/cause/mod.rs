//! Why it died: one line, and what it rests on. "unknown" is a good answer; a guess is not.

pub mod kernel;

use std::fmt::Write;

use ring::digest::{SHA256, digest};

use crate::report::{Cause, Confidence, Evidence, Exit, Stop};
use crate::verdict::Judgement;

/// Names the cause that the evidence proves.
pub fn explain(judgement: &Judgement, oom: Option<&Evidence>) -> Cause {
    let (line, confidence) = if oom.is_some() {
        ("out of memory: killed by the kernel".to_owned(), Confidence::Certain)
    } else if let Some(why) = &judgement.failed_start {
        (why.clone(), Confidence::Certain)
    } else if judgement.exit == Exit::Unknown {
        ("unknown: nothing tells how it ended".to_owned(), Confidence::None)
    } else {
        (judgement.exit.to_string(), Confidence::Certain)
    };
    Cause { line, confidence, evidence: judgement.evidence.clone() }
}

/// What makes two crashes the same: the job and the cause. 64 bits of their SHA-256, in hexadecimal digits.
pub fn fingerprint(stop: &Stop, cause: &Cause) -> String {
    let mut digits = String::new();
    for byte in &digest(&SHA256, format!("{}\0{}", stop.job, cause.line).as_bytes()).as_ref()[..8] {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
