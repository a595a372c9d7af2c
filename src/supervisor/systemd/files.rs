//! Reads the files of systemd's units.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::host::Host;

/// Directories of units, the administrator's first; see systemd.unit(5).
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

/// Returns the unit of a job: `web` is `web.service`, and `web@1.service` is itself.
pub fn unit(job: &str) -> String {
    if job.ends_with(".service") {
        job.to_owned()
    } else {
        format!("{job}.service")
    }
}

/// Returns the template that an instance comes from, `web@.service` for `web@1`; the unit itself if
/// there is none.
pub fn template(job: &str) -> String {
    let unit = unit(job);
    unit.split_once('@')
        .map_or(unit.clone(), |(name, _)| format!("{name}@.service"))
}

/// Returns the unit's file and its drop-ins, in the order in which systemd reads them; see
/// systemd.unit(5).
pub fn files(unit: &str, host: &Host) -> Vec<PathBuf> {
    let template = template(unit);
    let named = [unit, &template]
        .into_iter()
        .flat_map(|name| UNITS.map(|dir| PathBuf::from(dir).join(name)));
    let fragment = named
        .into_iter()
        .find(|path| host.path(path).symlink_metadata().is_ok());
    let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for name in drop_in_dirs(unit, &template) {
        for dir in UNITS.map(|dir| PathBuf::from(dir).join(&name)) {
            for entry in fs::read_dir(host.path(&dir))
                .into_iter()
                .flatten()
                .flatten()
            {
                let name = entry.file_name();
                if name.as_encoded_bytes().ends_with(b".conf") {
                    // Of one name, the most particular unit's counts, and the administrator's
                    // before others'.
                    drop_ins
                        .entry(name.clone())
                        .or_insert_with(|| dir.join(name));
                }
            }
        }
    }
    fragment.into_iter().chain(drop_ins.into_values()).collect()
}

/// `a-b@1.service.d`, `a-b@.service.d`, `a-.service.d`, `service.d`.
fn drop_in_dirs(unit: &str, template: &str) -> Vec<String> {
    let name = template.split(['@', '.']).next().unwrap_or_default();
    let beginnings = name
        .match_indices('-')
        .map(|(at, _)| name.get(..=at).unwrap_or_default());
    let mut dirs = vec![format!("{unit}.d"), format!("{template}.d")];
    dirs.extend(
        beginnings
            .rev()
            .map(|beginning| format!("{beginning}.service.d")),
    );
    dirs.push("service.d".to_owned());
    dirs
}

/// A command in a unit's file.
#[derive(Debug, PartialEq, Eq)]
pub struct Filed {
    pub file: PathBuf,
    /// With its prefixes.
    pub command: String,
    /// The file that takes it away again, by an empty `KEY=`.
    pub emptied_by: Option<PathBuf>,
}

/// Returns the commands that `KEY=` lines of these files give, in this order.
pub fn commands(files: &[PathBuf], key: &str, host: &Host) -> Vec<Filed> {
    let mut found: Vec<Filed> = Vec::new();
    for file in files {
        let text = host.read(file).unwrap_or_default();
        let values = text.lines().filter_map(|line| {
            line.trim()
                .strip_prefix(key)?
                .trim_start()
                .strip_prefix('=')
        });
        for value in values.map(str::trim) {
            if value.is_empty() {
                for it in found.iter_mut().filter(|it| it.emptied_by.is_none()) {
                    it.emptied_by = Some(file.clone());
                }
            } else {
                found.push(Filed {
                    file: file.clone(),
                    command: value.to_owned(),
                    emptied_by: None,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::services::machine;

    #[test]
    fn drop_ins_are_read_by_name_and_the_most_particular_of_a_name_counts() {
        let (_dir, host) = machine(&[
            ("lib/systemd/system/a-b@.service", ""),
            ("etc/systemd/system/service.d/x.conf", ""),
            ("etc/systemd/system/a-.service.d/m.conf", ""),
            ("run/systemd/system/a-b@.service.d/x.conf", ""),
            ("lib/systemd/system/a-b@1.service.d/k.conf", ""),
            ("etc/systemd/system/a-b@1.service.d/no.txt", ""),
        ]);
        let found: Vec<_> = files("a-b@1.service", &host)
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        assert_eq!(
            found,
            [
                "/lib/systemd/system/a-b@.service",
                "/lib/systemd/system/a-b@1.service.d/k.conf",
                "/etc/systemd/system/a-.service.d/m.conf",
                "/run/systemd/system/a-b@.service.d/x.conf",
            ]
        );
    }

    #[test]
    fn an_empty_line_takes_away_what_came_before_it() {
        let (_dir, host) = machine(&[
            ("a", "[Service]\nExecStopPost=-x\nExecStopPostings=no\n"),
            ("b", "ExecStopPost =\nExecStopPost=y"),
        ]);
        let found = commands(&["/a".into(), "/b".into()], "ExecStopPost", &host);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.command.as_str(), it.emptied_by.is_some()))
            .collect();
        assert_eq!(found, [("-x", true), ("y", false)]);
    }
}
