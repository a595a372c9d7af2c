//! Compares every message that people get with the files beside this one: `crash.text`,
//! `crash.slack`, …
//! `LASTWORDS_SNAPSHOTS=write cargo test --test messages` writes them anew; look at the difference
//! before you commit it.

use std::path::Path;
use std::{env, fs};

use lastwords::{Form, form};

#[test]
fn every_message_reads_as_it_did() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let write = env::var_os("LASTWORDS_SNAPSHOTS").is_some_and(|value| value == "write");
    let mut differ = Vec::new();
    for (name, report) in lastwords::examples() {
        for (suffix, shown) in [
            ("text", Form::Text),
            ("slack", Form::Slack),
            ("matrix", Form::Matrix),
        ] {
            let message = form(shown, &report);
            let message = match shown {
                Form::Text => format!("Subject: {}\n\n{message}", lastwords::subject(&report)),
                // Shows the two texts as people read them, not as JSON writes them.
                Form::Matrix => {
                    let event: serde_json::Value = serde_json::from_str(&message).unwrap();
                    ["body", "formatted_body"]
                        .map(|key| format!("{key}:\n{}\n", event[key].as_str().unwrap()))
                        .join("\n")
                }
                _ => message + "\n",
            };
            let file = dir.join(format!("{name}.{suffix}"));
            if write {
                fs::write(&file, &message).unwrap();
            } else if fs::read_to_string(&file).ok().as_deref() != Some(&message) {
                differ.push(format!("{}:\n{message}", file.display()));
            }
        }
    }
    assert!(
        differ.is_empty(),
        "these messages have changed:\n{}",
        differ.join("\n")
    );
}
