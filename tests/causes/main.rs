//! What `lastwords explain` makes of real crashes: every sample has its label. See tests/samples/README.md.

mod native;
mod samples;
