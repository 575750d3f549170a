//! A bare UDP reflector: the least that any server of this traffic can cost.
//!
//! It does what a media server cannot do without (take each datagram from the kernel, give one back), in the cheapest
//! way known: one port for all, 64 datagrams per system call, and one wake-up per tick rather than per datagram.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Instant;

use serde_json::json;
use socket2::SockRef;

use crate::options::Options;
use crate::phone::tell;
use crate::syscall::{BATCH, Epoll, ReceiveBatch, SendBatch};

/// As much as the media process asks for: some ticks of a thousand phones.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Reflects until the time is over.
pub fn run(options: &Options) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
    tell(&json!({ "address": socket.local_addr()?.to_string() }))?;
    let end = Instant::now() + options.measured;
    let mut mirror = Mirror { socket, received: ReceiveBatch::new(), sending: SendBatch::new() };
    let mut epoll = Epoll::new()?;
    epoll.watch(&mirror.socket, 0)?;
    let mut reflected = 0;
    while Instant::now() < end {
        if options.tick.is_zero() {
            epoll.wait(Some(100), |_| ())?;
        } else {
            thread::sleep(options.tick);
        }
        reflected += mirror.drain()?;
    }
    tell(&json!({ "event": "done", "reflected": reflected }))
}

struct Mirror {
    socket: UdpSocket,
    received: ReceiveBatch,
    sending: SendBatch,
}

impl Mirror {
    /// Sends back all that waits; how many.
    fn drain(&mut self) -> io::Result<usize> {
        let mut reflected = 0;
        loop {
            let count = self.received.receive(&self.socket)?;
            let datagrams = (0..count).filter_map(|index| self.received.datagram(index));
            reflected += self.sending.send(&self.socket, datagrams);
            if count < BATCH {
                return Ok(reflected);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_comes_back_to_its_sender() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let phones: Vec<UdpSocket> = (0..100u8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for (number, phone) in phones.iter().enumerate() {
            phone.send_to(&[number as u8; 172], socket.local_addr().unwrap()).unwrap();
        }
        let mut mirror = Mirror { socket, received: ReceiveBatch::new(), sending: SendBatch::new() };
        assert_eq!(mirror.drain().unwrap(), 100);
        for (number, phone) in phones.iter().enumerate() {
            let mut back = [0; 200];
            phone.set_nonblocking(true).unwrap();
            assert_eq!(phone.recv(&mut back).unwrap(), 172);
            assert_eq!(back[..172], [number as u8; 172]);
        }
    }
}
