//! Messages of the kernel that may have to do with a death but prove nothing. They are shown beside
//! the cause, never as the cause.

use super::oom;
use crate::cause::scene::{KernelMessage, Scene};
use crate::report::{Death, Evidence};

/// Maximum number of lines that are shown.
const MOST: usize = 3;

/// Returns the kernel's lines that bear on a death of this kind, oldest first.
pub fn around(scene: &Scene, kind: Death) -> Vec<Evidence> {
    let (source, messages) = scene.kernel;
    let bears = |message: &&KernelMessage| {
        is_about(&message.text, scene) || is_about_the_disk(&message.text, kind)
    };
    let found: Vec<Evidence> = messages
        .iter()
        .filter(bears)
        .map(|message| message.evidence(source))
        .collect();
    found
        .get(found.len().saturating_sub(MOST)..)
        .unwrap_or_default()
        .to_vec()
}

/// Returns true if a line names this process or the job's own cgroup.
fn is_about(text: &str, scene: &Scene) -> bool {
    let is_hung = || {
        // `INFO: task app:123 blocked for more than 120 seconds.`
        let task = text
            .strip_prefix("INFO: task ")
            .and_then(|rest| rest.split_once(" blocked for more than "));
        let pid = task
            .and_then(|(task, _)| task.rsplit_once(':'))
            .and_then(|(_, pid)| pid.parse::<u32>().ok());
        pid.is_some() && pid == scene.pid
    };
    let is_forkless = || {
        let cgroup = text.strip_prefix("cgroup: fork rejected by pids controller in ");
        cgroup.is_some_and(|cgroup| oom::is_cgroup_of(scene.job, cgroup.trim()))
    };
    let is_helpers = || {
        let (_, cgroup) = text
            .strip_prefix("oom-kill:")
            .and_then(|rest| rest.split_once(",task_memcg="))
            .unzip();
        cgroup
            .and_then(|rest| rest.split_once(",task="))
            .is_some_and(|(cgroup, _)| oom::is_cgroup_of(scene.job, cgroup))
    };
    is_hung() || is_forkless() || is_helpers()
}

/// Returns true if a line tells of a broken disk and a broken disk can lead to this kind of death.
fn is_about_the_disk(text: &str, kind: Death) -> bool {
    let may_be = matches!(
        kind,
        Death::UncaughtException
            | Death::Panic
            | Death::PlainExit
            | Death::Abort
            | Death::NoSuchFile
            | Death::Permission
            | Death::KilledBySignal
            | Death::Unknown
    );
    let is_error = [
        "Buffer I/O error on dev",
        "blk_update_request: I/O error",
        "blk_update_request: critical",
        "I/O error, dev ",
        "critical medium error, dev ",
        "critical target error, dev ",
        "end_request: I/O error",
        "mce: [Hardware Error]",
        "EDAC ",
    ]
    .iter()
    .any(|words| text.starts_with(words))
        || ["EXT4-fs", "EXT3-fs", "XFS", "BTRFS"]
            .iter()
            .any(|name| text.starts_with(name))
            && [
                "error",
                "emounting filesystem read-only",
                "Corruption",
                "corrupt",
                "forced readonly",
                "shutting down",
            ]
            .iter()
            .any(|words| text.contains(words));
    may_be && is_error
}

#[cfg(test)]
mod tests {
    use super::around;
    use crate::cause::Scene;
    use crate::cause::kernel::from_text;
    use crate::report::{Death, Exit};

    fn lines(text: &str, kind: Death) -> Vec<usize> {
        let messages = from_text(text);
        let exit = Exit::Code(1);
        let scene = Scene {
            job: "web",
            pid: Some(42),
            exit: &exit,
            log: None,
            kernel: ("kernel log", &messages),
        };
        around(&scene, kind)
            .into_iter()
            .filter_map(|evidence| evidence.line)
            .collect()
    }

    #[test]
    fn only_lines_about_the_process_its_cgroup_or_a_broken_disk_are_shown() {
        let text = "INFO: task web:42 blocked for more than 120 seconds.\n\
            INFO: task web:43 blocked for more than 120 seconds.\n\
            cgroup: fork rejected by pids controller in /system.slice/web.service\n\
            cgroup: fork rejected by pids controller in /docker/web\n\
            eth0: link becomes ready\n\
            EXT4-fs (vda): re-mounted. Quota mode: none.\n\
            EXT4-fs (sda1): Remounting filesystem read-only\n";
        assert_eq!(lines(text, Death::UncaughtException), [1, 3, 7]);
        assert_eq!(lines(text, Death::PortInUse), [1, 3]);
        assert_eq!(
            lines(
                &"Buffer I/O error on dev sda1, logical block 1, lost async page write\n".repeat(9),
                Death::Unknown
            ),
            [7, 8, 9]
        );
    }
}
