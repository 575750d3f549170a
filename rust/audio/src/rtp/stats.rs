//! Reception statistics of one RTP stream (RFC 3550 §6.4.1, A.1, A.3, A.8), round trip, and a MOS estimate.
//!
//! The MOS comes from the E-model (ITU-T G.107) with only delay and loss: `R = 93.2 − Id − Ie,eff`,
//! `Ie,eff = Ie + (95 − Ie) · Ppl / (Ppl / BurstR + Bpl)`; `Bpl` = 25.1 is G.711 with concealment under random loss
//! (ITU-T G.113 Appendix I).

use std::hint::black_box;

use super::rtcp::ReportBlock;

/// Packet-loss robustness of G.711 with concealment.
pub const BPL_G711_PLC: f32 = 25.1;

/// Mean opinion score (1–4.5) on the narrow-band scale.
///
/// `loss` is the share of lost packets (0–1), `burst_ratio` 1 for random loss, `one_way_ms` mouth-to-ear delay.
pub fn mos(loss: f32, burst_ratio: f32, one_way_ms: f32, bpl: f32) -> f32 {
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    let loss_impairment = 95.0 * percent / (percent / burst_ratio.max(1.0) + bpl);
    let delay_impairment = 0.024 * one_way_ms + 0.11 * (one_way_ms - 177.3).max(0.0);
    let r = (93.2 - delay_impairment - loss_impairment).clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// What is known of one received stream at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    /// Packets received, duplicates included.
    pub packets_received: u64,
    /// Packets that should have come, by sequence number.
    pub packets_expected: u64,
    /// Packets missing; duplicates and stragglers are taken off, so it can shrink.
    pub packets_lost: u64,
    /// Share of packets lost over the whole stream, 0–1.
    pub loss: f32,
    /// Interarrival jitter (RFC 3550 A.8), ms.
    pub jitter_ms: f32,
    /// Round-trip time from the peer's last report, ms.
    pub round_trip_ms: Option<f32>,
    /// Share of packets the peer says it lost of ours since its report before, 0–1.
    pub peer_loss: Option<f32>,
    /// Jitter the peer sees, ms.
    pub peer_jitter_ms: Option<f32>,
    /// Mean opinion score of what we hear, 1–4.5.
    pub mos: f32,
}

/// Counts one incoming RTP stream.
#[derive(Debug, Clone)]
pub struct ReceiveStats {
    clock: u32,
    source: Option<Source>,
    round_trip_us: Option<u64>,
    peer: Option<(f32, f32)>,
    /// Totals of SSRCs that went before.
    earlier_received: u64,
    earlier_expected: u64,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    base: u64,
    highest: u64,
    bad_sequence: Option<u16>,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Arrival minus timestamp in RTP ticks, on the circle.
    transit: u32,
    /// Sixteen times the jitter in RTP ticks (RFC 3550 A.8 keeps it scaled).
    jitter_q4: u64,
    sender_report: Option<(u32, u64)>,
}

impl Source {
    fn new(ssrc: u32, sequence: u16, transit: u32) -> Self {
        let first = (1 << 16) | u64::from(sequence);
        Self {
            ssrc,
            base: first,
            highest: first,
            bad_sequence: None,
            received: 0,
            expected_before: 0,
            received_before: 0,
            transit,
            jitter_q4: 0,
            sender_report: None,
        }
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }
}

impl ReceiveStats {
    /// RFC 3550 A.1: a jump of less than this is loss.
    const MAX_DROPOUT: i64 = 3000;
    /// RFC 3550 A.1: a step back of less than this is reordering.
    const MAX_MISORDER: i64 = 100;

    /// `clock`: RTP clock rate in Hz.
    pub fn new(clock: u32) -> Self {
        Self { clock, source: None, round_trip_us: None, peer: None, earlier_received: 0, earlier_expected: 0 }
    }

    /// Fetches the memory that the next packet needs, without waiting for it.
    pub fn prefetch(&self) {
        black_box((self.clock, self.source.as_ref().map(|source| source.jitter_q4)));
    }

    /// Counts a packet. `counts_for_jitter` is false for telephone events, which repeat their timestamp.
    pub fn receive(&mut self, ssrc: u32, sequence: u16, timestamp: u32, counts_for_jitter: bool, arrival_us: u64) {
        let clock = u64::from(self.clock);
        let fraction = arrival_us % 1_000_000 * clock / 1_000_000;
        let arrival = (arrival_us / 1_000_000).wrapping_mul(clock).wrapping_add(fraction);
        let transit = (arrival as u32).wrapping_sub(timestamp);
        let source = match &mut self.source {
            Some(source) if source.ssrc == ssrc => source,
            _ => {
                self.retire_source();
                self.source.insert(Source::new(ssrc, sequence, transit))
            }
        };
        let step = i64::from(sequence.wrapping_sub(source.highest as u16).cast_signed());
        if step >= Self::MAX_DROPOUT || step <= -Self::MAX_MISORDER {
            // RFC 3550 A.1: "Two sequential packets -- assume that the other side restarted without telling us".
            if source.bad_sequence != Some(sequence) {
                source.bad_sequence = Some(sequence.wrapping_add(1));
                return;
            }
            let report = source.sender_report;
            self.retire_source();
            let source = self.source.insert(Source::new(ssrc, sequence, transit));
            source.sender_report = report;
            source.received = 1;
            return;
        }
        source.bad_sequence = None;
        source.received += 1;
        source.highest = source.highest.saturating_add_signed(step.max(0));
        if counts_for_jitter {
            let difference = transit.wrapping_sub(source.transit).cast_signed().unsigned_abs();
            source.transit = transit;
            // A jump of the timestamp is no jitter: a quarter of a minute would take minutes to decay.
            if difference < self.clock {
                let decayed = source.jitter_q4 - ((source.jitter_q4 + 8) >> 4);
                source.jitter_q4 = decayed + u64::from(difference);
            }
        }
    }

    fn retire_source(&mut self) {
        if let Some(source) = self.source.take() {
            self.earlier_received += source.received;
            self.earlier_expected += source.expected();
        }
    }

    /// Notes the peer's sender report: its NTP time and when it arrived.
    pub fn receive_sender_report(&mut self, ssrc: u32, ntp: u64, now_us: u64) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.sender_report = Some(((ntp >> 16) as u32, now_us));
        }
    }

    /// Takes a report block the peer sent about our stream. `now_ntp` is the NTP time now, as used in our own reports.
    pub fn receive_report_block(&mut self, block: &ReportBlock, now_ntp: u64) {
        let jitter_ms = block.jitter as f32 * 1000.0 / self.clock as f32;
        self.peer = Some((f32::from(block.fraction_lost) / 256.0, jitter_ms));
        if block.last_sender_report == 0 {
            return;
        }
        // RFC 3550 §6.4.1: round trip = A − LSR − DLSR, in 1/65536 s.
        let middle = (now_ntp >> 16) as u32;
        let elapsed = middle.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay_since_sender_report);
        if elapsed < 60 * 65_536 {
            self.round_trip_us = Some(u64::from(elapsed) * 1_000_000 / 65_536);
        }
    }

    /// The report block to send now; `None` until a packet came. Begins a new interval for the fraction lost.
    pub fn report_block(&mut self, now_us: u64) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let interval_expected = expected - source.expected_before;
        let interval_received = source.received - source.received_before;
        source.expected_before = expected;
        source.received_before = source.received;
        let interval_lost = interval_expected.saturating_sub(interval_received);
        let fraction_lost = (interval_lost << 8).checked_div(interval_expected).unwrap_or(0).min(255) as u8;
        let lost = expected.cast_signed() - source.received.cast_signed();
        let (last_sender_report, since_us) =
            source.sender_report.map_or((0, 0), |(middle, at_us)| (middle, now_us.saturating_sub(at_us)));
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: (source.highest - (1 << 16)) as u32,
            jitter: (source.jitter_q4 >> 4) as u32,
            last_sender_report,
            delay_since_sender_report: (u128::from(since_us) * 65_536 / 1_000_000) as u32,
        })
    }

    /// The figures now. `discarded` packets came too late to be played and count as lost for the MOS;
    /// `buffer_ms` is the playout delay, part of the mouth-to-ear delay.
    pub fn snapshot(&self, discarded: u64, buffer_ms: f32) -> Statistics {
        let received = self.earlier_received + self.source.map_or(0, |s| s.received);
        let expected = self.earlier_expected + self.source.map_or(0, |s| s.expected());
        let lost = expected.saturating_sub(received);
        let share = |count: u64| if expected == 0 { 0.0 } else { (count as f64 / expected as f64).min(1.0) as f32 };
        let jitter = self.source.map_or(0, |s| s.jitter_q4) as f32 / 16.0;
        let round_trip_ms = self.round_trip_us.map(|us| us as f32 / 1000.0);
        // Packetisation and the far end's own delay are not known; 20 ms stands for them.
        let one_way_ms = round_trip_ms.unwrap_or(0.0) / 2.0 + buffer_ms + 20.0;
        Statistics {
            packets_received: received,
            packets_expected: expected,
            packets_lost: lost,
            loss: share(lost),
            jitter_ms: jitter * 1000.0 / self.clock as f32,
            round_trip_ms,
            peer_loss: self.peer.map(|(loss, _)| loss),
            peer_jitter_ms: self.peer.map(|(_, jitter)| jitter),
            mos: mos(share(lost + discarded), 1.0, one_way_ms, BPL_G711_PLC),
        }
    }
}
