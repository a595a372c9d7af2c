//! Private keys in PEM (RFC 7468), whole or cut at either end, on lines or with `\n` written out.

use std::ops::Range;

use regex::bytes::Regex;

/// Maximum length of a key's text, in bytes: an RSA key of 16,384 bits has 12 KiB.
const LONGEST: usize = 32 * 1024;
/// The lines of a key's text have 64 or 76 characters, except the last.
const FULL_LINE: usize = 40;

/// Returns the text between the lines that `boundary` matches.
pub fn bodies(text: &[u8], boundary: &Regex) -> Vec<Range<usize>> {
    let boundaries = boundaries(text, boundary);
    let mut bodies = Vec::new();
    for (i, boundary) in boundaries.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| boundaries.get(i));
        let next = boundaries.get(i + 1);
        let pairs = |begin: &Boundary, end: &Boundary| {
            begin.begins && !end.begins && end.line.start - begin.line.end <= LONGEST
        };
        let body = match (boundary.begins, before, next) {
            (true, _, Some(next)) if pairs(boundary, next) => boundary.line.end..next.line.start,
            (true, ..) => boundary.line.end..boundary.line.end + forwards(text, boundary.line.end),
            (false, Some(before), _) if pairs(before, boundary) => continue,
            (false, ..) => {
                boundary.line.start - backwards(text, boundary.line.start)..boundary.line.start
            }
        };
        bodies.extend(trimmed(text, body));
    }
    bodies
}

struct Boundary {
    begins: bool,
    /// From its first `-` to its last.
    line: Range<usize>,
}

fn boundaries(text: &[u8], boundary: &Regex) -> Vec<Boundary> {
    let begins = |found: &[u8]| found.windows(5).any(|word| word == b"BEGIN");
    boundary
        .find_iter(text)
        .map(|found| Boundary {
            begins: begins(found.as_bytes()),
            line: found.range(),
        })
        .collect()
}

/// Returns how many bytes of a key's text stand at `at`.
fn forwards(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let mut length = 0;
    for piece in rest.split_inclusive(|byte| is_break(*byte)) {
        let word = base64(piece);
        if !word && !is_spacing(piece) {
            break;
        }
        length += piece.len();
        if word && piece.len() < FULL_LINE {
            break;
        }
    }
    length
}

/// Returns how many bytes of a key's text stand before `at`.
fn backwards(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let mut length = 0;
    let mut last = true;
    for piece in before.rsplit(|byte| is_break(*byte)) {
        let begins = length + piece.len() == at;
        if !piece.is_empty() && piece != b"n" && piece != b"r" {
            // The first line may be short too, if the key's beginning is cut away.
            if !(base64(piece) && (last || begins || piece.len() >= FULL_LINE)) {
                break;
            }
            last = false;
        }
        length += piece.len() + 1;
    }
    length.min(at)
}

/// Skips spaces and ends of lines, also written out as `\n`.
fn is_break(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\\'
}

fn is_spacing(piece: &[u8]) -> bool {
    piece.iter().all(|byte| is_break(*byte)) || piece.len() <= 2
}

fn base64(piece: &[u8]) -> bool {
    let word = piece.strip_suffix(b"\\").unwrap_or(piece.trim_ascii_end());
    word.len() > 1
        && word
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

/// Leaves out the space around it, so that the lines stay lines.
fn trimmed(text: &[u8], body: Range<usize>) -> Option<Range<usize>> {
    let inner = text.get(body.clone())?;
    let start = body.start + (inner.len() - inner.trim_ascii_start().len());
    let end = body.end - (inner.len() - inner.trim_ascii_end().len());
    (start < end).then_some(start..end)
}
