//! Amounts of memory and disk as people read them, and how much of them is used.

use std::fmt;

use crate::report::Space;

/// A number of bytes. Shown in binary units with two digits or more: `512 B`, `1.9 GiB`, `80 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut amount = self.0 as f64 / 1024.0;
        let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        // 1023.5 would be rounded to 1024, which is 1.0 of the next unit.
        while amount >= 1023.5 {
            amount /= 1024.0;
            unit = units.next().unwrap_or(unit);
        }
        let decimals = usize::from(amount < 9.95);
        f.pad(&format!("{amount:.decimals$} {unit}"))
    }
}

/// Returns how many per cent of `whole` a `part` is. It is rounded down, so that only a full disk
/// is 100 % full.
pub fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

impl Space {
    /// Returns how full it is in per cent, as df(1) counts: of what users other than root can use.
    pub fn percent(&self) -> u64 {
        percent(self.used, self.used.saturating_add(self.available))
    }

    /// Returns how many per cent of the inodes are used.
    pub fn inodes_percent(&self) -> u64 {
        percent(self.inodes_used, self.inodes)
    }

    /// Returns the higher of the two.
    pub fn worst(&self) -> u64 {
        self.percent().max(self.inodes_percent())
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, percent};

    #[test]
    fn amounts_read_as_people_write_them() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_239, "10 KiB"),
            (80 << 20, "80 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (2_040_109_466, "1.9 GiB"),
            (512 << 20, "512 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>9}|", Bytes(5)), "      5 B|");
    }

    #[test]
    fn only_what_is_full_is_100_per_cent_full() {
        assert_eq!(
            (percent(0, 0), percent(999, 1000), percent(1000, 1000)),
            (0, 99, 100)
        );
        assert_eq!(
            (
                percent(3, 2),
                percent(u64::MAX, u64::MAX),
                percent(u64::MAX, 1)
            ),
            (150, 100, u64::MAX)
        );
    }
}
