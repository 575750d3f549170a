//! Prompts and music, decoded once to both room rates and shared by all who play them.

use super::frame::Rate;
use super::resample::Resampler;
use super::wav::{self, WavError};
use std::fmt;

/// Why a file cannot be a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipError {
    /// It is no WAV we can read.
    Wav(WavError),
    /// A sample rate other than 8, 16 or 48 kHz.
    Rate(u32),
}

impl fmt::Display for ClipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wav(error) => error.fmt(f),
            Self::Rate(hz) => write!(f, "the WAV file has {hz} Hz; convert it to 8000, 16000 or 48000 Hz"),
        }
    }
}

impl std::error::Error for ClipError {}

impl From<WavError> for ClipError {
    fn from(error: WavError) -> Self {
        Self::Wav(error)
    }
}

/// Sound in memory at both room rates. Made off the packet path; cheap to share behind `Arc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    narrow: Box<[i16]>,
    wide: Box<[i16]>,
}

impl Clip {
    /// Reads a WAV file (see [`wav::read`]) of 8, 16 or 48 kHz.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, ClipError> {
        let wav = wav::read(bytes)?;
        Self::from_samples(wav.hz, &wav.samples)
    }

    /// Makes a clip from mono samples at 8, 16 or 48 kHz.
    pub fn from_samples(hz: u32, samples: &[i16]) -> Result<Self, ClipError> {
        let at = |rate: Rate| convert(hz, rate, samples).ok_or(ClipError::Rate(hz));
        Ok(Self { narrow: at(Rate::Narrow)?, wide: at(Rate::Wide)? })
    }

    /// The samples at a rate.
    pub fn samples(&self, rate: Rate) -> &[i16] {
        match rate {
            Rate::Narrow => &self.narrow,
            Rate::Wide => &self.wide,
        }
    }

    /// How long it plays, ms.
    pub fn duration_ms(&self) -> u64 {
        self.narrow.len() as u64 * 1000 / u64::from(Rate::Narrow.hz())
    }
}

fn convert(hz: u32, rate: Rate, samples: &[i16]) -> Option<Box<[i16]>> {
    let mut resampler = Resampler::new(hz, rate.hz())?;
    let mut out = vec![0; samples.len() * rate.hz() as usize / hz as usize + 8];
    let len = resampler.process(samples, &mut out);
    out.truncate(len);
    Some(out.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level;

    #[test]
    fn a_file_is_available_at_both_rates() {
        let samples: Vec<i16> = (0..4800).map(|i| ((i as f32 * 0.05).sin() * 8000.0) as i16).collect();
        let mut bytes = wav::header(48_000, 1, 9600).to_vec();
        bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        let clip = Clip::from_wav(&bytes).unwrap();
        assert_eq!(clip.duration_ms(), 100);
        assert_eq!((clip.samples(Rate::Narrow).len(), clip.samples(Rate::Wide).len()), (800, 1600));
        let expected = level::level(&samples);
        assert!(level::level(clip.samples(Rate::Narrow)).abs_diff(expected) <= 1);
        assert!(level::level(clip.samples(Rate::Wide)).abs_diff(expected) <= 1);
    }

    #[test]
    fn an_unusual_rate_is_refused_with_what_to_do() {
        let error = Clip::from_samples(44_100, &[0; 10]).unwrap_err();
        assert_eq!(error.to_string(), "the WAV file has 44100 Hz; convert it to 8000, 16000 or 48000 Hz");
        assert!(matches!(Clip::from_wav(b"no"), Err(ClipError::Wav(WavError::NotWav))));
    }
}
