//! Voice activity by energy over an adaptive noise floor, with hang-over.

/// Decides per 20 ms frame whether somebody speaks.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Noise floor in −dBov.
    floor: f32,
    hangover: u8,
    /// Loud frames in a row, and the other ones.
    run: u8,
    pause: u8,
}

impl Default for Gate {
    fn default() -> Self {
        Self { floor: 60.0, hangover: 0, run: 0, pause: 0 }
    }
}

impl Gate {
    /// A frame this much above the floor is voice, dB.
    const MARGIN: f32 = 9.0;
    /// Frames quieter than this are never voice, −dBov.
    const QUIETEST_VOICE: f32 = 55.0;
    /// The floor never rises above this, −dBov: whoever is louder is heard even in constant noise.
    const LOUDEST_FLOOR: f32 = 34.0;
    /// Frames the gate stays open after the last loud one: 300 ms bridge the gaps inside words.
    const HANGOVER: u8 = 15;
    /// The floor falls to a quieter frame at once by half, and rises 2 dB per second at most.
    const RISE_PER_FRAME: f32 = 0.04;
    /// Digital silence tells nothing of the noise to come: the floor is never quieter than this, −dBov.
    const QUIETEST_FLOOR: f32 = 66.0;

    /// Takes the level of the next frame in −dBov; whether the gate is open for it.
    #[inline]
    pub fn update(&mut self, level: u8) -> bool {
        let level = f32::from(level);
        if level > self.floor {
            self.floor = ((self.floor + level) * 0.5).min(Self::QUIETEST_FLOOR);
        } else {
            self.floor = (self.floor - Self::RISE_PER_FRAME).max(level).max(Self::LOUDEST_FLOOR);
        }
        let loud = level < Self::QUIETEST_VOICE && level + Self::MARGIN <= self.floor;
        self.run = if loud { self.run.saturating_add(1) } else { 0 };
        self.pause = if loud { 0 } else { self.pause.saturating_add(1) };
        // One loud frame is a click; two are the beginning of a word.
        if self.run >= 2 {
            self.hangover = Self::HANGOVER;
        } else {
            self.hangover = self.hangover.saturating_sub(1);
        }
        self.is_open()
    }

    /// Whether the last frames were a pause, be it only one between two words.
    pub fn is_pause(&self) -> bool {
        self.pause >= 2
    }

    /// Level of the background noise, −dBov.
    pub fn floor(&self) -> u8 {
        self.floor.clamp(0.0, 127.0) as u8
    }

    /// Whether somebody speaks, by the last frame.
    pub fn is_open(&self) -> bool {
        self.hangover > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(gate: &mut Gate, level: u8, frames: usize) -> usize {
        (0..frames).filter(|_| gate.update(level)).count()
    }

    #[test]
    fn speech_opens_the_gate_and_silence_closes_it_after_the_hangover() {
        let mut gate = Gate::default();
        assert_eq!(run(&mut gate, 127, 50), 0);
        assert_eq!(run(&mut gate, 20, 10), 9);
        assert_eq!(run(&mut gate, 127, 50), 14);
    }

    #[test]
    fn steady_noise_does_not_keep_the_gate_open_but_speech_above_it_opens_it() {
        let mut gate = Gate::default();
        run(&mut gate, 42, 1500);
        assert_eq!(run(&mut gate, 42, 100), 0);
        assert_eq!(run(&mut gate, 22, 10), 9);
    }

    #[test]
    fn a_pause_between_words_is_known_before_the_gate_closes() {
        let mut gate = Gate::default();
        run(&mut gate, 20, 10);
        assert!(!gate.is_pause());
        run(&mut gate, 70, 2);
        assert!(gate.is_pause() && gate.is_open());
    }

    #[test]
    fn a_click_does_not_open_the_gate() {
        let mut gate = Gate::default();
        run(&mut gate, 127, 50);
        assert!(!gate.update(10));
        assert_eq!(run(&mut gate, 127, 50), 0);
    }

    #[test]
    fn a_loud_talker_without_pause_stays_a_talker() {
        let mut gate = Gate::default();
        assert!(run(&mut gate, 20, 3000) >= 2999);
    }
}
