//! Finds the services that are set up: those with a file in jobs/, with a file of their
//! supervisor's that calls us, or with a running `lastwords run`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config;
use crate::host::Host;
use crate::operate::doctor::runs;
use crate::places::Places;
use crate::report::Supervisor;
use crate::supervisor::services::{RUNIT, S6, UNITS, file_of, supervisor_of};
use crate::supervisor::supervisord::files as supervisord;
use crate::supervisor::systemd::units;

const CALLS: &str = "lastwords post-stop";

pub fn services(places: &Places) -> Vec<String> {
    let host = places.host();
    let wired: BTreeSet<String> = [
        upstart(&host),
        systemd(&host),
        directories(&host),
        programs(&host),
    ]
    .concat()
    .into_iter()
    .collect();
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

/// Returns the services that this name stands for: a template's stands for its instances.
pub fn named(name: &str, places: &Places) -> Vec<String> {
    let host = places.host();
    let template = format!("{name}@");
    let is_template = supervisor_of(name, &host).is_err()
        && !name.contains('@')
        && file_of(Supervisor::Systemd, &template, &host).is_some();
    if is_template {
        of_template(&template, &host)
    } else {
        vec![name.to_owned()]
    }
}

fn names(dir: &str, host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.path(dir)).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn calls(file: PathBuf, host: &Host) -> bool {
    host.read(file).is_ok_and(|text| {
        text.lines()
            .any(|line| !line.trim_start().starts_with(['#', ';']) && line.contains(CALLS))
    })
}

fn upstart(host: &Host) -> Vec<String> {
    let dir = "/etc/init";
    let ours = |name: &String| calls(Path::new(dir).join(name), host);
    let job = |name: String| {
        Some(
            name.strip_suffix(".override")
                .or(name.strip_suffix(".conf"))?
                .to_owned(),
        )
    };
    names(dir, host)
        .into_iter()
        .filter(ours)
        .filter_map(job)
        .collect()
}

/// Returns the units with a drop-in, or with a line in the unit itself. A drop-in for every service
/// sets up none in particular.
fn systemd(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    for dir in UNITS {
        for name in names(dir, host) {
            let unit = name.strip_suffix(".d").unwrap_or(&name);
            let Some(service) = unit
                .strip_suffix(".service")
                .filter(|it| !it.ends_with('-') && !is_ours(it))
            else {
                continue;
            };
            let path = Path::new(dir).join(&name);
            let is_wired = if unit == name {
                calls(path, host)
            } else {
                names(&path.to_string_lossy(), host)
                    .into_iter()
                    .any(|file| calls(path.join(file), host))
            };
            match service.strip_suffix('@') {
                Some(_) if is_wired => found.extend(of_template(service, host)),
                None if is_wired => found.push(service.to_owned()),
                _ => {}
            }
        }
    }
    found
}

fn is_ours(service: &str) -> bool {
    ["lastwords", "lastwords@"].contains(&service)
}

/// Returns the template's instances, or the template itself if none is known.
fn of_template(service: &str, host: &Host) -> Vec<String> {
    let instances = units::instances(&format!("{service}.service"), host);
    if instances.is_empty() {
        vec![service.to_owned()]
    } else {
        instances
    }
}

fn directories(host: &Host) -> Vec<String> {
    let of = |dir: &&str| {
        let finish = |name: &String| calls(Path::new(dir).join(name).join("finish"), host);
        names(dir, host)
            .into_iter()
            .filter(finish)
            .collect::<Vec<_>>()
    };
    RUNIT.iter().chain(&S6).flat_map(of).collect()
}

/// One listener serves all programs of supervisord.
fn programs(host: &Host) -> Vec<String> {
    if supervisord::listener(host).is_none() {
        return Vec::new();
    }
    let ours = ["lastwords", "lastwords-deliver"];
    let all = supervisord::programs(host)
        .into_iter()
        .map(|(name, _)| name);
    all.filter(|name| !ours.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
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
            (
                "etc/init/a.override",
                "post-stop exec /usr/bin/lastwords post-stop\n",
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
        assert_eq!(services(&places), ["a", "b", "c@", "d", "e", "f"]);
    }
}
