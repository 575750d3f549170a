//! Sample rate conversion between 8, 16 and 48 kHz by a polyphase FIR filter (Kaiser-windowed sinc).

/// Filter taps per output phase (up) or per input phase (down).
const TAPS: usize = 32;
/// Pass band edge as a share of the lower Nyquist frequency.
const CUTOFF: f64 = 0.9;
/// Kaiser window: about 53 dB of stop band.
const BETA: f64 = 5.0;
/// Input samples converted at a time.
const BLOCK: usize = 480;
const MAX_RATIO: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Same,
    Up(usize),
    Down(usize),
}

/// Converts one stream from one rate to another.
#[derive(Debug, Clone)]
pub struct Resampler {
    direction: Direction,
    /// Phase by phase, each in the order of the input.
    taps: Box<[f32]>,
    history: Box<[f32]>,
    /// Input samples until the next output, when going down.
    skip: usize,
}

impl Resampler {
    /// A converter between two rates of 8,000, 16,000 and 48,000 Hz; `None` for other rates. Allocates.
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        const RATES: [u32; 3] = [8_000, 16_000, 48_000];
        if !RATES.contains(&from_hz) || !RATES.contains(&to_hz) {
            return None;
        }
        let (direction, ratio) = match (from_hz, to_hz) {
            (from, to) if from == to => (Direction::Same, 1),
            (from, to) if from < to => (Direction::Up((to / from) as usize), (to / from) as usize),
            (from, to) => (Direction::Down((from / to) as usize), (from / to) as usize),
        };
        let prototype = low_pass(ratio);
        let (taps, history) = match direction {
            Direction::Same => (Vec::new(), 0),
            Direction::Up(ratio) => {
                let phase = |p: usize| (0..TAPS).rev().map(move |k| k * ratio + p);
                ((0..ratio).flat_map(phase).map(|i| prototype[i] * ratio as f32).collect(), TAPS - 1)
            }
            Direction::Down(_) => (prototype.iter().rev().copied().collect(), prototype.len() - 1),
        };
        Some(Self { direction, taps: taps.into_boxed_slice(), history: vec![0.0; history].into_boxed_slice(), skip: 0 })
    }

    /// Samples that `input` samples become, when going down from a whole frame.
    pub fn output_len(&self, input: usize) -> usize {
        match self.direction {
            Direction::Same => input,
            Direction::Up(ratio) => input * ratio,
            Direction::Down(ratio) => input / ratio,
        }
    }

    /// Converts `input` into `out`; samples written. Input that does not fit into `out` is lost.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        if self.direction == Direction::Same {
            let len = input.len().min(out.len());
            out[..len].copy_from_slice(&input[..len]);
            return len;
        }
        let mut written = 0;
        for block in input.chunks(BLOCK) {
            written += self.process_block(block, &mut out[written..]);
        }
        written
    }

    fn process_block(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let mut buffer = [0f32; BLOCK + TAPS * MAX_RATIO];
        let past = self.history.len();
        let buffer = &mut buffer[..past + input.len()];
        buffer[..past].copy_from_slice(&self.history);
        buffer[past..].iter_mut().zip(input).for_each(|(to, &from)| *to = f32::from(from));
        let written = match self.direction {
            Direction::Same => 0,
            Direction::Up(ratio) => {
                let windows = buffer.windows(TAPS).zip(out.chunks_exact_mut(ratio));
                let mut written = 0;
                for (window, out) in windows {
                    for (out, phase) in out.iter_mut().zip(self.taps.chunks_exact(TAPS)) {
                        *out = rounded(dot(window, phase));
                    }
                    written += ratio;
                }
                written
            }
            Direction::Down(ratio) => {
                let outputs = buffer.windows(self.taps.len()).skip(self.skip).step_by(ratio);
                let mut written = 0;
                for (out, window) in out.iter_mut().zip(outputs) {
                    *out = rounded(dot(window, &self.taps));
                    written += 1;
                }
                self.skip = (ratio - (input.len() + ratio - self.skip) % ratio) % ratio;
                written
            }
        };
        let end = buffer.len();
        self.history.copy_from_slice(&buffer[end - past..]);
        written
    }
}

/// Nearest sample, saturated. `f32::round` is a library call on the oldest processors.
fn rounded(value: f32) -> i16 {
    (value + 0.5f32.copysign(value)) as i16
}

/// Eight partial sums, so that the loop needs no particular order of additions and fills the vector units.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum()
}

/// Low-pass prototype at the higher rate, unity gain.
fn low_pass(ratio: usize) -> Vec<f32> {
    let len = TAPS * ratio;
    let middle = (len - 1) as f64 / 2.0;
    let value = |i: usize| {
        let t = i as f64 - middle;
        let x = std::f64::consts::PI * t * CUTOFF / ratio as f64;
        let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
        let window = bessel_i0(BETA * (1.0 - (t / middle).powi(2)).max(0.0).sqrt());
        sinc * window
    };
    let raw: Vec<f64> = (0..len).map(value).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|tap| (tap / sum) as f32).collect()
}

fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..30 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: u32, frequency: f64, samples: usize) -> Vec<i16> {
        let step = frequency / f64::from(hz) * std::f64::consts::TAU;
        (0..samples).map(|i| ((i as f64 * step).sin() * 10_000.0) as i16).collect()
    }

    /// Converts one second in 20 ms frames; the gain at `frequency` in dB, after the filter has filled.
    fn gain_db(from: u32, to: u32, frequency: f64) -> f64 {
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut out = Vec::new();
        for frame in sine(from, frequency, from as usize).chunks(from as usize / 50) {
            let mut block = vec![0; to as usize / 50];
            assert_eq!(resampler.process(frame, &mut block), block.len());
            out.extend(block);
        }
        let energy = |pcm: &[i16]| pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / pcm.len() as f64;
        10.0 * (energy(&out[out.len() / 2..]) / 5e7).max(1e-9).log10()
    }

    const PAIRS: [(u32, u32); 6] =
        [(8_000, 16_000), (16_000, 8_000), (16_000, 48_000), (48_000, 16_000), (8_000, 48_000), (48_000, 8_000)];

    #[test]
    fn speech_frequencies_pass_unchanged() {
        for (from, to) in PAIRS {
            for share in [0.05, 0.3, 0.7] {
                let frequency = f64::from(from.min(to)) / 2.0 * share;
                assert!(gain_db(from, to, frequency).abs() < 0.3, "{from} → {to} at {frequency}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_removed() {
        for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
            let frequency = f64::from(to) / 2.0 * 1.15;
            assert!(
                gain_db(from, to, frequency) < -40.0,
                "{from} → {to} at {frequency}: {}",
                gain_db(from, to, frequency)
            );
        }
    }

    #[test]
    fn frames_of_odd_length_lose_no_sample() {
        let mut resampler = Resampler::new(48_000, 8_000).unwrap();
        let mut out = [0; 400];
        let total: usize = [7, 1, 100, 481, 5, 6].iter().map(|&n| resampler.process(&vec![0; n], &mut out)).sum();
        assert_eq!(total, 100);
    }

    #[test]
    fn full_scale_does_not_wrap_and_other_rates_are_refused() {
        let mut resampler = Resampler::new(8_000, 16_000).unwrap();
        let mut out = [0; 320];
        let square: Vec<i16> = (0..160).map(|i| if i / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        resampler.process(&square, &mut out);
        resampler.process(&square, &mut out);
        assert!(out.windows(2).all(|w| i32::from(w[0]).abs_diff(i32::from(w[1])) < 60_000));
        assert!(Resampler::new(44_100, 8_000).is_none());
    }
}
