//! Pressure stall information: how much of the time tasks had to wait for memory, CPU or I/O.
//!
//! See [Documentation/accounting/psi.rst](https://docs.kernel.org/accounting/psi.html). Linux 4.20
//! and later, unless it is turned off.

use std::fmt;

use crate::host::Host;
use crate::report::{Pressure, PressureShare};

/// Reads `/proc/pressure/RESOURCE`, for `cpu`, `io` or `memory`; `None` if the kernel does not
/// measure it.
pub fn read(resource: &str, host: &Host) -> Option<Pressure> {
    parse_pressure(&host.read(format!("/proc/pressure/{resource}")).ok()?)
}

fn parse_pressure(text: &str) -> Option<Pressure> {
    let share = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let average = |key: &str| {
            line.split(' ')
                .find_map(|word| word.strip_prefix(key))?
                .parse::<f64>()
                .ok()
        };
        Some(PressureShare {
            avg10: average("avg10=")?,
            avg60: average("avg60=")?,
            avg300: average("avg300=")?,
        })
    };
    Some(Pressure {
        some: share("some ")?,
        full: share("full "),
    })
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let PressureShare {
            avg10,
            avg60,
            avg300,
        } = self.some;
        if avg10 + avg60 + avg300 <= 0.0 {
            return f.write_str("none of the last 5 min");
        }
        write!(
            f,
            "{avg10:.1} % of the last 10 s, {avg60:.1} % of 1 min, {avg300:.1} % of 5 min"
        )?;
        match self.full {
            Some(PressureShare {
                avg10,
                avg60,
                avg300,
            }) if avg10 + avg60 + avg300 > 0.0 => {
                write!(
                    f,
                    " (all tasks at once: {avg10:.1} %, {avg60:.1} %, {avg300:.1} %)"
                )
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_pressure;

    #[test]
    fn pressure_is_told_in_one_line() {
        let text = "some avg10=12.34 avg60=4.50 avg300=1.00 total=30208812\n\
                    full avg10=3.10 avg60=1.00 avg300=0.20 total=5986695\n";
        assert_eq!(
            parse_pressure(text).unwrap().to_string(),
            "12.3 % of the last 10 s, 4.5 % of 1 min, 1.0 % of 5 min (all tasks at once: 3.1 %, 1.0 %, 0.2 %)"
        );
    }

    #[test]
    fn where_all_tasks_are_unknown_or_never_waited_nothing_is_said_of_them() {
        let some = "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n";
        let line = "1.0 % of the last 10 s, 0.0 % of 1 min, 0.0 % of 5 min";
        assert_eq!(parse_pressure(some).unwrap().to_string(), line);
        let full = format!("{some}full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        assert_eq!(parse_pressure(&full).unwrap().to_string(), line);
        let none = some.replace("1.00", "0.00");
        assert_eq!(
            parse_pressure(&none).unwrap().to_string(),
            "none of the last 5 min"
        );
    }

    #[test]
    fn what_is_no_pressure_is_none() {
        for text in [
            "",
            "\0",
            "some",
            "some avg10=x avg60=0 avg300=0",
            "full avg10=1 avg60=1 avg300=1",
        ] {
            assert_eq!(parse_pressure(text), None, "{text:?}");
        }
    }
}
