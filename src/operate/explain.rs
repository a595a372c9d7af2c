//! `explain`: finds the cause of a death in files, for people with an old log in hand.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::Style;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::cause::{self, Explanation, Scene, kernel};
use crate::operate::json::escaped;
use crate::redact::{Redactor, redact};
use crate::report::{Exit, signal_name};
use crate::{config, render};

/// Maximum number of bytes that are read of a file: its end, if it is longer.
const MOST: u64 = 8 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  lastwords explain --log web.log            the cause, from the log
  lastwords explain --log web.log --exit 1   the same, after exit code 1
  lastwords explain --log web.log --exit 137 --json | jq -r .kind

To see whether it was killed for memory, or where it faulted:
  dmesg | lastwords explain --kernel /dev/stdin --exit SIGKILL --pid 4242";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The service's log, or its end
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The kernel's messages: the output of dmesg (in any of its forms) or journalctl -k, kern.log
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// How the main process ended: its exit code, a signal's name, or unknown (also code:N,
    /// signal:NAME)
    #[arg(long, value_name = "HOW", value_parser = exit, default_value = "unknown")]
    exit: Exit,
    /// The service's name, which its cgroup has too
    #[arg(long, value_name = "NAME", default_value = "")]
    job: String,
    /// The main process's id: what the kernel says about another process is not about this one
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
    /// Print JSON: kind, line, confidence, evidence (source, line, text), last words (the same),
    /// fingerprint
    #[arg(long)]
    json: bool,
}

fn exit(text: &str) -> Result<Exit, String> {
    let expected = || "expected an exit code (1), a signal (SIGSEGV) or unknown".to_owned();
    let code = |text: &str| {
        text.parse::<u8>()
            .map(|code| Exit::Code(code.into()))
            .map_err(|_| expected())
    };
    match text.split_once(':') {
        Some(("code", text)) => code(text),
        Some(("signal", name)) => match name.parse::<u8>() {
            Ok(number) => Ok(Exit::Signal {
                name: signal_name(number.into()),
                core_dumped: false,
            }),
            Err(_) => config::signal(name),
        },
        None if text == "unknown" => Ok(Exit::Unknown),
        None if text.starts_with(|first: char| first.is_ascii_digit()) => code(text),
        None if text.starts_with(|first: char| first.is_ascii_uppercase()) => config::signal(text),
        _ => Err(expected()),
    }
}

pub fn run(args: &ExplainArgs, out: &mut impl Write) -> Result<ExitCode> {
    let log = args
        .log
        .as_deref()
        .map(|path| Ok::<_, anyhow::Error>((path.to_string_lossy(), read(path)?)))
        .transpose()?;
    let kernel = args.kernel.as_deref().map(read).transpose()?;
    ensure_text(args, log.as_ref().map(|(_, text)| text), kernel.as_ref())?;
    let kernel = kernel
        .map(|text| kernel::from_text(&text))
        .unwrap_or_default();
    let kernel_name = args
        .kernel
        .as_deref()
        .unwrap_or(Path::new(""))
        .to_string_lossy();
    let scene = Scene {
        job: &args.job,
        pid: args.pid,
        exit: &args.exit,
        log: log
            .as_ref()
            .map(|(name, text)| (name.as_ref(), text.as_str())),
        kernel: (&kernel_name, &kernel),
    };
    let explanation = cause::explain_redacted(&scene, &Redactor::default());
    let cause = &explanation.cause;
    if args.json {
        let evidence: Vec<_> = cause
            .evidence
            .iter()
            .map(|it| json!({ "source": it.source, "line": it.line, "text": redact(&it.text) }))
            .collect();
        let json = json!({
            "kind": cause.kind,
            "line": redact(&cause.line),
            "confidence": cause.confidence,
            "evidence": evidence,
            "last_words": cause.last_words.as_ref().map(|it| {
                json!({ "source": it.source, "line": it.line, "text": redact(&it.text) })
            }),
            "fingerprint": explanation.fingerprint,
        });
        let _ = writeln!(out, "{}", escaped(&serde_json::to_string_pretty(&json)?));
        return Ok(ExitCode::SUCCESS);
    }
    show(out, &explanation);
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// If there is nothing to explain: no file, or only empty ones.
fn ensure_text(args: &ExplainArgs, log: Option<&String>, kernel: Option<&String>) -> Result<()> {
    let paths = [&args.log, &args.kernel].into_iter().flatten();
    let names: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    ensure!(
        !names.is_empty(),
        "nothing to read: name the service's log with --log FILE, or the kernel's messages with --kernel FILE"
    );
    ensure!(
        [log, kernel]
            .into_iter()
            .flatten()
            .any(|text| !text.trim().is_empty()),
        "nothing to read: {} {} empty",
        names.join(" and "),
        if names.len() > 1 { "are" } else { "is" }
    );
    Ok(())
}

const HEAD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Prints for people: the line, the confidence, and the evidence and the last words as
/// `FILE:LINE: text`.
fn show(out: &mut impl Write, explanation: &Explanation) {
    let cause = &explanation.cause;
    let clean = |text: &str| render::one_line(&redact(text), 1000);
    let _ = writeln!(out, "{HEAD}{}{HEAD:#}", clean(&cause.line));
    let sure = cause.confidence.words();
    let _ = writeln!(
        out,
        "{DIM}{}, {sure}; fingerprint {}{DIM:#}",
        cause.kind, explanation.fingerprint
    );
    let said = cause.last_words.iter();
    let said = said.filter(|it| !cause.evidence.contains(it));
    for it in cause.evidence.iter().chain(said) {
        let line = it.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "  {DIM}{}{line}:{DIM:#} {}",
            clean(&it.source),
            clean(&it.text)
        );
    }
}

/// Reads the end of a file, or of a pipe, as text.
fn read(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let found = file.metadata().with_context(context)?;
    if found.is_file() {
        file.seek(SeekFrom::Start(found.len().saturating_sub(MOST)))
            .with_context(context)?;
    }
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    let (mut bytes, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let length = file.read(&mut part).with_context(context)?;
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(part.get(..length).unwrap_or_default());
        if bytes.len() > 2 * most {
            bytes.drain(..bytes.len() - most);
        }
    }
    bytes.drain(..bytes.len().saturating_sub(most));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use crate::operate::explain::exit;
    use crate::report::Exit;

    #[test]
    fn an_exit_is_taken_in_every_form_that_leaves_no_doubt() {
        let segv = Exit::Signal {
            name: "SEGV".into(),
            core_dumped: false,
        };
        for text in ["SIGSEGV", "SEGV", "signal:SEGV", "signal:SIGSEGV"] {
            assert_eq!(exit(text), Ok(segv.clone()), "{text}");
        }
        for text in ["139", "code:139"] {
            assert_eq!(exit(text), Ok(Exit::Code(139)), "{text}");
        }
        assert_eq!(exit("unknown"), Ok(Exit::Unknown));
        for text in [
            "256", "-1", "", "code", "code:x", "1x", "SIGNONE", "signal:", "killed",
        ] {
            assert!(exit(text).is_err(), "{text}");
        }
    }
}
