//! `pre-stop`: a person or the supervisor has asked the service to stop.

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::clock::Now;
use crate::host::Host;

pub fn run(args: &HookArgs, _host: &Host) -> Result<()> {
    let call = Call::read(args)?;
    call.marker(&args.places)
        .plan(Now::read())
        .with_context(|| {
            format!(
                "this planned stop of {} may look like a crash: cannot write its marker",
                call.job
            )
        })
}
