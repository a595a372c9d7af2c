//! JSON Schemas, as `config/schema/` has them: of a report, and of the two kinds of config files,
//! by which editors complete and check them. They are made by tests, from the structs and their
//! documentation.

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

    use serde_json::Value;

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
