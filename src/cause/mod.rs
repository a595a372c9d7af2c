//! Names the cause of a death in one line, with its evidence. "unknown" is a good answer; a guess
//! is not.
//!
//! ```text
//! log ─ window ─ text::read ─> Lines ─ runtimes::read ─> Findings ┐
//!                                  └ tail ─ last_words ───────────┴ judge ┐
//! kernel log ─ kernel ────────────────────────────────────────────────────┴ wording ─> Cause
//! ```
//!
//! Pure: no I/O, no clock. The input is hostile, so the time is linear in its length. A line is cut
//! at a fixed length, and goes through a fixed number of carriers and of patterns without
//! backtracking. JSON is no deeper than `serde_json`'s limit. A runtime reads the lines of a
//! finding once. After a death only the last few dozen units are read. A finding is one unit,
//! however long it is.

pub mod aftermath;
pub mod beneath;
mod carrier;
#[cfg(test)]
mod decoys;
pub mod entry;
mod explanation;
pub mod finding;
pub mod fingerprint;
mod handled;
pub mod judge;
pub mod kernel;
pub mod last_words;
pub mod lexicon;
#[cfg(test)]
mod lines;
pub mod logged;
mod prefix;
pub mod runtimes;
mod scene;
pub mod stamp;
pub mod tail;
pub mod text;
pub mod thing;
mod window;
pub mod wording;

use std::cell::OnceCell;

use explanation::{from_exit, from_last_words, from_log};
use finding::{Finding, Proof};
use judge::LogEvidence;
use tail::Tail;
use text::LogLine;
use window::LogWindow;

use crate::redact::Redactor;
use crate::report::{Death, Exit};

pub use scene::{Explanation, KernelMessage, Scene};

/// Names the cause that the evidence proves. The log has no secrets.
pub fn explain(scene: &Scene) -> Explanation {
    let (_, log) = scene.log.unwrap_or_default();
    LogWindow::of(log)
        .find_map(|view| explain_by(scene, view, view.text))
        .unwrap_or_else(|| from_exit(scene))
}

/// Names the cause as [`explain`] does, by a log that may have secrets.
///
/// A cause quotes parts of lines, and what is left of a secret is no longer known as one. So what
/// is read of the log is redacted before.
pub fn explain_redacted(scene: &Scene, redactor: &Redactor) -> Explanation {
    let (_, log) = scene.log.unwrap_or_default();
    let whole = OnceCell::new();
    LogWindow::of(log)
        .find_map(|view| explain_by(scene, view, &view.redacted(log, redactor, &whole)))
        .unwrap_or_else(|| from_exit(scene))
}

/// Names the cause by the end of the log, which has this text; `None` if the log above may tell
/// otherwise.
fn explain_by(scene: &Scene, view: LogWindow, text: &str) -> Option<Explanation> {
    let (source, _) = scene.log.unwrap_or_default();
    let mut lines = text::read(text);
    let first = view.first_line();
    for line in &mut lines {
        line.number += first - 1;
    }
    if !text::keep_own(&mut lines, scene.job) && !view.above.is_empty() {
        return None;
    }
    let in_log = (*scene.exit == Exit::Unknown)
        .then(|| aftermath::exit(&lines, scene))
        .flatten();
    // The journal holds the kernel's messages too.
    let by_kernel = kernel::take(&mut lines);
    let scene = &Scene {
        exit: in_log.as_ref().unwrap_or(scene.exit),
        kernel: match scene.kernel {
            (_, []) => (source, &by_kernel),
            own => own,
        },
        ..*scene
    };
    let told = kernel::read(scene, &lines);
    let mut explanation = match told {
        Some(told) if told.is_final() => told.explain(scene),
        told => choose(scene, source, &lines, view, told)?,
    };
    let cause = &mut explanation.cause;
    for evidence in kernel::around(scene, cause.kind) {
        if !cause.evidence.contains(&evidence) {
            cause.evidence.push(evidence);
        }
    }
    Some(explanation)
}

/// Returns the explanation by the log, by the kernel or by the exit: the first that says more than
/// the next; `None` if the log above may tell otherwise.
fn choose(
    scene: &Scene,
    source: &str,
    lines: &[LogLine],
    view: LogWindow,
    told: Option<kernel::KernelCause>,
) -> Option<Explanation> {
    let found = judge::found(lines);
    let tail = Tail::read(lines, view, &found, scene);
    let judgement = judge::judge(&tail, &found);
    let proven = match &judgement {
        LogEvidence::Proven(finding) => Some(finding),
        _ => None,
    };
    if !view.above.is_empty() && !tail.is_enough(&found, proven) {
        return None;
    }
    Some(match (judgement, told) {
        (LogEvidence::Proven(finding), Some(told)) if says_more(&finding, &told) => {
            let mut explanation = from_log(scene, &finding, source, lines);
            explanation.cause.evidence.extend(told.evidence);
            explanation
        }
        (_, Some(told)) => told.explain(scene),
        (LogEvidence::Proven(finding), None) => from_log(scene, &finding, source, lines),
        (LogEvidence::Said(said), None) => from_last_words(scene, source, lines, &found, &said),
        // supervisord's word that it gave up, or the exit alone.
        (LogEvidence::Nothing, None) => match aftermath::gave_up(lines) {
            Some(finding) if finding.fits(scene.exit) => from_log(scene, &finding, source, lines),
            _ => from_exit(scene),
        },
    })
}

/// Returns true if an error in the log says why the process faulted: an error that only a process
/// that ends prints, or any error if the fault is how runtimes abort. A shell's word for the signal
/// says less than the kernel's.
fn says_more(finding: &Finding, told: &kernel::KernelCause) -> bool {
    let is_signal_only =
        matches!(finding.kind, Death::KilledBySignal | Death::Segfault) && finding.place.is_none();
    !is_signal_only && (finding.proof == Proof::LastWords || told.is_abort)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Scene, explain, kernel};
    use crate::report::{Confidence, Exit};

    fn explained(log: &str) -> (String, Confidence) {
        let exit = Exit::Code(1);
        let scene = Scene {
            job: "web",
            pid: Some(42),
            exit: &exit,
            log: Some(("log", log)),
            kernel: ("", &[]),
        };
        let cause = explain(&scene).cause;
        (cause.line, cause.confidence)
    }

    #[test]
    fn hostile_logs_end_in_an_answer() {
        let shapes = [
            "a".repeat(1 << 20),
            " ".repeat(1 << 20),
            "\"".repeat(1 << 20),
            "[".repeat(1 << 20),
            "{\"level\":60,\"err\":".repeat(1 << 14),
            "{\"log\":\"".repeat(1 << 14),
            "Nov 22 23:58:59 db1 web[42]: ".repeat(1 << 14),
            "\n".repeat(100_000),
            "FATAL cannot start\n".repeat(20_000),
            "Error: boom\n    at f (/srv/a.js:1:2)\n".repeat(10_000),
            "[boot] web starting, pid 42\n".repeat(20_000),
            "{\"level\":60,\"time\":1,\"msg\":\"x\",\"err\":{\"stack\":\"Error: x\\n at f (a.js:1:2)\"}}\n"
                .repeat(5_000),
        ];
        for shape in shapes {
            let (line, _) = explained(&shape);
            assert!(!line.is_empty() && line.len() < 1200, "{line}");
        }
    }

    #[test]
    fn lines_of_all_sorts_in_any_order_end_in_an_answer() {
        const LINES: [&str; 16] = [
            "Error: x",
            "    at f (/srv/a.js:1:2)",
            "Traceback (most recent call last):",
            "  File \"/srv/a.py\", line 1, in b",
            "ValueError: x",
            "panic: y",
            "goroutine 1 [running]:",
            "",
            "npm ERR! code 1",
            "2026-11-22 23:59:01 FATAL q",
            "{\"level\":60,\"time\":1,\"msg\":\"boom\",\"err\":{\"stack\":\"Error: x\\n    at f (a.js:1:2)\"}}",
            "Node.js v20.20.2",
            "thread 'main' panicked at a.rs:1:1:",
            "usage: x",
            "Caused by: java.lang.E: q",
            "[boot] web starting, pid 42",
        ];
        // A linear congruential generator, see Knuth, TAOCP 3.3.4: the same lines each time.
        let mut state = 42_u64;
        for _ in 0..40 {
            let mut log = String::new();
            for _ in 0..500 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                log.push_str(LINES[usize::try_from(state >> 60).unwrap_or_default()]);
                log.push('\n');
            }
            assert!(!explained(&log).0.is_empty());
        }
    }

    /// Beginnings of lines that some part of the analysis looks for.
    const BEGINNINGS: [&str; 48] = [
        "",
        " ",
        "\t",
        "    at ",
        "\tat ",
        "\tfrom ",
        "  File \"",
        "Error: ",
        "TypeError: ",
        "[Error: ",
        "error: ",
        "Uncaught ",
        "Traceback (most recent call last):",
        "During handling of the above exception, another exception occurred:",
        "  + Exception Group Traceback (most recent call last):",
        "  | ",
        "Exception in thread \"main\" ",
        "Caused by: ",
        "panic: ",
        "fatal error: ",
        "goroutine 1 [running]:",
        "[signal SIG",
        "thread 'main' panicked at ",
        "stack backtrace:",
        "terminate called after throwing an instance of '",
        "  what():  ",
        "==1==ERROR: ",
        "a.c:1: f: Assertion `",
        "FATAL ERROR: ",
        "# Fatal ",
        "<--- Last few GCs --->",
        "Node.js v",
        "Bun v",
        "node:internal/process:1",
        "^",
        "run.sh: line 3: ",
        "app.rb:2:in 'f': ",
        "PHP Fatal error:  ",
        "Can't locate ",
        "** (",
        "Unhandled exception. ",
        "usage: ",
        "{\"level\":60,\"time\":1,\"msg\":\"",
        "{\"log\":\"",
        "2026-11-22T23:58:59.123456789Z ",
        "Nov 22 23:58:59 db1 web[42]: ",
        "[boot] web starting, pid ",
        ">>> ",
    ];

    fn log() -> impl Strategy<Value = String> {
        let beginning = || proptest::sample::select(BEGINNINGS.as_slice());
        let rest = prop_oneof![
            4 => "[ -~]{0,40}",
            2 => "[a-z/]{1,9}[.:][0-9a-z]{1,4}(:[0-9]{1,3})?[):,; {]{0,3}",
            1 => any::<String>(),
            1 => "[éß€\u{1f980}\\x1b\\[\"'`]{0,12}",
        ];
        let line = (beginning(), beginning(), rest, 1_usize..4)
            .prop_map(|(one, two, rest, times)| format!("{one}{two}{}", rest.repeat(times)));
        let block = (line, prop_oneof![9 => Just(1_usize), 1 => 2_usize..60])
            .prop_map(|(line, times)| format!("{line}\n").repeat(times));
        proptest::collection::vec(block, 0..40).prop_map(|blocks| blocks.concat())
    }

    fn exit() -> impl Strategy<Value = Exit> {
        let signal = proptest::sample::select(["SEGV", "ABRT", "KILL", "TERM"].as_slice());
        prop_oneof![
            Just(Exit::Unknown),
            (0_i32..256).prop_map(Exit::Code),
            signal.prop_map(|name| Exit::Signal {
                name: name.to_owned(),
                core_dumped: false
            }),
        ]
    }

    proptest! {
        #[test]
        fn no_log_ends_without_an_answer(log in log(), exit in exit(), pid in 1_u32..50) {
            let kernel = kernel::from_text(&log);
            let scene = Scene {
                job: "web",
                pid: Some(pid),
                exit: &exit,
                log: Some(("log", &log)),
                kernel: ("kernel", &kernel),
            };
            let explanation = explain(&scene);
            prop_assert!(!explanation.cause.line.is_empty());
            prop_assert_eq!(explanation.fingerprint.len(), 16);
        }
    }
}
