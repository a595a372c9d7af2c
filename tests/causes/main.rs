//! What `lastwords explain` makes of real crashes: every sample has its label. See
//! tests/samples/README.md.

mod live;
mod native;
mod node;
mod python;
mod samples;
mod shell;
