//! Datagrams in.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use dialroom_audio::rtp::view::{DatagramKind, RtpView, classify};

use crate::outbox::Socket;
use crate::ports::{LegKey, PortId, canonical};
use crate::shard::Shard;

impl Shard {
    /// Takes a datagram that arrived at a phone's socket, be it some time ago. Anything may be in it.
    pub fn receive(&mut self, arrived: Instant, socket: Socket, source: SocketAddr, datagram: &[u8]) {
        self.counters.datagrams_received += 1;
        let source = SocketAddr::new(canonical(source.ip()), source.port());
        match (socket, classify(datagram)) {
            (Socket::Rtp(port), DatagramKind::Rtp) => self.receive_rtp(arrived, port, source, datagram),
            (Socket::Rtp(port), DatagramKind::Rtcp) => {
                let key = sender_ssrc(datagram).and_then(|ssrc| self.ports.muxed_rtcp(port, source, ssrc));
                self.receive_rtcp(arrived, key, source, datagram);
            }
            (Socket::Rtcp(port), DatagramKind::Rtcp) => {
                let key = sender_ssrc(datagram).and_then(|ssrc| self.ports.rtcp(port, source, ssrc));
                self.receive_rtcp(arrived, key, source, datagram);
            }
            _ => self.counters.datagrams_malformed += 1,
        }
    }

    fn receive_rtp(&mut self, arrived: Instant, port: PortId, source: SocketAddr, datagram: &[u8]) {
        if let Some(leg) = self.ports.known(port, source) {
            return self.keep_rtp(leg, arrived, port, source, datagram);
        }
        let Ok(view) = RtpView::parse(datagram) else {
            self.counters.datagrams_malformed += 1;
            return;
        };
        let goes_on = |key| self.legs.get(key).is_some_and(|leg| leg.goes_on(view.sequence));
        match self.ports.stranger(port, source, view.ssrc, self.clock.micros(arrived), goes_on) {
            Some(key) => self.take_rtp(key, arrived, port, source, datagram),
            None => self.counters.datagrams_unknown += 1,
        }
    }

    fn receive_rtcp(&mut self, arrived: Instant, key: Option<LegKey>, source: SocketAddr, datagram: &[u8]) {
        let micros = self.clock.micros(arrived);
        let clock = self.clock;
        let Some((key, leg)) = key.and_then(|key| Some((key, self.legs.get_mut(key)?))) else {
            self.counters.datagrams_unknown += 1;
            return;
        };
        let work = || leg.receive_rtcp(source, datagram, micros, &clock);
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.give_up_leg(key, arrived);
        }
    }
}

/// SSRC of whoever sent an RTCP packet: the second word of each kind (RFC 3550 §6.4).
fn sender_ssrc(datagram: &[u8]) -> Option<u32> {
    datagram.get(4..8).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
