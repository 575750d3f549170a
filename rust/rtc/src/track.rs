//! What a [`crate::Router`] is told and tells: tracks, slots, writes, refusals.

use std::fmt;
use std::sync::Arc;

use crate::forward::Subscriber;
use crate::types::{MediaKind, Mid, PeerKey, RtpOut, Source};

/// Handle of a published track, never reused within a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey(pub(crate) u64);

/// Where the packets of a track come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A browser publishes it on this line.
    Peer {
        /// The browser.
        peer: PeerKey,
        /// The line.
        mid: Mid,
    },
    /// [`crate::Router::inject_audio`].
    Injected,
}

/// A track as it is published.
#[derive(Debug, Clone)]
pub struct TrackDescription {
    /// Its name in the room, unique there.
    pub id: Arc<str>,
    /// Whose it is. A participant never gets its own audio back.
    pub participant: Arc<str>,
    /// Audio or video.
    pub kind: MediaKind,
    /// Microphone, camera or screen.
    pub source: Source,
    /// Where its packets come from.
    pub origin: Origin,
}

/// A subscriber between two rooms: its slots' streams, which the next room must continue, because the browser has seen
/// their sequence numbers.
#[derive(Debug)]
pub struct Seat(pub(crate) Subscriber);

impl Seat {
    /// The same seat for whom the browser is in the next room.
    pub fn for_participant(mut self, participant: Arc<str>) -> Self {
        self.0.participant = participant;
        self
    }
}

/// What one slot of a subscriber shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotView {
    /// The slot.
    pub mid: Mid,
    /// The track in it, if any.
    pub track: Option<Arc<str>>,
    /// Whose track that is.
    pub participant: Option<Arc<str>>,
}

/// What a room wants done.
#[derive(Debug)]
pub enum RouterOutput {
    /// [`crate::Peer::write`] this.
    Write {
        /// To this peer,
        peer: PeerKey,
        /// on this slot.
        mid: Mid,
        /// The packet.
        packet: RtpOut,
    },
    /// [`crate::Peer::request_keyframe`] of this publisher.
    RequestKeyframe {
        /// The publisher.
        peer: PeerKey,
        /// Its line.
        mid: Mid,
    },
    /// A subscriber's slots show something else now; all of them are listed.
    SlotsChanged {
        /// The subscriber.
        peer: PeerKey,
        /// Audio slots first, then video, each in the order of the offer.
        slots: Vec<SlotView>,
    },
    /// Somebody began or stopped speaking.
    Speaking {
        /// The track.
        track: Arc<str>,
        /// Whose it is.
        participant: Arc<str>,
        /// Began or stopped.
        speaking: bool,
        /// Level of the last packet, in dBov.
        level: Option<i8>,
    },
}

/// Why a request to a router was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterError {
    /// A track of that name is published already.
    DuplicateTrack,
    /// That line of that peer is published already.
    LineInUse,
    /// [`crate::router::MAX_TRACKS`] are published.
    TooManyTracks,
    /// No such track.
    NoSuchTrack,
    /// That peer is no subscriber.
    NoSuchSubscriber,
    /// The peer has no video slot with that mid.
    NoSuchSlot,
    /// The track is not video.
    NotVideo,
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuplicateTrack => "a track with this id is published already",
            Self::LineInUse => "this line is published already under another track id",
            Self::TooManyTracks => "the room has as many tracks as it may",
            Self::NoSuchTrack => "no track with this id is published",
            Self::NoSuchSubscriber => "this connection does not receive in the room",
            Self::NoSuchSlot => "the connection has no video slot with this mid",
            Self::NotVideo => "the track is not video; audio slots are filled by who speaks",
        })
    }
}

impl std::error::Error for RouterError {}

/// What became of an incoming packet. A mixer that hears browsers takes only what was [`Forwarding::Forwarded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    /// Written into the slots that show it, which may be none.
    Forwarded(TrackKey),
    /// The track is muted by a moderator.
    Muted,
    /// Nothing is published on this line.
    NotPublished,
}
