//! One phone: a socket and the state of the RTP stream it sends.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use dialroom_audio::rtp::view::{DatagramKind, HEADER_LEN, RtpView, classify};
use dialroom_audio::rtp::write::RtpHeader;
use serde_json::{Value, json};

/// Samples, and bytes of G.711, in a packet of 20 ms.
pub const PAYLOAD: usize = 160;
/// Milliseconds from packet to packet.
pub const PTIME_MS: u64 = 20;
const PCMU: u8 = 0;

/// A phone on loopback that speaks PCMU.
pub struct Phone {
    socket: UdpSocket,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    packet: [u8; HEADER_LEN + PAYLOAD],
    /// Packets that could not be sent.
    pub unsent: u64,
}

impl Phone {
    /// A phone on a port of the system's choice; `number` makes its stream different from the others'.
    pub fn new(number: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let number = number as u32 + 1;
        Ok(Self {
            socket,
            ssrc: number.wrapping_mul(0x9E37_79B1),
            sequence: number.wrapping_mul(7919) as u16,
            timestamp: number.wrapping_mul(1_234_567),
            packet: [0; HEADER_LEN + PAYLOAD],
            unsent: 0,
        })
    }

    /// Its socket, to wait on.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Tells it where to send, and to hear nobody else.
    pub fn connect(&self, target: SocketAddr) -> io::Result<()> {
        self.socket.connect(target)
    }

    /// Sends the next packet of its stream.
    pub fn send(&mut self, payload: &[u8; PAYLOAD], marker: bool) {
        let header = RtpHeader {
            payload_type: PCMU,
            marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        header.write_packet(payload, &mut self.packet);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(PAYLOAD as u32);
        self.unsent += u64::from(self.socket.send(&self.packet).is_err());
    }

    /// Calls `each` with the payload of every PCMU packet that waits.
    pub fn receive(&self, mut each: impl FnMut(&[u8])) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            if classify(&buffer[..length]) != DatagramKind::Rtp {
                continue;
            }
            if let Ok(view) = RtpView::parse(&buffer[..length])
                && view.payload_type == PCMU
            {
                each(view.payload);
            }
        }
    }
}

/// Makes phones and tells their addresses on stdout.
pub fn announce(legs: usize) -> io::Result<Vec<Phone>> {
    let phones: Vec<Phone> = (0..legs).map(Phone::new).collect::<io::Result<_>>()?;
    let mut sources = Vec::with_capacity(legs);
    for phone in &phones {
        sources.push(phone.socket.local_addr()?.to_string());
    }
    tell(&json!({ "sources": sources }))?;
    Ok(phones)
}

/// Reads from stdin where the phones are to send, one address per line. An address that is not loopback is refused:
/// this program makes load for one machine only.
pub fn targets(legs: usize) -> impl Iterator<Item = io::Result<SocketAddr>> {
    let mut lines = io::stdin().lines();
    (0..legs).map(move |_| {
        let line = lines.next().ok_or_else(|| invalid(format!("needs {legs} addresses to send to on stdin")))??;
        loopback(line.trim()).map_err(invalid)
    })
}

/// One line of the report.
pub fn tell(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err(format!("{text} is not loopback; load is only ever sent within this machine")),
        Err(_) => Err(format!("{text:?} is no address; write for example 127.0.0.1:20000")),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_sent_to() {
        assert!(loopback("127.3.2.1:20000").is_ok());
        assert!(loopback("192.0.2.1:20000").unwrap_err().contains("not loopback"));
        assert!(loopback("0.0.0.0:20000").is_err());
        assert!(loopback("localhost").unwrap_err().contains("no address"));
    }

    #[test]
    fn what_one_phone_sends_another_hears() {
        let (mut here, there) = (Phone::new(0).unwrap(), Phone::new(1).unwrap());
        here.connect(there.socket.local_addr().unwrap()).unwrap();
        there.connect(here.socket.local_addr().unwrap()).unwrap();
        here.send(&[7; PAYLOAD], true);
        here.send(&[8; PAYLOAD], false);
        let mut heard = Vec::new();
        there.receive(|payload| heard.push(payload.to_vec()));
        assert_eq!(heard, [vec![7; PAYLOAD], vec![8; PAYLOAD]]);
        assert_eq!(here.unsent, 0);
    }
}
