//! lastwords: what died, why, and on what evidence.

pub mod clock;
pub mod collectors;
pub mod host;
pub mod marker;
pub mod report;
pub mod secret;
pub mod sinks;
pub mod supervisor;
pub mod verdict;
