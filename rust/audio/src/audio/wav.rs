//! WAV: the header a recorder writes, and a strict reader for prompts.

use super::g711;
use std::fmt;

/// Length of the header [`header`] makes.
pub const HEADER_LEN: usize = 44;

/// Header of a 16-bit PCM file with `data_bytes` of samples following. Written with 0 first and again at the end.
pub fn header(hz: u32, channels: u16, data_bytes: u32) -> [u8; HEADER_LEN] {
    let block = channels * 2;
    let mut bytes = [0; HEADER_LEN];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(b"RIFF");
    put(&data_bytes.saturating_add(36).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&channels.to_le_bytes());
    put(&hz.to_le_bytes());
    put(&(hz * u32::from(block)).to_le_bytes());
    put(&block.to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data_bytes.to_le_bytes());
    bytes
}

/// Why a file is not a WAV we can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WavError {
    /// Larger than [`MAX_FILE`].
    TooLarge,
    /// No RIFF/WAVE header, or no `fmt ` or `data` chunk where they belong.
    NotWav,
    /// An encoding other than 16-bit PCM, µ-law, A-law.
    Encoding,
    /// More than one channel.
    Channels(u16),
}

/// Largest file read, bytes.
pub const MAX_FILE: usize = 20 * 1024 * 1024;

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the audio file is larger than 20 MB; shorten it or lower its sample rate"),
            Self::NotWav => write!(f, "the audio file is not a complete WAV file; convert it to WAV"),
            Self::Encoding => write!(f, "the WAV file is neither 16-bit PCM nor G.711; convert it to 16-bit PCM"),
            Self::Channels(n) => write!(f, "the WAV file has {n} channels; convert it to mono"),
        }
    }
}

impl std::error::Error for WavError {}

/// A WAV file read into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// Sample rate in Hz, as the file says.
    pub hz: u32,
    /// Mono samples.
    pub samples: Vec<i16>,
}

#[derive(Clone, Copy)]
enum Encoding {
    Pcm16,
    Ulaw,
    Alaw,
}

/// Reads a mono WAV file of 16-bit PCM, µ-law or A-law. A data chunk that is cut short is read as far as it goes.
pub fn read(bytes: &[u8]) -> Result<Wav, WavError> {
    if bytes.len() > MAX_FILE {
        return Err(WavError::TooLarge);
    }
    let riff = bytes.get(..12).ok_or(WavError::NotWav)?;
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err(WavError::NotWav);
    }
    let mut rest = &bytes[12..];
    let mut format = None;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let chunk = &body[..len.min(body.len())];
        match &head[..4] {
            b"fmt " => format = Some(read_format(chunk)?),
            b"data" => {
                let (encoding, hz) = format.ok_or(WavError::NotWav)?;
                return Ok(Wav { hz, samples: decode(encoding, chunk) });
            }
            _ => {}
        }
        // Chunks are padded to an even length.
        rest = body.get(len.saturating_add(len & 1)..).unwrap_or(&[]);
    }
    Err(WavError::NotWav)
}

fn read_format(chunk: &[u8]) -> Result<(Encoding, u32), WavError> {
    let field = |at: usize| chunk.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or(WavError::NotWav);
    let (tag, channels, bits) = (field(0)?, field(2)?, field(14)?);
    let hz = u32::from(field(4)?) | u32::from(field(6)?) << 16;
    // WAVE_FORMAT_EXTENSIBLE keeps the real tag in the first bytes of its sub-format.
    let tag = if tag == 0xfffe { field(24)? } else { tag };
    if channels != 1 {
        return Err(WavError::Channels(channels));
    }
    match (tag, bits) {
        (1, 16) => Ok((Encoding::Pcm16, hz)),
        (7, 8) => Ok((Encoding::Ulaw, hz)),
        (6, 8) => Ok((Encoding::Alaw, hz)),
        _ => Err(WavError::Encoding),
    }
}

fn decode(encoding: Encoding, data: &[u8]) -> Vec<i16> {
    match encoding {
        Encoding::Pcm16 => data.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect(),
        Encoding::Ulaw => data.iter().map(|&code| g711::decode_ulaw(code)).collect(),
        Encoding::Alaw => data.iter().map(|&code| g711::decode_alaw(code)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(hz: u32, samples: &[i16]) -> Vec<u8> {
        let mut bytes = header(hz, 1, samples.len() as u32 * 2).to_vec();
        bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        bytes
    }

    #[test]
    fn what_the_recorder_writes_is_read_back() {
        let wav = read(&file(16_000, &[1, -2, 300])).unwrap();
        assert_eq!(wav, Wav { hz: 16_000, samples: vec![1, -2, 300] });
    }

    #[test]
    fn other_chunks_are_skipped_and_mu_law_is_decoded() {
        let mut bytes = b"RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt \x12\x00\x00\x00".to_vec();
        bytes.extend([7, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0, 0, 0]);
        bytes.extend(b"data\xff\xff\xff\xff\x80\xff");
        assert_eq!(read(&bytes).unwrap(), Wav { hz: 8_000, samples: vec![32_124, 0] });
    }

    #[test]
    fn files_we_cannot_play_are_refused_with_their_reason() {
        let mut stereo = file(8_000, &[0; 4]);
        stereo[22] = 2;
        assert_eq!(read(&stereo), Err(WavError::Channels(2)));
        let mut float = file(8_000, &[0; 4]);
        float[20] = 3;
        assert_eq!(read(&float), Err(WavError::Encoding));
        assert_eq!(read(b"ID3 an mp3 file of some sort"), Err(WavError::NotWav));
        assert_eq!(read(&file(8_000, &[])[..40]), Err(WavError::NotWav));
        assert_eq!(read(&vec![0; MAX_FILE + 1]), Err(WavError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_after_a_riff_header_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00".to_vec();
            bytes.extend(tail);
            let _ = read(&bytes);
        }
    }
}
