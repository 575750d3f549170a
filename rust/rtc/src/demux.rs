//! Which peer a datagram belongs to.
//!
//! STUN checks carry our ufrag, and that names the peer ([`PeerAddress`]). DTLS and RTP carry nothing of the kind, so
//! they are known by source address, which is learnt only after a STUN check from it was authenticated
//! ([`crate::PeerEvent::RemoteAddress`]): a stranger with a forged source can neither claim nor displace an address.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::credentials::PeerAddress;
use crate::types::{PeerKey, Protocol};

/// Source addresses remembered per peer; the one unused for longest is forgotten first.
pub const ADDRESSES_PER_PEER: usize = 8;

const STUN_HEADER: usize = 20;
const STUN_MAGIC: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const STUN_USERNAME: u16 = 0x0006;

/// What the first byte says a datagram is (RFC 7983 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// Bytes 0–3.
    Stun,
    /// Bytes 20–63.
    Dtls,
    /// Bytes 128–191: RTP and RTCP.
    Rtp,
}

/// Classifies a datagram; `None` for anything WebRTC does not use.
pub fn classify(datagram: &[u8]) -> Option<Packet> {
    match datagram.first()? {
        0..=3 if datagram.len() >= STUN_HEADER => Some(Packet::Stun),
        20..=63 => Some(Packet::Dtls),
        128..=191 if datagram.len() >= 8 => Some(Packet::Rtp),
        _ => None,
    }
}

/// Our ufrag in a STUN message: the part of USERNAME before the colon (RFC 8445 §7.2.2).
///
/// `None` if it is no STUN message with magic cookie, or carries no such attribute.
pub fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    if classify(datagram)? != Packet::Stun || datagram[4..8] != STUN_MAGIC {
        return None;
    }
    let mut rest = &datagram[STUN_HEADER..];
    while let [t0, t1, l0, l1, value @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if u16::from_be_bytes([*t0, *t1]) == STUN_USERNAME {
            let username = std::str::from_utf8(value.get(..length)?).ok()?;
            return Some(username.split_once(':')?.0);
        }
        rest = value.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Answer of [`Demux::route`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Give it to this peer of this shard.
    Peer(PeerKey),
    /// A STUN check for a peer of another shard: pass the datagram on.
    Shard(u16),
    /// Not WebRTC, or from a source no peer is known to have: drop and count.
    Unknown,
}

/// Source addresses of one shard's peers.
#[derive(Debug)]
pub struct Demux {
    shard: u16,
    by_address: HashMap<(Protocol, SocketAddr), PeerKey>,
    by_peer: HashMap<PeerKey, VecDeque<(Protocol, SocketAddr)>>,
}

impl Demux {
    /// A table for the peers of `shard`.
    pub fn new(shard: u16) -> Self {
        Self { shard, by_address: HashMap::new(), by_peer: HashMap::new() }
    }

    /// Where a datagram belongs. Costs one hash lookup, or none for a STUN check.
    pub fn route(&self, protocol: Protocol, source: SocketAddr, datagram: &[u8]) -> Route {
        let Some(packet) = classify(datagram) else {
            return Route::Unknown;
        };
        if packet == Packet::Stun
            && let Some(address) = stun_ufrag(datagram).and_then(PeerAddress::from_ufrag)
        {
            return if address.shard == self.shard { Route::Peer(address.peer) } else { Route::Shard(address.shard) };
        }
        self.by_address.get(&(protocol, source)).map_or(Route::Unknown, |peer| Route::Peer(*peer))
    }

    /// Whether `address` is an authenticated one of some peer.
    pub fn knows(&self, protocol: Protocol, address: SocketAddr) -> bool {
        self.by_address.contains_key(&(protocol, address))
    }

    /// Remembers that `address` is `peer`'s. Only for addresses a peer reported as authenticated.
    pub fn learn(&mut self, peer: PeerKey, protocol: Protocol, address: SocketAddr) {
        let entry = (protocol, address);
        if let Some(previous) = self.by_address.insert(entry, peer)
            && previous != peer
            && let Some(addresses) = self.by_peer.get_mut(&previous)
        {
            addresses.retain(|known| *known != entry);
        }
        let addresses = self.by_peer.entry(peer).or_default();
        addresses.retain(|known| *known != entry);
        addresses.push_back(entry);
        if addresses.len() > ADDRESSES_PER_PEER
            && let Some(oldest) = addresses.pop_front()
        {
            self.by_address.remove(&oldest);
        }
    }

    /// Forgets a peer that ended.
    pub fn forget(&mut self, peer: PeerKey) {
        for entry in self.by_peer.remove(&peer).unwrap_or_default() {
            self.by_address.remove(&entry);
        }
    }

    /// Addresses remembered in total.
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// True if no address is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{ENTROPY_BYTES, IceCredentials};
    use proptest::prelude::*;

    const RTP: [u8; 12] = [0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn binding_request(username: &str) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0];
        datagram.extend_from_slice(&STUN_MAGIC);
        datagram.extend_from_slice(&[9; 12]);
        datagram.extend_from_slice(&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        datagram.extend_from_slice(&STUN_USERNAME.to_be_bytes());
        datagram.extend_from_slice(&(username.len() as u16).to_be_bytes());
        datagram.extend_from_slice(username.as_bytes());
        datagram
    }

    #[test]
    fn a_stun_check_is_routed_by_our_ufrag_from_any_address() {
        let demux = Demux::new(3);
        let ours = |shard| {
            let address = PeerAddress { shard, peer: PeerKey(77) };
            binding_request(&format!("{}:theirs", IceCredentials::new(address, [1; ENTROPY_BYTES]).ufrag()))
        };
        assert_eq!(demux.route(Protocol::Udp, address(1), &ours(3)), Route::Peer(PeerKey(77)));
        assert_eq!(demux.route(Protocol::Udp, address(1), &ours(4)), Route::Shard(4));
    }

    #[test]
    fn media_is_routed_only_from_a_learnt_address_of_the_same_protocol() {
        let mut demux = Demux::new(0);
        assert_eq!(demux.route(Protocol::Udp, address(1), &RTP), Route::Unknown);
        demux.learn(PeerKey(5), Protocol::Udp, address(1));
        assert_eq!(demux.route(Protocol::Udp, address(1), &RTP), Route::Peer(PeerKey(5)));
        assert_eq!(demux.route(Protocol::Tcp, address(1), &RTP), Route::Unknown);
        assert!(demux.knows(Protocol::Udp, address(1)) && !demux.knows(Protocol::Tcp, address(1)));
        demux.forget(PeerKey(5));
        assert_eq!(demux.route(Protocol::Udp, address(1), &RTP), Route::Unknown);
    }

    #[test]
    fn a_peer_keeps_its_latest_addresses_only() {
        let mut demux = Demux::new(0);
        for port in 1..=20 {
            demux.learn(PeerKey(5), Protocol::Udp, address(port));
            demux.learn(PeerKey(5), Protocol::Udp, address(1));
        }
        assert_eq!(demux.len(), ADDRESSES_PER_PEER);
        assert_eq!(demux.route(Protocol::Udp, address(1), &RTP), Route::Peer(PeerKey(5)));
        assert_eq!(demux.route(Protocol::Udp, address(2), &RTP), Route::Unknown);
    }

    #[test]
    fn an_address_taken_over_by_another_peer_is_not_forgotten_with_the_first() {
        let mut demux = Demux::new(0);
        demux.learn(PeerKey(1), Protocol::Udp, address(1));
        demux.learn(PeerKey(2), Protocol::Udp, address(1));
        demux.forget(PeerKey(1));
        assert_eq!(demux.route(Protocol::Udp, address(1), &RTP), Route::Peer(PeerKey(2)));
    }

    proptest! {
        #[test]
        fn any_datagram_is_routed_without_panic(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Demux::new(0).route(Protocol::Udp, address(1), &datagram);
        }

        #[test]
        fn a_truncated_check_is_routed_without_panic(keep in 0_usize..60) {
            let full = binding_request("AAAAAAAAAAAAAAAAAAAA:x");
            let _ = Demux::new(0).route(Protocol::Udp, address(1), &full[..keep.min(full.len())]);
        }
    }
}
