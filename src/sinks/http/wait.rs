//! The wait that a server asks for before the next try.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde_json::Value;

/// The shortest and the longest wait that a server may ask for.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_hours(1);

/// Returns the wait that an answer asks for, held within 1 s and 1 h: in `Retry-After`, or in the
/// body as the APIs of Discord, Telegram and Matrix do.
pub fn asked(headers: &HeaderMap, body: &str) -> Option<Duration> {
    let wait = in_headers(headers).or_else(|| in_body(body))?;
    Some(wait.clamp(LEAST, MOST))
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. A date counts from the server's own
/// `Date`, since its clock and ours need not agree.
fn in_headers(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let asked = text(RETRY_AFTER)?;
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(asked.parse().map_or(MOST, Duration::from_secs));
    }
    let wait = date(asked)?.duration_since(date(text(DATE)?)?);
    Some(wait.unwrap_or_default())
}

fn in_body(body: &str) -> Option<Duration> {
    let json: Value = serde_json::from_str(body).ok()?;
    if let Some(millis) = json.get("retry_after_ms").and_then(Value::as_u64) {
        return Some(Duration::from_millis(millis));
    }
    let seconds = json
        .get("retry_after")
        .or_else(|| json.pointer("/parameters/retry_after"))?;
    Duration::try_from_secs_f64(seconds.as_f64()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::hostile::changed;

    proptest! {
        #[test]
        fn whatever_a_server_asks_for_is_held_within_a_second_and_an_hour(
            retry in "[0-9]{0,30}|(Mon|Tue), [0-9]{1,2} Nov [0-9]{1,5} 0[0-9]:00:00 GMT|.{0,20}",
            date in "Mon, [0-9]{1,2} Nov [0-9]{1,5} 0[0-9]:00:00 GMT|.{0,20}",
            body in changed(json!({
                "retry_after_ms": 1, "retry_after": 1.5, "parameters": { "retry_after": 3 },
            })),
            other in "(?s).{0,60}",
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in [(RETRY_AFTER, retry), (DATE, date)] {
                if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                    headers.insert(name, value);
                }
            }
            for (headers, body) in [
                (&headers, body.to_string()),
                (&HeaderMap::new(), body.to_string()),
                (&HeaderMap::new(), other),
            ] {
                let wait = asked(headers, &body);
                prop_assert!(wait.is_none_or(|wait| (LEAST..=MOST).contains(&wait)), "{wait:?}");
            }
        }
    }

    fn wait(retry: &'static str, date: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
        headers.insert(DATE, HeaderValue::from_static(date));
        asked(&headers, "").as_ref().map(Duration::as_secs)
    }

    #[test]
    fn a_wait_in_seconds_is_held_within_a_second_and_an_hour() {
        for (asked, seconds) in [
            ("30", 30),
            ("0", 1),
            ("3600", 3600),
            ("1000000000", 3600),
            ("99999999999999999999999", 3600),
        ] {
            assert_eq!(wait(asked, ""), Some(seconds), "{asked}");
        }
    }

    #[test]
    fn a_wait_until_a_date_counts_from_the_servers_own_clock() {
        let now = "Mon, 23 Nov 2026 03:00:00 GMT";
        assert_eq!(wait("Mon, 23 Nov 2026 03:02:00 GMT", now), Some(120));
        assert_eq!(wait("Mon, 23 Nov 2026 02:00:00 GMT", now), Some(1));
        assert_eq!(wait("Mon, 23 Nov 2099 02:00:00 GMT", now), Some(3600));
        assert_eq!(wait("Mon, 23 Nov 2026 03:02:00 GMT", "no date"), None);
    }

    #[test]
    fn a_wait_that_says_nothing_is_none() {
        for nonsense in ["", "-5", "soon", "1.5", "0x10"] {
            assert_eq!(
                wait(nonsense, "Mon, 23 Nov 2026 03:00:00 GMT"),
                None,
                "{nonsense}"
            );
        }
        assert_eq!(asked(&HeaderMap::new(), ""), None);
    }

    #[test]
    fn a_wait_in_the_body_counts_where_there_is_no_header() {
        for (body, millis) in [
            (
                r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2500}"#,
                2500,
            ),
            (r#"{"retry_after_ms":0}"#, 1000),
            (r#"{"retry_after_ms":99999999999}"#, 3_600_000),
            (r#"{"message":"limited","retry_after":64.57}"#, 64_570),
            (r#"{"ok":false,"parameters":{"retry_after":35}}"#, 35_000),
        ] {
            let wait = asked(&HeaderMap::new(), body);
            assert_eq!(wait, Some(Duration::from_millis(millis)), "{body}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let wait = asked(&headers, r#"{"retry_after":64}"#);
        assert_eq!(wait, Some(Duration::from_secs(7)));
        for nothing in [
            "",
            "7",
            "[]",
            r#"{"retry_after":-1}"#,
            r#"{"retry_after":"7"}"#,
        ] {
            assert_eq!(asked(&HeaderMap::new(), nothing), None, "{nothing}");
        }
    }
}
