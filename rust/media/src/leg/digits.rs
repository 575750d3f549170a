//! Digits to be sent to a phone (RFC 4733), with pauses.

use std::collections::VecDeque;

use dialroom_audio::rtp::dtmf::{Digit, DtmfPacket, DtmfSender};

/// Digits and pauses that can wait.
pub const MAX_QUEUED: usize = 128;
/// What a comma stands for, ms.
pub const PAUSE_MS: u32 = 500;

#[derive(Debug, Clone, Copy)]
enum Step {
    Digit(Digit),
    Pause,
}

/// The digits a leg still has to send.
#[derive(Debug, Default)]
#[repr(C)]
pub struct DigitQueue {
    finished: bool,
    /// RTP ticks per packet and per pause.
    packet: u32,
    pause: u32,
    pause_left: u32,
    sender: Option<DtmfSender>,
    steps: VecDeque<Step>,
}

/// A character that is no digit, or too many of them.
#[derive(Debug, PartialEq, Eq)]
pub struct BadDigits;

impl DigitQueue {
    /// Queues `digits` behind what waits. `packet`, `duration`, `gap` in ms, `clock` in Hz. All or nothing.
    pub fn push(&mut self, digits: &str, packet: u32, duration: u32, gap: u32, clock: u32) -> Result<(), BadDigits> {
        let mut steps = Vec::with_capacity(digits.len());
        for c in digits.chars() {
            steps.push(if c == ',' { Step::Pause } else { Step::Digit(Digit::from_char(c).ok_or(BadDigits)?) });
        }
        if steps.is_empty() || self.steps.len() + steps.len() > MAX_QUEUED {
            return Err(BadDigits);
        }
        let ticks = |ms: u32| ms.saturating_mul(clock / 1000);
        self.packet = ticks(packet).max(1);
        self.pause = ticks(PAUSE_MS);
        if !self.is_busy() {
            self.sender = Some(DtmfSender::new(self.packet, ticks(duration), ticks(gap)));
        }
        self.steps.extend(steps);
        self.finished = false;
        Ok(())
    }

    /// Whether something is being sent or waits.
    pub fn is_busy(&self) -> bool {
        !self.steps.is_empty() || self.pause_left > 0 || self.sender.as_ref().is_some_and(DtmfSender::is_busy)
    }

    /// The packet to send in place of a sound packet.
    pub fn next_packet(&mut self, timestamp: u32) -> Option<DtmfPacket> {
        let sender = self.sender.as_mut()?;
        if !sender.is_busy() {
            if self.pause_left > 0 {
                self.pause_left = self.pause_left.saturating_sub(self.packet);
                return None;
            }
            match self.steps.pop_front() {
                Some(Step::Digit(digit)) => {
                    sender.push(digit);
                }
                Some(Step::Pause) => {
                    self.pause_left = self.pause;
                    return None;
                }
                None => {
                    self.sender = None;
                    self.finished = true;
                    return None;
                }
            }
        }
        sender.next_packet(timestamp)
    }

    /// Whether the last digit has left; tells it once.
    pub fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(queue: &mut DigitQueue, packets: u32) -> Vec<Option<(u8, bool)>> {
        (0..packets).map(|i| queue.next_packet(i * 160).map(|p| (p.payload[0], p.payload[1] & 0x80 != 0))).collect()
    }

    #[test]
    fn digits_and_pauses_are_sent_in_order_and_their_end_is_told_once() {
        let mut queue = DigitQueue::default();
        queue.push("1,#", 20, 100, 60, 8000).unwrap();
        let seen = events(&mut queue, 60);
        let pressed: Vec<u8> = seen.iter().flatten().map(|(event, _)| *event).collect();
        assert_eq!(pressed, [[1; 7], [11; 7]].concat(), "five packets and two more ends each");
        let first_hash = seen.iter().position(|p| p.is_some_and(|(event, _)| event == 11)).unwrap();
        assert!(first_hash >= 7 + 25, "half a second between them");
        assert!(queue.take_finished());
        assert!(!queue.take_finished());
        assert!(!queue.is_busy());
    }

    #[test]
    fn what_is_no_digit_changes_nothing() {
        let mut queue = DigitQueue::default();
        assert_eq!(queue.push("12x", 20, 100, 60, 8000), Err(BadDigits));
        assert_eq!(queue.push("", 20, 100, 60, 8000), Err(BadDigits));
        assert_eq!(queue.push(&"1".repeat(MAX_QUEUED + 1), 20, 100, 60, 8000), Err(BadDigits));
        assert!(!queue.is_busy());
    }
}
