//! What Slack takes, as its documentation has it, and nothing more:
//! <https://docs.slack.dev/reference/block-kit/blocks>,
//! <https://docs.slack.dev/messaging/formatting-message-text>. Slack's server cannot be had for a
//! test; these rules stand in for it, and are stricter: they know only the blocks that a crash
//! report has a use for, and refuse every mention.

use std::fmt::Display;
use std::io::Seek;
use std::process::Command;

use serde_json::{Map, Value};

use crate::servers::installed;

/// The whole of a message's blocks; above about this Slack answers `msg_blocks_too_long`.
const TOTAL: usize = 13_200;

/// Everything in the message that Slack would refuse, or that would ping somebody. Empty is good.
pub fn problems(message: &Value) -> Vec<String> {
    let mut judge = Judge {
        problems: Vec::new(),
        total: 0,
    };
    judge.message(message);
    judge.problems
}

/// Lets the models of Slack's SDK for Python judge the message, too.
pub fn ask_slacks_own_sdk(message: &Value) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/slack_models.py");
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

/// Every text in the blocks, in order.
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
    /// Characters of text in the blocks.
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

    /// A text object: <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>.
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

    /// Markup in which only links may stand between angle brackets, and `&` only begins an escape.
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

    /// An element of a rich text block. In its texts nothing is markup, so that nothing can ping.
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

    /// An object with all of these keys, and no others.
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

    /// The list's elements with their places, where there are as many as there may be.
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

    /// A string of as many characters as it may have.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ask_slacks_own_sdk, problems};

    /// One of everything.
    fn message() -> Value {
        json!({
            "text": "web crashed: a &lt; b &amp; c",
            "unfurl_links": false,
            "blocks": [
                { "type": "header", "text": { "type": "plain_text", "text": "web <crashed>", "emoji": false } },
                { "type": "section", "text": { "type": "mrkdwn", "text": "*why* <https://example.com|runbook>" } },
                { "type": "section", "fields": [{ "type": "plain_text", "text": "exit code 1" }] },
                { "type": "rich_text", "elements": [
                    { "type": "rich_text_section", "elements": [
                        { "type": "text", "text": "its last lines", "style": { "bold": true } },
                        { "type": "link", "url": "https://example.com", "text": "more" },
                    ] },
                    { "type": "rich_text_preformatted", "border": 0, "elements": [
                        { "type": "text", "text": "<!channel> & <@U1>" },
                    ] },
                ] },
                { "type": "divider" },
                { "type": "context", "elements": [{ "type": "mrkdwn", "text": "report 1", "verbatim": true }] },
            ],
        })
    }

    /// The problems of [`message`] with the value at the JSON pointer replaced.
    fn with(pointer: &str, value: Value) -> Vec<String> {
        let mut message = message();
        *message
            .pointer_mut(pointer)
            .expect("the pointer leads somewhere") = value;
        problems(&message)
    }

    /// The same with a key added to the object at the pointer.
    fn adding(pointer: &str, key: &str, value: Value) -> Vec<String> {
        let mut message = message();
        let place = message
            .pointer_mut(pointer)
            .expect("the pointer leads somewhere");
        place
            .as_object_mut()
            .expect("an object")
            .insert(key.to_owned(), value);
        problems(&message)
    }

    fn letters(count: usize) -> Value {
        json!("é".repeat(count))
    }

    #[test]
    fn a_message_with_one_of_everything_is_taken() {
        assert_eq!(problems(&message()), [""; 0]);
    }

    #[test]
    fn slacks_own_sdk_agrees_about_it() {
        ask_slacks_own_sdk(&message());
    }

    #[test]
    #[should_panic(expected = "text attribute cannot exceed 150 characters")]
    fn slacks_own_sdk_is_asked_about_every_block() {
        let mut message = message();
        message["blocks"][0]["text"]["text"] = letters(151);
        ask_slacks_own_sdk(&message);
    }

    #[test]
    #[should_panic(expected = "colour")]
    fn slacks_own_sdk_refuses_keys_that_it_does_not_know() {
        let mut message = message();
        message["blocks"][3]["elements"][1]["colour"] = json!("red");
        ask_slacks_own_sdk(&message);
    }

    #[test]
    fn a_text_at_its_limit_is_taken_and_one_character_more_is_refused() {
        for (pointer, limit) in [
            ("/text", 40_000),
            ("/blocks/0/text/text", 150),
            ("/blocks/1/text/text", 3000),
            ("/blocks/2/fields/0/text", 2000),
            ("/blocks/3/elements/0/elements/1/url", 3000),
            ("/blocks/5/elements/0/text", 3000),
        ] {
            assert_eq!(with(pointer, letters(limit)), [""; 0], "{pointer}");
            let refused = with(pointer, letters(limit + 1));
            assert_eq!(refused.len(), 1, "{pointer}: {refused:?}");
            assert!(
                refused[0].contains(&format!("{} characters", limit + 1)),
                "{pointer}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_list_at_its_limit_is_taken_and_one_element_more_is_refused() {
        let text = json!({ "type": "plain_text", "text": "x" });
        for (pointer, element, limit) in [
            ("/blocks", json!({ "type": "divider" }), 50),
            ("/blocks/2/fields", text.clone(), 10),
            ("/blocks/5/elements", text, 10),
        ] {
            assert_eq!(
                with(pointer, json!(vec![element.clone(); limit])),
                [""; 0],
                "{pointer}"
            );
            let refused = with(pointer, json!(vec![element; limit + 1]));
            assert_eq!(refused.len(), 1, "{pointer}: {refused:?}");
            assert!(
                refused[0].contains(&format!("{} elements", limit + 1)),
                "{pointer}: {refused:?}"
            );
        }
    }

    #[test]
    fn blocks_that_together_hold_too_much_are_refused() {
        let section = |count| json!({ "type": "section", "text": { "type": "plain_text", "text": "x".repeat(count) } });
        let sections = |last| {
            json!([
                section(3000),
                section(3000),
                section(3000),
                section(3000),
                section(last)
            ])
        };
        assert_eq!(with("/blocks", sections(1200)), [""; 0]);
        assert_eq!(
            with("/blocks", sections(1201)),
            ["blocks: 13201 characters in all, at most 13200"]
        );
    }

    #[test]
    fn nothing_may_be_empty() {
        for (pointer, empty) in [
            ("/text", json!("")),
            ("/blocks", json!([])),
            ("/blocks/0/text/text", json!("")),
            ("/blocks/2/fields", json!([])),
            ("/blocks/3/elements", json!([])),
            ("/blocks/3/elements/1/elements", json!([])),
            ("/blocks/3/elements/1/elements/0/text", json!("")),
            ("/blocks/5/elements", json!([])),
        ] {
            assert_eq!(with(pointer, empty).len(), 1, "{pointer}");
        }
    }

    #[test]
    fn whatever_would_ping_somebody_is_refused() {
        for ping in [
            "<!channel>",
            "<!here|here>",
            "<@U012>",
            "<#C012>",
            "<!subteam^S012>",
        ] {
            for pointer in ["/text", "/blocks/1/text/text", "/blocks/5/elements/0/text"] {
                assert_eq!(
                    with(pointer, json!(format!("at {ping}"))).len(),
                    1,
                    "{pointer} {ping}"
                );
            }
        }
        for (kind, key) in [
            ("broadcast", "range"),
            ("user", "user_id"),
            ("usergroup", "usergroup_id"),
        ] {
            let mention = json!({ "type": kind, key: "here" });
            assert_eq!(
                with("/blocks/3/elements/0/elements/0", mention).len(),
                1,
                "{kind}"
            );
        }
        assert_eq!(
            adding("", "link_names", json!(true)),
            ["message: unknown key link_names"]
        );
        assert_eq!(
            adding("", "parse", json!("full")),
            ["message: unknown key parse"]
        );
    }

    #[test]
    fn markup_that_is_not_escaped_is_refused() {
        for markup in [
            "a < b",
            "a > b",
            "a & b",
            "<b>",
            "<https://a<b>",
            "&nbsp;",
            "<javascript:x>",
            "<https://é",
        ] {
            assert_eq!(
                with("/blocks/1/text/text", json!(markup)).len(),
                1,
                "{markup}"
            );
        }
    }

    #[test]
    fn unknown_keys_and_types_are_refused_wherever_they_stand() {
        for pointer in [
            "",
            "/blocks/0",
            "/blocks/0/text",
            "/blocks/1",
            "/blocks/1/text",
            "/blocks/3",
            "/blocks/3/elements/0",
            "/blocks/3/elements/0/elements/0",
            "/blocks/3/elements/0/elements/0/style",
            "/blocks/3/elements/1",
            "/blocks/4",
            "/blocks/5",
        ] {
            let refused = adding(pointer, "colour", json!(true));
            assert!(
                matches!(refused.as_slice(), [one] if one.ends_with("unknown key colour")),
                "{pointer}: {refused:?}"
            );
        }
        for pointer in [
            "/blocks/0/type",
            "/blocks/0/text/type",
            "/blocks/3/elements/0/type",
            "/blocks/3/elements/0/elements/0/type",
            "/blocks/5/elements/0/type",
        ] {
            assert_eq!(with(pointer, json!("marquee")).len(), 1, "{pointer}");
        }
        assert_eq!(
            with("/blocks/0/text/type", json!("mrkdwn")).len(),
            1,
            "a header is plain text"
        );
    }

    #[test]
    fn what_must_be_there_is_missed() {
        for (pointer, key) in [
            ("", "text"),
            ("/blocks/0", "text"),
            ("/blocks/1", "text"),
            ("/blocks/1/text", "text"),
            ("/blocks/3", "elements"),
            ("/blocks/3/elements/1", "elements"),
            ("/blocks/3/elements/0/elements/0", "text"),
            ("/blocks/3/elements/0/elements/1", "url"),
            ("/blocks/5", "elements"),
        ] {
            let mut message = message();
            let place = message
                .pointer_mut(pointer)
                .expect("the pointer leads somewhere");
            place.as_object_mut().expect("an object").remove(key);
            assert_eq!(problems(&message).len(), 1, "{pointer} without {key}");
        }
    }

    #[test]
    fn values_of_a_wrong_kind_are_refused() {
        for (pointer, value) in [
            ("", json!("web crashed")),
            ("/text", json!(1)),
            ("/blocks", json!({})),
            ("/blocks/0/text/emoji", json!("no")),
            ("/blocks/3/elements/1/border", json!(true)),
            ("/blocks/3/elements/1/border", json!(2)),
            ("/blocks/3/elements/0/elements/0/style/bold", json!(1)),
        ] {
            assert_eq!(with(pointer, value).len(), 1, "{pointer}");
        }
        let id = "i".repeat(256);
        assert_eq!(adding("/blocks/4", "block_id", json!(id)).len(), 1);
    }
}
