//! Packet loss concealment for waveform codecs: repeats the last pitch period, fading out.
//!
//! The idea of ITU-T G.711 Appendix I without its delay: find the pitch in the last 35 ms by normalised
//! cross-correlation and repeat the last period. The step between what was played and the repetition, which the
//! appendix smooths by holding back 3.75 ms, is let die away over 2 ms instead. Attenuation begins after 10 ms, and
//! after 60 ms the line is left to comfort noise.

use std::hint::black_box;

use super::frame::Rate;

/// Longest pitch period, 15 ms at 16 kHz.
const MAX_PITCH: usize = 240;
const MAX_OVERLAP: usize = 80;
const HISTORY_MS: u32 = 35;

/// Conceals losses of one stream.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Concealer {
    rate: Rate,
    /// The last 35 ms played, a ring.
    history: Box<[i16]>,
    /// Where the ring's oldest sample lies.
    oldest: usize,
    /// Samples concealed since the last good one.
    lost: usize,
    pitch: usize,
    position: usize,
    /// Step between the last good sample and the repetition.
    step: f32,
    /// The pitch period that is repeated.
    period: [i16; MAX_PITCH],
}

impl Concealer {
    /// Concealment is silent after so many ms.
    pub const LIMIT_MS: u32 = 60;
    /// Full volume for so long, ms.
    const HOLD_MS: u32 = 10;
    /// Cross-fade back into decoded sound, ms.
    const OVERLAP_MS: u32 = 5;
    /// The first step dies away within so long, ms.
    const STEP_MS: u32 = 2;

    /// A concealer for PCM at `rate`. Allocates.
    pub fn new(rate: Rate) -> Self {
        let history = vec![0; rate.samples(HISTORY_MS)].into_boxed_slice();
        Self { rate, history, oldest: 0, period: [0; MAX_PITCH], pitch: 1, position: 0, lost: 0, step: 0.0 }
    }

    /// Fetches the memory that the next frame needs, without waiting for it.
    pub fn prefetch(&self) {
        black_box((self.lost, self.history.get(self.oldest)));
    }

    /// Whether the sound before now was concealed.
    pub fn is_concealing(&self) -> bool {
        self.lost > 0
    }

    /// Takes sound that was decoded. After a loss its beginning is blended with the concealment, in place.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        if self.lost > 0 {
            self.blend_into(pcm);
            self.lost = 0;
        }
        self.remember(pcm);
    }

    /// Fills `out` with what may have been lost; silence once the loss has lasted [`Self::LIMIT_MS`].
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.lost == 0 {
            self.begin();
        }
        self.repeat(out);
    }

    fn begin(&mut self) {
        self.history.rotate_left(self.oldest);
        self.oldest = 0;
        let len = self.history.len();
        self.pitch = find_pitch(&self.history, self.rate);
        self.position = 0;
        self.period[..self.pitch].copy_from_slice(&self.history[len - self.pitch..]);
        self.step = f32::from(self.history[len - 1]) - f32::from(self.history[len - 1 - self.pitch]);
        // The end of the period is bent towards the period before it, so that the second repetition has no seam.
        let overlap = (self.pitch / 4).min(MAX_OVERLAP);
        for i in 0..overlap {
            let back = overlap - i;
            let (own, before) = (self.history[len - back], self.history[len - back - self.pitch]);
            let weight = (i + 1) as f32 / (overlap + 1) as f32;
            self.period[self.pitch - back] = (f32::from(own) * (1.0 - weight) + f32::from(before) * weight) as i16;
        }
    }

    /// The next samples of the repeated period, attenuated.
    fn repeat(&mut self, out: &mut [i16]) {
        let decay = 1.0 - 3.0 / self.rate.samples(Self::STEP_MS) as f32;
        for sample in out {
            let value = f32::from(self.period[self.position]) + self.step;
            *sample = (value * self.attenuation()) as i16;
            self.step *= decay;
            self.position += 1;
            if self.position == self.pitch {
                self.position = 0;
            }
            self.lost += 1;
        }
    }

    /// 1 for the first 10 ms, then linearly down to 0 at 60 ms.
    fn attenuation(&self) -> f32 {
        let (hold, limit) = (self.rate.samples(Self::HOLD_MS), self.rate.samples(Self::LIMIT_MS));
        1.0 - (self.lost.saturating_sub(hold) as f32 / (limit - hold) as f32).min(1.0)
    }

    fn blend_into(&mut self, pcm: &mut [i16]) {
        let overlap = self.rate.samples(Self::OVERLAP_MS).min(pcm.len());
        let mut tail = [0i16; MAX_OVERLAP];
        self.repeat(&mut tail[..overlap]);
        for (i, (sample, &concealed)) in pcm.iter_mut().zip(&tail[..overlap]).enumerate() {
            let weight = (i + 1) as f32 / (overlap + 1) as f32;
            *sample = (f32::from(*sample) * weight + f32::from(concealed) * (1.0 - weight)) as i16;
        }
    }

    fn remember(&mut self, pcm: &[i16]) {
        let len = self.history.len();
        let newest = &pcm[pcm.len().saturating_sub(len)..];
        let (to_end, from_begin) = newest.split_at(newest.len().min(len - self.oldest));
        self.history[self.oldest..self.oldest + to_end.len()].copy_from_slice(to_end);
        self.history[..from_begin.len()].copy_from_slice(from_begin);
        self.oldest = (self.oldest + newest.len()) % len;
    }
}

/// Pitch period in samples, 2.5–15 ms, by the best normalised correlation of the last 10 ms with what was before.
pub(super) fn find_pitch(history: &[i16], rate: Rate) -> usize {
    // A coarse search at 4 kHz, refined by single samples around its best lag.
    let stride = rate.hz() as usize / 4000;
    let (shortest, longest) = (rate.samples(5) / 2, rate.samples(15));
    let coarse = best_lag(history, rate, shortest..=longest, stride, stride);
    let from = coarse.saturating_sub(stride).max(shortest);
    best_lag(history, rate, from..=(coarse + stride).min(longest), 1, stride / 2)
}

fn best_lag(
    history: &[i16],
    rate: Rate,
    lags: std::ops::RangeInclusive<usize>,
    lag_step: usize,
    sample_step: usize,
) -> usize {
    let window = rate.samples(HISTORY_MS - 15);
    let at = history.len() - window;
    let mut best = (*lags.start(), f32::MIN);
    for lag in lags.step_by(lag_step) {
        let (mut cross, mut energy) = (0.0f32, 1.0f32);
        for i in (at..history.len()).step_by(sample_step.max(1)) {
            let past = f32::from(history[i - lag]);
            cross += f32::from(history[i]) * past;
            energy += past * past;
        }
        let score = cross / energy.sqrt();
        if score > best.1 {
            best = (lag, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vowel-like sound: harmonics of 140 Hz with a formant.
    fn voice(rate: Rate, samples: usize) -> Vec<i16> {
        let hz = rate.hz() as f32;
        let value = |i: usize| {
            let t = i as f32 / hz;
            (1..12).map(|h| (t * 140.0 * h as f32 * std::f32::consts::TAU).sin() * 3000.0 / h as f32).sum::<f32>()
        };
        (0..samples).map(|i| value(i) as i16).collect()
    }

    fn error(a: &[i16], b: &[i16]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    }

    /// Every tenth frame lost; the error energy of concealment relative to silence.
    fn relative_error(rate: Rate) -> f64 {
        let frame = rate.frame_len();
        let original = voice(rate, frame * 100);
        let mut concealer = Concealer::new(rate);
        let (mut concealed, mut silent) = (0.0, 0.0);
        for (n, pcm) in original.chunks(frame).enumerate() {
            if n % 10 == 9 {
                let mut out = vec![0; frame];
                concealer.conceal(&mut out);
                concealed += error(&out, pcm);
                silent += error(&vec![0; frame], pcm);
            } else {
                concealer.heard(&mut pcm.to_vec());
            }
        }
        concealed / silent
    }

    #[test]
    fn concealment_is_much_nearer_to_the_voice_than_silence() {
        assert!(relative_error(Rate::Narrow) < 0.15, "{}", relative_error(Rate::Narrow));
        assert!(relative_error(Rate::Wide) < 0.15, "{}", relative_error(Rate::Wide));
    }

    #[test]
    fn the_pitch_of_a_voice_is_found() {
        for rate in [Rate::Narrow, Rate::Wide] {
            let pitch = find_pitch(&voice(rate, rate.samples(HISTORY_MS)), rate) as f32;
            let period = rate.hz() as f32 / 140.0;
            let periods = (pitch / period).round();
            assert!((pitch - periods * period).abs() <= 1.5, "{pitch} is no multiple of {period}");
        }
    }

    #[test]
    fn what_is_repeated_is_the_same_however_the_sound_before_it_was_cut_into_packets() {
        let original = voice(Rate::Narrow, 1000);
        let repeated = |lengths: &[usize]| {
            let (mut concealer, mut at) = (Concealer::new(Rate::Narrow), 0);
            for length in lengths.iter().cycle() {
                let end = (at + length).min(original.len());
                concealer.heard(&mut original[at..end].to_vec());
                at = end;
                if at == original.len() {
                    break;
                }
            }
            let mut out = [0; 400];
            concealer.conceal(&mut out);
            out
        };
        let whole = repeated(&[1000]);
        assert!(whole.iter().any(|&sample| sample.abs() > 3000));
        for lengths in [&[160][..], &[80], &[480], &[1], &[280], &[279, 281], &[7, 333, 90]] {
            assert_eq!(repeated(lengths), whole, "{lengths:?}");
        }
    }

    #[test]
    fn a_long_loss_fades_to_silence_after_60_ms() {
        let mut concealer = Concealer::new(Rate::Narrow);
        concealer.heard(&mut voice(Rate::Narrow, 800));
        let mut frames = [[1i16; 160]; 4];
        frames.iter_mut().for_each(|frame| concealer.conceal(frame));
        assert!(frames[0].iter().any(|&s| s.abs() > 3000));
        assert_eq!(frames[3], [0; 160]);
    }

    #[test]
    fn there_is_no_click_at_either_end_of_a_loss() {
        let original = voice(Rate::Narrow, 1600);
        let steepest = original.windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap();
        let mut concealer = Concealer::new(Rate::Narrow);
        let mut heard = original.clone();
        for (n, pcm) in heard.chunks_mut(160).enumerate() {
            if n == 6 { concealer.conceal(pcm) } else { concealer.heard(pcm) }
        }
        let step = heard.windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap();
        assert!(f32::from(step) < f32::from(steepest) * 1.3, "{step} beside {steepest}");
    }

    #[test]
    fn silence_and_noise_do_not_upset_the_pitch_search() {
        let mut concealer = Concealer::new(Rate::Wide);
        let mut out = [7; 320];
        concealer.conceal(&mut out);
        assert_eq!(out, [0; 320]);
        concealer.heard(&mut [i16::MIN; 640]);
        concealer.conceal(&mut out);
        assert!(out[0] < -30_000);
    }
}
