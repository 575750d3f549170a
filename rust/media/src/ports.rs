//! Which leg a datagram on a shared port belongs to.
//!
//! Ports are shared because one socket with many packets costs a quarter less than many sockets with one packet each.
//! The rule that keeps it unambiguous: a port carries any number of legs whose source is known, but at most one whose
//! source is still to be learnt; and no two legs of a port have the same announced address. So the first packet from
//! an unknown source belongs to that one leg — unless it goes on with the stream of a leg whose source is known: then
//! it is a stranger to that one, and must not be taken for a newcomer. The same SSRC alone does not say so: some phones
//! use the same one in every call. Nor is the stream of a leg that has just gone a newcomer's: a phone goes on sending
//! until it is told of the end.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use slotmap::new_key_type;

new_key_type! {
    /// A phone leg of a shard.
    pub struct LegKey;
}

/// Index of an open pair of ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u16);

/// Numbers of a pair of ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortPair {
    /// RTP port.
    pub rtp: u16,
    /// RTCP port.
    pub rtcp: u16,
}

/// Opens pairs of ports.
pub trait PortOpener {
    /// Opens the pair that will be known as `id`; `None` when no port is left.
    fn open(&mut self, id: PortId) -> Option<PortPair>;
}

/// The stream of a released leg is nobody's for so long, µs.
const STALE_US: u64 = 3_000_000;
/// Streams of released legs remembered per port.
const MAX_STALE: usize = 64;

#[derive(Debug)]
struct Port {
    pair: PortPair,
    /// Announced and believed addresses of its legs. Looked up for each packet, so by a hash that is quick; it is seeded
    /// by chance, and only a leg of our own gets an address in here.
    sources: HashMap<SocketAddr, LegKey, foldhash::quality::RandomState>,
    /// Announced and believed RTCP addresses.
    rtcp_sources: HashMap<SocketAddr, LegKey>,
    /// SSRCs of the legs whose source is known.
    ssrcs: HashMap<u32, LegKey>,
    /// The leg whose source is still to be learnt.
    learning: Option<LegKey>,
    /// Legs that moved and have to wait until others are learnt.
    waiting: VecDeque<LegKey>,
    /// Its legs.
    legs: Vec<LegKey>,
    /// Streams of released legs: source, SSRC, and until when they are nobody's.
    stale: VecDeque<(SocketAddr, u32, u64)>,
}

impl Port {
    fn new(pair: PortPair) -> Self {
        let (sources, rtcp_sources, ssrcs) = (HashMap::default(), HashMap::new(), HashMap::new());
        let (waiting, stale) = (VecDeque::new(), VecDeque::new());
        Self { pair, sources, rtcp_sources, ssrcs, learning: None, waiting, legs: Vec::new(), stale }
    }

    fn remember_stale(&mut self, leg: LegKey, now: u64) {
        for (source, _) in self.sources.iter().filter(|(_, owner)| **owner == leg) {
            for (ssrc, _) in self.ssrcs.iter().filter(|(_, owner)| **owner == leg) {
                if self.stale.len() == MAX_STALE {
                    self.stale.pop_front();
                }
                self.stale.push_back((*source, *ssrc, now + STALE_US));
            }
        }
    }

    fn is_stale(&self, source: SocketAddr, ssrc: u32, now: u64) -> bool {
        self.stale.iter().any(|&(from, stream, until)| from == source && stream == ssrc && now < until)
    }

    fn learnt(&mut self, leg: LegKey) {
        self.waiting.retain(|waiting| *waiting != leg);
        if self.learning == Some(leg) {
            self.learning = self.waiting.pop_front();
        }
    }

    fn forget_addresses(&mut self, leg: LegKey) {
        self.sources.retain(|_, owner| *owner != leg);
        self.rtcp_sources.retain(|_, owner| *owner != leg);
        self.ssrcs.retain(|_, owner| *owner != leg);
    }
}

/// All open ports of a shard.
#[derive(Debug, Default)]
pub struct Ports {
    ports: Vec<Port>,
}

impl Ports {
    /// Finds a port for a new leg, opening one if none will do. The leg is the one that the port learns for.
    pub fn reserve(
        &mut self,
        leg: LegKey,
        announced: Option<SocketAddr>,
        opener: &mut dyn PortOpener,
    ) -> Option<(PortId, PortPair)> {
        let free = |port: &Port| {
            port.learning.is_none() && announced.is_none_or(|address| !port.sources.contains_key(&address))
        };
        let index = match self.ports.iter().position(free) {
            Some(index) => index,
            None => {
                let id = PortId(u16::try_from(self.ports.len()).ok()?);
                let pair = opener.open(id)?;
                self.ports.push(Port::new(pair));
                self.ports.len() - 1
            }
        };
        let port = &mut self.ports[index];
        port.legs.push(leg);
        port.learning = Some(leg);
        if let Some(address) = announced {
            port.sources.insert(address, leg);
        }
        Some((PortId(index as u16), port.pair))
    }

    /// The leg whose source this is.
    pub fn known(&self, id: PortId, source: SocketAddr) -> Option<LegKey> {
        self.ports.get(usize::from(id.0))?.sources.get(&source).copied()
    }

    /// The leg that RTP of a stream from a source that is not [known](Self::known) belongs to at `now` µs, be it as its
    /// own or as a stranger's. `goes_on` tells whether the packet is about the next of what a leg with its SSRC sends.
    pub fn stranger(
        &self,
        id: PortId,
        source: SocketAddr,
        ssrc: u32,
        now: u64,
        goes_on: impl FnOnce(LegKey) -> bool,
    ) -> Option<LegKey> {
        let port = self.ports.get(usize::from(id.0))?;
        let namesake = port.ssrcs.get(&ssrc).copied();
        if let Some(leg) = namesake
            && goes_on(leg)
        {
            return Some(leg);
        }
        if port.is_stale(source, ssrc, now) {
            return None;
        }
        port.learning.or(namesake).or(match port.legs.as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    }

    /// The leg that RTCP on the RTP port belongs to (RFC 5761).
    pub fn muxed_rtcp(&self, id: PortId, source: SocketAddr, ssrc: u32) -> Option<LegKey> {
        let port = self.ports.get(usize::from(id.0))?;
        port.sources.get(&source).or_else(|| port.ssrcs.get(&ssrc)).copied()
    }

    /// The leg that RTCP on the RTCP port belongs to, by its source or else by its sender's SSRC.
    pub fn rtcp(&self, id: PortId, source: SocketAddr, ssrc: u32) -> Option<LegKey> {
        let port = self.ports.get(usize::from(id.0))?;
        port.rtcp_sources.get(&source).or_else(|| port.ssrcs.get(&ssrc)).copied()
    }

    /// A leg announced another address. False if another leg of the port has it: it is not believed at once then.
    pub fn announce(&mut self, id: PortId, leg: LegKey, address: SocketAddr, rtcp: SocketAddr) -> bool {
        let Some(port) = self.ports.get_mut(usize::from(id.0)) else {
            return false;
        };
        port.rtcp_sources.entry(rtcp).or_insert(leg);
        *port.sources.entry(address).or_insert(leg) == leg
    }

    /// A leg's source is known. Others may be learnt on its port, unless it is `doubtful`: then the leg may still be
    /// taken back by a source that nobody told of.
    pub fn latch(&mut self, id: PortId, leg: LegKey, source: SocketAddr, ssrc: u32, doubtful: bool) {
        let Some(port) = self.ports.get_mut(usize::from(id.0)) else {
            return;
        };
        port.sources.insert(source, leg);
        port.ssrcs.retain(|_, owner| *owner != leg);
        port.ssrcs.insert(ssrc, leg);
        if !doubtful {
            port.learnt(leg);
        }
        // RFC 3550 §11: RTCP comes from the next higher port unless said otherwise.
        if let Some(next) = source.port().checked_add(1) {
            port.rtcp_sources.entry(SocketAddr::new(source.ip(), next)).or_insert(leg);
        }
    }

    /// A leg's stream has another SSRC now.
    pub fn rename(&mut self, id: PortId, leg: LegKey, ssrc: u32) {
        if let Some(port) = self.ports.get_mut(usize::from(id.0)) {
            port.ssrcs.retain(|_, owner| *owner != leg);
            port.ssrcs.insert(ssrc, leg);
        }
    }

    /// The leg's source is to be learnt again. While the port learns for another leg, only the announced address is
    /// believed.
    pub fn unlatch(&mut self, id: PortId, leg: LegKey) {
        let Some(port) = self.ports.get_mut(usize::from(id.0)) else {
            return;
        };
        port.forget_addresses(leg);
        match port.learning {
            None => port.learning = Some(leg),
            Some(learning) if learning == leg || port.waiting.contains(&leg) => {}
            Some(_) => port.waiting.push_back(leg),
        }
    }

    /// Forgets a leg at `now` µs.
    pub fn release(&mut self, id: PortId, leg: LegKey, now: u64) {
        if let Some(port) = self.ports.get_mut(usize::from(id.0)) {
            port.remember_stale(leg, now);
            port.forget_addresses(leg);
            port.learnt(leg);
            port.legs.retain(|member| *member != leg);
        }
    }

    /// How many pairs are open.
    pub fn len(&self) -> usize {
        self.ports.len()
    }

    /// True before the first leg.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }
}

/// The address that IPv4 is told as on a socket of either family.
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    struct Two;

    impl PortOpener for Two {
        fn open(&mut self, id: PortId) -> Option<PortPair> {
            (id.0 < 2).then(|| PortPair { rtp: 20_000 + 2 * id.0, rtcp: 20_001 + 2 * id.0 })
        }
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn keys(count: usize) -> Vec<LegKey> {
        let mut map = SlotMap::<LegKey, ()>::with_key();
        (0..count).map(|_| map.insert(())).collect()
    }

    const ID: PortId = PortId(0);

    /// Whose a packet is.
    fn owner(ports: &Ports, source: SocketAddr, ssrc: u32, now: u64, goes_on: bool) -> Option<LegKey> {
        ports.known(ID, source).or_else(|| ports.stranger(ID, source, ssrc, now, |_| goes_on))
    }

    #[test]
    fn a_port_learns_for_one_leg_at_a_time() {
        let (mut ports, legs) = (Ports::default(), keys(4));
        assert_eq!(ports.reserve(legs[0], Some(at(1)), &mut Two).unwrap().0, ID);
        assert_eq!(ports.reserve(legs[1], Some(at(2)), &mut Two).unwrap().0, PortId(1));
        assert_eq!(ports.reserve(legs[2], Some(at(3)), &mut Two), None, "both ports still learn");
        assert_eq!(owner(&ports, at(99), 5, 0, true), Some(legs[0]), "a stranger can only be the leg that is learnt");
        ports.latch(ID, legs[0], at(99), 5, false);
        assert_eq!(ports.reserve(legs[2], Some(at(3)), &mut Two).unwrap().0, ID);
        assert_eq!(owner(&ports, at(99), 5, 0, true), Some(legs[0]));
        assert_eq!(owner(&ports, at(50), 6, 0, true), Some(legs[2]));
    }

    #[test]
    fn two_legs_with_the_same_announced_address_get_different_ports() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(1), 5, false);
        assert_eq!(ports.reserve(legs[1], Some(at(1)), &mut Two).unwrap().0, PortId(1));
    }

    #[test]
    fn the_stream_of_a_known_leg_from_elsewhere_is_no_newcomer() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(1), 5, false);
        ports.reserve(legs[1], Some(at(2)), &mut Two);
        assert_eq!(owner(&ports, at(77), 5, 0, true), Some(legs[0]));
        assert_eq!(owner(&ports, at(77), 6, 0, true), Some(legs[1]));
        ports.rename(ID, legs[0], 6);
        assert_eq!(owner(&ports, at(77), 6, 0, true), Some(legs[0]));
    }

    #[test]
    fn a_newcomer_with_the_ssrc_of_another_leg_is_learnt_all_the_same() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(1), 5, false);
        ports.reserve(legs[1], Some(at(2)), &mut Two);
        assert_eq!(owner(&ports, at(77), 5, 0, false), Some(legs[1]));
        ports.latch(ID, legs[1], at(77), 5, false);
        assert_eq!(owner(&ports, at(1), 5, 0, false), Some(legs[0]));
        assert_eq!(owner(&ports, at(77), 5, 0, false), Some(legs[1]));
    }

    #[test]
    fn a_port_goes_on_learning_for_a_leg_whose_source_is_doubtful() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(66), 5, true);
        assert_eq!(ports.reserve(legs[1], Some(at(2)), &mut Two).unwrap().0, PortId(1), "the port is not free");
        assert_eq!(owner(&ports, at(77), 6, 0, true), Some(legs[0]), "it may be the phone after all");
        ports.latch(ID, legs[0], at(77), 6, false);
        assert_eq!(owner(&ports, at(66), 5, 0, true), Some(legs[0]), "still known for this leg's stranger");
    }

    #[test]
    fn a_stranger_is_the_only_legs_stranger_or_nobodys_and_rtcp_comes_from_the_next_port() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(1), 5, false);
        assert_eq!(owner(&ports, at(9), 6, 0, true), Some(legs[0]));
        ports.reserve(legs[1], Some(at(3)), &mut Two);
        ports.latch(ID, legs[1], at(3), 7, false);
        assert_eq!(owner(&ports, at(9), 6, 0, true), None);
        assert_eq!(ports.rtcp(ID, at(2), 6), Some(legs[0]));
        assert_eq!(ports.rtcp(ID, at(9), 6), None);
        assert_eq!(ports.rtcp(ID, at(9), 5), Some(legs[0]));
    }

    #[test]
    fn a_released_leg_leaves_nothing() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(5), 5, false);
        ports.release(ID, legs[0], 0);
        assert_eq!(owner(&ports, at(1), 5, 0, true), None);
        assert_eq!(owner(&ports, at(5), 5, 0, true), None);
        assert_eq!(ports.rtcp(ID, at(6), 5), None);
    }

    #[test]
    fn the_stream_of_a_released_leg_is_nobodys_for_a_while_unless_a_newcomer_announced_its_source() {
        let (mut ports, legs) = (Ports::default(), keys(3));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(99), 5, false);
        ports.release(ID, legs[0], 1_000);
        assert_eq!(ports.reserve(legs[1], Some(at(2)), &mut Two).unwrap().0, ID);
        assert_eq!(owner(&ports, at(99), 5, 2_000, true), None);
        assert_eq!(owner(&ports, at(99), 6, 2_000, true), Some(legs[1]), "another stream may be the newcomer's");
        assert_eq!(owner(&ports, at(99), 5, 1_000 + STALE_US, true), Some(legs[1]));
        ports.latch(ID, legs[1], at(2), 7, false);
        assert_eq!(ports.reserve(legs[2], Some(at(99)), &mut Two).unwrap().0, ID);
        assert_eq!(owner(&ports, at(99), 5, 2_000, true), Some(legs[2]));
    }

    #[test]
    fn a_moved_leg_waits_until_the_port_has_learnt_another() {
        let (mut ports, legs) = (Ports::default(), keys(2));
        ports.reserve(legs[0], Some(at(1)), &mut Two);
        ports.latch(ID, legs[0], at(1), 5, false);
        ports.reserve(legs[1], Some(at(20)), &mut Two);
        ports.unlatch(ID, legs[0]);
        assert!(ports.announce(ID, legs[0], at(7), at(8)));
        assert_eq!(owner(&ports, at(7), 5, 0, true), Some(legs[0]), "its announced address is believed");
        assert_eq!(owner(&ports, at(99), 5, 0, true), Some(legs[1]), "other sources are still the other leg's");
        ports.latch(ID, legs[1], at(20), 6, false);
        assert_eq!(owner(&ports, at(99), 5, 0, true), Some(legs[0]));
    }
}
