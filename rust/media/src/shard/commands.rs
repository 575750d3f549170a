//! Commands: each is carried out or refused as a whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use dialroom_audio::audio::clip::Clip;
use dialroom_protocol::{Answer, Command, PlayItem, Refusal, RefusalCode};

use crate::bridge::{Bridge, BridgeKey, MAX_ANNOUNCEMENTS};
use crate::outbox::Token;
use crate::playback::{Item, MAX_DURATION, MAX_ITEMS, Playback};
use crate::ports::{LegKey, PortOpener};
use crate::shard::{Shard, slot_at};

/// Most bridges of a shard.
pub const MAX_BRIDGES: usize = 20_000;
/// Most clips of a shard.
pub const MAX_CLIPS: usize = 8192;
/// Longest id, bytes.
pub const MAX_ID: usize = 256;

impl Shard {
    /// Carries a command out. None means that the answer comes later, under `token`.
    pub fn command(
        &mut self,
        now: Instant,
        token: Token,
        command: Command,
        opener: &mut dyn PortOpener,
    ) -> Option<Answer> {
        self.counters.commands += 1;
        if self.is_idle() {
            // Nothing was due while there was nothing.
            self.slot = slot_at(self.clock.micros(now));
        }
        let name = command.name();
        let result = catch_unwind(AssertUnwindSafe(|| self.carry_out(now, token, command, opener)));
        self.settle(now);
        let refusal = match result {
            Ok(Ok(answer)) => return answer,
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                self.counters.panics += 1;
                tracing::error!(command = name, "a bug in the media engine spoilt a command");
                Refusal::new(RefusalCode::Internal, "The media plane has a bug; its log says more")
            }
        };
        self.counters.commands_refused += 1;
        tracing::info!(command = name, code = ?refusal.code, reason = refusal.message, "command refused");
        Some(Answer::Refused(refusal))
    }

    fn carry_out(
        &mut self,
        now: Instant,
        token: Token,
        command: Command,
        opener: &mut dyn PortOpener,
    ) -> Result<Option<Answer>, Refusal> {
        match command {
            Command::Hello { .. } => return Ok(Some(self.hello())),
            Command::GetChallenge {} => {
                return Err(Refusal::new(RefusalCode::BadValue, "A challenge is only of use before the hello"));
            }
            Command::Ping {} => {}
            Command::GetMetrics {} => return Ok(Some(Answer::Metrics { values: self.metrics() })),
            Command::OpenBridge { bridge, tag } => self.open_bridge(bridge, tag)?,
            Command::CloseBridge { bridge } => self.close_bridge(&bridge, now),
            Command::PlayToBridge { bridge, items, except_participant } => {
                self.play_to_bridge(&bridge, &items, except_participant, now)?;
            }
            Command::PutClip { clip, audio } => {
                let read = Clip::from_wav(&audio);
                let read = read.map_err(|error| Refusal::new(RefusalCode::BadAudio, error.to_string()))?;
                self.put_clip(clip, Arc::new(read))?;
            }
            Command::StartRecording { recording, leg, path, direction } => {
                return self.start_recording(recording, &leg, path, direction, token);
            }
            Command::StopRecording { recording } => return Ok(self.stop_recording(&recording, token)),
            Command::OpenPeer { .. }
            | Command::RestartPeer { .. }
            | Command::JoinPeer { .. }
            | Command::LeavePeer { .. }
            | Command::Subscribe { .. }
            | Command::BlockTrack { .. }
            | Command::ClosePeer { .. } => return self.peer_command(command, now).map(Some),
            command => return self.leg_command(command, now, opener).map(Some),
        }
        Ok(Some(Answer::Done {}))
    }

    /// What there is; version, instance and last event are known outside only. Who is heard is told again.
    fn hello(&mut self) -> Answer {
        let told = self.bridges.values().filter(|bridge| !bridge.is_empty());
        self.outbox.events.extend(told.map(|bridge| bridge.speakers_event()));
        self.outbox.events.extend(self.peers.values().map(|peer| peer.slots_event()));
        let bridge_of = |key: Option<BridgeKey>| key.and_then(|key| Some(self.bridges.get(key)?.id.clone()));
        let legs = self.legs.values().map(|leg| leg.state(bridge_of(leg.membership.as_ref().map(|m| m.bridge))));
        let peers = self.peers.values().map(|peer| peer.state(bridge_of(peer.bridge())));
        Answer::Snapshot {
            version: String::new(),
            instance: String::new(),
            last_event: 0,
            bridges: self.bridges.values().map(|bridge| bridge.id.clone()).collect(),
            legs: legs.collect(),
            peers: peers.collect(),
            clips: self.clips.keys().cloned().collect(),
        }
    }

    fn open_bridge(&mut self, id: String, tag: String) -> Result<(), Refusal> {
        if self.bridge_ids.contains_key(&id) {
            return Ok(());
        }
        check_id("bridge", &id)?;
        if self.bridges.len() >= MAX_BRIDGES {
            return Err(Refusal::new(RefusalCode::NoCapacity, format!("There are {MAX_BRIDGES} bridges already")));
        }
        tracing::info!(bridge = id, "bridge opened");
        let key = self.bridges.insert(Box::new(Bridge::new(id.clone(), tag)));
        self.bridge_ids.insert(id, key);
        Ok(())
    }

    fn close_bridge(&mut self, id: &str, now: Instant) {
        let Some(key) = self.bridge_ids.get(id).copied() else {
            return;
        };
        let legs = self.bridges.get(key).map(|bridge| bridge.legs.clone()).unwrap_or_default();
        for leg in legs {
            self.leave_leg(leg, now);
        }
        self.take_peers_out(key, now);
        self.settle(now);
        if let Some(bridge) = self.bridges.remove(key) {
            self.slots[usize::from(bridge.phase)].bridges.retain(|other| *other != key);
        }
        self.bridge_ids.remove(id);
        tracing::info!(bridge = id, "bridge closed");
    }

    fn play_to_bridge(
        &mut self,
        id: &str,
        items: &[PlayItem],
        except: Option<String>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let key = self.bridge_key(id)?;
        let items = self.read_items(items)?;
        let playback = Playback::new(String::new(), items, false, dialroom_audio::audio::frame::Rate::Wide);
        let Some(bridge) = self.bridges.get_mut(key) else {
            return Ok(());
        };
        if !bridge.announce(playback, except.map(Arc::from), now) {
            let message =
                format!("{MAX_ANNOUNCEMENTS} announcements sound in bridge {id} already; wait for one to end");
            return Err(Refusal::new(RefusalCode::NoCapacity, message));
        }
        self.dirty_bridges.push(key);
        Ok(())
    }

    /// Keeps a prompt that was decoded elsewhere.
    pub fn put_clip(&mut self, name: String, clip: Arc<Clip>) -> Result<(), Refusal> {
        check_id("clip", &name)?;
        if self.clips.len() >= MAX_CLIPS && !self.clips.contains_key(&name) {
            return Err(Refusal::new(RefusalCode::NoCapacity, format!("There are {MAX_CLIPS} clips already")));
        }
        self.clips.insert(name, clip);
        Ok(())
    }

    pub(super) fn read_items(&self, items: &[PlayItem]) -> Result<Vec<Item>, Refusal> {
        let bad = |message: String| Refusal::new(RefusalCode::BadValue, message);
        if items.len() > MAX_ITEMS {
            return Err(bad(format!("{} items are too many to play; at most {MAX_ITEMS}", items.len())));
        }
        let duration =
            |ms: u32| if ms > MAX_DURATION { Err(bad(format!("{ms} ms is longer than a day"))) } else { Ok(ms) };
        let read = |item: &PlayItem| match item {
            PlayItem::Clip { clip } => match self.clips.get(clip) {
                Some(clip) => Ok(Item::Clip(clip.clone())),
                None => Err(Refusal::new(RefusalCode::UnknownClip, format!("There is no clip {clip}; put it first"))),
            },
            PlayItem::Silence { duration: ms } => Ok(Item::Silence(duration(*ms)?)),
            PlayItem::Tone { frequency, duration: ms, level } => {
                if !(1.0..=20_000.0).contains(frequency) || !(-127.0..=0.0).contains(level) {
                    return Err(bad(format!("a tone of {frequency} Hz at {level} dBov cannot be played")));
                }
                let (frequency, level) = (*frequency as f32, (-level).round() as u8);
                Ok(Item::Tone { frequency, duration: duration(*ms)?, level })
            }
        };
        items.iter().map(read).collect()
    }

    pub(super) fn leg_key(&self, id: &str) -> Result<LegKey, Refusal> {
        let unknown = || Refusal::new(RefusalCode::UnknownLeg, format!("There is no leg {id}"));
        self.leg_ids.get(id).copied().ok_or_else(unknown)
    }

    pub(super) fn bridge_key(&self, id: &str) -> Result<BridgeKey, Refusal> {
        let unknown = || Refusal::new(RefusalCode::UnknownBridge, format!("There is no bridge {id}"));
        self.bridge_ids.get(id).copied().ok_or_else(unknown)
    }
}

/// Ids are kept and told again: they are bounded.
pub(super) fn check_id(what: &str, id: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > MAX_ID {
        let message = format!("a {what} id has 1 to {MAX_ID} bytes, this one has {}", id.len());
        return Err(Refusal::new(RefusalCode::BadValue, message));
    }
    Ok(())
}
