//! Which slot of the 20 ms a bridge, or a leg in no bridge, is worked on in.
//!
//! To wake up costs as much as to work on some twenty legs. So few share one slot, and the others are slept through;
//! many are spread evenly, so that their work and their packets do not come all at once.

use crate::bridge::BridgeKey;
use crate::ports::LegKey;
use crate::shard::inbox::Inbox;
use crate::shard::{PHASES, Shard};

/// Members that a slot takes before another is used.
const ROOMY: usize = 50;
/// Slots in the order of their first use: each far from those before.
const ORDER: [u8; PHASES] = [0, 2, 4, 1, 3];

/// What is done in one slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Bridges, also such that nobody is in any more.
    pub(super) bridges: Vec<BridgeKey>,
    /// Legs in no bridge.
    pub(super) alone: Vec<LegKey>,
    /// What its legs sent.
    pub(super) inbox: Inbox,
}

impl Shard {
    /// Gives a bridge the slot in which its members are best. One that somebody is in keeps its own.
    pub(super) fn place_bridge(&mut self, key: BridgeKey) {
        let phase = self.best_phase();
        let Some(bridge) = self.bridges.get_mut(key).filter(|bridge| bridge.is_empty()) else {
            return;
        };
        self.slots[usize::from(bridge.phase)].bridges.retain(|other| *other != key);
        self.slots[usize::from(phase)].bridges.push(key);
        bridge.phase = phase;
    }

    /// Gives a leg in no bridge a slot.
    pub(super) fn stand_alone(&mut self, key: LegKey) {
        let phase = self.best_phase();
        self.slots[usize::from(phase)].alone.push(key);
        self.phases.insert(key, phase);
    }

    /// The leg goes, or joins a bridge.
    pub(super) fn stand_no_more_alone(&mut self, key: LegKey) {
        for slot in &mut self.slots {
            slot.alone.retain(|leg| *leg != key);
        }
    }

    /// Whether anything is to be done in a slot, counted from the clock's beginning.
    pub(super) fn is_used(&self, slot: u64) -> bool {
        let slot = &self.slots[(slot % PHASES as u64) as usize];
        !slot.alone.is_empty() || self.occupied(slot).next().is_some()
    }

    /// In how many of the slots from `first` up to before `end` anything is to be done.
    pub(super) fn used_slots(&self, first: u64, end: u64) -> u64 {
        let slots = PHASES as u64;
        let in_20_ms = (0..slots).filter(|slot| self.is_used(*slot)).count() as u64;
        let rounds = (end - first) / slots;
        rounds * in_20_ms + (first + rounds * slots..end).filter(|slot| self.is_used(*slot)).count() as u64
    }

    /// Of the slots in use the fullest with room, otherwise the emptiest.
    fn best_phase(&self) -> u8 {
        let members = ORDER.map(|phase| {
            let slot = &self.slots[usize::from(phase)];
            (slot.alone.len() + self.occupied(slot).sum::<usize>(), phase)
        });
        let roomy = members.into_iter().filter(|(members, _)| (1..ROOMY).contains(members));
        let best = roomy.max_by_key(|(members, _)| *members);
        best.or(members.into_iter().min_by_key(|(members, _)| *members)).map_or(0, |(_, phase)| phase)
    }

    /// How many are in each bridge of a slot that anybody is in.
    fn occupied(&self, slot: &Slot) -> impl Iterator<Item = usize> {
        let bridges = slot.bridges.iter().filter_map(|key| self.bridges.get(*key));
        bridges.map(|bridge| bridge.legs.len() + bridge.peers).filter(|members| *members > 0)
    }
}
