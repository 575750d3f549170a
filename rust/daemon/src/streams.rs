//! ICE-TCP: browsers that cannot send UDP, each packet framed by its length (RFC 4571).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use dialroom_media::Shard;
use dialroom_rtc::Protocol;
use dialroom_rtc::tcp::{Framer, write_frame};

use crate::sockets::number;
use crate::syscall::Epoll;

/// Connections at a time.
const MAX_STREAMS: usize = 2000;
/// Bytes that may wait for a slow reader; more close the connection.
const MAX_WAITING: usize = 512 * 1024;
/// A connection from which nothing came for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

struct Stream {
    socket: TcpStream,
    remote: SocketAddr,
    local: SocketAddr,
    framer: Framer,
    waiting: Vec<u8>,
    last_read: Instant,
}

/// All ICE-TCP connections.
pub struct Streams {
    listener: TcpListener,
    by_number: HashMap<u64, Stream>,
    by_remote: HashMap<SocketAddr, u64>,
    next_number: u64,
    next_sweep: Instant,
    buffer: Box<[u8]>,
}

impl Streams {
    /// Listens at `address`.
    pub fn new(address: SocketAddr, epoll: &Epoll, now: Instant) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        epoll.watch(&listener, number::LISTENER)?;
        Ok(Self {
            listener,
            by_number: HashMap::new(),
            by_remote: HashMap::new(),
            next_number: number::FIRST_STREAM,
            next_sweep: now + IDLE,
            buffer: vec![0; 16 * 1024].into_boxed_slice(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Takes what waits at the listener.
    pub fn accept(&mut self, epoll: &Epoll, now: Instant) {
        while let Ok((socket, remote)) = self.listener.accept() {
            if self.by_number.len() >= MAX_STREAMS {
                continue;
            }
            let ready = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
            let Ok(local) = ready.and_then(|()| socket.local_addr()) else {
                continue;
            };
            let number = self.next_number;
            if epoll.watch(&socket, number).is_err() {
                continue;
            }
            self.next_number += 1;
            self.by_remote.insert(remote, number);
            let (framer, waiting) = (Framer::new(), Vec::new());
            self.by_number.insert(number, Stream { socket, remote, local, framer, waiting, last_read: now });
        }
    }

    /// Reads a connection that is ready and hands its packets to the engine.
    pub fn read(&mut self, number: u64, shard: &mut Shard, now: Instant) {
        let Some(stream) = self.by_number.get_mut(&number) else {
            return;
        };
        match stream.socket.read(&mut self.buffer) {
            Ok(0) => return self.close(number),
            Ok(count) => {
                stream.last_read = now;
                stream.framer.push(&self.buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.close(number),
        }
        loop {
            match stream.framer.next_frame() {
                Ok(Some(packet)) => shard.receive_web(now, Protocol::Tcp, stream.remote, stream.local, packet),
                Ok(None) => return,
                Err(error) => {
                    tracing::info!(remote = %stream.remote, %error, "an ICE-TCP connection is closed");
                    return self.close(number);
                }
            }
        }
    }

    /// Sends a packet to a remote end.
    pub fn send(&mut self, remote: SocketAddr, packet: &[u8]) {
        let Some((number, stream)) = self.by_remote.get(&remote).and_then(|n| Some((*n, self.by_number.get_mut(n)?)))
        else {
            return;
        };
        write_frame(packet, &mut stream.waiting);
        if !stream.flush() {
            self.close(number);
        }
    }

    /// Sends what waited, and closes what is idle.
    pub fn keep(&mut self, now: Instant) {
        let sweep = now >= self.next_sweep;
        if sweep {
            self.next_sweep = now + Duration::from_secs(1);
        }
        let gone: Vec<u64> = self
            .by_number
            .iter_mut()
            .filter_map(|(number, stream)| {
                let idle = sweep && now.saturating_duration_since(stream.last_read) > IDLE;
                (idle || !stream.flush()).then_some(*number)
            })
            .collect();
        gone.into_iter().for_each(|number| self.close(number));
    }

    fn close(&mut self, number: u64) {
        if let Some(stream) = self.by_number.remove(&number) {
            self.by_remote.remove(&stream.remote);
        }
    }
}

impl Stream {
    /// Writes what waits; false if the connection is of no more use.
    fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.socket.write(&self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        self.waiting.len() <= MAX_WAITING
    }
}
