//! Comfort noise payload (RFC 3389).

/// Static payload type of comfort noise at 8 kHz.
pub const PAYLOAD_TYPE: u8 = 13;

/// Noise level of a comfort noise payload in −dBov (0–127).
///
/// Spectral coefficients are ignored, which RFC 3389 §4 leaves to the receiver. `None` when the payload is empty.
pub fn read(payload: &[u8]) -> Option<u8> {
    // RFC 3389 §3.1: "The most significant bit … MUST be 0" — a sender that sets it still means the lower seven bits.
    payload.first().map(|level| level & 0x7f)
}

/// Comfort noise payload of order 0 for a level in −dBov; levels above 127 are sent as 127.
pub fn payload(level: u8) -> [u8; 1] {
    [level.min(127)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_survives_the_wire_and_extra_coefficients_are_ignored() {
        assert_eq!(read(&payload(60)), Some(60));
        assert_eq!(read(&[0x80 | 40, 12, 13]), Some(40));
        assert_eq!(read(&payload(200)), Some(127));
        assert_eq!(read(&[]), None);
    }
}
