//! `explain`: the cause of a death, from files: for people with an old log in hand.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use crate::cause::{self, Scene, kernel};
use crate::config;
use crate::redact::redact;
use crate::report::{Confidence, Exit};

/// The most that is read of a file, in bytes; of a longer one, its end.
const MOST: u64 = 8 * 1024 * 1024;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The service's log, or its end
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// What the kernel said: the output of dmesg, dmesg -T or journalctl -k
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// How the main process ended: code:N, signal:NAME or unknown
    #[arg(long, value_name = "HOW", value_parser = exit, default_value = "unknown")]
    exit: Exit,
    /// The service's name
    #[arg(long, value_name = "NAME", default_value = "")]
    job: String,
    /// The main process's id: what the kernel says about another process is not about this one
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
    /// Print JSON: kind, line, confidence, evidence, fingerprint
    #[arg(long)]
    json: bool,
}

fn exit(text: &str) -> Result<Exit, String> {
    let expected = || "expected code:N (code:1), signal:NAME (signal:SEGV) or unknown".to_owned();
    match text.split_once(':') {
        Some(("code", code)) => code.parse().map(Exit::Code).map_err(|_| expected()),
        Some(("signal", name)) => config::signal(name),
        _ if text == "unknown" => Ok(Exit::Unknown),
        _ => Err(expected()),
    }
}

pub fn run(args: &ExplainArgs, out: &mut impl Write) -> Result<ExitCode> {
    let log =
        args.log.as_deref().map(|path| Ok::<_, anyhow::Error>((path.to_string_lossy(), read(path)?))).transpose()?;
    let kernel = args.kernel.as_deref().map(read).transpose()?.map(|text| kernel::from_text(&text)).unwrap_or_default();
    let kernel_name = args.kernel.as_deref().unwrap_or(Path::new("")).to_string_lossy();
    let explanation = cause::explain(&Scene {
        job: &args.job,
        pid: args.pid,
        exit: &args.exit,
        log: log.as_ref().map(|(name, text)| (name.as_ref(), text.as_str())),
        kernel: (&kernel_name, &kernel),
    });
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
            "fingerprint": explanation.fingerprint,
        });
        let _ = writeln!(out, "{}", serde_json::to_string_pretty(&json)?);
        return Ok(ExitCode::SUCCESS);
    }
    let _ = writeln!(out, "{}", redact(&cause.line));
    let sure = match cause.confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::None => "not proven",
    };
    let _ = writeln!(out, "  {sure}; fingerprint {}", explanation.fingerprint);
    for it in &cause.evidence {
        let line = it.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(out, "  {}{line}: {}", it.source, redact(&it.text));
    }
    Ok(ExitCode::SUCCESS)
}

/// The end of a file, as text.
fn read(path: &Path) -> Result<String> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let size = file.metadata().with_context(|| format!("cannot read {shown}"))?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(MOST))).with_context(|| format!("cannot read {shown}"))?;
    file.take(MOST).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
