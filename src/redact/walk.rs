//! Walks over a text once, and stops where a secret may begin: at a name, at a token, in a URL.
//!
//! What is read at a stop is a secret, and the walk goes on behind it, or it is no longer than a
//! fixed length. So the time depends on the text's length only.

use std::ops::Range;

use super::extent::skip;
use super::named::Named;
use super::{phrases, tokens};

/// Minimum length of what is looked at as a token, in bytes.
const SHORTEST_TOKEN: usize = 14;
/// Marks of lines and texts whose beginning was cut away.
const CUT: [&str; 2] = ["[cut] ", "[what came before is cut]\n"];

/// Returns the secrets of a text, in order.
pub fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut walk = Walk {
        text,
        found: Vec::new(),
        floor: 0,
        space: 0,
        sign: 0,
        plain: 0,
        program: None,
        address: 0,
        php: 0,
    };
    let mut at = walk.cut(0);
    loop {
        at = skip(text, at, |byte| !MATTERS[usize::from(byte)]);
        if at >= text.len() {
            return walk.found;
        }
        at = walk.step(at).max(at + 1);
    }
}

/// The bytes that words are made of. To look a byte up takes less than to compare it.
static IS_OF_WORD: [bool; 256] = {
    let mut of_word = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        of_word[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    of_word
};

/// The bytes at which the walk stops; most others are spaces and punctuation.
static MATTERS: [bool; 256] = {
    let mut matters = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        matters[byte as usize] = IS_OF_WORD[byte as usize]
            || matches!(
                byte,
                b'\n' | b'|' | b';' | b':' | b'\\' | b'%' | b'\x1b' | b'$' | b'@' | b'#'
            );
        byte += 1;
    }
    matters
};

struct Walk<'t> {
    text: &'t [u8],
    found: Vec<Range<usize>>,
    /// Where the last secret ends.
    floor: usize,
    /// Where the next space is, as far as it has been looked for.
    space: usize,
    /// Where the next `@` is, as far as it has been looked for.
    sign: usize,
    /// Up to where nothing is a token: see [`tokens::at`].
    plain: usize,
    /// Where a program stands on this line whose flags are known.
    program: Option<usize>,
    /// Where the last `@t` or `@u` stands. No address reaches back further.
    address: usize,
    /// Where the arguments end that were read as PHP's.
    php: usize,
}

impl Walk<'_> {
    /// Looks at the byte or the word at `at`. Returns where to go on; behind the byte, if that is
    /// `at`.
    fn step(&mut self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        match rest {
            [byte, ..] if is_part_of_word(*byte) => self.word(at),
            [b'\n', ..] => {
                self.program = None;
                self.cut(at + 1)
            }
            [b'|' | b';', ..] => {
                self.program = None;
                at
            }
            [b':', b'/', b'/', ..] => self.url(at + 3),
            [b':', b'\\', ..] => {
                let slash = skip(self.text, at + 1, |byte| byte == b'\\' || byte == b'/');
                let is_url = rest
                    .get(1..slash - at)
                    .is_some_and(|it| it.ends_with(b"/") && it.len() >= 4);
                if is_url { self.url(slash) } else { at }
            }
            // What is written out ends before a word begins: `\n`, `%20`, colours.
            [b'\\', ..] => {
                let end = skip(self.text, at, |byte| byte == b'\\');
                let is_letter = self.text.get(end).is_some_and(|byte| b"nrt".contains(byte));
                end + usize::from(is_letter)
            }
            [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => at + 3,
            [b'\x1b', b'[', ..] => skip(self.text, at + 2, |byte| !byte.is_ascii_alphabetic()) + 1,
            [b'$', ..] => self.token(at, 0).unwrap_or(at),
            [b'@', b't' | b'u', ..] => {
                let floor = self.floor.max(self.address);
                self.address = at;
                let password = phrases::before_address(self.text, floor, at);
                password.map_or(at, |password| self.add(password))
            }
            [b'#', ..] if at >= self.php => {
                if let Some((secrets, end)) = phrases::php(self.text, at) {
                    self.found.extend(secrets);
                    self.php = end;
                }
                at
            }
            _ => at,
        }
    }

    fn word(&mut self, at: usize) -> usize {
        let end = skip(self.text, at, is_part_of_word);
        if let Some(end) = self.token(at, end - at) {
            return end;
        }
        if let Some(password) = phrases::in_authority(self.text, at..end) {
            return self.add(password);
        }
        if let Some(program) = self.program {
            let before = self.text.get(at.saturating_sub(3)..at).unwrap_or_default();
            let is_flag = matches!(
                before,
                [.., b' ' | b'"' | b'\'', b'-'] | [b' ' | b'"' | b'\'', b'-', b'-']
            );
            if let Some(secret) = is_flag
                .then(|| phrases::flag(self.text, program, at))
                .flatten()
            {
                return self.add(secret);
            }
        } else if phrases::is_program(self.text, at) {
            self.program = Some(at);
        }
        if !self.is_followed(at, end) {
            return end;
        }
        if let Some(secret) = phrases::after_word(self.text, at..end) {
            return self.add(secret);
        }
        let named = Named {
            text: self.text,
            floor: self.floor,
            end,
        };
        let next = named.read(&mut self.found);
        if let Some(next) = next {
            self.floor = next;
        }
        next.unwrap_or(end)
    }

    /// Returns false for most words: nothing follows them that belongs to them.
    fn is_followed(&self, at: usize, end: usize) -> bool {
        let is_number = |at: usize| self.text.get(at).is_some_and(u8::is_ascii_digit);
        match self.text.get(end) {
            Some(b' ' | b'\t') => {
                let next = skip(self.text, end, |byte| byte == b' ' || byte == b'\t');
                let before = at
                    .checked_sub(1)
                    .and_then(|i| self.text.get(i))
                    .unwrap_or(&b' ');
                self.text.get(next).is_some_and(|byte| {
                    matches!(byte, b'=' | b':' | b'-' | b'\'' | b'"' | b'(' | b'\x1b')
                }) || matches!(before, b'-' | b'<' | b':' | b'_' | b'.')
                    || phrases::is_introduction(self.text, at)
            }
            Some(byte) => {
                let is_end = matches!(
                    byte,
                    b'.' | b'/' | b'-' | b',' | b';' | b'\n' | b'\r' | b'{' | b'[' | b'@' | b'|'
                );
                let is_number = is_number(at) && is_number(end - 1);
                !is_end && !is_number
            }
            None => false,
        }
    }

    /// Reads the token at `at`, where a word of this length begins. Returns where the token ends.
    fn token(&mut self, at: usize, word: usize) -> Option<usize> {
        if self.space <= at {
            self.space = skip(self.text, at, |byte| !byte.is_ascii_whitespace());
        }
        let is_long = self.space - at >= SHORTEST_TOKEN;
        if !is_long {
            return None;
        }
        let token = tokens::at(self.text, at, word, &mut self.plain)?;
        Some(self.add(token))
    }

    fn url(&mut self, at: usize) -> usize {
        if self.sign <= at {
            self.sign = skip(self.text, at, |byte| byte != b'@');
        }
        if self.sign - at > phrases::LONGEST_PASSWORD {
            return at;
        }
        phrases::url(self.text, at).map_or(at, |password| self.add(password))
    }

    /// Reads what follows the mark of a cut at `at`. Returns where to go on.
    fn cut(&mut self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        if !rest.starts_with(b"[") {
            return at;
        }
        let Some(mark) = CUT.iter().find(|mark| rest.starts_with(mark.as_bytes())) else {
            return at;
        };
        let secret = phrases::after_cut(self.text, at + mark.len());
        secret.map_or(at + mark.len(), |secret| self.add(secret))
    }

    fn add(&mut self, secret: Range<usize>) -> usize {
        self.floor = secret.end;
        self.found.push(secret);
        self.floor
    }
}

fn is_part_of_word(byte: u8) -> bool {
    IS_OF_WORD[usize::from(byte)]
}
