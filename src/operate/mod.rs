//! Holds the commands that people type, a file each.

pub mod check;
pub mod doctor;
pub mod explain;
pub(crate) mod history;
pub mod list;
pub mod plugin;
pub mod queue;
pub mod render;
pub mod schema;
pub mod setup;
pub mod show;
pub mod simulate;
pub mod stats;
mod wrap;
