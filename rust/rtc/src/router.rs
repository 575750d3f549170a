//! The forwarding of one room: published tracks in, writes into the receive slots of its subscribers out.
//!
//! A phone's voice, injected as Opus, is a track like any other. The cost of a packet grows with the slots that show
//! its track, not with the room: a track nobody hears costs one look at its level.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::forward::{SlotRef, Subscriber, Subscribers, Tracks, by_urgency, next_tick};
use crate::munge::Facts;
use crate::speaker::Change;
use crate::switch::Verdict;
use crate::track::{Forwarding, Origin, RouterError, RouterOutput, Seat, TrackDescription, TrackKey};
use crate::types::{Codec, InjectedAudio, Line, MediaKind, Mid, PeerKey, RtpIn};

/// Most tracks in one room.
pub const MAX_TRACKS: usize = 4096;

/// The forwarding of one room.
#[derive(Debug, Default)]
pub struct Router {
    tracks: Tracks,
    by_id: HashMap<Arc<str>, TrackKey>,
    by_line: HashMap<(PeerKey, Mid), TrackKey>,
    subscribers: Subscribers,
    outputs: VecDeque<RouterOutput>,
    changed: bool,
    tick: Option<Instant>,
}

impl Router {
    /// An empty room.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a browser that receives: every line of its offer on which we send becomes a slot.
    /// A peer that was there already is replaced. Call it at [`crate::PeerEvent::Connected`]: what is written to a peer
    /// before that is lost, keyframes included.
    pub fn subscribe(&mut self, peer: PeerKey, participant: Arc<str>, lines: &[Line]) {
        self.unsubscribe(peer);
        self.seat(Seat(Subscriber::new(peer, participant, lines)));
    }

    /// Adds a browser that [`Router::remove_peer`] took out of another room; its connection stays as it is.
    pub fn seat(&mut self, seat: Seat) {
        let index = self.subscribers.add(seat.0);
        self.changed = true;
        for track in by_urgency(&self.tracks) {
            self.place_with(track, index);
        }
    }

    /// Removes a browser and everything it publishes. If it moves to another room, give the returned seat to
    /// [`Router::seat`] there.
    pub fn remove_peer(&mut self, now: Instant, peer: PeerKey) -> Option<Seat> {
        let seat = self.unsubscribe(peer);
        let published = |track: &&crate::forward::Track| track.publisher().is_some_and(|(p, _)| p == peer);
        let ids: Vec<_> = self.tracks.iter().filter(published).map(|track| track.about.id.clone()).collect();
        for id in ids {
            self.unpublish(now, &id);
        }
        seat
    }

    fn unsubscribe(&mut self, peer: PeerKey) -> Option<Seat> {
        let index = self.subscribers.index_of(peer)?;
        let mut subscriber = self.subscribers.remove(index)?;
        for track in self.tracks.iter_mut() {
            track.shown_in.retain(|slot| slot.subscriber != index);
        }
        subscriber.leave();
        Some(Seat(subscriber))
    }

    /// Publishes a track. Video is shown where [`Router::request_video`] asks for it, audio to all as it speaks.
    ///
    /// # Errors
    /// [`RouterError::DuplicateTrack`], [`RouterError::LineInUse`], [`RouterError::TooManyTracks`].
    pub fn publish(&mut self, now: Instant, track: TrackDescription) -> Result<TrackKey, RouterError> {
        if self.by_id.contains_key(&track.id) {
            return Err(RouterError::DuplicateTrack);
        }
        if self.tracks.len() >= MAX_TRACKS {
            return Err(RouterError::TooManyTracks);
        }
        let (id, origin) = (track.id.clone(), track.origin);
        if let Origin::Peer { peer, mid } = origin
            && self.by_line.contains_key(&(peer, mid))
        {
            return Err(RouterError::LineInUse);
        }
        let key = self.tracks.add(track);
        self.by_id.insert(id, key);
        if let Origin::Peer { peer, mid } = origin {
            self.by_line.insert((peer, mid), key);
        }
        self.tick.get_or_insert(next_tick(now));
        Ok(key)
    }

    /// Takes a track back; its slots become empty. False if there was none.
    pub fn unpublish(&mut self, now: Instant, id: &str) -> bool {
        let Some(key) = self.by_id.remove(id) else {
            return false;
        };
        self.silence(now, key);
        self.vacate(key);
        if let Some(track) = self.tracks.remove(key)
            && let Some(line) = track.publisher()
        {
            self.by_line.remove(&line);
        }
        self.fill();
        true
    }

    /// A moderator's mute: nothing of the track is forwarded until it is taken back. False if there is no such track.
    pub fn set_muted(&mut self, now: Instant, id: &str, muted: bool) -> bool {
        let Some(key) = self.by_id.get(id).copied() else {
            return false;
        };
        let Some(track) = self.tracks.get_mut(key) else {
            return false;
        };
        track.muted = muted;
        if !muted {
            self.request_keyframe(now, key);
            return true;
        }
        track.heard = false;
        self.silence(now, key);
        if self.tracks.get(key).is_some_and(|track| track.about.kind == MediaKind::Audio) {
            self.vacate(key);
            self.fill();
        } else {
            self.interrupt(key);
        }
        true
    }

    /// True while the track is speaking.
    pub fn is_speaking(&self, id: &str) -> bool {
        let track = self.by_id.get(id).and_then(|key| self.tracks.get(*key));
        track.is_some_and(|track| track.speaker.is_speaking())
    }

    /// The description of a published track.
    pub fn track(&self, id: &str) -> Option<&TrackDescription> {
        self.by_id.get(id).and_then(|key| self.tracks.get(*key)).map(|track| &track.about)
    }

    /// Shows a video track in a slot, or empties the slot. The picture changes with the track's next keyframe.
    ///
    /// # Errors
    /// [`RouterError`]; the slot is then as before.
    pub fn request_video(
        &mut self,
        now: Instant,
        peer: PeerKey,
        mid: Mid,
        track: Option<&str>,
    ) -> Result<(), RouterError> {
        let key = track.map(|id| self.by_id.get(id).copied().ok_or(RouterError::NoSuchTrack)).transpose()?;
        let is_audio = |key| self.tracks.get(key).is_some_and(|track| track.about.kind == MediaKind::Audio);
        if key.is_some_and(is_audio) {
            return Err(RouterError::NotVideo);
        }
        let index = self.subscribers.index_of(peer).ok_or(RouterError::NoSuchSubscriber)?;
        let subscriber = self.subscribers.get_mut(index).ok_or(RouterError::NoSuchSubscriber)?;
        let slot = subscriber.video.iter().position(|slot| slot.mid == mid).ok_or(RouterError::NoSuchSlot)?;
        if subscriber.video[slot].switcher.wanted() == key {
            return Ok(());
        }
        subscriber.video[slot].switcher.select(key);
        subscriber.changed = true;
        self.changed = true;
        if let Some(key) = key {
            if let Some(track) = self.tracks.get_mut(key) {
                track.show_in(SlotRef { subscriber: index, kind: MediaKind::Video, slot });
            }
            self.request_keyframe(now, key);
        }
        Ok(())
    }

    /// A subscriber asks for a keyframe on one of its slots ([`crate::PeerEvent::KeyframeRequest`]).
    pub fn handle_keyframe_request(&mut self, now: Instant, peer: PeerKey, mid: Mid) {
        let subscriber = self.subscribers.index_of(peer).and_then(|index| self.subscribers.get_mut(index));
        let slot = subscriber.and_then(|subscriber| subscriber.video.iter().find(|slot| slot.mid == mid));
        if let Some(key) = slot.and_then(|slot| slot.switcher.wanted()) {
            self.request_keyframe(now, key);
        }
    }

    /// Media from a browser ([`crate::PeerEvent::Rtp`]).
    pub fn handle_rtp(&mut self, now: Instant, peer: PeerKey, packet: &RtpIn) -> Forwarding {
        match self.by_line.get(&(peer, packet.mid)).copied() {
            Some(key) => self.forward(now, key, packet),
            None => Forwarding::NotPublished,
        }
    }

    /// One Opus frame of a track with [`Origin::Injected`]. Call it in the order of the frames; frames of silence may be
    /// left out.
    pub fn inject_audio(&mut self, now: Instant, key: TrackKey, audio: &InjectedAudio) -> Forwarding {
        let Some(track) = self.tracks.get_mut(key).filter(|track| track.about.origin == Origin::Injected) else {
            return Forwarding::NotPublished;
        };
        track.next_seq += 1;
        let packet = RtpIn {
            mid: Mid::from(""),
            ssrc: 0,
            codec: Codec::Opus,
            seq: track.next_seq,
            timestamp: audio.timestamp,
            marker: audio.marker,
            level: Some(audio.level),
            voice: Some(audio.voice),
            rotation: None,
            payload: audio.payload.clone(),
            arrival: now,
        };
        self.forward(now, key, &packet)
    }

    /// Lets time pass: speakers fall silent, keyframe requests are repeated.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.tick.is_none_or(|tick| now < tick) {
            return;
        }
        self.tick = (self.tracks.len() > 0).then(|| next_tick(now));
        let (mut stopped, mut keyframes) = (Vec::new(), Vec::new());
        for track in self.tracks.iter_mut() {
            if track.speaker.tick(now).is_some() {
                stopped.push(track.key);
            }
            if track.about.kind == MediaKind::Video && !track.muted {
                let wanted = track.shown_in.iter().any(|slot| self.subscribers.awaits_keyframe(*slot, track.codec));
                if track.keyframes.tick(now, wanted) {
                    keyframes.extend(track.publisher());
                }
            }
        }
        for (peer, mid) in keyframes {
            self.outputs.push_back(RouterOutput::RequestKeyframe { peer, mid });
        }
        for key in stopped {
            self.speaking(key, Change::Stopped);
        }
    }

    /// When [`Router::handle_timeout`] is due; `None` while nothing is published.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tick
    }

    /// The next thing to do; `None` if nothing. Call after each other call until it says `None`.
    pub fn poll(&mut self) -> Option<RouterOutput> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        for (_, subscriber) in self.subscribers.iter_mut() {
            if std::mem::take(&mut subscriber.changed) {
                let slots = subscriber.view(&self.tracks);
                self.outputs.push_back(RouterOutput::SlotsChanged { peer: subscriber.peer, slots });
            }
        }
        self.outputs.pop_front()
    }

    fn forward(&mut self, now: Instant, key: TrackKey, packet: &RtpIn) -> Forwarding {
        let Some(track) = self.tracks.get_mut(key) else {
            return Forwarding::NotPublished;
        };
        if track.muted {
            return Forwarding::Muted;
        }
        if packet.codec.kind() != track.about.kind {
            return Forwarding::NotPublished;
        }
        if track.about.kind == MediaKind::Audio {
            let first = !std::mem::replace(&mut track.heard, true);
            let change = track.speaker.hear(now, packet.level, packet.voice, packet.payload.len());
            if first {
                self.place(key);
            }
            if let Some(change) = change {
                self.speaking(key, change);
            }
        }
        self.write(key, packet);
        Forwarding::Forwarded(key)
    }

    fn write(&mut self, key: TrackKey, packet: &RtpIn) {
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        track.codec = Some(packet.codec);
        let facts = Facts::read(packet.codec, &packet.payload);
        if facts.starts_keyframe {
            track.keyframes.satisfied();
        }
        let (subscribers, outputs) = (&mut self.subscribers, &mut self.outputs);
        track.shown_in.retain(|at| {
            let Some(subscriber) = subscribers.get_mut(at.subscriber) else {
                return false;
            };
            let peer = subscriber.peer;
            let Some(slot) = subscriber.slot(*at) else {
                return false;
            };
            if !slot.codecs.contains(&packet.codec) {
                return true;
            }
            match slot.switcher.offer(key, packet, &facts) {
                Verdict::Send(packet) => outputs.push_back(RouterOutput::Write { peer, mid: slot.mid, packet }),
                Verdict::Drop => {}
                Verdict::NotShown => return false,
            }
            true
        });
    }

    fn request_keyframe(&mut self, now: Instant, key: TrackKey) {
        let Some(track) = self.tracks.get_mut(key).filter(|track| track.about.kind == MediaKind::Video) else {
            return;
        };
        if let Some((peer, mid)) = track.publisher()
            && track.keyframes.request(now)
        {
            self.outputs.push_back(RouterOutput::RequestKeyframe { peer, mid });
        }
    }

    fn silence(&mut self, now: Instant, key: TrackKey) {
        if let Some(change) = self.tracks.get_mut(key).and_then(|track| track.speaker.silence(now)) {
            self.speaking(key, change);
        }
    }

    fn speaking(&mut self, key: TrackKey, change: Change) {
        let Some(track) = self.tracks.get(key) else {
            return;
        };
        let output = RouterOutput::Speaking {
            track: track.about.id.clone(),
            participant: track.about.participant.clone(),
            speaking: change == Change::Started,
            level: track.speaker.level(),
        };
        self.outputs.push_back(output);
        match change {
            Change::Started => self.place(key),
            // A speaker who found no slot may take the one that is silent now.
            Change::Stopped => self.fill(),
        }
    }

    /// Gives every audio track a slot with every subscriber where there is one for it.
    fn fill(&mut self) {
        for key in by_urgency(&self.tracks) {
            self.place(key);
        }
    }

    fn place(&mut self, key: TrackKey) {
        let indices: Vec<_> = self.subscribers.iter_mut().map(|(index, _)| index).collect();
        for index in indices {
            self.place_with(key, index);
        }
    }

    fn place_with(&mut self, key: TrackKey, index: usize) {
        let (Some(subscriber), Some(track)) = (self.subscribers.get_mut(index), self.tracks.get(key)) else {
            return;
        };
        if subscriber.participant == track.about.participant {
            return;
        }
        let tracks = &self.tracks;
        let silence = |key| tracks.get(key).map_or(crate::slots::Silence::Since(None), |track| track.silence());
        let Some((slot, _)) = subscriber.speakers.place(key, track.speaker.is_speaking(), silence) else {
            return;
        };
        subscriber.audio[slot].switcher.select(Some(key));
        subscriber.changed = true;
        self.changed = true;
        if let Some(track) = self.tracks.get_mut(key) {
            track.show_in(SlotRef { subscriber: index, kind: MediaKind::Audio, slot });
        }
    }

    /// The slots keep a muted video track, and show it again from its next keyframe on.
    fn interrupt(&mut self, key: TrackKey) {
        for (_, subscriber) in self.subscribers.iter_mut() {
            for slot in subscriber.video.iter_mut().filter(|slot| slot.switcher.wanted() == Some(key)) {
                slot.switcher.interrupt();
            }
        }
    }

    /// Empties every slot that shows a track.
    fn vacate(&mut self, key: TrackKey) {
        for (_, subscriber) in self.subscribers.iter_mut() {
            subscriber.speakers.remove(key);
            for slot in subscriber.audio.iter_mut().chain(&mut subscriber.video) {
                if slot.switcher.wanted() == Some(key) {
                    slot.switcher.select(None);
                    subscriber.changed = true;
                    self.changed = true;
                }
            }
        }
        if let Some(track) = self.tracks.get_mut(key) {
            track.shown_in.clear();
        }
    }
}
