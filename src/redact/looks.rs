//! Tells from a value alone whether it can be a secret.
//!
//! Only the first [`WINDOW`] bytes of a value are looked at, so that a long one that is none costs
//! no more than a short one.

/// Number of bytes of a value that are looked at.
pub const WINDOW: usize = 96;
/// Length of the longest word in the lists below, in bytes.
const LONGEST_WORD: usize = 16;

/// Returns true for a word that stands where a secret would: it says that there is none, or of
/// which sort it is.
#[rustfmt::skip] // Many words fit into a line.
fn is_harmless_word(word: &[u8]) -> bool {
    matches!(word,
        b"null" | b"nil" | b"none" | b"true" | b"false" | b"undefined" | b"yes" | b"no" | b"on"
        | b"off" | b"unset" | b"empty" | b"basic" | b"bearer" | b"digest" | b"hawk" | b"oauth"
        | b"signature" | b"token" | b"aws4-hmac-sha256" | b"string" | b"str" | b"text"
        | b"varchar" | b"object" | b"bytes" | b"filtered" | b"redacted" | b"hidden" | b"masked"
        | b"removed" | b"omitted" | b"enabled" | b"disabled" | b"present" | b"set" | b"ok"
        | b"optional" | b"required" | b"n/a" | b"binary"
    )
}

/// Returns true for a word with which people and programs go on after the name of a secret:
/// `password: is too short`.
#[rustfmt::skip] // Many words fit into a line.
fn is_prose_word(word: &[u8]) -> bool {
    matches!(word,
        b"a" | b"accepted" | b"already" | b"an" | b"and" | b"are" | b"argument" | b"at"
        | b"authentication" | b"be" | b"been" | b"by" | b"can" | b"can't" | b"cannot" | b"could"
        | b"couldn't" | b"denied" | b"does" | b"doesn't" | b"eof" | b"error" | b"exceeded"
        | b"expected" | b"expired" | b"failed" | b"failure" | b"field" | b"for" | b"found"
        | b"from" | b"has" | b"have" | b"in" | b"incorrect" | b"invalid" | b"is" | b"length"
        | b"maximum" | b"minimum" | b"mismatch" | b"missing" | b"must" | b"needed" | b"needs"
        | b"not" | b"of" | b"option" | b"or" | b"permission" | b"please" | b"rejected"
        | b"requires" | b"should" | b"success" | b"that" | b"the" | b"this" | b"to" | b"unable"
        | b"unexpected" | b"unknown" | b"was" | b"will" | b"with" | b"wrong"
    )
}

/// Returns true if this says nothing: no letters or digits, a word that says that there is no
/// secret, or a place for one, like `${PASSWORD}`.
pub fn is_harmless(value: &[u8]) -> bool {
    let is_said = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let bare = value.trim_ascii();
    let inner = bare
        .strip_prefix(b"[")
        .map_or(bare, |it| it.strip_suffix(b"]").unwrap_or(it));
    // One character keeps nothing secret.
    value.len() < 2
        || !value.iter().any(is_said)
        || (inner.len() <= LONGEST_WORD && is_harmless_word(&inner.to_ascii_lowercase()))
        || (bare.len() > 2 && bare.iter().all(|byte| matches!(byte, b'x' | b'X' | b'*')))
        || is_placeholder(bare)
}

/// Returns true for `${NAME}`, `$NAME`, `{{ name }}`, `%s` and `<name>`. The last bracket may be
/// missing.
fn is_placeholder(value: &[u8]) -> bool {
    let is_variable = |name: &[u8]| {
        let name = name.strip_suffix(b"}").unwrap_or(name);
        let is_part =
            |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        !name.is_empty() && name.iter().all(is_part)
    };
    let is_name = |name: &[u8]| {
        !name
            .iter()
            .any(|byte| byte.is_ascii_digit() || b"</".contains(byte))
    };
    match value {
        [b'$', b'{', name @ ..] | [b'$', name @ ..] if is_variable(name) => true,
        [b'{', b'{', ..] | [b'%' | b'$', b'a'..=b'z'] => true,
        [b'<', name @ ..] => is_name(name),
        _ => false,
    }
}

/// Returns true if the value begins a sentence.
pub fn is_prose(value: &[u8]) -> bool {
    let first = value
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    let end = first
        .iter()
        .rev()
        .take_while(|byte| b",.;:!)".contains(byte))
        .count();
    let first = first.get(..first.len() - end).unwrap_or_default();
    // Capitals within a word are no sentence's.
    let rest = first.get(1..).unwrap_or_default();
    let is_written =
        !rest.iter().any(u8::is_ascii_uppercase) || !first.iter().any(u8::is_ascii_lowercase);
    is_written && first.len() <= LONGEST_WORD && is_prose_word(&first.to_ascii_lowercase())
}

/// Returns true for words without digits, with hyphens and the like between them.
pub fn is_word(value: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || b"-_.:/()<>{}[]'\"@*`,;".contains(byte);
    let ups = value
        .windows(2)
        .filter(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    value.len() < 32 && value.iter().all(is_part) && ups.count() < 3
}

pub fn is_number(value: &[u8], digits: usize) -> bool {
    value.len() <= digits && value.iter().all(u8::is_ascii_digit)
}

/// Returns true for places in programs (`token.c:42`), objects of Java (`a.b.Token@1a2b`,
/// `Token{…`), addresses (`0x7f…`), and paths of files.
pub fn is_thing(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$-".contains(byte);
    let name = value.iter().take_while(|byte| is_name(byte)).count();
    let (name, rest) = value.split_at(name);
    let is_object = name.contains(&b'.') || name.first().is_some_and(u8::is_ascii_uppercase);
    let is_hex = |rest: &[u8]| !rest.is_empty() && rest.iter().all(u8::is_ascii_hexdigit);
    match rest {
        [b':', rest @ ..] => name.contains(&b'.') && rest.first().is_some_and(u8::is_ascii_digit),
        [b'@', rest @ ..] => is_object && is_hex(rest),
        [b'{', ..] => is_object && name.iter().all(u8::is_ascii_alphabetic),
        [] => name.strip_prefix(b"0x").is_some_and(is_hex),
        [b'/', ..] if name.is_empty() => is_path(value),
        _ => false,
    }
}

fn is_path(value: &[u8]) -> bool {
    const TOP: [&str; 12] = [
        "bin", "dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "usr", "var",
    ];
    let mut parts = value.split(|byte| *byte == b'/').skip(1);
    let top = parts.next().unwrap_or_default();
    parts.next().is_some() && TOP.iter().any(|it| it.as_bytes() == top)
}

/// Returns true if this has too few digits and capitals to be drawn by lot.
pub fn is_plain(value: &[u8]) -> bool {
    let is_drawn = |byte: &&u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    value.iter().take(WINDOW).filter(is_drawn).nth(1).is_none()
}

/// Returns true if this looks as if a machine had drawn it by lot.
pub fn is_random(value: &[u8]) -> bool {
    let value = value.get(..WINDOW).unwrap_or(value);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric();
    value.len() >= 8
        && !is_plain(value)
        && !is_thing(value)
        && (is_uuid(value)
            || value.split(|byte| !is_part(byte)).any(is_random_run)
            || is_mixture(value))
}

/// Returns true for a run of letters and digits that change often enough.
fn is_random_run(run: &[u8]) -> bool {
    let changes = |of: fn(&u8) -> bool| {
        run.windows(2)
            .filter(|two| of(&two[0]) != of(&two[1]))
            .count()
    };
    let (digits, capitals) = (changes(u8::is_ascii_digit), changes(u8::is_ascii_uppercase));
    match run.len() {
        0..8 => false,
        8..12 => digits >= 3,
        12..24 => digits >= 3 || (digits >= 1 && capitals >= 4) || capitals >= 7,
        _ => digits >= 3 || capitals >= 7,
    }
}

/// Returns true for 20 characters and more of base64 with capitals, small letters and digits, or
/// for 15 digits and more.
fn is_mixture(value: &[u8]) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    let run: Vec<u8> = value.iter().take_while(is_part).copied().collect();
    let count = |of: fn(&u8) -> bool| run.iter().filter(|byte| of(byte)).count();
    let (digits, small) = (count(u8::is_ascii_digit), count(u8::is_ascii_lowercase));
    (run.len() >= 15 && digits == run.len())
        || (run.len() >= 20 && digits >= 3 && small >= 3 && count(u8::is_ascii_uppercase) >= 3)
}

/// Returns true for what MD5, SHA-1 and SHA-256 make.
pub fn is_hash(value: &[u8]) -> bool {
    matches!(value.len(), 32 | 40 | 64) && value.iter().all(u8::is_ascii_hexdigit)
}

fn is_uuid(value: &[u8]) -> bool {
    let is_part = |(i, byte): (usize, &u8)| match i {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    value
        .get(..36)
        .is_some_and(|value| value.iter().enumerate().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(judge: impl Fn(&[u8]) -> bool, yes: &[&str], no: &[&str]) {
        for value in yes {
            assert!(judge(value.as_bytes()), "{value}");
        }
        for value in no {
            assert!(!judge(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_hash_has_its_length_and_hexadecimal_digits() {
        for length in [32, 40, 64] {
            assert!(is_hash(&"a1f9".repeat(16).as_bytes()[..length]), "{length}");
            assert!(!is_hash("q".repeat(length).as_bytes()), "{length}");
            assert!(!is_hash("a".repeat(length + 1).as_bytes()), "{length}");
        }
    }

    #[test]
    fn words_and_places_for_a_secret_are_none() {
        all(
            is_harmless,
            &[
                "",
                "***",
                "null",
                "NULL",
                "[FILTERED]",
                "<hidden>",
                "${DB_PASSWORD}",
                "$DB_PW2",
                "{{ .pw }}",
                "%s",
                "$a",
                "<your password>",
                "x",
                "xxx",
                "XXXX",
                "--",
            ],
            &[
                "xx",
                "$ecret",
                "ab",
                "nullable",
                "é",
                "[redacted]x",
                "%sa",
                "${x",
                "<a1",
            ],
        );
        all(
            is_prose,
            &[
                "is too short",
                "must not be blank",
                "EOF",
                "Invalid",
                "expired.",
                "missing)",
            ],
            &["island", "hunter2", "", "correct horse", "cAn", "can,t"],
        );
    }

    #[test]
    fn ordinary_words_are_told_from_what_is_drawn_by_lot() {
        all(
            is_word,
            &["web-tls", "EOF", "name", "fooBar", "}"],
            &["web-tls2", "aBcDeFg", "hunter2 "],
        );
        assert!(is_word(&[b'a'; 31]) && !is_word(&[b'a'; 32]));
        all(|it| is_number(it, 3), &["1", "123"], &["1234", "1a"]);
        all(
            is_random,
            &[
                "Zq7fT9wLm2Xc4Rv8",
                "9fceb02d0ae598e95dc970b7",
                "123e4567-e89b-12d3-a456-426614174000",
                "a1b2c3d4",
                "123456789012345",
                "abcDefGhiJklMno",
                "4eC39HqLyjWDar_jtT1zdp7dc",
                "abcDefGhiJk1",
                "abcdefghij123ABCDEFGHIJ",
            ],
            &[
                "name",
                "customer-1234",
                "home.title1",
                "orders.created.v2",
                "20261129",
                "0x14f05578bd80006",
                "a1b2c3",
                "img001ab",
                "photos/2026/img-001.jpg",
                "fooBarBazQux",
                "12345678901234",
                "user:42:x",
                "a1b2c3-a1b2c3",
                "AbCdEfGhI",
                "orders1created",
                "abc123DEF",
            ],
        );
    }

    #[test]
    fn places_objects_and_paths_are_things() {
        all(
            is_thing,
            &[
                "token.c:42",
                "android.os.Binder@1a2b",
                "Token@1a2b",
                "Token{abc",
                "0x1f",
                "/run/secrets/db",
                "/etc/ssl/private",
            ],
            &[
                "token:42",
                "a/run/secrets",
                "a@1a2b",
                "a{b",
                "0x",
                "0xyz",
                "/Zq7/x",
                "/etc",
                "token.c",
                "Token@x",
                "A1{",
                ".c:x",
            ],
        );
    }
}
