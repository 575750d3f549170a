//! RTP header into a caller's buffer.

use super::view::HEADER_LEN;

/// The fields of an outgoing RTP header without CSRC, extension and padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type, 0–127; higher bits are ignored.
    pub payload_type: u8,
    /// Marker bit: first packet of a talk spurt or event.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in RTP ticks.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// The header's twelve bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 0x80;
        bytes[1] = (self.payload_type & 0x7f) | (u8::from(self.marker) << 7);
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }

    /// Writes header and payload to the front of `out`; the packet's length, or `None` when it does not fit.
    pub fn write_packet(self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let len = HEADER_LEN + payload.len();
        let packet = out.get_mut(..len)?;
        packet[..HEADER_LEN].copy_from_slice(&self.to_bytes());
        packet[HEADER_LEN..].copy_from_slice(payload);
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::RtpView;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            payload_type in 0u8..128, marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let header = RtpHeader { payload_type, marker, sequence, timestamp, ssrc };
            let mut out = [0u8; 80];
            let len = header.write_packet(&payload, &mut out).unwrap();
            let view = RtpView::parse(&out[..len]).unwrap();
            prop_assert_eq!((view.payload_type, view.marker, view.sequence), (payload_type, marker, sequence));
            prop_assert_eq!((view.timestamp, view.ssrc, view.payload), (timestamp, ssrc, &payload[..]));
        }
    }

    #[test]
    fn a_packet_larger_than_the_buffer_is_not_written() {
        let header = RtpHeader { payload_type: 0, marker: false, sequence: 1, timestamp: 2, ssrc: 3 };
        assert_eq!(header.write_packet(&[0; 8], &mut [0; 19]), None);
    }
}
