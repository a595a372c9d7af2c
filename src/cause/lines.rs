//! Holds that every line in `tests/causes/lines` gets the cause that stands there. The format is
//! described in `tests/causes/lines/README.md`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Scene, explain, kernel};
use crate::report::{Confidence, Exit};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default = "one")]
    exit: String,
    #[serde(default)]
    log: String,
    #[serde(default)]
    kernel: String,
    #[serde(default = "empty_line")]
    lines: Vec<String>,
    kind: String,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    evidence: Vec<String>,
}

fn one() -> String {
    "code 1".to_owned()
}

fn empty_line() -> Vec<String> {
    vec![String::new()]
}

impl Case {
    fn exit(&self) -> Exit {
        match self.exit.split_once(' ') {
            Some(("code", code)) => Exit::Code(code.parse().expect("an exit code")),
            Some(("signal", name)) => Exit::Signal {
                name: name.to_owned(),
                core_dumped: false,
            },
            _ => Exit::Unknown,
        }
    }

    /// Returns the faults in the answer to one line, each in words.
    fn faults(&self, line: &str) -> Vec<String> {
        let fill = |text: &String| text.replace("{line}", line);
        let (log, kernel) = (fill(&self.log), fill(&self.kernel));
        let cause = explain(&Scene {
            job: "web",
            pid: Some(42),
            exit: &self.exit(),
            log: Some(("log", &log)),
            kernel: ("kernel log", &kernel::from_text(&kernel)),
        })
        .cause;
        let kind = match cause.confidence {
            Confidence::None => "unknown".to_owned(),
            _ => cause.kind.to_string(),
        };
        let shows = |words: &String| cause.evidence.iter().any(|it| it.text.contains(words));
        let mut faults = Vec::new();
        if kind != self.kind {
            faults.push(format!("{kind} instead of {}", self.kind));
        }
        let unsaid = self.says.iter().map(fill);
        faults.extend(unsaid.filter(|words| !cause.line.contains(words)));
        let unshown = self.evidence.iter().map(fill);
        faults.extend(unshown.filter(|words| !shows(words)));
        if !faults.is_empty() {
            faults.push(format!("in: {}", cause.line));
        }
        faults
    }
}

fn tables() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/causes/lines");
    let files = fs::read_dir(directory).expect("a readable directory");
    let mut tables: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    tables.retain(|path| path.extension().is_some_and(|it| it == "toml"));
    tables.sort();
    tables
}

#[test]
fn every_line_that_a_program_prints_gets_its_cause() {
    let mut wrong = String::new();
    let mut count = 0;
    for path in tables() {
        let text = fs::read_to_string(&path).expect("a readable table");
        let table: Table =
            toml::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        for case in &table.case {
            for line in &case.lines {
                count += 1;
                let faults = case.faults(line);
                if !faults.is_empty() {
                    let shown = if line.is_empty() { &case.log } else { line };
                    let name = path.file_name().unwrap_or_default().display();
                    let _ = writeln!(wrong, "{name}: {shown}\n    {}", faults.join("; "));
                }
            }
        }
    }
    assert!(count > 1_000, "only {count} lines were found");
    assert!(wrong.is_empty(), "{wrong}");
}
