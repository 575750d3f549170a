//! Playback into a leg or a room: a queue of clips, silence and tones, 20 ms at a time.

use super::clip::Clip;
use super::frame::{Frame, Rate};
use super::tone::Tone;
use std::sync::Arc;

/// One thing to play.
#[derive(Debug, Clone)]
pub enum Sound {
    /// A prompt or music.
    Clip(Arc<Clip>),
    /// Nothing, for so many ms.
    Silence(u32),
    /// A tone.
    Tone(Tone),
}

impl Sound {
    fn len(&self, rate: Rate) -> usize {
        match self {
            Self::Clip(clip) => clip.samples(rate).len(),
            Self::Silence(ms) => rate.samples(*ms),
            Self::Tone(tone) => tone.len(rate),
        }
    }

    /// Samples from position `from` on; samples written, 0 at the end.
    fn fill(&self, rate: Rate, from: usize, out: &mut [i16]) -> usize {
        match self {
            Self::Clip(clip) => {
                let rest = clip.samples(rate).get(from..).unwrap_or(&[]);
                let len = rest.len().min(out.len());
                out[..len].copy_from_slice(&rest[..len]);
                len
            }
            Self::Silence(ms) => {
                let len = rate.samples(*ms).saturating_sub(from).min(out.len());
                out[..len].fill(0);
                len
            }
            Self::Tone(tone) => tone.fill(rate, from, out),
        }
    }
}

/// What `fill` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Played {
    /// Nothing was playing; the frame is silent.
    Idle,
    /// The frame is full of sound and there is more.
    Playing,
    /// This frame holds the end. Said once per playback.
    Finished,
}

/// Plays a queue of sounds.
#[derive(Debug, Clone)]
pub struct Player {
    rate: Rate,
    queue: Vec<Sound>,
    current: usize,
    /// Position in the current sound, samples.
    offset: usize,
    /// Samples played since the playback began, rounds included.
    played: u64,
    repeat: bool,
    stopping: bool,
}

impl Player {
    /// Sounds one playback can hold.
    pub const MAX_SOUNDS: usize = 64;

    /// A silent player. Allocates its queue.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            queue: Vec::with_capacity(Self::MAX_SOUNDS),
            current: 0,
            offset: 0,
            played: 0,
            repeat: false,
            stopping: false,
        }
    }

    /// Begins a playback in place of the one before; `repeat` goes round until stopped. Sounds beyond
    /// [`MAX_SOUNDS`](Self::MAX_SOUNDS) are not taken: the number taken is returned.
    pub fn play(&mut self, sounds: impl IntoIterator<Item = Sound>, repeat: bool) -> usize {
        self.clear();
        self.repeat = repeat;
        self.append(sounds)
    }

    /// Adds to the playback that is going on; the number of sounds taken.
    pub fn append(&mut self, sounds: impl IntoIterator<Item = Sound>) -> usize {
        let room = Self::MAX_SOUNDS - self.queue.len();
        let before = self.queue.len();
        self.queue.extend(sounds.into_iter().take(room));
        self.queue.len() - before
    }

    /// Ends the playback with a short fade in the next frame; where it stopped, ms.
    pub fn stop(&mut self) -> u64 {
        self.stopping = self.is_playing();
        self.position_ms()
    }

    /// Whether there is something to play.
    pub fn is_playing(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How long the playback has played, ms.
    pub fn position_ms(&self) -> u64 {
        self.played * 1000 / u64::from(self.rate.hz())
    }

    /// How long one round of the playback is, ms.
    pub fn duration_ms(&self) -> u64 {
        let samples: usize = self.queue.iter().map(|sound| sound.len(self.rate)).sum();
        samples as u64 * 1000 / u64::from(self.rate.hz())
    }

    /// Fills `frame` with the next 20 ms, at the player's rate.
    ///
    /// # Panics
    /// When the frame has another rate.
    pub fn fill(&mut self, frame: &mut Frame) -> Played {
        assert_eq!(frame.rate(), self.rate, "the frame's rate must be the player's");
        let out = frame.samples_mut();
        if !self.is_playing() {
            out.fill(0);
            return Played::Idle;
        }
        let written = self.fill_samples(out);
        out[written..].fill(0);
        if std::mem::take(&mut self.stopping) {
            let len = out.len() as i32;
            out.iter_mut().enumerate().for_each(|(i, s)| *s = (i32::from(*s) * (len - i as i32) / len) as i16);
            self.clear();
            return Played::Finished;
        }
        if self.current < self.queue.len() {
            return Played::Playing;
        }
        self.clear();
        Played::Finished
    }

    fn fill_samples(&mut self, out: &mut [i16]) -> usize {
        let mut written = 0;
        let mut round_began = written;
        while written < out.len() {
            let Some(sound) = self.queue.get(self.current) else {
                // A round without a single sample would go on for ever.
                if !self.repeat || (round_began == written && self.duration_ms() == 0) {
                    break;
                }
                self.current = 0;
                round_began = written;
                continue;
            };
            let samples = sound.fill(self.rate, self.offset, &mut out[written..]);
            written += samples;
            self.offset += samples;
            if self.offset >= sound.len(self.rate) {
                self.current += 1;
                self.offset = 0;
            }
        }
        if self.repeat && self.current == self.queue.len() && written > 0 {
            self.current = 0;
        }
        self.played += written as u64;
        written
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.current = 0;
        self.offset = 0;
        self.played = 0;
        self.repeat = false;
        self.stopping = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(value: i16, ms: u32) -> Sound {
        Sound::Clip(Arc::new(Clip::from_samples(8_000, &vec![value; Rate::Narrow.samples(ms)]).unwrap()))
    }

    fn fill(player: &mut Player) -> (Played, Vec<i16>) {
        let mut frame = Frame::silent(Rate::Narrow);
        let played = player.fill(&mut frame);
        (played, frame.samples().to_vec())
    }

    #[test]
    fn sounds_follow_each_other_without_a_gap_and_the_end_is_told_once() {
        let mut player = Player::new(Rate::Narrow);
        assert_eq!(player.play([clip(100, 30), Sound::Silence(5), clip(-7, 15)], false), 3);
        assert_eq!(player.duration_ms(), 50);
        assert_eq!(fill(&mut player), (Played::Playing, vec![100; 160]));
        let expected = [vec![100; 80], vec![0; 40], vec![-7; 40]].concat();
        assert_eq!(fill(&mut player), (Played::Playing, expected));
        let (played, samples) = fill(&mut player);
        assert_eq!((played, samples), (Played::Finished, [vec![-7; 80], vec![0; 80]].concat()));
        assert_eq!(fill(&mut player), (Played::Idle, vec![0; 160]));
    }

    #[test]
    fn an_end_on_the_frame_boundary_is_told_in_that_frame() {
        let mut player = Player::new(Rate::Narrow);
        player.play([clip(100, 20)], false);
        assert_eq!(fill(&mut player).0, Played::Finished);
        assert_eq!(fill(&mut player).0, Played::Idle);
    }

    #[test]
    fn a_loop_goes_round_until_it_is_stopped() {
        let mut player = Player::new(Rate::Narrow);
        player.play([clip(100, 30), clip(50, 10)], true);
        for _ in 0..100 {
            assert_eq!(fill(&mut player), (Played::Playing, vec![100; 160]));
            assert_eq!(fill(&mut player), (Played::Playing, [vec![100; 80], vec![50; 80]].concat()));
        }
        assert_eq!(player.stop(), 4000);
        let (played, samples) = fill(&mut player);
        assert_eq!((played, samples[0]), (Played::Finished, 100));
        assert!(samples[159] < 5);
        assert!(!player.is_playing());
    }

    #[test]
    fn a_loop_of_nothing_ends() {
        let mut player = Player::new(Rate::Narrow);
        player.play([Sound::Silence(0)], true);
        assert_eq!(fill(&mut player).0, Played::Finished);
    }

    #[test]
    fn a_new_playback_replaces_the_old_one_and_takes_no_more_than_fits() {
        let mut player = Player::new(Rate::Narrow);
        player.play([clip(100, 100)], false);
        fill(&mut player);
        assert_eq!(player.play((0..100).map(|_| clip(5, 20)), false), Player::MAX_SOUNDS);
        assert_eq!(player.position_ms(), 0);
        assert_eq!(fill(&mut player).1, vec![5; 160]);
    }
}
