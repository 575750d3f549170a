//! Mixing: one sum per room, everybody's mix is the sum minus their own voice (N−1), limited without clipping.
//!
//! The limiter looks at the block it is about to put out, so it needs no look-ahead delay: the gain falls before the
//! first sample that would overflow, and rises again slowly.

use super::frame::MAX_SAMPLES;
use super::gain::Gain;

/// Sum of the voices of one tick.
#[derive(Debug, Clone)]
pub struct Mix {
    sum: [i32; MAX_SAMPLES],
    len: usize,
    voices: u32,
}

impl Mix {
    /// An empty mix of `len` samples per tick, at most [`MAX_SAMPLES`].
    pub fn new(len: usize) -> Self {
        Self { sum: [0; MAX_SAMPLES], len: len.min(MAX_SAMPLES), voices: 0 }
    }

    /// Begins a new tick.
    pub fn clear(&mut self) {
        if self.voices > 0 {
            self.sum[..self.len].fill(0);
            self.voices = 0;
        }
    }

    /// Adds a voice. Up to 65,535 voices cannot overflow the sum.
    pub fn add(&mut self, pcm: &[i16]) {
        for (sum, &sample) in self.sum[..self.len].iter_mut().zip(pcm) {
            *sum += i32::from(sample);
        }
        self.voices += 1;
    }

    /// Voices added in this tick.
    pub fn voices(&self) -> u32 {
        self.voices
    }

    /// Samples per tick.
    pub fn frame_len(&self) -> usize {
        self.len
    }

    /// Writes what one listener hears: the sum without `own` (voices that were added here too), by `gain`, limited.
    /// `out` must hold [`frame_len`](Self::frame_len) samples; a shorter one is filled as far as it goes.
    pub fn render(&self, own: Option<&Mix>, gain: Gain, limiter: &mut Limiter, out: &mut [i16]) {
        let heard = self.voices.saturating_sub(own.map_or(0, Self::voices));
        if heard == 0 {
            out.fill(0);
            limiter.relax();
            return;
        }
        if heard == 1 && gain == Gain::UNITY && limiter.is_relaxed() {
            return self.copy_without(own, out);
        }
        let mut block = self.sum;
        self.subtract(own, gain, &mut block);
        limiter.limit(&block[..self.len.min(out.len())], out);
    }

    /// Writes what one listener hears while `over` is played to it alone: the sum as by [`render`](Self::render), and
    /// `over` as loud as it is, limited together.
    pub fn render_under(&self, over: &[i16], own: Option<&Mix>, gain: Gain, limiter: &mut Limiter, out: &mut [i16]) {
        let mut block = self.sum;
        self.subtract(own, gain, &mut block);
        for (sample, &over) in block.iter_mut().zip(over) {
            *sample += i32::from(over);
        }
        limiter.limit(&block[..self.len.min(out.len())], out);
    }

    /// Takes `own` off `block`, a copy of the sum, and applies `gain` to what is left.
    fn subtract(&self, own: Option<&Mix>, gain: Gain, block: &mut [i32; MAX_SAMPLES]) {
        let block = &mut block[..self.len];
        if let Some(own) = own {
            for (sample, own) in block.iter_mut().zip(&own.sum) {
                *sample -= own;
            }
        }
        if gain != Gain::UNITY {
            block.iter_mut().for_each(|sample| *sample = gain.scale(*sample));
        }
    }

    /// One voice is left and it was `i16`: nothing to limit.
    fn copy_without(&self, own: Option<&Mix>, out: &mut [i16]) {
        match own {
            None => out.iter_mut().zip(&self.sum[..self.len]).for_each(|(out, &sum)| *out = sum as i16),
            Some(own) => {
                for ((out, sum), own) in out.iter_mut().zip(&self.sum[..self.len]).zip(&own.sum) {
                    *out = (sum - own) as i16;
                }
            }
        }
    }
}

/// Gain control of one output: holds the gain between blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Largest magnitude put out.
    const CEILING: f32 = 32_000.0;
    /// Rise per block: from −6 dB back to 0 dB in about half a second.
    const RELEASE: f32 = 0.02;

    /// Current gain, 0–1.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// Whether the gain is 1: a block that fits goes out unchanged.
    pub fn is_relaxed(&self) -> bool {
        self.gain >= 1.0
    }

    fn relax(&mut self) {
        self.gain = (self.gain + Self::RELEASE).min(1.0);
    }

    /// Writes `block` to `out`, quieter where it would exceed the 16-bit range; at most the shorter length.
    pub fn limit(&mut self, block: &[i32], out: &mut [i16]) {
        let peak = block.iter().fold(0, |peak, &sample| peak.max(sample.unsigned_abs()));
        if self.is_relaxed() && peak <= i16::MAX.unsigned_abs().into() {
            out.iter_mut().zip(block).for_each(|(out, &sample)| *out = sample as i16);
            return;
        }
        let ceiling_gain = (Self::CEILING / peak.max(1) as f32).min(1.0);
        let from = self.gain;
        let (to, ramp) = if ceiling_gain < from {
            // Samples before the first loud one fit by the old gain, the rest fits by the new one.
            let first_loud = block.iter().position(|&s| s.unsigned_abs() as f32 * from > Self::CEILING);
            (ceiling_gain, first_loud.unwrap_or(block.len()))
        } else {
            ((from + Self::RELEASE).min(ceiling_gain), block.len())
        };
        let step = (to - from) / ramp.max(1) as f32;
        for (i, (out, &sample)) in out.iter_mut().zip(block).enumerate() {
            let gain = if i < ramp { from + step * i as f32 } else { to };
            *out = (sample as f32 * gain) as i16;
        }
        self.gain = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn voice() -> impl Strategy<Value = Vec<i16>> {
        prop::collection::vec(any::<i16>(), 160)
    }

    fn only(voice: &[i16]) -> Mix {
        let mut mix = Mix::new(voice.len());
        mix.add(voice);
        mix
    }

    proptest! {
        #[test]
        fn each_speaker_hears_exactly_the_others(a in voice(), b in voice()) {
            let mut mix = Mix::new(160);
            mix.add(&a);
            mix.add(&b);
            let mut out = [0; 160];
            mix.render(Some(&only(&a)), Gain::UNITY, &mut Limiter::default(), &mut out);
            prop_assert_eq!(&out[..], &b[..]);
        }

        #[test]
        fn the_limiter_never_wraps_nor_clips(
            blocks in prop::collection::vec(prop::collection::vec(-400_000i32..400_000, 160), 1..6),
        ) {
            let mut limiter = Limiter::default();
            for block in blocks {
                let mut out = [0; 160];
                limiter.limit(&block, &mut out);
                for (&before, &after) in block.iter().zip(&out) {
                    prop_assert!(i32::from(after).abs() <= 32_767);
                    prop_assert!(after == 0 || before.signum() == i32::from(after.signum()), "{} became {}", before, after);
                    prop_assert!(before.unsigned_abs() < 32_001 || after.unsigned_abs() < 32_768);
                }
                let limited = block.iter().any(|s| s.unsigned_abs() > 32_767);
                prop_assert!(!limited || out.iter().all(|s| s.unsigned_abs() <= 32_001), "clipped flat");
            }
        }

        #[test]
        fn any_number_of_full_scale_voices_fits(count in 1usize..200) {
            let mut mix = Mix::new(160);
            for _ in 0..count {
                mix.add(&[i16::MIN; 160]);
            }
            let mut out = [0; 160];
            mix.render(None, Gain::from_db(20), &mut Limiter::default(), &mut out);
            prop_assert!(out.iter().all(|&s| s < -30_000));
        }
    }

    #[test]
    fn gain_falls_at_once_and_comes_back_within_a_second() {
        let mut limiter = Limiter::default();
        let mut out = [0; 160];
        limiter.limit(&[64_000; 160], &mut out);
        assert!((limiter.gain() - 0.5).abs() < 0.01);
        let mut blocks = 0;
        while !limiter.is_relaxed() {
            limiter.limit(&[1000; 160], &mut out);
            blocks += 1;
        }
        assert!((20..=50).contains(&blocks), "{blocks} blocks");
    }

    #[test]
    fn gain_has_no_step_inside_a_quiet_beginning() {
        let mut block = [1000i32; 160];
        block[100..].fill(64_000);
        let mut out = [0i16; 160];
        Limiter::default().limit(&block, &mut out);
        assert!(out[..100].windows(2).all(|w| w[0].abs_diff(w[1]) < 20));
        assert!(out[100..].iter().all(|&s| (31_900..=32_000).contains(&s)));
    }

    #[test]
    fn two_loud_voices_of_ones_own_are_taken_out_exactly() {
        let (mut mix, mut own) = (Mix::new(160), Mix::new(160));
        for loud in [[30_000; 160], [25_000; 160]] {
            mix.add(&loud);
            own.add(&loud);
        }
        mix.add(&[700; 160]);
        let mut out = [0; 160];
        mix.render(Some(&own), Gain::UNITY, &mut Limiter::default(), &mut out);
        assert_eq!(out, [700; 160]);
    }

    #[test]
    fn a_loud_prompt_over_a_loud_room_is_limited_and_not_cut_off() {
        let tone = |frequency: f64, amplitude: f64| -> Vec<i16> {
            let turn = |i: i32| std::f64::consts::TAU * frequency * f64::from(i) / 8000.0;
            (0..160).map(|i| (amplitude * turn(i).sin()) as i16).collect()
        };
        let mut mix = Mix::new(160);
        (0..3).for_each(|_| mix.add(&tone(500.0, 30_000.0)));
        let (prompt, mut limiter, mut out) = (tone(1000.0, 32_000.0), Limiter::default(), [0; 160]);
        for _ in 0..5 {
            mix.render_under(&prompt, None, Gain::from_db(-14), &mut limiter, &mut out);
            assert!(out.iter().all(|sample| sample.unsigned_abs() <= 32_001));
        }
        // Steady by now: everything by one factor, so nothing is there that was not there before.
        let wanted = tone(500.0, 3.0 * 30_000.0 * 10f64.powf(-14.0 / 20.0));
        for ((&out, &room), &prompt) in out.iter().zip(&wanted).zip(&prompt) {
            let expected = (f64::from(room) + f64::from(prompt)) * f64::from(limiter.gain());
            assert!((f64::from(out) - expected).abs() < 200.0, "{out} instead of {expected}");
        }
    }

    #[test]
    fn an_empty_room_is_silent_and_so_is_a_room_of_oneself() {
        let mut mix = Mix::new(160);
        let mut out = [7; 160];
        mix.render(None, Gain::UNITY, &mut Limiter::default(), &mut out);
        assert_eq!(out, [0; 160]);
        mix.add(&[500; 160]);
        let mut out = [7; 160];
        mix.render(Some(&only(&[500; 160])), Gain::UNITY, &mut Limiter::default(), &mut out);
        assert_eq!(out, [0; 160]);
        mix.clear();
        assert_eq!(mix.voices(), 0);
    }
}
