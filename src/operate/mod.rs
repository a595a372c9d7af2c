//! Holds the commands that people type, a file each.

pub mod check;
pub mod doctor;
pub mod explain;
pub(crate) mod history;
mod json;
mod known;
pub mod list;
pub mod plugin;
pub mod queue;
pub mod render;
mod runs;
pub mod schema;
mod secrets;
pub mod setup;
pub mod show;
pub mod simulate;
pub mod stats;
mod typed;
mod wrap;
