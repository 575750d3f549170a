//! Commands about browser peers.

use std::sync::Arc;
use std::time::Instant;

use dialroom_protocol::{Answer, Command, Publication, Refusal, RefusalCode, Slot, TrackSource};
use dialroom_rtc::{ENTROPY_BYTES, IceCredentials, Mid, OfferError, Peer, PeerAddress, RouterError};

use crate::bridge::{BridgeKey, MemberKey, track_name};
use crate::leg::Membership;
use crate::shard::Shard;
use crate::shard::commands::check_id;
use crate::shard::peers::{PeerEntry, PeerId, rtc_key};

/// Most peers of a shard.
pub const MAX_PEERS: usize = 5000;

fn bad_offer(error: &OfferError) -> Refusal {
    Refusal::new(RefusalCode::BadOffer, error.to_string())
}

impl Shard {
    pub(super) fn peer_command(&mut self, command: Command, now: Instant) -> Result<Answer, Refusal> {
        match command {
            Command::OpenPeer { peer, tag, offer, publish, audio_slots, video_slots } => {
                return self.open_peer((peer, tag), &offer, publish, (audio_slots, video_slots), now);
            }
            Command::RestartPeer { peer, offer } => return self.restart_peer(&peer, &offer, now),
            Command::JoinPeer { peer, bridge, participant } => self.join_peer(&peer, &bridge, &participant, now)?,
            Command::LeavePeer { peer } => {
                let id = self.peer_id(&peer)?;
                self.leave_peer(id, now);
            }
            Command::Subscribe { peer, slots } => self.subscribe(&peer, &slots, now)?,
            Command::BlockTrack { peer, source, blocked } => self.block_track(&peer, source, blocked, now)?,
            Command::ClosePeer { peer } => {
                if let Ok(id) = self.peer_id(&peer) {
                    self.close_peer(id, now);
                    tracing::info!(peer, "peer closed");
                }
            }
            other => {
                let message = format!("{} is no command about a peer", other.name());
                return Err(Refusal::new(RefusalCode::BadValue, message));
            }
        }
        Ok(Answer::Done {})
    }

    fn peer_id(&self, id: &str) -> Result<PeerId, Refusal> {
        let unknown = || Refusal::new(RefusalCode::UnknownPeer, format!("There is no peer {id}"));
        self.peer_ids.get(id).copied().ok_or_else(unknown)
    }

    fn credentials(&mut self, id: PeerId) -> IceCredentials {
        let mut entropy = [0; ENTROPY_BYTES];
        (self.config.entropy)(&mut entropy);
        IceCredentials::new(PeerAddress { shard: 0, peer: rtc_key(id) }, entropy)
    }

    fn open_peer(
        &mut self,
        (id, tag): (String, String),
        offer: &str,
        publish: Vec<Publication>,
        (audio_slots, video_slots): (Vec<String>, Vec<String>),
        now: Instant,
    ) -> Result<Answer, Refusal> {
        check_id("peer", &id)?;
        if self.peers.len() >= MAX_PEERS {
            return Err(Refusal::new(RefusalCode::NoCapacity, format!("There are {MAX_PEERS} peers already")));
        }
        // Opened again after a lost answer: the browser has a new offer, so the old peer is of no use.
        if let Ok(old) = self.peer_id(&id) {
            self.close_peer(old, now);
        }
        let mut entropy = [0; ENTROPY_BYTES];
        (self.config.entropy)(&mut entropy);
        let mut answer = String::new();
        let peers_config = &self.config.peers;
        // The key is in the credentials, so the peer is made when its key is known.
        let key = self.peers.try_insert_with_key(|key| {
            let credentials = IceCredentials::new(PeerAddress { shard: 0, peer: rtc_key(key) }, entropy);
            let accepted = Peer::accept(now, offer, credentials, peers_config).map_err(|error| bad_offer(&error))?;
            answer = accepted.1;
            let slots = PeerEntry::empty_slots(&audio_slots);
            Ok(Box::new(PeerEntry {
                id: id.clone(),
                tag,
                peer: accepted.0,
                membership: None,
                publish,
                audio_slots,
                video_slots,
                wanted: Vec::new(),
                blocked: Vec::new(),
                connected: false,
                seat: None,
                seated: false,
                restarted: false,
                due: now,
                dirty: false,
                slots,
                #[cfg(test)]
                panics: false,
            }))
        })?;
        self.check_lines(key).inspect_err(|_| {
            self.peers.remove(key);
        })?;
        tracing::info!(peer = id, "peer opened");
        self.peer_ids.insert(id, key);
        self.mark_peer(key);
        Ok(Answer::PeerOpened { answer })
    }

    /// What the control plane says of the lines must be true of the offer.
    fn check_lines(&self, id: PeerId) -> Result<(), Refusal> {
        let Some(entry) = self.peers.get(id) else {
            return Ok(());
        };
        let lines = entry.peer.lines();
        let missing = |what: &str, mid: &str| {
            Refusal::new(RefusalCode::BadOffer, format!("The offer has no line {mid} on which the browser {what}"))
        };
        for publication in &entry.publish {
            let found = lines.iter().any(|l| l.mid.as_str() == publication.mid && l.direction.receives());
            if !found {
                return Err(missing("sends", &publication.mid));
            }
        }
        for mid in entry.audio_slots.iter().chain(&entry.video_slots) {
            if !lines.iter().any(|line| line.mid.as_str() == mid && line.direction.sends()) {
                return Err(missing("receives", mid));
            }
        }
        Ok(())
    }

    fn restart_peer(&mut self, peer: &str, offer: &str, now: Instant) -> Result<Answer, Refusal> {
        let id = self.peer_id(peer)?;
        let credentials = self.credentials(id);
        let Some(entry) = self.peers.get_mut(id) else {
            return Err(bad_offer(&OfferError::Internal));
        };
        let answer = entry.peer.accept_restart(now, offer, &credentials).map_err(|error| bad_offer(&error))?;
        entry.restarted = true;
        self.mark_peer(id);
        Ok(Answer::PeerOpened { answer })
    }

    fn join_peer(&mut self, peer: &str, bridge: &str, participant: &str, now: Instant) -> Result<(), Refusal> {
        let (id, bridge_key) = (self.peer_id(peer)?, self.bridge_key(bridge)?);
        check_id("participant", participant)?;
        let member = self.peers.get(id).and_then(|entry| entry.membership.as_ref());
        if member.is_some_and(|m| m.bridge == bridge_key && &*m.participant == participant) {
            return Ok(());
        }
        self.leave_peer(id, now);
        self.place_bridge(bridge_key);
        let who: Arc<str> = participant.into();
        let (Some(entry), Some(bridge)) = (self.peers.get_mut(id), self.bridges.get_mut(bridge_key)) else {
            return Ok(());
        };
        entry.membership = Some(Membership { bridge: bridge_key, participant: who.clone() });
        bridge.peers += 1;
        for publication in &entry.publish {
            bridge.publish_browser(rtc_key(id), &who, Mid::from(publication.mid.as_str()), publication.source, now);
        }
        for source in &entry.blocked {
            bridge.router.set_muted(now, &track_name(&who, *source), true);
        }
        tracing::info!(peer, bridge = bridge.id, participant, "peer joined");
        self.show_wanted(bridge_key, now);
        self.take_seat(id, now);
        self.dirty_bridges.push(bridge_key);
        Ok(())
    }

    /// Lets a peer receive in the bridge it is in. Not before it is connected: what it is sent earlier would be lost,
    /// keyframes included.
    pub(super) fn take_seat(&mut self, id: PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(id).filter(|entry| !entry.seated && entry.peer.is_connected()) else {
            return;
        };
        let Some(membership) = entry.membership.clone() else {
            return;
        };
        let Some(bridge) = self.bridges.get_mut(membership.bridge) else {
            return;
        };
        entry.seated = true;
        match entry.seat.take() {
            Some(seat) => bridge.router.seat(seat.for_participant(membership.participant)),
            None => bridge.router.subscribe(rtc_key(id), membership.participant, entry.peer.lines()),
        }
        self.show_wanted(membership.bridge, now);
        self.dirty_bridges.push(membership.bridge);
    }

    /// Shows in video slots what was asked for and has come to be since.
    fn show_wanted(&mut self, key: BridgeKey, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(key) else {
            return;
        };
        for (id, entry) in self.peers.iter().filter(|(_, entry)| entry.bridge() == Some(key) && entry.seated) {
            for (mid, participant, source) in &entry.wanted {
                let track = track_name(participant, *source);
                // What is not published yet is shown when it is.
                if bridge.router.track(&track).is_some() {
                    let shown = bridge.router.request_video(now, rtc_key(id), Mid::from(mid.as_str()), Some(&track));
                    if let Err(error) = shown {
                        tracing::warn!(peer = entry.id, mid, %error, "a video slot stays empty");
                    }
                }
            }
        }
    }

    fn leave_peer(&mut self, id: PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let Some(membership) = entry.membership.take() else {
            return;
        };
        entry.wanted.clear();
        let empty = PeerEntry::empty_slots(&entry.audio_slots);
        if entry.slots != empty {
            entry.slots = empty;
            self.outbox.events.push(entry.slots_event());
        }
        entry.seated = false;
        if let Some(bridge) = self.bridges.get_mut(membership.bridge) {
            bridge.peers = bridge.peers.saturating_sub(1);
            let seat = bridge.remove_peer(rtc_key(id), now);
            entry.seat = entry.seat.take().or(seat);
        }
        self.dirty_bridges.push(membership.bridge);
    }

    pub(super) fn take_peers_out(&mut self, bridge: BridgeKey, now: Instant) {
        let inside = self.peers.iter().filter(|(_, entry)| entry.bridge() == Some(bridge));
        for id in inside.map(|(id, _)| id).collect::<Vec<_>>() {
            self.leave_peer(id, now);
        }
    }

    fn subscribe(&mut self, peer: &str, slots: &[Slot], now: Instant) -> Result<(), Refusal> {
        let id = self.peer_id(peer)?;
        let Some(entry) = self.peers.get_mut(id) else {
            return Ok(());
        };
        let bad = |message: String| Refusal::new(RefusalCode::BadValue, message);
        for slot in slots {
            if !entry.video_slots.contains(&slot.mid) {
                return Err(bad(format!("{} is no video slot of peer {peer}", slot.mid)));
            }
            if slot.participant.is_some() && !matches!(slot.source, Some(TrackSource::Camera | TrackSource::Screen)) {
                return Err(bad(format!("slot {} needs a source: camera or screen", slot.mid)));
            }
        }
        for slot in slots {
            entry.wanted.retain(|(mid, _, _)| *mid != slot.mid);
            if let (Some(participant), Some(source)) = (&slot.participant, slot.source) {
                entry.wanted.push((slot.mid.clone(), participant.clone(), source));
            }
        }
        let bridge_key = entry.bridge().filter(|_| entry.seated);
        let Some((key, bridge)) = bridge_key.and_then(|key| Some((key, self.bridges.get_mut(key)?))) else {
            return Ok(());
        };
        for slot in slots {
            let track = slot.participant.as_ref().zip(slot.source).map(|(who, source)| track_name(who, source));
            let mid = Mid::from(slot.mid.as_str());
            let shown = match bridge.router.request_video(now, rtc_key(id), mid, track.as_deref()) {
                // Shown as soon as it is published; until then, nothing.
                Err(RouterError::NoSuchTrack) => bridge.router.request_video(now, rtc_key(id), mid, None),
                shown => shown,
            };
            shown.map_err(|error| bad(format!("slot {}: {error}", slot.mid)))?;
        }
        self.dirty_bridges.push(key);
        Ok(())
    }

    fn block_track(&mut self, peer: &str, source: TrackSource, blocked: bool, now: Instant) -> Result<(), Refusal> {
        let id = self.peer_id(peer)?;
        let Some(entry) = self.peers.get_mut(id) else {
            return Ok(());
        };
        entry.blocked.retain(|known| *known != source);
        if blocked {
            entry.blocked.push(source);
        }
        let Some(membership) = entry.membership.clone() else {
            return Ok(());
        };
        if let Some(bridge) = self.bridges.get_mut(membership.bridge) {
            bridge.router.set_muted(now, &track_name(&membership.participant, source), blocked);
            if blocked && source == TrackSource::Microphone {
                bridge.silence(MemberKey::Peer(rtc_key(id)));
            }
        }
        self.dirty_bridges.push(membership.bridge);
        Ok(())
    }

    fn close_peer(&mut self, id: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(id) {
            entry.peer.close(now);
            self.say_goodbye(id, now);
        }
        self.remove_peer(id, now);
    }

    /// Forgets a peer and everything about it.
    pub(super) fn remove_peer(&mut self, id: PeerId, now: Instant) {
        self.leave_peer(id, now);
        self.demux.forget(rtc_key(id));
        if let Some(entry) = self.peers.remove(id) {
            self.peer_ids.remove(&entry.id);
        }
    }
}
