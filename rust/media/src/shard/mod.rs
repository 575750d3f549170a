//! A shard: all legs, peers and bridges of one packet thread.
//!
//! Each bridge, and each leg in no bridge, has one slot of the five in 20 ms in which it is mixed and sent. What phones
//! send is read when a slot begins in which there is something to do: sooner would mix nothing sooner, and fewer, larger
//! batches cost less.

mod commands;
mod inbox;
mod leg_commands;
mod metrics;
mod peer_commands;
mod peers;
mod receive;
mod recordings;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dialroom_audio::audio::clip::Clip;
use dialroom_protocol::Event;
use dialroom_rtc::{Demux, PeerConfig};
use slotmap::{SecondaryMap, SlotMap};

use crate::bridge::{Bridge, BridgeKey, Legs, Tick, Workspace, tick_alone};
use crate::clock::Clock;
use crate::outbox::Outbox;
use crate::ports::{LegKey, Ports};
use crate::shard::metrics::Counters;
use crate::shard::peers::{PeerEntry, PeerId};
use crate::shard::recordings::Recordings;
use crate::shard::slots::Slot;

/// Length of a slot, ms.
const SLOT_MS: u64 = 4;
/// Slots of a tick of 20 ms, each with its own bridges.
pub const PHASES: usize = 5;
/// A slot that comes later than this is counted, µs.
const LATE_US: u64 = 5_000;

/// A source of random bytes.
pub type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

/// What a shard is told once.
pub struct ShardConfig {
    /// Addresses told to phones: the first of each family.
    pub addresses: Vec<IpAddr>,
    /// Everything about browsers, candidates included.
    pub peers: PeerConfig,
    /// Canonical name in RTCP.
    pub cname: String,
    /// Time since the Unix epoch at the start.
    pub unix: Duration,
    /// Cryptographically good random bytes.
    pub entropy: Entropy,
}

/// All media of one packet thread.
pub struct Shard {
    config: ShardConfig,
    clock: Clock,
    ports: Ports,
    legs: Legs,
    leg_ids: HashMap<String, LegKey>,
    bridges: SlotMap<BridgeKey, Box<Bridge>>,
    bridge_ids: HashMap<String, BridgeKey>,
    peers: SlotMap<PeerId, Box<PeerEntry>>,
    peer_ids: HashMap<String, PeerId>,
    demux: Demux,
    clips: HashMap<String, Arc<Clip>>,
    recordings: Recordings,
    slots: [Slot; PHASES],
    workspace: Workspace,
    /// The slot of each leg.
    phases: SecondaryMap<LegKey, u8>,
    /// The last slot that was worked on, from the clock's beginning.
    slot: u64,
    broken: Vec<LegKey>,
    dirty_peers: Vec<PeerId>,
    dirty_bridges: Vec<BridgeKey>,
    counters: Counters,
    /// What is to be done outside.
    pub outbox: Outbox,
}

impl Shard {
    /// An empty shard that begins at `now`.
    pub fn new(config: ShardConfig, now: Instant) -> Self {
        let clock = Clock::new(now, config.unix);
        Self {
            clock,
            ports: Ports::default(),
            legs: SlotMap::with_key(),
            leg_ids: HashMap::new(),
            bridges: SlotMap::with_key(),
            bridge_ids: HashMap::new(),
            peers: SlotMap::with_key(),
            peer_ids: HashMap::new(),
            demux: Demux::new(0),
            clips: HashMap::new(),
            recordings: Recordings::default(),
            slots: Default::default(),
            workspace: Workspace::default(),
            phases: SecondaryMap::new(),
            slot: slot_at(clock.micros(now)),
            broken: Vec::new(),
            dirty_peers: Vec::new(),
            dirty_bridges: Vec::new(),
            counters: Counters::default(),
            outbox: Outbox::new(),
            config,
        }
    }

    /// Whether nothing happens by the mere passing of time.
    pub fn is_idle(&self) -> bool {
        self.legs.is_empty() && self.peers.is_empty()
    }

    /// Works on every slot that has begun since the last call.
    pub fn advance(&mut self, now: Instant) {
        let micros = self.clock.micros(now);
        let slot = slot_at(micros);
        let behind = slot.saturating_sub(self.slot);
        if behind > PHASES as u64 {
            // Sound that is 20 ms late is of no use: go on from now.
            self.counters.skipped_slots += self.used_slots(self.slot + 1, slot - PHASES as u64 + 1);
            self.slot = slot - PHASES as u64;
        }
        while self.slot < slot {
            self.slot += 1;
            if micros - self.slot * SLOT_MS * 1000 > LATE_US {
                self.counters.late_slots += self.used_slots(self.slot, self.slot + 1);
            }
            self.tick_slot((self.slot % PHASES as u64) as u8, now, micros);
        }
        self.wake_peers(now);
        self.settle(now);
    }

    /// When [`Self::advance`] is to be called again: at the next slot in which there is something to do, even if that has
    /// begun already, or in the next millisecond for browsers, whose packets are forwarded as they come.
    pub fn next_slot(&self, now: Instant) -> Instant {
        let mut ahead = self.slot + 1..self.slot + PHASES as u64;
        let used = ahead.find(|slot| self.is_used(*slot));
        let slot = used.unwrap_or(self.slot + PHASES as u64) * SLOT_MS * 1000;
        let millisecond = (self.clock.micros(now) / 1000 + 1) * 1000;
        self.clock.instant(if self.peers.is_empty() { slot } else { slot.min(millisecond) })
    }

    fn tick_slot(&mut self, phase: u8, now: Instant, micros: u64) {
        self.take_kept(phase);
        let mut broken = std::mem::take(&mut self.broken);
        let Self { legs, bridges, slots, workspace, outbox, counters, dirty_bridges, .. } = self;
        let slot = &slots[usize::from(phase)];
        for &key in &slot.bridges {
            let Some(bridge) = bridges.get_mut(key).filter(|bridge| !bridge.is_empty()) else {
                continue;
            };
            let mut tick = Tick { legs, outbox, broken: &mut broken, now, micros };
            let work = || {
                bridge.tick(&mut tick, workspace);
                if bridge.router.poll_timeout().is_some_and(|due| due <= now) {
                    bridge.router.handle_timeout(now);
                }
            };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                counters.panics += 1;
                bridge.bugs += 1;
                // It may come up in every tick.
                if bridge.bugs.is_power_of_two() {
                    tracing::error!(bridge = bridge.id, times = bridge.bugs, "a bug in the mixer: 20 ms are lost");
                }
            }
            if bridge.peers > 0 {
                dirty_bridges.push(key);
            }
        }
        for &key in &slot.alone {
            tick_alone(key, &mut Tick { legs, outbox, broken: &mut broken, now, micros });
        }
        self.keep_house(phase, micros, &mut broken);
        for key in broken.drain(..) {
            self.give_up_leg(key, now);
        }
        self.broken = broken;
    }

    /// Reports, digits and figures of the legs of a phase.
    fn keep_house(&mut self, phase: u8, micros: u64, broken: &mut Vec<LegKey>) {
        let Self { legs, bridges, slots, outbox, clock, config, .. } = self;
        let slot = &slots[usize::from(phase)];
        let in_bridges = slot.bridges.iter().filter_map(|key| bridges.get(*key)).flat_map(|bridge| &bridge.legs);
        for &key in in_bridges.chain(&slot.alone) {
            let Some(leg) = legs.get_mut(key) else {
                continue;
            };
            let work = || {
                leg.poll_digits(micros, &mut outbox.events);
                leg.poll_report(micros, clock, &config.cname, outbox);
                if let Some(silence) = leg.watch.poll(micros) {
                    outbox.events.push(Event::LegSilent { leg: leg.id.clone(), silence });
                }
                if let Some(statistics) = leg.poll_statistics(micros) {
                    outbox.events.push(Event::StatisticsReported { leg: leg.id.clone(), statistics });
                }
            };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                broken.push(key);
            }
        }
    }

    /// Ends a leg in which a bug came up.
    fn give_up_leg(&mut self, key: LegKey, now: Instant) {
        self.counters.panics += 1;
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let id = leg.id.clone();
        tracing::error!(leg = id, "a bug in the media engine ends this leg");
        if catch_unwind(AssertUnwindSafe(|| self.remove_leg(key, now))).is_err() {
            self.legs.remove(key);
            self.leg_ids.remove(&id);
        }
        self.outbox.events.push(Event::LegEnded { leg: id, reason: "an internal error of the media plane".to_owned() });
    }

    /// A random number.
    fn random(&mut self) -> u32 {
        let mut bytes = [0; 4];
        (self.config.entropy)(&mut bytes);
        u32::from_ne_bytes(bytes)
    }
}

/// The slot that a moment lies in, µs since the clock began.
fn slot_at(micros: u64) -> u64 {
    micros / (SLOT_MS * 1000)
}
