//! Small pictures, where people would rather look than read: how full memory, CPUs and disks are,
//! and when the service died in the last day. They are made from the collectors' data, which may
//! hold anything; what makes no sense is left out.

use serde::Serialize;
use serde_json::Value;

use super::clean::one_line;
use super::cut::head;
use crate::bytes::{Bytes, percent};
use crate::report::{Section, Status};

/// So many disks are drawn: the fullest.
const DISKS: usize = 3;
/// The cells of a bar in text.
const CELLS: u64 = 20;
/// From so many per cent on, it is tight, and full.
const TIGHT: u64 = 80;
const FULL: u64 = 95;

/// How much of something is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// `Memory`, `Load`, `Disk /var`.
    pub label: String,
    /// Per cent; what is overloaded is above 100.
    pub percent: u64,
    /// How far the bar goes, in per cent: 0 to 100.
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
        // Only what is full has no empty cell, only what is empty no full one.
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

    /// Of bytes.
    fn of(label: &str, used: Option<u64>, all: Option<u64>) -> Option<Self> {
        let (used, all) = (used?, all.filter(|all| *all > 0)?);
        Some(Self::new(
            label,
            percent(used, all),
            format!("{} of {}", Bytes(used), Bytes(all)),
        ))
    }
}

/// The gauges that the sections have data for.
pub fn gauges(sections: &[Section]) -> Vec<Gauge> {
    let data = |name: &str| {
        let section = sections
            .iter()
            .find(|section| section.collector == name && section.status == Status::Ok);
        section.map_or(&Value::Null, |section| &section.data)
    };
    let memory = data("memory");
    let bytes = |of: &Value, key: &str| of[key].as_u64();
    let cgroup = &memory["cgroup"];
    let mut gauges: Vec<Gauge> = [
        Gauge::of("Memory", bytes(memory, "used"), bytes(memory, "total")),
        Gauge::of(
            "Memory limit",
            bytes(cgroup, "used"),
            bytes(cgroup, "limit"),
        ),
        Gauge::of(
            "Swap",
            bytes(memory, "swap_used"),
            bytes(memory, "swap_total"),
        ),
        load(data("load")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut disks: Vec<Gauge> = data("disk")
        .as_array()
        .into_iter()
        .flatten()
        .take(200)
        .filter_map(disk)
        .collect();
    disks.sort_by_key(|disk| std::cmp::Reverse(disk.percent));
    gauges.extend(disks.into_iter().take(DISKS));
    gauges
}

fn load(data: &Value) -> Option<Gauge> {
    let load = data["load"][0]
        .as_f64()
        .filter(|load| (0.0..1e6).contains(load))?;
    let cpus = data["cpus"]
        .as_u64()
        .filter(|cpus| (1..1_000_000).contains(cpus))?;
    // Bounded above: it fits.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let percent = (load * 100.0 / cpus as f64) as u64;
    let plural = if cpus == 1 { "" } else { "s" };
    Some(Gauge::new(
        "Load",
        percent,
        format!("{load:.2} on {cpus} CPU{plural}"),
    ))
}

/// By what is scarcer, space or inodes; of space as df(1) counts, what users other than root may
/// have.
fn disk(data: &Value) -> Option<Gauge> {
    let number = |key: &str| data[key].as_u64();
    let (used, available) = (number("used")?, number("available")?);
    let all = used.checked_add(available).filter(|all| *all > 0)?;
    let space = percent(used, all);
    let inodes = number("inodes")
        .filter(|all| *all > 0)
        .map_or(0, |all| percent(number("inodes_used").unwrap_or(0), all));
    let words = if inodes > space {
        "of its inodes".to_owned()
    } else {
        format!("{} free of {}", Bytes(available), Bytes(number("total")?))
    };
    let read_only = if data["read_only"] == true {
        ", read-only"
    } else {
        ""
    };
    let place = data["mount_point"].as_str()?;
    Some(Gauge::new(
        &format!("Disk {place}"),
        space.max(inodes),
        words + read_only,
    ))
}

/// When the service died in the last 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// A sign an hour, the last hour last: `▁▁▁▂▁▁█`.
    pub line: String,
    /// `died 7 times in 24 hours`.
    pub words: String,
}

/// Draws the deaths of each hour; nothing where there was none, or but one.
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
    // An hour without a death lies flat; one with any rises above it.
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
    use crate::report::{Section, Status, sample};

    fn section(collector: &str, data: Value) -> Section {
        Section {
            collector: collector.to_owned(),
            data,
            ..sample().sections.remove(0)
        }
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
        let memory = json!({"total": 2_u64 << 30, "used": 1 << 30, "swap_total": 0, "swap_used": 0, "cgroup": cgroup});
        let disk = |place: &str, used: u64, inodes: u64| {
            json!({"mount_point": place, "total": 100 << 20, "used": used << 20, "available": (100 - used) << 20,
                   "inodes": 100, "inodes_used": inodes})
        };
        let disks = json!([
            disk("/", 1, 1),
            disk("/var", 97, 3),
            disk("/a", 2, 83),
            disk("/b", 0, 0)
        ]);
        let sections = [
            section("disk", disks),
            section("load", json!({"load": [6.2, 1.0, 1.0], "cpus": 2})),
            section("memory", memory),
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
        let sections = [
            section(
                "memory",
                json!({"total": 1, "used": most, "swap_total": 0, "cgroup": {"limit": 0, "used": 1}}),
            ),
            section("load", json!({"load": [1e300], "cpus": 1})),
            section(
                "disk",
                json!([{"mount_point": "\u{1b}[2J\n".repeat(99), "used": most, "available": most, "total": 1}]),
            ),
        ];
        assert_eq!(
            drawn(&sections),
            ["Memory ████████████████████ 99999 % 16 EiB of 1 B (full)"]
        );
        let hostile = json!([{"mount_point": "/\u{1b}[2J\n<b>".repeat(99), "used": 0, "available": 9, "total": 9}]);
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
            ..section("memory", json!({"total": 2, "used": 1}))
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
