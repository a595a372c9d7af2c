//! Real supervisors with the files in `config/`, and services that end in every way: what the
//! reports say of each.
//!
//! `cargo test --test supervisors`; without root, add `-- --skip as_root`. `LASTWORDS_BIN=PATH`
//! tests another build.

mod runit;
mod s6;
mod setup;
mod supervisord;
mod systemd;
mod told;
mod ways;

#[path = "../support/mod.rs"]
mod support;
