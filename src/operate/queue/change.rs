//! `queue retry` and `queue drop`: each ledger is changed under its sink's lock, so that a
//! deliverer that runs beside sees the old one or the new one, never half of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::catch::nudge;
use crate::clock::Now;
use crate::deliver::hold::Hold;
use crate::deliver::{locks, sink_lock};
use crate::operate::history::told::{self, Addressed, Configs, Standing};
use crate::operate::history::{Entries, Reader, say};
use crate::places::Places;
use crate::render::one_line;
use crate::report::{ReportId, SinkKey, Timestamp};
use crate::spool::{Brief, Lock, Place};
use crate::supervisor::unknown::NoSupervisor;
use crate::when::moment;

/// How long to wait for a deliverer that is sending to a sink right now.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum length of the reason for a drop, in characters.
const WHY: usize = 300;

#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Reports, by id or a part of it that no other has
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// Everything that waits
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Only for this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Debug, Args)]
pub struct DropArgs {
    /// Reports, by id or a part of it that no other has
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Reason, for those who find it in dead/
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub fn retry(args: &RetryArgs, places: &Places, out: &mut impl Write) -> Result<ExitCode> {
    // If it cannot be done, the spool in use stays.
    let _ = locks::change_over(places, false);
    let hold = &Hold::new(places, &say);
    let entries = Entries::of(places)?;
    let mut waiting = Vec::new();
    for brief in reports(hold, &entries, &args.ids, out)? {
        let keys = sinks(hold, places, &brief)?;
        let asked = keys.into_iter().filter(|key| {
            args.sink
                .as_ref()
                .is_none_or(|sink| told::name(key) == *sink)
        });
        waiting.extend(asked.map(|key| (key, brief.clone())));
    }
    // Each lock is taken once, however many reports wait for its sink.
    let keys: BTreeSet<&SinkKey> = waiting.iter().map(|(key, _)| key).collect();
    let (mut due, mut busy) = (0, 0);
    for key in keys {
        let name = told::name(key);
        let Some(_lock) = patiently(hold, key)? else {
            busy += 1;
            say(&format!(
                "a deliverer is sending to {name} right now, so its reports are unchanged; try again"
            ));
            continue;
        };
        for (_, brief) in waiting.iter().filter(|(its, _)| its == key) {
            let is_due = hold.spool().hurry(&brief.id, key);
            if is_due.with_context(|| format!("cannot write the ledger of {}", brief.id))? {
                due += 1;
                let _ = writeln!(
                    out,
                    "{} of {} is due for {name}",
                    brief.id,
                    one_line(&brief.stop.service(), 80)
                );
            }
        }
    }
    if due == 0 && busy == 0 {
        let _ = writeln!(out, "No report is waiting for a sink.");
    } else if due > 0 {
        nudge::deliver(places, &NoSupervisor);
        let _ = writeln!(
            out,
            "A deliverer was started; `lastwords queue` shows the result."
        );
    }
    let _ = out.flush();
    Ok(if busy > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

pub fn drop(args: &DropArgs, places: &Places, out: &mut impl Write) -> Result<ExitCode> {
    let _ = locks::change_over(places, false);
    let hold = &Hold::new(places, &say);
    let entries = Entries::of(places)?;
    let reports = reports(hold, &entries, &args.ids, out)?;
    ensure!(!reports.is_empty(), "nothing was dropped");
    let mut code = ExitCode::SUCCESS;
    for brief in reports {
        if !drop_one(&brief, args, (hold, places), Now::read().wall, out)? {
            code = ExitCode::FAILURE;
        }
    }
    let _ = out.flush();
    Ok(code)
}

/// Returns true if the lock could be had.
fn drop_one(
    brief: &Brief,
    args: &DropArgs,
    (hold, places): (&Hold, &Places),
    now: Timestamp,
    out: &mut impl Write,
) -> Result<bool> {
    let reason = args
        .why
        .as_deref()
        .map(|why| format!(": {}", one_line(why, WHY)))
        .unwrap_or_default();
    let why = format!("by hand, {}{reason}", moment(now));
    let sinks = sinks(hold, places, brief)?;
    // All or none: a report that moved to dead/ while a sink is at it would be told to nobody else.
    let mut locks = Vec::new();
    for key in &sinks {
        let Some(lock) = patiently(hold, key)? else {
            let name = told::name(key);
            say(&format!(
                "{} was not dropped: a deliverer is sending to {name} right now; try again",
                brief.id
            ));
            return Ok(false);
        };
        locks.push(lock);
    }
    let mut dropped = Vec::new();
    let spool = hold.spool();
    for key in &sinks {
        if spool
            .give_up(&brief.id, key, &why)
            .with_context(|| format!("cannot write the ledger of {}", brief.id))?
        {
            dropped.push(told::name(key));
        }
    }
    spool
        .finish(std::slice::from_ref(&brief.id), Place::Dead)
        .context("cannot move the report to dead/")?;
    // Whoever reads this slowly must not hold up a change over.
    std::mem::drop(spool);
    let whom = if dropped.is_empty() {
        "no sink was waiting for it".to_owned()
    } else {
        format!("not told: {}", dropped.join(", "))
    };
    let service = one_line(&brief.stop.service(), 80);
    let _ = writeln!(
        out,
        "{} of {service} is dropped and kept in dead/; {whom}",
        brief.id
    );
    Ok(true)
}

/// Returns the waiting reports of these names, or all that wait. A named report that does not wait
/// is reported.
fn reports(
    hold: &Hold,
    entries: &Entries,
    names: &[String],
    out: &mut impl Write,
) -> Result<Vec<Brief>> {
    let asked = names
        .iter()
        .map(|name| entries.named(name))
        .collect::<Result<Vec<(&ReportId, Place)>>>()?;
    let all = entries
        .since(None)
        .map(|(id, place)| (id, *place))
        .filter(|_| names.is_empty());
    let (waiting, others): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .chain(all)
        .partition(|(_, place)| *place == Place::New);
    for (id, place) in others.into_iter().filter(|_| !names.is_empty()) {
        let _ = writeln!(
            out,
            "{id} is not waiting: it is in {}/; `lastwords show {id}` tells why",
            place.name()
        );
    }
    let spool = hold.spool();
    let mut reader = Reader::new(&spool);
    let waiting = waiting.into_iter();
    let found = waiting
        .filter_map(|(id, place)| reader.read(id, place))
        .collect();
    reader
        .complaint()
        .into_iter()
        .for_each(|complaint| hold.say(complaint));
    Ok(found)
}

/// Returns the sinks that a report waits for.
fn sinks(hold: &Hold, places: &Places, brief: &Brief) -> Result<Vec<SinkKey>> {
    let ledgers = told::ledgers(
        &hold.spool(),
        &mut Configs::new(places),
        Addressed::of(brief, Place::New),
    )?;
    Ok(ledgers
        .into_iter()
        .filter(|(_, ledger)| Standing::of(ledger) == Standing::Waiting)
        .map(|(key, _)| key)
        .collect())
}

/// Returns the sink's lock as soon as a deliverer gives it up; `None` if that takes too long.
fn patiently(hold: &Hold, key: &SinkKey) -> Result<Option<Lock>> {
    let now = || Now::read().monotonic;
    let lock = |now| hold.spool().lock(&sink_lock(key), now);
    locks::wait_for(lock, PATIENCE, now)
        .with_context(|| format!("cannot lock the sink {}", told::name(key)))
}
