//! The tables behind [`crate::router::Router`]: published tracks, and subscribers with their slots.

use std::sync::Arc;
use std::time::Instant;

use crate::keyframe::KeyframeGate;
use crate::slots::{AudioSlots, Silence};
use crate::speaker::Speaker;
use crate::switch::Switcher;
use crate::track::{Origin, SlotView, TrackDescription, TrackKey};
use crate::types::{Codec, Line, MediaKind, Mid, PeerKey};

/// A slot of a subscriber that may show a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef {
    pub(crate) subscriber: usize,
    pub(crate) kind: MediaKind,
    pub(crate) slot: usize,
}

/// One published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) key: TrackKey,
    pub(crate) about: TrackDescription,
    pub(crate) muted: bool,
    /// What its last packet was.
    pub(crate) codec: Option<Codec>,
    /// It has sent audio since it was published or unmuted.
    pub(crate) heard: bool,
    pub(crate) speaker: Speaker,
    pub(crate) keyframes: KeyframeGate,
    /// Slots its packets are offered to.
    pub(crate) shown_in: Vec<SlotRef>,
    /// Sequence number for injected audio.
    pub(crate) next_seq: u64,
}

impl Track {
    pub(crate) fn silence(&self) -> Silence {
        if self.speaker.is_speaking() { Silence::Speaking } else { Silence::Since(self.speaker.stopped_at()) }
    }

    pub(crate) fn show_in(&mut self, slot: SlotRef) {
        if !self.shown_in.contains(&slot) {
            self.shown_in.push(slot);
        }
    }

    pub(crate) fn publisher(&self) -> Option<(PeerKey, Mid)> {
        match self.about.origin {
            Origin::Peer { peer, mid } => Some((peer, mid)),
            Origin::Injected => None,
        }
    }
}

/// Tracks by key. Keys are never reused.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    tracks: Vec<Track>,
    next: u64,
}

impl Tracks {
    pub(crate) fn add(&mut self, about: TrackDescription) -> TrackKey {
        self.next += 1;
        let key = TrackKey(self.next);
        self.tracks.push(Track {
            key,
            about,
            muted: false,
            codec: None,
            heard: false,
            speaker: Speaker::default(),
            keyframes: KeyframeGate::default(),
            shown_in: Vec::new(),
            next_seq: 0,
        });
        key
    }

    /// Keys grow with the position, so a search is a bisection.
    pub(crate) fn get(&self, key: TrackKey) -> Option<&Track> {
        let at = self.tracks.binary_search_by_key(&key, |track| track.key).ok()?;
        self.tracks.get(at)
    }

    pub(crate) fn get_mut(&mut self, key: TrackKey) -> Option<&mut Track> {
        let at = self.tracks.binary_search_by_key(&key, |track| track.key).ok()?;
        self.tracks.get_mut(at)
    }

    pub(crate) fn remove(&mut self, key: TrackKey) -> Option<Track> {
        let at = self.tracks.binary_search_by_key(&key, |track| track.key).ok()?;
        Some(self.tracks.remove(at))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.tracks.len()
    }
}

/// One slot of a subscriber.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) mid: Mid,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) switcher: Switcher<TrackKey>,
}

/// One browser that receives.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) peer: PeerKey,
    pub(crate) participant: Arc<str>,
    pub(crate) speakers: AudioSlots<TrackKey>,
    pub(crate) audio: Vec<Slot>,
    pub(crate) video: Vec<Slot>,
    pub(crate) changed: bool,
}

impl Subscriber {
    pub(crate) fn new(peer: PeerKey, participant: Arc<str>, lines: &[Line]) -> Self {
        let slots = |kind| -> Vec<Slot> {
            let wanted = lines.iter().filter(|line| line.kind == kind && line.direction.sends());
            wanted.enumerate().map(|(index, line)| Slot::new(peer, index, line)).collect()
        };
        let (audio, video) = (slots(MediaKind::Audio), slots(MediaKind::Video));
        Self { peer, participant, speakers: AudioSlots::new(audio.len()), audio, video, changed: true }
    }

    /// Empties every slot; their streams go on from where they are.
    pub(crate) fn leave(&mut self) {
        self.speakers = AudioSlots::new(self.audio.len());
        for slot in self.audio.iter_mut().chain(&mut self.video) {
            slot.switcher.forget_sources();
        }
        self.changed = true;
    }

    pub(crate) fn slot(&mut self, at: SlotRef) -> Option<&mut Slot> {
        match at.kind {
            MediaKind::Audio => self.audio.get_mut(at.slot),
            MediaKind::Video => self.video.get_mut(at.slot),
        }
    }

    pub(crate) fn view(&self, tracks: &Tracks) -> Vec<SlotView> {
        let view = |slot: &Slot| SlotView {
            mid: slot.mid,
            track: slot.switcher.wanted().and_then(|key| tracks.get(key)).map(|track| track.about.id.clone()),
            participant: slot
                .switcher
                .wanted()
                .and_then(|key| tracks.get(key))
                .map(|track| track.about.participant.clone()),
        };
        self.audio.iter().chain(&self.video).map(view).collect()
    }
}

impl Slot {
    fn new(peer: PeerKey, index: usize, line: &Line) -> Self {
        // Any start below 2^15 will do; different ones tell streams apart in a capture.
        let start = (peer.0.wrapping_mul(0x9e37_79b9).wrapping_add(index as u64 * 977) & 0x3fff) as u16;
        let switcher = Switcher::new(line.kind, start, u32::from(start) << 8);
        Self { mid: line.mid, codecs: line.codecs.clone(), switcher }
    }
}

/// Subscribers by index; an index is reused only after every reference to it was taken out of the tracks.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    entries: Vec<Option<Subscriber>>,
}

impl Subscribers {
    pub(crate) fn add(&mut self, subscriber: Subscriber) -> usize {
        let free = self.entries.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.entries[index] = Some(subscriber);
        index
    }

    pub(crate) fn remove(&mut self, index: usize) -> Option<Subscriber> {
        self.entries.get_mut(index)?.take()
    }

    pub(crate) fn index_of(&self, peer: PeerKey) -> Option<usize> {
        self.entries.iter().position(|entry| entry.as_ref().is_some_and(|subscriber| subscriber.peer == peer))
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Subscriber> {
        self.entries.get_mut(index)?.as_mut()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Subscriber)> {
        self.entries.iter_mut().enumerate().filter_map(|(index, entry)| Some((index, entry.as_mut()?)))
    }

    /// True if a slot waits for a keyframe of a track that it can show.
    pub(crate) fn awaits_keyframe(&self, at: SlotRef, codec: Option<Codec>) -> bool {
        let subscriber = self.entries.get(at.subscriber).and_then(Option::as_ref);
        let slot = subscriber.and_then(|subscriber| subscriber.video.get(at.slot));
        let showable = |slot: &Slot| codec.is_none_or(|codec| slot.codecs.contains(&codec));
        at.kind == MediaKind::Video && slot.is_some_and(|slot| slot.switcher.awaits_keyframe() && showable(slot))
    }
}

/// When a speaker of the given track set is placed: those who speak first, then those who were heard, oldest first.
pub(crate) fn by_urgency(tracks: &Tracks) -> Vec<TrackKey> {
    let audio = |track: &&Track| track.about.kind == MediaKind::Audio && track.heard && !track.muted;
    let mut keys: Vec<_> = tracks.iter().filter(audio).map(|track| (!track.speaker.is_speaking(), track.key)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, key)| key).collect()
}

/// The moment after `now` at which the router looks at its tracks again.
pub(crate) fn next_tick(now: Instant) -> Instant {
    now + std::time::Duration::from_millis(100)
}
