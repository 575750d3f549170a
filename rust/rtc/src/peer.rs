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
use crate::event::{EndReason, IceState, Output, PeerCounters, PeerEvent, SrtpProfile, WriteError};
use crate::negotiate::{self, OfferError, PeerConfig, guarded, refused};
use crate::types::{Codec, Line, Mid, Protocol, Rotation, RtpOut};

/// Outputs queued per peer; media beyond it is dropped and counted, events never are.
pub const MAX_QUEUED: usize = 4096;

/// Writes the library is given before it is made to send them, whether or not [`Peer::poll`] is called.
const MAX_UNSENT: usize = 64;

/// Share of retransmissions above which the oldest of them are given up: with more, the path is congested.
const RTX_SHARE: f32 = 0.3;

/// One browser connection.
pub struct Peer {
    rtc: Option<Box<Rtc>>,
    address: PeerAddress,
    candidates: Vec<(Protocol, SocketAddr)>,
    lines: Vec<Line>,
    slots: Vec<Slot>,
    drain: Drain,
    /// Packets and requests handed to the library since it was last told the time.
    unsent: usize,
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
            unsent: 0,
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
        let read = || Receive::new(net_protocol(protocol), source, destination, bytes);
        // Whoever sends this has proved nothing yet: not even a panic of the parser is the peer's end.
        let Ok(Ok(receive)) = catch_unwind(AssertUnwindSafe(read)) else {
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
        self.flush(now);
        self.check_deadlines(now);
    }

    /// The next thing to do. Call until it says [`Output::Timeout`], after each other call.
    pub fn poll(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.drain.queue.pop_front() {
                return output;
            }
            if self.unsent == 0 {
                break;
            }
            self.flush(now);
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
        self.unsent += 1;
        self.step(now, |rtc| {
            if let Some(stream) = rtc.direct_api().stream_tx(&ssrc) {
                stream.write_rtp(rtp);
            }
            Ok(())
        });
        if self.unsent >= MAX_UNSENT {
            self.flush(now);
        }
        Ok(())
    }

    /// Asks the browser for a keyframe on a line it publishes (PLI, RFC 4585 §6.3.1). No effect before its first packet.
    pub fn request_keyframe(&mut self, now: Instant, mid: Mid) {
        self.unsent += 1;
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
        let before = self.local_ufrag();
        let mut answer = self.apply_offer(now, negotiate::parse(offer)?)?;
        if self.local_ufrag() != before {
            // The library drew credentials of its own; ours must say where checks belong. Setting them and taking the
            // same offer again renders the answer with them.
            let creds = negotiate::ice_creds(credentials);
            self.step(now, |rtc| {
                rtc.direct_api().set_local_ice_credentials(creds);
                Ok(())
            });
            answer = self.apply_offer(now, negotiate::parse(offer)?)?;
        }
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

    /// A written packet gets its time, and is sent, only when time is told.
    fn flush(&mut self, now: Instant) {
        self.unsent = 0;
        self.step(now, |rtc| rtc.handle_input(Input::Timeout(now)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::ENTROPY_BYTES;
    use crate::negotiate::Certificate;
    use crate::types::PeerKey;

    const OFFER: &str = include_str!("../tests/data/chromium-156-offer.sdp");

    fn peer(now: Instant) -> Peer {
        let mut config = PeerConfig::new(Certificate::generate().unwrap());
        config.udp = vec!["192.0.2.1:7882".parse().unwrap()];
        let address = PeerAddress { shard: 0, peer: PeerKey(1) };
        Peer::accept(now, OFFER, IceCredentials::new(address, [3; ENTROPY_BYTES]), &config).unwrap().0
    }

    fn ended(peer: &mut Peer, now: Instant) -> Option<EndReason> {
        loop {
            match peer.poll(now) {
                Output::Event(PeerEvent::Ended { reason }) => return Some(reason),
                Output::Timeout(_) => return None,
                _ => {}
            }
        }
    }

    #[test]
    fn a_peer_may_be_made_on_one_thread_and_driven_on_another() {
        fn is_send<T: Send>(_: &T) {}
        is_send(&peer(Instant::now()));
    }

    #[test]
    fn a_panic_in_the_library_ends_that_peer_with_one_event_and_nothing_else() {
        let now = Instant::now();
        let (mut struck, mut other) = (peer(now), peer(now));
        struck.step(now, |_| panic!("a bug"));
        assert_eq!(ended(&mut struck, now), Some(EndReason::Panicked));
        struck.handle_timeout(now);
        struck.handle_datagram(now, Protocol::Udp, ([192, 0, 2, 9], 1).into(), ([192, 0, 2, 1], 7882).into(), &[0; 20]);
        assert_eq!(ended(&mut struck, now), None);
        assert_eq!(
            struck.accept_restart(now, OFFER, &IceCredentials::new(struck.address(), [4; ENTROPY_BYTES])).unwrap_err(),
            OfferError::PeerEnded
        );
        assert_eq!(ended(&mut other, now), None);
        assert_eq!(other.ended(), None);
    }

    #[test]
    fn an_error_of_the_library_on_time_ends_the_peer_with_its_reason() {
        let now = Instant::now();
        let mut peer = peer(now);
        peer.step(now, |_| Err(RtcError::RemoteSdp("test".into())));
        assert!(matches!(ended(&mut peer, now), Some(EndReason::Failed { detail }) if detail.contains("test")));
    }

    #[test]
    fn an_arrival_on_a_wildcard_or_translated_address_is_taken_for_our_candidate() {
        let peer = peer(Instant::now());
        let candidate: SocketAddr = ([192, 0, 2, 1], 7882).into();
        assert_eq!(peer.candidate(Protocol::Udp, ([0, 0, 0, 0], 7882).into()), candidate);
        assert_eq!(peer.candidate(Protocol::Udp, candidate), candidate);
        let other_family: SocketAddr = "[::1]:7882".parse().unwrap();
        assert_eq!(peer.candidate(Protocol::Udp, other_family), other_family);
    }
}
