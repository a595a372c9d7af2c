//! Encodes names that came from outside as names of files.
//!
//! Upstart's job names may hold `/` (`sub/dir/name`), an instance's name anything at all. Encoded
//! names stay in their directory, and different names stay different. Plain names do not change.

use std::fmt::Write;

use ring::digest::{SHA256, digest};

/// Maximum length of an encoded name, in bytes: with a suffix it still fits into the 255 of a file
/// name.
const MAX: usize = 200;

/// Separates the kept part of an over-long name from its hash. No escape looks like this: after `%`
/// comes no hexadecimal digit.
const HASHED: &str = "%-";

/// The encoded empty name. No escape is a lone `%`.
const EMPTY: &str = "%";

/// Returns a name as a file's name. Letters, digits, `_`, `@`, `+`, `-`, and `.` except at the
/// beginning, stay; every other byte becomes `%XX`.
///
/// Different names stay different. The result is ASCII, 1 to 200 bytes long, and neither `.` nor
/// `..`. A name that would be longer keeps its beginning and ends in 128 bits of its
/// SHA-256.
pub fn encode(name: impl AsRef<[u8]>) -> String {
    let name = name.as_ref();
    let mut encoded = String::with_capacity(name.len());
    for (i, &byte) in name.iter().enumerate() {
        if byte.is_ascii_alphanumeric() || b"_@+-".contains(&byte) || (byte == b'.' && i > 0) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    match encoded.len() {
        0 => EMPTY.to_owned(),
        1..=MAX => encoded,
        _ => shorten(encoded, name),
    }
}

fn shorten(mut encoded: String, name: &[u8]) -> String {
    let kept = MAX - HASHED.len() - 32;
    encoded.truncate(kept);
    if let Some(escape) = encoded
        .rfind('%')
        .filter(|escape| escape + "%XX".len() > kept)
    {
        encoded.truncate(escape);
    }
    encoded.push_str(HASHED);
    for byte in &digest(&SHA256, name).as_ref()[..16] {
        let _ = write!(encoded, "{byte:02x}");
    }
    encoded
}

/// Returns the name that [`encode`] has encoded; `None` if it has not, or has only kept a part of
/// the name.
pub fn decode(encoded: &str) -> Option<String> {
    if encoded == EMPTY {
        return Some(String::new());
    }
    let mut name = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        name.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(name)
        .ok()
        .filter(|name| encode(name) == encoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| digit.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_name_stays_as_it_is() {
        for name in ["web", "Web-2.0_x@host+1", "a..b", "-"] {
            assert_eq!(encode(name), name);
        }
    }

    #[test]
    fn no_name_leaves_the_directory() {
        assert_eq!(encode("sub/dir/name"), "sub%2Fdir%2Fname");
        assert_eq!(encode("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd");
        assert_eq!(encode("."), "%2E");
        assert_eq!(encode(".."), "%2E.");
        assert_eq!(encode(".hidden"), "%2Ehidden");
    }

    #[test]
    fn what_a_terminal_or_a_kernel_would_trip_over_is_escaped() {
        assert_eq!(encode("my job"), "my%20job");
        assert_eq!(encode("\0\x1b[2J\n%~é"), "%00%1B%5B2J%0A%25%7E%C3%A9");
    }

    #[test]
    fn nothing_has_a_name_too() {
        assert_eq!(encode(""), "%");
        assert_eq!(decode("%"), Some(String::new()));
        assert_eq!(encode("%"), "%25");
    }

    #[test]
    fn a_name_of_200_bytes_is_kept_and_a_longer_one_ends_in_its_hash() {
        assert_eq!(encode("x".repeat(200)), "x".repeat(200));
        let (one, other) = (
            encode(format!("{}1", "x".repeat(200))),
            encode(format!("{}2", "x".repeat(200))),
        );
        assert_eq!(
            one,
            format!("{}%-39610fa23ec31bad4478bbe58983a8a6", "x".repeat(166))
        );
        assert_ne!(one, other);
        assert_eq!(decode(&one), None);
    }

    #[test]
    fn an_over_long_name_is_not_cut_in_the_middle_of_an_escape() {
        let encoded = encode("/".repeat(100));
        assert!(
            encoded.starts_with(&format!("{}%-", "%2F".repeat(55))),
            "{encoded}"
        );
    }

    #[test]
    fn what_encode_never_writes_is_no_name() {
        for text in [
            "", "my job", "%2f", "%2", "%zz", ".web", "%41", "%FF", "a/b", "%+1",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_becomes_a_safe_file_name(name in "(?s).{0,300}") {
            let encoded = encode(&name);
            prop_assert!((1..=MAX).contains(&encoded.len()));
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-%".contains(&b)));
            prop_assert!(!encoded.starts_with('.'));
            if !encoded.contains(HASHED) {
                prop_assert_eq!(decode(&encoded), Some(name));
            }
        }
    }
}
