//! Real supervisors with the files in `config/`, services that end in every way, and the reports
//! about them.
//!
//! `cargo test --test supervisors`; without root, add `-- --skip as_root`. `LASTWORDS_BIN=PATH`
//! tests another build.

mod now;
mod runit;
mod s6;
mod setup;
mod supervisord;
mod systemd;
mod told;
mod upstart;
mod ways;

#[path = "../support/mod.rs"]
mod support;
