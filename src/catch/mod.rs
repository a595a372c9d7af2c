//! Runs when a service starts, is stopped, or has died: the three hooks and what they share.

pub mod call;
pub mod capture;
mod commit;
pub mod finish;
pub mod guard;
pub mod hook;
pub mod listen;
pub mod marker;
pub mod nudge;
pub mod pending;
mod post_stop;
mod pre_start;
mod pre_stop;
pub mod priority;
pub mod review;
pub mod verdict;
pub mod why;
pub mod worker;
