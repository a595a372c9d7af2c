//! Measures the depth of nesting of functions.

use crate::source::Source;

/// Returns each function with the greatest number of nested blocks in its body. A block after `else
/// if` is nested in the `else`.
pub fn of_functions(source: &Source) -> Vec<(&str, usize)> {
    let starts = (0..source.tokens.len()).filter(|i| source.token(*i) == "fn");
    starts
        .map(|i| (source.token(i + 1), levels(source, i)))
        .collect()
}

fn levels(source: &Source, start: usize) -> usize {
    let Some(body) = body(source, start) else {
        return 0;
    };
    // The depth of each open block, of the last one closed, and of the one before an `else if`.
    let (mut open, mut closed, mut before_else) = (vec![0], 0, None);
    let (mut deepest, mut i) = (0, body + 1);
    while let Some(&outer) = open.last() {
        deepest = deepest.max(outer);
        match [0, 1].map(|next| source.token(i + next)) {
            ["else", "if"] => before_else = Some(closed),
            ["{", _] if is_block(source, i) => {
                open.push(before_else.take().unwrap_or(outer) + 1);
            }
            ["{", _] => open.push(outer),
            ["}", _] => closed = open.pop().unwrap_or_default(),
            _ => {}
        }
        i += 1;
    }
    deepest
}

/// Returns the index of the brace that opens the body.
fn body(source: &Source, start: usize) -> Option<usize> {
    let mut brackets = 0;
    for i in start..source.tokens.len() {
        match source.token(i) {
            "{" => return Some(i),
            ";" if brackets == 0 => return None,
            "[" => brackets += 1,
            "]" => brackets -= 1,
            _ => {}
        }
    }
    None
}

/// Returns true if the brace at `at` opens a block, rather than a struct, a `use` tree or the input
/// of a macro. After a type's name it does in the head of an `if`, `match`, `while` or `for`, where
/// Rust allows no struct.
fn is_block(source: &Source, at: usize) -> bool {
    let before = source.token(at - 1);
    let is_type = before.starts_with(char::is_uppercase) && before.contains(char::is_lowercase);
    let mut statement = (0..at).rev().map(|i| source.token(i));
    let mut is_head = || {
        statement
            .by_ref()
            .take_while(|token| !matches!(*token, ";" | "{" | "}" | "=>"))
            .any(|token| matches!(token, "if" | "match" | "while" | "for"))
    };
    match before {
        "(" | "[" | "," | ":" | "::" => false,
        _ if is_type => is_head(),
        _ => true,
    }
}
