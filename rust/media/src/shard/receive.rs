//! Datagrams in.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use dialroom_audio::rtp::view::{DatagramKind, RtpView, classify};

use crate::leg::Arrival;
use crate::outbox::Socket;
use crate::ports::{LegKey, PortId, canonical};
use crate::shard::Shard;

impl Shard {
    /// Takes a datagram from a phone's socket. Anything may be in it.
    pub fn receive(&mut self, now: Instant, socket: Socket, source: SocketAddr, datagram: &[u8]) {
        self.counters.datagrams_received += 1;
        let source = SocketAddr::new(canonical(source.ip()), source.port());
        match (socket, classify(datagram)) {
            (Socket::Rtp(port), DatagramKind::Rtp) => self.receive_rtp(now, port, source, datagram),
            (Socket::Rtp(port), DatagramKind::Rtcp) => {
                let key = sender_ssrc(datagram).and_then(|ssrc| self.ports.muxed_rtcp(port, source, ssrc));
                self.receive_rtcp(now, key, source, datagram);
            }
            (Socket::Rtcp(port), DatagramKind::Rtcp) => {
                let key = sender_ssrc(datagram).and_then(|ssrc| self.ports.rtcp(port, source, ssrc));
                self.receive_rtcp(now, key, source, datagram);
            }
            _ => self.counters.datagrams_malformed += 1,
        }
    }

    fn receive_rtp(&mut self, now: Instant, port: PortId, source: SocketAddr, datagram: &[u8]) {
        let Ok(view) = RtpView::parse(datagram) else {
            self.counters.datagrams_malformed += 1;
            return;
        };
        let micros = self.clock.micros(now);
        let goes_on = |key| self.legs.get(key).is_some_and(|leg| leg.goes_on(view.sequence));
        let Some(key) = self.ports.rtp(port, source, view.ssrc, micros, goes_on) else {
            self.counters.datagrams_unknown += 1;
            return;
        };
        let Self { legs, outbox, .. } = self;
        let Some(leg) = legs.get_mut(key) else {
            return;
        };
        let work = || leg.receive_rtp(source, &view, micros, &mut outbox.events);
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Arrival::Nothing) => {}
            Ok(Arrival::Latched(ssrc)) => {
                tracing::info!(leg = leg.id, %source, "media arrives");
                self.ports.latch(port, key, source, ssrc, leg.latch.is_doubtful());
            }
            Ok(Arrival::Renamed(ssrc)) => self.ports.rename(port, key, ssrc),
            Err(_) => self.give_up_leg(key, now),
        }
    }

    fn receive_rtcp(&mut self, now: Instant, key: Option<LegKey>, source: SocketAddr, datagram: &[u8]) {
        let micros = self.clock.micros(now);
        let clock = self.clock;
        let Some((key, leg)) = key.and_then(|key| Some((key, self.legs.get_mut(key)?))) else {
            self.counters.datagrams_unknown += 1;
            return;
        };
        let work = || leg.receive_rtcp(source, datagram, micros, &clock);
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.give_up_leg(key, now);
        }
    }
}

/// SSRC of whoever sent an RTCP packet: the second word of each kind (RFC 3550 §6.4).
fn sender_ssrc(datagram: &[u8]) -> Option<u32> {
    datagram.get(4..8).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
