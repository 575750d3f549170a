//! Tones: entry, exit, ringback, busy, as pure functions of the position.

use super::frame::Rate;
use super::level;

/// One piece of a tone: up to two frequencies, or silence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Frequencies in Hz; 0 for none.
    pub hz: [f32; 2],
    /// Length, ms.
    pub ms: u32,
}

/// A sequence of segments with soft edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    segments: &'static [Segment],
    /// Level of each frequency, −dBov.
    level: u8,
}

const fn segment(first: f32, second: f32, ms: u32) -> Segment {
    Segment { hz: [first, second], ms }
}

impl Tone {
    /// Somebody came in: two notes up.
    pub const ENTRY: Self = Self::new(&[segment(523.25, 0.0, 110), segment(783.99, 0.0, 170)], 24);
    /// Somebody left: two notes down.
    pub const EXIT: Self = Self::new(&[segment(783.99, 0.0, 110), segment(523.25, 0.0, 170)], 24);
    /// Ringback of North America (440 + 480 Hz, 2 s on, 4 s off); to be repeated.
    pub const RINGBACK_US: Self = Self::new(&[segment(440.0, 480.0, 2000), segment(0.0, 0.0, 4000)], 22);
    /// Ringback of most of Europe (425 Hz, 1 s on, 4 s off); to be repeated.
    pub const RINGBACK_EU: Self = Self::new(&[segment(425.0, 0.0, 1000), segment(0.0, 0.0, 4000)], 19);
    /// Busy (480 + 620 Hz, 0.5 s on and off); to be repeated.
    pub const BUSY: Self = Self::new(&[segment(480.0, 620.0, 500), segment(0.0, 0.0, 500)], 22);

    /// Edges of every segment, ms.
    const RAMP_MS: f32 = 5.0;

    /// A tone of segments, each frequency at a level in −dBov.
    pub const fn new(segments: &'static [Segment], level: u8) -> Self {
        Self { segments, level }
    }

    /// How long it plays, samples.
    pub fn len(&self, rate: Rate) -> usize {
        self.segments.iter().map(|segment| rate.samples(segment.ms)).sum()
    }

    /// Whether it has no sound at all.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.ms == 0)
    }

    /// Writes the samples from position `from` on into `out`; samples written, fewer than asked at the end.
    pub fn fill(&self, rate: Rate, from: usize, out: &mut [i16]) -> usize {
        // A sine's level is 3 dB below that of a square wave of the same amplitude.
        let amplitude = level::amplitude(self.level) * std::f32::consts::SQRT_2;
        let (mut start, mut written) = (0, 0);
        for segment in self.segments {
            let len = rate.samples(segment.ms);
            while written < out.len() && (start..start + len).contains(&(from + written)) {
                let at = from + written - start;
                out[written] = (value(segment, rate, at) * edge(at, len, rate) * amplitude) as i16;
                written += 1;
            }
            start += len;
        }
        written
    }
}

fn value(segment: &Segment, rate: Rate, at: usize) -> f32 {
    let turn = |hz: f32| (f64::from(hz) * at as f64 / f64::from(rate.hz())).fract() as f32 * std::f32::consts::TAU;
    segment.hz.iter().filter(|&&hz| hz > 0.0).map(|&hz| turn(hz).sin()).sum()
}

fn edge(at: usize, len: usize, rate: Rate) -> f32 {
    let ramp = Tone::RAMP_MS * rate.hz() as f32 / 1000.0;
    let nearest = at.min(len - 1 - at) as f32;
    (nearest / ramp).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(tone: Tone, rate: Rate) -> Vec<i16> {
        let mut out = vec![0; tone.len(rate)];
        assert_eq!(tone.fill(rate, 0, &mut out), out.len());
        out
    }

    #[test]
    fn a_tone_sounds_at_its_level_and_is_the_same_in_pieces() {
        for rate in [Rate::Narrow, Rate::Wide] {
            let tone = whole(Tone::ENTRY, rate);
            assert_eq!(tone.len(), rate.samples(280));
            assert!((23..=26).contains(&level::level(&tone)));
            let mut piece = [0; 100];
            Tone::ENTRY.fill(rate, 850, &mut piece);
            assert_eq!(piece, tone[850..950]);
        }
    }

    #[test]
    fn it_begins_and_ends_softly_and_then_is_over() {
        let tone = whole(Tone::EXIT, Rate::Narrow);
        assert!(tone[..3].iter().chain(&tone[tone.len() - 3..]).all(|s| s.abs() < 200));
        assert_eq!(Tone::EXIT.fill(Rate::Narrow, tone.len(), &mut [0; 10]), 0);
        assert_eq!(Tone::EXIT.fill(Rate::Narrow, tone.len() - 4, &mut [0; 10]), 4);
    }

    #[test]
    fn ringback_pauses() {
        let tone = whole(Tone::RINGBACK_US, Rate::Narrow);
        assert_eq!(level::level(&tone[20_000..40_000]), level::SILENCE);
        assert!(level::level(&tone[..16_000]) < 22);
    }
}
