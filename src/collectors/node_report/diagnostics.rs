//! The parts of a diagnostic report that are shown, read without the rest. What is kept is bounded,
//! whatever the report holds: it may be another program's work.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Maximum length of a text, in bytes.
const MAX_TEXT: usize = 8 * 1024;
/// Maximum number of frames of a stack, and of properties of an error.
const MAX_ITEMS: usize = 100;

/// A report.
#[derive(Deserialize)]
pub struct Diagnostics {
    header: Header,
    #[serde(rename = "javascriptStack")]
    stack: Option<JsStack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    event: Text,
    trigger: Text,
    #[serde(default)]
    process_id: Option<u32>,
    #[serde(default)]
    nodejs_version: Option<Text>,
}

#[derive(Deserialize)]
struct JsStack {
    message: Text,
    #[serde(default, rename = "stack", deserialize_with = "frames")]
    frames: Vec<Text>,
    #[serde(default, rename = "errorProperties", deserialize_with = "properties")]
    properties: Properties,
}

impl Diagnostics {
    /// Returns the process that wrote it.
    pub fn process_id(&self) -> Option<u32> {
        self.header.process_id
    }

    /// Returns the event that it tells of, and what made node write it.
    pub fn occasion(self) -> (String, String) {
        (self.header.event.0, self.header.trigger.0)
    }

    fn is_heap(&self) -> bool {
        let event = &self.header.event.0;
        event.contains("out of memory") || event.contains("Allocation failed")
    }

    /// Returns true if a process wrote it at its end, and not on demand.
    pub fn is_last(&self) -> bool {
        self.is_heap()
            || ["Exception", "FatalError", "OOMError"].contains(&self.header.trigger.0.as_str())
    }

    /// Returns the error as node prints it when it dies.
    pub fn as_printed(&self) -> String {
        let stack = self
            .stack
            .as_ref()
            .filter(|stack| !stack.message.0.is_empty() && !self.is_heap());
        let mut lines = match stack {
            Some(stack) => stack.lines(),
            None => vec![format!("FATAL ERROR: {}", self.header.event.0)],
        };
        lines.extend(
            self.header
                .nodejs_version
                .as_ref()
                .map(|version| format!("\nNode.js {}", version.0)),
        );
        lines.join("\n")
    }
}

impl JsStack {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.message.0.lines().map(str::to_owned).collect();
        let frames = self.frames.iter();
        lines.extend(frames.map(|frame| format!("    {}", frame.0.trim())));
        if let (Some(last), false) = (lines.last_mut(), self.properties.is_empty()) {
            last.push_str(" {");
            let properties = self.properties.iter();
            lines.extend(properties.map(|(key, value)| format!("  {}: {},", key.0, value.0)));
            lines.push("}".to_owned());
        }
        lines
    }
}

/// A text, of which the beginning is kept.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Beginning;
        impl Visitor<'_> for Beginning {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                let end = text.floor_char_boundary(MAX_TEXT);
                Ok(Text(text.get(..end).unwrap_or_default().to_owned()))
            }
        }
        deserializer.deserialize_str(Beginning)
    }
}

/// The value of an error's property, as node prints it. Node writes strings alone.
struct Property(String);

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PropertyValue;
        impl<'de> Visitor<'de> for PropertyValue {
            type Value = Property;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Property, E> {
                let end = text.floor_char_boundary(MAX_TEXT);
                let text = text.get(..end).unwrap_or_default();
                Ok(Property(format!("'{text}'")))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Property, E> {
                Ok(Property(value.to_string()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Property, E> {
                Ok(Property(value.to_string()))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Property, E> {
                Ok(Property(value.to_string()))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Property, E> {
                Ok(Property(value.to_string()))
            }
            fn visit_unit<E: Error>(self) -> Result<Property, E> {
                Ok(Property("null".to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Property, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Property("[Array]".to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Property, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Property("[Object]".to_owned()))
            }
        }
        deserializer.deserialize_any(PropertyValue)
    }
}

/// Reads the first frames of a stack.
fn frames<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Text>, D::Error> {
    struct Frames;
    impl<'de> Visitor<'de> for Frames {
        type Value = Vec<Text>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Text>, A::Error> {
            let mut first = Vec::new();
            while first.len() < MAX_ITEMS {
                match list.next_element()? {
                    Some(frame) => first.push(frame),
                    None => return Ok(first),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    deserializer.deserialize_seq(Frames)
}

type Properties = Vec<(Text, Property)>;

/// Reads the first properties of an error.
fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Properties, D::Error> {
    struct ErrorProperties;
    impl<'de> Visitor<'de> for ErrorProperties {
        type Value = Properties;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
            let mut first = Vec::new();
            while first.len() < MAX_ITEMS {
                match map.next_entry()? {
                    Some(property) => first.push(property),
                    None => return Ok(first),
                }
            }
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    deserializer.deserialize_map(ErrorProperties)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Diagnostics, MAX_ITEMS, MAX_TEXT};

    proptest! {
        #[test]
        fn of_whatever_is_read_a_bounded_part_is_printed(
            message in "(?s).{0,50}",
            frames in prop::collection::vec("(?s).{0,20}", 0..300),
            property in "[\\[\\]{}\":,0-9a\\\\]{0,30}",
            text in "(?s).{0,100}",
        ) {
            let stack = serde_json::json!({ "message": message, "stack": frames });
            let header = r#"{"event":"Exception","trigger":"Exception"}"#;
            let stack = stack.to_string().replacen('{', &format!("{{\"errorProperties\":{{\"a\":{property}}},"), 1);
            let report = format!(r#"{{"header":{header},"javascriptStack":{stack}}}"#);
            for report in [report, text] {
                if let Ok(report) = serde_json::from_reader::<_, Diagnostics>(report.as_bytes()) {
                    prop_assert!(report.as_printed().len() < MAX_ITEMS * MAX_TEXT);
                }
            }
        }
    }
}
