//! Tests that hold each decision about a name, a value and the text around them: what is taken out,
//! and the closest text that stays.

use super::redact;

/// A secret that looks like one.
const DRAWN: &str = "Zq7fT9wLm2Xc4Rv8";

/// Checks that the secret in each text is taken out, or stays.
fn all(secret: &str, is_taken: bool, texts: &[&str]) {
    for text in texts {
        let text = text.replace("{}", secret);
        let left = redact(&text);
        let expected = if is_taken {
            text.replace(secret, "[redacted]")
        } else {
            text.clone()
        };
        assert_eq!(left, expected, "{text}");
    }
}

#[test]
fn what_stands_between_a_name_and_its_value_tells() {
    let taken = [
        "password={}",
        "password = {}",
        "password=={}",
        "password==={}",
        "password=>{}",
        "password: {}",
        "password:{}",
        "password := {}",
        "x password -> {}",
        "password%3D{}",
        "password%3d{}",
        "password%3A{}",
        "password%3a%20%22{}",
        "password\u{1b}[0m={}",
        "password=\u{1b}[1;36m{}",
        "password\t=\t{}",
        "'password': '{}'",
        "\"password\": \"{}\"",
        "\\\"password\\\": \\\"{}\\\"",
        "x[password]={}",
        "x[\"password\"] = {}",
        "x%5bpassword%5d={}",
        "password)={}",
        "--password {}",
        "-password {}",
        "--password={}",
        "password '{}'",
        "password('{}')",
        "<password>{}</password>",
        "<a:password>{}</a:password>",
        "<password a=\"b\">{}</password>",
        "name=\"password\"\n\n{}\n",
        "name=\"password\"\r\n\r\n{}\r\n",
        "\"name\": \"password\", \"value\": \"{}\"",
        "'name': 'password',\n 'value' = '{}'",
        "['x-token', '{}']",
        "[\"--token\", \"{}\"]",
    ];
    all("hunter22", true, &taken);
    let stays = [
        "password {}",
        "password::{}",
        "password://{}",
        "password->{}",
        "x[\"password\"]->{}",
        "password%20{}",
        "[--password]{}",
        "\"name\": \"password\", \"other\": \"{}\"",
        "password;{}",
        "password|{}",
        "password {}>",
        "x>password>{}",
        "<b>password {}",
        "</password>{}",
        "<password/>{}",
        "<password {}",
        "<password\n>{}",
        "<password a=\"b\"/>{}",
        "<password a=\"b\"\n>{}",
        "['token', '{}']",
        "password\n\n{}",
        "\"name\": \"password\", \"values\": \"{}\"",
        "password value={}",
        "--password --{}",
        "password.txt={}",
        "password-file={}",
        "passwords-{}",
        "1password{}",
    ];
    all("hunter", false, &stays);
    all("=hunter22", true, &["password==={}"]);
}

#[test]
fn a_name_that_may_say_so_needs_a_value_that_looks_like_a_secret() {
    let texts = [
        "stripe_key={}",
        "key={}",
        "x_auth: {}",
        "sid={}",
        "{\"auth\":\"{}\"}",
        "signature={}",
    ];
    all(DRAWN, true, &texts);
    all("an-ordinary-name", false, &texts);
    // A parameter of a URL needs no such value, but six characters.
    all(
        "abcdef",
        true,
        &["/a?key={}", "/a?b=c&sig={}", "/a?key={}&b=c"],
    );
    all("abcde", false, &["/a?key={}", "/a?b=c&sig={}"]);
    all("abcdef", false, &["a key={}", "/a?sort_key={}"]);
    // Hashes have keys, but a named key may be hexadecimal.
    let hash = "9fceb02d0ae598e95dc970b74767f19372d61af8";
    all(
        hash,
        false,
        &["key={}", "commit {}", "cache_key={}", "etag: {}"],
    );
    all(hash, true, &["datadog_key={}", "api_key={}"]);
}

#[test]
fn things_called_token_and_secret_have_ordinary_names() {
    let texts = ["token: {}", "secret: {}", "x token -> {}", "creds: {}"];
    all("web-tls", false, &texts);
    all("web-tls2", true, &texts);
    all("12345", false, &texts);
    all("123456", true, &texts);
    all("1234567", true, &["2fa_token={}"]);
    all(
        "web-tls",
        true,
        &[
            "token={}",
            "token: '{}'",
            "client_secret: {}",
            "--token {}",
            // No tab
            "C:\\token={}",
        ],
    );
    all(
        "abc123",
        false,
        &[
            "unexpected token: {}",
            "found token={}",
            "Unrecognized token '{}'",
        ],
    );
    all("abc123", true, &["unexpectedtoken={}", "bound token={}"]);
    // No tab stands before `oken`.
    all("abc123", true, &["C:\\token={}", "in \\token: {}"]);
}

#[test]
fn a_password_is_anything_but_what_errors_say() {
    let texts = ["password: {}", "a password={}", "{\"password\":\"{}\"}"];
    all("correct", true, &texts);
    all("HUNTER", true, &texts);
    all("PASSWORD", false, &["usage: worker [--password {}]"]);
    all("123", true, &texts);
    for harmless in [
        "***",
        "null",
        "12",
        "x",
        "***",
        "${DB_PW}",
        "token.c:42",
        "/run/secrets/db",
    ] {
        all(harmless, false, &texts);
    }
    all("is too short", false, &texts);
    all(
        "isle of man",
        true,
        &["{\"password\":\"{}\"}", "password: {}"],
    );
    all("1234", false, &["/auth/password:{}", "x.password:{}"]);
    all("123456", true, &["x.password:{}"]);
    all(
        "not found",
        false,
        &["/etc/passwd: {}", "/run/secrets/password: {}"],
    );
    all(
        "truncated",
        false,
        &["/etc/passwd: {}", "cat /srv/token: {}"],
    );
    all("hunter22", true, &["/etc/passwd={}", "a/b password: {}"]);
}

#[test]
fn only_yaml_and_the_environment_have_values_with_spaces() {
    let whole = [
        "password: {}\nx",
        "  password: {}\nx",
        "- password: {}\nx",
        "DB_PASSWORD={}\nx",
        "export PW={}\nx",
    ];
    all("correct horse", true, &whole);
    let words = [
        "x password: {} horse",
        "password={} horse",
        "PASSWORD= {} horse",
        "x DB_PASSWORD={} horse",
    ];
    all("correct", true, &words);
}

#[test]
fn values_on_the_next_lines_are_read_until_one_is_none() {
    all(
        DRAWN,
        true,
        &[
            "key:\n  {}",
            "key=\n  {}\n",
            "token:\r\n  {}",
            "\"password\":\n\n  \"{}\"",
        ],
    );
    all(
        DRAWN,
        false,
        &[
            "key:\n{}",
            "x key:\n  at {}:1",
            "sort_key:\n  {}",
            "key:\n  {} b",
        ],
    );
    all(
        "hunter22",
        true,
        &[
            "passwords:\n- {}",
            "passwords:\n  - {}\n",
            "a:\n  passwords:\n    - \"{}\"\nb: 1",
        ],
    );
    assert_eq!(
        redact("tokens:\n- \"abc1\"\n- \"abc2\"\n"),
        "tokens:\n- \"[redacted]\"\n- \"[redacted]\"\n"
    );
    assert_eq!(
        redact("tokens:\n- abc1\n- abc2\n- null\n- abc3\n"),
        "tokens:\n- [redacted]\n- [redacted]\n- null\n- abc3\n"
    );
}

#[test]
fn an_authorization_has_a_scheme_and_a_secret_or_a_secret() {
    let texts = [
        "Authorization: {}",
        "Authorization: Bearer {}",
        "Authorization: Bearer   {}",
        "authorization=Any {}",
        "Authorization: Api-Key {} x",
        "'Authorization', 'Token {}'",
        "Authorization:[Basic {}]",
        "Authorization: [{}]",
        "Authorization: {} took=3ms",
    ];
    all(DRAWN, true, &texts);
    all("hunter", true, &["authorization: {}", "authorization: {} "]);
    all("hunter.two", true, &["authorization: {}"]);
    all(
        "a=b, c=d",
        true,
        &["Authorization: Digest {}\nx", "Authorization: OAuth {}\nx"],
    );
    all(
        "failed for user bob",
        false,
        &["authorization: {}", "Authorization: Bearer {}"],
    );
    all(
        "required",
        false,
        &[
            "authorization: {}",
            "Authorization: Bearer",
            "authorization: [redacted]",
        ],
    );
}

#[test]
fn a_cookie_has_a_name_and_a_value() {
    all(
        "b; c=d",
        true,
        &[
            "Cookie: a={}",
            "set-cookie: a={}\nx",
            "'cookie': 'a={}',",
            "--cookie 'a={}'",
        ],
    );
    all(
        "a, b",
        false,
        &[
            "cookie: {}",
            "cookie: =",
            "cookie: a=;",
            "cookie: a b=c",
            "no cookie: a",
        ],
    );
}

#[test]
fn a_url_has_a_password_before_its_host() {
    all(
        "hunter22",
        true,
        &["http://a:{}@b", "http://:{}@b/", "x://a:{}@[::1]/"],
    );
    all("x@y", true, &["http://a:{}@b/", "http://a:{}@b:1/c@d"]);
    all(
        "80",
        false,
        &[
            "http://a:{}/b@c",
            "http://a:{}",
            "http://a:{} b@c",
            "http://a:{}?b@c",
        ],
    );
    all(
        "hunter22",
        false,
        &[
            "http://a:{}@/b",
            "http://a:{}@ b",
            "http:\\/a:{}@b",
            "x:\\\\\\\\a:{}@b",
            "http://a:{}\" b@c",
            "//a:{}@b",
            "http://a:{}",
        ],
    );
    all("Zq7fT9wLm2Xc4Rv8", true, &["https://{}@b/1"]);
    all("Zq7fT9wLm2Xc4Rv", false, &["https://{}@b/1"]);
    all("an-ordinary-name-here", false, &["https://{}@b/1"]);
}

#[test]
fn a_flag_needs_its_program_on_its_line() {
    all(
        "hunter22",
        true,
        &[
            "mysql -p{}",
            "sudo mysql -p{}",
            "at mysite mysql -p{}",
            "mysqldump -u a -p{} b",
            "sshpass -p {} x",
            "sshpass -p{} x",
            "curl -u a:{} b",
            "curl --user a:{} b",
            "curl -u 'a:{}' b",
            "redis-cli -a {}",
            "smbclient -U a%{} b",
            "ldapadd -w {}",
            "7z a -p{} b",
            "unzip -P {} b",
            "[\"redis-cli\", \"-a\", \"{}\"]",
        ],
    );
    all(
        "hunter22",
        false,
        &[
            "mysql -p {}",
            "mysql\n-p{}",
            "mysql | x -p{}",
            "mysql; x -p{}",
            "psql -p {}",
            "mysqlx-p{}",
            "curl -u {} b",
            "curl -ua:{} b",
            "redis-cli -a -{}",
            "redis-cli -ab {}",
            "x -a {}",
        ],
    );
}

#[test]
fn statements_and_stacks_hold_secrets_where_they_take_them() {
    all(
        "hunter22",
        true,
        &[
            "identified by '{}'",
            "IDENTIFIED WITH x BY '{}'",
            "IDENTIFIED WITH x AS '{}'",
            "#1 a(1): login('a', 'b', '{}')",
            "#1 a(1): f->bind('a', 'b', '{}')",
            "#12 a(1): password_hash('{}')",
        ],
    );
    all(
        "hunter22",
        false,
        &[
            "by '{}'",
            "identified by `{}`",
            "identified as '{}'",
            "revision identified by '{}'",
            "identified x by '{}'",
            "with x by '{}'",
            "identified by {}",
            "#1 a(1): login('{}', 'b')",
            "# a(1): login('a', 'b', '{}')",
            "#1 a(1) login('a', 'b', '{}')",
            "#1 a(1): total('a', 'b', '{}')",
        ],
    );
    all(
        DRAWN,
        true,
        &[
            "#1 a(1): total('{}')",
            "bearer {}",
            "Basic {}",
            "bearer\t{}",
        ],
    );
    all(
        DRAWN,
        false,
        &["bearers {}", "bear {}", "#1 a(1): \n total('{}')"],
    );
    all("an-ordinary-word", false, &["bearer {}", "basic {}"]);
    all(
        "hunter22",
        true,
        &[
            "a:{}@tcp(b)",
            "a:{}@unix(b)",
            "x 'a:{}@tcp4(b)",
            "authority: \"a:{}@b:1\"",
            "userinfo: \"{}\"",
        ],
    );
    all(
        "hunter22",
        false,
        &[
            "a:{}@tcp",
            "a{}@tcp(b)",
            "a: {}@tcp(b)",
            "a:{}@tls(b)",
            "author: \"a:{}@b:1\"",
            "authority: \"{}@b:1\"",
        ],
    );
}

#[test]
fn how_far_is_looked_for_a_secret_from_the_text_around_it_is_bounded() {
    let long = |length: usize| "a".repeat(length);
    for (near, far) in [
        (60, 65, "curl -u ", ":hunter22 b"),
        (500, 520, "http://", ":hunter22@b/"),
        (200, 260, "#1 ", "(1): login('a', 'b', 'hunter22')"),
        (900, 1030, "#1 a(1): login('", "', 'b', 'hunter22')"),
        (200, 260, "<password a=\"", "\">hunter22</password>"),
    ]
    .map(|(near, far, before, behind)| {
        let text = |length| format!("{before}{}{behind}", long(length));
        (text(near), text(far))
    }) {
        all("hunter22", true, &[&near]);
        all("hunter22", false, &[&far]);
    }
    for (length, is_taken) in [(40, true), (70, false)] {
        let spaces = " ".repeat(length);
        let text = format!("\"name\": \"password\",{spaces}\"value\": \"{{}}\"");
        all("hunter22", is_taken, &[&text]);
    }
}

#[test]
fn a_token_begins_where_a_word_does() {
    let token = "ghp_0123456789abcdefghij";
    all(
        token,
        true,
        &[
            "{}",
            "x {} y",
            "x={}",
            "x%20{}",
            "x\\n{}\\n",
            "\u{1b}[0m{}",
            "x-{}",
            "x.{}",
            "\\{}",
            "100%{}",
            "a line with \u{1b}[1m{}\u{1b}[0m",
            "\"{}\"",
            "{}.",
            "{},",
        ],
    );
    all(token, false, &["x{}", "1{}", "x_{}"]);
    all("ghp_0123456789abcde", false, &["{}", "x {}"]);
    // A `%` before it is no part of what is written as in a URL.
    all("dop_v1_0123456789abcdefghij", true, &["{}", "100%{}"]);
    // Where no digit is in it, it is long and has capitals.
    all("npm_abcdefghijABCDEFGHIJabcdefghij", true, &["{}"]);
    all("npm_abcdefghijklmnopqrstabcdefghij", false, &["{}"]);
    all("hf_abcdefghijABCDEFGHIJabc", false, &["{}"]);
    // Where nothing of a secret is left, the walk goes on right behind the mark.
    all("hunter22", true, &["a line\n[cut] -- password={}"]);
    all(
        "rest",
        true,
        &[
            "[cut] {} x",
            "x\n[cut] {} x",
            "[what came before is cut]\n{} x",
            "[cut] ='{}' x",
        ],
    );
    all("rest", false, &["x [cut] {} x", "[cut]{} x"]);
}
