//! One downstream slot shows one source after another, as one unbroken RTP stream.
//!
//! Sequence numbers go on by one and timestamps by the time that passed, whatever the sources' own numbers are. Video
//! changes source only at a keyframe of the new one; audio at once. Packets that come late keep their place: they fill
//! a hole they left, or are dropped, so that the stream never runs backwards and never repeats itself.

use std::time::Instant;

use crate::munge::{Facts, Vp8Numbers};
use crate::types::{MediaKind, RtpIn, RtpOut};

/// Sequence numbers back from the newest within which a late packet may still fill its hole.
const WINDOW: u64 = 128;
/// A jump of sequence numbers beyond this is a new stream, not loss.
const MAX_JUMP: u64 = 3000;
/// Least time between the last packet of one source and the first of the next: one audio frame, one video frame at
/// 30 Hz.
const AUDIO_STEP: u32 = 960;
const VIDEO_STEP: u32 = 3000;
/// Most time put between two sources, in seconds: beyond it a receiver learns nothing from the gap.
const MAX_GAP_SECONDS: f64 = 3600.0;

/// What became of a packet offered to a slot.
#[derive(Debug)]
pub enum Verdict {
    /// Write this.
    Send(RtpOut),
    /// Too late, a duplicate, or the source is waited for but this is no place to start.
    Drop,
    /// The slot does not show this source, and will not: stop offering its packets.
    NotShown,
}

/// The stream of one slot; `T` names a source.
#[derive(Debug)]
pub struct Switcher<T> {
    kind: MediaKind,
    wanted: Option<T>,
    current: Option<Locked<T>>,
    previous: Option<Locked<T>>,
    vp8: Vp8Numbers,
    next_seq: u64,
    /// Bit `n` is set if `next_seq - 1 - n` was sent.
    sent: u128,
    timestamp: u32,
    written: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Locked<T> {
    source: T,
    ssrc: u32,
    /// Output minus input sequence number, modulo 2^64.
    seq_offset: u64,
    timestamp_offset: u32,
    /// Output sequence numbers this source may use: from its first, up to its end when another took over.
    first_seq: u64,
    end_seq: u64,
}

impl<T: Copy + PartialEq> Switcher<T> {
    /// An empty slot. `first_seq` should be below 32 768, so that the first roll-over is not ambiguous.
    pub fn new(kind: MediaKind, first_seq: u16, first_timestamp: u32) -> Self {
        Self {
            kind,
            wanted: None,
            current: None,
            previous: None,
            vp8: Vp8Numbers::default(),
            next_seq: u64::from(first_seq),
            sent: 0,
            timestamp: first_timestamp,
            written: None,
        }
    }

    /// Which source to show; `None` empties the slot at once. With video the old source is shown until a keyframe of
    /// the new one comes.
    pub fn select(&mut self, source: Option<T>) {
        self.wanted = source;
        if source.is_none() {
            self.interrupt();
        }
    }

    /// The selected source is about to be interrupted: it starts anew with its next keyframe, or next audio packet.
    pub fn interrupt(&mut self) {
        self.previous = self.current.take().map(|current| self.ended(current));
    }

    /// Empties the slot and forgets every source; the stream itself goes on from where it is.
    pub fn forget_sources(&mut self) {
        (self.wanted, self.current, self.previous) = (None, None, None);
    }

    /// The source selected.
    pub fn wanted(&self) -> Option<T> {
        self.wanted
    }

    /// True if the selected source cannot be shown before a keyframe of it comes.
    pub fn awaits_keyframe(&self) -> bool {
        let shown = self.current.map(|current| current.source);
        self.kind == MediaKind::Video && self.wanted.is_some() && self.wanted != shown
    }

    /// Offers a packet of `source`. `facts` are those of its payload.
    pub fn offer(&mut self, source: T, packet: &RtpIn, facts: &Facts) -> Verdict {
        if let Some(current) = self.current
            && current.source == source
            && current.ssrc == packet.ssrc
        {
            if !self.jumped(&current, packet) {
                return self.continued(current, packet, facts);
            }
            self.current = None;
        }
        if self.wanted == Some(source) {
            return self.started(source, packet, facts);
        }
        match self.previous {
            Some(previous) if previous.source == source && previous.ssrc == packet.ssrc => {
                self.late(previous, packet, facts).unwrap_or(Verdict::NotShown)
            }
            _ => Verdict::NotShown,
        }
    }

    fn jumped(&self, current: &Locked<T>, packet: &RtpIn) -> bool {
        let seq = packet.seq.wrapping_add(current.seq_offset);
        distance(self.next_seq, seq).unsigned_abs() > MAX_JUMP
    }

    fn started(&mut self, source: T, packet: &RtpIn, facts: &Facts) -> Verdict {
        if self.kind == MediaKind::Video && !facts.starts_keyframe {
            return Verdict::Drop;
        }
        let locked = Locked {
            source,
            ssrc: packet.ssrc,
            seq_offset: self.next_seq.wrapping_sub(packet.seq),
            timestamp_offset: self.timestamp_after(packet).wrapping_sub(packet.timestamp),
            first_seq: self.next_seq,
            end_seq: u64::MAX,
        };
        if let Some(current) = self.current.replace(locked) {
            self.previous = Some(self.ended(current));
        }
        self.vp8.switch_to(facts);
        let mut verdict = self.continued(locked, packet, facts);
        if let Verdict::Send(out) = &mut verdict
            && self.kind == MediaKind::Audio
        {
            out.marker = true;
        }
        verdict
    }

    fn ended(&self, locked: Locked<T>) -> Locked<T> {
        Locked { end_seq: self.next_seq, ..locked }
    }

    /// The output timestamp for the first packet of a new source: the time since the last packet, at least one frame.
    fn timestamp_after(&self, packet: &RtpIn) -> u32 {
        let Some(written) = self.written else {
            return self.timestamp;
        };
        let seconds = packet.arrival.saturating_duration_since(written).as_secs_f64().min(MAX_GAP_SECONDS);
        let step = if self.kind == MediaKind::Audio { AUDIO_STEP } else { VIDEO_STEP };
        let ticks = (seconds * f64::from(packet.codec.clock_rate())) as u32;
        self.timestamp.wrapping_add(ticks.max(step))
    }

    fn continued(&mut self, current: Locked<T>, packet: &RtpIn, facts: &Facts) -> Verdict {
        let seq = packet.seq.wrapping_add(current.seq_offset);
        if distance(self.next_seq, seq) < 0 {
            return self.late(current, packet, facts).unwrap_or(Verdict::Drop);
        }
        let ahead = seq + 1 - self.next_seq;
        self.sent = if ahead >= u64::from(u128::BITS) { 1 } else { self.sent << ahead | 1 };
        self.next_seq = seq + 1;
        self.timestamp = packet.timestamp.wrapping_add(current.timestamp_offset);
        self.written = Some(packet.arrival);
        Verdict::Send(self.rewritten(seq, self.timestamp, packet, facts))
    }

    /// A packet behind the newest: sent if it fills a hole of its own source.
    fn late(&mut self, locked: Locked<T>, packet: &RtpIn, facts: &Facts) -> Option<Verdict> {
        let seq = packet.seq.wrapping_add(locked.seq_offset);
        let owned = distance(locked.first_seq, seq) >= 0 && seq < locked.end_seq;
        if !owned || seq >= self.next_seq {
            return None;
        }
        let back = self.next_seq - 1 - seq;
        let bit = 1_u128.checked_shl(u32::try_from(back).ok()?).filter(|_| back < WINDOW)?;
        if self.sent & bit != 0 {
            return Some(Verdict::Drop);
        }
        // The picture numbers of a source that is no longer shown are not known any more.
        if facts.vp8.is_some() && locked.end_seq != u64::MAX {
            return None;
        }
        self.sent |= bit;
        let timestamp = packet.timestamp.wrapping_add(locked.timestamp_offset);
        Some(Verdict::Send(self.rewritten(seq, timestamp, packet, facts)))
    }

    fn rewritten(&mut self, seq: u64, timestamp: u32, packet: &RtpIn, facts: &Facts) -> RtpOut {
        RtpOut {
            codec: packet.codec,
            seq,
            timestamp,
            marker: packet.marker,
            level: packet.level,
            voice: packet.voice,
            rotation: packet.rotation,
            payload: packet.payload.clone(),
            vp8: self.vp8.rewrite(facts),
            wallclock: packet.arrival,
        }
    }
}

/// How far `to` is ahead of `from`, negative if behind. Offsets may wrap below zero.
fn distance(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Codec, Mid};
    use proptest::prelude::*;
    use std::time::Duration;

    struct Feed {
        ssrc: u32,
        seq: u64,
        timestamp: u32,
        codec: Codec,
    }

    impl Feed {
        fn packet(&self, index: u64, at: Instant) -> RtpIn {
            RtpIn {
                mid: Mid::from("0"),
                ssrc: self.ssrc,
                codec: self.codec,
                seq: self.seq + index,
                timestamp: self.timestamp.wrapping_add(index as u32 * 960),
                marker: false,
                level: Some(-30),
                voice: Some(true),
                rotation: None,
                payload: vec![1, 2, 3].into(),
                arrival: at,
            }
        }
    }

    const KEY: Facts = Facts { starts_keyframe: true, vp8: None };
    const DELTA: Facts = Facts { starts_keyframe: false, vp8: None };

    fn opus(ssrc: u32, seq: u64, timestamp: u32) -> Feed {
        Feed { ssrc, seq, timestamp, codec: Codec::Opus }
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn sent(verdict: Verdict) -> RtpOut {
        match verdict {
            Verdict::Send(out) => out,
            other => panic!("expected a packet, got {other:?}"),
        }
    }

    #[test]
    fn audio_changes_source_at_once_without_a_break_in_the_numbers() {
        let (a, b, now) = (opus(1, 65_530, 4_294_967_000), opus(2, 10, 5), Instant::now());
        let mut slot = Switcher::new(MediaKind::Audio, 100, 7000);
        slot.select(Some('a'));
        let first = sent(slot.offer('a', &a.packet(0, now), &DELTA));
        assert_eq!((first.seq, first.timestamp, first.marker), (100, 7000, true));
        let second = sent(slot.offer('a', &a.packet(1, at(now, 20)), &DELTA));
        assert_eq!((second.seq, second.timestamp, second.marker), (101, 7960, false));
        slot.select(Some('b'));
        let other = sent(slot.offer('b', &b.packet(0, at(now, 25)), &DELTA));
        assert_eq!((other.seq, other.timestamp, other.marker), (102, 7960 + 960, true));
        assert!(matches!(slot.offer('a', &a.packet(2, at(now, 40)), &DELTA), Verdict::NotShown));
    }

    #[test]
    fn after_a_pause_the_timestamp_tells_how_long_it_was() {
        let (a, now) = (opus(1, 0, 0), Instant::now());
        let mut slot = Switcher::new(MediaKind::Audio, 1, 0);
        slot.select(Some('a'));
        sent(slot.offer('a', &a.packet(0, now), &DELTA));
        slot.select(None);
        assert!(matches!(slot.offer('a', &a.packet(1, at(now, 20)), &DELTA), Verdict::NotShown));
        slot.select(Some('a'));
        let back = sent(slot.offer('a', &a.packet(500, at(now, 10_000)), &DELTA));
        assert_eq!((back.seq, back.timestamp), (2, 480_000));
    }

    #[test]
    fn video_shows_the_old_source_until_a_keyframe_of_the_new_one() {
        let feed = |ssrc| Feed { ssrc, seq: u64::from(ssrc) * 1000, timestamp: 9, codec: Codec::H264 };
        let (a, b, now) = (feed(1), feed(2), Instant::now());
        let mut slot = Switcher::new(MediaKind::Video, 1, 0);
        slot.select(Some('a'));
        assert!(slot.awaits_keyframe());
        assert!(matches!(slot.offer('a', &a.packet(0, now), &DELTA), Verdict::Drop));
        assert_eq!(sent(slot.offer('a', &a.packet(1, now), &KEY)).seq, 1);
        slot.select(Some('b'));
        assert!(slot.awaits_keyframe());
        assert!(matches!(slot.offer('b', &b.packet(0, now), &DELTA), Verdict::Drop));
        assert_eq!(sent(slot.offer('a', &a.packet(2, now), &DELTA)).seq, 2);
        assert_eq!(sent(slot.offer('b', &b.packet(1, now), &KEY)).seq, 3);
        assert!(!slot.awaits_keyframe());
        assert!(matches!(slot.offer('a', &a.packet(3, now), &DELTA), Verdict::NotShown));
    }

    #[test]
    fn a_late_packet_fills_the_hole_it_left_and_only_that() {
        let (a, b, now) = (opus(1, 50, 0), opus(2, 9, 0), Instant::now());
        let mut slot = Switcher::new(MediaKind::Audio, 1, 0);
        slot.select(Some('a'));
        for index in [0, 1, 4] {
            sent(slot.offer('a', &a.packet(index, now), &DELTA));
        }
        let filled = sent(slot.offer('a', &a.packet(2, now), &DELTA));
        assert_eq!((filled.seq, filled.timestamp), (3, 2 * 960));
        assert!(matches!(slot.offer('a', &a.packet(2, now), &DELTA), Verdict::Drop), "duplicate");
        slot.select(Some('b'));
        assert_eq!(sent(slot.offer('b', &b.packet(0, now), &DELTA)).seq, 6);
        assert_eq!(sent(slot.offer('a', &a.packet(3, now), &DELTA)).seq, 4, "tail of the old source fills its hole");
        assert!(matches!(slot.offer('a', &a.packet(5, now), &DELTA), Verdict::NotShown), "but takes no new place");
        assert!(matches!(slot.offer('b', &b.packet(0, now), &DELTA), Verdict::Drop));
    }

    #[test]
    fn a_packet_from_before_the_switch_is_dropped_even_far_back() {
        let (a, now) = (opus(1, 1000, 0), Instant::now());
        let mut slot = Switcher::new(MediaKind::Audio, 5, 0);
        slot.select(Some('a'));
        sent(slot.offer('a', &a.packet(200, now), &DELTA));
        for index in [199, 150, 0] {
            assert!(matches!(slot.offer('a', &a.packet(index, now), &DELTA), Verdict::Drop));
        }
    }

    #[test]
    fn a_source_that_starts_its_numbers_anew_is_followed_without_a_break() {
        let (a, again, now) = (opus(1, 90_000, 0), opus(1, 20, 77), Instant::now());
        let mut slot = Switcher::new(MediaKind::Audio, 1, 0);
        slot.select(Some('a'));
        sent(slot.offer('a', &a.packet(0, now), &DELTA));
        assert_eq!(sent(slot.offer('a', &again.packet(0, now), &DELTA)).seq, 2);
        let new_ssrc = opus(9, 70_000, 3);
        assert_eq!(sent(slot.offer('a', &new_ssrc.packet(0, now), &DELTA)).seq, 3);
    }

    proptest! {
        #[test]
        fn no_sequence_number_is_ever_used_twice(
            steps in prop::collection::vec((0_u8..3, 0_u64..40, any::<bool>()), 1..200),
        ) {
            let (feeds, start) = ([opus(1, 7, 0), opus(2, 70_000, 9), opus(3, 1 << 40, 1)], Instant::now());
            let mut slot = Switcher::new(MediaKind::Audio, 1, 0);
            let mut seen = std::collections::HashSet::new();
            for (time, (source, index, select)) in steps.into_iter().enumerate() {
                if select {
                    slot.select(Some(source));
                }
                let packet = feeds[usize::from(source)].packet(index, at(start, time as u64));
                if let Verdict::Send(out) = slot.offer(source, &packet, &DELTA) {
                    prop_assert!(seen.insert(out.seq), "{} twice", out.seq);
                }
            }
        }
    }
}
