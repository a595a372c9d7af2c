//! Compares the causes that `lastwords explain` finds for real crashes with the labels of the
//! samples. See tests/samples/README.md.

mod fingerprints;
mod literals;
mod live;
mod native;
mod node;
mod python;
mod samples;
mod shell;
