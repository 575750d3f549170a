//! From a sender's sequence numbers and timestamps to one timeline that only goes forward.
//!
//! Sequence numbers are extended to 64 bits and go on in a fresh cycle when the sender restarts, so that a number is
//! never used twice. A jump of the timestamp (re-INVITE, hold, transfer) becomes the gap that really passed.

/// The header fields that say where a packet belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub timestamp: u32,
    pub ticks: u32,
    /// Takes a sequence number but no time.
    pub event: bool,
    pub arrival_us: i64,
}

/// Where a sequence number lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    At(u64),
    /// Far from the stream: dropped, unless the next one confirms it.
    Stray,
    /// The second of two strays in a row: the sender has restarted.
    Restarted,
}

/// The latest packet in sequence.
#[derive(Debug, Clone, Copy)]
struct Reference {
    sequence: u64,
    timestamp: u32,
    media: i64,
    ticks: u32,
    arrival_us: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Timeline {
    clock: i64,
    reference: Option<Reference>,
    /// Media time and arrival of the latest packet, also across restarts.
    anchor: Option<(i64, i64)>,
    stray: Option<u16>,
    /// The cycle the next stream begins in.
    cycle: u64,
}

impl Timeline {
    /// A timestamp that lags or leads the arrival by more is a jump of the sender's clock, µs. Lagging is also what a
    /// network stall looks like; leading has no other cause.
    const LAG_US: i64 = 2_000_000;
    const LEAD_US: i64 = 300_000;
    /// A sequence number so far ahead or behind is a stray or a restart.
    const MAX_AHEAD: i64 = 1000;
    const MAX_BEHIND: i64 = 100;

    pub(super) fn new(clock: u32) -> Self {
        Self { clock: i64::from(clock.max(1)), reference: None, anchor: None, stray: None, cycle: 1 }
    }

    /// Extends a sequence number. The first one of a stream is accepted wherever it is.
    pub(super) fn place(&mut self, sequence: u16) -> Placed {
        let Some(reference) = self.reference else {
            return Placed::At((self.cycle << 16) | u64::from(sequence));
        };
        let step = i64::from(sequence.wrapping_sub(reference.sequence as u16).cast_signed());
        if (-Self::MAX_BEHIND..Self::MAX_AHEAD).contains(&step) {
            self.stray = None;
            return Placed::At(reference.sequence.saturating_add_signed(step));
        }
        if self.stray == Some(sequence) {
            return Placed::Restarted;
        }
        self.stray = Some(sequence.wrapping_add(1));
        Placed::Stray
    }

    /// Forgets the stream; time goes on.
    pub(super) fn restart(&mut self) {
        if let Some(reference) = self.reference.take() {
            self.cycle = (reference.sequence >> 16) + 1;
        }
        self.stray = None;
    }

    /// Media time of a packet in ticks; `None` for one from before a jump, which lies nowhere.
    pub(super) fn media(&mut self, sequence: u64, stamp: Stamp) -> Option<i64> {
        let Some(reference) = self.reference else {
            let begin = self.anchor.map_or(0, |(media, at_us)| media + self.ticks_in(stamp.arrival_us - at_us).max(0));
            self.advance(sequence, begin, stamp);
            return Some(begin);
        };
        if stamp.event {
            if sequence > reference.sequence {
                self.reference = Some(Reference { sequence, ..reference });
            }
            return Some(reference.media);
        }
        let step = i64::from(stamp.timestamp.wrapping_sub(reference.timestamp).cast_signed());
        if sequence < reference.sequence {
            return (step < 0 && step > -self.ticks_in(Self::LAG_US)).then(|| reference.media + step);
        }
        let passed = self.ticks_in(stamp.arrival_us - reference.arrival_us);
        let jumps = step < i64::from(reference.ticks)
            || passed - step > self.ticks_in(Self::LAG_US)
            || step - passed > self.ticks_in(Self::LEAD_US);
        let step = if jumps { passed.max(i64::from(reference.ticks)) } else { step };
        self.advance(sequence, reference.media + step, stamp);
        Some(reference.media + step)
    }

    fn advance(&mut self, sequence: u64, media: i64, stamp: Stamp) {
        let Stamp { timestamp, ticks, arrival_us, .. } = stamp;
        self.reference = Some(Reference { sequence, timestamp, media, ticks, arrival_us });
        self.anchor = Some((media, arrival_us));
    }

    /// Whether a stream has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.reference.is_some()
    }

    /// The highest sequence number, and the media time at which its packet ends.
    pub(super) fn latest(&self) -> Option<(u64, i64)> {
        self.reference.map(|reference| (reference.sequence, reference.media + i64::from(reference.ticks)))
    }

    pub(super) fn ticks_in(&self, us: i64) -> i64 {
        us.saturating_mul(self.clock) / 1_000_000
    }

    pub(super) fn us_of(&self, ticks: i64) -> i64 {
        ticks.saturating_mul(1_000_000) / self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(timestamp: u32, arrival_ms: i64) -> Stamp {
        Stamp { timestamp, ticks: 160, event: false, arrival_us: arrival_ms * 1000 }
    }

    /// Places packets of (sequence, timestamp, arrival ms); their media times.
    fn media(packets: &[(u16, u32, i64)]) -> Vec<Option<i64>> {
        let mut timeline = Timeline::new(8000);
        let mut place = |&(sequence, timestamp, at_ms): &(u16, u32, i64)| match timeline.place(sequence) {
            Placed::At(sequence) => timeline.media(sequence, stamp(timestamp, at_ms)),
            _ => None,
        };
        packets.iter().map(&mut place).collect()
    }

    #[test]
    fn media_time_follows_the_timestamp_over_wraps_losses_and_pauses() {
        let packets = [(65_535, u32::MAX - 159, 0), (0, 0, 20), (2, 320, 60), (1, 160, 61), (3, 80_320, 10_060)];
        assert_eq!(media(&packets), [Some(0), Some(160), Some(480), Some(320), Some(80_480)]);
    }

    #[test]
    fn a_jump_of_the_timestamp_becomes_the_time_that_passed() {
        assert_eq!(media(&[(1, 1000, 0), (2, 9_000_000, 20)]), [Some(0), Some(160)]);
        assert_eq!(media(&[(1, 1000, 0), (2, 0, 500)]), [Some(0), Some(4000)]);
        assert_eq!(media(&[(1, 1000, 0), (2, 1160, 30_000)]), [Some(0), Some(240_000)]);
    }

    #[test]
    fn a_straggler_from_before_a_jump_lies_nowhere() {
        assert_eq!(media(&[(1, 9_000_000, 0), (3, 0, 40), (2, 9_000_160, 45)]), [Some(0), Some(320), None]);
    }

    #[test]
    fn a_restart_uses_no_number_twice_and_lets_time_go_on() {
        let mut timeline = Timeline::new(8000);
        let Placed::At(first) = timeline.place(500) else { panic!("refused") };
        timeline.media(first, stamp(0, 0));
        assert_eq!(timeline.place(30_000), Placed::Stray);
        assert_eq!(timeline.place(30_001), Placed::Restarted);
        timeline.restart();
        let Placed::At(second) = timeline.place(30_001) else { panic!("refused") };
        assert!(second > first);
        assert_eq!(timeline.media(second, stamp(77, 40)), Some(320));
    }
}
