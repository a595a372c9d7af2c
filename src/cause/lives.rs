//! Learns from a log with which line each life of the service begins, where no word names it: `up
//! 4211`, `hello from 7`. Each life writes it again, with another number, and it stands right below
//! an end, unless a life ended without a word.
//!
//! A service that goes on after its errors may write so too: `job 17`, an error, `job 18`. Then the
//! error was survived, and is no cause either.

use std::collections::HashMap;

/// The part that a piece of a log may have in a life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end: an error, or words about an end.
    End,
    /// The begin: it speaks of a start.
    Start,
    /// The begin, if its number is another in each life.
    Any,
    /// Neither: a warning, which is a life's work.
    Work,
}

/// Returns the indexes of the parts with which lives begin. The parts are given by their first
/// lines, and come oldest first. Lives that said no more than that stand right below one another.
pub fn begins(parts: &[(&str, Role)]) -> Vec<usize> {
    let forms: Vec<String> = parts.iter().map(|(text, _)| without_digits(text)).collect();
    let mut seen: HashMap<&str, LifeForm> = HashMap::new();
    let mut above: Option<(Role, &String)> = None;
    let mut ends = 0;
    for (&(text, role), form) in parts.iter().zip(&forms) {
        let is_below_end = above.is_some_and(|(role, _)| role == Role::End);
        let is_again = above.is_some_and(|(_, above)| above == form);
        ends += usize::from(is_below_end && role != Role::End);
        let begun = seen.entry(form).or_insert_with(|| LifeForm::of(text));
        if is_below_end {
            begun.lives += 1;
        } else if above.is_none() {
            begun.is_first = true;
        } else if !is_again {
            begun.elsewhere += 1;
        }
        begun.varies |= role == Role::Start || text != begun.first;
        begun.is_other |= matches!(role, Role::End | Role::Work);
        above = Some((role, form));
    }
    let is_begin = |form: &str| seen.get(form).is_some_and(|it| it.is_begin(ends));
    let all = forms.iter().enumerate();
    all.filter(|(_, form)| is_begin(form))
        .map(|(i, _)| i)
        .collect()
}

/// The parts of a log that differ only in their digits.
struct LifeForm<'a> {
    first: &'a str,
    /// Number of lives that begin so below an end.
    lives: usize,
    /// The log begins so.
    is_first: bool,
    /// The parts differ, so that each is another life's; or they speak of a start.
    varies: bool,
    /// Number of those that stand below ordinary lines.
    elsewhere: usize,
    /// One of them begins no life.
    is_other: bool,
}

impl<'a> LifeForm<'a> {
    fn of(first: &'a str) -> Self {
        // What belongs to the line above is indented, and what only closes it has no words.
        let has_words = first.starts_with(|c: char| !c.is_whitespace())
            && first.contains(|c: char| c.is_alphabetic());
        Self {
            first,
            lives: 0,
            is_first: false,
            varies: false,
            elsewhere: 0,
            is_other: !has_words,
        }
    }

    /// Returns true if most of the lives that end in so many places begin so.
    fn is_begin(&self, ends: usize) -> bool {
        let is_first = self.is_first && self.elsewhere == 0;
        self.lives + usize::from(is_first) > 1
            && self.lives * 2 > ends
            && self.elsewhere * 2 <= self.lives
            && self.varies
            && !self.is_other
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Role, begins};
    use crate::cause::{Scene, explain};
    use crate::report::Exit;

    /// Returns the begins in a log of these lines. `!` stands before an end, `>` before a start,
    /// `?` before a warning.
    fn begins_in(lines: &[&'static str]) -> Vec<&'static str> {
        let part = |line: &&'static str| match line.split_at(1) {
            ("!", text) => (text, Role::End),
            (">", text) => (text, Role::Start),
            ("?", text) => (text, Role::Work),
            _ => (*line, Role::Any),
        };
        let parts: Vec<_> = lines.iter().map(part).collect();
        begins(&parts).into_iter().map(|i| parts[i].0).collect()
    }

    #[test]
    fn the_line_below_each_end_begins_a_life_if_its_number_is_another_each_time() {
        let lives = ["up 1", "ok", "!no", "up 2", "up 3", "!bad", "up 4"];
        assert_eq!(begins_in(&lives), ["up 1", "up 2", "up 3", "up 4"]);
        // The first life began before the log does.
        assert_eq!(begins_in(&["!no", "up 2", "!no", "up 3"]), ["up 2", "up 3"]);
    }

    #[test]
    fn a_line_that_never_differs_begins_a_life_only_where_it_says_so() {
        assert_eq!(begins_in(&["hi", "!no", "hi", "!no", "hi"]), [""; 0]);
        assert_eq!(begins_in(&[">go", "!no", ">go"]), ["go"; 2]);
    }

    #[test]
    fn a_life_may_end_without_a_word() {
        let lives = ["!no", "up 1", "!no", "up 2", "ok", "up 3"];
        assert_eq!(begins_in(&lives), ["up 1", "up 2", "up 3"]);
    }

    #[test]
    fn what_most_often_stands_below_ordinary_lines_begins_no_life() {
        for lines in [
            &["ok", "up 1", "!no", "up 2", "!no"][..],
            &["ok", "!no", "up 2", "ok", "!no"],
            &["up 1", "ok", "up 2", "!no", "up 3"],
            &["!no 1", "!no 2", "!no 3", "!no 4", "!no 5"],
            &["!no", "  at 1", "!no", "  at 2", "!no"],
            &["!no", "} 1", "!no", "} 2", "!no"],
            &["!no", "?try 1", "!no", "?try 2", "!no"],
            &[
                "!no", "beat 1", "!no", "beat 2", "!no", "row", "!no", "done",
            ],
        ] {
            assert_eq!(begins_in(lines), [""; 0], "{lines:?}");
        }
    }

    /// First lines of lives, which say no more than that one has begun.
    const FIRST: [&str; 6] = [
        "up {n}",
        "start j3 {n}",
        "hello from process {n}\nreading /etc/web.conf",
        "web worker {n} is here\nopening the store\nready",
        "server listening on port 80{n}",
        "{n} INFO web: starting",
    ];
    /// Last lines of lives, each with a word of its own life.
    const LAST: [&str; 7] = [
        "Error: cause {w}",
        "fatal: cause {w}",
        "panic: cause {w}",
        "ERROR: cannot open /srv/{w}.conf",
        "Traceback (most recent call last):\n  File \"/srv/a.py\", line 1, in <module>\nValueError: {w}",
        "/srv/a.js:1\nthrow new Error('{w}')\n^\n\nError: {w}\n    at f (/srv/a.js:1:7)",
        "panic: {w}\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/a.go:7 +0x1d\nexit status 2",
    ];

    #[test]
    fn the_error_of_an_earlier_life_is_never_told_and_the_last_lifes_own_words_are() {
        let life = |n: usize, first: &str, last: &str, word: &str| {
            let (first, last) = (
                first.replace("{n}", &(40 + n).to_string()),
                last.replace("{w}", word),
            );
            format!("{first}\n{last}\n")
        };
        let told = |log: &str, code: i32| {
            let exit = Exit::Code(code);
            let scene = Scene {
                job: "web",
                pid: Some(4242),
                exit: &exit,
                log: Some(("log", log)),
                since: None,
                kernel: ("", &[]),
            };
            explain(&scene).cause.line
        };
        for first in FIRST {
            for (earlier, last) in LAST.iter().flat_map(|one| LAST.map(|other| (one, other))) {
                for (count, code) in [1, 2, 5]
                    .into_iter()
                    .flat_map(|count| [(count, 1), (count, 2), (count, 7)])
                {
                    let before = (0..count).map(|n| life(n, first, earlier, "old"));
                    let log = before
                        .chain([life(count, first, last, "new")])
                        .collect::<String>();
                    let told = told(&log, code);
                    assert!(!told.contains("old"), "{code}: {told}\nin:\n{log}");
                    assert!(told.contains("new"), "{code}: {told}\nin:\n{log}");
                }
            }
        }
    }
}
