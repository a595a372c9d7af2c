//! What `lastwords explain` makes of real crashes: every sample has its label. See tests/samples/README.md.

mod node;
mod live;
mod python;
mod samples;
mod shell;
