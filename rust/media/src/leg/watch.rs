//! Tells when nothing at all comes from a phone any more. Whether that ends the call is for others to decide.

/// Silence of RTP and RTCP after which it is told, µs.
pub const SILENT_AFTER_US: u64 = 20_000_000;
/// It is told again so often while it lasts, µs.
pub const AGAIN_AFTER_US: u64 = 10_000_000;

/// When something last came.
#[derive(Debug, Default)]
pub struct Watch {
    last_heard: Option<u64>,
    last_told: u64,
}

impl Watch {
    /// Media was (re)negotiated: silence counts from now.
    pub fn begin(&mut self, now: u64) {
        self.last_heard = Some(now);
    }

    /// RTP or RTCP came.
    pub fn heard(&mut self, now: u64) {
        self.last_heard = Some(now);
    }

    /// How long it has been silent, ms, if that is to be told now.
    pub fn poll(&mut self, now: u64) -> Option<u64> {
        let silence = now.saturating_sub(self.last_heard?);
        if silence < SILENT_AFTER_US {
            self.last_told = 0;
            return None;
        }
        if self.last_told != 0 && now.saturating_sub(self.last_told) < AGAIN_AFTER_US {
            return None;
        }
        self.last_told = now;
        Some(silence / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn silence_is_told_after_twenty_seconds_and_each_ten_while_it_lasts() {
        let mut watch = Watch::default();
        watch.begin(SECOND);
        let told: Vec<u64> = (1..=60).filter_map(|second| watch.poll(second * SECOND)).collect();
        assert_eq!(told, [20_000, 30_000, 40_000, 50_000]);
        watch.heard(61 * SECOND);
        assert_eq!((61..81).find_map(|second| watch.poll(second * SECOND)), None);
        assert_eq!(watch.poll(81 * SECOND), Some(20_000));
    }

    #[test]
    fn a_leg_without_media_is_not_silent() {
        assert_eq!(Watch::default().poll(1000 * SECOND), None);
    }
}
