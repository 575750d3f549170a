//! One browser connection, driven without I/O.
//!
//! The WebRTC library demands that every mutation of a connection be followed by draining its output before the next
//! one. That contract is kept in one place, [`Peer::step`]: it applies one mutation, drains into a bounded queue, and
//! catches a panic, which ends this peer and no other. Everything public is a call to it, or takes from the queue.

use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::media::{KeyframeRequestKind, Pt};
use str0m::net::Receive;
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc};
use str0m::{Input, Rtc, RtcError};

use crate::credentials::{IceCredentials, PeerAddress};
use crate::drain::{Drain, net_protocol};
use crate::negotiate::{self, OfferError, PeerConfig, guarded, refused};
use crate::types::{Codec, Line, Mid, Protocol, Rotation, RtpIn, RtpOut};

/// Outputs queued per peer; media beyond it is dropped and counted, events never are.
pub const MAX_QUEUED: usize = 4096;

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

/// One browser connection.
pub struct Peer {
    rtc: Option<Box<Rtc>>,
    address: PeerAddress,
    candidates: Vec<(Protocol, SocketAddr)>,
    lines: Vec<Line>,
    slots: Vec<Slot>,
    drain: Drain,
    unsent: bool,
    connected: bool,
    connect_by: Instant,
    lost_at: Option<Instant>,
    grace: Duration,
    max_video_bitrate: u32,
    ended: Option<EndReason>,
}

struct Slot {
    mid: Mid,
    ssrc: Ssrc,
    payload_types: Vec<(Pt, Codec)>,
    resend: bool,
}

impl Peer {
    pub(crate) fn new(
        now: Instant,
        rtc: Rtc,
        address: PeerAddress,
        candidates: Vec<(Protocol, SocketAddr)>,
        mids: &[str0m::media::Mid],
        config: &PeerConfig,
    ) -> Result<Self, OfferError> {
        let mut peer = Self {
            rtc: Some(Box::new(rtc)),
            address,
            candidates,
            lines: Vec::new(),
            slots: Vec::new(),
            drain: Drain::new(now),
            unsent: false,
            connected: false,
            connect_by: now + config.connect_timeout,
            lost_at: None,
            grace: config.disconnect_grace,
            max_video_bitrate: config.max_video_bitrate,
            ended: None,
        };
        peer.step(now, |_| Ok(()));
        peer.read_lines(mids, config);
        if peer.ended.is_some() { Err(OfferError::Internal) } else { Ok(peer) }
    }

    fn read_lines(&mut self, mids: &[str0m::media::Mid], config: &PeerConfig) {
        let Some(rtc) = self.rtc.as_mut() else {
            return;
        };
        for &mid in mids {
            let Some(line) = negotiate::line(rtc, mid) else {
                continue;
            };
            let payload_types = negotiate::payload_types(rtc, mid);
            self.drain.payload_types.extend(payload_types.iter().copied());
            if line.direction.sends()
                && let Some(stream) = rtc.direct_api().stream_tx_by_mid(mid, None)
            {
                let resend = stream.rtx().is_some();
                if resend {
                    stream.set_rtx_cache(config.rtx.packets, config.rtx.age, Some(RTX_SHARE));
                }
                self.slots.push(Slot { mid: line.mid, ssrc: stream.ssrc(), payload_types, resend });
            }
            self.lines.push(line);
        }
    }

    /// Shard and key this peer was accepted with.
    pub fn address(&self) -> PeerAddress {
        self.address
    }

    /// The lines of the session in the order of the offer: what the browser publishes, and its slots.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// True from [`PeerEvent::Connected`] until the end.
    pub fn is_connected(&self) -> bool {
        self.connected && self.ended.is_none()
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<&EndReason> {
        self.ended.as_ref()
    }

    /// The SRTP profile in use; known once the browser has sent media.
    pub fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.drain.profile
    }

    /// Counts since it began.
    pub fn counters(&self) -> PeerCounters {
        self.drain.counters
    }

    /// Takes a datagram that [`crate::Demux::route`] found to be this peer's.
    ///
    /// `destination` is the local address it arrived on; a wildcard or translated address is taken for our candidate
    /// of that protocol and family. Malformed datagrams are counted and have no other effect.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let destination = self.candidate(protocol, destination);
        let Ok(receive) = Receive::new(net_protocol(protocol), source, destination, bytes) else {
            self.drain.counters.refused_datagrams += 1;
            return;
        };
        self.drain.arriving = bytes.len();
        let mut accepted = true;
        self.step(now, |rtc| {
            // An error here was caused by what the network brought, and anyone can forge that: it ends nothing.
            accepted = rtc.handle_input(Input::Receive(now, receive)).is_ok();
            Ok(())
        });
        self.drain.arriving = 0;
        if !accepted {
            self.drain.counters.refused_datagrams += 1;
        }
    }

    /// Lets time pass. Call it when the time told by [`Output::Timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.unsent = false;
        self.step(now, |rtc| rtc.handle_input(Input::Timeout(now)));
        self.check_deadlines(now);
    }

    /// The next thing to do. Call until it says [`Output::Timeout`], after each other call.
    pub fn poll(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.drain.queue.pop_front() {
                return output;
            }
            if !self.unsent {
                break;
            }
            // A written packet gets its time, and is sent, only when time is told.
            self.unsent = false;
            self.step(now, |rtc| rtc.handle_input(Input::Timeout(now)));
        }
        Output::Timeout(self.deadline(now))
    }

    /// Sends a packet on a slot; it comes out of the next [`Peer::poll`].
    ///
    /// # Errors
    /// [`WriteError`]; the packet is then dropped.
    pub fn write(&mut self, now: Instant, mid: Mid, packet: RtpOut) -> Result<(), WriteError> {
        if !self.is_connected() {
            return Err(WriteError::NotConnected);
        }
        let slot = self.slots.iter().find(|slot| slot.mid == mid).ok_or(WriteError::NoSuchSlot)?;
        let payload_type = slot.payload_types.iter().find(|(_, codec)| *codec == packet.codec);
        let (pt, _) = payload_type.ok_or(WriteError::CodecNotNegotiated)?;
        let (ssrc, rtp) = (slot.ssrc, rtp_write(*pt, packet, slot.resend));
        self.unsent = true;
        self.step(now, |rtc| {
            if let Some(stream) = rtc.direct_api().stream_tx(&ssrc) {
                stream.write_rtp(rtp);
            }
            Ok(())
        });
        Ok(())
    }

    /// Asks the browser for a keyframe on a line it publishes (PLI, RFC 4585 §6.3.1). No effect before its first packet.
    pub fn request_keyframe(&mut self, now: Instant, mid: Mid) {
        self.unsent = true;
        self.step(now, |rtc| {
            if let Some(stream) = rtc.direct_api().stream_rx_by_mid(mid.0, None) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
            Ok(())
        });
    }

    /// Answers an offer that restarts ICE (RFC 8445 §9), with credentials of the same [`PeerAddress`].
    ///
    /// Lines must be those of the first offer. Media goes on over the old path until the new one is chosen.
    ///
    /// # Errors
    /// [`OfferError`]; the connection goes on as it was.
    pub fn accept_restart(
        &mut self,
        now: Instant,
        offer: &str,
        credentials: &IceCredentials,
    ) -> Result<String, OfferError> {
        let again = negotiate::parse(offer)?;
        let before = self.local_ufrag();
        self.apply_offer(now, negotiate::parse(offer)?)?;
        if self.local_ufrag() != before {
            // The library drew credentials of its own; ours must say where checks belong. Setting them and taking the
            // same offer again renders the answer with them.
            let creds = negotiate::ice_creds(credentials);
            self.step(now, |rtc| {
                rtc.direct_api().set_local_ice_credentials(creds);
                Ok(())
            });
        }
        let answer = self.apply_offer(now, again)?;
        self.lost_at = None;
        self.connect_by = now + self.grace;
        Ok(negotiate::finish(&answer, self.max_video_bitrate))
    }

    fn local_ufrag(&mut self) -> Option<String> {
        self.rtc.as_mut().map(|rtc| rtc.direct_api().local_ice_credentials().ufrag)
    }

    fn apply_offer(&mut self, now: Instant, offer: str0m::change::SdpOffer) -> Result<String, OfferError> {
        let mut answer = Err(OfferError::PeerEnded);
        self.step(now, |rtc| {
            answer = guarded(|| rtc.sdp_api().accept_offer(offer).map(|a| a.to_sdp_string()).map_err(refused));
            Ok(())
        });
        answer
    }

    /// Ends the connection from our side: the browser is told (RTCP BYE, DTLS close) with the next [`Peer::poll`].
    pub fn close(&mut self, now: Instant) {
        self.step(now, Rtc::close);
        self.end(EndReason::Closed);
    }

    fn candidate(&self, protocol: Protocol, destination: SocketAddr) -> SocketAddr {
        let same = |candidate: &&(Protocol, SocketAddr)| **candidate == (protocol, destination);
        let alike = |candidate: &&(Protocol, SocketAddr)| {
            candidate.0 == protocol && candidate.1.is_ipv4() == destination.is_ipv4()
        };
        let mut candidates = self.candidates.iter();
        candidates.clone().find(same).or_else(|| candidates.find(alike)).map_or(destination, |(_, address)| *address)
    }

    /// One mutation, then the drain that must follow it.
    fn step(&mut self, now: Instant, mutate: impl FnOnce(&mut Rtc) -> Result<(), RtcError>) {
        let Some(rtc) = self.rtc.as_mut() else {
            return;
        };
        let drain = &mut self.drain;
        let result = catch_unwind(AssertUnwindSafe(|| {
            mutate(rtc)?;
            drain.run(rtc)
        }));
        match result {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.end(EndReason::Closed),
            Ok(Err(error)) => self.end(EndReason::Failed { detail: error.to_string() }),
            Err(_) => self.end(EndReason::Panicked),
        }
        if self.drain.connected {
            self.connected = true;
        }
        self.note_ice(now);
    }

    fn note_ice(&mut self, now: Instant) {
        match self.drain.ice {
            IceState::Disconnected => self.lost_at = self.lost_at.or(Some(now)),
            IceState::Connected => self.lost_at = None,
            IceState::Checking => {}
        }
    }

    fn check_deadlines(&mut self, now: Instant) {
        if self.ended.is_some() {
            return;
        }
        if self.waiting_to_connect() && now >= self.connect_by {
            self.end(if self.connected { EndReason::ConnectionLost } else { EndReason::ConnectTimeout });
        } else if self.lost_at.is_some_and(|lost| now >= lost + self.grace) {
            self.end(EndReason::ConnectionLost);
        }
    }

    fn waiting_to_connect(&self) -> bool {
        !self.connected || self.drain.ice == IceState::Checking
    }

    fn deadline(&self, now: Instant) -> Instant {
        if self.ended.is_some() {
            return now + Duration::from_secs(3600);
        }
        let connect = self.waiting_to_connect().then_some(self.connect_by);
        let lost = self.lost_at.map(|lost| lost + self.grace);
        [connect, lost].into_iter().flatten().fold(self.drain.timeout, Instant::min).max(now)
    }

    fn end(&mut self, reason: EndReason) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(reason.clone());
        // Dropping what a panic left behind may panic again.
        let rtc = self.rtc.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(rtc)));
        self.drain.queue.push_back(Output::Event(PeerEvent::Ended { reason }));
    }
}

/// Share of retransmissions above which the oldest of them are given up: with more, the path is congested.
const RTX_SHARE: f32 = 0.3;

fn rtp_write(pt: Pt, packet: RtpOut, nackable: bool) -> RtpWrite {
    let extensions = ExtensionValues {
        audio_level: packet.level,
        voice_activity: packet.level.and(packet.voice.or(Some(false))),
        video_orientation: packet.rotation.map(Rotation::into),
        ..ExtensionValues::default()
    };
    let rtp = RtpWrite::new(pt, packet.seq.into(), packet.timestamp, packet.wallclock, packet.payload)
        .marker(packet.marker)
        .nackable(nackable)
        .ext_vals(extensions);
    match packet.vp8 {
        Some(rewrite) => rtp.vp8_patch(rewrite.0),
        None => rtp,
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("address", &self.address)
            .field("connected", &self.connected)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
