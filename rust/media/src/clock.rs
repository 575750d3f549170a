//! Time as the engine uses it: microseconds since it began, and NTP for RTCP.

use std::time::{Duration, Instant};

/// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// Turns instants into the numbers that audio and RTCP want.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Instant,
    unix_at_base: Duration,
}

impl Clock {
    /// A clock that begins at `base`, when the wall clock showed `unix` since the Unix epoch.
    pub fn new(base: Instant, unix: Duration) -> Self {
        // A head start keeps "so long ago" representable for the first packets.
        let head_start = Duration::from_secs(60);
        Self { base: base.checked_sub(head_start).unwrap_or(base), unix_at_base: unix.saturating_sub(head_start) }
    }

    /// Microseconds since the clock began.
    pub fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.base).as_micros() as u64
    }

    /// The instant of a number of microseconds.
    pub fn instant(&self, micros: u64) -> Instant {
        self.base + Duration::from_micros(micros)
    }

    /// NTP time of a number of microseconds, 32.32 fixed point (RFC 3550 §4).
    pub fn ntp(&self, micros: u64) -> u64 {
        let unix = self.unix_at_base + Duration::from_micros(micros);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        ((unix.as_secs() + NTP_UNIX_OFFSET) << 32) | fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_counts_from_1900_and_goes_on_with_the_clock() {
        let start = Instant::now();
        let clock = Clock::new(start, Duration::from_secs(1_000_000_000));
        let micros = clock.micros(start + Duration::from_millis(500));
        let ntp = clock.ntp(micros);
        assert_eq!(ntp >> 32, 1_000_000_000 + NTP_UNIX_OFFSET);
        assert!(((ntp & 0xffff_ffff) as i64 - (1 << 31)).abs() < 10_000);
        assert_eq!(clock.micros(clock.instant(micros)), micros);
    }
}
