//! The messages that Slack takes, by its documentation:
//! <https://docs.slack.dev/reference/block-kit/blocks>,
//! <https://docs.slack.dev/messaging/formatting-message-text>. A test cannot run
//! Slack's server, so these rules stand in for it. They are stricter: they know only the blocks that
//! a crash report needs, and refuse every mention.

use std::fmt::Display;
use std::io::Seek;
use std::process::Command;

use serde_json::{Map, Value};

use crate::support::servers::installed;

/// Maximum size of all blocks of a message. Above about this Slack answers `msg_blocks_too_long`.
const TOTAL: usize = 13_200;

/// Returns everything in the message that Slack would refuse, or that would notify a person.
pub fn problems(message: &Value) -> Vec<String> {
    let mut judge = Judge {
        problems: Vec::new(),
        total: 0,
    };
    judge.message(message);
    judge.problems
}

/// Checks the message with the models of Slack's SDK for Python too.
pub fn check_with_slacks_sdk(message: &Value) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/support/servers/slack_models.py"
    );
    let python = installed("venv/bin/python");
    let mut input = tempfile::tempfile().expect("a temporary file");
    serde_json::to_writer(&input, message).expect("the temporary file is writable");
    input.rewind().expect("a file can be read again");
    let output = Command::new(python)
        .arg(script)
        .stdin(input)
        .output()
        .expect("the venv's Python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Returns every text in the blocks, in order.
pub fn texts(blocks: &Value) -> Vec<&str> {
    match blocks {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == "text" => vec![text.as_str()],
                value => texts(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

struct Judge {
    problems: Vec<String>,
    /// Number of characters of text in the blocks.
    total: usize,
}

impl Judge {
    fn message(&mut self, message: &Value) {
        let Some(message) = self.object(
            "message",
            message,
            &["text", "blocks"],
            &["unfurl_links", "unfurl_media"],
        ) else {
            return;
        };
        self.booleans("message", message, &["unfurl_links", "unfurl_media"]);
        if let Some(text) = self.string("text", &message["text"], 1, 40_000) {
            self.mrkdwn("text", text);
        }
        self.total = 0;
        if let Some(blocks) = message.get("blocks") {
            for (at, block) in self.list("blocks", blocks, 1, 50) {
                self.block(&at, block);
            }
        }
        if self.total > TOTAL {
            self.refuse(
                "blocks",
                format!("{} characters in all, at most {TOTAL}", self.total),
            );
        }
    }

    fn block(&mut self, at: &str, block: &Value) {
        let (required, optional): (&[&str], &[&str]) = match block["type"].as_str() {
            Some("header") => (&["type", "text"], &["block_id"]),
            Some("section") => (&["type"], &["text", "fields", "block_id", "expand"]),
            Some("context" | "rich_text") => (&["type", "elements"], &["block_id"]),
            Some("divider") => (&["type"], &["block_id"]),
            other => return self.refuse(at, format!("{other:?} is no block for a crash report")),
        };
        let Some(object) = self.object(at, block, required, optional) else {
            return;
        };
        if let Some(id) = object.get("block_id") {
            self.string(&format!("{at}.block_id"), id, 1, 255);
        }
        self.booleans(at, object, &["expand"]);
        let elements = format!("{at}.elements");
        match block["type"].as_str() {
            Some("header") => {
                self.text(&format!("{at}.text"), &block["text"], 150, &["plain_text"]);
            }
            Some("section") => self.section(at, object),
            Some("context") => {
                for (at, text) in self.list(&elements, &block["elements"], 1, 10) {
                    self.text(&at, text, 3000, &["plain_text", "mrkdwn"]);
                }
            }
            Some("rich_text") => {
                for (at, element) in self.list(&elements, &block["elements"], 1, usize::MAX) {
                    self.rich_text(&at, element);
                }
            }
            _ => {}
        }
    }

    fn section(&mut self, at: &str, section: &Map<String, Value>) {
        if let Some(text) = section.get("text") {
            self.text(&format!("{at}.text"), text, 3000, &["plain_text", "mrkdwn"]);
        }
        if let Some(fields) = section.get("fields") {
            for (at, field) in self.list(&format!("{at}.fields"), fields, 1, 10) {
                self.text(&at, field, 2000, &["plain_text", "mrkdwn"]);
            }
        } else if !section.contains_key("text") {
            self.refuse(at, "neither text nor fields");
        }
    }

    /// Checks a text object: <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>.
    fn text(&mut self, at: &str, text: &Value, max: usize, types: &[&str]) {
        let kind = text["type"].as_str().unwrap_or_default();
        if !types.contains(&kind) {
            return self.refuse(
                at,
                format!("type {}, expected {}", text["type"], types.join(" or ")),
            );
        }
        let optional = if kind == "mrkdwn" {
            "verbatim"
        } else {
            "emoji"
        };
        let Some(object) = self.object(at, text, &["type", "text"], &[optional]) else {
            return;
        };
        self.booleans(at, object, &[optional]);
        let at = format!("{at}.text");
        if let Some(text) = self.string(&at, &object["text"], 1, max)
            && kind == "mrkdwn"
        {
            self.mrkdwn(&at, text);
        }
    }

    /// Checks markup: only links may be between angle brackets, and `&` must begin an escape.
    fn mrkdwn(&mut self, at: &str, text: &str) {
        for (position, _) in text.match_indices('&') {
            let rest = &text[position..];
            if !["&amp;", "&lt;", "&gt;"]
                .iter()
                .any(|escape| rest.starts_with(escape))
            {
                self.refuse(at, format!("an & that is not escaped: {rest:.20}"));
            }
        }
        let mut rest = text;
        while let Some(position) = rest.find(['<', '>']) {
            let found = &rest[position..];
            let link = found
                .strip_prefix('<')
                .and_then(|link| link.split_once('>'))
                .filter(|(link, _)| {
                    ["https://", "http://", "mailto:"]
                        .iter()
                        .any(|scheme| link.starts_with(scheme))
                        && !link.contains('<')
                });
            let Some((_, after)) = link else {
                return self.refuse(
                    at,
                    format!("an angle bracket that is not escaped: {found:.20}"),
                );
            };
            rest = after;
        }
    }

    /// Checks an element of a rich text block. Its texts have no markup, so they notify no one.
    fn rich_text(&mut self, at: &str, element: &Value) {
        let (optional, links): (&[&str], bool) = match element["type"].as_str() {
            Some("rich_text_section") => (&[], true),
            Some("rich_text_quote") => (&["border"], true),
            Some("rich_text_preformatted") => (&["border", "language"], false),
            other => {
                return self.refuse(at, format!("{other:?} is no rich text for a crash report"));
            }
        };
        let Some(object) = self.object(at, element, &["type", "elements"], optional) else {
            return;
        };
        if let Some(border) = object.get("border")
            && !matches!(border.as_u64(), Some(0 | 1))
        {
            self.refuse(
                &format!("{at}.border"),
                format!("{border}, expected 0 or 1"),
            );
        }
        if let Some(language) = object.get("language") {
            self.string(&format!("{at}.language"), language, 1, 50);
        }
        for (at, inline) in self.list(
            &format!("{at}.elements"),
            &object["elements"],
            1,
            usize::MAX,
        ) {
            self.inline(&at, inline, links);
        }
    }

    fn inline(&mut self, at: &str, inline: &Value, styled: bool) {
        let style: &[&str] = if styled { &["style"] } else { &[] };
        let object = match inline["type"].as_str() {
            Some("text") => self.object(at, inline, &["type", "text"], style),
            Some("link") => self.object(at, inline, &["type", "url"], &[&["text"], style].concat()),
            other => {
                return self.refuse(at, format!("{other:?} is no rich text for a crash report"));
            }
        };
        let Some(object) = object else { return };
        if let Some(text) = object.get("text") {
            self.string(&format!("{at}.text"), text, 1, TOTAL);
        }
        if let Some(url) = object.get("url") {
            self.string(&format!("{at}.url"), url, 1, 3000);
        }
        if let Some(style) = object.get("style") {
            let at = format!("{at}.style");
            let known = ["bold", "italic", "strike", "code"];
            if let Some(style) = self.object(&at, style, &[], &known) {
                self.booleans(&at, style, &known);
            }
        }
    }

    /// Returns an object with all of these keys and no others.
    fn object<'v>(
        &mut self,
        at: &str,
        value: &'v Value,
        required: &[&str],
        optional: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(object) = value.as_object() else {
            self.refuse(at, "not an object");
            return None;
        };
        let unknown = object
            .keys()
            .filter(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str()));
        for key in unknown {
            self.refuse(at, format!("unknown key {key}"));
        }
        let missing: Vec<_> = required
            .iter()
            .filter(|key| !object.contains_key(**key))
            .collect();
        for key in &missing {
            self.refuse(at, format!("no {key}"));
        }
        missing.is_empty().then_some(object)
    }

    /// Returns the list's elements with their places, if their number is allowed.
    fn list<'v>(
        &mut self,
        at: &str,
        value: &'v Value,
        min: usize,
        max: usize,
    ) -> Vec<(String, &'v Value)> {
        let Some(list) = value.as_array() else {
            self.refuse(at, "not a list");
            return Vec::new();
        };
        if !(min..=max).contains(&list.len()) {
            self.refuse(
                at,
                format!("{} elements, expected {min} to {max}", list.len()),
            );
        }
        list.iter()
            .enumerate()
            .map(|(number, value)| (format!("{at}[{number}]"), value))
            .collect()
    }

    /// Returns a string if its length is allowed.
    fn string<'v>(
        &mut self,
        at: &str,
        value: &'v Value,
        min: usize,
        max: usize,
    ) -> Option<&'v str> {
        let Some(text) = value.as_str() else {
            self.refuse(at, "not a string");
            return None;
        };
        let length = text.chars().count();
        self.total += length;
        if !(min..=max).contains(&length) {
            self.refuse(at, format!("{length} characters, expected {min} to {max}"));
        }
        Some(text)
    }

    fn booleans(&mut self, at: &str, object: &Map<String, Value>, keys: &[&str]) {
        for key in keys {
            if object.get(*key).is_some_and(|value| !value.is_boolean()) {
                self.refuse(at, format!("{key} is neither true nor false"));
            }
        }
    }

    fn refuse(&mut self, at: &str, why: impl Display) {
        self.problems.push(format!("{at}: {why}"));
    }
}
