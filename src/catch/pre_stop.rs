//! `pre-stop`: a person or the supervisor has asked the service to stop.

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::clock::Now;
use crate::host::Host;
use crate::supervisor::supervise::MarkerUse;

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let call = Call::read(args)?;
    let marker = call.marker(&args.places);
    let now = Now::read();
    // Only where a crash is known without a start, a stop has to be announced without one.
    let needs_none = call.supervisor.marker_use() == MarkerUse::Uptime;
    let unarmed = needs_none
        .then(|| marker.unarmed(&call.job, call.instance.as_deref(), host.boot_id(), now));
    marker.plan(now, unarmed).with_context(|| {
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
