//! The kernel killed a process for want of memory: the machine's, or its cgroup's.
//!
//! The messages are those of Linux 2.6.32 to 6.x, `mm/oom_kill.c` and `mm/memcontrol.c`. A kill is
//! told in a block of messages. The last one, `Killed process`, always comes. The kernel leaves the
//! others out if kills follow one another quickly.

use super::cause::KernelCause;
use crate::bytes::Bytes;
use crate::cause::finding::ExpectedExit;
use crate::cause::scene::{KernelMessage, Scene};
use crate::report::{Confidence, Death, Evidence, Exit};

/// A process that the kernel killed, with the facts of the message block.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kill<'a> {
    pid: u32,
    program: &'a str,
    /// The kill was for a cgroup's limit, not for want of the machine's memory.
    of_a_cgroup: bool,
    /// The NUMA nodes that the process may use had no memory left, but the machine had.
    of_a_node: bool,
    /// Cgroup of the victim.
    cgroup: Option<&'a str>,
    /// Cgroup whose limit was reached; it may be an ancestor of the victim's.
    limited: Option<&'a str>,
    /// Limit of the cgroup, in KiB.
    limit: Option<u64>,
    /// Memory that the victim held, in KiB.
    resident: Option<u64>,
    /// The kernel killed the whole cgroup (`memory.oom.group`).
    of_a_group: bool,
    /// Lines of the block (indexes).
    lines: Vec<usize>,
}

/// Returns the kernel's message that it killed this process for want of memory: `Out of memory:
/// Killed process 4242 (node) …`, or `Memory cgroup out of memory: …`. Kills of other processes do
/// not count.
pub fn oom_kill(pid: u32, messages: &[KernelMessage]) -> Option<&KernelMessage> {
    messages
        .iter()
        .rev()
        .find(|message| victim(&message.text).is_some_and(|(victim, _)| victim == pid))
}

/// Returns the cause if a kill for want of memory ended this service. `child` is the process that a
/// wrapper's shell reports as killed.
pub fn read(scene: &Scene, child: Option<u32>) -> Option<KernelCause> {
    let (source, messages) = scene.kernel;
    let kills = kills(messages);
    let kill = kills
        .iter()
        .rev()
        .find(|kill| is_ours(kill, scene, child))?;
    let evidence = kill
        .lines
        .iter()
        .filter_map(|line| messages.get(*line))
        .map(|message| message.evidence(source));
    // A few lines are enough: the last names the victim, those before it the reason.
    let mut evidence: Vec<Evidence> = evidence.collect();
    evidence.drain(..evidence.len().saturating_sub(3));
    Some(KernelCause {
        kind: Death::OomKilled,
        line: format!("{}{}", kill.line(scene.pid), kill.named(scene)),
        confidence: Confidence::Certain,
        evidence,
        same: format!(
            "oom-killed {}",
            if kill.of_a_cgroup {
                "cgroup"
            } else {
                "machine"
            }
        ),
        is_abort: false,
    })
}

/// Returns the kills among these messages, oldest first.
fn kills(messages: &[KernelMessage]) -> Vec<Kill<'_>> {
    let mut begun = Kill::default();
    messages
        .iter()
        .enumerate()
        .filter_map(|(i, message)| begun.read(i, &message.text))
        .collect()
}

impl<'a> Kill<'a> {
    /// Reads one message of a block. Returns the kill if this message completes one.
    fn read(&mut self, i: usize, text: &'a str) -> Option<Self> {
        if text.contains(" invoked oom-killer: ") {
            *self = Self::default();
            return None;
        }
        if let Some(victim) = victim(text) {
            let mut kill = self.take(victim);
            kill.of_a_cgroup |= text.starts_with("Memory cgroup ");
            kill.resident = resident(text);
            kill.lines.push(i);
            return Some(kill);
        }
        if self.add(text) {
            self.lines.push(i);
        }
        None
    }

    /// Adds the facts of a message that comes before the kill itself. Returns false if the message
    /// is no evidence.
    fn add(&mut self, text: &'a str) -> bool {
        if text.starts_with("memory: usage ") {
            // `memory: usage 65536kB, limit 65536kB, failcnt 109`; without a limit it is 8 EiB.
            self.limit = field(text, "limit ").filter(|limit| *limit < 1 << 52);
            return true;
        }
        if let Some(summary) = text.strip_prefix("oom-kill:") {
            self.add_summary(summary);
            return true;
        }
        if let Some((cgroup, limited)) = task_in(text) {
            (self.cgroup, self.limited, self.of_a_cgroup) = (Some(cgroup), Some(limited), true);
            return true;
        }
        if let Some(cgroup) = group(text) {
            (self.limited, self.of_a_group, self.of_a_cgroup) = (Some(cgroup), true, true);
            return true;
        }
        self.of_a_cgroup |= text.starts_with("Memory cgroup out of memory: Kill process ");
        false
    }

    /// Adds the fields of `oom-kill:constraint=…`. Names in it may hold commas, so the pid counts
    /// only if `Killed process` names it again.
    fn add_summary(&mut self, summary: &'a str) {
        self.of_a_cgroup = summary.contains("constraint=CONSTRAINT_MEMCG");
        self.of_a_node = summary.contains("constraint=CONSTRAINT_MEMORY_POLICY")
            || summary.contains("constraint=CONSTRAINT_CPUSET");
        self.limited = part(summary, "oom_memcg=", ",task_memcg=");
        self.cgroup = part(summary, "task_memcg=", ",task=");
        self.pid = summary
            .rsplit_once(",pid=")
            .and_then(|(_, after)| number(after))
            .unwrap_or_default();
    }

    /// Takes the block that ends with the kill of this process and begins the next one.
    fn take(&mut self, (pid, program): (u32, &'a str)) -> Self {
        let block = std::mem::take(self);
        if block.of_a_group {
            // The others of the group follow, each with its own `Killed process` only.
            *self = Self {
                pid: 0,
                ..block.clone()
            };
        } else if block.pid != 0 && block.pid != pid {
            // The block is about another process: its end was left out of the log.
            return Self {
                pid,
                program,
                ..Self::default()
            };
        }
        Self {
            pid,
            program,
            ..block
        }
    }
}

/// Returns the memory that the victim held, in KiB; `None` if the line does not tell.
fn resident(text: &str) -> Option<u64> {
    let held = ["anon-rss:", "file-rss:", "shmem-rss:"].map(|name| field(text, name));
    held.iter()
        .any(Option::is_some)
        .then(|| held.into_iter().flatten().fold(0, u64::saturating_add))
}

/// Reads `Killed process 4242 (node) total-vm:…` and `Killed process 4242, UID 0, (node)
/// total-vm:…`.
fn victim(text: &str) -> Option<(u32, &str)> {
    // Kernels before 4.20 write `Killed process …` alone, after "Kill process … or sacrifice
    // child", which proves nothing.
    let words = [
        "Memory cgroup out of memory: Killed process ",
        "Out of memory: Killed process ",
        "Out of memory (oom_kill_allocating_task): Killed process ",
        "Memory cgroup out of memory (oom_kill_allocating_task): Killed process ",
        "Killed process ",
    ];
    let after = words.iter().find_map(|words| text.strip_prefix(words))?;
    let (pid, rest) = after.split_once([' ', ','])?;
    let program = part(rest, "(", ") total-vm:")
        .or_else(|| part(rest, "(", ")"))
        .unwrap_or_default();
    Some((pid.parse().ok()?, program))
}

/// Reads `Task in /a killed as a result of limit of /b`, before 4.19.
fn task_in(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("Task in ")?
        .split_once(" killed as a result of limit of ")
}

/// Reads `Tasks in /a are going to be killed due to memory.oom.group set`.
fn group(text: &str) -> Option<&str> {
    text.strip_prefix("Tasks in ")?
        .strip_suffix(" are going to be killed due to memory.oom.group set")
}

fn part<'a>(text: &'a str, after: &str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(after)?;
    rest.split_once(before).map(|(part, _)| part)
}

fn field(text: &str, name: &str) -> Option<u64> {
    number(text.split_once(name)?.1)
}

/// Returns the number that a text begins with.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// Returns true if this kill ended the service.
fn is_ours(kill: &Kill, scene: &Scene, child: Option<u32>) -> bool {
    let by_kill = ExpectedExit::Signal("KILL").is(scene.exit);
    if scene.pid == Some(kill.pid) {
        return by_kill || *scene.exit == Exit::Unknown;
    }
    // A wrapper that fails after its child's end died of that end, if its shell named the child
    // last.
    if child.is_some() {
        return child == Some(kill.pid) && !matches!(scene.exit, Exit::Code(0));
    }
    // The service may have survived the kill of a helper. A wrapper passes 137 on as its own exit
    // code, and its child is younger than the wrapper.
    let cgroup = kill.cgroup.or(kill.limited).unwrap_or_default();
    let is_handed_on = match scene.pid {
        Some(pid) => matches!(scene.exit, Exit::Code(_)) && (kill.pid > pid || kill.of_a_group),
        None => true,
    };
    by_kill && (is_handed_on || kill.of_a_group) && may_be_cgroup_of(scene.job, cgroup)
}

/// Returns true if this may be the job's own cgroup: that of its unit or one below it, or `/…/web`.
fn may_be_cgroup_of(job: &str, cgroup: &str) -> bool {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    is_cgroup_of(job, cgroup) || !job.is_empty() && last(job) == last(cgroup)
}

/// Returns true if this is the job's own cgroup: `/system.slice/web.service` and those below it, or
/// `/web`. Who made `/…/web`, and for what, nothing tells.
pub fn is_cgroup_of(job: &str, cgroup: &str) -> bool {
    let job = job.rsplit('/').next().unwrap_or_default();
    let unit = |part: &str| {
        part.strip_suffix(".service")
            .or_else(|| part.strip_suffix(".scope"))
            == Some(job)
    };
    !job.is_empty() && (cgroup.split('/').any(unit) || cgroup.trim_start_matches('/') == job)
}

impl Kill<'_> {
    /// Returns the victim's name, if it is the main process and the job's name does not tell it.
    fn named(&self, scene: &Scene) -> String {
        let program = self.program;
        let is_told = program.is_empty() || scene.job.contains(program);
        match scene.pid {
            Some(pid) if pid != self.pid => String::new(),
            _ if is_told => String::new(),
            _ => format!(", program {program}"),
        }
    }

    /// Returns the cause's line: the victim, its memory and the limit.
    fn line(&self, pid: Option<u32>) -> String {
        let who = match pid {
            Some(pid) if pid != self.pid => {
                format!("its process {} ({}) was ", self.program, self.pid)
            }
            _ => String::new(),
        };
        let kib = |kib: u64| Bytes(kib.saturating_mul(1024));
        let held = self
            .resident
            .map(|resident| format!(" with {} in memory", kib(resident)))
            .unwrap_or_default();
        if !self.of_a_cgroup {
            let none_left = if self.of_a_node {
                "the memory nodes that it may use had none left"
            } else {
                "the machine had none left"
            };
            return format!("out of memory: {none_left}; {who}killed by the kernel{held}");
        }
        let whose = match (self.limited, self.cgroup) {
            (Some(limited), Some(cgroup)) if limited != cgroup => {
                format!(" of {limited}, which {cgroup} is part of")
            }
            (Some(limited), _) => format!(" ({limited})"),
            _ => String::new(),
        };
        match self.limit {
            Some(limit) => format!(
                "out of memory: {who}killed by the kernel at its limit of {}{whose}",
                kib(limit)
            ),
            None => format!(
                "out of memory: {who}killed by the kernel{held}, at its cgroup's limit{whose}"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
