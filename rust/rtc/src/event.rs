//! What a [`crate::Peer`] tells: datagrams to send, events, why it ended, figures.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::types::{Mid, Protocol, RtpIn};

/// What a peer wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Something happened.
    Event(PeerEvent),
    /// Nothing more now: call [`Peer::handle_timeout`] at this time, unless something else comes first.
    Timeout(Instant),
}

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    /// UDP, or a frame in the TCP connection with `destination`.
    pub protocol: Protocol,
    /// The candidate of ours to send from.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// The datagram.
    pub bytes: Vec<u8>,
}

/// State of the ICE connection as far as an ICE-lite end knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceState {
    /// Waiting for checks.
    Checking,
    /// Checks arrive.
    Connected,
    /// Checks have stopped arriving.
    Disconnected,
}

/// Why a peer ended. It transmits nothing more; drop it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The browser closed the connection (DTLS close).
    Closed,
    /// ICE or DTLS did not finish in time: the browser reached none of our candidates, or left.
    ConnectTimeout,
    /// Checks stopped, and no ICE restart came within the grace period.
    ConnectionLost,
    /// DTLS or SRTP failed for good.
    Failed {
        /// What failed.
        detail: String,
    },
    /// A bug in the WebRTC library; this peer is sacrificed.
    Panicked,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the browser"),
            Self::ConnectTimeout => f.write_str("browser did not connect to any of our candidates in time"),
            Self::ConnectionLost => f.write_str("connection lost and not restored in time"),
            Self::Failed { detail } => write!(f, "connection failed: {detail}"),
            Self::Panicked => f.write_str("internal error in the WebRTC library"),
        }
    }
}

/// Something that happened on a connection.
#[derive(Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are up: media flows. Told once.
    Connected,
    /// ICE state changed; [`IceState::Disconnected`] may be cured by [`Peer::accept_restart`].
    IceStateChanged(IceState),
    /// A connectivity check from this address was authenticated: [`crate::Demux::learn`] it. Told again with each check.
    RemoteAddress {
        /// Protocol of the check.
        protocol: Protocol,
        /// Its source.
        address: SocketAddr,
    },
    /// Media from the browser.
    Rtp(RtpIn),
    /// The browser asks for a keyframe on a slot.
    KeyframeRequest {
        /// The slot.
        mid: Mid,
    },
    /// Figures of the connection, every [`PeerConfig::stats_interval`].
    Stats(PeerStats),
    /// The last event.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// Figures of a connection since it began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerStats {
    /// Round trip by RTCP.
    pub rtt: Option<Duration>,
    /// Share of our packets the browser lost lately, 0 to 1.
    pub egress_loss: Option<f32>,
    /// Share of the browser's packets we lost lately, 0 to 1.
    pub ingress_loss: Option<f32>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Protection of media agreed by DTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpProfile {
    /// AEAD_AES_128_GCM or AEAD_AES_256_GCM (RFC 7714), keys scheduled once.
    AeadAesGcm,
    /// AES_CM_128_HMAC_SHA1_80 (RFC 3711): slower.
    AesCm128HmacSha1,
}

/// Why a packet was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// Not connected yet, or ended.
    NotConnected,
    /// No slot with this mid.
    NoSuchSlot,
    /// The browser did not accept this codec on the slot.
    CodecNotNegotiated,
}

/// Counts since the peer began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// Datagrams that were malformed or refused.
    pub refused_datagrams: u64,
    /// Media packets dropped because outputs were not taken in time.
    pub dropped_packets: u64,
}
