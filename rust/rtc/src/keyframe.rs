//! Coalesces keyframe requests towards one publisher: every subscriber that joins, switches or loses a packet asks, and
//! each keyframe costs the publisher ten ordinary frames.

use std::time::{Duration, Instant};

/// Least time between two requests to the same publisher.
pub const MIN_INTERVAL: Duration = Duration::from_millis(400);
/// A request nothing came of is repeated after this.
pub const RETRY: Duration = Duration::from_secs(1);

/// The request state of one video track.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyframeGate {
    sent: Option<Instant>,
    pending: bool,
}

impl KeyframeGate {
    /// Somebody wants a keyframe. True if the publisher is to be asked now; otherwise [`KeyframeGate::tick`] tells when.
    pub fn request(&mut self, now: Instant) -> bool {
        if self.sent.is_some_and(|sent| now < sent + MIN_INTERVAL) {
            self.pending = true;
            return false;
        }
        self.sent = Some(now);
        self.pending = false;
        true
    }

    /// Time has passed; `wanted` if somebody still waits for a keyframe. True if the publisher is to be asked now.
    pub fn tick(&mut self, now: Instant, wanted: bool) -> bool {
        let Some(sent) = self.sent else {
            return wanted && self.request(now);
        };
        let due = self.pending && now >= sent + MIN_INTERVAL || wanted && now >= sent + RETRY;
        due && self.request(now)
    }

    /// A keyframe came: whoever had asked is served.
    pub fn satisfied(&mut self) {
        self.pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn many_requests_at_once_ask_the_publisher_once_and_once_more_after_the_interval() {
        let (mut gate, start) = (KeyframeGate::default(), Instant::now());
        assert!(gate.request(start));
        for ms in 1..100 {
            assert!(!gate.request(start + ms * MS));
        }
        assert!(!gate.tick(start + 399 * MS, false));
        assert!(gate.tick(start + 400 * MS, false));
        assert!(!gate.tick(start + 900 * MS, false));
    }

    #[test]
    fn a_keyframe_serves_the_requests_made_before_it() {
        let (mut gate, start) = (KeyframeGate::default(), Instant::now());
        gate.request(start);
        gate.request(start + 10 * MS);
        gate.satisfied();
        assert!(!gate.tick(start + 500 * MS, false));
    }

    #[test]
    fn a_request_without_effect_is_repeated_while_somebody_waits() {
        let (mut gate, start) = (KeyframeGate::default(), Instant::now());
        gate.request(start);
        assert!(!gate.tick(start + 999 * MS, true));
        assert!(gate.tick(start + RETRY, true));
        assert!(!gate.tick(start + RETRY + RETRY, false));
    }
}
