//! Checks whether anybody sends what hooks leave: the deliverer's own trace, and on systemd the
//! units that start it.

use std::io;
use std::time::Duration;

use crate::deliver::stamp::{self, Look};
use crate::operate::doctor::ago;
use crate::supervisor::check::{Check, Concerns, State};
use crate::supervisor::supervise::Subject;
use crate::supervisor::systemd::units::{self, Shown};
use crate::when::length;

/// A deliverer that watches looks every 2 seconds.
const QUIET: Duration = Duration::from_mins(1);

const ABOUT: &str = "deliverer";
const AGAIN: &str = "a message that a sink does not take at once is not tried again";
const MISSED: &str = "that a run is missing is not told";
const UNITS: [&str; 3] = ["lastwords.path", "lastwords.timer", "lastwords.service"];
const PROPERTIES: [&str; 7] = [
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "Result",
    "NeedDaemonReload",
    "CapabilityBoundingSet",
];

pub fn check(subject: &Subject, checks: &mut Vec<Check>) {
    let by_systemd = units::is_manager(&subject.host);
    let shown = by_systemd
        .then(|| units::show(&UNITS, &PROPERTIES, &subject.host))
        .flatten();
    let wrong: Vec<Check> = shown
        .iter()
        .flatten()
        .filter_map(|unit| wrong(unit, subject))
        .collect();
    let last = stamp::last(subject.places);
    // On systemd, too, a deliverer may run with `--watch`.
    let has_units = shown
        .iter()
        .flatten()
        .any(|unit| unit.get("LoadState") == "loaded");
    let is_theirs = (has_units || subject.supervisor.kills_leftovers())
        && !matches!(last, Ok(Some(Look { watches: true, .. })));
    let wrong: Vec<Check> = wrong.into_iter().filter(|_| is_theirs).collect();
    let is_broken = wrong.iter().any(|it| it.state == State::Problem);
    checks.extend(wrong);
    if !(is_broken && matches!(last, Ok(None))) {
        checks.push(looked(subject, last, by_systemd, has_units && !is_broken));
    }
}

fn looked(
    subject: &Subject,
    last: io::Result<Option<Look>>,
    by_systemd: bool,
    is_started: bool,
) -> Check {
    let supervisor = subject.supervisor;
    let remedy = supervisor.start_deliverer(subject.service, by_systemd);
    let expects = subject.loaded.job.expect.is_some();
    let harm = if expects {
        format!("{MISSED}, and {AGAIN}")
    } else {
        AGAIN.to_owned()
    };
    match last {
        Ok(Some(look)) if look.watches && look.ago > QUIET => problem(
            Concerns::InTime,
            format!(
                "it has not looked for reports in {}: {harm}",
                length(look.ago)
            ),
            remedy,
        ),
        Ok(Some(look)) if look.is_recent() => Check::ok(
            ABOUT,
            Concerns::InTime,
            format!("looked for reports {}", ago(look.ago)),
        ),
        Ok(_) if supervisor.deliverer_stays() && expects => {
            let text = format!("none looks regularly: {MISSED}");
            problem(Concerns::InTime, text, remedy)
        }
        Ok(_) if supervisor.deliverer_stays() => {
            let text = "none looks regularly. The one that `lastwords run` starts goes on until \
                        everything is sent, unless the machine goes down";
            Check::weak(ABOUT, Concerns::Content, text, remedy)
        }
        Ok(None) if is_started => {
            let text = "it has not looked for reports yet; lastwords.timer starts it every minute";
            Check::unknown(ABOUT, Concerns::InTime, text)
        }
        Ok(Some(look)) => problem(
            Concerns::InTime,
            format!(
                "no deliverer has looked by itself for reports in {}: {harm}",
                length(look.ago)
            ),
            remedy,
        ),
        Ok(None) if by_systemd && supervisor.kills_leftovers() => problem(
            Concerns::Telling,
            "nothing is sent: no deliverer has run since the boot".to_owned(),
            remedy,
        ),
        Ok(None) => problem(
            Concerns::InTime,
            format!("no deliverer looks regularly: {harm}"),
            remedy,
        ),
        Err(why) => Check::unknown(
            ABOUT,
            Concerns::InTime,
            format!("cannot tell when it last looked for reports: {why}"),
        ),
    }
}

fn problem(concerns: Concerns, text: String, remedy: String) -> Check {
    Check::problem(ABOUT, concerns, text, remedy)
}

/// Returns the fault of one of the units that send.
fn wrong(unit: &Shown, subject: &Subject) -> Option<Check> {
    let id = unit.get("Id");
    let concerns = || {
        if id == "lastwords.timer" {
            Concerns::InTime
        } else {
            Concerns::Telling
        }
    };
    let starts = ["lastwords.path", "lastwords.timer"].contains(&id);
    match (unit.get("LoadState"), unit.get("ActiveState")) {
        ("not-found", _) => {
            let remedy = format!("lastwords setup {} --write", subject.service);
            Some(problem(concerns(), format!("there is no {id}"), remedy))
        }
        ("masked", _) => Some(problem(
            concerns(),
            format!("{id} is masked"),
            format!("systemctl unmask {id}"),
        )),
        ("loaded", "failed") => {
            let text = format!("{id} has failed: {}", unit.get("Result"));
            let remedy = format!(
                "fix what `journalctl -n 20 -u {id}` says, then: systemctl reset-failed {id}; systemctl start {id}"
            );
            Some(problem(concerns(), text, remedy))
        }
        ("loaded", state) if starts && state != "active" => {
            let text = format!("{id} is {state}");
            Some(problem(
                concerns(),
                text,
                format!("systemctl enable --now {id}"),
            ))
        }
        ("loaded", _) if starts && unit.get("UnitFileState") == "disabled" => {
            let text = format!(
                "{id} is not enabled: it does not start at the next boot unless another unit starts it"
            );
            Some(Check::weak(
                ABOUT,
                Concerns::Content,
                text,
                format!("systemctl enable {id}"),
            ))
        }
        ("loaded", _) if unit.get("NeedDaemonReload") == "yes" => {
            let text = format!("the files of {id} have changed since systemd read them");
            Some(Check::weak(
                ABOUT,
                Concerns::Content,
                text,
                "systemctl daemon-reload",
            ))
        }
        ("loaded", _) => may_not_switch(unit, subject),
        (state, _) => {
            let text = format!("systemd cannot load {id} ({state})");
            Some(problem(
                concerns(),
                text,
                format!("systemd-analyze verify {id}"),
            ))
        }
    }
}

/// Returns the fault of a deliverer's unit, from an earlier version, that may not do what hooks of
/// another user left to it.
fn may_not_switch(unit: &Shown, subject: &Subject) -> Option<Check> {
    let id = unit.get("Id");
    let capabilities = unit.get("CapabilityBoundingSet");
    let may = capabilities.is_empty() || capabilities.split(' ').any(|it| it == "cap_setuid");
    let uid = subject.uid.filter(|_| id == "lastwords.service" && !may)?;
    let text = format!("{id} may not become user {uid}, so it sends nothing that the hooks leave");
    let remedy = format!(
        "remove the unit's file, which is an earlier version's; then: lastwords setup {} --write; \
         systemctl daemon-reload",
        subject.service
    );
    Some(problem(Concerns::Telling, text, remedy))
}
