//! The JSON Schemas of the config: its keys and their types as serde asks for them, and what the
//! plugins' own documentation (the table Key | Values | Default) says of each. So a new plugin
//! needs nothing here; run the tests with `LASTWORDS_WRITE_SCHEMAS=1`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::keys::{JobFile, Machine};
use crate::schema::tests::assert_is_committed;

/// What serde is asked for at one place of a config.
#[derive(Clone, Debug, Default)]
enum Shape {
    Text,
    Number {
        most: u64,
    },
    Flag,
    OneOf(&'static [&'static str]),
    List,
    /// A table with these keys.
    Table(&'static [&'static str]),
    /// A table with any keys.
    Anything,
    /// An exit code or a signal's name: the one type that asks for whatever there is.
    #[default]
    Exit,
}

/// Asks a type what it wants at a place: the keys that lead there; `[]` goes into a list.
struct Probe<'p> {
    path: &'p [&'static str],
    found: &'p mut Shape,
}

#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, _: &mut fmt::Formatter) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Stop {}

impl Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

fn shape_at<'de, T: Deserialize<'de>>(path: &[&'static str]) -> Shape {
    let mut found = Shape::default();
    let _ = T::deserialize(Probe {
        path,
        found: &mut found,
    });
    found
}

macro_rules! say {
    ($($method:ident => $shape:expr,)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            *self.found = $shape;
            Err(Stop)
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stop;

    say! {
        deserialize_any => Shape::Exit,
        deserialize_bool => Shape::Flag,
        deserialize_u8 => Shape::Number { most: u8::MAX.into() },
        deserialize_u16 => Shape::Number { most: u16::MAX.into() },
        deserialize_u32 => Shape::Number { most: u32::MAX.into() },
        deserialize_u64 => Shape::Number { most: u64::MAX },
        deserialize_str => Shape::Text,
        deserialize_string => Shape::Text,
        deserialize_map => Shape::Anything,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if let Some((_, path)) = self.path.split_first() {
            return visitor.visit_seq(Probe { path, ..self });
        }
        *self.found = Shape::List;
        Err(Stop)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if let Some((key, path)) = self.path.split_first() {
            return visitor.visit_map(Entry {
                key: Some(key),
                probe: Some(Probe { path, ..self }),
            });
        }
        // So toml learns where a text stands.
        *self.found = if name.contains("Spanned") {
            Shape::Text
        } else {
            Shape::Table(keys)
        };
        Err(Stop)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        *self.found = Shape::OneOf(variants);
        Err(Stop)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Probe<'_> {
    type Error = Stop;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        seed.deserialize(Probe {
            path: self.path,
            found: self.found,
        })
        .map(Some)
    }
}

/// One key of a table.
struct Entry<'p> {
    key: Option<&'static str>,
    probe: Option<Probe<'p>>,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Stop;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        let key = self
            .key
            .take()
            .map(|key| seed.deserialize(BorrowedStrDeserializer::new(key)));
        key.transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        seed.deserialize(self.probe.take().ok_or(Stop)?)
    }
}

/// A row of a plugin's documentation.
struct Row {
    values: String,
    default: String,
}

/// The tables in the first words of a file of ours, after the heading where one is named; by key.
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

/// The schema of what stands at this place.
fn schema<'de, T: Deserialize<'de>>(path: &[&'static str]) -> Value {
    let deeper = |key: &'static str| [path, &[key]].concat();
    match shape_at::<T>(path) {
        Shape::Text => json!({"type": "string"}),
        Shape::Number { most: u64::MAX } => json!({"type": "integer", "minimum": 0}),
        Shape::Number { most } => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::List => json!({"type": "array", "items": schema::<T>(&deeper("[]"))}),
        Shape::Anything => json!({"type": "object"}),
        Shape::Exit => {
            json!({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 255}, {"type": "string"}]})
        }
        Shape::Table(keys) => table::<T>(path, keys),
    }
}

fn table<'de, T: Deserialize<'de>>(path: &[&'static str], keys: &[&'static str]) -> Value {
    let docs = docs_of(path);
    let mut properties = Map::new();
    for key in keys {
        let path = [path, &[key]].concat();
        let mut property = schema::<T>(&path);
        let about = docs
            .get(*key)
            .map(described)
            .or_else(|| file_of(&path).map(|file| first_words(&file)));
        if let (Some(about), Some(property)) = (about, property.as_object_mut()) {
            property.insert("description".to_owned(), about.into());
        }
        properties.insert((*key).to_owned(), property);
    }
    let undocumented: Vec<_> = keys
        .iter()
        .filter(|key| !docs.is_empty() && !docs.contains_key(**key))
        .collect();
    assert!(
        undocumented.is_empty(),
        "{path:?}: the documentation lacks {undocumented:?}"
    );
    let required: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|key| docs.get(*key).is_some_and(is_required))
        .collect();
    let mut table =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let Some(table) = table.as_object_mut().filter(|_| !required.is_empty()) {
        table.insert("required".to_owned(), json!(required));
    }
    table
}

fn is_required(row: &Row) -> bool {
    row.default == "required"
}

fn described(row: &Row) -> String {
    // What a reader of the source may look up, one in an editor cannot.
    let values = row
        .values
        .split(" (see [")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let values = capital(values);
    match row.default.as_str() {
        ""
        | "–"
        | "required"
        | "is required"
        | "one of the two"
        | "with `username`, one of the two" => {
            format!("{values}.")
        }
        default => format!("{values}. Default: {default}."),
    }
}

/// What is documented of the keys of the table at this place.
fn docs_of(path: &[&'static str]) -> BTreeMap<String, Row> {
    if path.iter().all(|part| *part == "default") {
        let mut docs = documented("config/mod.rs", Some("# jobs/JOB.toml"));
        docs.extend(documented("config/mod.rs", Some("# lastwords.toml")));
        return docs;
    }
    file_of(path)
        .map(|file| documented(&file, None))
        .unwrap_or_default()
}

/// The file of the plugin whose table this is.
fn file_of(path: &[&'static str]) -> Option<String> {
    let path: Vec<&str> = path.iter().copied().filter(|part| *part != "[]").collect();
    match path.strip_prefix(&["default"]).unwrap_or(&path) {
        ["sink", kind] => Some(format!("sinks/{kind}.rs")),
        ["collect", kind] => Some(format!("collectors/{kind}.rs")),
        _ => None,
    }
}

/// What a file says of itself first, as one line.
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

/// The whole schema of a file.
fn of_file<'de, T: Deserialize<'de>>(title: &str, about: &str) -> Value {
    let mut schema = schema::<T>(&[]);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "$schema".to_owned(),
            "http://json-schema.org/draft-07/schema#".into(),
        );
        schema.insert("title".to_owned(), title.into());
        schema.insert("description".to_owned(), about.into());
    }
    schema
}

#[test]
fn the_configs_schemas_are_those_of_its_structs() {
    let about = "The machine: its sinks, and what a job gets where its own file says nothing.";
    assert_is_committed("config", &of_file::<Machine>("lastwords.toml", about));
    let about = "A job: whom to tell when it dies, and what to gather.";
    assert_is_committed("job", &of_file::<JobFile>("jobs/JOB.toml", about));
}
