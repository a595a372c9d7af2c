//! The JSON Schema of a report, `config/schema/report.schema.json`, as the structs and their
//! comments have it: run the tests with `LASTWORDS_WRITE_SCHEMAS=1` after changing one.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Report, ReportId, Supervisor, Timestamp};
use crate::schema::tests::{Plain, assert_is_committed};

impl JsonSchema for ReportId {
    fn schema_name() -> Cow<'static, str> {
        "ReportId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A report's name: when it was made, in UTC, with its milliseconds as three hexadecimal digits, and 52 random bits.",
            "type": "string",
            "pattern": "^[0-9]{8}t[0-9]{6}-[0-9a-f]{16}$",
        })
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A moment, in UTC with milliseconds (RFC 3339).",
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$",
        })
    }
}

impl JsonSchema for Supervisor {
    fn schema_name() -> Cow<'static, str> {
        "Supervisor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The supervisor that starts and stops the service: `upstart`, `systemd`, `runit`, `s6`, `supervisord`; `run` for `lastwords run`, `unknown` where the job was named on the command line. Later versions may know others.",
            "type": "string",
            "pattern": "^[a-z0-9_-]{1,32}$",
        })
    }
}

/// Lets no object have other fields than those that this version writes.
#[derive(Clone)]
struct Strict;

impl Transform for Strict {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if schema.get("properties").is_some() {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
    }
}

#[test]
fn the_reports_schema_is_that_of_its_structs() {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(Plain)
        .with_transform(Strict);
    let mut schema = settings.into_generator().into_root_schema_for::<Report>();
    let about = "A report of lastwords, format 1. This is what this version writes; later ones may add fields.";
    schema.insert("title".to_owned(), "lastwords report".into());
    schema.insert("description".to_owned(), about.into());
    assert_is_committed("report", schema.as_value());
}
