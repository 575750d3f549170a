//! Thin safe wrapper over libopus: the only `unsafe` code of this crate.
//!
//! Both types own one libopus state, made by `opus_*_create` and freed in `Drop`; every call goes through `&mut self`,
//! so no state is ever used from two threads at once. libopus allocates only when a state is made.
#![allow(unsafe_code)]

use opusic_sys as sys;
use std::ffi::c_int;
use std::fmt;
use std::ptr::{self, NonNull};

/// RTP clock of Opus in Hz, whatever the sample rate (RFC 7587 §4.1).
pub const RTP_CLOCK: u32 = 48_000;
/// Largest payload libopus reads or writes for one frame, bytes.
pub const MAX_PAYLOAD: usize = 1275;
/// Longest packet: 120 ms (RFC 7587 §4.2).
const MAX_PACKET_MS: usize = 120;

/// libopus refused: its error code and what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusError {
    /// One of libopus' negative error codes.
    pub code: i32,
    /// What was asked of it.
    pub doing: &'static str,
}

impl fmt::Display for OpusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "libopus refused to {} (code {})", self.doing, self.code)
    }
}

impl std::error::Error for OpusError {}

fn checked(code: c_int, doing: &'static str) -> Result<c_int, OpusError> {
    if code < 0 { Err(OpusError { code, doing }) } else { Ok(code) }
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusSettings {
    /// Bits per second to aim at, 6,000–128,000.
    pub bitrate: u32,
    /// Bits per second that are never gone over on average; else libopus goes over `bitrate` by a tenth for a steady
    /// tone, or for whole bytes when the bit rate is constant.
    pub max_bitrate: Option<u32>,
    /// 0 (cheapest) – 10.
    pub complexity: u8,
    /// In-band forward error correction: each packet carries a coarse copy of the one before when loss is expected.
    pub fec: bool,
    /// Expected loss in percent, 0–100; without it FEC stays empty.
    pub expected_loss: u8,
    /// Discontinuous transmission: nothing to send in silence.
    pub dtx: bool,
    /// Constant bit rate: all packets have the same length.
    pub cbr: bool,
    /// The most that is encoded.
    pub bandwidth: Bandwidth,
}

impl Default for OpusSettings {
    fn default() -> Self {
        Self {
            bitrate: 24_000,
            max_bitrate: None,
            complexity: 5,
            fec: true,
            expected_loss: 10,
            dtx: true,
            cbr: false,
            bandwidth: Bandwidth::Full,
        }
    }
}

/// Audio bandwidths (RFC 6716 §2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// 4 kHz.
    Narrow,
    /// 6 kHz.
    Medium,
    /// 8 kHz.
    Wide,
    /// 12 kHz.
    SuperWide,
    /// 20 kHz.
    Full,
}

impl Bandwidth {
    /// The most that can be heard at a sample rate in Hz.
    pub fn at(hz: u32) -> Self {
        match hz {
            ..12_000 => Self::Narrow,
            12_000..16_000 => Self::Medium,
            16_000..24_000 => Self::Wide,
            24_000..48_000 => Self::SuperWide,
            _ => Self::Full,
        }
    }

    fn value(self) -> c_int {
        match self {
            Self::Narrow => sys::OPUS_BANDWIDTH_NARROWBAND,
            Self::Medium => sys::OPUS_BANDWIDTH_MEDIUMBAND,
            Self::Wide => sys::OPUS_BANDWIDTH_WIDEBAND,
            Self::SuperWide => sys::OPUS_BANDWIDTH_SUPERWIDEBAND,
            Self::Full => sys::OPUS_BANDWIDTH_FULLBAND,
        }
    }
}

/// Encodes mono voice.
pub struct OpusEncoder {
    state: NonNull<sys::OpusEncoder>,
    hz: u32,
    max_bitrate: Option<u32>,
    cbr: bool,
    /// What was not used of `max_bitrate` so far, at most that of a second: bits × `hz`.
    unused: u64,
}

// SAFETY: a libopus state is plain heap memory without thread affinity; the type is neither Clone nor Sync, so it is
// only ever used by the thread that owns it.
unsafe impl Send for OpusEncoder {}

impl OpusEncoder {
    /// A VOIP encoder for mono PCM at `hz` (8,000, 12,000, 16,000, 24,000 or 48,000).
    pub fn new(hz: u32, settings: OpusSettings) -> Result<Self, OpusError> {
        let mut error = 0;
        // SAFETY: `error` outlives the call; libopus checks the other arguments and returns null when it refuses them.
        let state =
            unsafe { sys::opus_encoder_create(hz.cast_signed(), 1, sys::OPUS_APPLICATION_VOIP, &raw mut error) };
        let state = NonNull::new(state).ok_or(OpusError { code: error, doing: "make an encoder" })?;
        let mut encoder = Self { state, hz, max_bitrate: None, cbr: false, unused: 0 };
        encoder.set(sys::OPUS_SET_SIGNAL_REQUEST, sys::OPUS_SIGNAL_VOICE, "set the signal type")?;
        encoder.configure(settings)?;
        Ok(encoder)
    }

    /// Changes how the next frames are encoded.
    pub fn configure(&mut self, settings: OpusSettings) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_BITRATE_REQUEST, settings.bitrate.cast_signed(), "set the bit rate")?;
        self.set(sys::OPUS_SET_COMPLEXITY_REQUEST, settings.complexity.into(), "set the complexity")?;
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, settings.fec.into(), "set FEC")?;
        self.set(sys::OPUS_SET_DTX_REQUEST, settings.dtx.into(), "set DTX")?;
        self.set(sys::OPUS_SET_VBR_REQUEST, (!settings.cbr).into(), "set constant bit rate")?;
        (self.max_bitrate, self.cbr) = (settings.max_bitrate, settings.cbr);
        self.set(sys::OPUS_SET_MAX_BANDWIDTH_REQUEST, settings.bandwidth.value(), "set the bandwidth")?;
        self.set_expected_loss(settings.expected_loss)
    }

    /// Adapts FEC to the loss the receiver reports, percent.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, percent.min(100).into(), "set the expected loss")
    }

    fn set(&mut self, request: c_int, value: c_int, doing: &'static str) -> Result<(), OpusError> {
        // SAFETY: `state` is live until Drop, and every request used in this file takes exactly one opus_int32.
        checked(unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), request, value) }, doing).map(|_| ())
    }

    /// Encodes a frame of 10, 20, 40 or 60 ms into `out`; its length in bytes. A frame of at most 2 bytes need not be
    /// sent (DTX). Refuses other frame lengths and an `out` too small for anything.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, OpusError> {
        let samples = c_int::try_from(pcm.len()).unwrap_or(0);
        let allowed = self.max_bitrate.map_or(4000, |bitrate| self.allowance(bitrate, pcm.len()));
        let room = out.len().min(4000).min(allowed) as i32;
        // SAFETY: `state` is live and mono, so libopus reads exactly `samples` values of `pcm` (it refuses lengths that
        // are no Opus frame) and writes at most `room` ≤ `out.len()` bytes.
        let len = unsafe { sys::opus_encode(self.state.as_ptr(), pcm.as_ptr(), samples, out.as_mut_ptr(), room) };
        let len = checked(len, "encode a frame")? as usize;
        self.unused = self.unused.saturating_sub(self.bits(len));
        Ok(len)
    }

    /// Bytes that the next frame may have.
    fn allowance(&mut self, bitrate: u32, samples: usize) -> usize {
        let (due, second) = (u64::from(bitrate) * samples as u64, u64::from(bitrate) * u64::from(self.hz));
        self.unused = (self.unused + due).min(second);
        let allowed = if self.cbr { due } else { self.unused };
        (allowed / self.bits(1)) as usize
    }

    /// What so many bytes use up, as `unused` counts it.
    fn bits(&self, bytes: usize) -> u64 {
        bytes as u64 * 8 * u64::from(self.hz)
    }

    /// Sample rate in Hz.
    pub fn hz(&self) -> u32 {
        self.hz
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: `state` came from `opus_encoder_create` and is freed only here.
        unsafe { sys::opus_encoder_destroy(self.state.as_ptr()) }
    }
}

impl fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusEncoder").field("hz", &self.hz).finish_non_exhaustive()
    }
}

/// Decodes to mono.
pub struct OpusDecoder {
    state: NonNull<sys::OpusDecoder>,
    hz: u32,
}

// SAFETY: as for `OpusEncoder`.
unsafe impl Send for OpusDecoder {}

impl OpusDecoder {
    /// A decoder to mono PCM at `hz` (8,000, 12,000, 16,000, 24,000 or 48,000), whatever rate the sender used.
    pub fn new(hz: u32) -> Result<Self, OpusError> {
        let mut error = 0;
        // SAFETY: `error` outlives the call; libopus checks the other arguments and returns null when it refuses them.
        let state = unsafe { sys::opus_decoder_create(hz.cast_signed(), 1, &raw mut error) };
        let state = NonNull::new(state).ok_or(OpusError { code: error, doing: "make a decoder" })?;
        Ok(Self { state, hz })
    }

    /// Decodes a packet into `out`; samples written. Refuses malformed packets and an `out` shorter than the packet.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, OpusError> {
        if payload.is_empty() {
            // libopus would take an empty packet for a lost one.
            return Err(OpusError { code: sys::OPUS_INVALID_PACKET, doing: "decode an empty packet" });
        }
        self.call(Some(payload), out, false, "decode a packet")
    }

    /// Recovers the packet before `next` from the copy `next` carries, filling `out`, whose length is the lost duration
    /// (a multiple of 2.5 ms). Conceals when `next` carries none.
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Result<usize, OpusError> {
        if next.is_empty() {
            return self.conceal(out);
        }
        self.call(Some(next), out, true, "recover a packet")
    }

    /// Conceals a lost packet, or goes on with comfort noise in DTX, filling `out` (a multiple of 2.5 ms).
    pub fn conceal(&mut self, out: &mut [i16]) -> Result<usize, OpusError> {
        self.call(None, out, false, "conceal a loss")
    }

    fn call(
        &mut self,
        payload: Option<&[u8]>,
        out: &mut [i16],
        fec: bool,
        doing: &'static str,
    ) -> Result<usize, OpusError> {
        let longest = self.hz as usize / 1000 * MAX_PACKET_MS;
        let room = out.len().min(longest) as c_int;
        let (data, len) = payload.map_or((ptr::null(), 0), |p| (p.as_ptr(), p.len().min(i32::MAX as usize) as i32));
        // SAFETY: `state` is live and mono; `data` is null or points to `len` readable bytes; libopus writes at most
        // `room` ≤ `out.len()` samples and refuses a packet that needs more.
        let samples = unsafe { sys::opus_decode(self.state.as_ptr(), data, len, out.as_mut_ptr(), room, fec.into()) };
        checked(samples, doing).map(|samples| samples as usize)
    }

    /// Sample rate in Hz.
    pub fn hz(&self) -> u32 {
        self.hz
    }
}

impl Drop for OpusDecoder {
    fn drop(&mut self) {
        // SAFETY: `state` came from `opus_decoder_create` and is freed only here.
        unsafe { sys::opus_decoder_destroy(self.state.as_ptr()) }
    }
}

impl fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusDecoder").field("hz", &self.hz).finish_non_exhaustive()
    }
}

/// Duration of a packet in RTP ticks (48 kHz), by its table of contents (RFC 6716 §3.1); `None` when malformed.
pub fn packet_ticks(payload: &[u8]) -> Option<u32> {
    let (&toc, rest) = payload.split_first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*rest.first()? & 0x3f),
    };
    let ticks = frame * frames;
    (1..=5760).contains(&ticks).then_some(ticks)
}
