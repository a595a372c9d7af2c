//! Splits a log's text into lines as the program wrote them: without colours, and without what
//! carriers put before each line.

use std::cell::OnceCell;

use super::carrier::{self, Carried, MAX_LINE, NEW_LINE};
use super::entry::{LogEntry, LogLevel};
use super::lexicon::Senses;
use super::prefix::{self, Learnt};
use super::{entry, stamp};

/// A line as the program wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogLine {
    /// Line of the input, from 1.
    pub number: usize,
    pub text: String,
    /// Time of the line, in seconds since an arbitrary moment; use only differences. `None` if
    /// unknown.
    pub at: Option<f64>,
    /// Process that wrote the line, as the carrier names it: `prog[pid]: `.
    pub carried_from: Option<u32>,
    /// Name of that process.
    pub carried_as: Option<String>,
    /// Container or program that wrote the line, as docker compose or pm2 names it.
    pub container: Option<String>,
    /// The logger's entry; `None` if no logger wrote the line. Runtimes write their last words so.
    pub entry: Option<LogEntry>,
    /// The senses of its head, once somebody has asked.
    pub said: OnceCell<Senses>,
}

/// Maximum number of bytes of a message that are searched for what it says.
const HEAD: usize = 400;

impl LogLine {
    /// Returns true if the line is empty or only white space.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Returns the level that a logger gave to the line.
    pub fn level(&self) -> Option<LogLevel> {
        self.entry.as_ref()?.level
    }

    /// Returns the logger's message; the whole text if no logger wrote the line.
    pub fn message(&self) -> &str {
        self.entry
            .as_ref()
            .map_or(&self.text, |entry| &entry.message)
    }

    /// Returns the beginning of the message.
    pub fn head(&self) -> &str {
        let text = self.message().trim();
        text.get(..text.floor_char_boundary(HEAD))
            .unwrap_or_default()
    }

    /// Returns what the beginning of the message says.
    pub fn senses(&self) -> Senses {
        *self.said.get_or_init(|| Senses::of(self.head()))
    }

    /// Returns true if the line stands outside of the form of loggers: `main` speaks, not the
    /// service.
    pub fn is_raw(&self) -> bool {
        self.entry.as_ref().is_none_or(|entry| entry.at.is_none())
    }

    /// Returns true if the line is about one request that was served.
    pub fn is_of_request(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.of_request)
    }

    /// Returns the process that wrote the line, if the line names it.
    pub fn pid(&self) -> Option<u32> {
        self.entry
            .as_ref()
            .and_then(|entry| entry.pid)
            .or(self.carried_from)
    }
}

/// Maximum number of prefixes around a line that are learnt.
const MOST_LAYERS: usize = 3;
/// Maximum number of blank lines in a row that are kept.
const MOST_BLANK: usize = 64;

/// Reads a log's text.
pub fn read(text: &str) -> Vec<LogLine> {
    let mut lines = Vec::new();
    // The beginning of a long line that Docker has split.
    let mut begun: Option<LogLine> = None;
    let host = carrier::host(text);
    let mut blank = 0;
    for (i, raw) in text.lines().enumerate() {
        if raw.is_empty() && blank > MOST_BLANK && begun.is_none() {
            continue;
        }
        let carried = carrier::unwrap(raw, host);
        let partial = carried.partial;
        let line = match begun.take() {
            Some(mut begun) if carried.continues => {
                begun.text.push_str(&carried.text);
                begun
            }
            other => {
                lines.extend(other);
                let Carried {
                    text,
                    at,
                    pid,
                    name,
                    container,
                    ..
                } = carried;
                let text = text.into_owned();
                LogLine {
                    number: i + 1,
                    text,
                    at,
                    carried_from: pid,
                    carried_as: name,
                    container,
                    ..LogLine::default()
                }
            }
        };
        // The number of blank lines tells nothing.
        blank = if line.text.is_empty() { blank + 1 } else { 0 };
        if partial && line.text.len() < MAX_LINE {
            begun = Some(line);
        } else if blank <= MOST_BLANK {
            lines.push(line);
        }
    }
    lines.extend(begun);
    split_escaped(&mut lines);
    // In several layers, before or after a time.
    for _ in 0..MOST_LAYERS {
        let learnt = prefix::learn(lines.iter().rev().map(|line| line.text.as_str()));
        if let Some(learnt) = &learnt {
            without_prefix(&mut lines, learnt);
        }
        without_stamps(&mut lines);
        if learnt.is_none() {
            break;
        }
    }
    without_catalog(&mut lines);
    for line in &mut lines {
        line.entry = LogEntry::read(&line.text);
        // A carrier stamps every line with one clock. The loggers of one program may differ.
        line.at = line.at.or(line.entry.as_ref().and_then(|entry| entry.at));
    }
    fill_empty(&mut lines);
    lines
}

/// Maximum number of lines between an entry without words and its words.
const MOST_EMPTY: usize = 4;

/// Gives the entries of errors that have no words the first line below them that has some.
fn fill_empty(lines: &mut [LogLine]) {
    let is_empty = |line: &LogLine| {
        let entry = line.entry.as_ref();
        entry.is_some_and(|entry| entry.is_error() && entry.message.trim().is_empty())
    };
    for at in 0..lines.len() {
        if !lines.get(at).is_some_and(is_empty) {
            continue;
        }
        let below = lines.get(at + 1..).unwrap_or_default().iter();
        let mut own = below
            .take(MOST_EMPTY)
            .take_while(|line| line.entry.is_none());
        let words = own.find(|line| line.text.contains(char::is_alphanumeric));
        let words = words.map(|line| line.text.trim().to_owned());
        if let Some((entry, words)) = lines
            .get_mut(at)
            .and_then(|it| it.entry.as_mut())
            .zip(words)
        {
            entry.message = words;
        }
    }
}

/// Maximum number of lines that are read of a message that rsyslog has written in one.
const MOST_PARTS: usize = 200;

/// Splits the messages of several lines that rsyslog has written in one.
fn split_escaped(lines: &mut Vec<LogLine>) {
    let is_split = |line: &LogLine| line.carried_as.is_some() && line.text.contains(NEW_LINE);
    if !lines.iter().any(is_split) {
        return;
    }
    let whole = std::mem::take(lines);
    for line in whole {
        if !is_split(&line) {
            lines.push(line);
            continue;
        }
        lines.extend(line.text.splitn(MOST_PARTS, NEW_LINE).map(|text| LogLine {
            number: line.number,
            text: text.to_owned(),
            at: line.at,
            carried_from: line.carried_from,
            carried_as: line.carried_as.clone(),
            container: line.container.clone(),
            ..LogLine::default()
        }));
    }
}

/// Returns the text of a line; empty if there is no such line.
pub fn line_text(lines: &[LogLine], index: usize) -> &str {
    lines.get(index).map_or("", |line| &line.text)
}

/// Drops the lines of other containers and programs if the log names the service's own, or else if
/// one container alone has failed. Returns false if it names only others.
pub fn keep_own(lines: &mut Vec<LogLine>, job: &str) -> bool {
    let is_of = |line: &LogLine, name: &str| {
        let container = line.container.as_ref();
        container.is_some_and(|it| it.eq_ignore_ascii_case(name))
    };
    let own = if lines.iter().any(|line| is_of(line, job)) {
        job.to_owned()
    } else {
        failed(lines).unwrap_or_default()
    };
    let is_ours = |line: &LogLine| is_of(line, &own);
    if lines.iter().any(is_ours) {
        lines.retain(|line| line.container.is_none() || is_ours(line));
        return true;
    }
    lines.iter().all(|line| line.container.is_none())
}

/// Returns the container that Docker Compose says has ended with an exit code other than 0, if that
/// is one alone.
fn failed(lines: &[LogLine]) -> Option<String> {
    let unprefixed = lines.iter().filter(|line| line.container.is_none());
    let ended = unprefixed.filter_map(|line| prefix::ended(&line.text));
    let mut failed = ended.filter(|(_, code)| *code != "0").map(|(name, _)| name);
    let first = failed.next()?;
    failed.all(|name| name == first).then(|| first.to_owned())
}

/// Removes a prefix, which may name the container.
fn without_prefix(lines: &mut [LogLine], learnt: &Learnt) {
    for line in lines {
        if let Some((length, container)) = learnt.find(&line.text) {
            line.container = container.map(str::to_owned).or(line.container.take());
            line.text = line.text.get(length..).unwrap_or_default().to_owned();
        }
    }
}

/// Drops the journal's explanations of systemd's messages: `░░ Subject: …`, and `-- Subject: …`
/// with the lines after it.
fn without_catalog(lines: &mut Vec<LogLine>) {
    let mut is_inside = false;
    lines.retain(|line| {
        let text = line.text.as_str();
        is_inside = text.starts_with("-- Subject: ")
            || is_inside && (text == "--" || text.starts_with("-- "));
        !is_inside && !text.starts_with("░░")
    });
}

/// Number of last lines that are read to find a carrier's timestamps.
const SHARE: usize = 60;

/// Removes the timestamps that a carrier put before every line. A program puts none before the
/// lines of a trace.
fn without_stamps(lines: &mut [LogLine]) {
    let last = lines
        .get(lines.len().saturating_sub(SHARE)..)
        .unwrap_or_default();
    let rest = |line: &LogLine| stamp::read(&line.text).map(|(_, length)| length);
    let is_inner = |line: &&LogLine| {
        let after = rest(line)
            .and_then(|length| line.text.get(length..))
            .unwrap_or("-");
        let after = after.strip_prefix([']', ':']).unwrap_or(after);
        after.starts_with("   ")
            || after.starts_with(" \t")
            || after.starts_with('\t')
            || after.trim().is_empty()
    };
    let stamped = last.iter().filter(|line| rest(line).is_some()).count();
    // Of two times the first is a carrier's.
    let is_double = |line: &LogLine, end: usize| {
        let inner = line.text.get(end..).unwrap_or_default().trim_start();
        entry::is_timed(inner)
    };
    let by_carrier = || {
        last.iter().all(|line| {
            rest(line).is_some_and(|end| {
                line.text.get(..end).is_some_and(is_carriers) || is_double(line, end)
            })
        })
    };
    if stamped == 0
        || stamped * 10 < last.len() * 9
        || !(last.iter().any(|line| is_inner(&line)) || by_carrier())
    {
        return;
    }
    for line in lines {
        if let Some((at, length)) = stamp::read(&line.text) {
            let after = line.text.get(length..).unwrap_or_default();
            // pm2's `2026-11-22T23:58:59: `.
            let after = after.strip_prefix([']', ':']).unwrap_or(after);
            line.text = after.strip_prefix([' ', '\t']).unwrap_or(after).to_owned();
            line.at = Some(at);
        }
    }
}

/// Returns true if only carriers write such a timestamp: `docker logs -t` in nanoseconds, svlogd,
/// multilog and s6-log.
fn is_carriers(stamp: &str) -> bool {
    let fraction = stamp.rsplit_once('.').map_or("", |(_, fraction)| fraction);
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    stamp.starts_with('@')
        || fraction
            .strip_suffix('Z')
            .is_some_and(|fraction| digits(fraction, 9))
        || (stamp.contains('_') && digits(fraction, 5))
}

/// Returns true if two texts differ only in their digits.
pub fn is_same_but_digits(one: &str, other: &str) -> bool {
    let strip = |byte: &u8| !byte.is_ascii_digit();
    one.bytes().filter(strip).eq(other.bytes().filter(strip))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::read;

    #[test]
    fn lines_of_other_containers_are_dropped() {
        let log = "web-1  | GET / 200\ndb-1   | FATAL:  starting up\n";
        for log in [log, "0|web | GET / 200\n1|db  | FATAL:  starting up\n"] {
            for (job, count) in [("web", 1), ("db", 1), ("shop", 2)] {
                let mut lines = read(log);
                super::keep_own(&mut lines, job);
                assert_eq!(lines.len(), count, "{job}");
            }
        }
    }

    #[test]
    fn carriers_are_removed() {
        for line in [
            "Nov 22 23:58:59 db1 web[4242]: Error: boom",
            "2026-11-22T23:58:59+0000 db1 web[4242]: Error: boom",
            "Nov 22 23:58:59.123456 db1 web[4242]: Error: boom",
            "<34>1 2026-11-22T23:58:59Z db1 web 4242 - - Error: boom",
            "2026-11-22T23:58:59.123456+00:00 app[web.1]: Error: boom",
            "2026-11-22T23:58:59.123456789Z stderr F Error: boom",
            "[pod/web-5d9f/web] Error: boom",
            "web-1  | Error: boom",
            "0|web      | Error: boom",
            "23:58:59 web.1  | Error: boom",
            "{\"log\":\"Error: boom\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-22T23:58:59Z\"}",
            "\x1b[31mError: boom\x1b[0m\r",
            "10% \r 90% \rError: boom",
            "[cut] Error: boom",
            "\0\0\0Error: boom",
        ] {
            assert_eq!(read(line)[0].text, "Error: boom", "{line:?}");
        }
    }

    #[test]
    fn a_carrier_s_own_stamp_is_taken_away_though_no_line_is_indented() {
        for stamp in [
            "2026-11-22T23:58:59.123456789Z",
            "2026-11-22_23:58:59.12345",
            "@4000000067411a3b2ef02e94",
        ] {
            let text =
                format!("{stamp} 2026-11-22 23:58:58 INFO up\n{stamp} free(): invalid pointer\n");
            assert_eq!(read(&text)[1].text, "free(): invalid pointer", "{stamp}");
        }
        assert!(
            read("2026-11-22T23:58:59.123Z boom")[0]
                .text
                .starts_with("2026")
        );
    }

    #[test]
    fn the_carrier_names_the_process_that_wrote_a_line() {
        assert_eq!(
            read("Nov 22 23:58:59 db1 web[4242]: Error: boom")[0].pid(),
            Some(4242)
        );
        assert_eq!(
            read("<34>1 2026-11-22T23:58:59Z db1 web 4242 - - Error: boom")[0].pid(),
            Some(4242)
        );
    }

    #[test]
    fn words_before_a_colon_are_no_host_and_program() {
        let stamp = "2026-11-22T23:58:59.123456789Z";
        let log = format!(
            "{stamp} thread 'main' panicked at a.rs:1:1:\n{stamp} vault key: sealed\n{stamp} note: run\n"
        );
        assert_eq!(read(&log)[1].text, "vault key: sealed");
        let log = "2026-11-22T23:58:59+00:00 db1 web: vault key: sealed\n".repeat(3);
        assert_eq!(read(&log)[1].text, "vault key: sealed");
    }

    #[test]
    fn a_logger_s_level_is_no_host() {
        for line in [
            "2026-11-22T23:58:59.000Z ERROR http: boom",
            "2026-11-22T23:58:59Z web FATAL: boom",
            "2026-11-22T23:58:59.123456789Z 2026-11-22 23:58:59,001 ERROR http: boom",
        ] {
            assert!(
                read(line)[0]
                    .entry
                    .as_ref()
                    .is_some_and(|entry| entry.level.is_some()),
                "{:?}",
                read(line)
            );
        }
    }

    #[test]
    fn a_stamp_before_every_line_is_taken_away() {
        for stamp in [
            "2026-11-22T23:58:59.123456789Z",
            "2026-11-22_23:58:59.12345",
            "@4000000067411a3b2ef02e94",
            "2026-11-22T23:58:59:",
        ] {
            let text = format!("{stamp} Error: boom\n{stamp}     at f (a.js:1:2)\n{stamp} \n");
            let lines: Vec<_> = read(&text).into_iter().map(|line| line.text).collect();
            assert_eq!(lines, ["Error: boom", "    at f (a.js:1:2)", ""], "{stamp}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>(), lines in vec("[ -~\t\r]{0,60}", 0..20)) {
            read(&text);
            read(&lines.join("\n"));
        }
    }
}
