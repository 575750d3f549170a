//! Codecs of the phone path behind one pair of enums; boxed where the state is large, so that a G.711 leg stays small.

use super::frame::{FRAME_MS, Rate};
use super::g722::{G722Decoder, G722Encoder};
use super::opus::{self, OpusDecoder, OpusEncoder, OpusError, OpusSettings};
use super::{g711, opus::MAX_PAYLOAD};

/// Buffer that holds any frame an [`Encoder`] writes for up to 60 ms of sound, bytes.
pub const MAX_ENCODED: usize = MAX_PAYLOAD;

/// Which codec, and the sample rate it is used at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722, 64 kbit/s.
    G722,
    /// Opus, decoded to (and encoded from) this rate.
    Opus(Rate),
}

impl Codec {
    /// Sample rate of the PCM side.
    pub fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 => Rate::Wide,
            Self::Opus(rate) => rate,
        }
    }

    /// RTP clock in Hz: 8,000, for G.722 too (RFC 3551 §4.5.2), and 48,000 for Opus (RFC 7587 §4.1).
    pub fn rtp_clock(self) -> u32 {
        match self {
            Self::Opus(_) => opus::RTP_CLOCK,
            _ => 8_000,
        }
    }

    /// RTP ticks of a 20 ms frame.
    pub fn ticks_per_frame(self) -> u32 {
        self.rtp_clock() / 1000 * FRAME_MS
    }

    /// Samples that so many RTP ticks last.
    pub fn samples_of(self, ticks: u32) -> usize {
        (u64::from(ticks) * u64::from(self.rate().hz()) / u64::from(self.rtp_clock())) as usize
    }

    /// RTP ticks that so many samples last.
    pub fn ticks_of(self, samples: usize) -> u32 {
        (samples as u64 * u64::from(self.rtp_clock()) / u64::from(self.rate().hz())) as u32
    }

    /// Longest packet taken from a peer, ms.
    pub fn max_packet_ms(self) -> u32 {
        match self {
            Self::Opus(_) => 120,
            _ => 80,
        }
    }

    /// How long a payload lasts in RTP ticks; `None` when it is empty, malformed or longer than
    /// [`max_packet_ms`](Self::max_packet_ms).
    pub fn payload_ticks(self, payload: &[u8]) -> Option<u32> {
        let ticks = match self {
            Self::Opus(_) => opus::packet_ticks(payload)?,
            _ => u32::try_from(payload.len()).ok()?,
        };
        (1..=self.rtp_clock() / 1000 * self.max_packet_ms()).contains(&ticks).then_some(ticks)
    }

    /// Whether concealment is the decoder's own business.
    pub fn conceals_itself(self) -> bool {
        matches!(self, Self::Opus(_))
    }
}

/// Encodes PCM for one destination, or once for all listeners of a mix.
#[derive(Debug)]
pub enum Encoder {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722.
    G722(Box<G722Encoder>),
    /// Opus.
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder; `settings` matter to Opus only. Allocates.
    pub fn new(codec: Codec, settings: OpusSettings) -> Result<Self, OpusError> {
        Ok(match codec {
            Codec::Pcmu => Self::Pcmu,
            Codec::Pcma => Self::Pcma,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus(rate) => Self::Opus(OpusEncoder::new(rate.hz(), settings)?),
        })
    }

    /// Encodes a frame (10, 20, 40 or 60 ms for Opus, any even length else) into `out`; bytes to send. 0 means that
    /// nothing need be sent: silence under DTX (the timestamp goes on, the sequence number does not), or a frame the
    /// codec cannot take.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::Pcmu => g711::encode_ulaw_into(pcm, out),
            Self::Pcma => g711::encode_alaw_into(pcm, out),
            Self::G722(encoder) => encoder.encode(pcm, out),
            // RFC 6716 §2.1.9: a DTX frame has at most two bytes and need not be transmitted.
            Self::Opus(encoder) => encoder.encode(pcm, out).ok().filter(|&len| len > 2).unwrap_or(0),
        }
    }

    /// Changes how the next frames are encoded; nothing for other codecs than Opus.
    pub fn configure(&mut self, settings: OpusSettings) -> Result<(), OpusError> {
        match self {
            Self::Opus(encoder) => encoder.configure(settings),
            _ => Ok(()),
        }
    }

    /// Adapts Opus FEC to the loss the receiver reports, percent; nothing for other codecs.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), OpusError> {
        match self {
            Self::Opus(encoder) => encoder.set_expected_loss(percent),
            _ => Ok(()),
        }
    }
}

/// Decodes one stream.
#[derive(Debug)]
pub enum Decoder {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722.
    G722(Box<G722Decoder>),
    /// Opus.
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder. Allocates.
    pub fn new(codec: Codec) -> Result<Self, OpusError> {
        Ok(match codec {
            Codec::Pcmu => Self::Pcmu,
            Codec::Pcma => Self::Pcma,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus(rate) => Self::Opus(OpusDecoder::new(rate.hz())?),
        })
    }

    /// Decodes a payload into `out`; samples written, 0 when it cannot be decoded or does not fit.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::Pcmu => g711::decode_ulaw_into(payload, out),
            Self::Pcma => g711::decode_alaw_into(payload, out),
            Self::G722(decoder) => decoder.decode(payload, out),
            Self::Opus(decoder) => decoder.decode(payload, out).unwrap_or(0),
        }
    }

    /// Recovers the packet lost before `next` (Opus FEC), filling `out`; samples written, 0: conceal otherwise.
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::Opus(decoder) => decoder.decode_fec(next, out).unwrap_or(0),
            _ => 0,
        }
    }

    /// Conceals a loss of `out.len()` samples by the codec's own means; samples written, 0 when it has none
    /// (G.711, G.722: see [`plc`](super::plc)).
    pub fn conceal(&mut self, out: &mut [i16]) -> usize {
        match self {
            Self::Opus(decoder) => decoder.conceal(out).unwrap_or(0),
            _ => 0,
        }
    }
}
