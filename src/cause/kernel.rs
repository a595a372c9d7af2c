//! What the kernel itself says about a dead process.

use super::fingerprint::fingerprint;
use super::stamp;
use super::text::Line;
use super::{Explanation, Scene};
use crate::kmsg::Record;
use crate::report::{Cause, Confidence, Death, Evidence};

/// What the kernel, and no program, says in its log.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Which line of the input it is, from 1; `None` where it did not come in lines.
    pub line: Option<usize>,
    pub text: String,
    /// In seconds since the boot, or since some moment.
    pub at: Option<f64>,
}

/// The kernel's own messages among these records.
pub fn messages(records: &[Record]) -> Vec<Message> {
    const KERNEL: u16 = 0;
    let own = records.iter().filter(|record| record.facility == KERNEL);
    #[allow(clippy::cast_precision_loss, reason = "exact for the first 285 years of uptime")]
    own.map(|record| Message { line: None, text: record.text.clone(), at: Some(record.micros as f64 / 1e6) }).collect()
}

/// The kernel's messages in the output of dmesg, `dmesg -T` or `journalctl -k`.
pub fn from_text(text: &str) -> Vec<Message> {
    let message = |(i, line): (usize, &str)| {
        // The journal's other units are programs, and say what they like.
        let (at, text) = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((at, text)) => (at.trim().parse().ok().or_else(|| stamp::read(at).map(|(at, _)| at)), text),
            None => match line.split_once(" kernel: ") {
                Some((head, text)) => (stamp::read(head).map(|(at, _)| at), text),
                None => (None, line),
            },
        };
        Message { line: Some(i + 1), text: text.to_owned(), at }
    };
    text.lines().enumerate().map(message).collect()
}

/// The kernel's word that it killed this process for want of memory: `Out of memory: Killed process 4242 (node) …`, or
/// `Memory cgroup out of memory: …`. Another process's kill is never taken.
pub fn oom_kill(pid: u32, messages: &[Message]) -> Option<&Message> {
    messages.iter().rev().find(|message| killed(&message.text) == Some(pid))
}

/// The process that this message says was killed for want of memory.
fn killed(text: &str) -> Option<u32> {
    // Kernels before 4.20 write the last words alone, after "Kill process … or sacrifice child", which proves nothing.
    let words = [
        "Memory cgroup out of memory: Killed process ",
        "Out of memory: Killed process ",
        "Out of memory (oom_kill_allocating_task): Killed process ",
        "Killed process ",
    ];
    let after = words.iter().find_map(|words| text.strip_prefix(words))?;
    after.split_once([' ', ','])?.0.parse().ok()
}

impl Message {
    pub fn evidence(&self, source: &str) -> Evidence {
        Evidence { source: source.to_owned(), line: self.line, text: self.text.clone() }
    }
}

/// The cause that the kernel tells.
pub fn explain(scene: &Scene, _lines: &[Line]) -> Option<Explanation> {
    let (source, messages) = scene.kernel;
    let message = oom_kill(scene.pid?, messages)?;
    Some(Explanation {
        fingerprint: fingerprint(&[scene.job, "oom-killed"]),
        cause: Cause {
            kind: Death::OomKilled,
            line: "out of memory: killed by the kernel".to_owned(),
            confidence: Confidence::Certain,
            evidence: vec![message.evidence(source)],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{messages, oom_kill};
    use crate::kmsg::Record;

    fn is_oom_kill(pid: u32, facility: u16, text: &str) -> bool {
        let records = [Record { level: 3, facility, seq: 1, micros: 1, text: text.into() }];
        oom_kill(pid, &messages(&records)).is_some()
    }

    #[test]
    fn an_oom_kill_is_ours_only_with_our_pid_and_from_the_kernel_itself() {
        let line = "Memory cgroup out of memory: Killed process 4242 (node) total-vm:1051256kB, anon-rss:516180kB";
        assert!(is_oom_kill(4242, 0, line));
        assert!(is_oom_kill(4242, 0, "Killed process 4242 (node) total-vm:1kB"));
        assert!(!is_oom_kill(4242, 0, "Out of memory: Kill process 4242 (node) score 9 or sacrifice child"));
        assert!(!is_oom_kill(424, 0, line));
        assert!(!is_oom_kill(4242, 1, line));
        assert!(!is_oom_kill(4242, 0, &format!("lie: {line}")));
    }
}
