//! Which audio track is heard in which of a subscriber's audio slots. Pure: no packets, no peers.
//!
//! A track keeps its slot while it is speaking. A free slot is given to any track with audio, so that in a small room
//! nobody's first syllable is lost; a speaker without a slot takes that of whoever has been silent longest.

use std::time::Instant;

/// How silent the occupant of a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Speaking: must not be replaced.
    Speaking,
    /// Silent since then; `None` if it never spoke.
    Since(Option<Instant>),
}

/// The occupants of one subscriber's audio slots; `T` names a track.
#[derive(Debug, Clone)]
pub struct AudioSlots<T> {
    occupants: Vec<Option<T>>,
}

impl<T: Copy + PartialEq> AudioSlots<T> {
    /// `count` empty slots.
    pub fn new(count: usize) -> Self {
        Self { occupants: vec![None; count] }
    }

    /// Finds a slot for `track`. Returns the slot's index and whom it replaces, or `None` if nothing changes: the track
    /// has a slot already, or there is none for it.
    ///
    /// `silence` tells of every occupant how silent it is.
    pub fn place(&mut self, track: T, speaking: bool, silence: impl Fn(T) -> Silence) -> Option<(usize, Option<T>)> {
        if self.occupants.contains(&Some(track)) {
            return None;
        }
        let free = self.occupants.iter().position(Option::is_none);
        let index = free.or_else(|| speaking.then(|| self.longest_silent(silence)).flatten())?;
        Some((index, self.occupants[index].replace(track)))
    }

    fn longest_silent(&self, silence: impl Fn(T) -> Silence) -> Option<usize> {
        let silent = self.occupants.iter().enumerate().filter_map(|(index, occupant)| match silence((*occupant)?) {
            Silence::Speaking => None,
            // `None` sorts first: who never spoke goes first.
            Silence::Since(since) => Some((since, index)),
        });
        silent.min().map(|(_, index)| index)
    }

    /// Frees the slot of `track` and returns its index.
    pub fn remove(&mut self, track: T) -> Option<usize> {
        let index = self.occupants.iter().position(|occupant| *occupant == Some(track))?;
        self.occupants[index] = None;
        Some(index)
    }

    /// Who is in each slot.
    pub fn occupants(&self) -> &[Option<T>] {
        &self.occupants
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_free_slot_takes_any_track_and_a_full_house_only_speakers() {
        let mut slots = AudioSlots::new(2);
        let quiet = |_| Silence::Since(None);
        assert_eq!(slots.place(1, false, quiet), Some((0, None)));
        assert_eq!(slots.place(1, true, quiet), None);
        assert_eq!(slots.place(2, false, quiet), Some((1, None)));
        assert_eq!(slots.place(3, false, quiet), None);
        assert_eq!(slots.place(3, true, quiet), Some((0, Some(1))));
    }

    #[test]
    fn the_longest_silent_is_replaced_and_a_speaker_never() {
        let now = Instant::now();
        let mut slots = AudioSlots::new(3);
        for track in [1, 2, 3] {
            slots.place(track, false, |_| Silence::Speaking);
        }
        let silence = |track| match track {
            1 => Silence::Speaking,
            2 => Silence::Since(Some(now + Duration::from_secs(2))),
            _ => Silence::Since(Some(now)),
        };
        assert_eq!(slots.place(4, true, silence), Some((2, Some(3))));
        assert_eq!(slots.place(5, true, |_| Silence::Speaking), None);
        assert_eq!(slots.occupants(), [Some(1), Some(2), Some(4)]);
    }

    #[test]
    fn a_removed_track_leaves_its_slot_free_for_the_next() {
        let mut slots = AudioSlots::new(2);
        slots.place(1, false, |_| Silence::Speaking);
        slots.place(2, false, |_| Silence::Speaking);
        assert_eq!(slots.remove(1), Some(0));
        assert_eq!(slots.remove(1), None);
        assert_eq!(slots.place(3, false, |_| Silence::Speaking), Some((0, None)));
    }

    #[test]
    fn a_subscriber_without_slots_hears_nobody() {
        assert_eq!(AudioSlots::new(0).place(1, true, |_: i32| Silence::Since(None)), None);
    }
}
