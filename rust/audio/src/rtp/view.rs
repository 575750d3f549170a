//! Borrowed view of one RTP packet (RFC 3550 §5.1), checked once when it is made.

use std::fmt;

/// Fixed part of the RTP header in bytes.
pub const HEADER_LEN: usize = 12;

/// What a datagram on an RTP port is, by its first two bytes (RFC 5761 §4, RFC 7983).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// RTP version 2.
    Rtp,
    /// RTCP version 2: the second byte is 192–223, which is payload type 64–95 with the marker set.
    Rtcp,
    /// Anything else: STUN, DTLS, keep-alives, noise.
    Other,
}

/// Classifies a datagram as RTP, RTCP or neither without parsing it.
pub fn classify(datagram: &[u8]) -> DatagramKind {
    match datagram {
        [first, second, _, _, ..] if first >> 6 == 2 => match second {
            192..=223 => DatagramKind::Rtcp,
            _ => DatagramKind::Rtp,
        },
        _ => DatagramKind::Other,
    }
}

/// Why a datagram is not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header it announces.
    Truncated,
    /// The version is not 2.
    Version,
    /// The padding count is zero or reaches past the payload.
    Padding,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the peer's RTP packet is shorter than its header says",
            Self::Version => "the peer's packet is not RTP version 2",
            Self::Padding => "the peer's RTP padding count does not fit the packet",
        })
    }
}

impl std::error::Error for Malformed {}

/// One RTP packet, borrowed from the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpView<'a> {
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in RTP ticks.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Header extension: profile word and its data, a multiple of four bytes.
    pub extension: Option<(u16, &'a [u8])>,
    /// Payload without padding.
    pub payload: &'a [u8],
    csrc: &'a [u8],
}

impl<'a> RtpView<'a> {
    /// Reads a datagram as RTP, checking the version and that CSRC list, extension and padding lie inside it.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        if fixed[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let csrc_len = usize::from(fixed[0] & 0x0f) * 4;
        let (csrc, rest) = rest.split_at_checked(csrc_len).ok_or(Malformed::Truncated)?;
        let (extension, rest) = if fixed[0] & 0x10 == 0 { (None, rest) } else { split_extension(rest)? };
        let payload = if fixed[0] & 0x20 == 0 { rest } else { without_padding(rest)? };
        Ok(Self {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            extension,
            payload,
            csrc,
        })
    }

    /// Contributing sources, at most 15.
    pub fn contributing_sources(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.csrc.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]))
    }
}

type Extension<'a> = Option<(u16, &'a [u8])>;

fn split_extension(rest: &[u8]) -> Result<(Extension<'_>, &[u8]), Malformed> {
    let (head, rest) = rest.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
    let profile = u16::from_be_bytes([head[0], head[1]]);
    let len = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
    let (data, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
    Ok((Some((profile, data)), rest))
}

fn without_padding(rest: &[u8]) -> Result<&[u8], Malformed> {
    // RFC 3550 §5.1: "The last octet of the padding contains a count of how many padding octets should be ignored,
    // including itself."
    let count = usize::from(*rest.last().ok_or(Malformed::Padding)?);
    match rest.len().checked_sub(count) {
        Some(keep) if count > 0 => Ok(&rest[..keep]),
        _ => Err(Malformed::Padding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: [u8; 14] = [0x80, 0x88, 1, 2, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 7, 8];

    #[test]
    fn a_plain_packet_is_read_field_by_field() {
        let view = RtpView::parse(&PLAIN).unwrap();
        assert_eq!((view.payload_type, view.marker, view.sequence), (8, true, 0x0102));
        assert_eq!((view.timestamp, view.ssrc, view.payload), (160, 0xdead_beef, &[7u8, 8][..]));
        assert_eq!(view.extension, None);
        assert_eq!(view.contributing_sources().len(), 0);
    }

    #[test]
    fn csrc_extension_and_padding_are_taken_off_the_payload() {
        let mut packet = PLAIN[..12].to_vec();
        packet[0] = 0x80 | 0x20 | 0x10 | 1;
        packet.extend([0, 0, 0, 9]);
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.extend([42, 43, 0, 0, 3]);
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!(view.contributing_sources().collect::<Vec<_>>(), [9]);
        assert_eq!(view.extension, Some((0xbede, &[1u8, 2, 3, 4][..])));
        assert_eq!(view.payload, [42, 43]);
    }

    #[test]
    fn counts_that_reach_past_the_packet_are_refused() {
        let with = |first: u8, tail: &[u8]| {
            let mut packet = PLAIN[..12].to_vec();
            packet[0] = first;
            packet.extend(tail);
            RtpView::parse(&packet).map(|v| v.payload.len())
        };
        assert_eq!(with(0x8f, &[]), Err(Malformed::Truncated));
        assert_eq!(with(0x90, &[0xbe, 0xde, 0, 2, 1, 2, 3, 4]), Err(Malformed::Truncated));
        assert_eq!(with(0xa0, &[]), Err(Malformed::Padding));
        assert_eq!(with(0xa0, &[1, 0]), Err(Malformed::Padding));
        assert_eq!(with(0xa0, &[1, 3]), Err(Malformed::Padding));
        assert_eq!(with(0xa0, &[1, 2]), Ok(0));
        assert_eq!(with(0x40, &[1, 2]), Err(Malformed::Version));
        assert_eq!(RtpView::parse(&PLAIN[..11]), Err(Malformed::Truncated));
    }

    #[test]
    fn payload_types_64_to_95_with_marker_are_rtcp() {
        assert_eq!(classify(&[0x80, 200, 0, 6]), DatagramKind::Rtcp);
        assert_eq!(classify(&[0x80, 0, 0, 6]), DatagramKind::Rtp);
        assert_eq!(classify(&[0x80, 0x80 | 101, 0, 6]), DatagramKind::Rtp);
        assert_eq!(classify(&[0, 1, 0, 0]), DatagramKind::Other);
        assert_eq!(classify(&[0x80, 200]), DatagramKind::Other);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_the_payload_lies_inside(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(view) = RtpView::parse(&bytes) {
                prop_assert!(view.payload.len() + HEADER_LEN <= bytes.len());
            }
        }
    }
}
