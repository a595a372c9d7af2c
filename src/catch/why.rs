//! Why a service died: passes what was gathered to [`crate::cause`], and adds evidence of its own.

use std::cmp::Reverse;

use crate::bytes::Bytes;
use crate::catch::verdict::Judgement;
use crate::cause::fingerprint::fingerprint;
use crate::cause::{self, Explanation, KernelMessage, Scene};
use crate::collectors::log::{Deep, DeepTail};
use crate::collectors::output;
use crate::host::Host;
use crate::redact::Redactor;
use crate::report::{
    Cause, CollectorKind, Confidence, Death, Evidence, Exit, Section, SectionData, Space, Status,
    Stop, Verdict,
};

/// Clues to the cause that no section shows.
#[derive(Default)]
pub struct Clues {
    /// Messages of the kernel about this life of the service.
    pub kernel: Vec<KernelMessage>,
    /// Last parts of the logs, as far as the collectors have read them.
    pub logs: Vec<DeepTail>,
    /// Number of processes that the kernel had killed for want of memory at the start of the
    /// service, and the number now.
    pub oom_kills: Option<[u64; 2]>,
}

/// Maximum number of bytes of all logs together that are looked at. The restart waits for that.
const MOST: usize = 1024 * 1024;

/// Explains a death. The evidence of the verdict becomes evidence of the cause too.
pub fn explain(
    stop: &Stop,
    judgement: &Judgement,
    sections: &[Section],
    clues: &Clues,
    redactor: &Redactor,
) -> Explanation {
    let mut explanation = of_the_logs(stop, sections, clues, redactor);
    let cause = &mut explanation.cause;
    if let Some(why) = &judgement.failed_start {
        cause.line.clone_from(why);
        cause.kind = kind_of_failed_start(why).unwrap_or(cause.kind);
        cause.confidence = Confidence::Certain;
        cause.evidence.clear();
        cause.last_words = None;
        explanation.fingerprint = fingerprint(&[&stop.job, why]);
    }
    if let Some(reason) = &judgement.reason
        && (cause.confidence == Confidence::None
            || (cause.kind != reason.kind && !reason.only_if_unknown))
    {
        cause.line.clone_from(&reason.line);
        cause.kind = reason.kind;
        cause.confidence = Confidence::Certain;
        cause.last_words = None;
        explanation.fingerprint = fingerprint(&[&stop.job, &reason.line]);
    }
    let circumstances = match cause.kind {
        Death::DiskFull => disks(sections, &cause.line),
        Death::KilledBySignal if cause.confidence == Confidence::None => clues
            .oom_kills
            .and_then(|count| no_oom_kill(count, &stop.exit)),
        _ => None,
    };
    let more = judgement.evidence.iter().cloned().chain(circumstances);
    let more: Vec<Evidence> = more
        .filter(|evidence| !cause.evidence.contains(evidence))
        .collect();
    cause.evidence.extend(more);
    if judgement.verdict == Verdict::Unknown {
        // It may have been planned. A crash that looks like it is news all the same.
        let perhaps = format!("{} perhaps planned", explanation.fingerprint);
        explanation.fingerprint = fingerprint(&[&perhaps]);
    }
    explanation
}

/// Explains each log by itself, beginning with the output that `lastwords run` has kept. Returns
/// the surest explanation; of several, that of the log which was written last.
fn of_the_logs(
    stop: &Stop,
    sections: &[Section],
    clues: &Clues,
    redactor: &Redactor,
) -> Explanation {
    let mut logs: Vec<Deep> = clues.logs.iter().filter_map(DeepTail::take).collect();
    logs.sort_by_key(|log| Reverse(log.modified));
    let share = MOST / logs.len().max(1);
    let explain = |log: Option<(&str, &str)>| {
        let scene = Scene {
            job: &stop.job,
            pid: stop.pid,
            exit: &stop.exit,
            log,
            kernel: ("kernel log", &clues.kernel),
        };
        cause::explain_redacted(&scene, redactor)
    };
    let kept = sections
        .iter()
        .filter(|section| section.kind == CollectorKind::OUTPUT && section.status == Status::Ok);
    let kept = kept.map(|section| {
        let said = output::said(&section.text);
        explain(Some((&section.collector, &said)))
    });
    let each = logs
        .iter()
        .map(|log| explain(Some((&log.path, last(&log.text, share)))));
    kept.chain(each)
        .min_by_key(|explanation| sureness(&explanation.cause))
        .unwrap_or_else(|| explain(None))
}

/// Returns the kind of a start that failed, if the system's error says it.
fn kind_of_failed_start(why: &str) -> Option<Death> {
    if why.contains("No such file or directory") {
        Some(Death::NoSuchFile)
    } else if why.contains("Permission denied") {
        Some(Death::Permission)
    } else {
        None
    }
}

/// Returns how sure a cause is; 0 is the surest.
pub fn sureness(cause: &Cause) -> u8 {
    match cause.confidence {
        Confidence::Certain => 0,
        Confidence::Likely => 1,
        Confidence::None if cause.last_words.is_some() => 2,
        Confidence::None => 3,
    }
}

/// Returns the last whole lines that fit into this number of bytes.
fn last(text: &str, bytes: usize) -> &str {
    let Some(from) = text.len().checked_sub(bytes).filter(|from| *from > 0) else {
        return text;
    };
    let rest = text
        .get(text.ceil_char_boundary(from)..)
        .unwrap_or_default();
    rest.split_once('\n').map_or(rest, |(_, whole)| whole)
}

/// Returns the number of processes that the kernel has killed for want of memory since the boot.
/// Linux before 4.13 does not count them.
pub fn oom_kills(host: &Host) -> Option<u64> {
    let counters = host.read("/proc/vmstat").ok()?;
    counters
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Returns evidence that a kill was not for want of memory, if the kernel's count shows that.
fn no_oom_kill([before, now]: [u64; 2], exit: &Exit) -> Option<Evidence> {
    let is_kill = exit.is_signal("KILL") || *exit == Exit::Code(137);
    (is_kill && before == now).then(|| Evidence {
        source: "/proc/vmstat".to_owned(),
        line: None,
        text: format!(
            "oom_kill {now}, as when it started: the kernel has killed nothing for want of memory"
        ),
    })
}

/// Says which disks are full, or that none is, for a service that found one full.
fn disks(sections: &[Section], cause: &str) -> Option<Evidence> {
    let disks = sections.iter().find_map(|section| match &section.data {
        SectionData::Disk(disks) if section.status == Status::Ok => Some(disks),
        _ => None,
    })?;
    let disks: Vec<(&str, &Space)> = disks
        .iter()
        .filter_map(|disk| Some((disk.mount_point.as_str(), disk.space()?)))
        .collect();
    let full = disks
        .iter()
        .filter_map(|(place, space)| fullness(place, space));
    let full: Vec<String> = full.collect();
    let text = if !full.is_empty() {
        full.join("; ")
    } else if disks.is_empty() || cause.to_ascii_lowercase().contains("quota") {
        return None;
    } else {
        let room = disks
            .iter()
            .take(5)
            .map(|(place, space)| format!("{place} {} free", Bytes(space.available)));
        format!("none is full now: {}", room.collect::<Vec<_>>().join(", "))
    };
    Some(Evidence {
        source: "disk".to_owned(),
        line: None,
        text,
    })
}

/// Says how full a disk is, if it is full or nearly so: a program that ends may free some space.
fn fullness(place: &str, space: &Space) -> Option<String> {
    let (used, inodes) = (space.percent(), space.inodes_percent());
    let free = Bytes(space.available);
    if space.total > 0 && (used >= 99 || space.available < 1 << 20) {
        Some(format!("{place} is {used} % full ({free} free)"))
    } else if space.inodes > 0 && inodes >= 99 {
        Some(format!("{place} has {inodes} % of its inodes in use"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::catch::why::{disks, last, no_oom_kill, oom_kills};
    use crate::host::Host;
    use crate::report::{Exit, Section, SectionData, section};

    fn evidence(data: Value, cause: &str) -> Option<String> {
        let section = section("disk", "");
        let section = Section {
            data: SectionData::from_json(&section.kind, data),
            ..section
        };
        disks(&[section], cause).map(|evidence| evidence.text)
    }

    #[test]
    fn a_full_disk_is_confirmed_or_denied_by_the_disks() {
        let disk = |place: &str, available: u64, inodes_used: u64| {
            json!({ "mount_point": place, "type": "ext4", "source": "/dev/a", "read_only": false,
                    "total": 100_u64 << 30, "used": (100_u64 << 30) - available, "available": available,
                    "inodes": 1000, "inodes_used": inodes_used })
        };
        let roomy = disk("/", 40 << 30, 5);
        let text = |data: Value| evidence(data, "ENOSPC: no space left on device").unwrap();
        assert_eq!(
            text(json!([roomy, disk("/var", 0, 5)])),
            "/var is 100 % full (0 B free)"
        );
        assert_eq!(
            text(json!([roomy, disk("/var", 50 << 30, 1000)])),
            "/var has 100 % of its inodes in use"
        );
        assert_eq!(text(json!([roomy])), "none is full now: / 40 GiB free");
        assert_eq!(evidence(json!([roomy]), "Disk quota exceeded"), None);
        for nothing in [
            json!([]),
            json!(null),
            json!([{
                "mount_point": "/", "type": "nfs", "source": "a:/", "read_only": false, "error": "no answer"
            }]),
        ] {
            assert_eq!(evidence(nothing, "no space left"), None);
        }
    }

    #[test]
    fn a_kill_is_not_for_want_of_memory_where_the_kernel_counted_none() {
        let kill = Exit::Signal {
            name: "KILL".into(),
            core_dumped: false,
        };
        let text = no_oom_kill([90, 90], &kill).unwrap().text;
        assert_eq!(
            text,
            "oom_kill 90, as when it started: the kernel has killed nothing for want of memory"
        );
        assert!(no_oom_kill([90, 90], &Exit::Code(137)).is_some());
        assert_eq!(no_oom_kill([90, 91], &kill), None);
        assert_eq!(no_oom_kill([90, 90], &Exit::Code(1)), None);
    }

    #[test]
    fn the_kernels_counter_is_read_where_there_is_one() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path(), root.path());
        assert_eq!(oom_kills(&host), None);
        std::fs::create_dir(root.path().join("proc")).unwrap();
        std::fs::write(
            root.path().join("proc/vmstat"),
            "nr_free_pages 1\noom_kill 90\nnr_x 2\n",
        )
        .unwrap();
        assert_eq!(oom_kills(&host), Some(90));
    }

    #[test]
    fn of_a_long_log_the_last_whole_lines_are_taken() {
        assert_eq!(last("one\ntwo\nthree\n", 10), "three\n");
        assert_eq!(last("one\ntwo\n", 100), "one\ntwo\n");
        assert_eq!(last("€€€€", 4), "€");
    }
}
