//! Who is speaking, from the audio level that each packet carries (RFC 6464).

use std::time::{Duration, Instant};

/// At or above this level, in dBov, a packet is loud, unless its sender says it is no voice.
pub const LOUD: i8 = -50;
/// At or above this level a packet is loud whatever its sender says of voice.
pub const CERTAINLY_LOUD: i8 = -35;
/// Loud packets in a row that make a speaker; one click is not speech.
pub const ATTACK_PACKETS: u8 = 3;
/// Without a loud packet for this long, a speaker has stopped. Longer than the pause between two words.
pub const RELEASE: Duration = Duration::from_millis(600);

/// Opus payloads up to this size are silence (DTX) if no level is told.
const SILENT_PAYLOAD: usize = 10;

/// A speaker began or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Silent until now.
    Started,
    /// Speaking until now.
    Stopped,
}

/// Speaking state of one audio track.
#[derive(Debug, Clone, Copy, Default)]
pub struct Speaker {
    speaking: bool,
    run: u8,
    last_loud: Option<Instant>,
    stopped_at: Option<Instant>,
    level: Option<i8>,
}

impl Speaker {
    /// Takes the facts of one packet: level in dBov, voice activity, payload length in bytes.
    pub fn hear(&mut self, now: Instant, level: Option<i8>, voice: Option<bool>, payload: usize) -> Option<Change> {
        self.level = level;
        let loud = match level {
            Some(level) => level >= CERTAINLY_LOUD || level >= LOUD && voice != Some(false),
            None => payload > SILENT_PAYLOAD,
        };
        if !loud {
            self.run = 0;
            return self.tick(now);
        }
        self.run = self.run.saturating_add(1);
        self.last_loud = Some(now);
        if self.speaking || self.run < ATTACK_PACKETS {
            return None;
        }
        self.speaking = true;
        Some(Change::Started)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        let silent = self.last_loud.is_none_or(|last| now >= last + RELEASE);
        if self.speaking && silent {
            self.speaking = false;
            self.stopped_at = Some(now);
            return Some(Change::Stopped);
        }
        None
    }

    /// Silence by decree: muted or gone.
    pub fn silence(&mut self, now: Instant) -> Option<Change> {
        self.run = 0;
        self.last_loud = None;
        self.tick(now)
    }

    /// True while speaking.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// When it last stopped speaking; `None` if it never spoke.
    pub fn stopped_at(&self) -> Option<Instant> {
        self.stopped_at
    }

    /// Level of the last packet, in dBov.
    pub fn level(&self) -> Option<i8> {
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    #[test]
    fn three_loud_packets_make_a_speaker_and_a_pause_between_words_does_not_end_it() {
        let (mut speaker, mut now) = (Speaker::default(), Instant::now());
        let mut hear = |level, frames: u32| {
            let mut changes = Vec::new();
            for _ in 0..frames {
                now += FRAME;
                changes.extend(speaker.hear(now, Some(level), Some(true), 80));
            }
            changes
        };
        assert_eq!(hear(-20, 2), []);
        assert_eq!(hear(-20, 1), [Change::Started]);
        assert_eq!(hear(-80, 25), []);
        assert_eq!(hear(-20, 1), []);
        assert_eq!(hear(-80, 40), [Change::Stopped]);
    }

    #[test]
    fn a_click_is_not_speech_and_noise_marked_as_no_voice_is_not_either() {
        let (mut speaker, now) = (Speaker::default(), Instant::now());
        assert_eq!(speaker.hear(now, Some(-10), Some(true), 80), None);
        assert_eq!(speaker.hear(now, Some(-90), Some(true), 80), None);
        for _ in 0..10 {
            assert_eq!(speaker.hear(now, Some(-45), Some(false), 80), None);
        }
    }

    #[test]
    fn a_speaker_whose_packets_stop_coming_is_ended_by_time() {
        let (mut speaker, now) = (Speaker::default(), Instant::now());
        for _ in 0..3 {
            speaker.hear(now, None, None, 80);
        }
        assert!(speaker.is_speaking());
        assert_eq!(speaker.tick(now + RELEASE), Some(Change::Stopped));
        assert_eq!(speaker.stopped_at(), Some(now + RELEASE));
    }
}
