//! lastwords: what died, why, and on what evidence.

pub mod clock;
pub mod collectors;
pub mod host;
pub mod kmsg;
pub mod marker;
pub mod names;
pub mod report;
pub mod secret;
pub mod sinks;
pub mod supervisor;
pub mod verdict;
