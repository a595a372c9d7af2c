//! Secrets that are known by the text around them, which is no name: the password of a URL, a
//! program's flag, an argument in a stack of PHP.

use std::ops::Range;

use super::extent::{inside, quoted, skip, value};
use super::looks::{is_harmless, is_prose, is_random};

/// How far to look for a URL's password, in bytes.
pub const LONGEST_PASSWORD: usize = 512;
/// How far to look back for the words before another, in bytes.
const LONGEST_PHRASE: usize = 64;
/// Maximum length of the name and the place of a function in a stack of PHP.
const LONGEST_FUNCTION: usize = 256;
/// Maximum length of the arguments that are read.
const LONGEST_ARGUMENTS: usize = 1024;

/// Programs with flags that tell of a secret only together with the program's name, and where the
/// secret stands.
const PROGRAMS: [(&str, &str, Stands); 18] = [
    ("curl", "u", Stands::BehindColon),
    ("curl", "user", Stands::BehindColon),
    ("ipmitool", "P", Stands::Next),
    ("ldap", "w", Stands::Next),
    ("mariadb", "p", Stands::Glued),
    ("mongo", "p", Stands::Next),
    ("mysql", "p", Stands::Glued),
    ("redis-cli", "a", Stands::Next),
    ("smbclient", "U", Stands::BehindPercent),
    ("snmp", "A", Stands::Next),
    ("snmp", "X", Stands::Next),
    ("sshpass", "p", Stands::Glued),
    ("sshpass", "p", Stands::Next),
    ("unzip", "P", Stands::Next),
    ("wget", "U", Stands::Next),
    ("zip", "P", Stands::Next),
    ("7z", "p", Stands::Glued),
    ("7za", "p", Stands::Glued),
];

/// Where a secret stands, seen from its flag.
#[derive(Clone, Copy, PartialEq)]
enum Stands {
    Glued,
    Next,
    BehindColon,
    BehindPercent,
}

/// For each first byte of a program's name the second bytes, each as the bit that its last five
/// bits count.
static SECONDS: [u32; 256] = {
    let mut seconds = [0; 256];
    let mut i = 0;
    while i < PROGRAMS.len() {
        let name = PROGRAMS[i].0.as_bytes();
        seconds[name[0] as usize] |= 1 << (name[1] & 31);
        i += 1;
    }
    seconds
};

/// Returns true if a program stands at `at` whose flags are known.
pub fn is_program(text: &[u8], at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    // Nearly always the first letters tell.
    let [first, second, ..] = rest else {
        return false;
    };
    let is_likely = SECONDS[usize::from(*first)] >> (second & 31) & 1 == 1;
    is_likely
        && PROGRAMS
            .iter()
            .any(|(name, ..)| rest.starts_with(name.as_bytes()))
}

/// Returns the secret at the flag that begins at `at`, behind its hyphens, of the program that
/// stands at `program`.
pub fn flag(text: &[u8], program: usize, at: usize) -> Option<Range<usize>> {
    let (program, rest) = (text.get(program..)?, text.get(at..)?);
    PROGRAMS.iter().find_map(|(name, flag, stands)| {
        let after = rest
            .strip_prefix(flag.as_bytes())
            .filter(|_| program.starts_with(name.as_bytes()))?;
        let end = at + flag.len();
        let next = skip(text, end, |byte| b" \t=\"',".contains(&byte));
        let behind = |mark: u8| {
            let user = text.get(next..text.len().min(next + LONGEST_PHRASE))?;
            let user = user.iter().take_while(|byte| !byte.is_ascii_whitespace());
            let mark = user.into_iter().position(|byte| *byte == mark)?;
            Some(next + mark + 1)
        };
        let is_glued = after
            .first()
            .is_some_and(|byte| !b" \t\r\n\"',-".contains(byte));
        let at = match stands {
            Stands::Glued => is_glued.then_some(end)?,
            Stands::Next => (!is_glued && text.get(next) != Some(&b'-')).then_some(next)?,
            Stands::BehindColon => behind(b':').filter(|_| !is_glued)?,
            Stands::BehindPercent => behind(b'%').filter(|_| !is_glued)?,
        };
        let found = value(text, at);
        (!is_harmless(text.get(found.clone())?)).then_some(found)
    })
}

/// Returns the password of the URL, or the token that stands for the user, and where to go on.
/// `at` is the position behind `://`.
pub fn url(text: &[u8], at: usize) -> Option<Range<usize>> {
    let window = text.get(at..text.len().min(at + LONGEST_PASSWORD))?;
    let ends = |(i, byte): (usize, &u8)| {
        let next = || window.get(i..).is_some_and(|rest| rest.starts_with(b"://"));
        byte.is_ascii_whitespace() || b"\"'`".contains(byte) || (*byte == b':' && next())
    };
    let end = window
        .iter()
        .enumerate()
        .position(ends)
        .unwrap_or(window.len());
    let window = window.get(..end)?;
    let user = window
        .iter()
        .take_while(|byte| !b"/?#@:<>[]\\".contains(byte))
        .count();
    match window.get(user)? {
        b'@' => {
            let token = window.get(..user)?;
            (user >= 16 && is_random(token)).then_some(at..at + user)
        }
        b':' => {
            let start = user + 1;
            let length = password(window.get(start..)?)?;
            let is_said = !is_harmless(window.get(start..start + length)?);
            is_said.then_some(at + start..at + start + length)
        }
        _ => None,
    }
}

/// Returns the length of the password that begins here and ends before `@`. A port is none.
fn password(text: &[u8]) -> Option<usize> {
    let authority = text
        .iter()
        .take_while(|byte| !b"/?#\\".contains(byte))
        .count();
    let is_host = |at: usize| {
        text.get(at + 1)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[')
    };
    let last = (0..authority)
        .rev()
        .find(|i| text.get(*i) == Some(&b'@') && is_host(*i));
    let is_port = text.iter().take(authority).all(u8::is_ascii_digit);
    // Some write passwords with a `/` in them as they are.
    last.or_else(|| {
        let other = (authority..text.len()).find(|i| text.get(*i) == Some(&b'@') && is_host(*i));
        other.filter(|_| !is_port)
    })
}

/// Returns the password before `@tcp(`, as Go's driver for `MySQL` writes addresses; it may be
/// empty. `at` is the
/// position of the `@`, `floor` that where what was read already ends.
pub fn before_address(text: &[u8], floor: usize, at: usize) -> Option<Range<usize>> {
    let is_address = ["@tcp(", "@tcp4(", "@tcp6(", "@unix("].iter().any(|it| {
        text.get(at..)
            .is_some_and(|rest| rest.starts_with(it.as_bytes()))
    });
    let from = floor.max(at.saturating_sub(LONGEST_PASSWORD));
    let before = text.get(from..at).filter(|_| is_address)?;
    let in_word = |byte: &&u8| !byte.is_ascii_whitespace() && !b"\"'`=".contains(byte);
    let length = before.iter().rev().take_while(in_word).count();
    let user = before
        .get(before.len() - length..)?
        .iter()
        .position(|byte| *byte == b':')?;
    let start = at - length + user + 1;
    Some(start..at)
}

/// Returns the password in the `authority` of a URL that Elixir shows in parts. `word` is the name.
pub fn in_authority(text: &[u8], word: Range<usize>) -> Option<Range<usize>> {
    let is_shown = text.get(word.clone()) == Some(b"authority")
        && text
            .get(word.end..)
            .is_some_and(|it| it.starts_with(b": \""));
    let value = is_shown.then(|| quoted(text, word.end + 2)).flatten()?;
    let said = text.get(value.clone())?;
    let host = said.iter().rposition(|byte| *byte == b'@')?;
    let user = said.get(..host)?.iter().position(|byte| *byte == b':')?;
    Some(value.start + user + 1..value.start + host)
}

/// Returns true if the word at `at` may introduce a secret: see [`after_word`].
pub fn is_introduction(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| b"aAbB".contains(byte))
}

/// Returns the secret behind the word that ends at `end`: `Bearer …`, `IDENTIFIED BY '…'`.
pub fn after_word(text: &[u8], word: Range<usize>) -> Option<Range<usize>> {
    let name = text.get(word.clone())?;
    let at = skip(text, word.end, |byte| byte == b' ' || byte == b'\t');
    let is = |other: &str| is_word(name, other);
    if at == word.end {
        None
    } else if is("bearer") || is("basic") {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~+/=-".contains(&byte);
        let found = at..skip(text, at, part);
        let is_long = found.len() >= 16 && is_random(text.get(found.clone())?);
        is_long.then_some(found)
    } else if is("by") || is("as") {
        let before = text.get(word.start.saturating_sub(LONGEST_PHRASE)..word.start)?;
        // `IDENTIFIED BY`, `IDENTIFIED WITH sha256 BY`
        let mut words = before.trim_ascii_end().rsplit(|byte| *byte == b' ');
        let (last, second, third) = (words.next(), words.next(), words.next());
        let one = |word: Option<&[u8]>, other| word.is_some_and(|it| is_word(it, other));
        // Alembic cannot locate "revision identified by 'd3f'".
        let is_plain = is("by") && one(last, "identified") && !one(second, "revision");
        let is_statement = is_plain || (one(second, "with") && one(third, "identified"));
        let is_text = text.get(at) != Some(&b'`');
        (is_statement && is_text)
            .then(|| quoted(text, at))
            .flatten()
    } else {
        None
    }
}

fn is_word(word: &[u8], other: &str) -> bool {
    word.eq_ignore_ascii_case(other.as_bytes())
}

/// Returns the secrets among the arguments of a function in a stack of PHP, and where the arguments
/// end. `at` is the position of the `#` before the frame's number.
pub fn php(text: &[u8], at: usize) -> Option<(Vec<Range<usize>>, usize)> {
    let number = skip(text, at + 1, |byte| byte.is_ascii_digit());
    let is_frame = number > at + 1 && text.get(number) == Some(&b' ');
    let window = text
        .get(number..text.len().min(number + LONGEST_FUNCTION))
        .filter(|_| is_frame)?;
    let window = window.split(|byte| *byte == b'\n').next()?;
    let function = window.windows(3).position(|part| part == b"): ")? + 3;
    let open = function
        + window
            .get(function..)?
            .iter()
            .position(|byte| *byte == b'(')?;
    let name = window.get(function..open)?.to_ascii_lowercase();
    let has = |parts: &[&str]| {
        parts
            .iter()
            .any(|part| name.windows(part.len()).any(|it| it == part.as_bytes()))
    };
    let takes_password = has(&[
        "connect",
        "pdo->",
        "mysqli->",
        "login",
        "bind",
        "auth",
        "imap_open",
    ]);
    let is_about_secrets = has(&[
        "password", "passwd", "secret", "token", "crypt", "hmac", "decode",
    ]);
    let start = number + open;
    let arguments = text.get(..text.len().min(start + LONGEST_ARGUMENTS))?;
    let (mut secrets, mut at, mut nth) = (Vec::new(), start, 0);
    while let Some(byte) = arguments.get(at).filter(|byte| !b")\n".contains(byte)) {
        if *byte == b',' {
            nth += 1;
        }
        if *byte != b'\'' {
            at += 1;
            continue;
        }
        let argument = quoted(arguments, at)?;
        at = argument.end + 1;
        let said = arguments.get(argument.clone())?;
        if is_about_secrets || (takes_password && nth >= 2) || is_random(said) {
            secrets.push(argument);
        }
    }
    secrets.retain(|secret| {
        text.get(secret.clone())
            .is_some_and(|it| !is_harmless(it) && !is_prose(it))
    });
    Some((secrets, at))
}

/// Returns the value at the beginning of a text whose beginning was cut away: it may be the rest of
/// a secret.
pub fn after_cut(text: &[u8], at: usize) -> Option<Range<usize>> {
    let at = skip(text, at, |byte| b" \t:='\"".contains(&byte));
    let found = value(text, at.max(inside(text, at)));
    (!is_harmless(text.get(found.clone())?)).then_some(found)
}
