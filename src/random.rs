//! Random numbers from the kernel, without ever waiting for them.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::clock::Now;
use crate::report::ReportId;

/// Returns a name for a new report that is made at `now`.
pub fn report_id(now: Now) -> ReportId {
    ReportId::new(now.wall, bits())
}

/// Returns a random number from 0 to 1.
pub fn fraction() -> f64 {
    f64::from(u32::try_from(bits() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

/// Returns 64 random bits. Early at boot the kernel has none yet; then they come from the clock
/// and the process id, which is enough to tell two reports of one machine apart.
fn bits() -> u64 {
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => {
            u64::from(std::process::id()) << 40
                ^ u64::try_from(Now::read().monotonic.as_nanos()).unwrap_or_default()
        }
    }
}
