//! Something to say: µ-law that is speech-like to a gate, a level meter and a mixer, and the noise of a quiet line.
//!
//! Voiced speech is a train of glottal pulses (90–220 Hz, one pitch per talker) through two resonances, in syllables of
//! a fifth to a third of a second. The same seed says the same.

use std::f32::consts::TAU;

use dialroom_audio::audio::g711::encode_ulaw;

use crate::phone::PAYLOAD;

const RATE: f32 = 8000.0;

/// Packets that are repeated for ever.
pub type Loop = Vec<[u8; PAYLOAD]>;

/// About 3 s of a talker without pauses longer than those between syllables.
pub fn speech(seed: u32) -> Loop {
    let mut random = Random(seed.wrapping_mul(2_654_435_761) | 1);
    let mut samples = Vec::new();
    while samples.len() < 3 * RATE as usize {
        syllable(&mut random, 90.0 + (seed % 14) as f32 * 10.0, &mut samples);
    }
    packets(&samples)
}

/// A second of line noise at about −66 dBov.
pub fn quiet(seed: u32) -> Loop {
    let mut random = Random(seed.wrapping_mul(2_246_822_519) | 1);
    let samples: Vec<f32> = (0..RATE as usize).map(|_| random.within(-28.0, 28.0)).collect();
    packets(&samples)
}

/// `packets` packets of a sine that starts at its highest point, so that its start can be found to the sample.
pub fn tone(frequency: f32, amplitude: f32, count: usize) -> Loop {
    let samples: Vec<f32> =
        (0..count * PAYLOAD).map(|i| amplitude * (TAU * frequency * i as f32 / RATE).cos()).collect();
    packets(&samples)
}

fn syllable(random: &mut Random, pitch: f32, out: &mut Vec<f32>) {
    let length = random.within(0.2, 0.33) * RATE;
    let mut mouth =
        [Resonance::new(random.within(300.0, 800.0), 90.0), Resonance::new(random.within(1000.0, 2300.0), 140.0)];
    let glide = random.within(0.9, 1.1);
    let mut phase = 0.0;
    for i in 0..length as usize {
        let place = i as f32 / length;
        phase += pitch * (1.0 + (glide - 1.0) * place) / RATE;
        let pulse = if phase >= 1.0 { 1.0 } else { random.within(-0.02, 0.02) };
        phase = phase.fract();
        let voiced: f32 = mouth.iter_mut().map(|resonance| resonance.next(pulse)).sum();
        out.push(voiced * (place * TAU / 2.0).sin().sqrt() * 9000.0);
    }
}

fn packets(samples: &[f32]) -> Loop {
    let (frames, _) = samples.as_chunks::<PAYLOAD>();
    frames.iter().map(|frame| frame.map(|sample| encode_ulaw(sample.clamp(-32000.0, 32000.0) as i16))).collect()
}

/// A two-pole resonator of about unit gain at its centre.
struct Resonance {
    a1: f32,
    a2: f32,
    gain: f32,
    last: [f32; 2],
}

impl Resonance {
    fn new(frequency: f32, bandwidth: f32) -> Self {
        let radius = (-TAU / 2.0 * bandwidth / RATE).exp();
        let a1 = 2.0 * radius * (TAU * frequency / RATE).cos();
        Self { a1, a2: -radius * radius, gain: (1.0 - radius) * 8.0, last: [0.0; 2] }
    }

    fn next(&mut self, input: f32) -> f32 {
        let out = self.gain * input + self.a1 * self.last[0] + self.a2 * self.last[1];
        self.last = [out, self.last[0]];
        out
    }
}

/// Xorshift: the same numbers on each run.
struct Random(u32);

impl Random {
    fn within(&mut self, low: f32, high: f32) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        low + (high - low) * (self.0 as f32 / u32::MAX as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialroom_audio::audio::g711::decode_ulaw;

    fn dbov(packets: &[[u8; PAYLOAD]]) -> f32 {
        let samples: Vec<f32> = packets.iter().flatten().map(|&code| f32::from(decode_ulaw(code))).collect();
        let power = samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32;
        10.0 * (power.max(1.0) / (32768.0 * 32768.0)).log10()
    }

    #[test]
    fn talkers_are_as_loud_as_people_on_phones_and_never_clip() {
        for seed in 0..20 {
            let said = speech(seed);
            assert!((-32.0..-14.0).contains(&dbov(&said)), "{seed}: {}", dbov(&said));
            assert!(said.iter().flatten().all(|&code| decode_ulaw(code).unsigned_abs() < 32000));
        }
    }

    #[test]
    fn talkers_pause_no_longer_than_between_syllables() {
        for seed in 0..20 {
            let loud: Vec<bool> = speech(seed).iter().map(|packet| dbov(&[*packet]) > -40.0).collect();
            assert!(loud.windows(8).all(|some| some.contains(&true)), "{seed}");
        }
    }

    #[test]
    fn a_quiet_line_is_far_below_speech() {
        assert!((-75.0..-60.0).contains(&dbov(&quiet(3))), "{}", dbov(&quiet(3)));
    }

    #[test]
    fn a_tone_is_at_full_height_from_its_first_sample() {
        assert!(decode_ulaw(tone(1000.0, 8000.0, 1)[0][0]) > 7000);
    }
}
