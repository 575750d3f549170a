//! What the media plane tells by itself.

use serde::{Deserialize, Serialize};

use crate::values::{Slot, Speaker, Statistics};

/// Why a playback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PlaybackEnd {
    Finished,
    Stopped,
    Replaced,
}

/// An event. Must-deliver events are numbered and kept until the control plane has had them; of latest-wins events
/// only the newest matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum Event {
    /// One RFC 4733 event, reported once, when it ended. `duration` in ms.
    #[serde(rename = "digit")]
    DigitReceived { leg: String, digit: String, duration: u32 },
    /// A playback came to its end, was stopped, or was replaced.
    #[serde(rename = "playback.ended")]
    PlaybackEnded { leg: String, playback: String, reason: PlaybackEnd },
    /// Neither RTP nor RTCP for `silence` ms.
    #[serde(rename = "leg.silent")]
    LegSilent { leg: String, silence: u64 },
    /// A leg the media plane had to give up, and why.
    #[serde(rename = "leg.ended")]
    LegEnded { leg: String, reason: String },
    /// Media for a latched leg came from a stranger.
    #[serde(rename = "leg.source_rejected")]
    SourceRejected { leg: String, address: String },
    /// The last digit has left.
    #[serde(rename = "digits.sent")]
    DigitsSent { leg: String },
    /// ICE and DTLS are through.
    #[serde(rename = "peer.connected")]
    PeerConnected { peer: String },
    /// ICE consent is lost.
    #[serde(rename = "peer.disconnected")]
    PeerDisconnected { peer: String },
    /// A peer the media plane had to give up, and why.
    #[serde(rename = "peer.ended")]
    PeerEnded { peer: String, reason: String },
    /// Who is heard in a bridge, loudest first. Latest wins.
    #[serde(rename = "speakers")]
    SpeakersChanged { bridge: String, speakers: Vec<Speaker> },
    /// All audio slots of a peer and whose voice fills them. Latest wins.
    #[serde(rename = "slots")]
    SlotsChanged { peer: String, slots: Vec<Slot> },
    /// A leg's quality, each 10 s. Latest wins.
    #[serde(rename = "statistics")]
    StatisticsReported { leg: String, statistics: Statistics },
}

impl Event {
    /// Whether only the newest event of this kind and subject matters.
    pub fn is_latest_wins(&self) -> bool {
        matches!(self, Self::SpeakersChanged { .. } | Self::SlotsChanged { .. } | Self::StatisticsReported { .. })
    }
}
