use super::*;
use crate::report::sample;
use crate::stand_in::{StandIn, http};

fn answer(status: u16, body: &str) -> Result<String, SendError> {
    let status = StatusCode::from_u16(status).unwrap();
    judge(
        &http::HttpAnswer {
            status,
            retry_after: None,
            body: body.to_owned(),
        },
        "event_id",
    )
}

#[test]
fn only_an_event_id_is_a_receipt() {
    assert_eq!(answer(200, r#"{"event_id":"$e:x"}"#), Ok("$e:x".to_owned()));
    for nearly in [
        "no",
        "",
        "{}",
        "[]",
        r#"{"event_id":7}"#,
        "<html>Please log in</html>",
    ] {
        assert!(
            matches!(answer(200, nearly), Err(SendError::Retry { .. })),
            "{nearly}"
        );
    }
}

#[test]
fn only_matrix_itself_refuses_and_what_may_pass_is_tried_again() {
    for code in [
        "M_UNKNOWN_TOKEN",
        "M_FORBIDDEN",
        "M_NOT_FOUND",
        "M_TOO_LARGE",
        "M_BAD_JSON",
    ] {
        let refused = answer(403, &format!(r#"{{"errcode":"{code}","error":"no"}}"#));
        let why = format!("the homeserver answered 403 {code}: no");
        assert_eq!(refused, Err(SendError::Refused { why }));
    }
    for (status, body) in [
        (404, "<html>not found</html>"),
        (403, "Access denied by the proxy"),
        (302, ""),
        (502, r#"{"errcode":"M_FORBIDDEN"}"#),
        (403, r#"{"errcode":"M_RESOURCE_LIMIT_EXCEEDED"}"#),
        (400, r#"{"errcode":"M_UNKNOWN"}"#),
    ] {
        assert!(
            matches!(
                answer(status, body),
                Err(SendError::Retry { after: None, .. })
            ),
            "{status} {body}"
        );
    }
}

#[test]
fn a_room_is_an_alias_or_an_id_and_a_homeserver_an_address() {
    for good in [
        "#ops:example.com",
        "!id:example.com:8448",
        "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM",
    ] {
        assert!(Room::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "ops",
        "#ops",
        "#:example.com",
        "#ops:",
        "!",
        "#o ps:x",
        "!a\n:x",
        "acme/ops",
    ] {
        assert!(Room::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    for bad in [
        "matrix.org",
        "http://matrix.org",
        "https://u:p@matrix.org",
        "https://matrix.org/?x",
        "ftp://[::1]/",
    ] {
        assert!(Homeserver::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn every_part_of_an_address_is_encoded() {
    let at = |base: &str| {
        Homeserver::try_from(base.to_owned())
            .unwrap()
            .endpoint(&["join", "#a/../b?c#d%:x"])
    };
    let tail = "_matrix/client/v3/join/%23a%2F..%2Fb%3Fc%23d%25:x";
    assert_eq!(
        at("https://m.example").as_str(),
        format!("https://m.example/{tail}")
    );
    assert_eq!(
        at("https://m.example/base/").as_str(),
        format!("https://m.example/base/{tail}")
    );
}

fn sink(dir: &Path, homeserver: &str) -> Matrix {
    std::fs::write(dir.join("token"), "syt_hush\n").unwrap();
    let token = dir.join("token");
    let toml = format!(
        "name = 'x'\nhomeserver = '{homeserver}'\nroom = '#ops:x'\ntoken_file = '{}'",
        token.display()
    );
    toml::from_str(&toml).unwrap()
}

#[test]
fn a_message_is_a_join_and_a_put_under_the_reports_id() {
    let dir = tempfile::tempdir().unwrap();
    let server = StandIn::http_in_turn([
        http("200 OK", "", r#"{"room_id":"!r:x"}"#),
        http("200 OK", "", r#"{"event_id":"$e"}"#),
        http(
            "401 No",
            "",
            r#"{"errcode":"M_UNKNOWN_TOKEN","error":"syt_hush"}"#,
        ),
    ]);
    let sink = sink(dir.path(), &server.url());
    let host = Host::new("/", "/");
    assert_eq!(
        sink.send(&sample(), &host),
        Ok("event $e in !r:x".to_owned())
    );
    let why =
        "cannot join the room: the homeserver answered 401 M_UNKNOWN_TOKEN: [secret]".to_owned();
    assert_eq!(sink.send(&sample(), &host), Err(SendError::Refused { why }));
    let [join, put, _] = &server.finish()[..] else {
        panic!("three requests")
    };
    assert!(
        join.starts_with("POST /_matrix/client/v3/join/%23ops:x HTTP/1.1\r\n"),
        "{join}"
    );
    let path = "/_matrix/client/v3/rooms/!r:x/send/m.room.message/20261123t030000-0123456789abcdef";
    assert!(
        put.starts_with(&format!("PUT {path} HTTP/1.1\r\n")),
        "{put}"
    );
    assert!(
        [join, put]
            .iter()
            .all(|request| request.contains("authorization: Bearer syt_hush\r\n"))
    );
}

#[test]
fn a_preview_shows_the_requests_and_not_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(dir.path(), "https://m.example");
    let preview = sink.preview(&sample(), &Host::new("/", "/")).unwrap();
    assert!(
        preview.starts_with(
            "POST https://m.example/_matrix/client/v3/join/%23ops:x\n{}\nPUT https://"
        ),
        "{preview}"
    );
    assert!(preview.contains("\"msgtype\": \"m.notice\"") && !preview.contains("hush"));
    std::fs::remove_file(dir.path().join("token")).unwrap();
    assert!(sink.preview(&sample(), &Host::new("/", "/")).is_err());
}
