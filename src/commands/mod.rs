//! The verbs, a file each. Only here the clock, the environment, the arguments and the terminal are touched.

mod adopt;
pub mod attempt;
mod capture;
pub mod catch;
pub mod check;
pub mod deliver;
pub mod doctor;
pub mod explain;
mod haste;
pub mod hook;
pub mod listen;
pub mod notices;
mod nudge;
mod ourselves;
mod places;
mod post_stop;
mod pre_start;
mod pre_stop;
pub mod run;
mod service_dir;
mod services;
pub mod setup;
pub mod show;
pub mod simulate;
mod stamp;
mod supervisord_log;
mod systemd;
mod why;
pub mod worker;

pub use places::Places;
