//! Comfort noise: low-passed pseudo-random noise at a given level.

use super::level;

/// Generates noise without a seam between frames.
#[derive(Debug, Clone)]
pub struct NoiseSource {
    state: u32,
    previous: f32,
    amplitude: f32,
}

impl Default for NoiseSource {
    fn default() -> Self {
        Self { state: 0x9e37_79b9, previous: 0.0, amplitude: 0.0 }
    }
}

impl NoiseSource {
    /// Comfort noise is never louder than this, −dBov: what passes for background must not drown a voice.
    pub const LOUDEST: u8 = 40;
    /// Quieter than this is put out as digital silence, −dBov.
    pub const QUIETEST: u8 = 78;

    /// Fills `out` with noise of a level in −dBov, gliding from the level before.
    pub fn fill(&mut self, dbov: u8, out: &mut [i16]) {
        let target = if dbov > Self::QUIETEST { 0.0 } else { level::amplitude(dbov.max(Self::LOUDEST)) };
        if target == 0.0 && self.amplitude < 1.0 {
            self.amplitude = 0.0;
            out.fill(0);
            return;
        }
        let step = (target - self.amplitude) / out.len().max(1) as f32;
        for sample in out {
            self.amplitude += step;
            *sample = (self.next_unit() * self.amplitude) as i16;
        }
        self.amplitude = target;
    }

    /// Begins the next noise from silence.
    pub fn reset(&mut self) {
        self.amplitude = 0.0;
    }

    /// Low-passed noise whose root mean square is 1: white noise of variance 1/3 through y = (x + x')·√1.5.
    fn next_unit(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let white = self.state.cast_signed() as f32 / 2_147_483_648.0;
        let smooth = (white + self.previous) * 1.224_745;
        self.previous = white;
        smooth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_level_asked_for() {
        let mut source = NoiseSource::default();
        let mut out = [0; 1600];
        source.fill(50, &mut out);
        source.fill(50, &mut out);
        assert!((49..=51).contains(&level::level(&out)));
    }

    #[test]
    fn noise_is_never_loud_and_inaudible_noise_is_silence() {
        let mut source = NoiseSource::default();
        let mut out = [0; 1600];
        source.fill(0, &mut out);
        source.fill(0, &mut out);
        assert!(level::level(&out) >= 39);
        source.fill(127, &mut out);
        source.fill(127, &mut out);
        assert_eq!(out, [0; 1600]);
    }
}
