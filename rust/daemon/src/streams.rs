//! ICE-TCP: browsers that cannot send UDP, each packet framed by its length (RFC 4571).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use dialroom_media::Shard;
use dialroom_rtc::Protocol;
use dialroom_rtc::tcp::{Framer, write_frame};

use crate::sockets::{number, unmapped};
use crate::syscall::Epoll;

/// Connections at a time.
const MAX_STREAMS: usize = 2000;
/// Connections accepted between two looks at the media.
const ACCEPTED_AT_ONCE: usize = 64;
/// Bytes that may wait for a slow reader; more close the connection.
const MAX_WAITING: usize = 512 * 1024;
/// Connections at a time from one address that have not proved to be a browser's.
const MAX_STRANGERS: usize = 64;
/// A connection from which nothing came for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// A connection that has not proved to be a browser's by now is closed, whatever comes from it.
const PROVE_WITHIN: Duration = Duration::from_secs(15);

struct Stream {
    socket: TcpStream,
    remote: SocketAddr,
    local: SocketAddr,
    framer: Framer,
    waiting: Vec<u8>,
    last_read: Instant,
    opened: Instant,
    /// A check with a peer's credentials came over it.
    proved: bool,
}

/// All ICE-TCP connections.
pub struct Streams {
    listener: TcpListener,
    by_number: HashMap<u64, Stream>,
    by_remote: HashMap<SocketAddr, u64>,
    next_number: u64,
    most: usize,
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
            most: MAX_STREAMS,
            next_sweep: now,
            buffer: vec![0; 16 * 1024].into_boxed_slice(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Takes what waits at the listener.
    pub fn accept(&mut self, epoll: &Epoll, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let Ok((socket, remote)) = self.listener.accept() else {
                return;
            };
            let remote = unmapped(remote);
            if self.strangers_from(remote.ip()) >= MAX_STRANGERS || !self.make_room() {
                continue;
            }
            let ready = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
            let Ok(local) = ready.and_then(|()| socket.local_addr()).map(unmapped) else {
                continue;
            };
            let number = self.next_number;
            if epoll.watch(&socket, number).is_err() {
                continue;
            }
            self.next_number += 1;
            self.by_remote.insert(remote, number);
            let (framer, waiting) = (Framer::new(), Vec::new());
            let (last_read, opened, proved) = (now, now, false);
            let stream = Stream { socket, remote, local, framer, waiting, last_read, opened, proved };
            self.by_number.insert(number, stream);
        }
    }

    /// Makes room for one more, if need be in place of whoever has failed longest to prove to be a browser.
    fn make_room(&mut self) -> bool {
        if self.by_number.len() < self.most {
            return true;
        }
        let strangers = self.by_number.iter().filter(|(_, stream)| !stream.proved);
        let oldest = strangers.min_by_key(|(number, stream)| (stream.opened, **number)).map(|(number, _)| *number);
        oldest.inspect(|number| self.close(*number)).is_some()
    }

    fn strangers_from(&self, address: IpAddr) -> usize {
        self.by_number.values().filter(|stream| !stream.proved && stream.remote.ip() == address).count()
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
                    // Anybody can bring this about, as often as they like.
                    tracing::debug!(remote = %stream.remote, %error, "an ICE-TCP connection is closed");
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

    /// Sends what waited, and closes what is idle or a stranger's; `proves` tells whose remote end is a browser's.
    pub fn keep(&mut self, now: Instant, proves: impl Fn(SocketAddr) -> bool) {
        let sweep = now >= self.next_sweep;
        if sweep {
            self.next_sweep = now + Duration::from_secs(1);
        }
        let gone: Vec<u64> = self
            .by_number
            .iter_mut()
            .filter_map(|(number, stream)| {
                let useless = sweep && {
                    stream.proved = stream.proved || proves(stream.remote);
                    let strange = !stream.proved && now.saturating_duration_since(stream.opened) > PROVE_WITHIN;
                    strange || now.saturating_duration_since(stream.last_read) > IDLE
                };
                (useless || !stream.flush()).then_some(*number)
            })
            .collect();
        gone.into_iter().for_each(|number| self.close(number));
    }

    fn close(&mut self, number: u64) {
        if let Some(stream) = self.by_number.remove(&number)
            // The same port may have connected again before the end of its first connection was noticed.
            && self.by_remote.get(&stream.remote) == Some(&number)
        {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(now: Instant, address: &str) -> (Streams, Epoll, SocketAddr) {
        let epoll = Epoll::new().unwrap();
        let streams = Streams::new(address.parse().unwrap(), &epoll, now).unwrap();
        let address = streams.listener.local_addr().unwrap();
        (streams, epoll, address)
    }

    fn connect(streams: &mut Streams, epoll: &mut Epoll, to: SocketAddr, now: Instant) -> TcpStream {
        let stream = TcpStream::connect(to).unwrap();
        let mut ready = Vec::new();
        epoll.wait(Some(5000), |number| ready.push(number)).unwrap();
        assert!(ready.contains(&number::LISTENER));
        streams.accept(epoll, now);
        stream
    }

    #[test]
    fn a_stranger_is_closed_after_a_while_although_it_goes_on_sending_and_a_browser_is_not() {
        let start = Instant::now();
        let (mut streams, mut epoll, address) = streams(start, "127.0.0.1:0");
        let browser = connect(&mut streams, &mut epoll, address, start);
        let _stranger = connect(&mut streams, &mut epoll, address, start);
        let browser = browser.local_addr().unwrap();
        let later = start + PROVE_WITHIN + Duration::from_secs(1);
        streams.by_number.values_mut().for_each(|stream| stream.last_read = later);
        streams.keep(later, |remote| remote == browser);
        assert_eq!(streams.by_remote.keys().collect::<Vec<_>>(), [&browser]);
        assert_eq!(streams.len(), 1);
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let start = Instant::now();
        let (mut streams, mut epoll, address) = streams(start, "127.0.0.1:0");
        let open: Vec<TcpStream> =
            (0..MAX_STRANGERS + 5).map(|_| connect(&mut streams, &mut epoll, address, start)).collect();
        assert_eq!(streams.len(), MAX_STRANGERS);
        drop(open);
    }

    #[test]
    fn strangers_cannot_keep_a_browser_out_and_never_put_one_out() {
        let start = Instant::now();
        let (mut streams, mut epoll, address) = streams(start, "127.0.0.1:0");
        streams.most = 3;
        let browser = connect(&mut streams, &mut epoll, address, start);
        let known = browser.local_addr().unwrap();
        streams.keep(start, |remote| remote == known);
        let strangers: Vec<TcpStream> = (0..5).map(|_| connect(&mut streams, &mut epoll, address, start)).collect();
        let latest: Vec<SocketAddr> = strangers[3..].iter().map(|stream| stream.local_addr().unwrap()).collect();
        let mut there: Vec<SocketAddr> = streams.by_remote.keys().copied().collect();
        there.sort();
        let mut expected = [vec![known], latest].concat();
        expected.sort();
        assert_eq!(there, expected);
        streams.by_number.values_mut().for_each(|stream| stream.proved = true);
        let _late = connect(&mut streams, &mut epoll, address, start);
        assert_eq!(streams.len(), 3, "browsers stay");
    }

    #[test]
    fn a_connection_that_ends_leaves_its_successor_from_the_same_port() {
        let start = Instant::now();
        let (mut streams, mut epoll, address) = streams(start, "127.0.0.1:0");
        let remote = connect(&mut streams, &mut epoll, address, start).local_addr().unwrap();
        let (first, successor) = (number::FIRST_STREAM, number::FIRST_STREAM + 1);
        streams.by_remote.insert(remote, successor);
        streams.close(first);
        assert_eq!(streams.by_remote.get(&remote), Some(&successor));
    }

    #[test]
    fn ipv4_on_a_socket_of_both_families_is_known_by_its_own_address() {
        let start = Instant::now();
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            return eprintln!("this machine has no IPv6");
        };
        drop(listener);
        let (mut streams, mut epoll, address) = streams(start, "[::]:0");
        let browser = connect(&mut streams, &mut epoll, ([127, 0, 0, 1], address.port()).into(), start);
        assert_eq!(streams.by_remote.keys().collect::<Vec<_>>(), [&browser.local_addr().unwrap()]);
        assert!(streams.by_number.values().all(|stream| stream.local.is_ipv4()));
    }
}
