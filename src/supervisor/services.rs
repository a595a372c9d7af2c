//! Where each supervisor keeps a service, and which of them keeps this one.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::host::Host;
use crate::report::Supervisor;
use crate::supervisor::systemd;

/// Where units are, the administrator's first; see systemd.unit(5).
pub const UNITS: [&str; 8] = [
    "/etc/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
];
pub const RUNIT: [&str; 4] = ["/etc/sv", "/etc/service", "/var/service", "/service"];
/// The last is where what the others hold is copied to, and gone after a reboot.
pub const S6: [&str; 5] = [
    "/etc/s6",
    "/etc/s6/sv",
    "/etc/s6-overlay/s6-rc.d",
    "/etc/services.d",
    "/run/service",
];

/// What this supervisor has of the job, by the machine's own name; `None` where it does not know
/// it.
pub fn file_of(supervisor: Supervisor, job: &str, host: &Host) -> Option<PathBuf> {
    let there = |paths: Vec<String>| {
        paths
            .into_iter()
            .map(PathBuf::from)
            .find(|path| host.path(path).exists())
    };
    match supervisor {
        Supervisor::Upstart => there(vec![format!("/etc/init/{job}.conf")]),
        Supervisor::Systemd => {
            let units = UNITS.iter().flat_map(|dir| {
                [
                    format!("{dir}/{}", unit(job)),
                    format!("{dir}/{}", template(job)),
                ]
            });
            there(units.collect())
        }
        Supervisor::Runit => there(RUNIT.iter().map(|dir| format!("{dir}/{job}/run")).collect()),
        Supervisor::S6 => there(S6.iter().map(|dir| format!("{dir}/{job}/run")).collect()),
        Supervisor::Supervisord => super::supervisord::files::programs(host)
            .into_iter()
            .find(|(name, _)| name == job)
            .map(|(_, file)| file),
        Supervisor::Run | Supervisor::Unknown => None,
    }
}

/// The unit of a job: `web` is `web.service`, and `web@1.service` is itself.
pub fn unit(job: &str) -> String {
    if job.ends_with(".service") {
        job.to_owned()
    } else {
        format!("{job}.service")
    }
}

/// The template that an instance comes from: `web@1` from `web@.service`; the unit itself where it
/// is none.
pub fn template(job: &str) -> String {
    let unit = unit(job);
    unit.split_once('@')
        .map_or(unit.clone(), |(name, _)| format!("{name}@.service"))
}

/// The job and the instance that a service of this name is: `web@1.service` is the instance `1` of
/// `web`.
pub fn job_of(supervisor: Supervisor, name: &str) -> (&str, Option<&str>) {
    if supervisor == Supervisor::Systemd {
        systemd::service(name)
    } else {
        (name, None)
    }
}

/// Whether a job of this name can have a file: a `/` is for Upstart's sub-directories, and leads
/// nowhere else.
///
/// # Errors
/// Where it cannot.
pub fn check_name(job: &str) -> Result<()> {
    let plain = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control)
    };
    if !job.split('/').all(plain) || job.starts_with('-') {
        bail!("{job:?} is no job's name");
    }
    Ok(())
}

/// Who runs this job, where that is obvious.
///
/// # Errors
/// Where several do, or nobody is known to.
pub fn supervisor_of(job: &str, host: &Host) -> Result<Supervisor> {
    let file = |supervisor| Some((supervisor, file_of(supervisor, job, host)?));
    let known: Vec<(Supervisor, PathBuf)> =
        Supervisor::KNOWN.into_iter().filter_map(file).collect();
    match known.as_slice() {
        [(supervisor, _)] => Ok(*supervisor),
        [] => bail!(
            "nobody here is known to run {job}: say who does, as `--supervisor upstart` (or systemd, runit, s6, \
             supervisord; `--supervisor run` where it is none of them)"
        ),
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|(supervisor, file)| format!("{supervisor} ({})", file.display()))
                .collect();
            bail!(
                "{job} is known to {}: say which of them runs it with --supervisor",
                list.join(" and ")
            )
        }
    }
}

/// A machine with these files, as long as its directory is kept.
#[cfg(test)]
pub(crate) fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let host = Host::new(dir.path(), dir.path().join("config"));
    (dir, host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_a_job_is_told_by_its_file() {
        for (file, text, job, supervisor) in [
            ("etc/init/sub/web.conf", "", "sub/web", Supervisor::Upstart),
            (
                "lib/systemd/system/web.service",
                "",
                "web",
                Supervisor::Systemd,
            ),
            (
                "etc/systemd/system/web@.service",
                "",
                "web@1",
                Supervisor::Systemd,
            ),
            ("etc/sv/web/run", "", "web", Supervisor::Runit),
            ("run/service/web/run", "", "web", Supervisor::S6),
            (
                "etc/supervisor/conf.d/shop.conf",
                "[program:web]\n",
                "web",
                Supervisor::Supervisord,
            ),
        ] {
            let (_dir, host) = machine(&[(file, text)]);
            assert_eq!(supervisor_of(job, &host).unwrap(), supervisor);
            assert!(
                supervisor_of("other", &host)
                    .unwrap_err()
                    .to_string()
                    .contains("nobody here is known to run other")
            );
        }
    }

    #[test]
    fn where_two_know_it_nobody_guesses() {
        let (_dir, host) = machine(&[
            ("etc/init/web.conf", ""),
            ("etc/systemd/system/web.service", ""),
        ]);
        let why = supervisor_of("web", &host).unwrap_err().to_string();
        assert!(
            why.contains(
                "Upstart (/etc/init/web.conf) and systemd (/etc/systemd/system/web.service)"
            ),
            "{why}"
        );
    }

    #[test]
    fn a_name_that_leaves_its_directory_is_none() {
        for bad in ["", "..", "a/../b", "/a", "a//b", "a\nb", "--write"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("sub/web@1").is_ok());
    }
}
