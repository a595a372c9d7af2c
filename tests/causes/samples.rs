//! Every directory of tests/samples is one death: its log, the kernel's lines, its exit, and a
//! label with the expected cause.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Label {
    kind: String,
    #[serde(default)]
    also_ok: Vec<String>,
    must_contain: Vec<String>,
    #[serde(default)]
    must_contain_any: Vec<Vec<String>>,
    must_not_contain: Vec<String>,
    service: String,
    pub pid: Option<u32>,
}

#[derive(Deserialize)]
pub struct Answer {
    pub kind: String,
    pub line: String,
    pub fingerprint: String,
    confidence: String,
    last_words: Option<Evidence>,
    evidence: Vec<Evidence>,
}

#[derive(Deserialize)]
pub struct Evidence {
    line: Option<usize>,
    text: String,
}

/// Returns what `lastwords explain` says of a log, with these arguments more.
pub fn explain(args: &[&str], log: &Path) -> Answer {
    let binary =
        std::env::var_os("LASTWORDS_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lastwords").into());
    let mut command = Command::new(binary);
    command.args(["explain", "--json"]).args(args);
    let output = command.arg("--log").arg(log).output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        log.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns what is said of a sample whose service is called `job`.
pub fn explain_sample(sample: &Path, job: &str, pid: Option<u32>) -> Answer {
    let exit = fs::read_to_string(sample.join("exit")).unwrap();
    let (exit, pid) = (
        exit.trim().replacen(' ', ":", 1),
        pid.map(|it| it.to_string()),
    );
    let kernel = sample.join("kernel");
    let mut args = vec!["--job", job, "--exit", &exit];
    if let Some(pid) = &pid {
        args.extend(["--pid", pid]);
    }
    if kernel.exists() {
        args.extend(["--kernel", kernel.to_str().unwrap()]);
    }
    explain(&args, &sample.join("log"))
}

pub fn label_of(sample: &Path) -> Label {
    toml::from_str(&fs::read_to_string(sample.join("label.toml")).unwrap()).unwrap()
}

/// Returns the differences between the answer and its label.
fn faults(label: &Label, answer: &Answer) -> Vec<String> {
    let line = answer.line.to_lowercase();
    let has = |words: &String| line.contains(&words.to_lowercase());
    let mut faults = Vec::new();
    // Last words have no kind.
    let is_named = answer.last_words.is_none() || label.kind == "unknown";
    if is_named && answer.kind != label.kind && !label.also_ok.contains(&answer.kind) {
        faults.push(format!("kind {} instead of {}", answer.kind, label.kind));
    }
    faults.extend(
        label
            .must_contain
            .iter()
            .filter(|words| !has(words))
            .map(|words| format!("lacks {words:?}")),
    );
    faults.extend(
        label
            .must_contain_any
            .iter()
            .filter(|any| !any.iter().any(has))
            .map(|any| format!("lacks any of {any:?}")),
    );
    faults.extend(
        label
            .must_not_contain
            .iter()
            .filter(|words| has(words))
            .map(|words| format!("says {words:?}")),
    );
    faults
}

pub fn samples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut samples: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    samples.retain(|path| path.is_dir());
    samples.sort();
    samples
}

#[test]
fn every_sample_gets_the_cause_that_its_label_names() {
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut report = String::new();
    for sample in samples() {
        let name = sample.file_name().unwrap().to_string_lossy().into_owned();
        let label = label_of(&sample);
        let answer = explain_sample(&sample, &label.service, label.pid);
        let faults = faults(&label, &answer);
        let is_unknown = answer.confidence == "none";
        let row = table.entry(label.kind.clone()).or_default();
        row[if faults.is_empty() {
            0
        } else if is_unknown {
            1
        } else {
            2
        }] += 1;
        if !faults.is_empty() {
            let _ = writeln!(
                report,
                "{name}: {}\n    {} | {}",
                faults.join("; "),
                answer.kind,
                answer.line
            );
        }
        for evidence in answer.evidence {
            assert!(
                evidence.line.is_some() && !evidence.text.is_empty(),
                "{name}: evidence without its line"
            );
        }
    }
    let mut shown = String::from("kind | right | unknown | wrong\n");
    for (kind, [right, unknown, wrong]) in &table {
        let _ = writeln!(shown, "{kind} | {right} | {unknown} | {wrong}");
    }
    assert!(
        table.values().map(|row| row[0]).sum::<usize>() > 0,
        "there are no samples"
    );
    assert!(report.is_empty(), "{report}\n{shown}");
}
