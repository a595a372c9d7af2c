//! `[collect.load]`: how busy the machine is.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | – | it has no keys | |
//!
//! ```toml
//! [collect.load]
//! ```
//!
//! The section's data: `load` (over 1, 5 and 15 minutes), `cpus`, `cpu_pressure`, `io_pressure`
//! (per cent of the time, `null` if the kernel does not measure it).

use anyhow::{Context, Result};
use serde::Deserialize;
use sysinfo::System;

use super::{Body, Collector, pressure};
use crate::host::Host;
use crate::report::{CollectorKind, LoadAverage, SectionData, Stop};

/// Load averages, and the time that tasks waited for CPUs and I/O.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Load {}

impl Collector for Load {
    fn kind(&self) -> CollectorKind {
        CollectorKind::LOAD
    }

    fn collect(&self, _stop: &Stop, host: &Host) -> Result<Body> {
        let load =
            System::load_average().context("cannot read /proc/loadavg: is /proc mounted?")?;
        let load = [load.one, load.five, load.fifteen];
        let cpus = host
            .read("/sys/devices/system/cpu/online")
            .ok()
            .and_then(|text| count_cpus(&text));
        let cpu_pressure = pressure::read("cpu", host);
        let io_pressure = pressure::read("io", host);

        let lines = [
            Some(describe(load, cpus)),
            cpu_pressure.map(|pressure| format!("waited for a CPU: {pressure}")),
            io_pressure.map(|pressure| format!("waited for I/O: {pressure}")),
        ];
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        Ok(Body {
            text: lines.join("\n"),
            data: SectionData::Load(LoadAverage {
                load,
                cpus,
                cpu_pressure,
                io_pressure,
            }),
        })
    }
}

/// Describes the load. The per cent is the last minute's load relative to the number of CPUs; above
/// 100, tasks waited for a CPU or a disk.
fn describe([one, five, fifteen]: [f64; 3], cpus: Option<u32>) -> String {
    let load = format!("load {one:.2} {five:.2} {fifteen:.2}");
    match cpus {
        Some(1) => format!("{load} on 1 CPU ({:.0} %)", one * 100.0),
        Some(cpus) => format!(
            "{load} on {cpus} CPUs ({:.0} %)",
            one * 100.0 / f64::from(cpus)
        ),
        None => load,
    }
}

/// Counts the CPUs in a list such as `0-3,8`; `None` if it is no such list.
fn count_cpus(list: &str) -> Option<u32> {
    let count = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
        Some(u32::from(to.checked_sub(from)?) + 1)
    };
    list.trim().split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::{Load, count_cpus, describe};
    use crate::collectors::{Collector, tests::stop};
    use crate::host::Host;

    #[test]
    fn the_load_is_told_against_what_the_cpus_can_do() {
        assert_eq!(
            describe([3.2, 2.1, 1.0], Some(2)),
            "load 3.20 2.10 1.00 on 2 CPUs (160 %)"
        );
        assert_eq!(
            describe([0.5, 0.0, 0.0], Some(1)),
            "load 0.50 0.00 0.00 on 1 CPU (50 %)"
        );
        assert_eq!(describe([0.5, 0.0, 0.0], None), "load 0.50 0.00 0.00");
    }

    #[test]
    fn cpus_are_counted_from_a_list_of_ranges() {
        assert_eq!(count_cpus("0\n"), Some(1));
        assert_eq!(count_cpus("0-3,8,10-11\n"), Some(7));
        for rubbish in ["", "\n", "a", "3-1", "0-", "-1", "0-99999999", "0,,1"] {
            assert_eq!(count_cpus(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn the_pressure_of_the_machine_is_part_of_it() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc/pressure");
        std::fs::create_dir_all(&proc).unwrap();
        std::fs::write(
            proc.join("io"),
            "some avg10=50.00 avg60=5.00 avg300=1.00 total=1\n",
        )
        .unwrap();
        let body = Load {}
            .collect(&stop(), &Host::new(root.path(), root.path()))
            .unwrap();
        assert!(
            body.text
                .contains("\nwaited for I/O: 50.0 % of the last 10 s"),
            "{}",
            body.text
        );
        let data = body.data.to_json();
        assert_eq!(data["io_pressure"]["some"]["avg10"], 50.0);
        assert!(data["cpu_pressure"].is_null());
    }
}
