//! `Fatal Python error: …`: what the interpreter and faulthandler print as they end the process
//! themselves.

use super::frame;
use crate::cause::finding::{End, Finding, Proof};
use crate::cause::text::Line;
use crate::report::Death;

const MARK: &str = "Fatal Python error: ";

pub fn read(lines: &[Line], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let what = lines.get(i)?.text.strip_prefix(MARK)?.trim_end();
    let (mut kind, ends) = kind(what);
    let mut what = format!("{MARK}{what}");
    let mut place = None;
    let mut is_current = true;
    let mut end = i + 1;
    while let Some(line) = lines.get(end) {
        let text = line.text.as_str();
        if text.starts_with("Thread 0x") {
            // The other threads come before the current one, or after it.
            is_current = false;
        } else if text.starts_with("Current thread")
            || text.starts_with("Stack (most recent call first)")
        {
            is_current = true;
        } else if let Some(frame) = frame::read(text) {
            place = place
                .or_else(|| Some(frame).filter(|frame| is_current && frame::is_own(&frame.file)));
        } else if text.starts_with("ModuleNotFoundError") || text.starts_with("ImportError") {
            kind = Death::MissingModule;
            what = format!("{what}: {text}");
        } else if !(line.is_blank() || is_said_with_it(text)) {
            break;
        }
        end += 1;
    }
    found.push(Finding {
        lines: i..end,
        quoted: i,
        kind,
        what,
        place,
        proof: Proof::LastWords,
        ends,
    });
    Some(end)
}

fn is_said_with_it(text: &str) -> bool {
    text.starts_with([' ', '\t', '<'])
        || [
            "Python runtime state",
            "Python path configuration",
            "Extension modules: ",
            "Current thread's C stack",
        ]
        .iter()
        .any(|words| text.starts_with(words))
}

/// Which death each is, and how it ends the process; see `faulthandler_handlers` and
/// `fatal_error_exit` in `CPython`.
fn kind(what: &str) -> (Death, &'static [End]) {
    const ABORT: &[End] = &[End::Signal("ABRT")];
    match what {
        "Segmentation fault" => (Death::Segfault, &[End::Signal("SEGV")]),
        "Bus error" => (Death::KilledBySignal, &[End::Signal("BUS")]),
        "Floating point exception" | "Floating-point exception" => {
            (Death::KilledBySignal, &[End::Signal("FPE")])
        }
        "Illegal instruction" => (Death::KilledBySignal, &[End::Signal("ILL")]),
        "Aborted" => (Death::Abort, ABORT),
        _ if what.contains("stack overflow") => (Death::StackOverflow, ABORT),
        // An interpreter that cannot start exits with 1; otherwise it aborts.
        _ => (Death::Abort, &[End::Signal("ABRT"), End::Code(1)]),
    }
}
