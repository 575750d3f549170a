//! How long to hold packets: a decaying histogram of relative arrival delay.
//!
//! A packet's relative delay is its arrival minus its media time, less the smallest such difference of the last
//! seconds. That smallest difference follows clock drift and route changes by itself. The target is the 96th
//! percentile: jitter seen within about two seconds raises it at once, and it falls again as old packets fade out.

const BINS: usize = 50;
const BIN_US: i64 = 4_000;

/// Follows the network's delay and proposes how long to hold a packet.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct DelayEstimator {
    /// Smallest arrival − media time in this epoch and the one before, µs.
    smallest: Option<[i64; 2]>,
    epoch_us: i64,
    target_us: i64,
    total: f32,
    weight: f32,
    /// Weight per 4 ms of relative delay; newer packets weigh more instead of older ones less. Of most streams only the
    /// first bins are used: they lie beside the fields above.
    histogram: [f32; BINS],
}

impl Default for DelayEstimator {
    fn default() -> Self {
        let mut histogram = [0.0; BINS];
        histogram[Self::PRIOR_BIN] = Self::PRIOR_WEIGHT;
        Self {
            histogram,
            total: Self::PRIOR_WEIGHT,
            weight: 1.0,
            smallest: None,
            epoch_us: 0,
            target_us: (Self::PRIOR_BIN as i64 + 1) * BIN_US + Self::MIN_US - BIN_US,
        }
    }
}

impl DelayEstimator {
    /// Shortest hold beyond the packet itself: scheduling noise of both ends.
    pub const MIN_US: i64 = 5_000;
    /// Longest hold beyond the packet itself; with a 20 ms packet, 200 ms of buffer.
    pub const MAX_US: i64 = 180_000;
    const TAIL: f32 = 0.04;
    const FADE_US: f32 = 2_000_000.0;
    const EPOCH_US: i64 = 2_000_000;
    /// Before anything is known, a little jitter is expected.
    const PRIOR_BIN: usize = 2;
    const PRIOR_WEIGHT: f32 = 1.0;

    /// Takes a packet's arrival and its media time, both in µs of any origin, and its duration.
    pub fn observe(&mut self, arrival_us: i64, media_us: i64, duration_us: u32) {
        let transit = arrival_us - media_us;
        let smallest = self.smallest.get_or_insert([transit; 2]);
        if arrival_us - self.epoch_us > Self::EPOCH_US {
            *smallest = [transit, smallest[0]];
            self.epoch_us = arrival_us;
        }
        smallest[0] = smallest[0].min(transit);
        let relative = transit - smallest[0].min(smallest[1]);
        let bin = usize::try_from(relative / BIN_US).unwrap_or(0).min(BINS - 1);
        self.weight *= 1.0 + duration_us as f32 / Self::FADE_US;
        self.histogram[bin] += self.weight;
        self.total += self.weight;
        if self.weight > 1e6 {
            self.rescale();
        }
        self.retarget();
    }

    fn rescale(&mut self) {
        let factor = 1.0 / self.weight;
        self.histogram.iter_mut().for_each(|weight| *weight *= factor);
        self.total = self.histogram.iter().sum();
        self.weight = 1.0;
    }

    /// From the bottom up: most streams are so regular that the first bin ends it.
    fn retarget(&mut self) {
        let enough = self.total * (1.0 - Self::TAIL);
        let mut up_to = 0.0;
        let reached = self.histogram.iter().position(|weight| {
            up_to += weight;
            up_to >= enough
        });
        let upper = reached.unwrap_or(BINS - 1) as i64 + 1;
        self.target_us = (upper * BIN_US + Self::MIN_US - BIN_US).clamp(Self::MIN_US, Self::MAX_US);
    }

    /// How long to hold a packet beyond the fastest one, µs.
    pub fn target_us(&self) -> i64 {
        self.target_us
    }

    /// Arrival minus media time of the fastest packet lately, µs; `None` before the first packet.
    pub fn fastest_us(&self) -> Option<i64> {
        self.smallest.map(|[now, before]| now.min(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `seconds` of 20 ms packets with delays from `delay`, from packet number `from`.
    fn feed(estimator: &mut DelayEstimator, from: i64, seconds: i64, delay: impl Fn(i64) -> i64) -> i64 {
        for n in from..from + seconds * 50 {
            estimator.observe(n * 20_000 + delay(n), n * 20_000, 20_000);
        }
        from + seconds * 50
    }

    #[test]
    fn a_steady_stream_needs_the_least_delay() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 4, |_| 70_000);
        assert_eq!(estimator.target_us(), DelayEstimator::MIN_US);
        assert_eq!(estimator.fastest_us(), Some(70_000));
    }

    #[test]
    fn jitter_raises_the_target_within_a_second_and_it_falls_within_ten() {
        let mut estimator = DelayEstimator::default();
        let n = feed(&mut estimator, 0, 5, |_| 0);
        let n = feed(&mut estimator, n, 1, |n| n * 37 % 11 * 10_000);
        assert!((85_000..=105_000).contains(&estimator.target_us()), "{}", estimator.target_us());
        feed(&mut estimator, n, 10, |_| 0);
        assert_eq!(estimator.target_us(), DelayEstimator::MIN_US);
    }

    #[test]
    fn the_target_is_bounded() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 3, |n| n % 5 * 300_000);
        assert_eq!(estimator.target_us(), DelayEstimator::MAX_US);
    }

    #[test]
    fn drift_is_not_taken_for_jitter() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 300, |n| n * 10);
        assert_eq!(estimator.target_us(), DelayEstimator::MIN_US);
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 300, |n| -n * 10);
        assert_eq!(estimator.target_us(), DelayEstimator::MIN_US);
    }

    #[test]
    fn a_lasting_longer_route_becomes_the_new_normal() {
        let mut estimator = DelayEstimator::default();
        let n = feed(&mut estimator, 0, 5, |_| 0);
        feed(&mut estimator, n, 15, |_| 100_000);
        assert_eq!(estimator.fastest_us(), Some(100_000));
        assert_eq!(estimator.target_us(), DelayEstimator::MIN_US);
    }
}
