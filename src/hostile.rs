//! Hostile JSON for the property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Returns honest JSON in which some values are others, or odd.
pub fn changed(honest: Value) -> impl Strategy<Value = Value> {
    let changes = vec((any::<Index>(), odd()), 0..4);
    changes.prop_map(move |changes| {
        let mut json = honest.clone();
        for (place, odd) in changes {
            let mut places = Vec::new();
            list(&json, "", &mut places);
            if let Some(value) = json.pointer_mut(&places[place.index(places.len())]) {
                *value = odd;
            }
        }
        json
    })
}

/// Returns values that a careless reader does not expect.
fn odd() -> impl Strategy<Value = Value> {
    let known = [
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!(""),
        json!(0),
        json!(-1),
        json!(1e308),
        json!("1970-01-01T00:00:00Z"),
        json!("9999-12-31T23:59:59.999Z"),
        json!("0000-00-00T00:00:00Z"),
    ];
    prop_oneof![
        select(known.to_vec()),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "(?s)[<>&\"'\r\n\t\u{0}\u{1b}\u{9b}\u{202e}%{}\\[\\]`@!*_/:=.a-c1é🦀 ]{0,60}"
            .prop_map(Value::from),
        "[a-c]{0,3}".prop_map(|text| Value::from(text.repeat(2000))),
    ]
}

/// Lists the places of all values, as JSON pointers (RFC 6901).
fn list(json: &Value, at: &str, places: &mut Vec<String>) {
    places.push(at.to_owned());
    match json {
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                list(value, &format!("{at}/{number}"), places);
            }
        }
        Value::Object(values) => {
            for (key, value) in values {
                let key = key.replace('~', "~0").replace('/', "~1");
                list(value, &format!("{at}/{key}"), places);
            }
        }
        _ => {}
    }
}
