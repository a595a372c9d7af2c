//! Asks each runtime about the lines that hold one of its marks.
//!
//! One automaton finds all marks of all runtimes, so the log is gone over once, however many
//! runtimes there are.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::ALL;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::Finding;
use crate::cause::text::LogLine;

/// Returns what all runtimes find, one runtime after the other.
pub fn read(lines: &[LogLine]) -> Vec<Finding> {
    static ASKER: LazyLock<Asker> = LazyLock::new(|| Asker::of(&ALL));
    ASKER.read(lines)
}

/// A set of words, by their places among the words of all runtimes.
type WordSet = u128;

/// Runtimes, and the automaton that finds their marks.
pub struct Asker {
    runtimes: Vec<&'static [RuntimeWords]>,
    automaton: Option<AhoCorasick>,
    /// For each mark of the automaton the words that it is a mark of, and their place.
    words: Vec<(usize, &'static RuntimeWords)>,
}

impl Asker {
    pub fn of(runtimes: &[&'static [RuntimeWords]]) -> Self {
        let all = runtimes.iter().copied().flatten().enumerate();
        let marks =
            all.flat_map(|(i, words)| words.marks.iter().map(move |mark| (mark, (i, words))));
        let (marks, words): (Vec<&str>, Vec<_>) = marks.unzip();
        // It is built sooner than others, and finds as soon.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        Self {
            runtimes: runtimes.to_vec(),
            automaton: AhoCorasick::builder().kind(kind).build(marks).ok(),
            words,
        }
    }

    /// Returns what the runtimes find, one runtime after the other.
    pub fn read(&self, lines: &[LogLine]) -> Vec<Finding> {
        let marked = self.marked(lines);
        // Most lines have no mark.
        let marked: Vec<(usize, WordSet)> = marked
            .into_iter()
            .enumerate()
            .filter(|(_, set)| *set != 0)
            .collect();
        let mut found = Vec::new();
        let mut first = 0;
        for words in &self.runtimes {
            let own = marked.iter().map(|(at, set)| (*at, set >> first));
            let own = ask(words, lines, &found, own);
            found.extend(own);
            first += words.len();
        }
        found
    }

    /// Returns for each line the words that may begin there.
    fn marked(&self, lines: &[LogLine]) -> Vec<WordSet> {
        let mut marked = vec![0; lines.len()];
        let Some(automaton) = &self.automaton else {
            return marked;
        };
        // Each line has a line break before and behind it.
        let mut text = String::from("\n");
        let mut ends = Vec::with_capacity(lines.len());
        for line in lines {
            text.push_str(&line.text);
            text.push('\n');
            ends.push(text.len());
        }
        let mut at = 0;
        for found in automaton.find_overlapping_iter(&text) {
            // The break at a mark's end is a part of the line.
            while ends.get(at).is_some_and(|end| *end < found.end()) {
                at += 1;
            }
            let Some((i, words)) = self.words.get(found.pattern().as_usize()) else {
                continue;
            };
            let firsts = marked.get_mut(words.firsts(at)).unwrap_or_default();
            for set in firsts {
                *set |= 1 << i;
            }
        }
        marked
    }
}

/// Returns what one runtime finds in the lines with marks. It is not asked again about lines that
/// it has read.
fn ask(
    words: &[RuntimeWords],
    lines: &[LogLine],
    others: &[Finding],
    marked: impl Iterator<Item = (usize, WordSet)>,
) -> Vec<Finding> {
    let mut own = Vec::new();
    let mut from = 0;
    for (at, set) in marked {
        let Some(line) = lines.get(at).filter(|_| at >= from) else {
            continue;
        };
        let spot = Spot {
            lines,
            line,
            at,
            from,
            others,
            own: &own,
        };
        let mut asked = words.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
        if let Some(finding) = asked.find_map(|(_, words)| words.read(&spot)) {
            from = finding.lines.end.max(at + 1);
            own.extend(finding.proofs());
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::{ALL, WordSet};

    #[test]
    fn the_words_of_all_runtimes_fit_into_a_set() {
        let count: usize = ALL.iter().map(|words| words.len()).sum();
        assert!(count <= WordSet::BITS as usize, "{count}");
    }
}
