use base64::Engine;
use proptest::prelude::*;

use super::*;
use crate::report::sample;

/// A secret, in shapes in which logs, configs and command lines hold them, and what is left of
/// each.
const SHAPES: &[(&str, &str)] = &[
    // Headers
    (
        "Authorization: Bearer cAn4ry.x-y_z",
        "Authorization: Bearer [redacted]",
    ),
    (
        "> authorization: Basic dXNlcjpjQW40cnk=",
        "> authorization: Basic [redacted]",
    ),
    (
        "proxy-authorization: cAn4ry",
        "proxy-authorization: [redacted]",
    ),
    (
        "Authorization: Digest username=\"u\", response=\"cAn4ry\"",
        "Authorization: Digest [redacted]\"",
    ),
    (
        "curl -H 'Authorization: Bearer cAn4ry' https://h/",
        "curl -H 'Authorization: Bearer [redacted]' https://h/",
    ),
    (
        "headers: { authorization: 'Bearer cAn4ry', host: 'h' }",
        "headers: { authorization: 'Bearer [redacted]', host: 'h' }",
    ),
    (
        "rawHeaders: [ 'Authorization', 'Token cAn4ry' ]",
        "rawHeaders: [ 'Authorization', 'Token [redacted]' ]",
    ),
    ("sent Bearer cAn4ry0123456789abc", "sent Bearer [redacted]"),
    ("X-Api-Key: cAn4ry", "X-Api-Key: [redacted]"),
    (
        "ssh_key: |\n    # this key belongs to the deployment user of the web shop and is rotated each \
         month by the team\n    cAn4ry",
        "ssh_key: |\n    [redacted]",
    ),
    ("Cookie: sid=cAn4ry; theme=dark", "Cookie: sid=[redacted]"),
    (
        "set-cookie: sid=cAn4ry; Path=/; HttpOnly",
        "set-cookie: sid=[redacted]",
    ),
    (
        "{\"cookie\":\"sid=cAn4ry; a=b\",\"host\":\"h\"}",
        "{\"cookie\":\"sid=[redacted]\",\"host\":\"h\"}",
    ),
    (
        "'set-cookie': [ 'sid=cAn4ry; Path=/' ]",
        "'set-cookie': [ '[redacted]' ]",
    ),
    // URLs
    (
        "postgres://app:cAn4ry@db1:5432/shop",
        "postgres://app:[redacted]@db1:5432/shop",
    ),
    ("redis://:cAn4ry@cache/0", "redis://:[redacted]@cache/0"),
    ("amqp://u:p@cAn4ry@mq/%2f", "amqp://u:[redacted]@mq/%2f"),
    (
        "mongodb+srv://u:cAn/4ry@h/db",
        "mongodb+srv://u:[redacted]@h/db",
    ),
    (
        "https://cAn4ry0123456789abc@sentry.io/42",
        "https://[redacted]@sentry.io/42",
    ),
    (
        "GET /v1?page=2&token=cAn4ry&x=1 200",
        "GET /v1?page=2&token=[redacted]&x=1 200",
    ),
    ("https://h/?key=cAn4ry#top", "https://h/?key=[redacted]"),
    (
        "https://b/o?X-Amz-Signature=cAn4ry&X-Amz-Expires=60",
        "https://b/o?X-Amz-Signature=[redacted]&X-Amz-Expires=60",
    ),
    (
        "root:cAn4ry@tcp(db1:3306)/shop",
        "root:[redacted]@tcp(db1:3306)/shop",
    ),
    (
        "jdbc:mysql://db1/shop?user=u&password=cAn4ry",
        "jdbc:mysql://db1/shop?user=u&password=[redacted]",
    ),
    ("next=%3Fpassword%3DcAn4ry", "next=%3Fpassword%3D[redacted]"),
    // Names and values
    (
        "user=bob password=cAn4ry took=3ms",
        "user=bob password=[redacted] took=3ms",
    ),
    (
        "user=bob,password=cAn,4ry!,took=3ms",
        "user=bob,password=[redacted],took=3ms",
    ),
    (
        "password=\"cAn4ry with spaces\" user=bob",
        "password=\"[redacted]\" user=bob",
    ),
    (
        "AWS_SECRET_ACCESS_KEY=cAn4ry/+=",
        "AWS_SECRET_ACCESS_KEY=[redacted]",
    ),
    (
        "PATH=/bin\nDB_PASSWORD=correct cAn4ry staple\nHOME=/root",
        "PATH=/bin\nDB_PASSWORD=[redacted]\nHOME=/root",
    ),
    (
        "env: STRIPE_KEY=cAn4ry, PORT=8080",
        "env: STRIPE_KEY=[redacted], PORT=8080",
    ),
    (
        "{\"apiKey\": \"cAn4ry\", \"port\": 1}",
        "{\"apiKey\": \"[redacted]\", \"port\": 1}",
    ),
    (
        "{\"client_secret\":\"cAn\\\"4ry\",\"port\":1}",
        "{\"client_secret\":\"[redacted]\",\"port\":1}",
    ),
    (
        "msg=\"{\\\"password\\\":\\\"cAn\\\\\\\"4ry\\\",\\\"n\\\":1}\"",
        "msg=\"{\\\"password\\\":\\\"[redacted]\\\",\\\"n\\\":1}\"",
    ),
    (
        "{ password: 'cAn4ry', port: 1 }",
        "{ password: '[redacted]', port: 1 }",
    ),
    (
        "{:password=>\"cAn4ry\", :n=>1}",
        "{:password=>\"[redacted]\", :n=>1}",
    ),
    (
        "{Name:app Password:cAn4ry Port:1}",
        "{Name:app Password:[redacted] Port:1}",
    ),
    (
        "Config { password: Some(\"cAn 4ry\"), port: 1 }",
        "Config { password: Some(\"[redacted]\"), port: 1 }",
    ),
    (
        "db:\n  user: app\n  password: correct cAn4ry\n  port: 1",
        "db:\n  user: app\n  password: [redacted]\n  port: 1",
    ),
    (
        "private_key: |\n  cAn\n  4ry\nport: 1",
        "private_key: |\n  [redacted]\nport: 1",
    ),
    (
        "\"passwords\": 1, \"secret\": [\"cAn\", \"4ry\"], \"n\": 1",
        "\"passwords\": 1, \"secret\": [\"[redacted]\", \"[redacted]\"], \"n\": 1",
    ),
    (
        "{\"name\":\"DB_PASSWORD\",\"value\":\"cAn4ry\"}",
        "{\"name\":\"DB_PASSWORD\",\"value\":\"[redacted]\"}",
    ),
    (
        "<db><password>cAn4ry</password></db>",
        "<db><password>[redacted]</password></db>",
    ),
    (
        "\u{1b}[36mtoken=\u{1b}[0mcAn4ry \u{1b}[36mn=\u{1b}[0m1",
        "\u{1b}[36mtoken=\u{1b}[0m[redacted] \u{1b}[36mn=\u{1b}[0m1",
    ),
    (
        "Server=db1;Uid=sa;Pwd=cAn4ry;",
        "Server=db1;Uid=sa;Pwd=[redacted];",
    ),
    (
        "//npm.example.com/:_authToken=cAn4ry",
        "//npm.example.com/:_authToken=[redacted]",
    ),
    // Command lines
    (
        "worker --password cAn4ry --port 1",
        "worker --password [redacted] --port 1",
    ),
    (
        "worker --db-password=cAn4ry --port=1",
        "worker --db-password=[redacted] --port=1",
    ),
    (
        "[\"worker\", \"--api-key\", \"cAn4ry\", \"--x\"]",
        "[\"worker\", \"--api-key\", \"[redacted]\", \"--x\"]",
    ),
    (
        "mysql -u root -pcAn4ry shop",
        "mysql -u root -p[redacted] shop",
    ),
    ("sshpass -p cAn4ry ssh db1", "sshpass -p [redacted] ssh db1"),
    (
        "curl -s -u admin:cAn4ry https://h/",
        "curl -s -u admin:[redacted] https://h/",
    ),
    // What was cut
    ("[cut] cAn4ry and so on", "[cut] [redacted] and so on"),
    (
        "[what came before is cut]\ncAn4ry and so on",
        "[what came before is cut]\n[redacted] and so on",
    ),
    // Where a value ends
    (
        "http://h:80,postgres://u:cAn4ry@db/x",
        "http://h:80,postgres://u:[redacted]@db/x",
    ),
    (
        "password=\"cAn4ry and no end\nnext line",
        "password=\"[redacted]\nnext line",
    ),
    ("password=cAn4ry,user=bob", "password=[redacted],user=bob"),
    (
        "fetch(\"Authorization: Bearer cAn4ry\") failed",
        "fetch(\"Authorization: Bearer [redacted]\") failed",
    ),
    (
        "login password=cAn\"4ry failed\nnext line",
        "login password=[redacted] failed\nnext line",
    ),
    ("password=cAn<4ry", "password=[redacted]"),
    ("password=[redacted]cAn4ry", "password=[redacted]"),
    (
        "password=Some(\"cAn4ry b\") for bob",
        "password=Some(\"[redacted]\") for bob",
    ),
];

/// More shapes, with a secret that looks like one.
const MORE_SHAPES: &[(&str, &str)] = &[
    (
        "Authorization: GenieKey {}",
        "Authorization: GenieKey [redacted]",
    ),
    (
        "map[X-Api-Key:[{}] Host:[h]]",
        "map[X-Api-Key:[[redacted]] Host:[h]]",
    ),
    (
        "map[password:{} user:bob]",
        "map[password:[redacted] user:bob]",
    ),
    (
        "user%5Bpassword%5D={}&x=1",
        "user%5Bpassword%5D=[redacted]&x=1",
    ),
    ("user[password]={}&x=1", "user[password]=[redacted]&x=1"),
    (
        "a=1%26token%3D{}%26b%3D2",
        "a=1%26token%3D[redacted]%26b%3D2",
    ),
    (
        "{\"passwords\":[\"ab\",\"{}\"]}",
        "{\"passwords\":[\"[redacted]\",\"[redacted]\"]}",
    ),
    (
        "{\"password\":\n  \"{}\"}",
        "{\"password\":\n  \"[redacted]\"}",
    ),
    ("db_key:\n  {}\nport: 1", "db_key:\n  [redacted]\nport: 1"),
    (
        "tokens:\n  - {}\n  - b2\nport: 1",
        "tokens:\n  - [redacted]\n  - [redacted]\nport: 1",
    ),
    (
        "<wsse:Password Type=\"x\">{}</wsse:Password>",
        "<wsse:Password Type=\"x\">[redacted]</wsse:Password>",
    ),
    (
        "<add key=\"DbPassword\" value=\"{}\" />",
        "<add key=\"DbPassword\" value=\"[redacted]\" />",
    ),
    (
        "GH_PAT={} SMTP_PW={}",
        "GH_PAT=[redacted] SMTP_PW=[redacted]",
    ),
    (
        "dbpass={} web_key={}",
        "dbpass=[redacted] web_key=[redacted]",
    ),
    (
        "{\"auths\":{\"r\":{\"auth\":\"{}\"}}}",
        "{\"auths\":{\"r\":{\"auth\":\"[redacted]\"}}}",
    ),
    (
        "%URI{authority: \"bob:{}@db:5432\", userinfo: \"bob:{}\", host: \"db\"}",
        "%URI{authority: \"bob:[redacted]@db:5432\", userinfo: \"[redacted]\", host: \"db\"}",
    ),
    (
        "GRANT ALL ON x.* TO bob IDENTIFIED BY '{}'",
        "GRANT ALL ON x.* TO bob IDENTIFIED BY '[redacted]'",
    ),
    (
        "CREATE USER b IDENTIFIED WITH sha256 BY '{}';",
        "CREATE USER b IDENTIFIED WITH sha256 BY '[redacted]';",
    ),
    (
        "ALTER USER bob PASSWORD '{}'",
        "ALTER USER bob PASSWORD '[redacted]'",
    ),
    (
        "SET PASSWORD = PASSWORD('{}')",
        "SET PASSWORD = PASSWORD('[redacted]')",
    ),
    (
        "#0 /srv/a.php(3): PDO->__construct('mysql:host=db1', 'app', '{}')",
        "#0 /srv/a.php(3): PDO->__construct('mysql:host=db1', 'app', '[redacted]')",
    ),
    (
        "#1 /srv/a.php(3): ftp_login(Resource id #3, 'app', 'hunter')",
        "#1 /srv/a.php(3): ftp_login(Resource id #3, 'app', '[redacted]')",
    ),
    (
        "#2 /srv/a.php(3): password_verify('hunter', 'x')",
        "#2 /srv/a.php(3): password_verify('[redacted]', 'x')",
    ),
    (
        "app:p@{}@tcp(db1:3306)/shop",
        "app:[redacted]@tcp(db1:3306)/shop",
    ),
    (
        "postgres://app:x>{}@db1/shop",
        "postgres://app:[redacted]@db1/shop",
    ),
    (
        "postgres://app:p@/{}@db1/shop",
        "postgres://app:[redacted]@db1/shop",
    ),
    (
        "{\"url\":\"postgres:\\/\\/app:{}@db1\\/shop\"}",
        "{\"url\":\"postgres:\\/\\/app:[redacted]@db1\\/shop\"}",
    ),
    (
        "KeyError: password -> {}",
        "KeyError: password -> [redacted]",
    ),
    (
        "beam.smp -setcookie {} -sname a",
        "beam.smp -setcookie [redacted] -sname a",
    ),
    (
        "ldapsearch -w {} -b dc=x",
        "ldapsearch -w [redacted] -b dc=x",
    ),
    (
        "redis-cli -h h -a {} ping",
        "redis-cli -h h -a [redacted] ping",
    ),
    (
        "smbclient //h/s -U bob%{} -c ls",
        "smbclient //h/s -U bob%[redacted] -c ls",
    ),
    (
        "[\"mysql\", \"-p{}\", \"shop\"]",
        "[\"mysql\", \"-p[redacted]\", \"shop\"]",
    ),
    (
        "refused\\n{\\\"token\\\": \\\"{}\\\"}",
        "refused\\n{\\\"token\\\": \\\"[redacted]\\\"}",
    ),
    (
        "Set-Cookie: _gitlab_session={}; path=/",
        "Set-Cookie: _gitlab_session=[redacted]",
    ),
    ("_gitlab_session={};", "_gitlab_session=[redacted];"),
    (
        "https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{}",
        "https://hooks.slack.com/services/[redacted]",
    ),
    (
        "{\"kty\":\"EC\",\"x\":\"{}\",\"d\":\"{}{}\"}",
        "{\"kty\":\"EC\",\"x\":\"Zq7fT9wLm2Xc4Rv8\",\"d\":\"[redacted]\"}",
    ),
];

/// Tokens that are known by their shape.
const TOKENS: &[&str] = &[
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "gho_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11ABCDEFG0abcdefghijkl_0123456789",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghijkl",
    "xapp-1-A0123-456-abcdef",
    "sk_live_0123456789abcdef",
    "whsec_0123456789abcdef0123",
    "sk-proj-0123456789abcdef0123",
    "SG.0123456789abcdefghij.0123456789abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.abcDEF-_123",
    "npm_0123456789abcdefghijABCDEFGHIJ012345",
    "AIzaSyA0123456789abcdefghijABCDEFGHIJ01",
    "syt_bGFzdHdvcmRz_abcdefghijklmnop_0a1b2c",
    "123456789:AAabcdefghijABCDEFGHIJ0123456789abc",
    "hvs.0123456789abcdefghijABCD",
    "$6$rounds$0123456789abcdefghijABCD",
];

/// Text that looks like a secret, and is none.
const HARMLESS_TEXTS: &[&str] = &[
    "Error: boom\n    at Token.parse (/srv/app/token.js:10:5)\n    at async /srv/app/api-key.js:3:1",
    "at com.example.auth.TokenFilter.doFilter(TokenFilter.java:42)",
    "  File \"/srv/password.py\", line 3, in check_password\n    raise ValueError(name)",
    "goroutine 1 [running]:\nmain.(*Secret).Load(0xc000010000)\n\t/srv/secret.go:42 +0x1d",
    "thread 'main' panicked at src/token.rs:10:5:\ncalled `Option::unwrap()` on a `None` value: auth::token::Token::new",
    "SyntaxError: Unexpected token } in JSON at position 5",
    "SyntaxError: Unexpected token: name (foo)",
    "syntax error near unexpected token `('",
    "token bucket is empty, 5 tokens: wait",
    "key=42 primary_key=7 sort_key=name keys=[1, 2]",
    "config password: null, token: undefined, secret=\"\", api_key: ***",
    "Access denied for user 'root'@'localhost' (using password: YES)",
    "password authentication failed for user \"app\"",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "id 123e4567-e89b-12d3-a456-426614174000",
    "GET https://shop.example.com:8443/products?page=8&sort=key 200 6.6 ms",
    "http://localhost:3000/users/@me and http://[::1]:8080/a@b",
    "file:///srv/app/node_modules/@scope/x/index.js:10:5",
    "ssh://git@github.com/acme/web.git, mail to ops@example.com:25",
    "PWD=/srv/app OLDPWD=/ MONKEY=1",
    "duplicate key value violates unique constraint \"users_pkey\" DETAIL: Key (id)=(42) already exists.",
    "psql -p 5432 -U app; docker run -p 80:80 web; mysqld -P 3306",
    "secretary: bob, tokenizer=bpe, passing: 3, keyboard: us, compass=north",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCARygAwIBAgIB\n-----END CERTIFICATE-----",
    "2026-11-23T02:59:59.661Z info POST /token 200 6.6 ms",
    "http://h:80 is down, mail u@h",
    "\"http://h:80\" is down, mail u@h",
    "http://u:@h/ has no password",
    "password=[redacted], token: [redacted]",
];

const KEY_LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";

#[test]
fn a_secret_is_taken_out_and_the_line_can_still_be_read() {
    for (text, left) in SHAPES {
        assert_eq!(redact(text), *left, "{text}");
    }
    for token in TOKENS {
        assert_eq!(
            redact(&format!("got {token}, as expected")),
            "got [redacted], as expected",
            "{token}"
        );
    }
}

#[test]
fn a_secret_is_found_in_whatever_it_is_written() {
    for (text, left) in MORE_SHAPES {
        let text = text.replace("{}", "Zq7fT9wLm2Xc4Rv8");
        assert_eq!(redact(&text), *left, "{text}");
        assert_eq!(redact(left), *left);
    }
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    for text in HARMLESS_TEXTS {
        assert_eq!(redact(text), *text);
    }
}

#[test]
fn a_redacted_text_stays_as_it_is() {
    for (_, left) in SHAPES {
        assert_eq!(redact(left), *left);
    }
}

#[test]
fn of_a_private_key_only_its_lines_are_left() {
    let (begin, end) = (
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----END RSA PRIVATE KEY-----\n",
    );
    let body = format!("{}{}", KEY_LINE.repeat(3), "cAn4ry==\n");
    let left = format!("a\n{begin}[redacted]\n{end}b");
    assert_eq!(redact(&format!("a\n{begin}{body}{end}b")), left);
    assert_eq!(
        redact(&format!("a\n{begin}Proc-Type: 4,ENCRYPTED\n\n{body}{end}b")),
        left
    );
    assert_eq!(redact(&left), left);
    // Written into JSON, and into JSON within JSON.
    for newline in ["\\n", "\\\\n"] {
        let text = format!("{{\"pem\":\"{begin}{body}{end}\"}}").replace('\n', newline);
        let left = format!(
            "{{\"pem\":\"{}[redacted]{newline}{}\"}}",
            begin.replace('\n', newline),
            end.replace('\n', newline)
        );
        assert_eq!(redact(&text), left);
    }
}

#[test]
fn a_private_key_that_is_cut_is_taken_out_too() {
    let (begin, end) = (
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
    );
    let body = format!("{}{}", KEY_LINE.repeat(3), "cAn4ry==\n");
    for newline in ["\n", "\\n"] {
        let (text, start) = (
            format!("{begin}{body}").replace('\n', newline),
            begin.trim_end(),
        );
        for length in begin.len() + 10..text.len() {
            let left = redact(&text[..length]).into_owned();
            assert!(
                left.starts_with(start) && !left.contains("MII") && !left.contains("cAn"),
                "{left}"
            );
        }
        let text = format!("{body}{end}b").replace('\n', newline);
        for from in 0..body.len() - 1 {
            let left = redact(&text[from..]).into_owned();
            assert!(
                !left.contains("9Us8cK") && !left.contains("n4ry") && left.ends_with('b'),
                "{left}"
            );
        }
    }
    // What follows a first line that nobody ends stays.
    let text = format!("expected {begin}found nothing, and more to read here\n");
    assert!(redact(&text).contains("and more to read here"));
}

/// Returns a key's text: four rows of a width and a last one.
fn key(width: usize) -> Vec<String> {
    let row = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjAgE3xYz1A+/Qq0";
    let mut rows: Vec<String> = (0..4)
        .map(|n| format!("{}{}", &row[n..width - 4 + n], "aB3/"))
        .collect();
    rows.push("cAn4ry==".to_owned());
    rows
}

/// Returns true if nothing of a key's text is left.
fn is_gone(key: &[String], left: &str) -> bool {
    key.iter().all(|row| {
        let parts = row.as_bytes().windows(8.min(row.len()));
        parts
            .into_iter()
            .all(|part| !left.contains(std::str::from_utf8(part).unwrap()))
    })
}

#[test]
fn a_private_key_is_taken_out_whatever_stands_before_and_behind_its_lines() {
    let (begin, end) = (
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END RSA PRIVATE KEY-----",
    );
    let carriers: [(&str, &str); 9] = [
        ("", ""),
        ("0|web  | ", ""),
        ("web_1  | ", ""),
        ("2026-11-29T03:00:00.123Z ", ""),
        ("Nov 29 03:00:00 db1 web[42]: ", ""),
        ("INFO  ", "\r"),
        ("time=\"2026-11-29T03:00:00Z\" level=info msg=\"", "\""),
        (
            "{\"log\":\"",
            "\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-29T03:00:00.123456789Z\"}",
        ),
        ("{\"level\":30,\"msg\":\"", "\",\"pid\":42}"),
    ];
    for (before, behind) in carriers {
        for width in [64, 70, 76] {
            let rows = key(width);
            let line = |text: &str| format!("{before}{text}{behind}\n");
            let body: String = rows.iter().map(|row| line(row)).collect();
            let (first, last) = (line("it is starting"), line("TypeError: x"));
            for (begins, ends) in [(true, true), (true, false), (false, true), (false, false)] {
                let begin = if begins { line(begin) } else { String::new() };
                let end = if ends { line(end) } else { String::new() };
                let text = format!("{first}{begin}{body}{end}{last}");
                let left = redact(&text);
                assert!(is_gone(&rows, &left), "{text}\n=>\n{left}");
                assert!(
                    left.contains("starting") && left.contains("TypeError: x"),
                    "{left}"
                );
                if !before.is_empty() {
                    assert_eq!(
                        left.matches(before).count(),
                        text.matches(before).count(),
                        "{left}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_private_key_whose_beginning_is_cut_away_anywhere_is_taken_out() {
    let rows = key(64);
    for before in ["", "0|web  | ", "[cut] "] {
        let prefix = if before == "[cut] " { "" } else { before };
        let body = format!("{prefix}{}\n", rows.join(&format!("\n{prefix}")));
        for end in ["-----END PRIVATE KEY-----", "done with it"] {
            let text = format!("{body}{prefix}{end}\n");
            for from in 0..2 * (64 + prefix.len()) {
                let text = if before == "[cut] " {
                    format!("[cut] {}", &text[from..])
                } else {
                    text[from..].to_owned()
                };
                let left = redact(&text);
                assert!(is_gone(&rows, &left), "{text}\n=>\n{left}");
            }
        }
    }
}

#[test]
fn a_private_key_is_taken_out_of_urls_base64_and_puttys_files() {
    let rows = key(64);
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        rows.join("\n")
    );
    let url = pem
        .replace('/', "%2F")
        .replace('+', "%2B")
        .replace('=', "%3D")
        .replace('\n', "%0A");
    for url in [url.replace(' ', "+"), url.replace(' ', "%20")] {
        let left = redact(&format!("POST /?key={url}&x=1")).into_owned();
        assert!(
            !left.contains("hkiG9w0B") && !left.contains("cAn4ry"),
            "{left}"
        );
    }
    let left = redact(&format!("KEY_FILE={}", pem.replace('\n', " "))).into_owned();
    assert!(is_gone(&rows, &left), "{left}");

    let encoded = base64::engine::general_purpose::STANDARD.encode(&pem);
    assert_eq!(
        redact(&format!("tls.key: {encoded}")),
        "tls.key: [redacted]"
    );
    assert_eq!(
        redact(&format!("got {encoded} as expected")),
        "got [redacted] as expected"
    );

    let ppk = format!(
        "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nPublic-Lines: 1\nAAAAB3\n\
         Private-Lines: 5\n{}\nPrivate-MAC: 1f\n",
        rows.join("\n")
    );
    let left = redact(&ppk);
    assert!(is_gone(&rows, &left) && left.contains("AAAAB3"), "{left}");
}

#[test]
fn as_many_lines_are_left_if_they_are_counted() {
    let text = format!("a\n-----BEGIN PRIVATE KEY-----\n{}\nb", key(64).join("\n"));
    let left = Redactor::default().lines(&text).into_owned();
    assert_eq!(left.lines().count(), text.lines().count(), "{left}");
    assert!(is_gone(&key(64), &left), "{left}");
    let text = text.replace('\n', "\\n");
    let left = "a\\n-----BEGIN PRIVATE KEY-----\\n[redacted]\\nb";
    assert_eq!(Redactor::default().lines(&text), left);
    assert_eq!(Redactor::default().bytes(text.as_bytes()), left.as_bytes());
}

#[test]
fn what_is_long_and_no_number_of_a_key_stays() {
    for text in [
        "<path d=\"M6.76Zq7fT9wLm2Xc4Rv8aB1c\">",
        "{\"d\":\"Zq7fT9wLm2Xc4Rv8aB1c\"}",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn certificates_and_public_keys_stay() {
    for label in ["CERTIFICATE", "PUBLIC KEY"] {
        let text = format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            key(64)[1..].join("\n")
        );
        let from = text.find("aB3/").unwrap();
        for text in [&text[..], &text[from..], &text[..text.len() - 30]] {
            assert_eq!(redact(text), *text);
        }
    }
}

#[test]
fn all_texts_of_a_report_are_redacted_and_its_names_stay() {
    let mut report = sample();
    let secret = "token=cAn4ry";
    report.cause.last_words = Some(report.cause.evidence[0].clone());
    let said = report.cause.last_words.as_mut().expect("it was set");
    said.text.push_str(secret);
    let seen = &mut report.cause.evidence[0];
    for text in [
        &mut report.verdict_because,
        &mut report.cause.line,
        &mut seen.source,
        &mut seen.text,
        &mut report.sections[0].collector,
    ] {
        text.push_str(secret);
    }
    report.notes.push(secret.to_owned());
    report.runbook = Some("https://wiki/?token=cAn4ry".to_owned());
    report.sections[0].text.push_str(secret);
    let data = serde_json::json!({
        "line": secret, "password": "cAn4ry", "nested": [{ "apiKey": { "now": 4711, "on": true } }], secret: 1,
    });
    report.sections[0].data = data.into();
    let mut redacted = report.clone();
    Redactor::default().report(&mut redacted);
    let json = serde_json::to_string(&redacted).unwrap();
    assert!(
        !json.contains("cAn4ry") && !json.contains("4711") && json.contains("\"on\":true"),
        "{json}"
    );
    assert_eq!(
        (&redacted.id, &redacted.stop, &redacted.host),
        (&report.id, &report.stop, &report.host)
    );
}

#[test]
fn values_in_a_sections_data_stay_if_their_names_say_nothing_or_they_themselves_do_not() {
    let data = serde_json::json!({
        "used": 4711, "user": "bob", "path": "/srv/web", "tokens_left": [1, 2], "x": { "y": "z" },
        "password": "none", "secret": 7,
    });
    let mut report = sample();
    report.sections[0].data = data.into();
    let mut redacted = report.clone();
    Redactor::default().report(&mut redacted);
    assert_eq!(redacted.sections[0].data, report.sections[0].data);
}

#[test]
fn a_masked_secret_has_its_length() {
    assert_eq!(
        masked("user=bob password=hunter2 took=3ms"),
        "user=bob password=******* took=3ms"
    );
    assert_eq!(masked("nothing to hide"), "nothing to hide");
}

#[test]
fn a_jobs_pattern_takes_out_what_it_matches_or_its_group() {
    let patterns = ["customer-[0-9]+", "card (\\d{4})", "x*"].map(|it| Pattern::new(it).unwrap());
    let redactor = Redactor::new(patterns.to_vec());
    assert_eq!(
        redactor.text("customer-42 has card 1234"),
        "[redacted] has card [redacted]"
    );
    assert_eq!(
        Redactor::new(vec![Pattern::new("[^a]").unwrap()]).text("a€"),
        "a[redacted]"
    );
}

#[test]
fn a_bad_pattern_says_what_is_wrong_with_it() {
    for (pattern, why) in [
        ("(", "expected a regular expression, but unclosed group"),
        ("", "expected a regular expression, found an empty text"),
        (
            "\\pL",
            "expected a regular expression, but Unicode not allowed here",
        ),
        ("(?:a{1000}){1000}", "this regular expression is too large"),
    ] {
        let found = Pattern::new(pattern).unwrap_err();
        assert!(found.starts_with(why), "{pattern}: {found}");
    }
    assert!(Pattern::new(&"a".repeat(1001)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_survived(
        text in "(?s).{0,200}|(?:[a-z \"'\\\\=:,\\[\\]{}@/-]|password|token|://|-----(?:BEGIN|END) PRIVATE KEY-----){0,40}"
    ) {
        let _ = redact(&text);
    }
}
