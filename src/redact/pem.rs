//! Private keys in PEM (RFC 7468) and in `PuTTY`'s form: whole or cut at either end, with anything
//! before each line, with `\n` or `%0A` written out.
//!
//! A key's text is rows of base64 below one another, all of one width but the last. Rows are
//! secret if the line before them or behind them says so, or if they have the width of a key and
//! neither line is there.

mod rows;

use std::ops::Range;

use super::extent::skip;
use rows::{KeyRow, is_base64, rows, run};

/// Minimum length of a row that is not the last, in bytes.
const FULL: usize = 40;
/// The widths of rows: of PEM, of OpenSSH, of MIME.
const WIDTHS: [usize; 3] = [64, 70, 76];
/// Maximum number of rows between a first line and a key's text: `Proc-Type:`, `Comment:`.
const HEADERS: usize = 6;
/// Maximum length of a key's text, in bytes: an RSA key of 16,384 bits has 12 KiB.
pub const LONGEST: usize = 32 * 1024;

/// Returns the parts of private keys, a range for each row, in order.
pub fn bodies(text: &[u8]) -> Vec<Range<usize>> {
    if !may_hold_a_key(text) {
        return Vec::new();
    }
    let mut keys = Keys {
        text,
        rows: rows(text),
        found: Vec::new(),
    };
    let boundaries: Vec<usize> = (0..keys.rows.len())
        .filter(|i| keys.row(*i).is_some_and(|row| row.boundary.is_some()))
        .collect();
    let mut public = Vec::new();
    for (nth, i) in boundaries.iter().enumerate() {
        let next = boundaries.get(nth + 1).copied();
        let Some(boundary) = keys.row(*i).and_then(|row| row.boundary) else {
            continue;
        };
        let closing = next.filter(|next| boundary.begins && keys.closes(*i, *next));
        match (boundary.is_private, closing) {
            (false, _) => public.push(*i),
            (true, Some(end)) => keys.between(*i, end),
            (true, None) if boundary.begins => keys.after(*i),
            // The lines before a last line that closed a key are found twice.
            (true, None) => keys.before(*i),
        }
    }
    keys.without_boundaries(&public);
    keys.found.sort_by_key(|range| range.start);
    keys.found
}

/// Returns true if a text is worth a closer look: few texts are.
pub fn may_hold_a_key(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        let end = skip(text, at, is_base64);
        let run = text.get(at..end).unwrap_or_default();
        let is_said = run.ends_with(b"PRIVATE") || run == b"Private";
        if is_said || (run.len() >= FULL && is_mixed(run)) {
            return true;
        }
        at = end + 1;
    }
    false
}

/// Returns true for capitals, small letters and digits in a mixture.
fn is_mixed(run: &[u8]) -> bool {
    let has =
        |most: usize, of: fn(&u8) -> bool| run.iter().filter(|byte| of(byte)).nth(most).is_some();
    has(1, u8::is_ascii_digit) && has(4, u8::is_ascii_uppercase) && has(4, u8::is_ascii_lowercase)
}

struct Keys<'t> {
    text: &'t [u8],
    rows: Vec<KeyRow>,
    found: Vec<Range<usize>>,
}

impl Keys<'_> {
    fn row(&self, i: usize) -> Option<&KeyRow> {
        self.rows.get(i)
    }

    fn text_of(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Returns true if the second boundary ends what the first begins.
    fn closes(&self, begin: usize, end: usize) -> bool {
        let (Some(begin), Some(end)) = (self.row(begin), self.row(end)) else {
            return false;
        };
        end.boundary.is_some_and(|it| !it.begins) && end.text.start - begin.text.end <= LONGEST
    }

    /// Returns true for a row that is not part of a key's text: an empty one, and what a log of
    /// JSON puts behind a line: `","stream":"stdout"}`.
    fn is_beside(&self, row: &KeyRow) -> bool {
        let text = self.text_of(&row.text).trim_ascii();
        row.boundary.is_none()
            && (text.is_empty() || (row.column == 0 && b"\"'}".contains(&text[0])))
    }

    /// Returns the next row of a key's text.
    fn next(&self, i: usize) -> Option<usize> {
        let mut later = (i + 1..self.rows.len()).take(HEADERS);
        later.find(|i| self.row(*i).is_some_and(|row| !self.is_beside(row)))
    }

    /// Returns the row before of a key's text.
    fn previous(&self, i: usize) -> Option<usize> {
        let mut earlier = (0..i).rev().take(HEADERS);
        earlier.find(|i| self.row(*i).is_some_and(|row| !self.is_beside(row)))
    }

    fn is_full(&self, i: usize) -> bool {
        self.row(i)
            .is_some_and(|row| row.run.len() >= FULL && row.boundary.is_none())
    }

    /// Adds what stands between two boundaries.
    fn between(&mut self, begin: usize, end: usize) {
        let Some(first) = self.row(begin).cloned() else {
            return;
        };
        for i in begin + 1..end {
            let Some(row) = self.row(i) else { return };
            // What a log puts before each line stays.
            let column = if row.line > first.line && row.column == 0 {
                first.column
            } else {
                0
            };
            if self.is_beside(row) {
                continue;
            }
            let is_wrapped = row.run.len() >= FULL && row.line > first.line;
            let part = if is_wrapped {
                row.run.clone()
            } else {
                self.behind_column(row, column)
            };
            self.add(part);
        }
    }

    /// Returns what stands in a row from a column on: a run of base64, or else all.
    fn behind_column(&self, row: &KeyRow, column: usize) -> Range<usize> {
        self.fragment(row, column).unwrap_or_else(|| {
            let text = (row.text.start + column).min(row.text.end)..row.text.end;
            let inner = self.text_of(&text);
            let start = text.end - inner.trim_ascii_start().len();
            start..start + inner.trim_ascii().len()
        })
    }

    /// Returns the run of base64 that begins at a column and that nothing but a quote follows.
    fn fragment(&self, row: &KeyRow, column: usize) -> Option<Range<usize>> {
        let run = run(self.text, row.text.start + column);
        let run = run.start..run.end.min(row.text.end);
        let rest = self.text.get(run.end..row.text.end)?;
        let ends = rest.first().is_none_or(|byte| b"\"'\r,\\".contains(byte))
            || rest.trim_ascii().is_empty();
        (run.start < run.end && ends && row.boundary.is_none()).then_some(run)
    }

    /// Adds what follows a first line without a last one.
    fn after(&mut self, begin: usize) {
        let Some(column) = self.row(begin).map(|row| row.column) else {
            return;
        };
        let is_header = |row: &KeyRow| self.text_of(&row.text).windows(2).any(|part| part == b": ");
        let mut i = begin;
        for _ in 0..HEADERS {
            let Some(next) = self.next(i) else { return };
            i = next;
            if self.is_full(i) || self.row(i).is_none_or(|row| row.boundary.is_some()) {
                break;
            }
            if let Some(fragment) = self
                .row(i)
                .and_then(|row| self.fragment(row, self.column(row, column)))
            {
                return self.add(fragment);
            }
            if !self.row(i).is_some_and(is_header) {
                return;
            }
        }
        let end = self.stack(i);
        if end > i {
            self.take(i..end, false);
        }
    }

    /// Returns where a key's text begins in a row: behind what a log puts before each line.
    fn column(&self, row: &KeyRow, column: usize) -> usize {
        let is_line = row.text.start == 0
            || row.text.start.checked_sub(1).and_then(|i| self.text.get(i)) == Some(&b'\n');
        if is_line { column } else { 0 }
    }

    /// Adds what precedes a last line without a first one.
    fn before(&mut self, end: usize) {
        let Some(column) = self.row(end).map(|row| row.column) else {
            return;
        };
        let Some(mut last) = self.previous(end) else {
            return;
        };
        // The row that the last line stands in may begin with what a log puts there.
        if self.row(last).is_some_and(|row| row.text.len() == column) {
            let Some(before) = self.previous(last) else {
                return;
            };
            last = before;
        }
        if !self.is_full(last) {
            let Some(fragment) = self.row(last).and_then(|row| {
                self.fragment(row, self.column(row, column))
                    .or_else(|| self.cut(row))
            }) else {
                return;
            };
            self.add(fragment);
            let Some(before) = self.previous(last) else {
                return;
            };
            last = before;
        }
        let mut first = last + 1;
        let mut i = last;
        while self.is_full(i) {
            first = i;
            let Some(before) = self.previous(i) else {
                break;
            };
            i = before;
        }
        if first <= last {
            self.take(first..last + 1, true);
        } else if let Some(row) = self.row(last) {
            self.found.extend(self.cut(row));
        }
    }

    /// Returns the number behind the last row of the stack that begins with a row.
    fn stack(&self, first: usize) -> usize {
        let mut end = first;
        let mut i = Some(first);
        while let Some(row) = i.filter(|i| self.is_full(*i)) {
            end = row + 1;
            i = self.next(row).filter(|next| self.is_below(row, *next));
        }
        end
    }

    fn is_below(&self, row: usize, next: usize) -> bool {
        let (Some(row), Some(next)) = (self.row(row), self.row(next)) else {
            return false;
        };
        next.line - row.line <= 1
    }

    /// Adds full rows, the end of a row that was cut before them, and the last row.
    fn take(&mut self, stack: Range<usize>, is_closed: bool) {
        let last = stack.end.saturating_sub(1);
        let Some(column) = self.row(last).map(|row| row.run.start - row.text.start) else {
            return;
        };
        if let Some(row) = self.previous(stack.start).and_then(|i| self.row(i)) {
            self.found.extend(self.cut(row));
        }
        for i in stack
            .clone()
            .filter(|i| self.is_full(*i))
            .collect::<Vec<_>>()
        {
            self.found.extend(self.row(i).map(|row| row.run.clone()));
        }
        let next = self.next(last).filter(|next| self.is_below(last, *next));
        if let Some(row) = next.and_then(|i| self.row(i)) {
            let rest = self.fragment(row, self.column(row, column));
            let is_cut = |rest: &Range<usize>| rest.end == self.text.len();
            self.found
                .extend(rest.filter(|rest| is_closed || rest.len() % 4 == 0 || is_cut(rest)));
        }
    }

    /// Returns the end of a row whose beginning was cut away with what came before it.
    fn cut(&self, row: &KeyRow) -> Option<Range<usize>> {
        let mark = if self.text_of(&row.text).starts_with(b"[cut] ") {
            6
        } else {
            0
        };
        let is_cut = row.text.start == 0 || mark > 0;
        // Only the last row has padding.
        self.fragment(row, mark)
            .filter(|part| is_cut && !self.text_of(part).ends_with(b"="))
    }

    /// Adds the stacks that have the width of a key's, and no line before or behind them.
    fn without_boundaries(&mut self, public: &[usize]) {
        let mut i = 0;
        while i < self.rows.len() {
            let end = self.stack(i);
            if end == i {
                i += 1;
                continue;
            }
            let near = public.get(public.partition_point(|public| public + HEADERS <= i));
            let is_public = near.is_some_and(|public| *public < end + HEADERS);
            if !is_public && self.has_a_keys_width(i..end) {
                self.take(i..end, false);
            }
            i = end;
        }
    }

    fn has_a_keys_width(&self, stack: Range<usize>) -> bool {
        let full: Vec<&KeyRow> = stack
            .filter(|i| self.is_full(*i))
            .filter_map(|i| self.row(i))
            .collect();
        let width = full
            .iter()
            .map(|row| row.run.len())
            .max()
            .unwrap_or_default();
        let is_first_cut = full.first().is_some_and(|row| row.text.start == 0);
        let whole = full.iter().skip(usize::from(is_first_cut)).rev().skip(1);
        full.len() >= 2
            && WIDTHS.contains(&width)
            && whole.into_iter().all(|row| row.run.len() == width)
            && full.iter().all(|row| is_mixed(self.text_of(&row.run)))
    }

    fn add(&mut self, part: Range<usize>) {
        self.found
            .extend(Some(part).filter(|part| !part.is_empty()));
    }
}

#[cfg(test)]
mod tests;
