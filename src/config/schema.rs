//! The JSON Schemas of the config. Its keys and types are those of the structs; the descriptions
//! are those of the plugins' own documentation, the table Key | Values | Default. Run the tests
//! with `LASTWORDS_WRITE_SCHEMAS=1` after changing one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::keys::{JobFile, MachineFile};
use crate::schema::tests::{Plain, assert_is_committed};

/// Removes null from a schema, since TOML has none.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let is_null = |value: &Value| matches!(value.as_str(), Some("null")) || value.is_null();
        for word in ["type", "enum"] {
            if let Some(Value::Array(values)) = schema.get_mut(word) {
                values.retain(|value| !is_null(value));
            }
        }
        if let Some([only]) = schema
            .get("type")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
        if let Some([one, null]) = schema
            .get("anyOf")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            && *null == json!({ "type": "null" })
        {
            let one = one.clone();
            schema.remove("anyOf");
            for (word, said) in one.as_object().into_iter().flatten() {
                schema.insert(word.clone(), said.clone());
            }
        }
        // A table's default follows from the defaults of its keys.
        if schema
            .get("default")
            .is_some_and(|it| it.is_null() || it.is_object() || it.is_array())
        {
            schema.remove("default");
        }
    }
}

/// A row of a plugin's documentation.
struct Row {
    values: String,
    default: String,
}

/// Reads the table in a source file's documentation, below a heading if one is given; by key.
fn documented(file: &str, heading: Option<&str>) -> BTreeMap<String, Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let lines = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim);
    let part = lines.skip_while(|line| heading.is_some_and(|heading| *line != heading));
    let rows = part
        .skip_while(|line| !line.starts_with("| Key"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [key, values, default] = cells.as_slice() else {
            panic!("{file}: three columns, not {row}")
        };
        let key = key
            .strip_prefix('`')?
            .split_once('`')?
            .0
            .trim_matches(['[', ']']);
        let key = key.strip_suffix(".KIND").unwrap_or(key);
        Some((
            key.to_owned(),
            Row {
                values: (*values).to_owned(),
                default: (*default).to_owned(),
            },
        ))
    })
    .collect()
}

/// Adds the documentation to a table's keys.
///
/// # Panics
/// If the two have different keys, or differ in which are required.
fn describe(table: &mut Value, rows: &BTreeMap<String, Row>, file: &str) {
    let is_required = |table: &Value, key: &str| {
        let required = table.get("required").and_then(Value::as_array);
        required.is_some_and(|keys| keys.iter().any(|it| it == key))
    };
    let keys: Vec<String> = match table.get("properties").and_then(Value::as_object) {
        Some(properties) => properties.keys().cloned().collect(),
        None => Vec::new(),
    };
    let documented: Vec<&String> = rows.keys().collect();
    let mut known: Vec<&String> = keys.iter().collect();
    known.sort();
    assert_eq!(
        known, documented,
        "{file}: the struct's keys, and those that are documented"
    );
    for (key, row) in rows {
        let required = row.default == "required";
        assert_eq!(
            is_required(table, key),
            required,
            "{file}: is `{key}` required?"
        );
        table["properties"][key]["description"] = described(row).into();
    }
}

fn described(row: &Row) -> String {
    // A link to the source is of no use in an editor.
    let values = row
        .values
        .split(" (see [")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let values = capital(values);
    match row.default.as_str() {
        "" | "–" | "required" => format!("{values}."),
        default if default.starts_with("required") => format!("{values}. {}.", capital(default)),
        default => format!("{values}. Default: {default}."),
    }
}

/// Adds the documentation to a file's root or its `[default]`, and to the sinks and collectors in
/// it.
fn describe_file(root: &mut Value, headings: &[&str]) {
    let mut rows = BTreeMap::new();
    for heading in headings {
        rows.extend(documented("config/mod.rs", Some(heading)));
    }
    describe(root, &rows, "config/mod.rs");
    for (key, folder) in [("sink", "sinks"), ("collect", "collectors")] {
        let kinds = root.pointer_mut(&format!("/properties/{key}/properties"));
        for (kind, schema) in kinds.and_then(Value::as_object_mut).into_iter().flatten() {
            let file = format!("{folder}/{kind}.rs");
            let rows = documented(&file, None);
            let about = first_words(&file);
            match schema.get_mut("items") {
                Some(table) => describe(table, &rows, &file),
                None => describe(schema, &rows, &file),
            }
            schema["description"] = about.into();
        }
    }
}

/// Returns the first paragraph of a source file's documentation, as one line.
fn first_words(file: &str) -> String {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let lines = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim);
    let words: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let words = words.join(" ");
    // `[collect.disk]`: how full the disks are
    let words = words
        .split_once("]`: ")
        .map_or(words.as_str(), |(_, words)| words);
    // [`matrix`](super::matrix)
    let link = regex::Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    capital(&link.replace_all(words, "$1"))
}

fn capital(words: &str) -> String {
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}", first.to_uppercase())
}

fn schema_of<T: JsonSchema>(title: &str, about: &str) -> Value {
    let settings = SchemaSettings::draft07()
        .for_deserialize()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(Plain)
        .with_transform(WithoutNull);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.insert("description".to_owned(), about.into());
    schema.to_value()
}

#[test]
fn the_configs_schemas_are_those_of_its_structs() {
    let about = "The machine: its sinks, and what a job gets where its own file says nothing.";
    let mut machine = schema_of::<MachineFile>("lastwords.toml", about);
    describe_file(&mut machine, &["# lastwords.toml"]);
    describe_file(&mut machine["properties"]["default"], &["# jobs/JOB.toml"]);
    assert_is_committed("config", &machine);
    let about = "A job: whom to tell when it dies, and what to gather.";
    let mut job = schema_of::<JobFile>("jobs/JOB.toml", about);
    describe_file(&mut job, &["# jobs/JOB.toml"]);
    assert_is_committed("job", &job);
}
