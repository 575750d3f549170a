//! Encoded packets of one stream, from arrival order into play order.
//!
//! Payloads lie in a small arena of 80-byte units (10 ms of G.711), so any mix of packet sizes fits into about 6 kB.
//! Timestamps are mapped to one continuous media timeline at arrival: a jump of the sender's timestamp (re-INVITE,
//! hold, transfer) becomes the gap that really passed. Sequence numbers only ever go up in play order, so nothing is
//! played twice.

use super::delay::DelayEstimator;

const UNIT: usize = 80;
const UNITS: u32 = 64;
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
    /// It does not fit into the buffer.
    TooLong,
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
    len: u16,
    unit: u8,
    content: Content,
}

/// The latest packet in sequence: where the timeline stands.
#[derive(Debug, Clone, Copy)]
struct Reference {
    sequence: u64,
    timestamp: u32,
    media: i64,
    ticks: u32,
    arrival_us: i64,
}

/// Jitter buffer of one stream.
#[derive(Debug, Clone)]
pub struct JitterBuffer {
    clock: i64,
    ssrc: Option<u32>,
    slots: [Option<Slot>; SLOTS],
    arena: [u8; UNIT * UNITS as usize],
    free: u64,
    reference: Option<Reference>,
    /// Media time and arrival of the latest packet, also across restarts.
    anchor: Option<(i64, i64)>,
    stray: Option<u16>,
    late_run: (u16, u8),
    playing: bool,
    quiet: bool,
    play_sequence: u64,
    play_media: i64,
    packet_ticks: u32,
    delay: DelayEstimator,
    discards: Discards,
}

impl JitterBuffer {
    /// Longest payload, bytes: the largest Opus frame.
    pub const MAX_PAYLOAD: usize = 1275;
    /// Never holds more than this beyond the fastest packet, µs.
    pub const HARD_LIMIT_US: i64 = 500_000;
    /// A timestamp that lags or leads the arrival by more is a jump of the sender's clock, µs. Lagging is also what a
    /// network stall looks like; leading has no other cause.
    const LAG_US: i64 = 2_000_000;
    const LEAD_US: i64 = 300_000;
    /// A sequence number so far ahead or behind is a stray or a restart.
    const MAX_AHEAD: i64 = 1000;
    const MAX_BEHIND: i64 = 100;
    /// So many packets in sequence that are all behind mean the sender restarted.
    const RESTART_RUN: u8 = 5;

    /// An empty buffer for an RTP clock in Hz.
    pub fn new(clock: u32) -> Self {
        Self {
            clock: i64::from(clock.max(1)),
            ssrc: None,
            slots: [None; SLOTS],
            arena: [0; UNIT * UNITS as usize],
            free: u64::MAX,
            reference: None,
            anchor: None,
            stray: None,
            late_run: (0, 0),
            playing: false,
            quiet: true,
            play_sequence: 0,
            play_media: 0,
            packet_ticks: clock / 50,
            delay: DelayEstimator::default(),
            discards: Discards::default(),
        }
    }

    /// Stores a packet that arrived at `arrival_us`.
    pub fn insert(&mut self, packet: &Packet<'_>, arrival_us: u64) -> Inserted {
        if packet.payload.len() > Self::MAX_PAYLOAD {
            return Inserted::TooLong;
        }
        let arrival_us = arrival_us.min(i64::MAX as u64).cast_signed();
        if self.ssrc.is_some_and(|ssrc| ssrc != packet.ssrc) {
            self.restart();
        }
        self.ssrc = Some(packet.ssrc);
        let sequence = match self.place(packet.sequence) {
            Ok(sequence) => sequence,
            Err(refused) => return refused,
        };
        if self.reference.is_some() && sequence < self.play_sequence {
            return self.refuse_late(sequence, packet, arrival_us);
        }
        self.late_run.1 = 0;
        if self.slots[sequence as usize % SLOTS].is_some_and(|slot| slot.sequence == sequence) {
            self.discards.duplicate += 1;
            return Inserted::Duplicate;
        }
        let Some(media) = self.media_time(sequence, packet, arrival_us) else {
            self.discards.late += 1;
            return Inserted::Late;
        };
        self.make_room(sequence);
        self.store(sequence, media, packet)
    }

    /// The packet's 64-bit sequence number, unless it is far from the stream's.
    fn place(&mut self, sequence: u16) -> Result<u64, Inserted> {
        let Some(reference) = self.reference else {
            // Every stream begins in a cycle of its own, so that numbers go up across restarts.
            let cycle = (self.play_sequence >> 16) + 1;
            self.play_sequence = (cycle << 16) | u64::from(sequence);
            return Ok(self.play_sequence);
        };
        let step = i64::from(sequence.wrapping_sub(reference.sequence as u16).cast_signed());
        if (-Self::MAX_BEHIND..Self::MAX_AHEAD).contains(&step) {
            self.stray = None;
            return Ok(reference.sequence.saturating_add_signed(step));
        }
        if self.stray != Some(sequence) {
            self.stray = Some(sequence.wrapping_add(1));
            self.discards.stray += 1;
            return Err(Inserted::Stray);
        }
        self.restart();
        self.place(sequence)
    }

    fn refuse_late(&mut self, sequence: u64, packet: &Packet<'_>, arrival_us: i64) -> Inserted {
        let (expected, run) = self.late_run;
        let run = if run > 0 && packet.sequence == expected { run + 1 } else { 1 };
        self.late_run = (packet.sequence.wrapping_add(1), run);
        if run >= Self::RESTART_RUN && self.head().is_none() {
            self.restart();
            return self.insert(packet, arrival_us.max(0).cast_unsigned());
        }
        // It is late because the target is too low: the estimator must hear of it.
        let _ = self.media_time(sequence, packet, arrival_us);
        self.discards.late += 1;
        Inserted::Late
    }

    /// Forgets the stream but not how the network behaves; what was stored is dropped.
    fn restart(&mut self) {
        self.discards.overflow += self.slots.iter().flatten().filter(|s| s.content != Content::Event).count() as u64;
        self.play_sequence = self.play_sequence.max(self.reference.map_or(0, |reference| reference.sequence));
        self.slots = [None; SLOTS];
        self.free = u64::MAX;
        self.reference = None;
        self.stray = None;
        self.late_run.1 = 0;
        self.playing = false;
        self.quiet = true;
    }

    /// Media time of a packet in ticks, on a timeline without jumps; `None` for a packet from before a jump.
    fn media_time(&mut self, sequence: u64, packet: &Packet<'_>, arrival_us: i64) -> Option<i64> {
        let event = packet.content == Content::Event;
        let Some(reference) = self.reference else {
            // After a restart the timeline goes on by the time that passed.
            let media = self.anchor.map_or(0, |(media, at_us)| media + self.ticks_in(arrival_us - at_us));
            self.reference =
                Some(Reference { sequence, timestamp: packet.timestamp, media, ticks: packet.ticks, arrival_us });
            self.play_media = media;
            if !event {
                self.observe(arrival_us, media, packet.ticks);
            }
            return Some(media);
        };
        if event {
            if sequence > reference.sequence {
                self.reference = Some(Reference { sequence, ..reference });
            }
            return Some(reference.media);
        }
        let step = i64::from(packet.timestamp.wrapping_sub(reference.timestamp).cast_signed());
        if sequence < reference.sequence {
            // From before a jump of the timestamp it would lie anywhere.
            let media = (step < 0 && step > -self.ticks_in(Self::LAG_US)).then(|| reference.media + step)?;
            self.delay.observe(arrival_us, self.us_of(media), 0);
            return Some(media);
        }
        let passed = self.ticks_in(arrival_us - reference.arrival_us);
        let is_jump = step < i64::from(reference.ticks)
            || passed - step > self.ticks_in(Self::LAG_US)
            || step - passed > self.ticks_in(Self::LEAD_US);
        let step = if is_jump { passed.max(i64::from(reference.ticks)) } else { step };
        let media = reference.media + step;
        if sequence == reference.sequence + 1 && packet.content == Content::Voice {
            self.packet_ticks = packet.ticks;
        }
        self.reference =
            Some(Reference { sequence, timestamp: packet.timestamp, media, ticks: packet.ticks, arrival_us });
        self.observe(arrival_us, media, packet.ticks);
        Some(media)
    }

    fn observe(&mut self, arrival_us: i64, media: i64, ticks: u32) {
        self.anchor = Some((media, arrival_us));
        let duration_us = self.us_of(i64::from(ticks)).unsigned_abs().min(200_000) as u32;
        self.delay.observe(arrival_us, self.us_of(media), duration_us);
    }

    /// Drops what is oldest until `sequence` has a slot of its own.
    fn make_room(&mut self, sequence: u64) {
        let lowest = sequence.saturating_sub(SLOTS as u64 - 1);
        if self.play_sequence >= lowest {
            return;
        }
        while let Some(head) = self.head().filter(|head| head.sequence < lowest) {
            self.drop_head(head);
        }
        self.play_sequence = self.play_sequence.max(lowest);
    }

    fn store(&mut self, sequence: u64, media: i64, packet: &Packet<'_>) -> Inserted {
        let payload = if packet.content == Content::Event { &[] } else { packet.payload };
        let unit = loop {
            if let Some(unit) = allocate(&mut self.free, payload.len()) {
                break unit;
            }
            match self.head() {
                Some(head) if head.sequence < sequence => self.drop_head(head),
                _ => {
                    self.discards.overflow += 1;
                    return Inserted::TooLong;
                }
            }
        };
        let at = usize::from(unit) * UNIT;
        self.arena[at..at + payload.len()].copy_from_slice(payload);
        let (ticks, content) = (packet.ticks, packet.content);
        self.slots[sequence as usize % SLOTS] =
            Some(Slot { sequence, media, ticks, len: payload.len() as u16, unit, content });
        Inserted::Stored
    }

    fn drop_head(&mut self, head: Slot) {
        self.take(head);
        if head.content != Content::Event {
            self.discards.overflow += 1;
            self.play_media = self.play_media.max(head.media + i64::from(head.ticks));
        }
    }

    /// Takes a slot out of the buffer; its bytes stay readable until the next insert.
    fn take(&mut self, slot: Slot) {
        self.slots[slot.sequence as usize % SLOTS] = None;
        release(&mut self.free, slot.unit, usize::from(slot.len));
        self.play_sequence = slot.sequence + 1;
    }

    /// The stored packet that comes first.
    fn head(&self) -> Option<Slot> {
        let highest = self.reference?.sequence;
        let last = highest.min(self.play_sequence + SLOTS as u64 - 1);
        (self.play_sequence..=last)
            .find_map(|sequence| self.slots[sequence as usize % SLOTS].filter(|slot| slot.sequence == sequence))
    }

    fn payload(&self, slot: Slot) -> &[u8] {
        let at = usize::from(slot.unit) * UNIT;
        &self.arena[at..at + usize::from(slot.len)]
    }

    /// What to play next at `now_us`. Call until a frame is full; each call moves on in the stream.
    pub fn next(&mut self, now_us: u64) -> Next<'_> {
        let now_us = now_us.min(i64::MAX as u64).cast_signed();
        while let Some(head) = self.head() {
            if head.content == Content::Event {
                self.take(head);
                self.quiet = true;
                continue;
            }
            if !self.playing {
                if !self.is_due(head, now_us) {
                    return Next::Empty { expected: true };
                }
                self.playing = true;
                self.play_sequence = head.sequence;
                self.play_media = head.media;
            }
            if head.content != Content::Noise && head.media + i64::from(head.ticks) <= self.play_media {
                self.take(head);
                self.discards.late += 1;
                continue;
            }
            if head.media > self.play_media {
                return self.bridge(head);
            }
            return self.play(head);
        }
        Next::Empty { expected: self.quiet }
    }

    fn play(&mut self, head: Slot) -> Next<'_> {
        self.take(head);
        self.play_media = self.play_media.max(head.media + i64::from(head.ticks));
        self.quiet = head.content != Content::Voice;
        let payload = self.payload(head);
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
            let ticks = gap.min((self.clock / 50) as u32);
            self.play_media += i64::from(ticks);
            return Next::Silence { ticks };
        }
        let ticks = gap.min(self.packet_ticks.max(1));
        self.play_media += i64::from(ticks);
        self.play_sequence += 1;
        let following = (missing == 1 && head.content == Content::Voice).then(|| self.payload(head));
        Next::Lost { ticks, following }
    }

    /// Whether the first packet of a talk spurt has been held for as long as the target asks.
    fn is_due(&self, head: Slot, now_us: i64) -> bool {
        let Some(fastest) = self.delay.fastest_us() else { return true };
        now_us - self.us_of(head.media) - fastest >= self.delay.target_us() || self.stored_us() > DelayEstimator::MAX_US
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

    /// How much later than the fastest packet allows we play, µs, with `ahead` ticks decoded but not yet heard.
    pub fn held_us(&self, now_us: u64, ahead: u32) -> i64 {
        let now_us = now_us.min(i64::MAX as u64).cast_signed();
        let fastest = self.delay.fastest_us().unwrap_or(0);
        now_us - self.us_of(self.play_media - i64::from(ahead)) - fastest
    }

    /// How long to hold, µs.
    pub fn target_us(&self) -> i64 {
        self.delay.target_us()
    }

    /// Media stored beyond the play position, µs.
    pub fn stored_us(&self) -> i64 {
        let (Some(reference), Some(head)) = (self.reference, self.head()) else { return 0 };
        let from = if self.playing { self.play_media } else { head.media };
        self.us_of(reference.media + i64::from(reference.ticks) - from).max(0)
    }

    /// How long the sender's packets are, RTP ticks.
    pub fn packet_ticks(&self) -> u32 {
        self.packet_ticks
    }

    /// Packets that never were played, by reason.
    pub fn discards(&self) -> Discards {
        self.discards
    }

    fn ticks_in(&self, us: i64) -> i64 {
        us.saturating_mul(self.clock) / 1_000_000
    }

    fn us_of(&self, ticks: i64) -> i64 {
        ticks.saturating_mul(1_000_000) / self.clock
    }
}

/// Units a payload takes: none for an event.
fn units_of(len: usize) -> u32 {
    len.div_ceil(UNIT) as u32
}

fn mask(units: u32) -> u64 {
    (1u64 << units) - 1
}

/// Finds room for `len` bytes: the first run of free units that is long enough.
fn allocate(free: &mut u64, len: usize) -> Option<u8> {
    let units = units_of(len);
    let mut runs = *free;
    for shift in 1..units {
        runs &= *free >> shift;
    }
    if units == 0 {
        return Some(0);
    }
    let unit = runs.trailing_zeros();
    if unit + units > UNITS {
        return None;
    }
    *free &= !(mask(units) << unit);
    Some(unit as u8)
}

fn release(free: &mut u64, unit: u8, len: usize) {
    *free |= mask(units_of(len)) << unit;
}
