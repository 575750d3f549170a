//! Frames: a 32-bit big-endian length, then that many bytes of MessagePack.

use std::fmt;

use serde::Deserialize;

use crate::answer::FromMedia;
use crate::command::Request;

/// Longest frame either side accepts.
pub const MAX_FRAME_BYTES: usize = 32 * 1024 * 1024;

const LENGTH_BYTES: usize = 4;

/// The other end of the link does not speak this protocol.
#[derive(Debug)]
pub enum FrameError {
    /// A frame of so many bytes is over [`MAX_FRAME_BYTES`].
    TooLong(usize),
    /// The bytes are no value of this protocol.
    Unreadable(String),
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(out, "a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES} bytes")
            }
            Self::Unreadable(reason) => write!(out, "a frame cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// One frame, length first.
pub fn encode_from_media(message: &FromMedia) -> Result<Vec<u8>, FrameError> {
    frame(rmp_serde::to_vec_named(message))
}

fn frame(body: Result<Vec<u8>, rmp_serde::encode::Error>) -> Result<Vec<u8>, FrameError> {
    let body = body.map_err(|e| FrameError::Unreadable(e.to_string()))?;
    if body.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(body.len()));
    }
    let mut frame = Vec::with_capacity(LENGTH_BYTES + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// What the media plane said, from a frame's body; for tests and tools.
pub fn decode_from_media(body: &[u8]) -> Result<FromMedia, FrameError> {
    rmp_serde::from_slice(body).map_err(|e| FrameError::Unreadable(e.to_string()))
}

/// One frame with a request, length first; for tests and tools.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, FrameError> {
    frame(rmp_serde::to_vec_named(request))
}

/// A request from a frame's body.
pub fn decode_request(body: &[u8]) -> Result<Request, FrameError> {
    rmp_serde::from_slice(body).map_err(|e| FrameError::Unreadable(e.to_string()))
}

/// The id of a request whose command cannot be read, so that it can still be refused.
pub fn request_id(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: u64,
    }
    rmp_serde::from_slice::<OnlyId>(body).ok().map(|r| r.id)
}

/// Cuts a byte stream into frame bodies.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
}

impl FrameReader {
    /// Adds bytes from the stream.
    pub fn feed(&mut self, data: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(data);
    }

    /// Bytes that wait for the rest of their frame.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next complete body, if there is one.
    pub fn next_body(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((head, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + LENGTH_BYTES;
        self.start = from + length;
        Ok(Some(&self.buffer[from..from + length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_out_whole_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for body in [&b"abc"[..], b"", b"defgh"] {
            stream.extend_from_slice(&(body.len() as u32).to_be_bytes());
            stream.extend_from_slice(body);
        }
        for cut in 1..stream.len() {
            let mut reader = FrameReader::default();
            let mut bodies = Vec::new();
            for part in stream.chunks(cut) {
                reader.feed(part);
                while let Some(body) = reader.next_body().unwrap() {
                    bodies.push(body.to_vec());
                }
            }
            assert_eq!(bodies, [b"abc".to_vec(), b"".to_vec(), b"defgh".to_vec()]);
        }
    }

    #[test]
    fn an_announced_length_over_the_limit_is_an_error_before_any_of_it_is_kept() {
        let mut reader = FrameReader::default();
        reader.feed(&(MAX_FRAME_BYTES as u32 + 1).to_be_bytes());
        assert!(matches!(reader.next_body(), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn the_id_of_an_unknown_command_can_still_be_read() {
        #[derive(serde::Serialize)]
        struct Odd {
            id: u64,
            command: &'static str,
        }
        let body = rmp_serde::to_vec_named(&Odd { id: 7, command: "?" }).unwrap();
        assert!(decode_request(&body).is_err());
        assert_eq!(request_id(&body), Some(7));
    }

    #[test]
    fn noise_is_unreadable_and_nothing_worse() {
        for length in 0..64usize {
            let noise: Vec<u8> = (0..length).map(|i| (i * 37 + 11) as u8).collect();
            assert!(decode_request(&noise).is_err());
        }
    }
}
