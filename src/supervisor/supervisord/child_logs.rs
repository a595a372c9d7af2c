//! The files that hold a process's output: those that its program's section names, or else those
//! that supervisord itself names.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::host::Host;
use crate::supervisor::supervisord::files;
use crate::supervisor::supervisord::processes::{self, ProgramProcess};

/// One of the two streams of a process, in the order in which people look for an error.
const CHANNELS: [&str; 2] = ["stderr", "stdout"];

/// Where a program's section sends a stream.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    File(String),
    /// Into a file that supervisord names.
    Automatic,
    /// To no file that is known: none, syslog, a device, the file of the other stream.
    Elsewhere,
}

/// Returns the files with the output of this process. Those that supervisord itself names are in
/// `dir`, called `NAME-stderr---supervisor-xxxxxxxx.log`.
pub fn logs_of(group: &str, process: &str, dir: &Path, host: &Host) -> Vec<String> {
    let found = processes::find(group, process, host);
    files_of(process, found.as_ref(), dir, host)
}

/// Returns the same for the first process of a program.
pub fn logs_of_program(program: &str, dir: &Path, host: &Host) -> Vec<String> {
    let first = processes::of(program, program, host).into_iter().next();
    let name = first.as_ref().map_or(program, |it| it.name.as_str());
    files_of(name, first.as_ref(), dir, host)
}

/// Returns the files that the section of a program with one process names.
pub fn named(program: &str, host: &Host) -> Vec<String> {
    let processes = processes::of(program, program, host);
    let [process] = processes.as_slice() else {
        return Vec::new();
    };
    let file = |channel: &&str| match destination(process, channel, host) {
        Destination::File(file) => Some(file),
        Destination::Automatic | Destination::Elsewhere => None,
    };
    once(CHANNELS.iter().filter_map(file))
}

fn files_of(name: &str, process: Option<&ProgramProcess>, dir: &Path, host: &Host) -> Vec<String> {
    let automatic = |channel: &str| {
        let path = newest(&format!("{name}-{channel}---"), dir)?;
        host.name_of(&path).into_os_string().into_string().ok()
    };
    let file = |channel: &&str| {
        let to = process.map(|process| destination(process, channel, host));
        match to.unwrap_or(Destination::Automatic) {
            Destination::File(file) => Some(file),
            Destination::Automatic => automatic(channel),
            Destination::Elsewhere => None,
        }
    };
    once(CHANNELS.iter().filter_map(file))
}

/// Leaves out a file that was named before.
fn once(files: impl Iterator<Item = String>) -> Vec<String> {
    let mut files: Vec<String> = files.collect();
    files.dedup();
    files
}

fn destination(process: &ProgramProcess, channel: &str, host: &Host) -> Destination {
    let value = |key: &str| files::value_of(&process.program, key, host);
    let is_true =
        |value: String| ["true", "yes", "on", "1"].contains(&value.to_ascii_lowercase().as_str());
    if channel == "stderr" && value("redirect_stderr").is_some_and(is_true) {
        return Destination::Elsewhere;
    }
    let Some(value) = value(&format!("{channel}_logfile")) else {
        return Destination::Automatic;
    };
    if value.eq_ignore_ascii_case("auto") {
        return Destination::Automatic;
    }
    match process.expand(&value) {
        Some(file) if file.starts_with('/') && !file.starts_with("/dev/") => {
            Destination::File(file)
        }
        _ => Destination::Elsewhere,
    }
}

fn newest(beginning: &str, dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let log = |name: &str| {
        name.strip_prefix(beginning)
            .and_then(|rest| rest.strip_suffix(".log"))
            .is_some()
    };
    let logs = entries.filter(|entry| entry.file_name().to_str().is_some_and(log));
    let changed = |entry: &fs::DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
    let newest = logs.max_by_key(|entry| changed(entry).unwrap_or(SystemTime::UNIX_EPOCH))?;
    Some(newest.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::services::machine;

    #[test]
    fn a_programs_section_says_where_each_stream_of_each_process_goes() {
        let (dir, host) = machine(&[
            (
                "etc/supervisor/conf.d/a.conf",
                "[program:web]\ncommand=x\nstdout_logfile = /var/log/web.out ; all of it\n\
                 stdout_logfile_maxbytes=1MB\nstderr_logfile=%(here)s/web.err\n\
                 [program:pool]\nprocess_name=%(program_name)s_%(process_num)02d\nnumprocs=2\n\
                 numprocs_start=1\nstdout_logfile=/var/log/%(group_name)s/%(process_num)02d.log\n\
                 redirect_stderr=true\n\
                 [program:both]\nstdout_logfile=/b.log\nstderr_logfile=/b.log\n\
                 [program:none]\nstdout_logfile=NONE\nstderr_logfile=syslog\n\
                 [program:odd]\nstdout_logfile=%(ENV_HOME)s/x\nstderr_logfile=/dev/stderr\n\
                 [group:shop]\nprograms=db, pool\n[program:db]\nstderr_logfile=AUTO\n",
            ),
            ("logs/db-stderr---supervisor-1.log", ""),
            ("logs/web-stderr---supervisor-1.log", ""),
            ("logs/gone-stdout---supervisor-1.log", ""),
        ]);
        let logs = |group, process| logs_of(group, process, &dir.path().join("logs"), &host);
        for (group, process, expected) in [
            (
                "web",
                "web",
                &["/etc/supervisor/conf.d/web.err", "/var/log/web.out"][..],
            ),
            ("shop", "pool_02", &["/var/log/shop/02.log"]),
            ("shop", "pool_03", &[]),
            ("shop", "db", &["/logs/db-stderr---supervisor-1.log"]),
            ("both", "both", &["/b.log"]),
            ("none", "none", &[]),
            ("odd", "odd", &[]),
            ("gone", "gone", &["/logs/gone-stdout---supervisor-1.log"]),
        ] {
            assert_eq!(logs(group, process), expected, "{group}:{process}");
        }
        let of = |name| logs_of_program(name, &dir.path().join("logs"), &host);
        assert_eq!(of("pool"), ["/var/log/pool/01.log"]);
        assert_eq!(
            named("web", &host),
            ["/etc/supervisor/conf.d/web.err", "/var/log/web.out"]
        );
        assert_eq!((named("pool", &host), named("db", &host)), (vec![], vec![]));
    }
}
