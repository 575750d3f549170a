//! RTCP towards a phone each 5 s, and the figures of a leg.

use std::net::SocketAddr;

use dialroom_audio::rtp::rtcp::Report;
use dialroom_protocol::Statistics;

use crate::clock::Clock;
use crate::leg::Leg;
use crate::outbox::{Outbox, Socket};

/// Between two reports, µs (RFC 3550 §6.2).
const REPORT_EVERY_US: u64 = 5_000_000;
/// Between two events with figures, µs.
const TELL_EVERY_US: u64 = 10_000_000;

/// When the next report is due and where it goes.
#[derive(Debug)]
pub struct Reports {
    next_report: u64,
    next_told: u64,
    /// Where the peer's RTCP comes from, if it comes.
    source: Option<SocketAddr>,
}

impl Reports {
    /// The first report between 1 and 5 s from now, by a random number, so that legs do not report all at once.
    pub fn new(random: u32, now: u64) -> Self {
        let stagger = u64::from(random) % 4_000_000;
        Self { next_report: now + 1_000_000 + stagger, next_told: now + TELL_EVERY_US + stagger, source: None }
    }

    /// RTCP came from here: reports go there (symmetric RTCP, RFC 4961).
    pub fn heard_from(&mut self, source: SocketAddr) {
        self.source = Some(source);
    }

    /// The peer moved.
    pub fn forget_source(&mut self) {
        self.source = None;
    }
}

impl Leg {
    /// Sends a report if one is due; call once per 20 ms.
    pub fn poll_report(&mut self, now: u64, clock: &Clock, cname: &str, outbox: &mut Outbox) {
        if now >= self.reports.next_report {
            self.reports.next_report = now + REPORT_EVERY_US;
            self.send_report(now, clock, cname, false, outbox);
        }
    }

    /// Sends a report, the last one with BYE.
    pub fn send_report(&mut self, now: u64, clock: &Clock, cname: &str, bye: bool, outbox: &mut Outbox) {
        let (Some(stream), Some(rtp)) = (&mut self.stream, self.latch.destination()) else {
            return;
        };
        let destination = match self.reports.source {
            Some(source) if source.ip() == rtp.ip() => source,
            _ if stream.rtcp_mux => rtp,
            _ => SocketAddr::new(rtp.ip(), stream.rtcp_destination.port()),
        };
        if destination.port() == 0 {
            return;
        }
        let socket = if stream.rtcp_mux { Socket::Rtp(self.port) } else { Socket::Rtcp(self.port) };
        let report = Report {
            ssrc: self.sender.ssrc(),
            sender: self.sender.report(clock.ntp(now)),
            block: stream.stats.report_block(now),
            cname,
            bye,
        };
        outbox.datagram(socket, destination, |out| report.write(out));
    }

    /// Whether the figures are to be told now.
    pub fn poll_statistics(&mut self, now: u64) -> Option<Statistics> {
        if now < self.reports.next_told {
            return None;
        }
        self.reports.next_told = now + TELL_EVERY_US;
        self.stream.as_ref().map(|_| self.statistics())
    }

    /// The leg's quality so far.
    pub fn statistics(&self) -> Statistics {
        let Some(stream) = &self.stream else {
            return Statistics { packets_rejected: self.rejected, ..Statistics::default() };
        };
        let playout = stream.playout.stats();
        let discards = playout.discards;
        let late = discards.late + discards.overflow + discards.stray;
        let figures = stream.stats.snapshot(late, playout.delay_ms as f32);
        let heard = figures.packets_received > 0;
        Statistics {
            packets_received: figures.packets_received,
            packets_sent: self.sender.packets(),
            packets_lost: figures.packets_lost,
            packets_late: late,
            packets_rejected: self.rejected,
            loss: f64::from(figures.loss),
            jitter: f64::from(figures.jitter_ms),
            remote_loss: figures.peer_loss.map(f64::from),
            remote_jitter: figures.peer_jitter_ms.map(f64::from),
            round_trip: figures.round_trip_ms.map(f64::from),
            mos: heard.then_some(f64::from(figures.mos)),
        }
    }
}
