//! The values that cross between control and media plane.
//!
//! Each value is a MessagePack map tagged by `type`; a frame is a 32-bit big-endian length and that many bytes. The
//! same values exist in Python (`dialroom.media.protocol`), which documents their meaning; the golden files in
//! `tests/data/media_protocol` are read by both test suites and keep the two together.

mod answer;
mod command;
mod event;
mod frame;
mod values;

pub use answer::{Answer, FromMedia, Refusal, RefusalCode};
pub use command::{Command, RecordingDirection, Request};
pub use event::{Event, PlaybackEnd};
pub use frame::{
    FrameError, FrameReader, MAX_FRAME_BYTES, decode_from_media, decode_request, encode_from_media, encode_request,
    request_id,
};
pub use values::{
    Codec, CodecName, Direction, LegMedia, LegState, OpusParameters, PeerState, PlayItem, Publication, Slot, Speaker,
    Statistics, TelephoneEvent, TrackSource,
};

/// Version of the protocol; a [`Command::Hello`] with another one is refused.
pub const PROTOCOL_VERSION: u32 = 1;
