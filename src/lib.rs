//! lastwords: what died, why, and on what evidence.

pub mod bytes;
pub mod cause;
pub mod cli;
pub mod clock;
pub mod collectors;
pub mod commands;
pub mod config;
pub mod host;
pub mod kmsg;
pub mod marker;
pub mod names;
pub mod notice;
pub mod plugin;
pub mod render;
pub mod report;
pub mod secret;
pub mod sinks;
pub mod spool;
pub mod supervisor;
pub mod verdict;
