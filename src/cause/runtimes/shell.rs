//! Shells (bash, dash, zsh, busybox): their words about commands that they cannot run, scripts that
//! they cannot read, and children that a fault killed. Also programs that only run another one
//! (env, timeout, tini …).
//!
//! A script goes on after most of this, so the exit code decides: 127 for a missing command, 126
//! for one that cannot be run. See "Exit Status" in bash(1).

use crate::cause::beneath;
use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Number of lines before a shell's word in which another runtime's finding tells more of the same
/// death.
const NEAR: usize = 3;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    for (i, line) in lines.iter().enumerate() {
        let text = line.text.trim_end();
        let said = if line.entry.is_none() {
            shell(lines, i, text, found)
        } else {
            Vec::new()
        };
        let said = if said.is_empty() {
            launcher(text).into_iter().collect()
        } else {
            said
        };
        let place: Option<SourcePlace> = script(text).and_then(|(place, _)| place);
        // bash quotes the unreadable line below its error.
        let quotes = lines
            .get(i + 1)
            .and_then(|line| script(&line.text))
            .is_some_and(|(at, rest)| at == place && rest.starts_with('`'));
        for ShellWords {
            kind,
            what,
            proof,
            ends,
        } in said
        {
            let end = i + 1 + usize::from(quotes && kind == Death::SyntaxError);
            found.push(Finding {
                lines: i..end,
                quoted: i,
                kind,
                what,
                place: place.clone(),
                proof,
                ends,
            });
        }
    }
}

struct ShellWords {
    kind: Death,
    what: String,
    proof: Proof,
    ends: &'static [ExpectedExit],
}

/// Reads the speaker: `run.sh: line 3: …`, `run.sh: 3: …`, `run.sh:3: …` or `sh: …`. Returns its
/// place and its words.
fn script(text: &str) -> Option<(Option<SourcePlace>, &str)> {
    let at = |file: &str, line: &str| {
        let line = line
            .parse()
            .ok()
            .filter(|_| !file.is_empty() && file.len() < 300 && !file.starts_with([' ', '\t']))?;
        Some(Some(SourcePlace {
            file: file.to_owned(),
            line: Some(line),
            function: None,
        }))
    };
    let (file, rest) = text.split_once(": ")?;
    if is_shell(file) {
        // A command line has no place.
        let inner = rest.strip_prefix("-c: ").unwrap_or(rest);
        let numbered = inner
            .split_once(": ")
            .filter(|(line, _)| is_number(line.strip_prefix("line ").unwrap_or(line)));
        return Some((None, numbered.map_or(inner, |(_, rest)| rest)));
    }
    if let Some((line, rest)) = rest.strip_prefix("line ").unwrap_or(rest).split_once(": ")
        && let Some(place) = at(file, line)
    {
        return Some((place, rest));
    }
    // busybox puts the builtin before the line (`run.sh: cd: line 2: …`), bash its option (`bash:
    // -c: line 1: …`).
    if let Some((builtin, line)) = rest.split_once(": line ")
        && let Some((line, rest)) = line.split_once(": ")
        && !builtin.contains(' ')
        && let Some(place) = at(file, line)
    {
        return Some((place, rest));
    }
    // zsh: `run.sh:3: …`, `run.sh:cd:3: …`.
    if let Some((name, line)) = file.rsplit_once(':')
        && !is_shell(name)
        && let Some(place) = at(name.split(':').next().unwrap_or(name), line)
    {
        return Some((place, rest));
    }
    file.split_once(':')
        .filter(|(name, line)| is_shell(name) && is_number(line))
        .map(|_| (None, rest))
}

fn is_shell(file: &str) -> bool {
    let name = file
        .rsplit('/')
        .next()
        .unwrap_or(file)
        .trim_start_matches('-');
    ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"].contains(&name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a shell's complaint, or its word on a child that a fault has killed.
fn shell(lines: &[LogLine], i: usize, text: &str, found: &[Finding]) -> Vec<ShellWords> {
    let untold = |said: &ShellWords| !is_told_better(lines, i, said.ends, found);
    if let Some(said) = fault(text, "") {
        return Some(said).filter(untold).into_iter().collect();
    }
    let Some((place, rest)) = script(text) else {
        return Vec::new();
    };
    let child = rest.trim_start().split_once(' ');
    if let Some((_, child)) = child.filter(|(pid, _)| pid.parse::<u32>().is_ok()) {
        let said = fault(child, &format!(" in {text}"));
        return said.filter(untold).into_iter().collect();
    }
    let what = if place.is_some() { rest } else { text };
    if let Some(complaint) = find(&UNREADABLE, rest) {
        return complaint.said(what);
    }
    // `${QUEUE_URL:?must be set}`
    let names_variable = rest
        .split_once(": ")
        .is_some_and(|(name, _)| is_variable(name));
    if place.is_some() && names_variable {
        return UNSET.said(what);
    }
    find(&FAILED, rest).map_or_else(Vec::new, |complaint| complaint.said(what))
}

/// A sort of complaint, by the words that shells use for it.
struct Complaint {
    /// Words at the complaint's beginning, at its end or anywhere in it, in small letters.
    begins: &'static [&'static str],
    ends: &'static [&'static str],
    contains: &'static [&'static str],
    kind: Death,
    proof: Certainty,
    /// Exits of the shell.
    exits: &'static [ExpectedExit],
}

/// How sure it is that the script ends with the complaint.
#[derive(Clone, Copy)]
enum Certainty {
    Ends,
    /// If a command was not found, the exit code shows it. If a redirection or a builtin failed,
    /// `set -e` or a POSIX shell ends the script with a code of its own.
    EndsOrMay,
    May,
}

const NO_WORDS: Complaint = Complaint {
    begins: &[],
    ends: &[],
    contains: &[],
    kind: Death::PlainExit,
    proof: Certainty::May,
    exits: &[],
};

/// The script cannot be read, or a variable is not set.
const UNREADABLE: [Complaint; 2] = [
    Complaint {
        begins: &[
            "syntax error",
            "parse error",
            "unexpected eof while looking for",
            "unmatched ",
        ],
        kind: Death::SyntaxError,
        proof: Certainty::Ends,
        exits: &[ExpectedExit::Code(2), ExpectedExit::Code(1)],
        ..NO_WORDS
    },
    Complaint {
        ends: &[
            ": unbound variable",
            ": parameter not set",
            ": parameter null or not set",
        ],
        kind: Death::PlainExit,
        proof: Certainty::Ends,
        exits: &[
            ExpectedExit::Code(1),
            ExpectedExit::Code(2),
            ExpectedExit::Code(127),
        ],
        ..NO_WORDS
    },
];

/// `${NAME:?words}`: the words are the script's own.
const UNSET: Complaint = Complaint {
    kind: Death::PlainExit,
    proof: Certainty::May,
    exits: &[
        ExpectedExit::Code(1),
        ExpectedExit::Code(2),
        ExpectedExit::Code(127),
    ],
    ..NO_WORDS
};

/// A command cannot be run.
const FAILED: [Complaint; 8] = [
    Complaint {
        begins: &["command not found: "],
        ends: &[
            ": command not found",
            ": not found",
            "required file not found",
        ],
        kind: Death::NoSuchFile,
        proof: Certainty::Ends,
        exits: &[ExpectedExit::Code(127)],
        ..NO_WORDS
    },
    Complaint {
        contains: &["bad interpreter: "],
        kind: Death::NoSuchFile,
        proof: Certainty::Ends,
        exits: &[ExpectedExit::Code(127), ExpectedExit::Code(126)],
        ..NO_WORDS
    },
    Complaint {
        begins: &["exec format error: "],
        ends: &[
            "exec format error",
            ": cannot execute binary file",
            ": argument list too long",
        ],
        kind: Death::BadArguments,
        proof: Certainty::Ends,
        exits: &[ExpectedExit::Code(126), ExpectedExit::Code(127)],
        ..NO_WORDS
    },
    Complaint {
        ends: &[": is a directory"],
        kind: Death::BadArguments,
        proof: Certainty::Ends,
        exits: &[ExpectedExit::Code(126)],
        ..NO_WORDS
    },
    Complaint {
        begins: &["no such file or directory: ", "cd: can't cd to "],
        ends: &[
            ": no such file or directory",
            ": no such file",
            "directory nonexistent",
            "nonexistent directory",
        ],
        kind: Death::NoSuchFile,
        proof: Certainty::EndsOrMay,
        exits: &[ExpectedExit::Code(127)],
        ..NO_WORDS
    },
    Complaint {
        begins: &["permission denied: "],
        ends: &[": permission denied"],
        kind: Death::Permission,
        proof: Certainty::EndsOrMay,
        exits: &[ExpectedExit::Code(126)],
        ..NO_WORDS
    },
    Complaint {
        ends: &["fork: cannot allocate memory"],
        kind: Death::OutOfMemoryHeap,
        proof: Certainty::May,
        exits: &[],
        ..NO_WORDS
    },
    Complaint {
        ends: &["no space left on device"],
        kind: Death::DiskFull,
        proof: Certainty::May,
        exits: &[],
        ..NO_WORDS
    },
];

/// Returns the first sort of complaint whose words stand in the text.
fn find<'a>(complaints: &'a [Complaint], words: &str) -> Option<&'a Complaint> {
    let lowercase = words.to_ascii_lowercase();
    complaints.iter().find(|complaint| {
        complaint.begins.iter().any(|it| lowercase.starts_with(it))
            || complaint.ends.iter().any(|it| lowercase.ends_with(it))
            || complaint.contains.iter().any(|it| lowercase.contains(it))
    })
}

impl Complaint {
    fn said(&self, what: &str) -> Vec<ShellWords> {
        let said = |proof, ends| ShellWords {
            kind: self.kind,
            what: what.to_owned(),
            proof,
            ends,
        };
        let ends = said(Proof::LastWords, self.exits);
        match self.proof {
            Certainty::Ends => vec![ends],
            Certainty::EndsOrMay => {
                vec![
                    ends,
                    said(Proof::Said, &[ExpectedExit::Code(1), ExpectedExit::Code(2)]),
                ]
            }
            Certainty::May => vec![said(Proof::Said, self.exits)],
        }
    }
}

/// Returns true if a word may name an environment variable.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns true if a finding right before this line tells more of the same death. No logger's entry
/// may stand between them.
fn is_told_better(lines: &[LogLine], i: usize, ends: &[ExpectedExit], found: &[Finding]) -> bool {
    let is_near = |finding: &&Finding| finding.lines.end <= i && finding.lines.end + NEAR > i;
    let since = |finding: &Finding| lines.get(finding.lines.end..i).unwrap_or_default();
    found.iter().rev().take(8).filter(is_near).any(|finding| {
        finding.ends.iter().any(|end| ends.contains(end))
            && since(finding).iter().all(|line| line.entry.is_none())
    })
}

/// Reads `Segmentation fault      (core dumped) ./engine --x`: a shell's word on a child that a
/// fault killed. For other signals the shell does not know the sender.
fn fault(text: &str, at: &str) -> Option<ShellWords> {
    let faults: [(&str, Death, &'static [ExpectedExit]); 6] = [
        (
            "Segmentation fault",
            Death::Segfault,
            &[ExpectedExit::Signal("SEGV")],
        ),
        ("Aborted", Death::Abort, &[ExpectedExit::Signal("ABRT")]),
        (
            "Bus error",
            Death::KilledBySignal,
            &[ExpectedExit::Signal("BUS")],
        ),
        (
            "Illegal instruction",
            Death::KilledBySignal,
            &[ExpectedExit::Signal("ILL")],
        ),
        (
            "Floating point exception",
            Death::KilledBySignal,
            &[ExpectedExit::Signal("FPE")],
        ),
        (
            "Bad system call",
            Death::KilledBySignal,
            &[ExpectedExit::Signal("SYS")],
        ),
    ];
    let (name, kind, ends) = faults
        .into_iter()
        .find(|(name, ..)| text.starts_with(name))?;
    let rest = text.strip_prefix(name)?.trim_start();
    let rest = rest
        .strip_prefix("(core dumped)")
        .unwrap_or(rest)
        .trim_start();
    // Without a script's name, nothing else may stand on the line.
    if at.is_empty() != rest.is_empty() {
        return None;
    }
    let what = if rest.is_empty() {
        text.trim().to_owned()
    } else {
        format!("{name}: {rest}")
    };
    Some(ShellWords {
        kind,
        what,
        proof: Proof::LastWords,
        ends,
    })
}

/// Exits of coreutils and shells if a command is missing or cannot be run.
const RUN: &[ExpectedExit] = &[ExpectedExit::Code(127), ExpectedExit::Code(126)];

/// Reads the words of programs that were to run another and could not.
fn launcher(text: &str) -> Option<ShellWords> {
    let lowercase = text.to_ascii_lowercase();
    let is_format =
        lowercase.ends_with("exec format error") || lowercase.ends_with("exec format error\"");
    let is_missing = lowercase.contains("executable file not found in $path")
        || lowercase.contains("command not found");
    let kind = beneath::kind(&lowercase)
        .filter(|kind| [Death::NoSuchFile, Death::Permission].contains(kind));
    let kind = kind
        .or_else(|| is_format.then_some(Death::BadArguments))
        .or_else(|| is_missing.then_some(Death::NoSuchFile))?;
    let (program, rest) = text.split_once(": ")?;
    let name = program.rsplit('/').next()?;
    let quotes = rest.starts_with(['\'', '‘', '"']);
    let is_coreutils = [
        "env", "nice", "nohup", "timeout", "stdbuf", "chroot", "xargs",
    ]
    .contains(&name)
        && (quotes || rest.starts_with("failed to run command ") || name == "xargs");
    let is_init = lowercase.starts_with("[fatal tini (") && lowercase.contains("exec ");
    if is_coreutils || is_init || rest.starts_with("failed to execute ") {
        // util-linux's other tools have exit codes of their own.
        let ends = if rest.starts_with("failed to execute ") {
            &[]
        } else {
            RUN
        };
        let proof = if ends.is_empty() {
            Proof::Said
        } else {
            Proof::LastWords
        };
        return Some(ShellWords {
            kind,
            what: text.to_owned(),
            proof,
            ends,
        });
    }
    let is_runner = ["su-exec", "gosu", "sudo", "[dumb-init]", "error"].contains(&program);
    let tells_of_command =
        is_missing || rest.starts_with("exec") || program == "su-exec" || program.starts_with('[');
    let is_other = name == "start-stop-daemon" && rest.starts_with("unable to ")
        || is_runner && tells_of_command
        // runc's words for the first process of a container, and systemd's.
        || program.starts_with("exec ") && !rest.contains(": ")
        || lowercase.starts_with("standard_init_linux.go:")
        || lowercase.contains("oci runtime") && lowercase.contains(" failed: ")
        || lowercase.contains("failed at step exec spawning ");
    is_other.then(|| ShellWords {
        kind,
        what: text.to_owned(),
        proof: Proof::Said,
        ends: &[],
    })
}

#[cfg(test)]
mod tests;
