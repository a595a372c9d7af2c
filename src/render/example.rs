//! A report with everything in it, and views of reports of every sort: what templates are tried with.

use super::view::View;
use crate::report::{Confidence, Exit, Kind, Report, Series};

const EXAMPLE: &str = include_str!("example.json");

/// The example of a report.
///
/// # Panics
/// Never: a test reads it.
pub fn example() -> Report {
    serde_json::from_str(EXAMPLE).unwrap_or_else(|why| unreachable!("the example is a report: {why}"))
}

/// A crash with everything, a drill with next to nothing, many crashes of an unknown cause, their end, and a notice.
pub fn examples() -> Vec<View> {
    let crash = example();
    let mut bare = Report { drill: true, past: None, runbook: None, sections: Vec::new(), ..crash.clone() };
    bare.cause.evidence.clear();
    bare.notes.clear();
    bare.stop.started_at = None;
    bare.stop.uptime_s = None;
    let made_at = crash.stop.stopped_at;
    let many = Series { count: 9, ..Series::one(made_at) };
    let mut summary = Report { kind: Kind::Summary { new: many, all: many, instances: 2, made_at }, ..crash.clone() };
    summary.cause.confidence = Confidence::None;
    summary.stop.exit = Exit::Code(1);
    let recovered = Kind::Recovered { new: None, all: many, instances: 1, up_s: 600, made_at };
    let recovered = Report { kind: recovered, ..bare.clone() };
    let notice = Report { kind: Kind::Notice, drill: false, ..bare.clone() };
    [crash, bare, summary, recovered, notice].iter().map(View::of).collect()
}

#[cfg(test)]
mod tests {
    use super::{example, examples};

    #[test]
    fn the_example_has_everything() {
        assert!(!example().drill);
        let view = serde_json::to_value(&examples()[0]).unwrap();
        let missing = ["null", "[]", "\"\""];
        for (field, value) in view.as_object().unwrap() {
            assert!(!missing.contains(&value.to_string().as_str()), "{field}");
        }
        assert_eq!(examples().len(), 5);
    }
}
