//! The rules that stand in for Slack: messages that they accept and refuse.

use serde_json::{Value, json};

use crate::support::slack_rules::{check_with_slacks_sdk, problems};

/// Returns a message with one block of each kind.
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

/// Returns the problems of [`message`] with the value at the JSON pointer replaced.
fn with(pointer: &str, value: Value) -> Vec<String> {
    let mut message = message();
    *message
        .pointer_mut(pointer)
        .expect("the pointer leads somewhere") = value;
    problems(&message)
}

/// Returns the same with a key added to the object at the pointer.
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
fn slacks_own_sdk_takes_the_message_too() {
    check_with_slacks_sdk(&message());
}

#[test]
#[should_panic(expected = "text attribute cannot exceed 150 characters")]
fn slacks_own_sdk_checks_every_block() {
    let mut message = message();
    message["blocks"][0]["text"]["text"] = letters(151);
    check_with_slacks_sdk(&message);
}

#[test]
#[should_panic(expected = "colour")]
fn slacks_own_sdk_refuses_keys_that_it_does_not_know() {
    let mut message = message();
    message["blocks"][3]["elements"][1]["colour"] = json!("red");
    check_with_slacks_sdk(&message);
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
fn every_mention_is_refused() {
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
fn a_missing_key_is_refused() {
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
