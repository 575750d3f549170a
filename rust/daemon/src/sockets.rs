//! The UDP sockets: pairs for phones, opened as they are needed, and the one for browsers.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use dialroom_media::{PortId, PortOpener, PortPair, Socket};
use socket2::{Domain, Protocol, Type};

use crate::config::PortRange;
use crate::syscall::{Epoll, stamp_arrivals};

/// Room for bursts; the kernel gives less if its limit is lower.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 2 << 20;
/// Ports taken by other programs that are tried again for one leg.
const RETRIED_AT_ONCE: usize = 16;

/// Numbers by which epoll knows what is ready.
pub mod number {
    /// The waker.
    pub const WAKER: u64 = 0;
    /// The UDP port for browsers.
    pub const WEB_RTC: u64 = 1;
    /// The TCP port for browsers.
    pub const LISTENER: u64 = 2;
    /// The RTP port of pair 0; its RTCP port is the next, then pair 1, and so on.
    pub const FIRST_PAIR: u64 = 16;
    /// The first ICE-TCP connection.
    pub const FIRST_STREAM: u64 = 1 << 32;
}

/// All UDP sockets.
pub struct Sockets {
    epoll: Epoll,
    address: IpAddr,
    range: PortRange,
    next_port: u16,
    /// RTP ports that other programs had when they were tried.
    taken: VecDeque<u16>,
    pairs: Vec<(UdpSocket, UdpSocket)>,
    web_rtc: UdpSocket,
}

impl Sockets {
    /// Binds the port for browsers; `epoll` will tell what is ready.
    pub fn new(epoll: Epoll, address: IpAddr, range: PortRange, web_rtc_port: u16) -> io::Result<Self> {
        let web_rtc = bind(SocketAddr::new(address, web_rtc_port))?;
        epoll.watch(&web_rtc, number::WEB_RTC)?;
        // RFC 3550 §11: RTP takes the even port of a pair.
        let next_port = range.low + range.low % 2;
        Ok(Self { epoll, address, range, next_port, taken: VecDeque::new(), pairs: Vec::new(), web_rtc })
    }

    /// What tells which sockets are ready.
    pub fn epoll(&mut self) -> &mut Epoll {
        &mut self.epoll
    }

    /// The address of the port for browsers.
    pub fn web_rtc_address(&self) -> io::Result<SocketAddr> {
        self.web_rtc.local_addr()
    }

    /// Whether sockets speak IPv6, and IPv4 as mapped addresses.
    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// A socket of the engine's; `None` if it was never opened.
    pub fn get(&self, socket: Socket) -> Option<&UdpSocket> {
        match socket {
            Socket::Rtp(id) => self.pairs.get(usize::from(id.0)).map(|(rtp, _)| rtp),
            Socket::Rtcp(id) => self.pairs.get(usize::from(id.0)).map(|(_, rtcp)| rtcp),
            Socket::WebRtc => Some(&self.web_rtc),
        }
    }

    /// The engine's name of what epoll calls `ready`.
    pub fn by_number(ready: u64) -> Option<Socket> {
        match ready {
            number::WEB_RTC => Some(Socket::WebRtc),
            number::FIRST_PAIR..number::FIRST_STREAM => {
                let index = ready - number::FIRST_PAIR;
                let id = PortId(u16::try_from(index / 2).ok()?);
                Some(if index.is_multiple_of(2) { Socket::Rtp(id) } else { Socket::Rtcp(id) })
            }
            _ => None,
        }
    }

    fn bind_pair(&mut self) -> Option<(UdpSocket, UdpSocket)> {
        if self.range.low == 0 {
            let any = SocketAddr::new(self.address, 0);
            return Some((bind(any).ok()?, bind(any).ok()?));
        }
        let before = self.taken.len();
        let pair = self.bind_untried().or_else(|| self.bind_taken());
        if self.taken.len() > before {
            let (ports, last) = (self.taken.len(), self.taken.back());
            tracing::warn!(ports, last, "RTP ports are taken by other programs");
        }
        pair
    }

    fn bind_untried(&mut self) -> Option<(UdpSocket, UdpSocket)> {
        while let Some(rtp) = self.untried() {
            match self.bind_at(rtp) {
                Ok(pair) => {
                    self.next_port = rtp.saturating_add(2);
                    return Some(pair);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    self.next_port = rtp.saturating_add(2);
                    self.taken.push_back(rtp);
                }
                Err(error) => {
                    // No fault of this port's: the next one would fail as well.
                    tracing::error!(port = rtp, %error, "no RTP port can be opened");
                    return None;
                }
            }
        }
        None
    }

    /// Programs come and go: what was taken may be free by now.
    fn bind_taken(&mut self) -> Option<(UdpSocket, UdpSocket)> {
        for _ in 0..self.taken.len().min(RETRIED_AT_ONCE) {
            let rtp = self.taken.pop_front()?;
            if let Ok(pair) = self.bind_at(rtp) {
                return Some(pair);
            }
            self.taken.push_back(rtp);
        }
        None
    }

    fn untried(&self) -> Option<u16> {
        (self.next_port < self.range.high).then_some(self.next_port)
    }

    fn bind_at(&self, rtp: u16) -> io::Result<(UdpSocket, UdpSocket)> {
        Ok((bind(SocketAddr::new(self.address, rtp))?, bind(SocketAddr::new(self.address, rtp + 1))?))
    }
}

impl PortOpener for Sockets {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        let (rtp, rtcp) = self.bind_pair()?;
        let pair = PortPair { rtp: rtp.local_addr().ok()?.port(), rtcp: rtcp.local_addr().ok()?.port() };
        let first = number::FIRST_PAIR + 2 * u64::from(id.0);
        for socket in [&rtp, &rtcp] {
            // They are read every 20 ms only: without stamps, jitter would be measured in steps of that.
            if let Err(error) = stamp_arrivals(socket) {
                tracing::warn!(port = pair.rtp, %error, "the system does not tell when packets arrive");
            }
        }
        let watched = self.epoll.watch(&rtp, first).and_then(|()| self.epoll.watch(&rtcp, first + 1));
        if let Err(error) = watched {
            tracing::error!(port = pair.rtp, %error, "an RTP port cannot be watched");
            return None;
        }
        self.pairs.push((rtp, rtcp));
        Some(pair)
    }
}

/// IPv4 as itself, also on a socket of both families.
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, |v4| SocketAddr::new(v4.into(), address.port())),
        IpAddr::V4(_) => address,
    }
}

/// IPv4 as a socket of both families wants it.
pub fn to_mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Smaller buffers than asked for only mean earlier loss under overload.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    if address.is_ipv4() {
        // DSCP EF (RFC 4594): voice first. A system that does not let us loses only that.
        let _ = socket.set_tos_v4(0xb8);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::*;

    fn sockets(range: PortRange) -> Sockets {
        Sockets::new(Epoll::new().unwrap(), IpAddr::from([127, 0, 0, 1]), range, 0).unwrap()
    }

    /// Where the next test looks for ports: tests run side by side.
    static NEXT: AtomicU16 = AtomicU16::new(41_000);

    /// A range with room for two pairs, all free a moment ago.
    fn free_range() -> PortRange {
        while let low @ ..60_000 = NEXT.fetch_add(4, Ordering::Relaxed) {
            if (low..low + 4).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
                return PortRange { low, high: low + 3 };
            }
        }
        panic!("this machine has no four free ports in a row");
    }

    #[test]
    fn a_port_of_another_program_is_left_out_and_used_when_it_is_free_again() {
        let range = free_range();
        let mut sockets = sockets(range);
        let other = UdpSocket::bind(("127.0.0.1", range.low + 1)).unwrap();
        assert_eq!(sockets.open(PortId(0)).map(|pair| pair.rtp), Some(range.low + 2));
        assert_eq!(sockets.open(PortId(1)), None);
        drop(other);
        assert_eq!(sockets.open(PortId(1)), Some(PortPair { rtp: range.low, rtcp: range.low + 1 }));
        assert_eq!(sockets.open(PortId(2)), None);
    }

    #[test]
    fn what_is_no_fault_of_a_port_uses_up_none() {
        let range = free_range();
        let mut sockets = sockets(range);
        let own = std::mem::replace(&mut sockets.address, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(sockets.open(PortId(0)), None, "an address that is not ours");
        sockets.address = own;
        assert_eq!(sockets.open(PortId(0)).map(|pair| pair.rtp), Some(range.low));
    }
}
