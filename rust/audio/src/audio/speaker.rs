//! Who speaks: the N loudest talkers for the mix, and the one dominant speaker.
//!
//! Every leg smooths its own level; once per tick the room offers those whose gate is open. Seats are kept with
//! hysteresis and for a minimum time, so that a cough does not cut a sentence.

use arrayvec::ArrayVec;
use std::cmp::Ordering;

/// Smoothed loudness of one leg: rises within a word, falls within a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loudness(f32);

impl Loudness {
    const ATTACK: f32 = 0.3;
    const RELEASE: f32 = 0.05;

    /// Takes the level of the next frame in −dBov; frames without voice count as silence.
    pub fn update(&mut self, level: u8, active: bool) -> Self {
        let loud = if active { f32::from(127 - level.min(127)) } else { 0.0 };
        let speed = if loud > self.0 { Self::ATTACK } else { Self::RELEASE };
        self.0 += (loud - self.0) * speed;
        *self
    }

    /// Decibels above digital silence, 0–127.
    pub fn db(self) -> f32 {
        self.0
    }
}

#[derive(Debug, Clone, Copy)]
struct Seat<K> {
    key: K,
    loudness: f32,
    /// Tick in which it was taken.
    since: u64,
    /// Tick in which its holder last spoke.
    spoke: u64,
}

/// The up to `N` speakers of a room, by keys of the room's own.
#[derive(Debug, Clone)]
pub struct Speakers<K, const N: usize> {
    tick: u64,
    seats: ArrayVec<Seat<K>, N>,
    offers: ArrayVec<(K, f32), N>,
    dominant: Option<K>,
    challenger: Option<(K, u64)>,
}

impl<K: Copy + Eq, const N: usize> Default for Speakers<K, N> {
    fn default() -> Self {
        Self { tick: 0, seats: ArrayVec::new(), offers: ArrayVec::new(), dominant: None, challenger: None }
    }
}

impl<K: Copy + Eq, const N: usize> Speakers<K, N> {
    /// A challenger must be louder than the softest speaker by so much, dB.
    const HYSTERESIS_DB: f32 = 6.0;
    /// A seat is kept for so long whatever comes: 400 ms.
    const HOLD_TICKS: u64 = 20;
    /// The dominant speaker changes after somebody was louder for so long: 500 ms.
    const DOMINANCE_TICKS: u64 = 25;
    const DOMINANCE_DB: f32 = 3.0;

    /// Offers a leg that speaks in this tick.
    pub fn offer(&mut self, key: K, loudness: Loudness) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.key == key) {
            seat.loudness = loudness.db();
            seat.spoke = self.tick;
            return;
        }
        if self.offers.is_full() {
            let softest = softest(self.offers.iter().map(|&(_, loudness)| loudness));
            if let Some((index, _)) = softest.filter(|&(_, softest)| softest < loudness.db()) {
                self.offers[index] = (key, loudness.db());
            }
        } else {
            self.offers.push((key, loudness.db()));
        }
    }

    /// Ends the tick: seats the loudest. Returns whether the dominant speaker changed.
    pub fn settle(&mut self) -> bool {
        let tick = self.tick;
        self.seats.retain(|seat| tick - seat.spoke < Self::HOLD_TICKS);
        self.offers.sort_unstable_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal));
        for (key, loudness) in std::mem::take(&mut self.offers) {
            self.seat(Seat { key, loudness, since: tick, spoke: tick });
        }
        self.tick += 1;
        self.settle_dominant()
    }

    fn seat(&mut self, newcomer: Seat<K>) {
        if !self.seats.is_full() {
            self.seats.push(newcomer);
            return;
        }
        let tick = self.tick;
        let rank = |seat: &Seat<K>| {
            // Who has fallen silent gives way before whoever speaks.
            let held = tick - seat.since < Self::HOLD_TICKS;
            let loudness = if seat.spoke == tick { seat.loudness + Self::HYSTERESIS_DB } else { 0.0 };
            if held { f32::INFINITY } else { loudness }
        };
        if let Some((index, _)) = softest(self.seats.iter().map(rank)).filter(|&(_, rank)| rank < newcomer.loudness) {
            self.seats[index] = newcomer;
        }
    }

    fn settle_dominant(&mut self) -> bool {
        let speaking = |seat: &&Seat<K>| seat.spoke + 1 == self.tick;
        let loudest = self.seats.iter().filter(speaking).max_by(|a, b| a.loudness.total_cmp(&b.loudness));
        let Some(loudest) = loudest else {
            self.challenger = None;
            return false;
        };
        let key = loudest.key;
        let holder = self.seats.iter().filter(speaking).find(|seat| Some(seat.key) == self.dominant);
        let clearly = holder.is_none_or(|holder| loudest.loudness > holder.loudness + Self::DOMINANCE_DB);
        if Some(key) == self.dominant || !clearly {
            self.challenger = None;
            return false;
        }
        let since = match self.challenger {
            Some((challenger, since)) if challenger == key => since,
            _ => self.tick,
        };
        self.challenger = Some((key, since));
        let patience = if self.dominant.is_none() { 0 } else { Self::DOMINANCE_TICKS };
        if self.tick - since < patience {
            return false;
        }
        self.challenger = None;
        self.dominant = Some(key);
        true
    }

    /// Who is in the mix now, in no particular order.
    pub fn seated(&self) -> impl ExactSizeIterator<Item = K> + '_ {
        self.seats.iter().map(|seat| seat.key)
    }

    /// Whether a leg is in the mix.
    pub fn is_seated(&self, key: K) -> bool {
        self.seats.iter().any(|seat| seat.key == key)
    }

    /// The dominant speaker: stays until another one takes over.
    pub fn dominant(&self) -> Option<K> {
        self.dominant
    }

    /// Forgets a leg that left or was muted.
    pub fn remove(&mut self, key: K) {
        self.seats.retain(|seat| seat.key != key);
        self.offers.retain(|&mut (offered, _)| offered != key);
        self.dominant = self.dominant.filter(|&dominant| dominant != key);
        self.challenger = self.challenger.filter(|&(challenger, _)| challenger != key);
    }
}

fn softest(values: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    values.enumerate().min_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loud(db: f32) -> Loudness {
        Loudness(db)
    }

    fn ticks<const N: usize>(speakers: &mut Speakers<u32, N>, count: usize, offers: &[(u32, f32)]) {
        for _ in 0..count {
            offers.iter().for_each(|&(key, db)| speakers.offer(key, loud(db)));
            speakers.settle();
        }
    }

    fn seated<const N: usize>(speakers: &Speakers<u32, N>) -> Vec<u32> {
        let mut keys: Vec<_> = speakers.seated().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_loudest_are_seated() {
        let mut speakers = Speakers::<u32, 3>::default();
        ticks(&mut speakers, 1, &[(1, 50.0), (2, 70.0), (3, 90.0), (4, 60.0), (5, 80.0)]);
        assert_eq!(seated(&speakers), [2, 3, 5]);
    }

    #[test]
    fn a_slightly_louder_voice_does_not_take_a_seat_but_a_clearly_louder_one_does_after_the_hold() {
        let mut speakers = Speakers::<u32, 2>::default();
        ticks(&mut speakers, 30, &[(1, 80.0), (2, 80.0)]);
        ticks(&mut speakers, 30, &[(1, 80.0), (2, 81.0), (3, 84.0)]);
        assert_eq!(seated(&speakers), [1, 2]);
        ticks(&mut speakers, 1, &[(1, 80.0), (2, 81.0), (3, 90.0)]);
        assert_eq!(seated(&speakers), [2, 3]);
        ticks(&mut speakers, 10, &[(1, 100.0), (2, 95.0), (3, 90.0)]);
        assert_eq!(seated(&speakers), [2, 3], "the newcomer is held");
    }

    #[test]
    fn who_falls_silent_gives_way_at_once_and_leaves_after_the_hold() {
        let mut speakers = Speakers::<u32, 1>::default();
        ticks(&mut speakers, 30, &[(1, 90.0)]);
        ticks(&mut speakers, 1, &[(2, 50.0)]);
        assert_eq!(seated(&speakers), [2]);
        ticks(&mut speakers, 25, &[]);
        assert_eq!(seated(&speakers), [0u32; 0]);
    }

    #[test]
    fn the_dominant_speaker_changes_after_half_a_second_and_not_for_an_interjection() {
        let mut speakers = Speakers::<u32, 3>::default();
        ticks(&mut speakers, 50, &[(1, 80.0)]);
        assert_eq!(speakers.dominant(), Some(1));
        ticks(&mut speakers, 15, &[(1, 80.0), (2, 90.0)]);
        ticks(&mut speakers, 5, &[(1, 80.0)]);
        assert_eq!(speakers.dominant(), Some(1));
        ticks(&mut speakers, 27, &[(2, 80.0)]);
        assert_eq!(speakers.dominant(), Some(2));
        speakers.remove(2);
        assert_eq!((speakers.dominant(), speakers.is_seated(2)), (None, false));
    }

    #[test]
    fn loudness_rises_fast_and_falls_slowly() {
        let mut loudness = Loudness::default();
        (0..10).for_each(|_| _ = loudness.update(27, true));
        assert!(loudness.db() > 90.0);
        (0..10).for_each(|_| _ = loudness.update(127, false));
        assert!(loudness.db() > 50.0);
    }
}
