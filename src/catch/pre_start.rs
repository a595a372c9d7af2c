//! `pre-start`: the service is about to run.

use anyhow::{Context, Result};
use rustix::process::getppid;

use crate::catch::call::{Call, HookArgs};
use crate::catch::marker::Marker;
use crate::catch::{nudge, why};
use crate::clock::Now;
use crate::host::Host;
use crate::kmsg;
use crate::random;
use crate::report::Supervisor;
use crate::supervisor::service_dir;

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let mut call = Call::read(args)?;
    // Before a start the environment announces no stop, neither of this life nor of the last one.
    let announced_before = call.planned.take().map(|announcement| announcement.text);
    let now = Now::read();
    let file = call.marker(&args.places);
    // The marker is still armed: the last life's post-stop was killed before it could take it, or
    // never ran.
    let missed = matches!(
        file.take(random::report_id(now), now, call.circumstances(true)),
        Ok(Some(_))
    );
    let boot_id = host.boot_id();
    // What the last post-stop read of the kernel log is not about this life. If there was none,
    // nothing that stands there is.
    let seen = file
        .last_seen()
        .filter(|seen| seen.boot_id == boot_id && !missed)
        .map(|seen| seen.sequence);
    let seen = seen.or_else(|| kmsg::read_kernel_log(host, u64::MAX).ok()?.last);
    let input = args.input();
    let invocation = call.supervisor.life_id(&input);
    let oom_kills = why::oom_kills(host);
    let pid = getppid()
        .filter(|_| call.supervisor.becomes_the_service())
        .map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    let once = call.supervisor.is_once(&input);
    let directory = service_dir::here(&input, host).filter(|_| pid.is_some());
    let marker = Marker {
        announced_before,
        seen,
        invocation,
        oom_kills,
        pid,
        once,
        by: Some(Supervisor::new(call.supervisor.name())),
        directory,
        ..Marker::new(boot_id, now)
    };
    let marker = marker.of(&call.job, call.instance.as_deref());
    let armed = file.arm(&marker).map(|()| file.forget_seen());
    if missed {
        nudge::deliver(&args.places, call.supervisor);
    }
    armed.with_context(|| {
        format!(
            "a crash of {} will go unnoticed: cannot write its marker",
            call.job
        )
    })
}
