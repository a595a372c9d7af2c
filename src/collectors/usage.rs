//! CPU time and memory of a command that `lastwords run` has run, from getrusage(2).

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Body, Collector};
use crate::bytes::Bytes;
use crate::host::Host;
use crate::report::{CollectorKind, Stop};
use crate::when::length;

/// Resources that a process and the children that it waited for have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The CPU time in milliseconds, user and system together.
    pub cpu_ms: u64,
    /// The largest amount of memory that one of them had, in KiB.
    pub memory_kib: u64,
}

impl Collector for Usage {
    fn kind(&self) -> CollectorKind {
        CollectorKind::new("usage")
    }

    fn collect(&self, _stop: &Stop, _host: &Host) -> Result<Body> {
        let Self { cpu_ms, memory_kib } = *self;
        let cpu = Duration::from_millis(cpu_ms);
        let text = format!(
            "{} of CPU time; at most {} of memory (it, or one of its children)",
            length(cpu),
            Bytes(memory_kib.saturating_mul(1024))
        );
        Ok(Body {
            text,
            data: json!({ "cpu_ms": cpu_ms, "memory_kib": memory_kib }).into(),
        })
    }
}
