//! `[collect.node_report]`: the diagnostic report that node wrote as it died.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `directory` | where the service has node write them; a relative one starts at the config's directory | required |
//!
//! ```toml
//! [collect.node_report]
//! directory = "/var/lib/web/reports"
//! ```
//!
//! Node writes one if it is started with `node --report-uncaught-exception --report-on-fatalerror
//! --report-directory=/var/lib/web/reports`; see <https://nodejs.org/api/report.html>. The one of
//! this crash is the newest of this process or, if its id is not known, of any process since the
//! service's start. A report holds every environment variable and the command line: both are
//! ignored. The error is shown as node prints it, and is used to find the cause.
//!
//! The section's data: `file`, `event`, `trigger`.

mod diagnostics;

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use self::diagnostics::Diagnostics;
use super::log::{Deep, DeepTail};
use super::{Body, Collector};
use crate::host::{Host, open_regular};
use crate::mounts;
use crate::report::{CollectorKind, Stop};

/// Maximum size of a report that is read, in bytes.
const MAX: u64 = 4 * 1024 * 1024;
/// Maximum number of a directory's files that are looked at, and of those that are read.
const MOST_FILES: usize = 10_000;
const MOST_READ: usize = 8;
/// How long before the start of the service a report may have been written; and how long before the
/// end, if the start is unknown.
const SLACK: Duration = Duration::from_secs(1);
const RECENT: Duration = Duration::from_mins(10);

/// Node's diagnostic report.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeReport {
    #[serde(deserialize_with = "super::path")]
    pub directory: String,
    /// Receives the error, if the caller wants it.
    #[serde(skip)]
    pub deep: Option<DeepTail>,
}

impl Collector for NodeReport {
    fn kind(&self) -> CollectorKind {
        CollectorKind::new("node_report")
    }

    fn name(&self) -> String {
        "node report".to_owned()
    }

    fn may_hang(&self, _stop: &Stop, host: &Host) -> bool {
        mounts::may_hang(&host.configured(Path::new(&self.directory)))
    }

    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body> {
        let began = stop
            .started_at
            .map(|at| at.time() - SLACK)
            .or_else(|| stop.stopped_at.time().checked_sub(RECENT));
        let directory = host.configured(Path::new(&self.directory));
        let shown = self.directory.escape_debug();
        let files = files(&directory, began).with_context(|| format!("cannot list {shown}"))?;
        let read =
            |(modified, path): &(SystemTime, PathBuf)| Some((*modified, path.clone(), read(path)?));
        let mut reports = files.iter().take(MOST_READ).filter_map(read);
        let ours =
            |report: &Diagnostics| stop.pid.is_none_or(|pid| report.process_id() == Some(pid));
        let Some((modified, path, report)) = reports.find(|(_, _, report)| ours(report)) else {
            bail!("there is no report of this crash in {shown}");
        };
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = report.as_printed();
        if let (Some(slot), true) = (&self.deep, report.is_last()) {
            slot.put(Deep {
                path: format!("{}/{file}", self.directory),
                text: text.clone(),
                modified,
            });
        }
        let (event, trigger) = report.occasion();
        Ok(Body {
            text,
            data: json!({ "file": file, "event": event, "trigger": trigger }).into(),
        })
    }
}

/// Returns the reports in a directory that were written since then, the newest first.
fn files(directory: &Path, since: Option<SystemTime>) -> Result<Vec<(SystemTime, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.take(MOST_FILES) {
        let entry = entry?;
        let name = entry.file_name();
        let is_report = name.to_str().is_some_and(|name| {
            name.starts_with("report.") && name.rsplit('.').next() == Some("json")
        });
        if !is_report {
            continue;
        }
        let modified = entry.metadata().and_then(|found| found.modified());
        files.extend(
            modified
                .ok()
                .filter(|at| since.is_none_or(|since| *at >= since))
                .map(|at| (at, entry.path())),
        );
    }
    files.sort_by(|one, other| other.cmp(one));
    Ok(files)
}

/// Reads a report as it comes: of a large one, only what is shown is ever in memory.
fn read(path: &Path) -> Option<Diagnostics> {
    let file = BufReader::new(open_regular(path).ok()?.take(MAX));
    serde_json::from_reader(file).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::NodeReport;
    use crate::collectors::{Body, Collector, log::DeepTail, tests::stop};
    use crate::host::Host;

    const EXCEPTION: &str = r#"{"header":{"event":"Exception","trigger":"Exception","processId":7,"nodejsVersion":"v20.1.0",
        "commandLine":["node","--token=cAn4ry"]},"environmentVariables":{"SECRET":"cAn4ry"},
        "javascriptStack":{"message":"Error: no ledger","stack":["at f (/srv/r.js:1:35)"],
        "errorProperties":{"code":"E_LEDGER"}}}"#;

    fn collect(files: &[(&str, &str)], pid: Option<u32>) -> (Result<Body, String>, Option<String>) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("reports")).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("reports").join(name), text).unwrap();
        }
        let slot = DeepTail::default();
        let collector = NodeReport {
            directory: "/reports".into(),
            deep: Some(slot.clone()),
        };
        let mut stop = stop();
        stop.pid = pid;
        let body = collector.collect(&stop, &Host::new(root.path(), root.path()));
        (
            body.map_err(|why| format!("{why:#}")),
            slot.take().map(|deep| deep.text),
        )
    }

    #[test]
    fn the_error_is_shown_as_node_prints_it_and_nothing_else_of_the_report() {
        let (body, deep) = collect(
            &[("report.1.json", EXCEPTION), ("notes.json", "{}")],
            Some(7),
        );
        let body = body.unwrap();
        let printed = "Error: no ledger\n    at f (/srv/r.js:1:35) {\n  code: 'E_LEDGER',\n}\n\nNode.js v20.1.0";
        assert_eq!(body.text, printed);
        assert_eq!(deep.as_deref(), Some(printed));
        let data = body.data.to_json().to_string();
        assert!(!data.contains("cAn4ry"), "{data}");
    }

    #[test]
    fn another_processs_report_and_what_is_none_are_passed_over() {
        for files in [
            &[("report.1.json", EXCEPTION)][..],
            &[("report.1.json", "{")],
            &[],
        ] {
            let (body, deep) = collect(files, Some(8));
            assert_eq!(
                body.unwrap_err(),
                "there is no report of this crash in /reports"
            );
            assert_eq!(deep, None);
        }
    }

    #[test]
    fn a_full_heap_is_told_and_a_report_on_demand_is_no_cause() {
        let heap = r#"{"header":{"event":"Allocation failed - JavaScript heap out of memory","trigger":"OOMError"}}"#;
        let (body, deep) = collect(&[("report.1.json", heap)], None);
        assert_eq!(
            body.unwrap().text,
            "FATAL ERROR: Allocation failed - JavaScript heap out of memory"
        );
        assert!(deep.is_some());
        let asked = r#"{"header":{"event":"JavaScript API","trigger":"GetReport"}}"#;
        assert_eq!(collect(&[("report.1.json", asked)], None).1, None);
    }

    #[test]
    fn of_a_report_of_any_shape_only_a_bounded_part_is_kept() {
        let long = "x".repeat(100_000);
        let many = |item: &str| [item].repeat(100_000).join(",");
        let list = |item: &str| format!("[{}]", many(item));
        let text = format!(
            r#"{{"header":{{"event":"Exception","trigger":"Exception","dumpEventTime":{0}}},
            "libuv":{0},"javascriptStack":{{"message":"Error: {long}","stack":{1},
            "errorProperties":{{"code":"E_LEDGER","list":{0},"nested":{{"a":{0}}},"none":null,"n":7}}}}}}"#,
            list("[0]"),
            list(r#""at f (/srv/r.js:1:35)""#)
        );
        let (body, _) = collect(&[("report.1.json", &text)], None);
        let text = body.unwrap().text;
        assert!(
            text.starts_with("Error: xxx") && text.len() < 20_000,
            "{}",
            text.len()
        );
        assert_eq!(text.matches("at f (").count(), 100);
        let properties = " {\n  code: 'E_LEDGER',\n  list: [Array],\n  nested: [Object],\n  \
                          none: null,\n  n: 7,\n}";
        assert!(text.ends_with(properties), "{text}");
    }
}
