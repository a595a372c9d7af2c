//! Checks when a job that runs by the clock ended well last.

use std::io::ErrorKind;

use crate::deliver::expected::Expected;
use crate::operate::doctor::ago;
use crate::report::Stop;
use crate::spool::{Chronicled, Kept};
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::supervise::Subject;
use crate::when::{length, moment};

pub fn check(subject: &Subject, checks: &mut Vec<Check>) {
    let Some(every) = subject.loaded.job.expect else {
        return;
    };
    let every = format!("a run is expected every {}", length(every));
    let kept = match subject
        .places
        .spool_in_use()
        .kept::<Expected>(Kept::Expected)
    {
        Ok(kept) => kept,
        Err(why) if why.kind() == ErrorKind::PermissionDenied => {
            let text = format!("{every}; only root may see when one ended well");
            checks.push(Check::unknown("expected", Concerns::Content, text));
            return;
        }
        Err(why) => {
            let text = format!("{every}; when one ended well cannot be read: {why}");
            checks.push(Check::unknown("expected", Concerns::Content, text));
            return;
        }
    };
    let is_it = |it: &&Expected| {
        let of_instance = subject.instance.is_none() || it.instance.as_deref() == subject.instance;
        it.job == subject.job && of_instance
    };
    let found: Vec<_> = kept.iter().map(|(_, it)| it).filter(is_it).collect();
    if found.is_empty() {
        let text = format!("{every}; the deliverer has not looked since its file says so");
        checks.push(Check::unknown("expected", Concerns::Content, text));
    }
    let remedy = format!("`lastwords list --job {}` shows why", subject.job);
    let remedy = remedy.as_str();
    for service in found {
        let whose = service
            .instance
            .as_ref()
            .filter(|_| subject.instance.is_none());
        let whose = whose.map_or_else(String::new, |instance| format!(" of {instance}"));
        let since = moment(service.since());
        checks.push(if service.is_told {
            let text = format!("{every}; none{whose} has ended well since {since}");
            Check::weak("expected", Concerns::Content, text, remedy)
        } else if let Some(failed) = failed_since(subject, service) {
            let (failed, exit) = (ago(subject.now.wall.since(failed.stopped_at)), &failed.exit);
            let text = format!(
                "{every}; the last one{whose} failed {failed} ({exit}), and none has ended well \
                 since {since}"
            );
            Check::weak("expected", Concerns::Content, text, remedy)
        } else if service.has_run {
            let ago = ago(subject.now.wall.since(service.since()));
            let text = format!("{every}; the last one{whose} ended well {ago}");
            Check::ok("expected", Concerns::Content, text)
        } else {
            let text = format!("{every}; none has been seen to end well yet, since {since}");
            Check::ok("expected", Concerns::Content, text)
        });
    }
}

/// Returns the end of the service's latest run, if that has died since its last good end.
fn failed_since(subject: &Subject, service: &Expected) -> Option<Stop> {
    let spool = subject.places.spool_in_use();
    let of = |user| Chronicled {
        user,
        job: service.job.clone(),
    };
    let users = [None].into_iter().chain(subject.uid.map(Some));
    let died = users.filter_map(|user| Some(spool.latest_death(&of(user))?.stop));
    let latest = died.max_by_key(|stop| stop.stopped_at)?;
    let is_since = latest.instance == service.instance && latest.stopped_at > service.since();
    is_since.then_some(latest)
}
