//! `lastwords check`: what is wrong with the config, all of it, before a service dies.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::Places;
use crate::config::{Checked, Problem, Severity, check as check_config};

/// The exit code where the config has an error; see sysexits(3).
pub const EX_CONFIG: u8 = 78;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print JSON: an array of problems
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

/// Checks the config where it lies.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> Result<ExitCode> {
    // The output's stream takes the colours out where they are not wanted.
    Ok(ExitCode::from(check(&args.places.config, args.json, out, true)))
}

/// Prints every problem with the config in `dir` and one line that sums up, or all as JSON; returns the exit code: 78
/// where there is an error, else 0. Nobody reading `out` is no failure.
fn check(dir: &Path, json: bool, out: &mut dyn Write, colour: bool) -> u8 {
    let checked = check_config(dir);
    if json {
        let problems: Vec<Value> = checked.problems.iter().map(as_json).collect();
        let _ = writeln!(out, "{:#}", Value::from(problems));
    } else {
        for problem in &checked.problems {
            let _ = writeln!(out, "{}\n", problem.render(colour));
        }
        let _ = writeln!(out, "{}", summary(dir, &checked));
    }
    let _ = out.flush();
    if count(&checked, Severity::Error) > 0 { EX_CONFIG } else { 0 }
}

fn as_json(problem: &Problem) -> Value {
    json!({
        "file": problem.file.to_string_lossy(),
        "line": problem.place.as_ref().map(|place| place.line),
        "column": problem.place.as_ref().map(|place| place.column),
        "severity": problem.severity,
        "message": problem.message,
        "help": problem.help,
    })
}

fn summary(dir: &Path, checked: &Checked) -> String {
    let counted = [(count(checked, Severity::Error), "error"), (count(checked, Severity::Warning), "warning")];
    let counts: Vec<String> = counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| plural(*n, what)).collect();
    if !counts.is_empty() {
        let files: BTreeSet<&Path> = checked.problems.iter().map(|problem| problem.file.as_path()).collect();
        return format!("{} in {}", counts.join(", "), plural(files.len(), "file"));
    }
    let machine = checked.machine.then(|| dir.join("lastwords.toml").display().to_string());
    let jobs = (checked.jobs > 0 || !checked.machine).then(|| plural(checked.jobs, "job file"));
    let one = machine.is_some() != jobs.is_some() && checked.jobs <= 1;
    let what: Vec<String> = machine.into_iter().chain(jobs).collect();
    format!("{} {} fine", what.join(" and "), if one { "is" } else { "are" })
}

fn count(checked: &Checked, severity: Severity) -> usize {
    checked.problems.iter().filter(|problem| problem.severity == severity).count()
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
