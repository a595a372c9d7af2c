//! The faults that take root for tracing, mounts and the machine's own directories.

mod crowds;
mod errors;
mod frozen;
mod killed;
mod power;
mod random;
mod read_only;
mod summaries;
