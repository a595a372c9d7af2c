//! Moments and lengths of time as people read them.

use std::time::Duration;

use crate::report::Timestamp;

/// Returns a moment to the second: `2026-11-23 03:00:00 UTC`.
pub fn moment(time: Timestamp) -> String {
    let time = time.to_string();
    let seconds = time.split('.').next().unwrap_or(&time);
    format!("{} UTC", seconds.replace('T', " "))
}

/// Returns a length of time in the one unit that says enough: `3 h`; `None` if it is less than a
/// second.
pub fn rough_length(time: Duration) -> Option<String> {
    let rounded = |unit: u64| (time.as_secs() + unit / 2) / unit;
    Some(match time.as_secs() {
        0 => return None,
        1..100 => format!("{} s", rounded(1)),
        100..5_400 => format!("{} min", rounded(60)),
        5_400..172_800 => format!("{} h", rounded(3600)),
        _ => format!("{} days", rounded(86_400)),
    })
}

/// Returns a length of time in its two greatest units: `3 h 12 min`.
pub fn length(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = time.as_secs();
    if rest == 0 {
        return format!("{} ms", time.subsec_millis());
    }
    let mut parts = Vec::new();
    for (length, unit) in UNITS
        .into_iter()
        .skip_while(|(length, _)| time.as_secs() < *length)
        .take(2)
    {
        if rest >= length {
            parts.push(format!("{} {unit}", rest / length));
        }
        rest %= length;
    }
    parts.join(" ")
}

/// Does the same with a number of seconds; `None` if that is no length of time.
pub fn length_of_seconds(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(length)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{length, rough_length};

    #[test]
    fn a_length_of_time_is_said_in_its_two_greatest_units() {
        for (seconds, said) in [
            (0.0, "0 ms"),
            (0.4129, "412 ms"),
            (3.9, "3 s"),
            (3600.0, "1 h"),
            (11_525.2, "3 h 12 min"),
            (90_061.0, "1 d 1 h"),
        ] {
            assert_eq!(length(Duration::from_secs_f64(seconds)), said);
        }
    }

    #[test]
    fn a_rough_length_of_time_is_said_in_one_unit() {
        for (seconds, said) in [
            (1, "1 s"),
            (99, "99 s"),
            (299, "5 min"),
            (3_590, "60 min"),
            (7_200, "2 h"),
            (200_000, "2 days"),
        ] {
            let length = rough_length(Duration::from_secs(seconds));
            assert_eq!(length.as_deref(), Some(said));
        }
        assert_eq!(rough_length(Duration::ZERO), None);
    }
}
