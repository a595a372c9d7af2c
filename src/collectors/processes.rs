//! `[collect.processes]`: the processes that use the most memory.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `count` | how many of the biggest | `10` |
//!
//! ```toml
//! [collect.processes]
//! count = 5
//! ```
//!
//! Command lines are left out: they hold secrets, and reading one can hang.
//!
//! The section's data: `total` and `blocked` (in state `D`: they wait for a disk or a network file
//! system) are numbers of processes; `biggest` is a list of `pid`, `name`, `rss` (bytes), `state`,
//! `threads`.

use std::fs::read_dir;
use std::io;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::read;
use rustix::param::page_size;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Body, Collector};
use crate::bytes::Bytes;
use crate::host::Host;
use crate::report::{CollectorKind, Stop};

/// The biggest processes by resident memory.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Processes {
    count: usize,
}

impl Default for Processes {
    fn default() -> Self {
        Self { count: 10 }
    }
}

impl Collector for Processes {
    fn kind(&self) -> CollectorKind {
        CollectorKind::PROCESSES
    }

    fn comes_first(&self) -> bool {
        true
    }

    fn collect(&self, _stop: &Stop, host: &Host) -> Result<Body> {
        let mut processes = read_processes(host).context("cannot list /proc: is it mounted?")?;
        let total = processes.len();
        let blocked = processes
            .iter()
            .filter(|process| process.state == 'D')
            .count();
        processes.sort_unstable_by_key(|process| (std::cmp::Reverse(process.rss), process.pid));
        processes.truncate(self.count);

        let mut lines = vec![format!(
            "{total} processes, {blocked} of them blocked (state D)"
        )];
        lines.push(format!(
            "{:>8} {:>8} {:>7} STATE NAME",
            "RSS", "PID", "THREADS"
        ));
        lines.extend(processes.iter().map(row));
        let data = json!({ "total": total, "blocked": blocked, "biggest": processes });
        Ok(Body {
            text: lines.join("\n"),
            data: data.into(),
        })
    }
}

/// One process; see `proc_pid_stat(5)`.
#[derive(Debug, PartialEq, Serialize)]
struct ProcessMemory {
    pid: u32,
    name: String,
    /// Resident memory in bytes. It is approximate, as the kernel adds it up late.
    rss: u64,
    state: char,
    threads: u64,
}

fn row(process: &ProcessMemory) -> String {
    let ProcessMemory {
        pid,
        name,
        rss,
        state,
        threads,
    } = process;
    format!(
        "{:>8} {pid:>8} {threads:>7} {state:<5} {}",
        Bytes(*rss),
        name.escape_debug()
    )
}

/// Reads all processes. Those that end meanwhile are left out.
fn read_processes(host: &Host) -> io::Result<Vec<ProcessMemory>> {
    let page_size = u64::try_from(page_size()).unwrap_or(4096);
    let directory = openat(
        CWD,
        host.path("/proc"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut stat = [0; 1024];
    let mut read_one = |pid: &str| {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&directory, format!("{pid}/stat"), flags, Mode::empty()).ok()?;
        let length = read(&file, &mut stat).ok()?;
        parse_stat(&String::from_utf8_lossy(stat.get(..length)?), page_size)
    };
    let is_pid = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = read_dir(host.path("/proc"))?.filter_map(Result::ok);
    Ok(entries
        .filter_map(|entry| {
            entry
                .file_name()
                .into_string()
                .ok()
                .filter(|name| is_pid(name))
        })
        .filter_map(|pid| read_one(&pid))
        .collect())
}

/// Parses `PID (NAME) STATE …`. The process chooses its name, which may hold anything, even `)`.
/// The fields after it are numbers.
fn parse_stat(stat: &str, page_size: u64) -> Option<ProcessMemory> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let threads = fields.nth(16)?.parse().ok()?;
    let pages: u64 = fields.nth(3)?.parse().ok()?;
    Some(ProcessMemory {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        rss: pages.saturating_mul(page_size),
        state,
        threads,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::proptest;

    use super::{ProcessMemory, Processes, parse_stat};
    use crate::collectors::{Collector, tests::stop};
    use crate::host::Host;

    /// A line of `/proc/PID/stat` of a process with 7 threads.
    fn stat(pid: u32, name: &str, state: char, pages: u64) -> String {
        format!(
            "{pid} ({name}) {state} 1 812 812 0 -1 4194560 101 0 0 0 3 1 0 0 20 0 7 0 512 24576 {pages} 18446744073709551615 1 1 0 0\n"
        )
    }

    #[test]
    fn a_process_is_what_its_stat_says_whatever_its_name_is() {
        for name in [
            "web",
            "a b",
            "x) R 1 (y",
            ")",
            "",
            "\u{1b}[2J\n",
            "(sd-pam)",
        ] {
            let expected = ProcessMemory {
                pid: 812,
                name: name.to_owned(),
                rss: 3 * 4096,
                state: 'S',
                threads: 7,
            };
            assert_eq!(
                parse_stat(&stat(812, name, 'S', 3), 4096),
                Some(expected),
                "{name:?}"
            );
        }
    }

    #[test]
    fn what_is_no_stat_is_left_out() {
        let whole = stat(1, "web", 'S', 3);
        let short: String = whole.split_inclusive(' ').take(23).collect();
        for rubbish in [
            "",
            "1",
            "1 (web",
            "1 (web) ",
            "x (web) S 1",
            "-1 (web) S",
            &short,
            &whole.replace(" 7 ", " x "),
        ] {
            assert_eq!(parse_stat(rubbish, 4096), None, "{rubbish:?}");
        }
    }

    #[test]
    fn the_biggest_come_first_and_those_that_vanished_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (pid, name, state, pages) in [
            (1, "init", 'S', 10),
            (812, "ja\nva", 'D', 500_000),
            (9, "sh", 'R', 20),
        ] {
            let directory = root.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("stat"), stat(pid, name, state, pages)).unwrap();
        }
        fs::create_dir(root.path().join("proc/4711")).unwrap();
        fs::create_dir(root.path().join("proc/sys")).unwrap();
        let body = Processes { count: 2 }
            .collect(&stop(), &Host::new(root.path(), root.path()))
            .unwrap();
        let lines: Vec<&str> = body.text.lines().collect();
        assert_eq!(lines[0], "3 processes, 1 of them blocked (state D)");
        assert_eq!(lines[1], "     RSS      PID THREADS STATE NAME");
        assert_eq!(lines[2], " 1.9 GiB      812       7 D     ja\\nva");
        assert!(lines[3].ends_with("sh") && lines.len() == 4);
        assert_eq!(
            body.data.to_json()["biggest"][0]["rss"],
            500_000 * rustix::param::page_size()
        );
    }

    #[test]
    fn this_very_process_is_found_and_nothing_of_its_command_line() {
        let body = Processes { count: usize::MAX }
            .collect(&stop(), &Host::new("/", "/"))
            .unwrap();
        let data = body.data.to_json();
        let biggest = data["biggest"].as_array().unwrap();
        let own = biggest
            .iter()
            .find(|process| process["pid"] == std::process::id())
            .expect("this process");
        assert!(own["rss"].as_u64() > Some(0) && own["threads"].as_u64() > Some(0));
    }

    proptest! {
        #[test]
        fn any_stat_is_survived(text: String, name: String) {
            let _ = parse_stat(&text, 4096);
            let _ = parse_stat(&format!("1 ({name}) {text}"), u64::MAX);
        }
    }
}
