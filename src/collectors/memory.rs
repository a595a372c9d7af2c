//! `[collect.memory]`: how much memory and swap is used, how long tasks waited for it, and the
//! limit of the cgroup.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | – | it has no keys | |
//!
//! ```toml
//! [collect.memory]
//! ```
//!
//! The section's data, in bytes: `total`, `used`, `available`, `swap_total`, `swap_used`;
//! `pressure` (per cent of the time, `null` if the kernel does not measure it); `cgroup` (`path`,
//! `limit`, `used`, `oom_kills`), which is the one with the smallest limit from the hook's own up
//! to the root, `null` if none has a limit.

use std::fmt;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::Deserialize;
use sysinfo::System;

use super::{Body, Collector, pressure};
use crate::bytes::{Bytes, percent};
use crate::host::Host;
use crate::report::{CgroupMemory, CollectorKind, MemoryUse, SectionData, Stop};

/// The machine's memory, and the hook's cgroup's.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Memory {}

impl Collector for Memory {
    fn kind(&self) -> CollectorKind {
        CollectorKind::MEMORY
    }

    fn collect(&self, _stop: &Stop, host: &Host) -> Result<Body> {
        let mut system = System::new()?;
        system.refresh_memory();
        let memory = MemoryUse {
            total: system.total_memory(),
            used: system.used_memory(),
            available: system.available_memory(),
            swap_total: system.total_swap(),
            swap_used: system.used_swap(),
            pressure: pressure::read("memory", host),
            cgroup: tightest_cgroup(host),
        };
        ensure!(
            memory.total > 0,
            "cannot read /proc/meminfo: is /proc mounted?"
        );
        Ok(Body {
            text: describe(&memory),
            data: SectionData::Memory(memory),
        })
    }
}

fn describe(memory: &MemoryUse) -> String {
    let &MemoryUse {
        total,
        used,
        available,
        swap_total,
        swap_used,
        pressure,
        ref cgroup,
    } = memory;
    let swap = match swap_total {
        0 => "no swap".to_owned(),
        total => format!("swap used {} of {}", Bytes(swap_used), Bytes(total)),
    };
    let machine = format!(
        "used {} of {} ({} %), {} available, {swap}",
        Bytes(used),
        Bytes(total),
        percent(used, total),
        Bytes(available)
    );
    let lines = [
        Some(machine),
        pressure.map(|pressure| format!("waited for memory: {pressure}")),
        cgroup.as_ref().map(CgroupMemory::to_string),
    ];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

impl fmt::Display for CgroupMemory {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "cgroup {}: limit {}",
            self.path.escape_debug(),
            Bytes(self.limit)
        )?;
        if let Some(used) = self.used {
            write!(
                f,
                ", used {} ({} %)",
                Bytes(used),
                percent(used, self.limit)
            )?;
        }
        match self.oom_kills {
            None | Some(0) => Ok(()),
            Some(1) => f.write_str(", 1 process killed for it"),
            Some(kills) => write!(f, ", {kills} processes killed for it"),
        }
    }
}

/// The files of one version of cgroups.
struct Files {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    events: &'static str,
}

const VERSION_1: Files = Files {
    mount: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    events: "memory.oom_control",
};

const VERSION_2: Files = Files {
    mount: "/sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    events: "memory.events",
};

/// Finds the cgroup with the lowest limit, from the hook's own up to the root. The hook runs in the
/// service's cgroup, if the supervisor makes one for each service. The limit may lie further up: on
/// a slice, or on a container, whose own root may be some way down.
fn tightest_cgroup(host: &Host) -> Option<CgroupMemory> {
    let (own, files) = parse_own_cgroup(&host.read("/proc/self/cgroup").ok()?)?;
    let level = |path: &Path| {
        let at = Path::new(files.mount).join(path.strip_prefix("/").ok()?);
        let limit = parse_limit(&host.read(at.join(files.limit)).ok()?)?;
        let used = host
            .read(at.join(files.used))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let oom_kills = host
            .read(at.join(files.events))
            .ok()
            .and_then(|text| parse_oom_kills(&text));
        Some(CgroupMemory {
            path: path.display().to_string(),
            limit,
            used,
            oom_kills,
        })
    };
    Path::new(&own)
        .ancestors()
        .filter_map(level)
        .min_by_key(|cgroup| cgroup.limit)
}

/// Finds the hook's own memory cgroup in `/proc/self/cgroup` (cgroups(7)), a line
/// `ID:CONTROLLERS:PATH` a hierarchy.
fn parse_own_cgroup(text: &str) -> Option<(String, Files)> {
    let find = |wanted: &dyn Fn(&str) -> bool| {
        text.lines().find_map(|line| {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            // A path through `..` lies outside the cgroup namespace: there is nothing to see of it.
            (wanted(controllers) && !path.split('/').any(|part| part == ".."))
                .then(|| path.to_owned())
        })
    };
    let version_1 = find(&|controllers| {
        controllers
            .split(',')
            .any(|controller| controller == "memory")
    });
    let version_2 = || find(&str::is_empty).map(|path| (path, VERSION_2));
    version_1.map(|path| (path, VERSION_1)).or_else(version_2)
}

/// Parses a limit. For no limit, version 2 has `max`, and version 1 a number that no machine
/// reaches.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&limit| limit < 1 << 62)
}

fn parse_oom_kills(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Memory, describe, tightest_cgroup};
    use crate::collectors::{Collector, tests::stop};
    use crate::host::Host;
    use crate::report::{CgroupMemory, MemoryUse};

    fn host_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = Host::new(root.path(), Path::new("/nonexistent"));
        (root, host)
    }

    #[test]
    fn the_machine_reads_as_a_sentence() {
        let mut memory = MemoryUse {
            total: 2 << 30,
            used: 2_040_109_466,
            available: 80 << 20,
            swap_total: 0,
            swap_used: 0,
            pressure: None,
            cgroup: None,
        };
        assert_eq!(
            describe(&memory),
            "used 1.9 GiB of 2.0 GiB (95 %), 80 MiB available, no swap"
        );
        (memory.swap_total, memory.swap_used) = (1 << 30, 512 << 20);
        assert!(describe(&memory).ends_with("available, swap used 512 MiB of 1.0 GiB"));
    }

    #[test]
    fn the_smallest_limit_up_to_the_root_is_the_one_that_counts() {
        let (_root, host) = host_with(&[
            ("proc/self/cgroup", "0::/shop.slice/web.service\n"),
            ("sys/fs/cgroup/shop.slice/web.service/memory.max", "max\n"),
            ("sys/fs/cgroup/shop.slice/memory.max", "536870912\n"),
            ("sys/fs/cgroup/shop.slice/memory.current", "530000000\n"),
            (
                "sys/fs/cgroup/shop.slice/memory.events",
                "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n",
            ),
        ]);
        let cgroup = tightest_cgroup(&host).unwrap();
        assert_eq!(
            cgroup.to_string(),
            "cgroup /shop.slice: limit 512 MiB, used 505 MiB (98 %), 2 processes killed for it"
        );
    }

    #[test]
    fn version_1_in_a_container_has_its_limit_at_the_root() {
        let (_root, host) = host_with(&[
            (
                "proc/self/cgroup",
                "9:name=systemd:/docker/4f2a\n4:cpu,memory:/docker/4f2a\n0::/docker/4f2a\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n"),
            (
                "sys/fs/cgroup/memory/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            ),
        ]);
        let expected = CgroupMemory {
            path: "/".to_owned(),
            limit: 1 << 20,
            used: Some(1 << 20),
            oom_kills: Some(1),
        };
        assert_eq!(tightest_cgroup(&host), Some(expected));
    }

    #[test]
    fn no_limit_is_no_cgroup_to_speak_of() {
        for (limit, path) in [
            ("9223372036854771712\n", "/a"),
            ("-1", "/a"),
            ("", "/a"),
            ("1024", "/../a"),
        ] {
            let (_root, host) = host_with(&[
                ("proc/self/cgroup", &format!("4:memory:{path}\n")),
                ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", limit),
            ]);
            assert_eq!(tightest_cgroup(&host), None, "{limit:?} {path}");
        }
        for rubbish in ["", "::", "\0:\0:\0", "0::", "4:memory:", "0::a\n"] {
            let (_root, host) = host_with(&[("proc/self/cgroup", rubbish)]);
            assert_eq!(tightest_cgroup(&host), None, "{rubbish:?}");
        }
    }

    #[test]
    fn a_machine_without_pressure_and_cgroups_still_has_memory() {
        let (_root, host) = host_with(&[]);
        let body = Memory {}.collect(&stop(), &host).unwrap();
        assert!(
            body.text.starts_with("used ") && body.text.lines().count() == 1,
            "{}",
            body.text
        );
        let data = body.data.to_json();
        assert!(data["total"].as_u64() > Some(0) && data["cgroup"].is_null());
    }
}
