//! Room for encoded payloads: 5 kB in 80-byte units (10 ms of G.711), handed out in runs.
//!
//! Packets of 10 ms and of 60 ms, of G.711 and of Opus, all fit without waste, and nothing is ever allocated.

use std::hint::black_box;

const UNIT: usize = 80;
const UNITS: u32 = 64;

/// Where a payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    unit: u8,
    len: u16,
}

/// Payloads of one leg.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Arena {
    /// One bit per free unit. In front of the bytes, of which most streams use only the first ones.
    free: u64,
    bytes: [u8; UNIT * UNITS as usize],
}

impl Arena {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; UNIT * UNITS as usize], free: u64::MAX }
    }

    /// Fetches the memory in which the next payload most likely will be, without waiting for it.
    pub(super) fn prefetch(&self) {
        black_box((self.free, self.bytes[UNIT], self.bytes[2 * UNIT - 1]));
    }

    /// Stores a payload in the first run of units that is long enough; `None` when there is none.
    pub(super) fn store(&mut self, payload: &[u8]) -> Option<Place> {
        let len = u16::try_from(payload.len()).ok()?;
        let units = units_of(payload.len());
        if units == 0 {
            return Some(Place { unit: 0, len });
        }
        if units >= UNITS {
            return None;
        }
        // A bit stays set where this unit and all further ones of the run are free.
        let runs = (1..units).fold(self.free, |runs, further| runs & (self.free >> further));
        if runs == 0 {
            return None;
        }
        let unit = runs.trailing_zeros();
        self.free &= !(mask(units) << unit);
        let at = unit as usize * UNIT;
        self.bytes[at..at + payload.len()].copy_from_slice(payload);
        Some(Place { unit: unit as u8, len })
    }

    /// The payload; still readable after [`release`](Self::release) until the next [`store`](Self::store).
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let at = usize::from(place.unit) * UNIT;
        &self.bytes[at..at + usize::from(place.len)]
    }

    /// Gives the room back.
    pub(super) fn release(&mut self, place: Place) {
        self.free |= mask(units_of(usize::from(place.len))) << place.unit;
    }

    pub(super) fn clear(&mut self) {
        self.free = u64::MAX;
    }
}

fn units_of(len: usize) -> u32 {
    len.div_ceil(UNIT) as u32
}

fn mask(units: u32) -> u64 {
    (1u64 << units) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_do_not_overlap_and_their_room_is_used_again() {
        let mut arena = Arena::new();
        let places: Vec<Place> = (0..32u8).map(|n| arena.store(&[n; 160]).unwrap()).collect();
        assert_eq!(arena.store(&[0; 1]), None);
        assert!(places.iter().enumerate().all(|(n, &place)| arena.get(place) == [n as u8; 160]));
        arena.release(places[3]);
        arena.release(places[4]);
        assert_eq!(arena.store(&[9; 321]), None);
        let place = arena.store(&[9; 320]).unwrap();
        assert_eq!((arena.get(place), arena.get(places[5])), (&[9; 320][..], &[5; 160][..]));
    }

    #[test]
    fn an_empty_payload_takes_no_room_and_a_huge_one_is_refused() {
        let mut arena = Arena::new();
        let empty = arena.store(&[]).unwrap();
        assert_eq!(arena.get(empty), []);
        assert_eq!(arena.store(&[0; UNIT * 64]), None);
        arena.release(empty);
        assert_eq!(arena.free, u64::MAX);
    }
}
