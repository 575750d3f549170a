//! Browser peers: driven whenever something changed, between their own timers.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use dialroom_protocol::{Event, PeerState, Publication, Slot, TrackSource};
use dialroom_rtc::{
    Forwarding, IceState, MediaKind, Output, Peer, PeerEvent, PeerKey, Protocol, Route, RouterOutput, RtpIn, Seat,
    SlotView, Transmit,
};
use slotmap::{Key, KeyData, new_key_type};

use crate::bridge::{BridgeKey, is_announcement};
use crate::leg::Membership;
use crate::outbox::{Socket, StreamPacket};
use crate::shard::Shard;

new_key_type! {
    /// A browser peer of a shard.
    pub struct PeerId;
}

/// Rounds of driving peers and bridges in one step; what is left waits for the next millisecond.
const MAX_ROUNDS: usize = 10_000;

/// A peer's key towards the WebRTC crate.
pub(super) fn rtc_key(id: PeerId) -> PeerKey {
    PeerKey(id.data().as_ffi())
}

pub(super) fn peer_id(key: PeerKey) -> PeerId {
    KeyData::from_ffi(key.0).into()
}

/// One browser.
pub struct PeerEntry {
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) peer: Peer,
    pub(super) membership: Option<Membership>,
    pub(super) publish: Vec<Publication>,
    pub(super) audio_slots: Vec<String>,
    pub(super) video_slots: Vec<String>,
    /// What the video slots are to show.
    pub(super) wanted: Vec<(String, String, TrackSource)>,
    pub(super) blocked: Vec<TrackSource>,
    pub(super) connected: bool,
    /// Its slots' streams while it is in no bridge, or not connected yet.
    pub(super) seat: Option<Seat>,
    /// Whether it has its seat in the bridge it is in.
    pub(super) seated: bool,
    /// An ICE restart was answered: the next connection is told again.
    pub(super) restarted: bool,
    pub(super) due: Instant,
    pub(super) dirty: bool,
    /// The audio slots as told last.
    pub(super) slots: Vec<Slot>,
    #[cfg(test)]
    pub(super) panics: bool,
}

impl PeerEntry {
    pub(super) fn bridge(&self) -> Option<BridgeKey> {
        self.membership.as_ref().map(|membership| membership.bridge)
    }

    pub(super) fn state(&self, bridge: Option<String>) -> PeerState {
        PeerState {
            peer: self.id.clone(),
            tag: self.tag.clone(),
            connected: self.connected,
            bridge,
            participant: self.membership.as_ref().map(|m| m.participant.to_string()),
        }
    }

    pub(super) fn slots_event(&self) -> Event {
        Event::SlotsChanged { peer: self.id.clone(), slots: self.slots.clone() }
    }

    pub(super) fn empty_slots(audio_slots: &[String]) -> Vec<Slot> {
        audio_slots.iter().map(|mid| Slot { mid: mid.clone(), participant: None, source: None }).collect()
    }

    /// Takes what the router says of all slots; whether an audio slot is filled otherwise than before.
    fn take_slots(&mut self, views: &[SlotView]) -> bool {
        let slot = |mid: &String| {
            let view = views.iter().find(|view| view.mid.as_str() == mid);
            let voice = view.filter(|view| view.track.as_ref().is_some_and(|track| !is_announcement(track)));
            let participant = voice.and_then(|view| view.participant.as_ref()).map(|p| p.to_string());
            let source = participant.is_some().then_some(TrackSource::Microphone);
            Slot { mid: mid.clone(), participant, source }
        };
        let slots: Vec<Slot> = self.audio_slots.iter().map(slot).collect();
        let changed = slots != self.slots;
        self.slots = slots;
        changed
    }
}

impl Shard {
    /// Takes a datagram from the UDP port for browsers, or a packet from an ICE-TCP connection. `local` is where it
    /// arrived.
    pub fn receive_web(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        local: SocketAddr,
        datagram: &[u8],
    ) {
        self.counters.datagrams_received += 1;
        let entry = match self.demux.route(protocol, source, datagram) {
            Route::Peer(key) => self.peers.get_mut(peer_id(key)).map(|entry| (peer_id(key), entry)),
            _ => None,
        };
        let Some((id, entry)) = entry else {
            self.counters.datagrams_unknown += 1;
            return;
        };
        entry.peer.handle_datagram(now, protocol, source, local, datagram);
        self.mark_peer(id);
        if self.dirty_peers.len() >= 32 {
            self.settle(now);
        }
    }

    /// Whether a browser has proved that this address is its own.
    pub fn knows_web(&self, protocol: Protocol, source: SocketAddr) -> bool {
        self.demux.knows(protocol, source)
    }

    pub(super) fn mark_peer(&mut self, id: PeerId) {
        if let Some(entry) = self.peers.get_mut(id).filter(|entry| !entry.dirty) {
            entry.dirty = true;
            self.dirty_peers.push(id);
        }
    }

    /// Lets time pass for peers.
    pub(super) fn wake_peers(&mut self, now: Instant) {
        for (id, entry) in &mut self.peers {
            if entry.due <= now {
                entry.peer.handle_timeout(now);
                if !std::mem::replace(&mut entry.dirty, true) {
                    self.dirty_peers.push(id);
                }
            }
        }
    }

    /// Drives peers and bridges until nothing is left to do. A bug is the end of one peer, or of one step of a bridge.
    pub(super) fn settle(&mut self, now: Instant) {
        for _ in 0..MAX_ROUNDS {
            if let Some(id) = self.dirty_peers.pop() {
                if catch_unwind(AssertUnwindSafe(|| self.drain_peer(id, now))).is_err() {
                    self.give_up_peer(id, now);
                }
            } else if let Some(key) = self.dirty_bridges.pop() {
                if catch_unwind(AssertUnwindSafe(|| self.drain_bridge(key, now))).is_err() {
                    self.counters.panics += 1;
                    tracing::error!(
                        bridge = self.bridges.get(key).map(|b| &b.id),
                        "a bug in the forwarding of a bridge"
                    );
                }
            } else {
                return;
            }
        }
        tracing::error!("peers and bridges keep each other busy; the rest waits");
    }

    /// Ends a peer in whose media a bug came up.
    fn give_up_peer(&mut self, id: PeerId, now: Instant) {
        self.counters.panics += 1;
        let Some(peer) = self.peers.get(id).map(|entry| entry.id.clone()) else {
            return;
        };
        tracing::error!(peer, "a bug in the media engine ends this peer");
        if catch_unwind(AssertUnwindSafe(|| self.remove_peer(id, now))).is_err() {
            self.peers.remove(id);
            self.peer_ids.remove(&peer);
        }
        self.outbox.events.push(Event::PeerEnded { peer, reason: "an internal error of the media plane".to_owned() });
    }

    fn drain_peer(&mut self, id: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(id) {
            entry.dirty = false;
            #[cfg(test)]
            assert!(!entry.panics, "a bug in a peer");
        }
        while let Some(entry) = self.peers.get_mut(id) {
            match entry.peer.poll(now) {
                Output::Timeout(due) => {
                    entry.due = due;
                    return;
                }
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Event(event) => self.take_peer_event(id, event, now),
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let (destination, bytes) = (transmit.destination, transmit.bytes);
        match transmit.protocol {
            Protocol::Udp => {
                self.outbox.datagram(Socket::WebRtc, destination, |out| {
                    out.get_mut(..bytes.len())?.copy_from_slice(&bytes);
                    Some(bytes.len())
                });
            }
            Protocol::Tcp => self.outbox.stream_packets.push(StreamPacket { destination, bytes }),
        }
    }

    /// Sends what a closed peer still has to say; its events are nobody's any more.
    pub(super) fn say_goodbye(&mut self, id: PeerId, now: Instant) {
        while let Some(output) = self.peers.get_mut(id).map(|entry| entry.peer.poll(now)) {
            match output {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Event(_) => {}
            }
        }
    }

    fn take_peer_event(&mut self, id: PeerId, event: PeerEvent, now: Instant) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        match event {
            PeerEvent::Connected => {
                entry.connected = true;
                entry.restarted = false;
                tracing::info!(peer = entry.id, "peer connected");
                self.outbox.events.push(Event::PeerConnected { peer: entry.id.clone() });
                self.take_seat(id, now);
            }
            PeerEvent::IceStateChanged(state) => self.ice_changed(id, state),
            PeerEvent::RemoteAddress { protocol, address } => self.demux.learn(rtc_key(id), protocol, address),
            PeerEvent::Rtp(packet) => self.forward(id, &packet, now),
            PeerEvent::KeyframeRequest { mid } => {
                if let Some((key, bridge)) = entry.bridge().and_then(|key| Some((key, self.bridges.get_mut(key)?))) {
                    bridge.router.handle_keyframe_request(now, rtc_key(id), mid);
                    self.dirty_bridges.push(key);
                }
            }
            PeerEvent::Stats(_) => {}
            PeerEvent::Ended { reason } => {
                let peer = entry.id.clone();
                tracing::info!(peer, %reason, "peer ended");
                self.outbox.events.push(Event::PeerEnded { peer, reason: reason.to_string() });
                self.remove_peer(id, now);
            }
        }
    }

    fn ice_changed(&mut self, id: PeerId, state: IceState) {
        let Some(entry) = self.peers.get_mut(id).filter(|entry| entry.peer.is_connected()) else {
            return;
        };
        match state {
            IceState::Connected if !entry.connected || entry.restarted => {
                entry.connected = true;
                entry.restarted = false;
                self.outbox.events.push(Event::PeerConnected { peer: entry.id.clone() });
            }
            IceState::Disconnected if entry.connected => {
                entry.connected = false;
                tracing::info!(peer = entry.id, "peer lost its connection");
                self.outbox.events.push(Event::PeerDisconnected { peer: entry.id.clone() });
            }
            _ => {}
        }
    }

    /// Media of a browser: to the other browsers, and its voice into the mix.
    fn forward(&mut self, id: PeerId, packet: &RtpIn, now: Instant) {
        let micros = self.clock.micros(now);
        let key = self.peers.get(id).and_then(|entry| entry.bridge());
        let Some((key, bridge)) = key.and_then(|key| Some((key, self.bridges.get_mut(key)?))) else {
            return;
        };
        let peer = rtc_key(id);
        let forwarding = bridge.router.handle_rtp(now, peer, packet);
        if matches!(forwarding, Forwarding::Forwarded(_)) && packet.codec.kind() == MediaKind::Audio {
            let phones_listen = !bridge.legs.is_empty();
            if let Some(microphone) = bridge.microphones.iter_mut().find(|microphone| microphone.peer == peer) {
                microphone.take(packet, phones_listen, micros);
            }
        }
        self.dirty_bridges.push(key);
    }

    fn drain_bridge(&mut self, key: BridgeKey, now: Instant) {
        while let Some(output) = self.bridges.get_mut(key).and_then(|bridge| bridge.router.poll()) {
            match output {
                RouterOutput::Write { peer, mid, packet } => {
                    let id = peer_id(peer);
                    if let Some(entry) = self.peers.get_mut(id) {
                        // A browser that is not connected yet misses what is said meanwhile.
                        if entry.peer.write(now, mid, packet).is_ok() {
                            self.mark_peer(id);
                        }
                    }
                }
                RouterOutput::RequestKeyframe { peer, mid } => {
                    if let Some(entry) = self.peers.get_mut(peer_id(peer)) {
                        entry.peer.request_keyframe(now, mid);
                        self.mark_peer(peer_id(peer));
                    }
                }
                RouterOutput::SlotsChanged { peer, slots } => {
                    if let Some(entry) = self.peers.get_mut(peer_id(peer))
                        && entry.take_slots(&slots)
                    {
                        self.outbox.events.push(entry.slots_event());
                    }
                }
                RouterOutput::Speaking { .. } => {}
            }
        }
    }
}
