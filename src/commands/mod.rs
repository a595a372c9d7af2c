//! The verbs, a file each. Only here the clock, the environment, the arguments and the terminal are
//! touched.

mod adopt;
pub mod attempt;
mod capture;
pub mod catch;
pub mod check;
pub mod deliver;
pub mod doctor;
pub mod explain;
mod haste;
mod history;
pub mod hook;
pub mod list;
pub mod listen;
pub mod notices;
mod nudge;
mod ourselves;
mod places;
pub mod plugin;
mod post_stop;
mod pre_start;
mod pre_stop;
pub mod queue;
pub mod render;
pub mod run;
pub mod schema;
mod service_dir;
mod services;
pub mod setup;
pub mod show;
pub mod simulate;
mod stamp;
pub mod stats;
mod supervisord_log;
mod systemd;
mod why;
pub mod worker;

pub use places::Places;
