//! Shells (bash, dash, zsh, busybox): their words about commands that they cannot run, scripts that
//! they cannot read, and children that a fault killed. Also programs that only run another one
//! (env, timeout, tini …).
//!
//! A script goes on after most of this, so the exit code decides: 127 for a missing command, 126
//! for one that cannot be run. See "Exit Status" in bash(1).

use super::shape::is_like;
use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::line_text;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&FAULT_MARKS, own_fault).raw(),
    RuntimeWords::new(&SPEAKERS, complaint).raw(),
    RuntimeWords::new(&LAUNCHERS, launcher),
];

/// Ends of the speaker that stands before a complaint: a shell's name, or the number of a script's
/// line.
const SPEAKERS: [&str; 11] = [
    "sh: ", "0: ", "1: ", "2: ", "3: ", "4: ", "5: ", "6: ", "7: ", "8: ", "9: ",
];

/// Reads the speaker: `run.sh: line 3: …`, `run.sh: 3: …`, `run.sh:3: …` or `sh: …`. Returns its
/// place and its words.
fn script(text: &str) -> Option<(Option<SourcePlace>, &str)> {
    let at = |file: &str, line: &str| {
        let line = line
            .parse()
            .ok()
            .filter(|_| !file.is_empty() && file.len() < 300 && !file.starts_with([' ', '\t']))?;
        Some(Some(SourcePlace::new(file, Some(line))))
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
fn complaint(spot: &Spot) -> Option<Finding> {
    let text = spot.text().trim_end();
    let (place, rest) = script(text)?;
    if let Some((pid, child)) = rest.trim_start().split_once(' ')
        && pid.parse::<u32>().is_ok()
    {
        let (command, fault) = fault(child).filter(|(command, _)| !command.is_empty())?;
        let what = format!("{}: {command}", fault.0);
        return killed(spot, fault, what).map(|finding| finding.place(place));
    }
    // `${QUEUE_URL:?must be set}`: the words are the script's own.
    let is_unset = || {
        let name = rest.split_once(": ").map(|(name, _)| name);
        place.is_some() && name.is_some_and(is_variable)
    };
    let lowercase = rest.to_ascii_lowercase();
    let find = |complaints: &'static [Complaint]| {
        complaints.iter().find(|it| is_like(&lowercase, it.shapes))
    };
    let complaint = find(&UNREADABLE).or_else(|| is_unset().then_some(&UNSET));
    let complaint = complaint.or_else(|| find(&FAILED))?;
    // bash quotes the unreadable line below its error.
    let is_quote = |(at, rest): (Option<SourcePlace>, &str)| at == place && rest.starts_with('`');
    let has_quote = complaint.kind == Death::SyntaxError
        && script(line_text(spot.lines, spot.at + 1)).is_some_and(is_quote);
    let what = if place.is_some() { rest } else { text };
    let end = spot.at + 1 + usize::from(has_quote);
    let finding = Finding::at(spot.at..end, complaint.kind, what).place(place);
    Some(match (complaint.ends, complaint.may) {
        (Some(ends), Some(may)) => finding.last_words(ends).or_said(may),
        (Some(ends), None) => finding.last_words(ends),
        (None, may) => finding.said(may.unwrap_or_default()),
    })
}

/// A sort of complaint, by the words that shells use for it.
struct Complaint {
    /// Shapes of the words, in small letters.
    shapes: &'static [&'static str],
    kind: Death,
    /// Exits of a shell that ends by it. If a command was not found, the exit code shows it.
    ends: Option<&'static [ExpectedExit]>,
    /// Exits of a shell that may have gone on. If a redirection or a builtin failed, `set -e` or a
    /// POSIX shell ends the script with a code of its own.
    may: Option<&'static [ExpectedExit]>,
}

/// The script cannot be read, or a variable is not set.
const UNREADABLE: [Complaint; 2] = [
    Complaint {
        shapes: &[
            "syntax error…",
            "parse error…",
            "unexpected eof while looking for…",
            "unmatched …",
        ],
        kind: Death::SyntaxError,
        ends: Some(&[Code(2), Code(1)]),
        may: None,
    },
    Complaint {
        shapes: &[
            "…: unbound variable",
            "…: parameter not set",
            "…: parameter null or not set",
        ],
        kind: Death::PlainExit,
        ends: Some(&[Code(1), Code(2), Code(127)]),
        may: None,
    },
];

/// `${NAME:?words}`
const UNSET: Complaint = Complaint {
    shapes: &[],
    kind: Death::PlainExit,
    ends: None,
    may: Some(&[Code(1), Code(2), Code(127)]),
};

/// A command cannot be run.
const FAILED: [Complaint; 8] = [
    Complaint {
        shapes: &[
            "command not found: …",
            "…: command not found",
            "…: not found",
            "…required file not found",
        ],
        kind: Death::NoSuchFile,
        ends: Some(&[Code(127)]),
        may: None,
    },
    Complaint {
        shapes: &["…bad interpreter: …"],
        kind: Death::NoSuchFile,
        ends: Some(&[Code(127), Code(126)]),
        may: None,
    },
    Complaint {
        shapes: &[
            "exec format error: …",
            "…exec format error",
            "…: cannot execute binary file",
            "…: argument list too long",
        ],
        kind: Death::BadArguments,
        ends: Some(&[Code(126), Code(127)]),
        may: None,
    },
    Complaint {
        shapes: &["…: is a directory"],
        kind: Death::BadArguments,
        ends: Some(&[Code(126)]),
        may: None,
    },
    Complaint {
        shapes: &[
            "no such file or directory: …",
            "cd: can't cd to …",
            "…: no such file or directory",
            "…: no such file",
            "…directory nonexistent",
            "…nonexistent directory",
        ],
        kind: Death::NoSuchFile,
        ends: Some(&[Code(127)]),
        may: Some(&[Code(1), Code(2)]),
    },
    Complaint {
        shapes: &["permission denied: …", "…: permission denied"],
        kind: Death::Permission,
        ends: Some(&[Code(126)]),
        may: Some(&[Code(1), Code(2)]),
    },
    Complaint {
        shapes: &["…fork: cannot allocate memory"],
        kind: Death::OutOfMemoryHeap,
        ends: None,
        may: Some(&[]),
    },
    Complaint {
        shapes: &["…no space left on device"],
        kind: Death::DiskFull,
        ends: None,
        may: Some(&[]),
    },
];

/// Returns true if a word may name an environment variable.
fn is_variable(name: &str) -> bool {
    let is_of_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !name.is_empty() && name.bytes().all(is_of_name)
}

/// A fault as shells call it, the kind of death by it, and the exits that go with it. For other
/// signals the shell does not know the sender.
type ShellFault = (&'static str, Death, &'static [ExpectedExit]);

const FAULTS: [ShellFault; 6] = [
    ("Segmentation fault", Death::Segfault, &[Signal("SEGV")]),
    ("Aborted", Death::Abort, &[Signal("ABRT")]),
    ("Bus error", Death::KilledBySignal, &[Signal("BUS")]),
    (
        "Illegal instruction",
        Death::KilledBySignal,
        &[Signal("ILL")],
    ),
    (
        "Floating point exception",
        Death::KilledBySignal,
        &[Signal("FPE")],
    ),
    ("Bad system call", Death::KilledBySignal, &[Signal("SYS")]),
];

const FAULT_MARKS: [&str; 6] = [
    "\nSegmentation fault",
    "\nAborted",
    "\nBus error",
    "\nIllegal instruction",
    "\nFloating point exception",
    "\nBad system call",
];

/// Reads `Segmentation fault      (core dumped) ./engine --x`. Returns the command and the fault.
fn fault(text: &str) -> Option<(&str, ShellFault)> {
    let fault = FAULTS
        .into_iter()
        .find(|(name, ..)| text.starts_with(name))?;
    let rest = text.strip_prefix(fault.0)?.trim_start();
    Some((
        rest.strip_prefix("(core dumped)")
            .unwrap_or(rest)
            .trim_start(),
        fault,
    ))
}

/// Reads a fault's name that stands alone on a line.
fn own_fault(spot: &Spot) -> Option<Finding> {
    let text = spot.text().trim_end();
    let (_, fault) = fault(text).filter(|(command, _)| command.is_empty())?;
    killed(spot, fault, text.to_owned())
}

/// Number of lines before a shell's word in which another runtime's finding tells more of the same
/// death.
const NEAR: usize = 3;

/// Returns a shell's word on a child that a fault killed, unless a finding right before it tells
/// more of the same death. No logger's entry may stand between them.
fn killed(spot: &Spot, (_, kind, ends): ShellFault, what: String) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let tells_more = |finding: &Finding| {
        let since = lines.get(finding.lines.end..at).unwrap_or_default();
        finding.lines.end <= at
            && finding.lines.end + NEAR > at
            && finding.ends.iter().any(|end| ends.contains(end))
            && since.iter().all(|line| line.entry.is_none())
    };
    let mut before = spot
        .own
        .iter()
        .rev()
        .chain(spot.others.iter().rev())
        .take(8);
    (!before.any(tells_more)).then(|| Finding::at(at..at + 1, kind, what).last_words(ends))
}

/// Marks of programs that only run another one.
const LAUNCHERS: [&str; 20] = [
    "env: ",
    "nice: ",
    "nohup: ",
    "timeout: ",
    "stdbuf: ",
    "chroot: ",
    "xargs: ",
    ": failed to execute ",
    "start-stop-daemon: unable to ",
    "\n[FATAL tini (",
    "\nsu-exec: ",
    "\ngosu: ",
    "\nsudo: ",
    "\n[dumb-init]",
    "\nerror: ",
    "\nexec ",
    "\nstandard_init_linux.go:",
    "OCI runtime ",
    "oci runtime ",
    "ailed at step EXEC spawning ",
];

/// Shapes of runc's words for the first process of a container, and of systemd's, in small letters.
const OTHERS: [&str; 3] = [
    "standard_init_linux.go:…",
    "…oci runtime… failed: …",
    "…failed at step exec spawning …",
];

/// Reads the words of programs that were to run another and could not.
fn launcher(spot: &Spot) -> Option<Finding> {
    let text = spot.text().trim_end();
    let (program, rest) = text.split_once(": ")?;
    let name = program.rsplit('/').next()?;
    let lowercase = text.to_ascii_lowercase();
    let is_format = is_like(&lowercase, &["…exec format error", "…exec format error\""]);
    let is_missing = is_like(
        &lowercase,
        &[
            "…executable file not found in $path…",
            "…command not found…",
        ],
    );
    let kind = beneath::kind(&lowercase)
        .filter(|kind| [Death::NoSuchFile, Death::Permission].contains(kind))
        .or_else(|| is_format.then_some(Death::BadArguments))
        .or_else(|| is_missing.then_some(Death::NoSuchFile))?;
    let finding = Finding::at(spot.at..spot.at + 1, kind, text);
    // util-linux's tools have exit codes of their own.
    if rest.starts_with("failed to execute ") {
        return Some(finding);
    }
    let is_coreutils = match name {
        "env" | "nice" | "nohup" | "timeout" | "stdbuf" | "chroot" => {
            rest.starts_with(['\'', '‘', '"']) || rest.starts_with("failed to run command ")
        }
        _ => name == "xargs",
    };
    if is_coreutils || is_like(&lowercase, &["[fatal tini (…exec …"]) {
        return Some(finding.last_words(&[Code(127), Code(126)]));
    }
    let is_other = match program {
        "su-exec" | "[dumb-init]" => true,
        "gosu" | "sudo" | "error" => is_missing || rest.starts_with("exec"),
        _ if name == "start-stop-daemon" => rest.starts_with("unable to "),
        _ => program.starts_with("exec ") && !rest.contains(": ") || is_like(&lowercase, &OTHERS),
    };
    is_other.then_some(finding)
}

#[cfg(test)]
mod tests;
