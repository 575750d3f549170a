//! WebRTC peers and the forwarding of their media: the only crate that names str0m.
//!
//! Everything here is sans-IO. Bytes and `now` go in, values come out; the caller owns sockets, clocks and randomness.
//!
//! * [`Peer`] is one browser connection: ICE-lite, DTLS, SRTP, RTP in and out. [`Peer::accept`] turns the one offer a
//!   browser makes into a peer and an answer.
//! * [`Demux`] says which peer a datagram belongs to; [`tcp::Framer`] cuts an ICE-TCP stream into datagrams.
//! * [`Router`] is the forwarding of one room: published tracks, the receive slots of every subscriber, and what is
//!   written into which slot. It knows peers by [`PeerKey`] only and never touches a [`Peer`].
//!
//! The loop that joins them, once per wake-up of a shard:
//!
//! 1. datagram → [`Demux::route`] → [`Peer::handle_datagram`]; timers → [`Peer::handle_timeout`];
//! 2. drain [`Peer::poll`]: send what it transmits, learn [`PeerEvent::RemoteAddress`], give [`PeerEvent::Rtp`] and
//!    [`PeerEvent::KeyframeRequest`] to the [`Router`];
//! 3. drain [`Router::poll`]: [`Peer::write`] and [`Peer::request_keyframe`] on the peers it names, then drain those.

pub mod credentials;
pub mod demux;
mod drain;
pub mod event;
mod forward;
pub mod keyframe;
pub mod munge;
pub mod negotiate;
pub mod peer;
pub mod router;
pub mod slots;
pub mod speaker;
pub mod switch;
pub mod tcp;
pub mod track;
pub mod types;

pub use credentials::{ENTROPY_BYTES, IceCredentials, PeerAddress};
pub use demux::{Demux, Route};
pub use event::{EndReason, IceState, Output, PeerCounters, PeerEvent, PeerStats, SrtpProfile, Transmit, WriteError};
pub use negotiate::{Certificate, CodecPolicy, OfferError, PeerConfig, RtxCache};
pub use peer::Peer;
pub use router::Router;
pub use track::{Forwarding, Origin, RouterError, RouterOutput, Seat, SlotView, TrackDescription, TrackKey};
pub use types::{
    Codec, InjectedAudio, Line, LineDirection, MediaKind, Mid, PeerKey, Protocol, Rotation, RtpIn, RtpOut, Source,
};
