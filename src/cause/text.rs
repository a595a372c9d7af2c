//! A log's text as lines that the program itself wrote: without colours, and without what those who
//! carried them put before each.
//!
//! Carriers that are known by their form: Docker's json-file and CRI lines, journald and syslog
//! (`Nov 22 23:58:59 host prog[pid]: `), syslog's RFC 5424, Heroku, `kubectl logs --prefix`, pm2,
//! docker compose, foreman and honcho (`name | `), the Java service wrapper (`jvm 1 | `); and a
//! bare timestamp (svlogd, s6-log, `docker logs -t`) where also the lines of a trace have one.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::Deserialize;

use super::entry::{self, Entry};
use super::stamp;

/// One line, as the program wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Which line of the input it is, from 1.
    pub number: usize,
    pub text: String,
    /// When it was written, in seconds; only differences mean something. `None` where nothing says
    /// so.
    pub at: Option<f64>,
    /// The process that wrote it, as its carrier says: `prog[pid]: `.
    pub carried_from: Option<u32>,
    /// What that process is called there.
    pub carried_as: Option<String>,
    /// The container or program that wrote it, as docker compose or pm2 calls it.
    pub container: Option<String>,
    /// What a logger says in it; `None` where no logger wrote it, as a runtime's last words.
    pub entry: Option<Entry>,
}

impl Line {
    /// Whether there is nothing on it.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The process that wrote it, where the line says so.
    pub fn pid(&self) -> Option<u32> {
        self.entry
            .as_ref()
            .and_then(|entry| entry.pid)
            .or(self.carried_from)
    }
}

/// The longest line that is looked at, in bytes; what is beyond it is left out.
const MAX_LINE: usize = 64 * 1024;
/// So many carriers may have handed a line on.
const MAX_CARRIERS: usize = 3;

/// So many blank lines in a row are kept.
const MOST_BLANK: usize = 64;

/// Reads a log's text.
pub fn read(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    // What Docker has cut a long line into.
    let mut begun: Option<Line> = None;
    let host = host(text);
    let mut blank = 0;
    for (i, raw) in text.lines().enumerate() {
        let carried = unwrap(raw, host);
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
                Line {
                    number: i + 1,
                    text,
                    at,
                    carried_from: pid,
                    carried_as: name,
                    container,
                    entry: None,
                }
            }
        };
        // Nothing is told by how many blank lines there are.
        blank = if line.text.is_empty() { blank + 1 } else { 0 };
        if partial && line.text.len() < MAX_LINE {
            begun = Some(line);
        } else if blank <= MOST_BLANK {
            lines.push(line);
        }
    }
    lines.extend(begun);
    without_stamps(&mut lines);
    for line in &mut lines {
        line.entry = Entry::read(&line.text);
        // A carrier stamps every line with one clock; loggers of one program may differ.
        line.at = line.at.or(line.entry.as_ref().and_then(|entry| entry.at));
    }
    lines
}

/// A line without what carried it.
struct Carried<'a> {
    text: Cow<'a, str>,
    at: Option<f64>,
    pid: Option<u32>,
    name: Option<String>,
    container: Option<String>,
    /// The rest of it comes with the next line.
    partial: bool,
    /// It may be the rest of the one before.
    continues: bool,
}

/// Docker's json-file.
#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
}

static CRI: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^(\d{4}-\d\d-\d\dT[\d:.Z+-]{8,30}) std(?:out|err) ([FP]) ").ok()
});

/// journald's and syslog's form.
static SYSLOG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)^(?:<\d{1,3}>)?((?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)) ([\w.:-]+) ([\w./@+-]+)(?:\[(\d+)\])?:(?: |$)",
    )
    .ok()
});

/// The host that most of the last lines name in syslog's form.
fn host(text: &str) -> Option<&str> {
    let last = || {
        text.lines()
            .rev()
            .filter(|line| !line.is_empty())
            .take(SHARE)
    };
    let of = |line| Some(SYSLOG.as_ref()?.captures(line)?.get(2)?.as_str());
    let host = last().filter(|line| line.len() < MAX_LINE).find_map(of)?;
    let named = format!(" {host} ");
    let share = last().filter(|line| {
        line.get(..line.floor_char_boundary(100))
            .is_some_and(|head| head.contains(&named))
    });
    (share.count() * 2 > last().count()).then_some(host)
}

/// RFC 5424: `<34>1 2026-11-22T23:58:59Z db1 web 4242 - - `.
static RFC5424: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)^<\d{1,3}>1 ([!-~]{1,40}) [!-~]{1,255} [!-~]{1,48} (\d{1,10}|[!-~]{1,128}) [!-~]{1,32} (?:-|\[[ -Z^-~]{0,500}\]) ?",
    )
    .ok()
});

/// Heroku's `2026-11-22T23:58:59.123456+00:00 app[web.1]: ` and kubectl's `[pod/web-5d9/web] `.
static PLATFORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^(?:(\d{4}-\d\d-\d\dT[\d:.]+\+00:00) (?:app|heroku)\[[\w.-]{1,64}\]: |\[pod/[\w.-]{1,255}/[\w.-]{1,64}\] )").ok()
});

/// `0|web | `, `web-1  | `, `12:00:01 web.1 | `, `jvm 1 | `, `INFO | jvm 1 | 2026/11/22 23:51:02 |
/// `.
static PIPED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)^(?:(?:STATUS|INFO|ERROR|DEBUG|WARN|FATAL) {0,4}\| )?(?:\d\d:\d\d:\d\d )?(?:\d{1,4}\|(?P<app>[\w.@-]{1,64})|jvm \d{1,3}|wrapper|(?P<container>[\w-]{1,60})-\d{1,3}|[\w-]{1,60}\.\d{1,3}) {0,40}\|(?: (?P<at>\d{4}[/-]\d\d[/-]\d\d \d\d:\d\d:\d\d(?:\.\d+)?) \|)? ?",
    )
    .ok()
});

fn unwrap<'a>(raw: &'a str, host: Option<&str>) -> Carried<'a> {
    let raw = raw.trim_end_matches('\r');
    // A progress bar writes over itself: what stands there in the end is what a person sees.
    let raw = raw.rsplit_once('\r').map_or(raw, |(_, shown)| shown);
    // Our own collector's mark on a line whose beginning is lost.
    let raw = raw.strip_prefix("[cut] ").unwrap_or(raw);
    let raw = raw
        .get(..raw.floor_char_boundary(MAX_LINE * 4))
        .unwrap_or_default();
    let mut carried = Carried {
        text: without_colours(raw),
        at: None,
        pid: None,
        name: None,
        container: None,
        partial: false,
        continues: false,
    };
    for _ in 0..MAX_CARRIERS {
        let Some(inner) = unwrap_once(&carried, host) else {
            break;
        };
        carried = inner;
    }
    let cut = carried.text.floor_char_boundary(MAX_LINE);
    if cut < carried.text.len() {
        carried.text = Cow::Owned(carried.text.get(..cut).unwrap_or_default().to_owned());
    }
    carried
}

fn unwrap_once<'a>(carried: &Carried<'a>, host: Option<&str>) -> Option<Carried<'a>> {
    let text: &str = &carried.text;
    let inner = |from: usize, at: Option<f64>| Carried {
        text: Cow::Owned(text.get(from..).unwrap_or_default().to_owned()),
        at: at.or(carried.at),
        pid: carried.pid,
        name: carried.name.clone(),
        container: carried.container.clone(),
        partial: carried.partial,
        continues: carried.continues,
    };
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric() || ['{', '<', '['].contains(&c)) {
        // An indented line, as a trace has them, has no carrier.
        return None;
    }
    if text.starts_with("{\"log\":") {
        let line: DockerLine = serde_json::from_str(text).ok()?;
        line.stream?;
        let whole = line.log.strip_suffix('\n');
        return Some(Carried {
            text: Cow::Owned(
                without_colours(whole.unwrap_or(&line.log).trim_end_matches('\r')).into_owned(),
            ),
            at: line
                .time
                .and_then(|time| stamp::read(&time))
                .map(|(at, _)| at)
                .or(carried.at),
            pid: carried.pid,
            name: carried.name.clone(),
            container: carried.container.clone(),
            partial: whole.is_none(),
            continues: true,
        });
    }
    if let Some(found) = CRI.as_ref()?.captures(text) {
        let at = found
            .get(1)
            .and_then(|time| stamp::read(time.as_str()))
            .map(|(at, _)| at);
        let partial = found.get(2)?.as_str() == "P";
        return Some(Carried {
            partial,
            continues: true,
            ..inner(found.get(0)?.end(), at)
        });
    }
    if let Some(found) = text
        .starts_with('<')
        .then(|| RFC5424.as_ref()?.captures(text))
        .flatten()
    {
        let at = found
            .get(1)
            .and_then(|time| stamp::read(time.as_str()))
            .map(|(at, _)| at);
        let pid = found.get(2).and_then(|pid| pid.as_str().parse().ok());
        return Some(Carried {
            pid: pid.or(carried.pid),
            ..inner(found.get(0)?.end(), at)
        });
    }
    if let Some(found) = PLATFORM.as_ref()?.captures(text) {
        let at = found
            .get(1)
            .and_then(|time| stamp::read(time.as_str()))
            .map(|(at, _)| at);
        return Some(inner(found.get(0)?.end(), at));
    }
    // `2026-11-22T23:58:59Z ERROR http: ` is a logger's.
    let of_logger = |found: &Captures| {
        [2, 3].iter().any(|group| {
            found
                .get(*group)
                .is_some_and(|it| entry::is_level(it.as_str()))
        })
    };
    // Without a process's number it may be anybody's words, but for the host's name.
    let is_whole =
        |found: &Captures| found.get(4).is_some() || found.get(2).map(|it| it.as_str()) == host;
    if let Some(found) = SYSLOG
        .as_ref()?
        .captures(text)
        .filter(|found| !of_logger(found) && is_whole(found))
    {
        let at = found
            .get(1)
            .and_then(|time| stamp::read(time.as_str()))
            .map(|(at, _)| at);
        let pid = found.get(4).and_then(|pid| pid.as_str().parse().ok());
        let name = found.get(3).map(|name| name.as_str().to_owned());
        return Some(Carried {
            pid: pid.or(carried.pid),
            name: name.or_else(|| carried.name.clone()),
            ..inner(found.get(0)?.end(), at)
        });
    }
    if let Some(found) = PIPED.as_ref()?.captures(text) {
        let at = found
            .name("at")
            .and_then(|time| stamp::read(time.as_str()))
            .map(|(at, _)| at);
        let container = found
            .name("container")
            .or_else(|| found.name("app"))
            .map(|name| name.as_str().to_owned());
        return Some(Carried {
            container,
            ..inner(found.get(0)?.end(), at)
        });
    }
    None
}

/// The text of a line; nothing where there is no such line.
pub fn line_text(lines: &[Line], index: usize) -> &str {
    lines.get(index).map_or("", |line| &line.text)
}

/// Leaves out what other containers and programs have written, where the service's own is among
/// those that the log names.
pub fn keep_own(lines: &mut Vec<Line>, job: &str) {
    let is_ours = |line: &Line| {
        line.container
            .as_ref()
            .is_some_and(|name| name.eq_ignore_ascii_case(job))
    };
    if lines.iter().any(is_ours) {
        lines.retain(|line| line.container.is_none() || is_ours(line));
    }
}

/// The text without terminal escapes and other control characters, but with its tabs.
pub fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                // CSI: up to its final byte.
                Some('[') => {
                    while chars
                        .next()
                        .is_some_and(|c| !('\x40'..='\x7e').contains(&c))
                    {}
                }
                // OSC: up to BEL or ST.
                Some(']') => while chars.next().is_some_and(|c| c != '\x07' && c != '\x1b') {},
                _ => {}
            },
            '\t' => clean.push('\t'),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// So many of the last lines tell whether a carrier has put a timestamp before each.
const SHARE: usize = 60;

/// Takes the timestamps away that a carrier has put before every line: a program puts none before
/// the lines of a trace.
fn without_stamps(lines: &mut [Line]) {
    let last = lines
        .get(lines.len().saturating_sub(SHARE)..)
        .unwrap_or_default();
    let rest = |line: &Line| stamp::read(&line.text).map(|(_, length)| length);
    let is_inner = |line: &&Line| {
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
    let by_carrier = || {
        last.iter().all(|line| {
            rest(line)
                .and_then(|end| line.text.get(..end))
                .is_some_and(is_carriers)
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

/// Whether only carriers write timestamps so: `docker logs -t` in nanoseconds, svlogd, multilog and
/// s6-log.
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

/// Whether two texts differ only in their digits.
pub fn is_same_but_digits(one: &str, other: &str) -> bool {
    let strip = |byte: &u8| !byte.is_ascii_digit();
    one.bytes().filter(strip).eq(other.bytes().filter(strip))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;

    #[test]
    fn what_other_containers_write_is_not_the_service_s_own() {
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
    fn what_carried_a_line_is_taken_away() {
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
    fn who_wrote_a_line_is_known_from_its_carrier() {
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
        fn no_text_is_too_odd(text in any::<String>(), lines in proptest::collection::vec("[ -~\t\r]{0,60}", 0..20)) {
            read(&text);
            read(&lines.join("\n"));
        }
    }
}
