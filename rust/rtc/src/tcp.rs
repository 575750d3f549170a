//! RFC 4571 framing for ICE-TCP: each packet is preceded by its length as two bytes, big-endian.

/// Longest frame accepted, in bytes. STUN, DTLS and RTP of a browser stay below one MTU; a longer frame is an attack.
pub const MAX_FRAME: usize = 4096;

/// The peer announced a frame longer than [`MAX_FRAME`]: close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTooLong(
    /// Announced length in bytes.
    pub usize,
);

impl std::fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "peer announced an RFC 4571 frame of {} bytes, more than {MAX_FRAME}: close the connection", self.0)
    }
}

impl std::error::Error for FrameTooLong {}

/// Cuts a received byte stream into frames. Holds at most one incomplete frame besides what was pushed last.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    read: usize,
}

impl Framer {
    /// An empty framer for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes read from the connection. Drain [`Framer::next_frame`] before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame, or `None` until more bytes are pushed. Empty frames are skipped.
    ///
    /// # Errors
    /// [`FrameTooLong`] if the stream announces a frame that will not be read; the connection is then of no more use.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        loop {
            let rest = &self.buffer[self.read..];
            let Some(header) = rest.first_chunk::<2>() else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes(*header));
            if length > MAX_FRAME {
                return Err(FrameTooLong(length));
            }
            if rest.len() < 2 + length {
                return Ok(None);
            }
            let start = self.read + 2;
            self.read = start + length;
            if length > 0 {
                return Ok(Some(&self.buffer[start..start + length]));
            }
        }
    }
}

/// Appends `packet` with its length to `stream`. Returns false, appending nothing, if it is longer than 65 535 bytes.
pub fn write_frame(packet: &[u8], stream: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(packet.len()) else {
        return false;
    };
    stream.reserve(2 + packet.len());
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(packet);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..8),
            cut in 1_usize..50,
        ) {
            let mut stream = Vec::new();
            for packet in &packets {
                prop_assert!(write_frame(packet, &mut stream));
            }
            let (mut framer, mut seen) = (Framer::new(), Vec::new());
            for piece in stream.chunks(cut) {
                framer.push(piece);
                while let Some(frame) = framer.next_frame().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, packets);
        }

        #[test]
        fn any_byte_stream_is_read_without_panic(stream in prop::collection::vec(any::<u8>(), 0..10_000)) {
            let mut framer = Framer::new();
            framer.push(&stream);
            while let Ok(Some(_)) = framer.next_frame() {}
        }
    }

    #[test]
    fn a_frame_longer_than_the_limit_is_refused_before_its_bytes_arrive() {
        let mut framer = Framer::new();
        framer.push(&[0xff, 0xff]);
        assert_eq!(framer.next_frame(), Err(FrameTooLong(65_535)));
    }

    #[test]
    fn a_packet_that_fits_no_frame_is_refused() {
        let mut stream = Vec::new();
        assert!(!write_frame(&vec![0; 65_536], &mut stream));
        assert!(stream.is_empty());
    }
}
