//! Node's diagnostic report, a JSON file that it writes as it dies where `--report-uncaught-exception`,
//! `--report-on-fatalerror` or `--report-on-signal` ask for it; see <https://nodejs.org/api/report.html>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::{self, Printed};
use super::{finding, kind, place_of, what};
use crate::cause::finding::Finding;
use crate::cause::text::Line;
use crate::report::Death;

#[derive(Deserialize)]
struct Report {
    header: Header,
    #[serde(rename = "javascriptStack")]
    stack: Option<Stack>,
}

#[derive(Deserialize)]
struct Header {
    event: String,
    trigger: String,
}

#[derive(Deserialize)]
struct Stack {
    message: String,
    #[serde(default, rename = "stack")]
    frames: Vec<String>,
    #[serde(default, rename = "errorProperties")]
    properties: BTreeMap<String, Value>,
}

/// What a report says; `None` where it is none, or was written on demand by a process that went on. The lines of the
/// finding are none of the log's.
pub fn read(json: &str) -> Option<Finding> {
    let report: Report = serde_json::from_str(json).ok()?;
    let Header { event, trigger } = report.header;
    let is_heap = event.contains("out of memory") || event.contains("Allocation failed");
    if !is_heap && !["Exception", "FatalError", "OOMError"].contains(&trigger.as_str()) {
        return None;
    }
    // In the form in which node prints an error.
    let printed = report.stack.filter(|stack| error::begins(&stack.message));
    let lines: Vec<Line> = printed.iter().flat_map(as_lines).collect();
    let Some(head) = lines.first().filter(|_| !is_heap) else {
        let kind = if is_heap { Death::OutOfMemoryHeap } else { Death::Abort };
        return Some(finding(0, 0, 0, kind, event, None));
    };
    let printed = Printed::read(&head.text, &lines, 1);
    Some(finding(0, 0, 0, kind(&printed, false), what(&printed), place_of(&printed, None)))
}

fn as_lines(stack: &Stack) -> Vec<Line> {
    let is_open = !stack.properties.is_empty() && !stack.frames.is_empty();
    let mut texts: Vec<String> = stack.message.lines().map(str::to_owned).collect();
    texts.extend(stack.frames.iter().map(|frame| format!("    {}", frame.trim())));
    if let (Some(last), true) = (texts.last_mut(), is_open) {
        last.push_str(" {");
        texts.extend(stack.properties.iter().map(|(key, value)| match value {
            Value::String(value) => format!("  {key}: '{value}',"),
            value => format!("  {key}: {value},"),
        }));
        texts.push("}".to_owned());
    }
    texts.into_iter().map(|text| Line { text, ..Line::default() }).collect()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::report::Death;

    #[test]
    fn a_report_of_an_exception_tells_the_error_its_code_and_its_place() {
        let json = r#"{"header":{"reportVersion":4,"event":"Exception","trigger":"Exception","processId":2633},
            "javascriptStack":{"message":"Error: no ledger","stack":["at Timeout.f [as _onTimeout] (/srv/r.js:1:35)",
            "at listOnTimeout (node:internal/timers:581:17)"],"errorProperties":{"code":"E_L"}}}"#;
        let found = read(json).unwrap();
        assert_eq!((found.kind, found.what.as_str()), (Death::UncaughtException, "Error [E_L]: no ledger"));
        assert_eq!(found.place.unwrap().to_string(), "/srv/r.js:1");
    }

    #[test]
    fn a_report_of_a_full_heap_says_so_and_one_on_demand_says_nothing() {
        let json = r#"{"header":{"event":"Allocation failed - JavaScript heap out of memory","trigger":"OOMError"},
            "javascriptStack":{"message":"No stack.","stack":["Unavailable."],"errorProperties":{}}}"#;
        assert_eq!(read(json).unwrap().kind, Death::OutOfMemoryHeap);
        let json = r#"{"header":{"event":"SIGUSR2","trigger":"Signal"},"javascriptStack":{"message":"Error: x"}}"#;
        assert_eq!(read(json), None);
        assert!(read("{").is_none() && read("[]").is_none());
    }
}
