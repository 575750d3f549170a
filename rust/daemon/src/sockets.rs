//! The UDP sockets: pairs for phones, opened as they are needed, and the one for browsers.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use dialroom_media::{PortId, PortOpener, PortPair, Socket};
use socket2::{Domain, Protocol, Type};

use crate::config::PortRange;
use crate::syscall::Epoll;

/// Room for bursts; the kernel gives less if its limit is lower.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 2 << 20;

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
        Ok(Self { epoll, address, range, next_port, pairs: Vec::new(), web_rtc })
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
        while self.next_port < self.range.high {
            let rtp = self.next_port;
            self.next_port = rtp.checked_add(2)?;
            let pair = bind(SocketAddr::new(self.address, rtp))
                .and_then(|socket| Ok((socket, bind(SocketAddr::new(self.address, rtp + 1))?)));
            match pair {
                Ok(pair) => return Some(pair),
                Err(error) => tracing::warn!(port = rtp, %error, "an RTP port is taken by another program"),
            }
        }
        None
    }
}

impl PortOpener for Sockets {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        let (rtp, rtcp) = self.bind_pair()?;
        let pair = PortPair { rtp: rtp.local_addr().ok()?.port(), rtcp: rtcp.local_addr().ok()?.port() };
        let first = number::FIRST_PAIR + 2 * u64::from(id.0);
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
