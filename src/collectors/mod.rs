//! What vanishes with the crash, each in a section of the report.
//!
//! A collector is its own config struct: `[collect.memory]` in a job's file *is* [`memory::Memory`]. Adding one is a
//! file here, a field of [`Collect`] and a line in [`Collect::list`].

pub mod exec;

use std::time::Duration;

use anyhow::Result;

use crate::host::Host;
use crate::report::Stop;

/// Gathers one section.
pub trait Collector: Send {
    /// The section's name in the report.
    fn name(&self) -> String;

    /// Whether it is too slow for the hook, and is run by the deliverer.
    fn runs_later(&self) -> bool {
        false
    }

    /// How long it may take beside the others; nothing for those that take next to no time.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Gathers it. It may fail, panic and take its time: the runner bounds it.
    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body>;
}

/// What a collector found.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// For people: lines of at most 100 columns or so.
    pub text: String,
    /// For programs.
    pub data: serde_json::Value,
}
