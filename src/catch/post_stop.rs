//! `post-stop`: the service has ended. The restart waits for little: the marker is taken, which is
//! the record of this stop, and a worker ([`crate::catch::worker`]) is given a second to do the
//! rest ([`crate::catch::finish`]).

use std::time::Duration;

use anyhow::{Context, Result};

use crate::catch::call::{Call, HookArgs};
use crate::catch::finish;
use crate::catch::marker::{Claim, MarkerFile, Seen};
use crate::catch::nudge;
use crate::catch::priority::Priority;
use crate::catch::worker::{self, By, Ended};
use crate::clock::Now;
use crate::host::Host;
use crate::random;
use crate::supervisor::account::Account;
use crate::{kmsg, limits, notice, ourselves};

/// How long after this process was made the worker is waited for. The restart may wait a second,
/// whatever hangs. That second includes the end of this process, which takes time on a busy
/// machine.
const PATIENCE: Duration = Duration::from_millis(800);
/// Maximum part of that time that may be gone when this program begins. If more is gone, another
/// program of this process has used it: a script that the job runs after its end may end with `exec
/// lastwords post-stop`.
const LATE: Duration = Duration::from_millis(500);

pub fn run(args: &HookArgs, host: &Host) -> Result<()> {
    let priority = Priority::raise();
    let now = Now::read();
    let mut until = (now.monotonic + PATIENCE).saturating_sub(ourselves::age().min(LATE));
    let mut call = Call::read(args)?;
    let marker = call.marker(&args.places);
    call.planned = call
        .planned
        .filter(|announcement| !marker.was_announced_before(&announcement.text));
    let (supervisor, input) = (call.supervisor, args.input());
    let account = supervisor.account(&input, host);
    let invocation = account
        .as_ref()
        .and_then(|account| account.invocation.clone());
    let is_seen =
        || supervisor.tells_of_the_next_life(&input) || !marker.is_unseen(invocation.as_deref());
    if supervisor.is_second_call(&input) && is_seen() {
        // The hook after the end, or before the next start, has seen this end. If it got no
        // further, the deliverer finishes its work.
        nudge::deliver(&args.places, supervisor);
        return Ok(());
    }
    // The hook after the end may have got this far before it was killed.
    let is_told = invocation.is_some() && marker.has_account_of(invocation.as_deref());
    let mut is_kept = true;
    if let Some(account) = account.filter(|_| !is_told) {
        is_kept &= tell(account, &call, &marker, host, now);
    }
    if !is_told {
        if let Some(account) = supervisor.ask(&input, host) {
            is_kept &= tell(account, &call, &marker, host, now);
        }
        // That time was the supervisor's.
        let asked = Now::read().monotonic.saturating_sub(now.monotonic);
        until += asked;
    }
    // This comes before anything else: whatever becomes of this process, the deliverer finds the
    // record.
    let taken = marker
        .take(random::report_id(now), now, call.circumstances(false))
        .with_context(|| {
            format!(
                "a crash of {} may go unnoticed: cannot take its marker",
                call.job
            )
        })?;
    let may_write = limits::lift();
    // An end of which nothing could be kept is looked for again.
    if let Some(invocation) = invocation.filter(|_| is_kept || taken.is_some()) {
        // If this fails, the same end may be told twice.
        let _ = marker.keep_invocation(&invocation);
    }
    let Some(taken) = taken else {
        may_write?;
        drop(priority);
        return pass_over(&marker, host);
    };
    let file = match taken.claim() {
        Ok(Claim::Held(file)) => Some(file),
        // This process was so slow that a deliverer took it for dead.
        Ok(Claim::Others) => return Ok(()),
        Err(why) if why.raw_os_error().is_some() => {
            return Err(why)
                .with_context(|| format!("the stop of {} is left to the deliverer", call.job));
        }
        // The file is not what a pre-start made. That must not hide a crash.
        Err(_) => None,
    };
    let worker = worker::command(worker::CATCH, &args.places, &taken, priority.usual).and_then(
        |mut command| {
            command.envs(call.announcement());
            worker::start(
                command,
                file.as_ref().map(std::fs::File::try_clone).transpose()?,
            )
        },
    );
    match worker {
        // Processes, memory or descriptors have run out: only this process is left.
        Err(_) => {
            drop(priority);
            finish::finish(&taken, file, &args.places, host, By::Hook)
        }
        Ok(mut worker) => {
            drop(file);
            let kills = supervisor.kills_leftovers();
            match worker.wait(until) {
                // While it ends it would be killed, and the supervisor would complain of it.
                Ended::Done if kills => worker.see_off(until),
                Ended::Done => {}
                // What is killed once we leave is finished by the deliverer.
                Ended::LeftBehind if !kills => {}
                Ended::LeftBehind | Ended::Failed => {
                    drop(priority);
                    nudge::deliver(&args.places, supervisor);
                }
            }
            Ok(())
        }
    }
}

/// Keeps in the marker what the supervisor says of the end. Returns true if that could be done.
pub fn tell(account: Account, call: &Call, marker: &MarkerFile, host: &Host, now: Now) -> bool {
    let unarmed = || marker.unarmed(&call.job, call.instance.as_deref(), host.boot_id(), now);
    let told = marker.tell(account, unarmed);
    if let Err(why) = &told {
        notice::say(
            host,
            &format!("how {} ended cannot be kept: {why}", call.job),
        );
    }
    told.is_ok()
}

/// Does nothing, as nothing was armed, but notes how far the kernel log goes: these lines are not
/// about the next life.
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
