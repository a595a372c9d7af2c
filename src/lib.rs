//! lastwords: what died, why, and on what evidence.

pub mod collectors;
pub mod host;
pub mod plugin;
pub mod render;
pub mod report;
pub mod secret;
pub mod sinks;
