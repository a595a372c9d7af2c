//! The kernel's own messages about a dead process: a kill for want of memory, or a fault.
//!
//! A message is about this death only if it names the process by its number. For a wrapper's child,
//! the wrapper's shell must name the number in the log, or the job's own cgroup must match. A
//! program's name never counts, because many processes share it.

mod around;
mod cause;
mod fault;
mod forms;
mod oom;
mod seccomp;

use super::scene::{KernelMessage, Scene};
use super::text::LogLine;
use crate::kmsg::Record;

pub use around::around;
pub use cause::KernelCause;
pub use forms::from_text;
pub use oom::{is_cgroup_of, oom_kill};

/// Returns the kernel's own messages among these records.
pub fn messages(records: &[Record]) -> Vec<KernelMessage> {
    let own = records
        .iter()
        .filter(|record| record.facility == forms::KERNEL);
    own.map(|record| KernelMessage {
        line: None,
        text: record.text.clone(),
    })
    .collect()
}

/// Takes the kernel's messages from a log that holds them beside the service's lines.
pub fn take(lines: &mut Vec<LogLine>) -> Vec<KernelMessage> {
    let is_kernels =
        |line: &mut LogLine| line.carried_as.as_deref() == Some("kernel") && line.pid().is_none();
    let message = |line: LogLine| KernelMessage {
        line: Some(line.number),
        text: forms::without_time(&line.text).to_owned(),
    };
    lines.extract_if(.., is_kernels).map(message).collect()
}

/// Returns the cause that the kernel log names for this death.
pub fn read(scene: &Scene, lines: &[LogLine]) -> Option<KernelCause> {
    let child = child_that_died(lines);
    oom::read(scene, child)
        .or_else(|| fault::read(scene, child))
        .or_else(|| seccomp::read(scene, child))
}

/// Maximum number of lines that a wrapper writes after its shell named the killed child.
const AFTER_CHILD: usize = 12;

/// Returns the child that, by the word of a wrapper's shell at the log's end, was killed by a
/// signal: `run.sh: line 3: 30721 Killed  node`.
fn child_that_died(lines: &[LogLine]) -> Option<u32> {
    lines
        .iter()
        .rev()
        .filter(|line| !line.is_blank())
        .take(AFTER_CHILD)
        .find_map(|line| child_in(&line.text))
}

/// bash's words for the signals that the kernel sends; see strsignal(3).
const DEATHS: [&str; 8] = [
    "Killed",
    "Segmentation fault",
    "Bus error",
    "Floating point exception",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Bad system call",
    "Aborted",
];

fn child_in(text: &str) -> Option<u32> {
    let words = text.rsplit_once(": ")?.1.trim_start();
    // The command may contain `: ` too. Then the shell's words are in the part before.
    let words = if words.starts_with(|first: char| first.is_ascii_digit()) {
        words
    } else {
        after_line_number(text)?
    };
    let (pid, death) = words.split_once(|c: char| !c.is_ascii_digit())?;
    let death = death.trim_start();
    DEATHS
        .iter()
        .any(|words| death.starts_with(words))
        .then(|| pid.parse().ok())?
}

/// Returns what bash says after `run.sh: line 3: `.
fn after_line_number(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(": line ")?;
    let (number, words) = after.split_once(": ")?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| words.trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    use super::{around, child_in, from_text, read};
    use crate::cause::{Scene, text};
    use crate::report::{Death, Exit};

    proptest! {
        #[test]
        fn any_words_are_survived(lines in vec((0..8_usize, any::<String>()), 0..20)) {
            const BEGUN: [&str; 8] = [
                "",
                "oom-kill:",
                "Killed process ",
                "Task in ",
                "traps: ",
                "a[7]: segfault at ",
                "audit: type=1326 ",
                "memory: usage ",
            ];
            let line = |(begun, rest): &(usize, String)| format!("{}{rest}", BEGUN[*begun]);
            let log: Vec<String> = lines.iter().map(line).collect();
            let log = log.join("\n");
            let messages = from_text(&log);
            let scene = Scene {
                job: "a",
                pid: Some(7),
                exit: &Exit::Unknown,
                log: None,
                kernel: ("", &messages),
            };
            let _ = (read(&scene, &text::read(&log)), around(&scene, Death::Unknown));
        }
    }

    #[test]
    fn a_shell_names_the_child_that_was_killed() {
        assert_eq!(
            child_in("run.sh: line 3: 30721 Killed                  node app.js"),
            Some(30721)
        );
        assert_eq!(
            child_in(
                "/srv/a b/run: line 12:   977 Segmentation fault      (core dumped) ./app a: b"
            ),
            Some(977)
        );
        assert_eq!(
            child_in("bash: 19013 Segmentation fault      ./np 1"),
            Some(19013)
        );
        for other in [
            "run.sh: line 3: 30721 Terminated  node",
            "job 1: 22 done",
            "Killed",
            "x: 99999999999999 Killed",
            ": ",
        ] {
            assert_eq!(child_in(other), None, "{other}");
        }
    }
}
