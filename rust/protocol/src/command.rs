//! What the control plane asks of the media plane.

use serde::{Deserialize, Serialize};

use crate::values::{LegMedia, PlayItem, Publication, Slot, TrackSource};

/// Control plane to media plane: a command under an id that its reply repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Request {
    pub id: u64,
    pub command: Command,
}

/// Which side of a leg a recording takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingDirection {
    /// What comes from the phone.
    #[default]
    Heard,
    /// What we send to it.
    Told,
}

/// A command. Ids are chosen by the control plane, so that a command repeated after a lost answer means the same
/// thing again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum Command {
    /// Asks what is to be proved on this link; answered by `Challenge`.
    #[serde(rename = "challenge")]
    GetChallenge {},
    /// First command on a link but for `GetChallenge`; answered by `Snapshot`. `proof` is the HMAC-SHA256 of
    /// "dialroom control link" and the challenge under the secret, in hexadecimal, where there is a secret.
    #[serde(rename = "hello")]
    Hello {
        #[serde(default)]
        protocol: u32,
        #[serde(default)]
        after_event: Option<u64>,
        #[serde(default)]
        instance: Option<String>,
        #[serde(default)]
        proof: Option<String>,
    },
    /// Answered by `Done`.
    #[serde(rename = "ping")]
    Ping {},
    /// The media of one session.
    #[serde(rename = "bridge.open")]
    OpenBridge {
        bridge: String,
        #[serde(default)]
        tag: String,
    },
    /// Legs and peers in it stay open, in no bridge.
    #[serde(rename = "bridge.close")]
    CloseBridge { bridge: String },
    /// Everybody in the bridge hears it, but not `except_participant`.
    #[serde(rename = "bridge.play")]
    PlayToBridge {
        bridge: String,
        items: Vec<PlayItem>,
        #[serde(default)]
        except_participant: Option<String>,
    },
    /// Reserves the local port of a phone leg; answered by `LegOpened`. `signalling_address` is the host that its
    /// signalling comes from.
    #[serde(rename = "leg.open")]
    OpenLeg {
        leg: String,
        #[serde(default)]
        tag: String,
        #[serde(default)]
        remote_address: Option<String>,
        #[serde(default)]
        remote_rtp_port: Option<u16>,
        #[serde(default)]
        signalling_address: Option<String>,
    },
    /// Sets or changes a leg's media.
    #[serde(rename = "leg.configure")]
    ConfigureLeg { leg: String, media: LegMedia },
    /// Puts a leg into a bridge, leaving the one it was in.
    #[serde(rename = "leg.join")]
    JoinLeg {
        leg: String,
        bridge: String,
        participant: String,
        #[serde(default)]
        muted: bool,
    },
    /// Takes a leg out of its bridge.
    #[serde(rename = "leg.leave")]
    LeaveLeg { leg: String },
    /// A muted leg is not mixed; its digits still count.
    #[serde(rename = "leg.mute")]
    MuteLeg { leg: String, muted: bool },
    /// How loud the caller hears the room, in dB.
    #[serde(rename = "leg.gain")]
    SetLegGain { leg: String, gain: f64 },
    /// Plays to one leg, replacing what plays.
    #[serde(rename = "leg.play")]
    Play {
        leg: String,
        playback: String,
        items: Vec<PlayItem>,
        #[serde(default, rename = "loop")]
        repeat: bool,
    },
    /// Stops what plays to a leg.
    #[serde(rename = "leg.stop")]
    StopPlayback { leg: String },
    /// Sends RFC 4733 events; `duration` and `gap` in ms.
    #[serde(rename = "leg.digits")]
    SendDigits {
        leg: String,
        digits: String,
        #[serde(default = "default_digit_duration")]
        duration: u32,
        #[serde(default = "default_digit_gap")]
        gap: u32,
    },
    /// Records a leg into a WAV file.
    #[serde(rename = "recording.start")]
    StartRecording {
        recording: String,
        leg: String,
        path: String,
        #[serde(default)]
        direction: RecordingDirection,
    },
    /// Answered when the file is complete.
    #[serde(rename = "recording.stop")]
    StopRecording { recording: String },
    /// Answered by `LegStatistics`.
    #[serde(rename = "leg.statistics")]
    GetStatistics { leg: String },
    /// Answered by `LegStatistics`, the last ones.
    #[serde(rename = "leg.close")]
    CloseLeg { leg: String },
    /// Keeps a prompt.
    #[serde(rename = "clip.put")]
    PutClip {
        clip: String,
        #[serde(with = "serde_bytes")]
        audio: Vec<u8>,
    },
    /// A browser's SDP offer; answered by `PeerOpened`.
    #[serde(rename = "peer.open")]
    OpenPeer {
        peer: String,
        #[serde(default)]
        tag: String,
        offer: String,
        publish: Vec<Publication>,
        audio_slots: Vec<String>,
        video_slots: Vec<String>,
    },
    /// ICE restart; answered by `PeerOpened`.
    #[serde(rename = "peer.restart")]
    RestartPeer { peer: String, offer: String },
    /// Puts a peer into a bridge.
    #[serde(rename = "peer.join")]
    JoinPeer { peer: String, bridge: String, participant: String },
    /// Takes a peer out of its bridge.
    #[serde(rename = "peer.leave")]
    LeavePeer { peer: String },
    /// Fills a peer's video slots; slots not named stay as they are.
    #[serde(rename = "peer.subscribe")]
    Subscribe { peer: String, slots: Vec<Slot> },
    /// Nothing of a blocked track is forwarded or mixed.
    #[serde(rename = "peer.block")]
    BlockTrack { peer: String, source: TrackSource, blocked: bool },
    /// Closing what is closed is no error.
    #[serde(rename = "peer.close")]
    ClosePeer { peer: String },
    /// Answered by `Metrics`.
    #[serde(rename = "metrics")]
    GetMetrics {},
}

fn default_digit_duration() -> u32 {
    120
}

fn default_digit_gap() -> u32 {
    80
}

impl Command {
    /// The tag of the command on the link, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetChallenge {} => "challenge",
            Self::Hello { .. } => "hello",
            Self::Ping {} => "ping",
            Self::OpenBridge { .. } => "bridge.open",
            Self::CloseBridge { .. } => "bridge.close",
            Self::PlayToBridge { .. } => "bridge.play",
            Self::OpenLeg { .. } => "leg.open",
            Self::ConfigureLeg { .. } => "leg.configure",
            Self::JoinLeg { .. } => "leg.join",
            Self::LeaveLeg { .. } => "leg.leave",
            Self::MuteLeg { .. } => "leg.mute",
            Self::SetLegGain { .. } => "leg.gain",
            Self::Play { .. } => "leg.play",
            Self::StopPlayback { .. } => "leg.stop",
            Self::SendDigits { .. } => "leg.digits",
            Self::StartRecording { .. } => "recording.start",
            Self::StopRecording { .. } => "recording.stop",
            Self::GetStatistics { .. } => "leg.statistics",
            Self::CloseLeg { .. } => "leg.close",
            Self::PutClip { .. } => "clip.put",
            Self::OpenPeer { .. } => "peer.open",
            Self::RestartPeer { .. } => "peer.restart",
            Self::JoinPeer { .. } => "peer.join",
            Self::LeavePeer { .. } => "peer.leave",
            Self::Subscribe { .. } => "peer.subscribe",
            Self::BlockTrack { .. } => "peer.block",
            Self::ClosePeer { .. } => "peer.close",
            Self::GetMetrics {} => "metrics",
        }
    }
}
