//! Small pictures, which people grasp faster than numbers: how full memory, CPUs and disks are, and
//! when the service died in the last day. The collectors' data may hold anything; absurd numbers
//! are left out.

use serde::Serialize;

use super::clean::one_line;
use super::cut::head;
use crate::bytes::{Bytes, percent};
use crate::report::{FileSystem, LoadAverage, MemoryUse, Section, SectionData, Status};

/// Maximum number of disks that are drawn: the fullest.
const DISKS: usize = 3;
/// Number of cells of a bar in text.
const CELLS: u64 = 20;
/// The per cent from which something is tight, and full.
const TIGHT: u64 = 80;
const FULL: u64 = 95;

/// How much of something is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// `Memory`, `Load`, `Disk /var`.
    pub label: String,
    /// Per cent; above 100 if it is overloaded.
    pub percent: u64,
    /// The length of the bar, in per cent: 0 to 100.
    pub filled: u64,
    /// `100 - filled`.
    pub free: u64,
    /// `1.9 GiB of 2.0 GiB`.
    pub words: String,
    /// `fine`, `tight` (from 80 per cent on), `full` (from 95 on).
    pub state: &'static str,
    /// The bar in text: `████████████░░░░░░░░`.
    pub bar: String,
}

impl Gauge {
    fn new(label: &str, percent: u64, words: String) -> Self {
        let filled = percent.min(100);
        // No cell is empty only at 100 %, and none is full only at 0 %.
        let cells = if filled == 0 {
            0
        } else {
            (filled * CELLS / 100).max(1)
        };
        let cell = |at| if at < cells { '█' } else { '░' };
        Self {
            label: head(&one_line(label, 200), 20),
            percent: percent.min(99_999),
            filled,
            free: 100 - filled,
            words,
            state: match percent {
                FULL.. => "full",
                TIGHT.. => "tight",
                _ => "fine",
            },
            bar: (0..CELLS).map(cell).collect(),
        }
    }

    /// Returns a gauge of bytes; `None` if there are none at all.
    fn of(label: &str, used: u64, all: u64) -> Option<Self> {
        let words = format!("{} of {}", Bytes(used), Bytes(all));
        (all > 0).then(|| Self::new(label, percent(used, all), words))
    }
}

/// Draws a gauge for each thing that the sections have data for.
pub fn gauges(sections: &[Section]) -> Vec<Gauge> {
    let data = || {
        let succeeded = sections.iter().filter(|it| it.status == Status::Ok);
        succeeded.map(|section| &section.data)
    };
    let memory = data().find_map(|data| match data {
        SectionData::Memory(memory) => Some(memory),
        _ => None,
    });
    let load = data().find_map(|data| match data {
        SectionData::Load(average) => Some(average),
        _ => None,
    });
    let disks = data().find_map(|data| match data {
        SectionData::Disk(disks) => Some(disks),
        _ => None,
    });
    let mut disks: Vec<Gauge> = disks.into_iter().flatten().filter_map(of_disk).collect();
    disks.sort_by_key(|disk| std::cmp::Reverse(disk.percent));
    memory
        .into_iter()
        .flat_map(of_memory)
        .chain(load.and_then(of_load))
        .chain(disks.into_iter().take(DISKS))
        .collect()
}

fn of_memory(memory: &MemoryUse) -> impl Iterator<Item = Gauge> {
    let cgroup = memory.cgroup.as_ref();
    [
        Gauge::of("Memory", memory.used, memory.total),
        cgroup.and_then(|cgroup| Gauge::of("Memory limit", cgroup.used?, cgroup.limit)),
        Gauge::of("Swap", memory.swap_used, memory.swap_total),
    ]
    .into_iter()
    .flatten()
}

fn of_load(average: &LoadAverage) -> Option<Gauge> {
    let [load, ..] = average.load;
    let cpus = average.cpus.filter(|cpus| (1..1_000_000).contains(cpus))?;
    if !(0.0..1e6).contains(&load) {
        return None;
    }
    // Bounded above: it fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let percent = (load * 100.0 / f64::from(cpus)) as u64;
    let plural = if cpus == 1 { "" } else { "s" };
    Some(Gauge::new(
        "Load",
        percent,
        format!("{load:.2} on {cpus} CPU{plural}"),
    ))
}

/// Draws the scarcer of space and inodes.
fn of_disk(disk: &FileSystem) -> Option<Gauge> {
    let space = disk.space().filter(|space| {
        space
            .used
            .checked_add(space.available)
            .is_some_and(|all| all > 0)
    })?;
    let words = if space.inodes_percent() > space.percent() {
        "of its inodes".to_owned()
    } else {
        format!("{} free of {}", Bytes(space.available), Bytes(space.total))
    };
    let read_only = if disk.read_only { ", read-only" } else { "" };
    Some(Gauge::new(
        &format!("Disk {}", disk.mount_point),
        space.worst(),
        words + read_only,
    ))
}

/// When the service died in the last 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// One sign for each hour, the last hour last: `▁▁▁▂▁▁█`.
    pub line: String,
    /// `died 7 times in 24 hours`.
    pub words: String,
}

/// Draws the deaths of each hour; `None` if there were fewer than two.
pub fn day(hours: &[u64]) -> Option<Day> {
    const SIGNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let hours = hours.get(hours.len().saturating_sub(24)..)?;
    let most = hours.iter().copied().max().unwrap_or(0);
    let all = hours
        .iter()
        .fold(0_u64, |all, hour| all.saturating_add(*hour));
    if all < 2 {
        return None;
    }
    // An hour without a death is flat; one with any rises above it.
    let sign = |deaths: &u64| {
        let height = (u128::from(*deaths) * 7).div_ceil(u128::from(most));
        usize::try_from(height)
            .ok()
            .and_then(|height| SIGNS.get(height))
            .copied()
            .unwrap_or('█')
    };
    Some(Day {
        line: hours.iter().map(sign).collect(),
        words: format!("died {all} times in {} hours", hours.len()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{day, gauges};
    use crate::report::{self, Section, SectionData, Status};

    fn section(collector: &str, data: Value) -> Section {
        let section = report::section(collector, "");
        Section {
            data: SectionData::from_json(&section.kind, data),
            ..section
        }
    }

    fn memory(used: u64, total: u64, cgroup: &Value) -> Section {
        let data = json!({
            "total": total, "used": used, "available": 0, "swap_total": 0, "swap_used": 0,
            "cgroup": cgroup,
        });
        section("memory", data)
    }

    fn disk(place: &str, used: u64, all: u64, inodes_used: u64) -> Value {
        json!({
            "mount_point": place, "type": "ext4", "source": "/dev/a", "read_only": false,
            "total": all, "used": used, "available": all - used,
            "inodes": 100, "inodes_used": inodes_used,
        })
    }

    /// Each gauge as text.
    fn drawn(sections: &[Section]) -> Vec<String> {
        let line = |it: super::Gauge| {
            format!(
                "{} {} {} % {} ({})",
                it.label, it.bar, it.percent, it.words, it.state
            )
        };
        gauges(sections).into_iter().map(line).collect()
    }

    #[test]
    fn a_bar_shows_how_much_is_used_of_what_there_is() {
        let cgroup = json!({"path": "/x", "limit": 512 << 20, "used": 512 << 20});
        let disk = |place, used: u64, inodes| disk(place, used << 20, 100 << 20, inodes);
        let disks = json!([
            disk("/", 1, 1),
            disk("/var", 97, 3),
            {"mount_point": "/c", "type": "nfs4", "source": "c:/", "read_only": false, "error": "gone"},
            disk("/a", 2, 83),
            disk("/b", 0, 0)
        ]);
        let sections = [
            section("disk", disks),
            section("load", json!({"load": [6.2, 1.0, 1.0], "cpus": 2})),
            memory(1 << 30, 2 << 30, &cgroup),
        ];
        assert_eq!(
            drawn(&sections),
            [
                "Memory ██████████░░░░░░░░░░ 50 % 1.0 GiB of 2.0 GiB (fine)",
                "Memory limit ████████████████████ 100 % 512 MiB of 512 MiB (full)",
                "Load ████████████████████ 310 % 6.20 on 2 CPUs (full)",
                "Disk /var ███████████████████░ 97 % 3.0 MiB free of 100 MiB (full)",
                "Disk /a ████████████████░░░░ 83 % of its inodes (tight)",
                "Disk / █░░░░░░░░░░░░░░░░░░░ 1 % 99 MiB free of 100 MiB (fine)",
            ]
        );
    }

    #[test]
    fn numbers_that_are_missing_or_absurd_draw_nothing_or_a_full_bar() {
        for nonsense in [
            json!(null),
            json!("x"),
            json!([]),
            json!({"total": "much", "used": -1}),
            json!([[[1]]]),
        ] {
            let sections = ["memory", "load", "disk"].map(|name| section(name, nonsense.clone()));
            assert_eq!(drawn(&sections), [""; 0], "{nonsense}");
        }
        let most = u64::MAX;
        let mut absurd = disk("\u{1b}[2J\n", most, most, 1);
        absurd["available"] = most.into();
        let sections = [
            memory(most, 1, &json!({"path": "/x", "limit": 0, "used": 1})),
            section("load", json!({"load": [1e300, 1.0, 1.0], "cpus": 1})),
            section("disk", json!([absurd])),
        ];
        assert_eq!(
            drawn(&sections),
            ["Memory ████████████████████ 99999 % 16 EiB of 1 B (full)"]
        );
        let hostile = json!([disk(&"/\u{1b}[2J\n<b>".repeat(99), 0, 9, 0)]);
        let label = &gauges(&[section("disk", hostile)])[0].label;
        assert!(
            label.chars().count() <= 20 && !label.contains(char::is_control),
            "{label}"
        );
    }

    #[test]
    fn a_section_that_failed_draws_nothing() {
        let failed = Section {
            status: Status::Failed,
            ..memory(1, 2, &Value::Null)
        };
        assert_eq!(drawn(&[failed]), [""; 0]);
    }

    #[test]
    fn a_day_of_deaths_is_a_line_of_24_signs() {
        let mut hours = vec![0; 24];
        assert_eq!(day(&hours), None);
        hours[23] = 1;
        assert_eq!(day(&hours), None);
        hours[20] = 700;
        hours[21] = 100;
        let day = day(&hours).unwrap();
        assert_eq!(day.line, "▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█▂▁▂");
        assert_eq!(day.words, "died 801 times in 24 hours");
    }

    #[test]
    fn absurd_numbers_of_deaths_are_drawn_all_the_same() {
        assert_eq!(day(&[]), None);
        assert_eq!(day(&[u64::MAX; 1000]).unwrap().line, "█".repeat(24));
        assert_eq!(day(&[1, u64::MAX]).unwrap().line, "▂█");
    }
}
