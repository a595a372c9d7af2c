//! `pre-start`: the service is about to run.

use anyhow::{Context, Result};

use super::hook::{Call, HookArgs};
use crate::clock::Now;
use crate::host::Host;
use crate::marker::Marker;

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let call = Call::read(args)?;
    let marker = Marker::new(host.boot_id(), Now::read());
    call.marker(&args.places)
        .arm(&marker)
        .with_context(|| format!("a crash of {} will go unnoticed: cannot write its marker", call.job))
}
