//! Telephone events (RFC 4733): receiver and sender of dialled digits.
//!
//! An event is named by its RTP timestamp: all its packets, the three end packets included, carry the same one. So any
//! single packet of it is enough to know the digit, and no packet of it can make a second digit.

use arrayvec::ArrayVec;

/// A key of a telephone: events 0–15 of RFC 4733 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    /// The digit of an event code, `None` above 15.
    pub fn from_event(event: u8) -> Option<Self> {
        (event < 16).then_some(Self(event))
    }

    /// The digit written as `0`–`9`, `*`, `#`, `A`–`D` (lower case accepted).
    pub fn from_char(c: char) -> Option<Self> {
        let event = "0123456789*#ABCD".find(c.to_ascii_uppercase())?;
        Some(Self(event as u8))
    }

    /// Event code 0–15.
    pub fn event(self) -> u8 {
        self.0
    }

    /// The digit as a character.
    pub fn as_char(self) -> char {
        char::from(b"0123456789*#ABCD"[usize::from(self.0)])
    }
}

/// A digit that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Which one.
    pub digit: Digit,
    /// How long it was held, in RTP ticks, as far as packets told.
    pub duration: u32,
}

/// What one packet changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DtmfChange {
    /// The digit that was held until now.
    pub released: Option<Released>,
    /// A new digit; reported exactly once per event.
    pub pressed: Option<Digit>,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    digit: Digit,
    /// Timestamp of the latest segment (RFC 4733 §2.5.1.3).
    timestamp: u32,
    /// Duration of the segments before it.
    earlier: u32,
    duration: u16,
    held: bool,
    heard_us: u64,
}

impl Event {
    fn released(&mut self) -> Option<Released> {
        let was_held = std::mem::replace(&mut self.held, false);
        was_held.then(|| Released { digit: self.digit, duration: self.earlier + u32::from(self.duration) })
    }
}

/// Receives telephone-event payloads of one RTP stream.
#[derive(Debug, Clone, Default)]
pub struct DtmfReceiver {
    current: Option<Event>,
}

impl DtmfReceiver {
    /// A held digit ends when nothing was heard of it for so long, µs.
    pub const RELEASE_AFTER_US: u64 = 200_000;
    /// A timestamp in the past is a straggler, unless nothing was heard for so long, µs: then the stream restarted.
    const RESTART_AFTER_US: u64 = 2_000_000;

    /// Forgets everything: for a new SSRC.
    pub fn reset(&mut self) -> Option<Released> {
        self.current.take().and_then(|mut event| event.released())
    }

    /// Takes one telephone-event payload. Events above 15 and short payloads change nothing.
    pub fn receive(&mut self, timestamp: u32, payload: &[u8], now_us: u64) -> DtmfChange {
        let Some((digit, end, duration)) = read(payload) else { return DtmfChange::default() };
        match &mut self.current {
            Some(event) if event.is_same(timestamp, digit) => {
                event.heard_us = now_us;
                event.extend(timestamp, duration);
                let released = if end { event.released() } else { None };
                DtmfChange { released, pressed: None }
            }
            Some(event) if event.is_straggler(timestamp, now_us) => DtmfChange::default(),
            current => {
                let before = current.as_mut().and_then(Event::released);
                let mut event = Event { digit, timestamp, earlier: 0, duration, held: true, heard_us: now_us };
                // When only the end packets arrived, press and release come together; when the digit before was still
                // held as well, the next end packet or `poll` releases this one.
                let released = before.or_else(|| if end { event.released() } else { None });
                *current = Some(event);
                DtmfChange { released, pressed: Some(digit) }
            }
        }
    }

    /// Ends a held digit whose end packets were all lost. Call once per tick.
    pub fn poll(&mut self, now_us: u64) -> Option<Released> {
        let event = self.current.as_mut()?;
        if now_us.saturating_sub(event.heard_us) < Self::RELEASE_AFTER_US {
            return None;
        }
        event.released()
    }

    /// Whether a digit is being held: the leg's own audio is then replaced by silence.
    pub fn is_held(&self) -> bool {
        self.current.is_some_and(|event| event.held)
    }
}

impl Event {
    /// The same event when it has the same timestamp, when it goes on in a further segment (RFC 4733 §2.5.1.3), or
    /// when it would overlap in time: one line cannot press a key twice at once, but some senders advance the
    /// timestamp with every packet of an event.
    fn is_same(&self, timestamp: u32, digit: Digit) -> bool {
        let ahead = timestamp.wrapping_sub(self.timestamp);
        if ahead == 0 {
            return true;
        }
        let segment = self.held && self.duration > 0xff00 && ahead.abs_diff(0xffff) < 0x100;
        digit == self.digit && (segment || ahead < u32::from(self.duration))
    }

    fn is_straggler(&self, timestamp: u32, now_us: u64) -> bool {
        let behind = timestamp.wrapping_sub(self.timestamp).cast_signed() < 0;
        behind && now_us.saturating_sub(self.heard_us) < DtmfReceiver::RESTART_AFTER_US
    }

    fn extend(&mut self, timestamp: u32, duration: u16) {
        let ahead = timestamp.wrapping_sub(self.timestamp);
        if ahead > 0xff00 {
            self.earlier += ahead;
            self.timestamp = timestamp;
            self.duration = duration;
        } else {
            self.duration = self.duration.max(duration);
        }
    }
}

fn read(payload: &[u8]) -> Option<(Digit, bool, u16)> {
    let (head, _) = payload.split_first_chunk::<4>()?;
    Some((Digit::from_event(head[0])?, head[1] & 0x80 != 0, u16::from_be_bytes([head[2], head[3]])))
}

/// One telephone-event packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtmfPacket {
    /// Timestamp of the event's beginning.
    pub timestamp: u32,
    /// Set on the first packet of an event.
    pub marker: bool,
    /// Event, end bit, volume, duration.
    pub payload: [u8; 4],
}

#[derive(Debug, Clone, Copy)]
enum Sending {
    Pause { ticks_left: u32 },
    Tone { digit: Digit, timestamp: u32, sent: u32 },
    End { digit: Digit, timestamp: u32, repeats_left: u8 },
}

/// Sends digits as telephone events, one packet per packet interval, the end three times (RFC 4733 §2.5.1.4).
#[derive(Debug, Clone)]
pub struct DtmfSender {
    queue: ArrayVec<Digit, { Self::QUEUE }>,
    sending: Sending,
    packet: u32,
    tone: u32,
    pause: u32,
}

impl DtmfSender {
    /// Digits that can wait to be sent.
    pub const QUEUE: usize = 64;
    /// Power of the tone, −dBm0.
    const VOLUME: u8 = 10;

    /// `packet`, `tone`, `pause` in RTP ticks: packet interval, length of a digit, quiet time between digits.
    pub fn new(packet: u32, tone: u32, pause: u32) -> Self {
        let packet = packet.max(1);
        let tone = tone.clamp(packet, 0xffff);
        Self { queue: ArrayVec::new(), sending: Sending::Pause { ticks_left: 0 }, packet, tone, pause }
    }

    /// Queues a digit; `false` when the queue is full.
    pub fn push(&mut self, digit: Digit) -> bool {
        self.queue.try_push(digit).is_ok()
    }

    /// Whether a digit is being sent or waits.
    pub fn is_busy(&self) -> bool {
        !self.queue.is_empty() || !matches!(self.sending, Sending::Pause { ticks_left: 0 })
    }

    /// Drops the digits that have not begun.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// The packet to send in this packet interval, in place of audio; `None`: send audio.
    /// `timestamp` is the one an audio packet would carry now.
    pub fn next_packet(&mut self, timestamp: u32) -> Option<DtmfPacket> {
        if let Sending::Pause { ticks_left } = &mut self.sending {
            if *ticks_left > 0 {
                *ticks_left = ticks_left.saturating_sub(self.packet);
                return None;
            }
            let digit = self.queue.pop_at(0)?;
            self.sending = Sending::Tone { digit, timestamp, sent: 0 };
        }
        Some(self.next_of_event())
    }

    fn next_of_event(&mut self) -> DtmfPacket {
        let packet = |digit: Digit, timestamp, marker, end: bool, duration: u32| {
            let [high, low] = (duration as u16).to_be_bytes();
            let payload = [digit.event(), (u8::from(end) << 7) | Self::VOLUME, high, low];
            DtmfPacket { timestamp, marker, payload }
        };
        match self.sending {
            Sending::Tone { digit, timestamp, sent } => {
                let duration = (sent + self.packet).min(self.tone);
                let end = duration == self.tone;
                self.sending = if end {
                    Sending::End { digit, timestamp, repeats_left: 2 }
                } else {
                    Sending::Tone { digit, timestamp, sent: duration }
                };
                packet(digit, timestamp, sent == 0, end, duration)
            }
            Sending::End { digit, timestamp, repeats_left } => {
                self.sending = if repeats_left > 1 {
                    Sending::End { digit, timestamp, repeats_left: repeats_left - 1 }
                } else {
                    Sending::Pause { ticks_left: self.pause }
                };
                packet(digit, timestamp, false, true, self.tone)
            }
            Sending::Pause { .. } => unreachable!("next_packet leaves the pause before it asks for an event packet"),
        }
    }
}
