//! The carriers of a log, which put something of their own before each line.
//!
//! They are known by their form: Docker's json-file and CRI lines, journald and syslog (`Nov 22
//! 23:58:59 host prog[pid]: `), syslog's RFC 5424, Heroku, `kubectl logs --prefix`, pm2, docker
//! compose, foreman and honcho (`name | `), and the Java service wrapper (`jvm 1 | `). A bare
//! timestamp is a carrier's (svlogd, s6-log, `docker logs -t`) if the lines of a trace have one
//! too.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Regex, bytes};
use serde::Deserialize;

use super::entry;
use super::stamp;
use crate::escapes::after_sequence;

/// Maximum length of a line, in bytes. The rest of the line is dropped.
pub const MAX_LINE: usize = 64 * 1024;
/// Maximum number of carriers around a line.
const MAX_CARRIERS: usize = 3;
/// Maximum length of a carrier's part, in bytes.
const LONGEST: usize = 300;
/// Number of last lines that are read to find the host's name.
const SHARE: usize = 60;

/// A line without its carriers.
pub struct Carried<'a> {
    pub text: Cow<'a, str>,
    pub at: Option<f64>,
    pub pid: Option<u32>,
    pub name: Option<String>,
    pub container: Option<String>,
    /// The next line holds the rest of this one.
    pub partial: bool,
    /// This line may hold the rest of the one before.
    pub continues: bool,
}

/// Returns the host that most of the last lines name in syslog's form.
pub fn host(text: &str) -> Option<&str> {
    let last = || {
        text.lines()
            .rev()
            .filter(|line| !line.is_empty())
            .take(SHARE)
    };
    let host = last()
        .filter(|line| line.len() < MAX_LINE)
        .find_map(host_in)?;
    let named = format!(" {host} ");
    let share = last().filter(|line| {
        line.get(..line.floor_char_boundary(100))
            .is_some_and(|head| head.contains(&named))
    });
    (share.count() * 2 > last().count()).then_some(host)
}

/// Returns the host that a line names in syslog's form.
fn host_in(line: &str) -> Option<&str> {
    let found = SYSLOG.as_ref()?.captures(line.as_bytes())?;
    line.get(found.get(2)?.range())
}

pub fn unwrap<'a>(raw: &'a str, host: Option<&str>) -> Carried<'a> {
    let raw = raw.trim_end_matches('\r');
    // A progress bar writes over itself. A person sees only the last text.
    let raw = raw.rsplit_once('\r').map_or(raw, |(_, shown)| shown);
    // Mark of lastwords' own collector on a line whose beginning is lost.
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

/// Removes one carrier's part; `None` if no carrier's form matches.
fn unwrap_once<'a>(carried: &Carried<'a>, host: Option<&str>) -> Option<Carried<'a>> {
    if !carried
        .text
        .starts_with(|c: char| c.is_alphanumeric() || ['{', '<', '['].contains(&c))
    {
        // The indented lines of a trace have no carrier.
        return None;
    }
    docker(carried)
        .or_else(|| cri(carried))
        .or_else(|| rfc5424(carried))
        .or_else(|| platform(carried))
        .or_else(|| syslog(carried, host))
        .or_else(|| piped(carried))
}

impl Carried<'_> {
    /// Returns true if the front of the line, where a carrier writes, holds a text.
    fn front_has(&self, text: &str) -> bool {
        let front = self.text.floor_char_boundary(LONGEST);
        self.text.get(..front).is_some_and(|it| it.contains(text))
    }

    /// Returns the line from byte `from` on, with the carrier's time.
    fn inner<'a>(&self, from: usize, time: Option<&str>) -> Carried<'a> {
        let text = self.text.get(from..).unwrap_or_default();
        let at = time.and_then(stamp::read);
        Carried {
            text: Cow::Owned(text.to_owned()),
            at: at.map(|(at, _)| at).or(self.at),
            pid: self.pid,
            name: self.name.clone(),
            container: self.container.clone(),
            partial: self.partial,
            continues: self.continues,
        }
    }
}

/// A line of Docker's json-file.
#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
}

fn docker<'a>(carried: &Carried) -> Option<Carried<'a>> {
    if !carried.text.starts_with("{\"log\":") {
        return None;
    }
    let line: DockerLine = serde_json::from_str(&carried.text).ok()?;
    line.stream?;
    let whole = line.log.strip_suffix('\n');
    let text = without_colours(whole.unwrap_or(&line.log).trim_end_matches('\r'));
    let at = line.time.and_then(|time| stamp::read(&time));
    Some(Carried {
        text: Cow::Owned(text.into_owned()),
        at: at.map(|(at, _)| at).or(carried.at),
        partial: whole.is_none(),
        continues: true,
        ..carried.inner(0, None)
    })
}

static CRI: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^(\d{4}-\d\d-\d\dT[\d:.Z+-]{8,30}) std(?:out|err) ([FP]) ").ok()
});

fn cri<'a>(carried: &Carried) -> Option<Carried<'a>> {
    // Most lines have another form. To see that here spares them the pattern, and a log without
    // such a line its compilation. So do the likes of it below.
    if !carried.text.starts_with(|c: char| c.is_ascii_digit()) || !carried.front_has(" std") {
        return None;
    }
    let found = CRI.as_ref()?.captures(&carried.text)?;
    Some(Carried {
        partial: found.get(2)?.as_str() == "P",
        continues: true,
        ..carried.inner(found.get(0)?.end(), found.get(1).map(|it| it.as_str()))
    })
}

/// RFC 5424: `<34>1 2026-11-22T23:58:59Z db1 web 4242 - - `.
static RFC5424: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^<\d{1,3}>1 ([!-~]+) [!-~]+ [!-~]+ ([!-~]+) [!-~]+ (?:-|\[[ -Z^-~]*\]) ?")
        .ok()
});

fn rfc5424<'a>(carried: &Carried) -> Option<Carried<'a>> {
    if !carried.text.starts_with('<') {
        return None;
    }
    let found = RFC5424.as_ref()?.captures(&carried.text)?;
    let pid = found.get(2).and_then(|pid| pid.as_str().parse().ok());
    Some(Carried {
        pid: pid.or(carried.pid),
        ..carried.inner(found.get(0)?.end(), found.get(1).map(|it| it.as_str()))
    })
}

/// Heroku's `2026-11-22T23:58:59.123456+00:00 app[web.1]: ` and kubectl's `[pod/web-5d9/web] `.
static PLATFORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^(?:(\d{4}-\d\d-\d\dT[\d:.]+\+00:00) (?:app|heroku)\[[\w.-]+\]: |\[pod/[\w.-]+/[\w.-]+\] )").ok()
});

fn platform<'a>(carried: &Carried) -> Option<Carried<'a>> {
    if !carried.text.starts_with("[pod/") && !carried.front_has("+00:00 ") {
        return None;
    }
    let found = PLATFORM.as_ref()?.captures(&carried.text)?;
    Some(carried.inner(found.get(0)?.end(), found.get(1).map(|it| it.as_str())))
}

/// The form of journald and syslog. journalctl writes the month in the locale's language.
static SYSLOG: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"(?-u)^(?:<\d{1,3}>)?((?:[A-Za-z\x80-\xff]{3,12}\.? [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)) ([\w.:-]+) (\([\w.-]+\)|[\w./@+-]+)(?:\[(\d+)\])?:(?: |$)",
    )
    .ok()
});

fn syslog<'a>(carried: &Carried, host: Option<&str>) -> Option<Carried<'a>> {
    if !carried.front_has(":") {
        return None;
    }
    let found = SYSLOG.as_ref()?.captures(carried.text.as_bytes())?;
    let group = |number| carried.text.get(found.get(number)?.range());
    // `2026-11-22T23:58:59Z ERROR http: ` is a logger's.
    let is_level = |number: usize| group(number).is_some_and(entry::is_level);
    // Without a process's number the words may be any program's, unless they begin with the host's
    // name.
    let pid = group(4);
    if [2, 3].into_iter().any(is_level) || pid.is_none() && group(2) != host {
        return None;
    }
    let inner = carried.inner(found.get(0)?.end(), group(1));
    Some(Carried {
        text: unescape(inner.text),
        pid: pid.and_then(|pid| pid.parse().ok()).or(carried.pid),
        name: group(3).map(str::to_owned).or_else(|| carried.name.clone()),
        ..inner
    })
}

/// The end of a line inside of a message, as rsyslog writes it.
pub const NEW_LINE: &str = "#012";

/// Returns a text with the tabs and without the colours that rsyslog has escaped.
fn unescape(text: Cow<str>) -> Cow<str> {
    if !text.contains("#0") {
        return text;
    }
    let whole = text.replace("#011", "\t").replace("#033", "\x1b");
    Cow::Owned(without_colours(&whole).into_owned())
}

/// `0|web | `, `web-1  | `, `web_1  | `, `12:00:01 web.1 | `, `jvm 1 | `, `PM2 | `, `INFO | jvm 1 |
/// 2026/11/22 23:51:02 | `.
static PIPED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)^(?:(?:STATUS|INFO|ERROR|DEBUG|WARN|FATAL) *\| )?(?:\d\d:\d\d:\d\d )?(?:\d{1,4}\|(?P<app>[\w.@-]+)|PM2|jvm \d{1,3}|wrapper|(?P<container>[\w-]+)[-_]\d{1,3}|[\w-]+\.\d{1,3}) *\|(?: (?P<at>\d{4}[/-]\d\d[/-]\d\d \d\d:\d\d:\d\d(?:\.\d+)?) \|)? ?",
    )
    .ok()
});

fn piped<'a>(carried: &Carried) -> Option<Carried<'a>> {
    if !carried.front_has("|") {
        return None;
    }
    let found = PIPED.as_ref()?.captures(&carried.text)?;
    let container = found
        .name("container")
        .or_else(|| found.name("app"))
        .map(|name| name.as_str().to_owned());
    Some(Carried {
        container,
        ..carried.inner(found.get(0)?.end(), found.name("at").map(|it| it.as_str()))
    })
}

/// Returns the text without terminal escapes and other control characters, but with its tabs.
pub fn without_colours(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    if text.bytes().all(is_plain) || !text.chars().any(|c| c.is_control() && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if let Some(after) = after_sequence(c, rest.as_str()) {
            rest = after.chars();
        } else if c == '\t' || !c.is_control() {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}
