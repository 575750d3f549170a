//! What is played to a leg or a bridge: clips, silence and tones, 20 ms at a time, at the rate asked for.

use std::f32::consts::{SQRT_2, TAU};
use std::sync::Arc;

use dialroom_audio::audio::clip::Clip;
use dialroom_audio::audio::frame::{Frame, Rate};
use dialroom_audio::audio::level;

/// Items of one playback.
pub const MAX_ITEMS: usize = 256;
/// Longest silence or tone, ms.
pub const MAX_DURATION: u32 = 24 * 60 * 60 * 1000;

/// Soft edge of a tone, ms.
const EDGE_MS: usize = 5;

/// One thing to play.
#[derive(Debug, Clone)]
pub enum Item {
    /// A prompt.
    Clip(Arc<Clip>),
    /// Nothing, for so many ms.
    Silence(u32),
    /// A sine.
    Tone {
        /// Frequency in Hz.
        frequency: f32,
        /// Length in ms.
        duration: u32,
        /// Level in −dBov.
        level: u8,
    },
}

impl Item {
    fn length(&self, rate: Rate) -> u64 {
        let samples = |ms: u32| u64::from(rate.hz() / 1000) * u64::from(ms);
        match self {
            Self::Clip(clip) => clip.samples(rate).len() as u64,
            Self::Silence(ms) => samples(*ms),
            Self::Tone { duration, .. } => samples(*duration),
        }
    }

    /// Writes the samples from `from` on, as many as `out` takes and the item has.
    fn fill(&self, rate: Rate, from: u64, out: &mut [i16]) -> usize {
        let length = self.length(rate).saturating_sub(from).min(out.len() as u64) as usize;
        let out = &mut out[..length];
        match self {
            Self::Clip(clip) => out.copy_from_slice(&clip.samples(rate)[from as usize..from as usize + length]),
            Self::Silence(_) => out.fill(0),
            Self::Tone { frequency, level, .. } => {
                // A sine's level is 3 dB below that of a square wave of the same amplitude.
                let amplitude = level::amplitude(*level) * SQRT_2;
                let end = self.length(rate);
                for (i, sample) in out.iter_mut().enumerate() {
                    let at = from + i as u64;
                    let turn = (at as f64 * f64::from(*frequency) / f64::from(rate.hz())).fract() as f32 * TAU;
                    *sample = (turn.sin() * amplitude * edge(at, end, rate)) as i16;
                }
            }
        }
        length
    }
}

fn edge(at: u64, end: u64, rate: Rate) -> f32 {
    let ramp = rate.hz() as usize / 1000 * EDGE_MS;
    let nearest = at.min(end - 1 - at.min(end - 1)) as f32;
    (nearest / ramp as f32).min(1.0)
}

/// A playback that is going on.
#[derive(Debug)]
pub struct Playback {
    /// Its id.
    pub id: String,
    items: Vec<Item>,
    repeat: bool,
    current: usize,
    /// Position in the current item, in samples of the rate last asked for.
    offset: u64,
    rate: Rate,
}

impl Playback {
    /// A playback at its beginning. One that repeats but has no sound at all ends at once.
    pub fn new(id: String, items: Vec<Item>, repeat: bool, rate: Rate) -> Self {
        let sounds = items.iter().any(|item| item.length(rate) > 0);
        Self { id, items, repeat: repeat && sounds, current: 0, offset: 0, rate }
    }

    /// Writes the next 20 ms; whether this was the end.
    pub fn fill(&mut self, frame: &mut Frame) -> bool {
        let rate = frame.rate();
        if rate != self.rate {
            // The leg's codec changed while it plays.
            self.offset = self.offset * u64::from(rate.hz()) / u64::from(self.rate.hz());
            self.rate = rate;
        }
        let out = frame.samples_mut();
        let mut written = 0;
        while written < out.len() {
            let Some(item) = self.items.get(self.current) else {
                if !self.repeat {
                    break;
                }
                self.current = 0;
                continue;
            };
            let count = item.fill(rate, self.offset, &mut out[written..]);
            written += count;
            self.offset += count as u64;
            if self.offset >= item.length(rate) {
                self.current += 1;
                self.offset = 0;
            }
        }
        out[written..].fill(0);
        self.current >= self.items.len() && !self.repeat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(playback: &mut Playback, rate: Rate) -> Vec<i16> {
        let mut samples = Vec::new();
        loop {
            let mut frame = Frame::silent(rate);
            let ended = playback.fill(&mut frame);
            samples.extend_from_slice(frame.samples());
            if ended {
                return samples;
            }
        }
    }

    fn clip(value: i16, samples: usize) -> Item {
        Item::Clip(Arc::new(Clip::from_samples(8000, &vec![value; samples]).unwrap()))
    }

    #[test]
    fn items_follow_each_other_without_a_gap_and_the_end_is_exact() {
        let items = vec![clip(100, 200), Item::Silence(5), clip(200, 100)];
        let samples = frames(&mut Playback::new("p".into(), items, false, Rate::Narrow), Rate::Narrow);
        assert_eq!(samples.len(), 480, "340 samples end in the third frame");
        assert_eq!(samples[..200], [100; 200]);
        assert_eq!(samples[200..240], [0; 40]);
        assert_eq!(samples[240..340], [200; 100]);
        assert_eq!(samples[340..], [0; 140]);
    }

    #[test]
    fn an_end_on_a_frame_border_is_told_with_that_frame() {
        let mut playback = Playback::new("p".into(), vec![clip(1, 160)], false, Rate::Narrow);
        assert!(playback.fill(&mut Frame::silent(Rate::Narrow)));
    }

    #[test]
    fn a_tone_has_its_length_level_and_soft_edges() {
        let tone = Item::Tone { frequency: 1000.0, duration: 1000, level: 20 };
        for rate in [Rate::Narrow, Rate::Wide] {
            let samples = frames(&mut Playback::new("p".into(), vec![tone.clone()], false, rate), rate);
            assert_eq!(samples.len(), rate.samples(1000));
            assert_eq!(level::level(&samples), 20);
            assert!(samples[..4].iter().all(|s| s.unsigned_abs() < 300));
            assert!(samples[samples.len() - 4..].iter().all(|s| s.unsigned_abs() < 300));
        }
    }

    #[test]
    fn a_repeated_playback_goes_on_but_one_without_sound_ends() {
        let mut looped = Playback::new("p".into(), vec![clip(7, 30)], true, Rate::Narrow);
        let mut frame = Frame::silent(Rate::Narrow);
        for _ in 0..100 {
            assert!(!looped.fill(&mut frame));
            assert_eq!(frame.samples(), [7; 160]);
        }
        assert!(Playback::new("p".into(), vec![Item::Silence(0)], true, Rate::Narrow).fill(&mut frame));
        assert!(Playback::new("p".into(), vec![], true, Rate::Narrow).fill(&mut frame));
    }

    #[test]
    fn a_change_of_rate_goes_on_at_the_same_place() {
        let tone = Item::Tone { frequency: 1000.0, duration: 100, level: 20 };
        let mut playback = Playback::new("p".into(), vec![tone], false, Rate::Narrow);
        assert!(!playback.fill(&mut Frame::silent(Rate::Narrow)));
        let mut rest = 0;
        while !playback.fill(&mut Frame::silent(Rate::Wide)) {
            rest += 1;
        }
        assert_eq!(rest, 3, "20 of 100 ms were played, the fifth frame is the last");
    }
}
