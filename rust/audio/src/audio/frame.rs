//! PCM frames of one room tick: 20 ms of mono `i16`.

/// Length of a frame and of a room tick, ms.
pub const FRAME_MS: u32 = 20;
/// Length of a frame in µs.
pub const FRAME_US: u64 = 20_000;
/// Samples of the longest frame.
pub const MAX_SAMPLES: usize = 320;

/// Sample rate of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rate {
    /// 8 kHz: G.711.
    Narrow,
    /// 16 kHz: G.722, Opus.
    Wide,
}

impl Rate {
    /// Samples per second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
        }
    }

    /// Samples of a 20 ms frame.
    pub const fn frame_len(self) -> usize {
        self.samples(FRAME_MS)
    }

    /// Samples in so many milliseconds.
    pub const fn samples(self, ms: u32) -> usize {
        (self.hz() / 1000 * ms) as usize
    }
}

/// 20 ms of sound: 160 samples at 8 kHz or 320 at 16 kHz, in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    rate: Rate,
    pcm: [i16; MAX_SAMPLES],
}

impl Frame {
    /// A frame of silence.
    pub const fn silent(rate: Rate) -> Self {
        Self { rate, pcm: [0; MAX_SAMPLES] }
    }

    /// Sample rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The samples, `rate().frame_len()` of them.
    pub fn samples(&self) -> &[i16] {
        &self.pcm[..self.rate.frame_len()]
    }

    /// The samples, to be written.
    pub fn samples_mut(&mut self) -> &mut [i16] {
        &mut self.pcm[..self.rate.frame_len()]
    }

    /// Takes over rate and samples of another frame.
    pub fn copy_from(&mut self, other: &Self) {
        self.rate = other.rate;
        self.samples_mut().copy_from_slice(other.samples());
    }

    /// Sets the rate; the samples are of no meaning until they are written.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// Fills the frame with silence.
    pub fn silence(&mut self) {
        self.samples_mut().fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_20_ms_at_its_rate() {
        assert_eq!(Frame::silent(Rate::Narrow).samples().len(), 160);
        assert_eq!(Frame::silent(Rate::Wide).samples().len(), 320);
        assert_eq!(Rate::Wide.samples(5), 80);
    }
}
