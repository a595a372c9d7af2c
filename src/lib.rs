//! lastwords: what died, why, and on what evidence.

pub mod bytes;
pub mod collectors;
pub mod host;
pub mod kmsg;
pub mod report;
pub mod secret;
pub mod sinks;
