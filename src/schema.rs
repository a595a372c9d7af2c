//! The JSON Schemas in `config/schema/`: of a report, and of the two kinds of config files, which
//! editors complete and check by them. Tests make them from the structs and their documentation.

/// Of a report: `lastwords show --json`, and what sinks that are programs get.
pub const REPORT: &str = include_str!("../config/schema/report.schema.json");
/// Of `lastwords.toml`, as JSON has it.
pub const CONFIG: &str = include_str!("../config/schema/config.schema.json");
/// Of `jobs/JOB.toml`, as JSON has it.
pub const JOB: &str = include_str!("../config/schema/job.schema.json");

#[cfg(test)]
pub(crate) mod tests {
    use std::env;
    use std::fs;
    use std::path::Path;

    use schemars::Schema;
    use schemars::transform::{Transform, transform_subschemas};
    use serde_json::Value;

    /// Takes rustdoc's links out of descriptions, and the formats of numbers, which mean something
    /// in Rust only.
    #[derive(Clone)]
    pub struct Plain;

    impl Transform for Plain {
        fn transform(&mut self, schema: &mut Schema) {
            transform_subschemas(self, schema);
            let format = schema.get("format").and_then(Value::as_str);
            if format.is_some_and(|format| format != "date-time") {
                schema.remove("format");
            }
            if let Some(text) = schema.get("description").and_then(Value::as_str) {
                let text = text.replace(['[', ']'], "").replace('\n', " ");
                schema.insert("description".to_owned(), text.into());
            }
        }
    }

    /// Compares a schema with the one in `config/schema/`; writes it there where
    /// `LASTWORDS_WRITE_SCHEMAS` is set.
    pub fn assert_is_committed(name: &str, schema: &Value) {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/schema/{name}.schema.json"));
        let text = format!("{schema:#}\n");
        if env::var_os("LASTWORDS_WRITE_SCHEMAS").is_some() {
            fs::write(&path, text).unwrap();
        } else {
            let committed = fs::read_to_string(&path).unwrap();
            assert!(
                text == committed,
                "{} is out of date: run the tests with LASTWORDS_WRITE_SCHEMAS=1",
                path.display()
            );
        }
    }
}
