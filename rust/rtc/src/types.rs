//! The values that cross this crate's border: names, lines of a session, RTP in and out.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::munge::Vp8Rewrite;

/// Key of a peer within one shard, chosen by the caller and carried in our ICE ufrag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey(pub u64);

/// `a=mid` of one m-line (RFC 8843): at most 16 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(pub(crate) str0m::media::Mid);

impl Mid {
    /// The mid as it stands in the session description.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Mid {
    fn from(mid: &str) -> Self {
        Self(mid.into())
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mid({})", self.as_str())
    }
}

/// How a datagram travels: UDP, or RFC 4571 frames in a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// One datagram per packet.
    Udp,
    /// ICE-TCP (RFC 6544); the caller frames with [`crate::tcp`].
    Tcp,
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Opus at 48 kHz.
    Audio,
    /// VP8 or H.264 at 90 kHz.
    Video,
}

/// What a published track shows or sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Somebody's voice.
    Microphone,
    /// Somebody's camera.
    Camera,
    /// A shared screen.
    Screen,
}

/// The codecs a room forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587, RTP clock 48 kHz.
    Opus,
    /// RFC 7741, RTP clock 90 kHz.
    Vp8,
    /// RFC 6184, constrained baseline, packetization-mode 1, RTP clock 90 kHz.
    H264,
}

/// Which way media flows on a line, seen from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineDirection {
    /// The browser publishes: we receive.
    Receive,
    /// A receive slot of the browser: we send.
    Send,
    /// Both ways.
    Both,
    /// Nothing flows (inactive or rejected).
    Inactive,
}

impl LineDirection {
    /// True if the browser publishes on this line.
    pub fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// True if we may send on this line: it is a slot.
    pub fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }
}

/// One m-line of the negotiated session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its mid.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// Who sends.
    pub direction: LineDirection,
    /// Codecs both sides have, in our order of preference.
    pub codecs: Vec<Codec>,
}

/// Coordination of video orientation (3GPP TS 26.114, `urn:3gpp:video-orientation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Upright.
    Deg0,
    /// 90° clockwise.
    Deg90,
    /// Upside down.
    Deg180,
    /// 90° counter-clockwise.
    Deg270,
}

/// One RTP packet received from a peer, decrypted.
#[derive(Debug, Clone)]
pub struct RtpIn {
    /// The line it came on.
    pub mid: Mid,
    /// Synchronisation source; a new one on the same line starts a new stream.
    pub ssrc: u32,
    /// What the payload is.
    pub codec: Codec,
    /// Extended sequence number: never wraps.
    pub seq: u64,
    /// RTP timestamp in the codec's clock.
    pub timestamp: u32,
    /// Marker bit: last packet of a video frame, or first of a talkspurt.
    pub marker: bool,
    /// Audio level in dBov, −127 to 0 (RFC 6464), if the sender tells it.
    pub level: Option<i8>,
    /// Voice activity as judged by the sender (RFC 6464 `V` bit).
    pub voice: Option<bool>,
    /// Video orientation, on the packets that carry it.
    pub rotation: Option<Rotation>,
    /// RTP payload without padding, shared with every packet forwarded from it.
    pub payload: Arc<[u8]>,
    /// When it arrived.
    pub arrival: Instant,
}

/// One RTP packet to send into a slot. SSRC and payload type are the slot's own.
#[derive(Debug, Clone)]
pub struct RtpOut {
    /// What the payload is.
    pub codec: Codec,
    /// Extended sequence number; must not exceed 65 535 on the first packet of a slot (SRTP roll-over counter).
    pub seq: u64,
    /// RTP timestamp in the codec's clock.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// Audio level in dBov, −127 to 0.
    pub level: Option<i8>,
    /// Voice activity.
    pub voice: Option<bool>,
    /// Video orientation.
    pub rotation: Option<Rotation>,
    /// RTP payload.
    pub payload: Arc<[u8]>,
    /// VP8 descriptor fields to replace while serialising, so that the payload stays shared.
    pub vp8: Option<Vp8Rewrite>,
    /// Wall-clock moment that `timestamp` stands for: arrival of the packet it was made from.
    pub wallclock: Instant,
}

/// One Opus frame that did not come from a peer: a phone's voice, encoded once by the caller.
#[derive(Debug, Clone)]
pub struct InjectedAudio {
    /// RTP timestamp, 48 kHz ticks.
    pub timestamp: u32,
    /// True on the first frame of a talkspurt.
    pub marker: bool,
    /// Level in dBov, −127 to 0.
    pub level: i8,
    /// Whether the caller's gate holds this for voice.
    pub voice: bool,
    /// One Opus packet.
    pub payload: Arc<[u8]>,
}
