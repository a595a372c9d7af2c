//! What the kernel itself says about a dead process.

use crate::kmsg::Record;
use crate::report::Evidence;

/// The kernel's word that it killed this process for want of memory: `Out of memory: Killed process 4242 (node) …`, or
/// `Memory cgroup out of memory: …`. Another process's kill is never taken, nor what a program wrote into the kernel log.
pub fn oom_kill(pid: u32, records: &[Record]) -> Option<Evidence> {
    const KERNEL: u16 = 0;
    records.iter().rev().filter(|record| record.facility == KERNEL).find_map(|record| {
        // Kernels before 4.20 write the last words alone, after "Kill process … or sacrifice child", which proves nothing.
        let killed = [
            "Memory cgroup out of memory: Killed process ",
            "Out of memory: Killed process ",
            "Out of memory (oom_kill_allocating_task): Killed process ",
            "Killed process ",
        ];
        let after = killed.iter().find_map(|words| record.text.strip_prefix(words))?;
        let (found, _) = after.split_once(' ')?;
        (found.parse() == Ok(pid)).then(|| Evidence { source: "kernel log".into(), text: record.text.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel_log(facility: u16, text: &str) -> Vec<Record> {
        vec![Record { level: 3, facility, seq: 1, micros: 1, text: text.into() }]
    }

    #[test]
    fn an_oom_kill_is_ours_only_with_our_pid_and_from_the_kernel_itself() {
        let line = "Memory cgroup out of memory: Killed process 4242 (node) total-vm:1051256kB, anon-rss:516180kB";
        assert_eq!(oom_kill(4242, &kernel_log(0, line)).unwrap().text, line);
        assert!(oom_kill(4242, &kernel_log(0, "Killed process 4242 (node) total-vm:1kB")).is_some());
        assert_eq!(
            oom_kill(4242, &kernel_log(0, "Out of memory: Kill process 4242 (node) score 9 or sacrifice child")),
            None
        );
        assert_eq!(oom_kill(424, &kernel_log(0, line)), None);
        assert_eq!(oom_kill(4242, &kernel_log(1, line)), None);
        assert_eq!(oom_kill(4242, &kernel_log(0, &format!("lie: {line}"))), None);
    }
}
