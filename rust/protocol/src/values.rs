//! Values shared by commands, answers and events.

use serde::{Deserialize, Serialize};

/// Audio codecs of phone legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum CodecName {
    #[serde(rename = "PCMU")]
    Pcmu,
    #[serde(rename = "PCMA")]
    Pcma,
    #[serde(rename = "G722")]
    G722,
    #[serde(rename = "opus")]
    Opus,
}

/// RFC 3264 direction, from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// Whether we send audio.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether we listen to audio.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Which of a participant's tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TrackSource {
    Microphone,
    Camera,
    Screen,
}

/// The negotiated audio codec of a leg. `ptime` is what we send, in ms (10 to 60).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Codec {
    pub name: CodecName,
    pub payload_type: u8,
    #[serde(default = "default_ptime")]
    pub ptime: u32,
    #[serde(default)]
    pub opus: Option<OpusParameters>,
}

fn default_ptime() -> u32 {
    20
}

/// What the peer's Opus decoder asks of our encoder, as RFC 7587 §6.1 names it and with its defaults:
/// `maxaveragebitrate` in bits per second (6,000 to 510,000), `maxplaybackrate` in Hz (8,000 to 48,000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct OpusParameters {
    pub maxaveragebitrate: u32,
    pub maxplaybackrate: u32,
    pub cbr: bool,
    pub useinbandfec: bool,
    pub usedtx: bool,
}

impl Default for OpusParameters {
    fn default() -> Self {
        Self { maxaveragebitrate: 510_000, maxplaybackrate: 48_000, cbr: false, useinbandfec: false, usedtx: false }
    }
}

/// RFC 4733 as negotiated; `clock_rate` in Hz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TelephoneEvent {
    pub payload_type: u8,
    #[serde(default = "default_clock_rate")]
    pub clock_rate: u32,
}

fn default_clock_rate() -> u32 {
    8000
}

/// Where a phone leg's media goes and in which shape. `direction` is ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LegMedia {
    pub remote_address: String,
    pub remote_rtp_port: u16,
    pub remote_rtcp_port: u16,
    #[serde(default)]
    pub rtcp_mux: bool,
    pub codec: Codec,
    #[serde(default)]
    pub telephone_event: Option<TelephoneEvent>,
    #[serde(default)]
    pub comfort_noise_payload_type: Option<u8>,
    #[serde(default)]
    pub direction: Direction,
}

/// One leg's quality so far. Loss as fractions 0..1, jitter and round trip in ms, MOS 1.0 to 4.5.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Statistics {
    pub packets_received: u64,
    pub packets_sent: u64,
    pub packets_lost: u64,
    pub packets_late: u64,
    pub packets_rejected: u64,
    pub loss: f64,
    pub jitter: f64,
    pub remote_loss: Option<f64>,
    pub remote_jitter: Option<f64>,
    pub round_trip: Option<f64>,
    pub mos: Option<f64>,
}

/// One piece of what is played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PlayItem {
    /// A prompt put there before by [`crate::Command::PutClip`].
    Clip { clip: String },
    /// Silence of `duration` ms.
    Silence { duration: u32 },
    /// A sine of `frequency` Hz for `duration` ms at `level` dBov.
    Tone {
        frequency: f64,
        duration: u32,
        #[serde(default = "default_tone_level")]
        level: f64,
    },
}

fn default_tone_level() -> f64 {
    -20.0
}

/// A browser's receive slot and whose track fills it; empty without participant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Slot {
    pub mid: String,
    #[serde(default)]
    pub participant: Option<String>,
    #[serde(default)]
    pub source: Option<TrackSource>,
}

/// The m-line on which a browser sends one of its tracks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Publication {
    pub mid: String,
    pub source: TrackSource,
}

/// A participant that is heard now. `level` in dBov, -127 to 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Speaker {
    pub participant: String,
    pub level: i32,
}

/// A leg as the media plane holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LegState {
    pub leg: String,
    pub tag: String,
    pub rtp_port: u16,
    #[serde(default)]
    pub bridge: Option<String>,
    #[serde(default)]
    pub participant: Option<String>,
    #[serde(default)]
    pub muted: bool,
    #[serde(default)]
    pub gain: f64,
    #[serde(default)]
    pub media: Option<LegMedia>,
    #[serde(default)]
    pub playback: Option<String>,
}

/// A browser peer as the media plane holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PeerState {
    pub peer: String,
    pub tag: String,
    pub connected: bool,
    #[serde(default)]
    pub bridge: Option<String>,
    #[serde(default)]
    pub participant: Option<String>,
}
