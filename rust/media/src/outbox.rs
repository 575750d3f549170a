//! What the engine wants done by whoever drives it.

use std::net::SocketAddr;

use dialroom_protocol::Event;

use crate::ports::PortId;

/// The socket a datagram came in by or is to leave by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Socket {
    /// The RTP port of a pair.
    Rtp(PortId),
    /// Its RTCP port.
    Rtcp(PortId),
    /// The UDP port for browsers.
    WebRtc,
}

/// Names a command whose answer comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// Of the caller's choosing.
    pub connection: u64,
    /// Of the caller's choosing.
    pub request: u64,
}

/// Names a recording towards the recorder.
pub type TapId = u64;

/// Samples of a 20 ms frame at the highest rate.
pub const TAP_SAMPLES: usize = 320;

/// What the recorder is told. Frames are never waited for: a recorder that lags loses some.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "frames are the rule, and boxing them would allocate for each")]
pub enum Tap {
    /// Begin a file; the answer to `token` says whether it could be opened.
    Open {
        /// Which recording.
        tap: TapId,
        /// The file.
        path: String,
        /// Samples per second.
        rate: u32,
        /// Whose command it is.
        token: Token,
    },
    /// The next 20 ms.
    Frame {
        /// Which recording.
        tap: TapId,
        /// Samples in use.
        length: usize,
        /// The samples.
        samples: [i16; TAP_SAMPLES],
    },
    /// Complete the file; `token` is answered then, if there is one.
    Close {
        /// Which recording.
        tap: TapId,
        /// Whose command it is.
        token: Option<Token>,
    },
}

impl Socket {
    /// Another number for each.
    fn number(self) -> u32 {
        match self {
            Self::Rtp(PortId(id)) => u32::from(id) << 1,
            Self::Rtcp(PortId(id)) => (u32::from(id) << 1) | 1,
            Self::WebRtc => u32::MAX,
        }
    }
}

/// One datagram in the outbox.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The socket's number, and below it where the datagram begins, which grows with the order of sending.
    order: u64,
    socket: Socket,
    destination: SocketAddr,
    length: u32,
}

impl Entry {
    fn start(&self) -> usize {
        self.order as u32 as usize
    }
}

/// A packet to send over an ICE-TCP connection.
#[derive(Debug)]
pub struct StreamPacket {
    /// The remote end of the connection.
    pub destination: SocketAddr,
    /// The packet, without frame header.
    pub bytes: Vec<u8>,
}

/// Datagrams, events and answers of one step; its buffers are used again and again.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Only grows; the first `used` bytes are datagrams.
    bytes: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
    /// Packets for ICE-TCP connections.
    pub stream_packets: Vec<StreamPacket>,
    /// What happened.
    pub events: Vec<Event>,
    /// For the recorder.
    pub taps: Vec<Tap>,
}

/// Longest datagram the engine sends.
pub const MAX_DATAGRAM: usize = 1500;

impl Outbox {
    /// An outbox with room for a busy step, so that sending does not allocate.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; 1 << 20],
            entries: Vec::with_capacity(4096),
            events: Vec::with_capacity(256),
            ..Self::default()
        }
    }

    /// Adds a datagram that `write` puts into a buffer of [`MAX_DATAGRAM`] bytes; `None` from it adds nothing.
    /// Returns the datagram's length.
    pub fn datagram(
        &mut self,
        socket: Socket,
        destination: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let start = self.used;
        if self.bytes.len() < start + MAX_DATAGRAM {
            self.bytes.resize(2 * (start + MAX_DATAGRAM), 0);
        }
        let length = write(&mut self.bytes[start..start + MAX_DATAGRAM])?;
        self.used = start + length;
        let order = (u64::from(socket.number()) << 32) | u64::from(start as u32);
        self.entries.push(Entry { order, socket, destination, length: length as u32 });
        Some(length)
    }

    /// Whether datagrams wait.
    pub fn has_datagrams(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Hands out the datagrams, those of one socket together, and forgets them.
    pub fn drain_datagrams<'a>(&'a mut self, mut each_socket: impl FnMut(Socket, Datagrams<'a>)) {
        self.entries.sort_unstable_by_key(|entry| entry.order);
        let (bytes, entries) = (&self.bytes, &self.entries);
        for run in entries.chunk_by(|a, b| a.socket == b.socket) {
            each_socket(run[0].socket, Datagrams { bytes, entries: run.iter() });
        }
    }

    /// Forgets the datagrams handed out.
    pub fn clear_datagrams(&mut self) {
        self.entries.clear();
        self.used = 0;
    }
}

/// Datagrams of one socket.
#[derive(Debug)]
pub struct Datagrams<'a> {
    bytes: &'a [u8],
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = (SocketAddr, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        let start = entry.start();
        Some((entry.destination, &self.bytes[start..start + entry.length as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &mut Outbox, socket: Socket, byte: u8) {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        outbox.datagram(socket, to, |out| {
            out[0] = byte;
            Some(1)
        });
    }

    #[test]
    fn datagrams_come_out_by_socket_in_the_order_of_sending() {
        let mut outbox = Outbox::new();
        let (a, b) = (Socket::Rtp(PortId(0)), Socket::Rtp(PortId(1)));
        for (socket, byte) in [(b, 1), (a, 2), (b, 3), (a, 4)] {
            put(&mut outbox, socket, byte);
        }
        let mut seen = Vec::new();
        outbox.drain_datagrams(|socket, datagrams| {
            seen.push((socket, datagrams.map(|(_, data)| data[0]).collect::<Vec<_>>()));
        });
        assert_eq!(seen, [(a, vec![2, 4]), (b, vec![1, 3])]);
        outbox.clear_datagrams();
        assert!(!outbox.has_datagrams());
    }

    #[test]
    fn a_datagram_that_could_not_be_written_is_not_sent() {
        let mut outbox = Outbox::new();
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(outbox.datagram(Socket::WebRtc, to, |_| None), None);
        assert!(!outbox.has_datagrams());
    }
}
