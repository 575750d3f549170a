//! Encoded packets of one stream, from arrival order into play order, in about 7 kB.
//!
//! Sequence numbers, extended to 64 bits, only ever go up in play order: nothing is played twice.

use std::hint::black_box;

use super::arena::{Arena, Place};
use super::delay::DelayEstimator;
use super::timeline::{Placed, Stamp, Timeline};

const SLOTS: usize = 64;

/// What a packet carries, as far as the buffer cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Encoded sound.
    Voice,
    /// Encoded sound after which the sender may fall silent: an Opus DTX frame.
    LastVoice,
    /// Comfort noise (RFC 3389).
    Noise,
    /// A telephone event: takes a sequence number, no time and no space.
    Event,
}

/// A packet to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Synchronisation source; a change restarts the buffer.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// How long it plays, in RTP ticks.
    pub ticks: u32,
    /// What it is.
    pub content: Content,
    /// Payload, at most [`JitterBuffer::MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It will be played when its time comes.
    Stored,
    /// It is already there.
    Duplicate,
    /// Its time has passed.
    Late,
    /// It is far from the stream's sequence numbers; two in a row restart the stream.
    Stray,
    /// Its payload cannot be of the codec.
    TooLong,
    /// The buffer is full of later packets.
    Full,
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    /// Decode and play.
    Voice {
        /// Encoded sound.
        payload: &'a [u8],
    },
    /// Play comfort noise described by this payload from here on.
    Noise {
        /// RFC 3389 payload.
        payload: &'a [u8],
    },
    /// A packet is missing although later ones are there.
    Lost {
        /// How long it lasted, RTP ticks.
        ticks: u32,
        /// The packet right after it, which may carry a copy of it.
        following: Option<&'a [u8]>,
    },
    /// The sender was silent for so long, RTP ticks.
    Silence {
        /// At most one 20 ms frame at a time.
        ticks: u32,
    },
    /// Nothing is there in time for now. `expected` tells silence the sender announced from a missing packet.
    Empty {
        /// The sender went silent, or nothing has been played yet.
        expected: bool,
    },
}

/// Packets that never were played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discards {
    /// Came after their time.
    pub late: u64,
    /// Came twice.
    pub duplicate: u64,
    /// Thrown away to get back to the target delay, or because the buffer was full.
    pub overflow: u64,
    /// Strays that did not fit the stream.
    pub stray: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    sequence: u64,
    media: i64,
    ticks: u32,
    place: Place,
    content: Content,
}

impl Slot {
    fn end(&self) -> i64 {
        self.media + i64::from(self.ticks)
    }
}

/// Jitter buffer of one stream. Its fields lie in this order: the small ones that each packet needs come first.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct JitterBuffer {
    ssrc: Option<u32>,
    frame_ticks: u32,
    packet_ticks: u32,
    playing: bool,
    /// Nothing is expected: the sender has fallen silent, or has not begun.
    quiet: bool,
    late_run: LateRun,
    play_sequence: u64,
    play_media: i64,
    /// How long the packet played last was held, µs.
    last_held_us: i64,
    timeline: Timeline,
    delay: DelayEstimator,
    arena: Arena,
    slots: [Option<Slot>; SLOTS],
    discards: Discards,
}

/// Packets in sequence that all came too late.
#[derive(Debug, Clone, Copy, Default)]
struct LateRun {
    next: u16,
    len: u8,
}

impl JitterBuffer {
    /// Longest payload, bytes: the largest Opus frame.
    pub const MAX_PAYLOAD: usize = 1275;
    /// So many packets in sequence that are all behind mean the sender restarted a little further back.
    const RESTART_RUN: u8 = 5;

    /// An empty buffer for an RTP clock in Hz.
    pub fn new(clock: u32) -> Self {
        Self {
            ssrc: None,
            slots: [None; SLOTS],
            arena: Arena::new(),
            timeline: Timeline::new(clock),
            delay: DelayEstimator::default(),
            late_run: LateRun::default(),
            playing: false,
            quiet: true,
            play_sequence: 0,
            play_media: 0,
            last_held_us: 0,
            frame_ticks: clock / 50,
            packet_ticks: clock / 50,
            discards: Discards::default(),
        }
    }

    /// Fetches the memory that the next packet in sequence and the next to be played need, without waiting for it.
    pub fn prefetch(&self) {
        black_box((self.playing, self.delay.target_us()));
        self.arena.prefetch();
        let next = self.timeline.latest().map_or(0, |(sequence, _)| sequence + 1);
        for sequence in [self.play_sequence, next] {
            black_box(self.slots[sequence as usize % SLOTS].is_some());
        }
    }

    /// Stores a packet that arrived at `arrival_us`.
    pub fn insert(&mut self, packet: &Packet<'_>, arrival_us: u64) -> Inserted {
        if packet.payload.len() > Self::MAX_PAYLOAD {
            return Inserted::TooLong;
        }
        if self.ssrc.replace(packet.ssrc).is_some_and(|ssrc| ssrc != packet.ssrc) {
            self.restart();
        }
        let sequence = match self.timeline.place(packet.sequence) {
            Placed::At(sequence) => sequence,
            Placed::Stray => {
                self.discards.stray += 1;
                return Inserted::Stray;
            }
            Placed::Restarted => {
                self.restart();
                return self.insert(packet, arrival_us);
            }
        };
        if !self.timeline.has_begun() {
            self.play_sequence = sequence;
        } else if sequence < self.play_sequence {
            return self.refuse_late(sequence, packet, arrival_us);
        }
        self.late_run.len = 0;
        if self.slots[sequence as usize % SLOTS].is_some_and(|slot| slot.sequence == sequence) {
            self.discards.duplicate += 1;
            return Inserted::Duplicate;
        }
        match self.observe(sequence, packet, arrival_us) {
            Some(media) => self.store(sequence, media, packet),
            None => {
                self.discards.late += 1;
                Inserted::Late
            }
        }
    }

    /// A late packet says that the target is too low; several in a row, with nothing else coming, that the sender has
    /// gone back.
    fn refuse_late(&mut self, sequence: u64, packet: &Packet<'_>, arrival_us: u64) -> Inserted {
        let in_sequence = self.late_run.len > 0 && packet.sequence == self.late_run.next;
        let len = if in_sequence { self.late_run.len + 1 } else { 1 };
        self.late_run = LateRun { next: packet.sequence.wrapping_add(1), len };
        if len >= Self::RESTART_RUN && self.head().is_none() {
            self.restart();
            return self.insert(packet, arrival_us);
        }
        self.observe(sequence, packet, arrival_us);
        self.discards.late += 1;
        Inserted::Late
    }

    /// Forgets the stream but not how the network behaves; what was stored is dropped.
    fn restart(&mut self) {
        self.discards.overflow += self.slots.iter().flatten().filter(|s| s.content != Content::Event).count() as u64;
        self.slots = [None; SLOTS];
        self.arena.clear();
        self.timeline.restart();
        self.late_run.len = 0;
        self.pause();
    }

    /// Finds a packet's media time and lets the delay estimator learn from it.
    fn observe(&mut self, sequence: u64, packet: &Packet<'_>, arrival_us: u64) -> Option<i64> {
        let event = packet.content == Content::Event;
        let arrival_us = signed(arrival_us);
        let stamp = Stamp { timestamp: packet.timestamp, ticks: packet.ticks, event, arrival_us };
        let previous = self.timeline.latest().map(|(sequence, _)| sequence);
        let media = self.timeline.media(sequence, stamp)?;
        if !event {
            let duration_us = self.timeline.us_of(packet.ticks.into()).clamp(0, 200_000) as u32;
            self.delay.observe(arrival_us, self.timeline.us_of(media), duration_us);
        }
        if packet.content == Content::Voice && previous == Some(sequence.wrapping_sub(1)) {
            self.packet_ticks = packet.ticks.max(1);
        }
        Some(media)
    }

    fn store(&mut self, sequence: u64, media: i64, packet: &Packet<'_>) -> Inserted {
        self.make_slot(sequence);
        let payload = if packet.content == Content::Event { &[] } else { packet.payload };
        let place = loop {
            if let Some(place) = self.arena.store(payload) {
                break place;
            }
            match self.head() {
                Some(head) if head.sequence < sequence => self.drop_head(head),
                _ => {
                    self.discards.overflow += 1;
                    return Inserted::Full;
                }
            }
        };
        let (ticks, content) = (packet.ticks, packet.content);
        self.slots[sequence as usize % SLOTS] = Some(Slot { sequence, media, ticks, place, content });
        Inserted::Stored
    }

    /// Drops what is oldest until `sequence` has a slot of its own.
    fn make_slot(&mut self, sequence: u64) {
        let lowest = sequence.saturating_sub(SLOTS as u64 - 1);
        if self.play_sequence >= lowest {
            return;
        }
        while let Some(head) = self.head().filter(|head| head.sequence < lowest) {
            self.drop_head(head);
        }
        self.play_sequence = self.play_sequence.max(lowest);
    }

    fn drop_head(&mut self, head: Slot) {
        self.take(head);
        if head.content != Content::Event {
            self.discards.overflow += 1;
            self.play_media = self.play_media.max(head.end());
        }
    }

    /// Takes a slot out; its payload stays readable until the next insert.
    fn take(&mut self, slot: Slot) {
        self.slots[slot.sequence as usize % SLOTS] = None;
        self.arena.release(slot.place);
        self.play_sequence = slot.sequence + 1;
    }

    /// The stored packet that comes first.
    fn head(&self) -> Option<Slot> {
        let (highest, _) = self.timeline.latest()?;
        let last = highest.min(self.play_sequence + SLOTS as u64 - 1);
        let stored = |sequence| self.slots[sequence as usize % SLOTS].filter(|slot| slot.sequence == sequence);
        (self.play_sequence..=last).find_map(stored)
    }

    /// What to play next at `now_us`. Call until a frame is full; each call moves on in the stream.
    pub fn next(&mut self, now_us: u64) -> Next<'_> {
        while let Some(head) = self.head() {
            if head.content == Content::Event {
                self.take(head);
                self.quiet = true;
                continue;
            }
            if !self.playing {
                if !self.is_due(head, signed(now_us)) {
                    return Next::Empty { expected: true };
                }
                self.playing = true;
                self.play_sequence = head.sequence;
                self.play_media = head.media;
            }
            if head.content != Content::Noise && head.end() <= self.play_media {
                self.take(head);
                self.discards.late += 1;
                continue;
            }
            if head.media > self.play_media {
                return self.bridge(head);
            }
            self.last_held_us = self.held_us(now_us);
            return self.play(head);
        }
        Next::Empty { expected: self.quiet }
    }

    /// The packet to play at `now_us`, if it is the very next one, is sound and lasts `ticks`, as most do. Otherwise
    /// nothing changes, and [`next`](Self::next) says what comes.
    pub fn next_whole(&mut self, now_us: u64, ticks: u32) -> Option<&[u8]> {
        let sequence = self.play_sequence;
        let head = self.slots[sequence as usize % SLOTS].filter(|slot| slot.sequence == sequence)?;
        let whole = head.content == Content::Voice && head.ticks == ticks;
        if !self.playing || !whole || head.media != self.play_media {
            return None;
        }
        self.last_held_us = self.held_us(now_us);
        match self.play(head) {
            Next::Voice { payload } => Some(payload),
            _ => None,
        }
    }

    fn play(&mut self, head: Slot) -> Next<'_> {
        self.take(head);
        self.play_media = self.play_media.max(head.end());
        self.quiet = head.content != Content::Voice;
        let payload = self.arena.get(head.place);
        match head.content {
            Content::Noise => Next::Noise { payload },
            _ => Next::Voice { payload },
        }
    }

    /// What lies between the play position and a later packet: lost packets, then silence.
    fn bridge(&mut self, head: Slot) -> Next<'_> {
        let gap = (head.media - self.play_media).min(i64::from(u32::MAX)) as u32;
        let missing = head.sequence - self.play_sequence;
        if missing == 0 || self.quiet {
            let ticks = gap.min(self.frame_ticks);
            self.play_media += i64::from(ticks);
            return Next::Silence { ticks };
        }
        let ticks = gap.min(self.packet_ticks);
        self.play_media += i64::from(ticks);
        self.play_sequence += 1;
        let following = (missing == 1 && head.content == Content::Voice).then(|| self.arena.get(head.place));
        Next::Lost { ticks, following }
    }

    /// Whether the first packet of a talk spurt has been held for as long as the target asks.
    fn is_due(&self, head: Slot, now_us: i64) -> bool {
        let Some(fastest_us) = self.delay.fastest_us() else { return true };
        let held_us = now_us - self.timeline.us_of(head.media) - fastest_us;
        held_us >= self.delay.target_us() || self.stored_us() > DelayEstimator::MAX_US
    }

    /// Passes over `ticks` that were concealed because the buffer was empty.
    pub fn advance(&mut self, ticks: u32) {
        self.play_media += i64::from(ticks);
    }

    /// Stops playing until the next packet, which begins a new talk spurt at its own time.
    pub fn pause(&mut self) {
        self.playing = false;
        self.quiet = true;
    }

    /// Whether a talk spurt is being played.
    pub fn is_playing(&self) -> bool {
        self.playing
    }

    /// How much later than the fastest packet allows the next packet is played, µs.
    pub fn held_us(&self, now_us: u64) -> i64 {
        signed(now_us) - self.timeline.us_of(self.play_media) - self.delay.fastest_us().unwrap_or(0)
    }

    /// The same for the packet played last, µs.
    pub fn last_held_us(&self) -> i64 {
        self.last_held_us
    }

    /// How long to hold, µs.
    pub fn target_us(&self) -> i64 {
        self.delay.target_us()
    }

    /// Media stored beyond the play position, µs.
    pub fn stored_us(&self) -> i64 {
        let (Some((_, end)), Some(head)) = (self.timeline.latest(), self.head()) else { return 0 };
        let from = if self.playing { self.play_media } else { head.media };
        self.timeline.us_of(end - from).max(0)
    }

    /// How long the sender's packets are, RTP ticks.
    pub fn packet_ticks(&self) -> u32 {
        self.packet_ticks
    }

    /// Packets that never were played, by reason.
    pub fn discards(&self) -> Discards {
        self.discards
    }
}

/// Microseconds are compared and subtracted as signed numbers; no clock reaches 292,000 years.
fn signed(us: u64) -> i64 {
    us.min(i64::MAX as u64).cast_signed()
}
