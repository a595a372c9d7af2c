//! The faults. Tracing, mounts and a machine of root's own: all of it takes root.

mod errors;
mod killed;
mod power;
