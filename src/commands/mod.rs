//! The verbs, a file each. Only here the clock, the environment, the arguments and the terminal are touched.

mod adopt;
pub mod attempt;
mod capture;
pub mod catch;
pub mod check;
pub mod deliver;
pub mod explain;
mod haste;
pub mod hook;
pub mod notices;
mod nudge;
mod ourselves;
mod places;
pub mod plugin;
mod post_stop;
mod pre_start;
mod pre_stop;
pub mod setup;
pub mod show;
pub mod simulate;
mod why;
pub mod worker;

pub use places::Places;
