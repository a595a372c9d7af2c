//! `pre-stop`: a person or the supervisor has asked the service to stop.

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::clock::Now;
use crate::host::Host;

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let call = Call::read(args)?;
    let marker = call.marker(&args.places);
    marker.plan(Now::read()).with_context(|| {
        format!(
            "this planned stop of {} may look like a crash: cannot write its marker",
            call.job
        )
    })?;
    // The supervisor is asked only once the plan is safe, as it may not answer.
    if !call.supervisor.keeps_the_process(&args.input(), host) {
        return Ok(());
    }
    marker.take_back_plan().with_context(|| {
        format!(
            "a crash of {} right after this restart may go unnoticed: cannot write its marker",
            call.job
        )
    })
}
