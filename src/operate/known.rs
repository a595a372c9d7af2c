//! Finds the services that are set up: by a file in jobs/, by a file of their supervisor's that
//! calls us, or by a `lastwords run` that is alive; and those that are only known by what their
//! hooks have left.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use rustix::process::geteuid;

use crate::catch::marker::{self, EndSort};
use crate::config;
use crate::operate::{runs, typed};
use crate::places::Places;
use crate::report::{Kind, ReportId};
use crate::spool::{Brief, Chronicled, Place};
use crate::supervisor::services::supervisor_of;
use crate::supervisor::{self, ALL, Supervise};

pub fn services(places: &Places) -> Vec<String> {
    let host = places.host();
    let wired: BTreeSet<String> = ALL.iter().flat_map(|it| it.wired(&host)).collect();
    // A template's file in jobs/ is for its instances.
    let is_template = |job: &str| {
        wired
            .iter()
            .any(|name| name.split_once('@').is_some_and(|(of, _)| of == job))
    };
    let configured: Vec<String> = config::jobs(&places.config)
        .into_iter()
        .filter(|job| !is_template(job))
        .collect();
    configured
        .into_iter()
        .chain(runs::jobs(places))
        .chain(wired)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Maximum number of names in an error.
const NAMED: usize = 30;

/// Returns the services that the supervisors' files name.
pub fn run_here(places: &Places) -> Vec<String> {
    let host = places.host();
    ALL.iter().flat_map(|it| it.services(&host)).collect()
}

/// Maximum number of reports that are read which no deliverer may have counted yet.
const MOST_NEW: usize = 100;

/// How a job was run when its hooks last left a trace.
pub struct Trace {
    pub supervisor: &'static dyn Supervise,
    /// The directory in which the supervisor keeps it, if it has one of its own.
    pub directory: Option<PathBuf>,
}

/// Returns the latest trace of a job that root's hooks have left: the marker of a life that goes
/// on, its last end, or its last run that ended well.
pub fn trace(job: &str, places: &Places) -> Option<Trace> {
    let (markers, uid) = (places.markers(), geteuid().as_raw());
    let lives = || {
        let mut running = marker::running(&markers, uid).map(|(_, marker)| marker);
        let marker = running.find(|it| it.job.as_deref() == Some(job))?;
        let by = marker.by.as_ref().map_or("run", |by| by.name());
        by_name(by, marker.directory)
    };
    let spool = places.spool_in_use();
    let died = || {
        let of = Chronicled {
            user: None,
            job: job.to_owned(),
        };
        Some(spool.latest_death(&of)?.stop)
    };
    // No deliverer may have looked since.
    let just_died = || {
        let new = spool.ids(Place::New).ok()?.into_iter().rev();
        let brief = |id: ReportId| spool.brief(Place::New, &id).ok();
        let mut briefs = new.take(MOST_NEW).filter_map(brief);
        let is_it = |it: &Brief| it.stop.job == job && it.user.is_none() && it.kind == Kind::Crash;
        Some(briefs.find(is_it)?.stop)
    };
    let died = || {
        let stop = just_died().or_else(died)?;
        by_name(stop.supervisor.name(), stop.directory)
    };
    let ended = |sort| {
        let mut ends = marker::last_ends(&markers, sort, uid).into_iter();
        let end = ends.find(|end| end.job == job)?;
        by_name(end.supervisor.name(), end.directory)
    };
    let ended = || ended(EndSort::Well).or_else(|| ended(EndSort::Stopped));
    lives().or_else(died).or_else(ended)
}

fn by_name(supervisor: &str, directory: Option<String>) -> Option<Trace> {
    Some(Trace {
        supervisor: supervisor::named(supervisor)?,
        directory: directory.map(PathBuf::from),
    })
}

/// Returns true if `lastwords run` alone is known to run this job.
pub fn is_by_run(job: &str, places: &Places) -> bool {
    let by_file = supervisor_of(job, &places.host()).ok();
    let by = by_file.or_else(|| Some(trace(job, places)?.supervisor));
    by.is_some_and(|by| by.name() == "run")
}

/// Returns true if a supervisor has a service or a template of this name, `lastwords run` runs it
/// now, or its hooks have left a trace.
pub fn is_run(name: &str, places: &Places) -> bool {
    let host = places.host();
    let has = |it: &&dyn Supervise| {
        it.file_of(name, &host).is_some() || it.services_of(name, &host).is_some()
    };
    // A service that is gone from its supervisor's files is not run any more.
    let may_be_run = |trace: &Trace| match &trace.directory {
        Some(directory) => host.path(directory).is_dir(),
        None => trace.supervisor.name() == "run",
    };
    ALL.iter().any(has)
        || runs::jobs(places).contains(name)
        || trace(name, places).is_some_and(|it| may_be_run(&it))
}

/// Says that nobody knows a job, and which was probably meant; `None` if somebody does.
pub fn unknown(name: &str, places: &Places) -> Option<String> {
    let job = name.split_once('@').map_or(name, |(job, _)| job);
    let has_file = |job: &str| config::job_file(&places.config, job).exists();
    if has_file(name) || has_file(job) || is_run(name, places) {
        return None;
    }
    let (all, set_up) = (run_here(places), services(places));
    let others = set_up.iter().chain(&all).map(String::as_str);
    let meant = config::nearest(name, others);
    let meant = meant.map(|meant| format!("; did you mean {meant}?"));
    Some(format!(
        "nobody here knows a job {name}{}",
        meant.unwrap_or_default()
    ))
}

/// Checks that somebody knows a job.
///
/// # Errors
/// Fails if nobody does, and says which jobs there are.
pub fn ensure(name: &str, places: &Places) -> Result<()> {
    let Some(unknown) = unknown(name, places) else {
        return Ok(());
    };
    let others = services(places);
    let mut there: Vec<&str> = others.iter().take(NAMED).map(String::as_str).collect();
    if others.len() > NAMED {
        there.push("…");
    }
    let there = match there.as_slice() {
        [] => typed::commands("No job is set up yet: lastwords setup JOB", places),
        names => format!("Set up are: {}", names.join(", ")),
    };
    bail!(
        "{unknown}\nNo supervisor has it, no `lastwords run` runs it, and there is no {}.\n\
         {there}\nIf it is run by something that is not seen here: --supervisor NAME",
        config::job_file(&places.config, name).display(),
    )
}

/// Returns the services that a name stands for: a template's name stands for its instances.
pub fn named(name: &str, places: &Places) -> Vec<String> {
    let host = places.host();
    let instances = || ALL.iter().find_map(|it| it.services_of(name, &host));
    let is_unknown = supervisor_of(name, &host).is_err();
    let instances = is_unknown.then(instances).flatten();
    instances.unwrap_or_else(|| vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_supervisors_files_tell_whom_they_call_us_for() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            root: dir.path().join("root"),
            config: dir.path().into(),
            run_dir: dir.path().into(),
            ..Places::default()
        };
        for (name, text) in [
            ("etc/init/a.conf", "exec /srv/a\n"),
            (
                "etc/init/a.override",
                "post-stop exec /usr/bin/lastwords post-stop\n",
            ),
            (
                "etc/init/sub/dir/g.conf",
                "post-stop exec /opt/upstart-monitor/bin/post-stop\n",
            ),
            (
                "etc/init/h.conf",
                "post-stop script\n  /opt/bin/post-stop\nend script\n",
            ),
            (
                "etc/init/its-own.conf",
                "post-stop exec /srv/x/bin/post-stop\n",
            ),
            (
                "etc/init/not.conf",
                "# post-stop exec lastwords post-stop\n",
            ),
            (
                "etc/systemd/system/b.service.d/x.conf",
                "ExecStopPost=-+/usr/bin/lastwords post-stop --job %n\n",
            ),
            (
                "usr/lib/systemd/system/c@.service",
                "ExecStopPost=-+/usr/bin/lastwords post-stop --job %n\n",
            ),
            (
                "etc/systemd/system/service.d/x.conf",
                "ExecStopPost=-+/usr/bin/lastwords post-stop --job %n\n",
            ),
            (
                "etc/systemd/system/lastwords@.service",
                "ExecStart=-/usr/bin/lastwords post-stop --job %i on-failure\n",
            ),
            (
                "etc/sv/d/finish",
                "exec /usr/bin/lastwords post-stop -- \"$@\"\n",
            ),
            (
                "run/service/e/finish",
                "exec /usr/bin/lastwords post-stop -- \"$@\"\n",
            ),
            ("etc/sv/not/finish", "true\n"),
            ("etc/supervisor/conf.d/f.conf", "[program:f]\ncommand=x\n"),
            (
                "etc/supervisor/conf.d/lastwords.conf",
                "[eventlistener:lastwords]\ncommand=lastwords listen supervisord\n",
            ),
        ] {
            let path = places.root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let hook = places.root.join("opt/bin/post-stop");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        symlink("/usr/bin/lastwords", hook).unwrap();
        let found = ["a", "b", "c@", "d", "e", "f", "h", "sub/dir/g"];
        assert_eq!(services(&places), found);
    }
}
