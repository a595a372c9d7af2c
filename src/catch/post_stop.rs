//! `post-stop`: the service has ended. What the restart waits for is little: the marker is taken,
//! which is the record of this stop, and a worker ([`crate::catch::worker`]) is given a second to
//! do the rest ([`crate::catch::finish`]).

use std::time::Duration;

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::catch::finish;
use crate::catch::haste::Haste;
use crate::catch::marker::{Lock, Marker, MarkerFile, Seen};
use crate::catch::nudge;
use crate::catch::worker::{self, By, Ended};
use crate::clock::Now;
use crate::host::Host;
use crate::random;
use crate::report::Supervisor;
use crate::supervisor::{Account, systemd};
use crate::{kmsg, limits, notice, ourselves};

/// When the worker is no longer waited for, after our process was made. The restart may wait a
/// second, whatever hangs, and that is not over when we have looked at the clock last: on a busy
/// machine it takes its time to end a process.
const PATIENCE: Duration = Duration::from_millis(800);
/// As much of that may have gone by when this program begins. What is more, another program of this
/// process has had: a script that the job runs after its end may end with `exec lastwords
/// post-stop`.
const LATE: Duration = Duration::from_millis(500);

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let haste = Haste::begin();
    let now = Now::read();
    let mut until = (now.monotonic + PATIENCE).saturating_sub(ourselves::age().min(LATE));
    let call = Call::read(args)?;
    let marker = call.marker(&args.places);
    let account = call.account(args, host);
    let invocation = account
        .as_ref()
        .and_then(|account| account.invocation.clone());
    if systemd::ask::is_on_failure(&args.facts) && !marker.is_unseen(invocation.as_deref()) {
        // Where the hook after the end, or before the next start, got no further than to see it,
        // somebody else will.
        nudge::deliver(&args.places, call.supervisor);
        return Ok(());
    }
    // Where the hook after the end was killed, it may have got so far.
    let is_told = invocation.is_some() && marker.has_account_of(invocation.as_deref());
    if let Some(account) = account.filter(|_| !is_told) {
        tell(account, &call, &marker, host, now);
    }
    if call.supervisor == Supervisor::Systemd && invocation.is_some() && !is_told {
        if let Ok(Some(account)) = systemd::ask::ask(&args.facts, host) {
            tell(account, &call, &marker, host, now);
        }
        // The manager had this time for itself.
        let asked = Now::read().monotonic.saturating_sub(now.monotonic);
        until += asked;
    }
    // Before anything else: whatever becomes of this process, the deliverer finds the record.
    let taken = marker
        .take(random::report_id(now), now, call.circumstances(false))
        .with_context(|| {
            format!(
                "a crash of {} may go unnoticed: cannot take its marker",
                call.job
            )
        })?;
    let may_write = limits::lift();
    if let Some(invocation) = invocation {
        // Where this fails, the same end may be told twice.
        let _ = marker.keep_invocation(&invocation);
    }
    let Some(taken) = taken else {
        may_write?;
        drop(haste);
        return pass_over(&marker, host);
    };
    let file = match taken.lock() {
        Ok(Lock::Held(file)) => Some(file),
        // We were so slow that a deliverer took us for dead.
        Ok(Lock::Others) => return Ok(()),
        Err(why) if why.raw_os_error().is_some() => {
            return Err(why)
                .with_context(|| format!("the stop of {} is left to the deliverer", call.job));
        }
        // It is not what a pre-start made; that must not hide a crash.
        Err(_) => None,
    };
    let worker = worker::command(worker::CATCH, &args.places, &taken, haste.usual).and_then(
        |mut command| {
            command.envs(call.announcement());
            worker::start(
                command,
                file.as_ref().map(std::fs::File::try_clone).transpose()?,
            )
        },
    );
    match worker {
        // Out of processes, memory or descriptors: all that is left is this one.
        Err(_) => {
            drop(haste);
            finish::finish(&taken, file, &args.places, host, By::Hook)
        }
        Ok(worker) => {
            drop(file);
            let ended = worker.wait(until);
            // systemd ends what we leave behind; it is to be finished by somebody else.
            if ended == Ended::Failed
                || (ended == Ended::LeftBehind && call.supervisor == Supervisor::Systemd)
            {
                drop(haste);
                nudge::deliver(&args.places, call.supervisor);
            }
            Ok(())
        }
    }
}

/// Keeps what the supervisor tells of the end.
pub fn tell(account: Account, call: &Call, marker: &MarkerFile, host: &Host, now: Now) {
    let unarmed = || {
        let boot_id = host.boot_id();
        let seen = marker
            .last_seen()
            .filter(|seen| seen.boot_id == boot_id)
            .map(|seen| seen.sequence);
        Marker {
            seen,
            ..Marker::new(boot_id, now).of(&call.job, call.instance.as_deref())
        }
    };
    if let Err(why) = marker.tell(account, unarmed) {
        notice::say(
            host,
            &format!("how {} ended cannot be kept: {why}", call.job),
        );
    }
}

/// Nothing was armed. What the kernel log holds by now is all the same not about the next life.
fn pass_over(marker: &MarkerFile, host: &Host) -> Result<()> {
    match kmsg::read_kernel_log(host, u64::MAX)
        .ok()
        .and_then(|log| log.last)
    {
        Some(sequence) => Ok(marker.see(&Seen {
            boot_id: host.boot_id(),
            sequence,
        })?),
        None => Ok(()),
    }
}
