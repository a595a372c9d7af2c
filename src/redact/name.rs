//! Tells from a name whether its value is a secret: that of `dbPassword` is one, that of `sort_key`
//! is none.
//!
//! A name is read word by word from its end: `DB_PASSWORD_OLD`, `x-api-key`, `clientSecret2`.

/// How much a name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is a secret.
    Secret,
    /// It is a secret unless it is an ordinary word: things called `token` or `secret` have names.
    Likely,
    /// It is a secret if it looks like one: there are keys of all sorts.
    Perhaps,
    /// It is a secret if it is a long text in quotes: a number of a private JWK (RFC 7518).
    KeyNumber,
    /// It is the value of the header `Cookie` or `Set-Cookie`.
    Cookies,
    /// It is the value of the header `Authorization`.
    Authorization,
}

/// Maximum length of a name, in bytes. Of a longer one the end counts.
pub const LONGEST: usize = 64;
/// Maximum length of a word that is looked for, in bytes.
const LONGEST_WORD: usize = 16;

/// Returns true for a word before `key` that makes it a secret.
#[rustfmt::skip] // Many words fit into a line.
fn is_before_secret_key(word: &[u8]) -> bool {
    matches!(word,
        b"access" | b"account" | b"admin" | b"api" | b"app" | b"application" | b"auth" | b"client"
        | b"consumer" | b"crypto" | b"deploy" | b"encrypt" | b"encryption" | b"hmac" | b"jwt"
        | b"licence" | b"license" | b"login" | b"master" | b"private" | b"rest" | b"secret"
        | b"server" | b"service" | b"session" | b"shared" | b"sign" | b"signing" | b"storage"
        | b"subscription" | b"tls" | b"webhook" | b"x"
    )
}
/// Returns true for a word before `key` that makes it none.
#[rustfmt::skip] // Many words fit into a line.
fn is_before_other_key(word: &[u8]) -> bool {
    matches!(word,
        b"bucket" | b"cache" | b"candidate" | b"cell" | b"config" | b"dedup" | b"dedupe"
        | b"event" | b"file" | b"foreign" | b"group" | b"hash" | b"header" | b"host" | b"i18n"
        | b"idempotency" | b"idempotent" | b"index" | b"item" | b"lock" | b"lookup" | b"map"
        | b"message" | b"meta" | b"natural" | b"object" | b"order" | b"partition" | b"primary"
        | b"pub" | b"public" | b"queue" | b"range" | b"record" | b"registry" | b"routing" | b"row"
        | b"s3" | b"sort" | b"unique"
    )
}
/// Returns true for a word before `token` or `secret` that leaves no doubt.
#[rustfmt::skip] // Many words fit into a line.
fn is_before_secret_token(word: &[u8]) -> bool {
    matches!(word,
        b"access" | b"account" | b"admin" | b"api" | b"app" | b"application" | b"auth" | b"bearer"
        | b"bot" | b"client" | b"consumer" | b"csrf" | b"deploy" | b"id" | b"jwt" | b"oauth"
        | b"personal" | b"private" | b"refresh" | b"security" | b"service" | b"session"
        | b"shared" | b"signing" | b"user" | b"webhook" | b"xsrf"
    )
}
/// Returns true for a word that may follow: `password_hash`, `token_value`.
#[rustfmt::skip] // Many words fit into a line.
fn may_follow(word: &[u8]) -> bool {
    matches!(word,
        b"again" | b"b64" | b"base" | b"base64" | b"confirm" | b"confirmation" | b"current"
        | b"digest" | b"enc" | b"encrypted" | b"hash" | b"id" | b"new" | b"old" | b"plain"
        | b"plaintext" | b"raw" | b"repeat" | b"text" | b"value"
    )
}
/// Returns true for what makes a word that ends in `pass` no password.
#[rustfmt::skip] // Many words fit into a line.
fn is_before_other_pass(word: &[u8]) -> bool {
    matches!(word,
        b"band" | b"by" | b"com" | b"encom" | b"high" | b"low" | b"multi" | b"over" | b"render"
        | b"sub" | b"sur" | b"under"
    )
}

/// Returns what a name says about its value; nothing for most names.
pub fn says(name: &[u8]) -> Option<Says> {
    let (mut front, mut word) = last_word(name);
    let mut is_id = false;
    for _ in 0..2 {
        if may_follow(word.text()) && !front.is_empty() {
            is_id |= word.is("id");
            (front, word) = last_word(front);
        }
    }
    match core(front, word)? {
        Says::Secret | Says::Likely if is_id => Some(Says::Perhaps),
        says => Some(says),
    }
}

/// Returns what the word that matters says. `front` is what stands before it.
fn core(front: &[u8], word: Word) -> Option<Says> {
    let before = last_word(front).1;
    match word.text() {
        b"password" | b"passwords" | b"passwort" | b"passwd" | b"passphrase" | b"passphrases"
        | b"passcode" | b"pass" | b"pw" | b"setcookie" | b"userinfo" => Some(Says::Secret),
        b"word" | b"words" | b"phrase" | b"code" if before.is("pass") => Some(Says::Secret),
        // The shell's working directories are `PWD` and `OLDPWD`.
        b"pwd" => (!word.is_capitals || !front.is_empty()).then_some(Says::Secret),
        b"oldpwd" => None,
        b"cred" | b"creds" | b"credential" | b"credentials" => Some(Says::Likely),
        b"token" | b"tokens" | b"secret" | b"secrets" => Some(token(before)),
        b"key" | b"keys" => key(front, before, word.is_capitals),
        b"auth" | b"pat" | b"pats" if word.is_capitals && !front.is_empty() => Some(Says::Likely),
        b"auth" | b"jwt" | b"pat" | b"pats" | b"session" | b"sid" | b"sessid" | b"sessionid"
        | b"sig" | b"signature" | b"mac" => Some(Says::Perhaps),
        b"d" | b"p" | b"q" | b"dp" | b"dq" | b"qi" | b"k" if front.is_empty() => {
            Some(Says::KeyNumber)
        }
        b"cookie" | b"cookie2" => Some(Says::Cookies),
        b"authorization" => Some(Says::Authorization),
        text => joined(text),
    }
}

fn token(before: Word) -> Says {
    let is_sure = is_before_secret_token(before.text());
    if is_sure { Says::Secret } else { Says::Likely }
}

fn key(front: &[u8], before: Word, capitals: bool) -> Option<Says> {
    if is_before_secret_key(before.text()) {
        // `x_key` is none, `X-Key` and `x-api-key` are.
        Some(if before.is("x") {
            Says::Perhaps
        } else {
            Says::Secret
        })
    } else if is_before_other_key(before.text()) {
        None
    } else if capitals && !front.is_empty() {
        Some(Says::Likely)
    } else {
        Some(Says::Perhaps)
    }
}

/// Returns what words that are written as one say: `dbpassword`, `apikey`, `authtoken`.
fn joined(text: &[u8]) -> Option<Says> {
    let front = |end: &str| {
        text.strip_suffix(end.as_bytes())
            .filter(|it| !it.is_empty())
    };
    if ["password", "passwd", "passphrase"]
        .iter()
        .any(|end| front(end).is_some())
    {
        Some(Says::Secret)
    } else if let Some(front) = front("pass") {
        (!is_before_other_pass(front)).then_some(Says::Secret)
    } else if let Some(front) = front("token").or_else(|| front("secret")) {
        let is_sure = is_before_secret_token(front);
        Some(if is_sure { Says::Secret } else { Says::Likely })
    } else if let Some(front) = front("key") {
        is_before_secret_key(front).then_some(Says::Secret)
    } else {
        (front("sessid").is_some() || front("sessionid").is_some()).then_some(Says::Perhaps)
    }
}

/// A word of a name, in small letters.
#[derive(Clone, Copy)]
struct Word {
    letters: [u8; LONGEST_WORD],
    length: usize,
    is_capitals: bool,
}

impl Word {
    fn text(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }

    fn is(&self, word: &str) -> bool {
        self.text() == word.as_bytes()
    }
}

/// Returns what stands before the last word of a name, and that word without its number.
fn last_word(name: &[u8]) -> (&[u8], Word) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let is_small = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let name = without_end(name, |byte| !byte.is_ascii_alphanumeric());
    // `base64` and `b64` are words, `password2` is one with a number.
    let unnumbered = without_end(name, is_digit);
    let name = if unnumbered.ends_with(b"b") || unnumbered.ends_with(b"base") {
        name
    } else {
        unnumbered
    };
    let small = without_end(name, is_small);
    let is_capitals = small.len() == name.len();
    let front = if is_capitals {
        without_end(name, is_capital)
    } else {
        // `Key`
        small
            .split_last()
            .filter(|(last, _)| last.is_ascii_uppercase())
            .map_or(small, |it| it.1)
    };
    let whole = name.get(front.len()..).unwrap_or_default();
    let mut word = Word {
        letters: [0; LONGEST_WORD],
        length: 0,
        is_capitals,
    };
    if whole.len() <= LONGEST_WORD {
        for (letter, byte) in word.letters.iter_mut().zip(whole) {
            *letter = byte.to_ascii_lowercase();
        }
        word.length = whole.len();
    }
    (front, word)
}

fn without_end(name: &[u8], these: impl Fn(&u8) -> bool) -> &[u8] {
    let end = name.iter().rev().take_while(|byte| these(byte)).count();
    name.get(..name.len() - end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_its_value_is() {
        use Says::{Authorization, Cookies, KeyNumber, Likely, Perhaps, Secret};
        for (names, expected) in [
            (
                "password DB_PASSWORD dbPassword db-password password2 passWord passwords \
                 userpassword password_hash old_password PASSWORD_OLD pass DB_PASS dbpass SMTP_PW Pwd MYSQL_PWD \
                 pass_phrase apiKey api_key X-Api-Key APIKEY AWS_SECRET_ACCESS_KEY secret_key_base \
                 access_token accessToken client_secret clientSecret authtoken csrf_token \
                 storepass password_base64 password_b64 setcookie privatekey",
                Some(Secret),
            ),
            (
                "token secret TOKEN found_token tls_secret GH_PAT DB_CREDS credentials STRIPE_KEY",
                Some(Likely),
            ),
            (
                "key stripe_key x_auth auth gh_pat session_id sessionid \
                 token_id access_key_id PHPSESSID connect.sid X-Key signature",
                Some(Perhaps),
            ),
            ("d k dp", Some(KeyNumber)),
            ("Cookie set-cookie", Some(Cookies)),
            ("authorization Proxy-Authorization", Some(Authorization)),
            (
                "PWD OLDPWD a.d sort_key primaryKey cacheKey MONKEY compass bypass keyboard \
                 tokenizer secretary password_file token_type passwordless token.js _ 1 hash id key.c \
                 status_code seed_phrase word",
                None,
            ),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(says(name.as_bytes()), expected, "{name}");
            }
        }
        assert_eq!(says(b""), None);
        assert_eq!(says(&[b'p'; 100]), None);
    }
}
