//! Reads supervisord's main file and those that it includes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host::Host;

/// Places where supervisord looks for its main file.
const MAIN: [&str; 3] = [
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
    "/usr/local/etc/supervisord.conf",
];
/// Debian's supervisord keeps its own log here.
pub const SUPERVISORD_LOG: &str = "/var/log/supervisor/supervisord.log";
/// Debian's supervisord keeps the logs of its processes here.
pub const CHILD_LOGS: &str = "/var/log/supervisor";
/// Debian's main file includes these.
pub const USUAL: &str = "/etc/supervisor/conf.d/*.conf";

/// Returns supervisord's main file.
pub fn main_file(host: &Host) -> Option<PathBuf> {
    MAIN.iter()
        .map(PathBuf::from)
        .find(|file| host.path(file).exists())
}

/// Returns a path that the main file names (`logfile`, `childlogdir`), if it is plain.
pub fn path_of(key: &str, host: &Host) -> Option<String> {
    let main = main_file(host)?;
    let text = host.read(&main).ok()?;
    let section = IniSection::all(&main, &text)
        .into_iter()
        .find(|section| section.name == "supervisord")?;
    let plain = |path: &&str| path.starts_with('/') && !path.contains(['%', ' ', '"', '\'']);
    section
        .value(key)
        .filter(plain)
        .map(|path| path.trim_end_matches('/').to_owned())
}

/// Returns the patterns that the main file includes, such as `DIR/*.conf`; the usual one if there
/// is no main file.
pub fn included(host: &Host) -> Vec<String> {
    let Some(main) = main_file(host) else {
        return vec![USUAL.to_owned()];
    };
    let dir = main.parent().unwrap_or(Path::new("/"));
    let text = host.read(&main).unwrap_or_default();
    let files = IniSection::all(&main, &text)
        .into_iter()
        .filter(|section| section.name == "include");
    let patterns: Vec<String> = files
        .filter_map(|section| section.value("files").map(str::to_owned))
        .collect();
    let absolute = |pattern: &str| {
        dir.join(pattern.replace("%(here)s", &dir.to_string_lossy()))
            .display()
            .to_string()
    };
    patterns
        .iter()
        .flat_map(|patterns| patterns.split_ascii_whitespace())
        .map(absolute)
        .collect()
}

/// Returns the files that may hold programs and listeners.
pub fn files(host: &Host) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = included(host)
        .iter()
        .flat_map(|pattern| matching(Path::new(pattern), host))
        .collect();
    found.sort();
    found.extend(main_file(host));
    found
}

/// Returns the files that match a pattern, whose last part may hold one `*`.
fn matching(pattern: &Path, host: &Host) -> Vec<PathBuf> {
    let dir = pattern.parent().unwrap_or(Path::new("/"));
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else {
        return vec![pattern.to_owned()];
    };
    let entries = fs::read_dir(host.path(dir)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let fits = |name: &String| {
        !name.starts_with('.')
            && name.len() >= before.len() + after.len()
            && name.starts_with(before)
            && name.ends_with(after)
    };
    names.filter(fits).map(|name| dir.join(name)).collect()
}

/// A section of a file.
struct IniSection<'t> {
    file: &'t Path,
    name: &'t str,
    lines: Vec<&'t str>,
}

impl<'t> IniSection<'t> {
    fn all(file: &'t Path, text: &'t str) -> Vec<Self> {
        let mut sections: Vec<Self> = Vec::new();
        for line in text.lines() {
            if let Some((name, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
                sections.push(Self {
                    file,
                    name: name.trim(),
                    lines: Vec::new(),
                });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(line);
            }
        }
        sections
    }

    fn value(&self, key: &str) -> Option<&'t str> {
        let value = |line: &&'t str| {
            let value = line
                .strip_prefix(key)?
                .trim_start()
                .strip_prefix(['=', ':'])?;
            Some(value.split(" ;").next().unwrap_or_default().trim())
        };
        self.lines.iter().find_map(value)
    }
}

/// Returns the programs and the groups, each with its file.
pub fn programs(host: &Host) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for file in files(host) {
        let text = host.read(&file).unwrap_or_default();
        let names = IniSection::all(&file, &text)
            .into_iter()
            .filter_map(|section| {
                let (kind, name) = section.name.split_once(':')?;
                ["program", "fcgi-program", "group"]
                    .contains(&kind.trim())
                    .then(|| name.trim().to_owned())
            });
        found.extend(names.map(|name| (name, file.clone())));
    }
    found
}

/// Returns the value of a key in a program's section.
pub fn value_of(program: &str, key: &str, host: &Host) -> Option<String> {
    in_section("program", program, host, |section| {
        section.value(key).map(str::to_owned)
    })?
}

/// Returns the file with the section of a program.
pub fn file_of_program(program: &str, host: &Host) -> Option<PathBuf> {
    in_section("program", program, host, |section| section.file.to_owned())
}

/// Returns the programs of a group: those that its section names, or the one of its name.
pub fn programs_of(group: &str, host: &Host) -> Vec<String> {
    let named = in_section("group", group, host, |section| {
        let names = section.value("programs").unwrap_or_default().split(',');
        names.map(|name| name.trim().to_owned()).collect()
    });
    named.unwrap_or_else(|| vec![group.to_owned()])
}

/// Reads something in the section of this kind and name. A program may also be one of `FastCGI`.
fn in_section<T>(
    kind: &str,
    name: &str,
    host: &Host,
    read: impl Fn(&IniSection) -> T,
) -> Option<T> {
    let is_it = |section: &IniSection| {
        let (of, its_name) = section.name.split_once(':').unwrap_or_default();
        its_name.trim() == name && of.trim().trim_start_matches("fcgi-") == kind
    };
    files(host).iter().find_map(|file| {
        let text = host.read(file).ok()?;
        let section = IniSection::all(file, &text).into_iter().find(is_it)?;
        Some(read(&section))
    })
}

/// Our listener.
#[derive(Debug, PartialEq, Eq)]
pub struct Listener {
    pub file: PathBuf,
    pub name: String,
    pub command: String,
    pub events: String,
}

impl Listener {
    /// Returns the program that the listener runs.
    pub fn program(&self) -> Option<&str> {
        self.command
            .split_ascii_whitespace()
            .find(|word| word.rsplit('/').next() == Some("lastwords"))
    }

    /// Returns the value of a flag of the listener's command.
    pub fn flag(&self, flag: &str) -> Option<&str> {
        let mut words = self
            .command
            .split_ascii_whitespace()
            .skip_while(|word| *word != flag);
        words.nth(1).map(|value| value.trim_matches(['"', '\'']))
    }
}

fn is_ours(command: &str) -> bool {
    let mut words = command
        .split_ascii_whitespace()
        .skip_while(|word| word.rsplit('/').next() != Some("lastwords"));
    words.nth(1) == Some("listen")
}

/// Returns our listener.
pub fn listener(host: &Host) -> Option<Listener> {
    files(host).iter().find_map(|file| {
        let text = host.read(file).ok()?;
        IniSection::all(file, &text)
            .into_iter()
            .find_map(|section| {
                let name = section
                    .name
                    .strip_prefix("eventlistener:")?
                    .trim()
                    .to_owned();
                let command = section
                    .value("command")
                    .filter(|command| is_ours(command))?
                    .to_owned();
                let events = section.value("events").unwrap_or_default().to_owned();
                Some(Listener {
                    file: section.file.to_owned(),
                    name,
                    command,
                    events,
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_its_own_file_includes_is_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let host = Host::new(dir.path(), dir.path().join("config"));
        assert_eq!(included(&host), [USUAL]);
        write(
            "etc/supervisord.conf",
            "[supervisord]\nlogfile = /x/log\nchildlogdir=%(here)s/logs\n[include]\nfiles = supervisord.d/*.ini ; ours\n",
        );
        write(
            "etc/supervisord.d/web.ini",
            "[program:web]\ncommand=x\nstopwaitsecs = 90 ; long\n[group:shop]\nprograms=a,b\n",
        );
        write("etc/supervisord.d/old.conf", "[program:old]\n");
        write(
            "etc/supervisord.d/lw.ini",
            "[eventlistener:lw]\ncommand=/opt/lastwords listen supervisord --child-logs /x\nevents=PROCESS_STATE\n",
        );
        let names: Vec<_> = programs(&host).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["web", "shop"]);
        let wait = |program| value_of(program, "stopwaitsecs", &host);
        assert_eq!((wait("web").as_deref(), wait("old")), (Some("90"), None));
        let path = |key| path_of(key, &host);
        assert_eq!(
            (path("logfile").as_deref(), path("childlogdir")),
            (Some("/x/log"), None)
        );
        let listener = listener(&host).unwrap();
        assert_eq!(
            (listener.name.as_str(), listener.program()),
            ("lw", Some("/opt/lastwords"))
        );
        assert_eq!(
            (listener.flag("--child-logs"), listener.events.as_str()),
            (Some("/x"), "PROCESS_STATE")
        );
    }
}
