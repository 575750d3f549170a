//! RTP that waits for the slot of its leg.
//!
//! The memory of a leg is cold each time it is worked on, and to fetch it costs more than the work. So packets are kept
//! side by side as they come, and are taken when the leg's slot has begun and its memory is needed anyway.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use dialroom_audio::rtp::view::RtpView;

use crate::leg::Arrival;
use crate::ports::{LegKey, PortId};
use crate::shard::Shard;

/// Bytes kept per slot; what comes beyond that is taken at once.
const MOST_BYTES: usize = 1 << 20;
/// Packets whose legs' memory is fetched at once.
const TOGETHER: usize = 16;

#[derive(Debug)]
struct Waiting {
    leg: LegKey,
    port: PortId,
    source: SocketAddr,
    arrived: Instant,
    start: u32,
    length: u32,
}

/// Packets for the legs of one slot, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Vec<Waiting>,
    bytes: Vec<u8>,
}

impl Inbox {
    /// Keeps a packet; false if there is no room.
    fn put(&mut self, leg: LegKey, port: PortId, source: SocketAddr, arrived: Instant, datagram: &[u8]) -> bool {
        let (start, length) = (self.bytes.len(), datagram.len());
        if start + length > MOST_BYTES {
            return false;
        }
        self.bytes.extend_from_slice(datagram);
        self.waiting.push(Waiting { leg, port, source, arrived, start: start as u32, length: length as u32 });
        true
    }

    fn datagram(&self, packet: &Waiting) -> &[u8] {
        &self.bytes[packet.start as usize..][..packet.length as usize]
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.bytes.clear();
    }
}

impl Shard {
    /// Keeps RTP of a leg's for its slot.
    pub(super) fn keep_rtp(
        &mut self,
        leg: LegKey,
        arrived: Instant,
        port: PortId,
        source: SocketAddr,
        datagram: &[u8],
    ) {
        let phase = self.phases.get(leg).copied().unwrap_or(0);
        if !self.slots[usize::from(phase)].inbox.put(leg, port, source, arrived, datagram) {
            self.take_rtp(leg, arrived, port, source, datagram);
        }
    }

    /// Takes all that waits for a slot.
    pub(super) fn take_kept(&mut self, phase: u8) {
        let mut inbox = std::mem::take(&mut self.slots[usize::from(phase)].inbox);
        for packets in inbox.waiting.chunks(TOGETHER) {
            for packet in packets {
                if let Some(leg) = self.legs.get(packet.leg) {
                    leg.prefetch();
                }
            }
            for packet in packets {
                self.take_rtp(packet.leg, packet.arrived, packet.port, packet.source, inbox.datagram(packet));
            }
        }
        inbox.clear();
        self.slots[usize::from(phase)].inbox = inbox;
    }

    /// Hands RTP to the leg it belongs to.
    pub(super) fn take_rtp(
        &mut self,
        key: LegKey,
        arrived: Instant,
        port: PortId,
        source: SocketAddr,
        datagram: &[u8],
    ) {
        let Ok(view) = RtpView::parse(datagram) else {
            self.counters.datagrams_malformed += 1;
            return;
        };
        let micros = self.clock.micros(arrived);
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
            Err(_) => self.give_up_leg(key, arrived),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_inbox_takes_no_more_until_it_is_emptied() {
        let mut inbox = Inbox::default();
        let packet = [0x80; 1000];
        let put = |inbox: &mut Inbox| {
            inbox.put(LegKey::default(), PortId(0), SocketAddr::from(([192, 0, 2, 1], 9)), Instant::now(), &packet)
        };
        let taken = (0..2000).take_while(|_| put(&mut inbox)).count();
        assert_eq!(taken, MOST_BYTES / packet.len());
        inbox.clear();
        assert!(put(&mut inbox));
    }
}
