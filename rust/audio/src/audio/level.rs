//! Loudness: energy and −dBov (RFC 6464).

/// Level of digital silence in −dBov.
pub const SILENCE: u8 = 127;

/// Mean square of the samples.
#[inline]
pub fn mean_square(pcm: &[i16]) -> f32 {
    // Eight sums that need not wait for each other.
    let mut sums = [0.0f32; 8];
    let (eights, rest) = pcm.as_chunks::<8>();
    for eight in eights {
        for (sum, &sample) in sums.iter_mut().zip(eight) {
            *sum += f32::from(sample) * f32::from(sample);
        }
    }
    for (sum, &sample) in sums.iter_mut().zip(rest) {
        *sum += f32::from(sample) * f32::from(sample);
    }
    sums.iter().sum::<f32>() / pcm.len().max(1) as f32
}

/// A mean square in −dBov: 0 is the loudest (a full-scale square wave), 127 silence.
#[inline]
pub fn dbov(mean_square: f32) -> u8 {
    const FULL_SCALE: f32 = 32_768.0 * 32_768.0;
    if mean_square < 1e-3 {
        return SILENCE;
    }
    let below = -10.0 * (mean_square / FULL_SCALE).log10();
    below.round().clamp(0.0, f32::from(SILENCE)) as u8
}

/// Level of the samples in −dBov.
pub fn level(pcm: &[i16]) -> u8 {
    dbov(mean_square(pcm))
}

/// Amplitude (of 32768) whose square wave has a level in −dBov.
pub fn amplitude(dbov: u8) -> f32 {
    32_768.0 * 10f32.powf(-f32::from(dbov.min(SILENCE)) / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_decibels_below_overload() {
        assert_eq!(level(&[0; 160]), SILENCE);
        assert_eq!(level(&[]), SILENCE);
        assert_eq!(level(&[i16::MIN; 160]), 0);
        assert_eq!(level(&[3277; 160]), 20);
        assert_eq!(level(&[328; 320]), 40);
        let sine: Vec<i16> =
            (0..160).map(|i| ((i as f32 * 0.1 * std::f32::consts::TAU).sin() * 32_767.0) as i16).collect();
        assert_eq!(level(&sine), 3);
    }

    #[test]
    fn an_amplitude_has_the_level_it_was_made_for() {
        for wanted in [3, 20, 40, 60] {
            assert_eq!(level(&[amplitude(wanted) as i16; 160]), wanted);
        }
    }
}
