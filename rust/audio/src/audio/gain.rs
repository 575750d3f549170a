//! Gain in decibels, as a Q12 factor.

/// A volume factor between −40 dB and +20 dB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gain {
    db: i8,
    factor: i32,
}

impl Gain {
    /// 0 dB.
    pub const UNITY: Self = Self { db: 0, factor: 1 << Self::BITS };
    /// Softest and loudest, dB.
    pub const RANGE_DB: std::ops::RangeInclusive<i8> = -40..=20;
    const BITS: u32 = 12;

    /// A gain in dB, taken into [`Self::RANGE_DB`].
    pub fn from_db(db: i8) -> Self {
        let db = db.clamp(*Self::RANGE_DB.start(), *Self::RANGE_DB.end());
        let factor = 10f32.powf(f32::from(db) / 20.0) * (1 << Self::BITS) as f32;
        Self { db, factor: factor.round() as i32 }
    }

    /// The gain in dB.
    pub fn db(self) -> i8 {
        self.db
    }

    /// One step louder or quieter, dB.
    pub fn step(self, db: i8) -> Self {
        Self::from_db(self.db.saturating_add(db))
    }

    /// Applies the gain to a sum of samples; sums up to ±2²⁴ stay inside 32 bits of result.
    #[inline]
    pub fn scale(self, sample: i32) -> i32 {
        ((i64::from(sample) * i64::from(self.factor)) >> Self::BITS) as i32
    }

    /// Applies the gain in place; samples that would overflow are saturated.
    pub fn apply(self, pcm: &mut [i16]) {
        if self == Self::UNITY {
            return;
        }
        for sample in pcm {
            *sample = self.scale(i32::from(*sample)).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
    }
}

impl Default for Gain {
    fn default() -> Self {
        Self::UNITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_decibels_double_and_minus_six_halve() {
        let mut pcm = [1000, -1000, 20_000, -20_000];
        Gain::from_db(6).apply(&mut pcm);
        assert_eq!(pcm, [1995, -1996, i16::MAX, i16::MIN]);
        let mut pcm = [1000, -1000];
        Gain::from_db(-6).apply(&mut pcm);
        assert_eq!(pcm, [501, -502]);
    }

    #[test]
    fn unity_changes_nothing_and_steps_stay_in_range() {
        let mut pcm = [i16::MIN, i16::MAX, 1];
        Gain::UNITY.apply(&mut pcm);
        assert_eq!(pcm, [i16::MIN, i16::MAX, 1]);
        assert_eq!(Gain::from_db(18).step(4).db(), 20);
        assert_eq!(Gain::from_db(-38).step(-4).db(), -40);
    }
}
