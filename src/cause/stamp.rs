//! Timestamps at the beginning of a line, in the forms that logs have.

use std::sync::LazyLock;

use regex::Regex;

static FORMS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x-u)^[\[(]?(?:
            (?P<y>\d{4})[-/.](?P<mo>\d\d)[-/.](?P<d>\d\d)[T\x20_]\x20?(?P<h>\d{1,2}):(?P<mi>\d\d):(?P<s>\d\d)(?P<f>[.,]\d{1,9})?(?:\x20?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?
          | (?:[A-Z][a-z]{2}\x20)?(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\x20+(?P<d2>\d{1,2})\x20(?P<h2>\d\d):(?P<mi2>\d\d):(?P<s2>\d\d)(?P<f2>\.\d{1,9})?(?:\x20(?P<y2>\d{4}))?
          | (?P<d3>\d\d)[/-](?P<mon3>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[/-](?P<y3>\d{4})[:\x20](?P<h3>\d\d):(?P<mi3>\d\d):(?P<s3>\d\d)(?P<f3>[.,]\d{1,9})?(?:(?P<area>\x20[A-Z][A-Za-z/_]{2,})|\x20[+-]\d{4})?
          | (?P<d5>\d\d)\x20(?P<mon5>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\x20(?P<y5>\d{4})\x20(?P<h5>\d\d):(?P<mi5>\d\d):(?P<s5>\d\d)(?P<f5>\.\d{1,9})?
          | (?P<epoch>1\d{9}(?:\.\d{1,9})?):\x20
          | (?:(?P<sec>1\d{9})|(?P<hex>[0-9a-f]{8}))\.[0-9a-f]{8}\x200x[0-9a-f]{8,16}
          | @(?P<tai>[0-9a-f]{16})[0-9a-f]{8}
          | (?P<h4>\d\d):(?P<mi4>\d\d):(?P<s4>\d\d)(?P<f4>[.,]\d{1,9})?
        )[\])]?",
    )
    .ok()
});

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Levels of Java's own logger; see `java.util.logging.Level`.
const LEVELS: [&str; 7] = [
    "SEVERE", "WARNING", "INFO", "CONFIG", "FINE", "FINER", "FINEST",
];

/// Returns the timestamp that a text begins with, in seconds since an arbitrary moment, and its
/// length in bytes.
pub fn read(text: &str) -> Option<(f64, usize)> {
    // Most lines begin with no timestamp.
    text.trim_start_matches(['[', '('])
        .chars()
        .next()
        .filter(|c| c.is_ascii_digit() || c.is_ascii_uppercase() || *c == '@')?;
    let found = FORMS.as_ref()?.captures(text)?;
    let number = |name: &str| {
        found
            .name(name)
            .and_then(|part| part.as_str().parse::<u32>().ok())
    };
    let any = |names: [&str; 5]| names.iter().find_map(|name| number(name));
    let length = found.get(0)?.end();
    // Tomcat's level stands where PHP has the zone.
    let level = found
        .name("area")
        .filter(|area| LEVELS.contains(&area.as_str().trim()));
    let length = level.map_or(length, |level| level.start());
    let length = length + text.get(length..).and_then(zone).unwrap_or_default();
    if let Some(epoch) = found.name("epoch") {
        return epoch.as_str().parse().ok().map(|at| (at, length));
    }
    // slapd's time, and the thread behind it.
    if let Some(seconds) = number("sec") {
        return Some((f64::from(seconds), length));
    }
    if let Some(hex) = found.name("hex") {
        let seconds = u32::from_str_radix(hex.as_str(), 16).ok()?;
        return Some((f64::from(seconds), length));
    }
    if let Some(tai) = found.name("tai") {
        let seconds = u64::from_str_radix(tai.as_str(), 16).ok()? & 0xffff_ffff;
        #[allow(clippy::cast_precision_loss, reason = "32 bits are exact")]
        return Some((seconds as f64, length));
    }
    let month = ["mon", "mon3", "mon5"].iter().find_map(|name| {
        let name = found.name(name)?.as_str();
        MONTHS
            .iter()
            .position(|month| *month == name)
            .and_then(|month| u32::try_from(month + 1).ok())
    });
    let month = number("mo").or(month).unwrap_or(1);
    let days = days(
        any(["y", "y2", "y3", "y5", "y5"]).unwrap_or(1970),
        month,
        any(["d", "d2", "d3", "d5", "d5"]).unwrap_or(1),
    );
    let [hours, minutes, seconds] = [
        ["h", "h2", "h3", "h4", "h5"],
        ["mi", "mi2", "mi3", "mi4", "mi5"],
        ["s", "s2", "s3", "s4", "s5"],
    ]
    .map(|names| f64::from(any(names).unwrap_or_default()));
    let fraction = ["f", "f2", "f3", "f4", "f5"]
        .iter()
        .find_map(|name| found.name(name))
        .map(|part| part.as_str().replace(',', "."));
    let fraction = fraction
        .and_then(|part| format!("0{part}").parse::<f64>().ok())
        .unwrap_or_default();
    Some((
        (f64::from(days) - f64::from(EPOCH)) * 86_400.0
            + hours * 3_600.0
            + minutes * 60.0
            + seconds
            + fraction,
        length,
    ))
}

/// Returns the length of a time zone's name, as `PostgreSQL` writes it before the process: ` CEST
/// [12]`.
fn zone(text: &str) -> Option<usize> {
    let (name, _) = text.strip_prefix(' ')?.split_once(" [")?;
    let is_name = (3..6).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase());
    let is_zone = name.ends_with('T') && name != "ALERT" && name != "CRIT" || name == "MSK";
    (is_name && is_zone).then_some(name.len() + 1)
}

/// 1970-01-01, so that the seconds of loggers are on the same clock.
const EPOCH: u32 = 719_469;

/// Returns the days since the year 0 began. Good enough for differences: without a year only a leap
/// day may be missed.
fn days(year: u32, month: u32, day: u32) -> u32 {
    // Counted from March, so that the leap day comes last; see Howard Hinnant, "chrono-Compatible
    // Low-Level Date Algorithms".
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.saturating_sub(1), month + 9)
    };
    year.saturating_mul(365) + year / 4 - year / 100
        + year / 400
        + (153 * (month % 12) + 2) / 5
        + day
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_forms_of_common_logs_are_read_and_measured() {
        for text in [
            "2026-11-22 23:58:59,250",
            "[2026-11-22 23:58:59.250]",
            "2026-11-22 23:58:59.250 CEST",
            "2026-11-22T23:58:59.250Z",
            "2026/11/22 23:58:59.25",
            "2026-11-22_23:58:59.25000",
            "22/Nov/2026:23:58:59.25",
            "[Sun Nov 22 23:58:59.25 2026]",
            "22 Nov 2026 23:58:59.25",
        ] {
            let (at, length) =
                read(&format!("{text} [7] rest")).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(length, text.len(), "{text}");
            let (midnight, _) = read("2026-11-23 00:00:00").unwrap();
            assert!((midnight - at - 60.75).abs() < 1e-3, "{text}: {at}");
        }
        assert_eq!(
            read("22-Nov-2026 23:58:59.25 SEVERE [main] x").unwrap().1,
            23
        );
        let slapd = "6b03573f.0a1b2c3d 0x7f2d8c1e5740";
        assert_eq!(read(&format!("{slapd} x")).unwrap().1, slapd.len());
        assert!(read("hello").is_none() && read("42 things").is_none() && read("").is_none());
    }

    #[test]
    fn dates_and_seconds_since_1970_are_of_one_clock() {
        let at = |text: &str| read(text).unwrap().0;
        assert!(
            (at("2026-11-22 23:58:59") - at("1795391939: Error")).abs() < 1e-6,
            "{}",
            at("2026-11-22 23:58:59")
        );
        assert!(
            (at("@4000000037c219bf2ef02e94 x") - 935_467_455.0).abs() < 15.0,
            "{}",
            at("@4000000037c219bf2ef02e94 x")
        );
    }

    #[test]
    fn a_month_that_ends_does_not_jump() {
        let at = |text: &str| read(text).unwrap().0;
        assert!((at("2026-03-01 00:00:00") - at("2026-02-28 23:59:59") - 1.0).abs() < 1e-6);
        assert!((at("2027-01-01 00:00:00") - at("2026-12-31 23:59:59") - 1.0).abs() < 1e-6);
        assert!((at("Dec  1 00:00:00") - at("Nov 30 23:59:59") - 1.0).abs() < 1e-6);
    }
}
