//! The faults. Tracing, mounts and a machine of root's own: all of it takes root.

mod crowds;
mod errors;
mod frozen;
mod killed;
mod power;
mod random;
mod summaries;
