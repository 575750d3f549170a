//! ICE credentials whose ufrag says where a STUN check belongs, so that demultiplexing needs no table and no search.
//!
//! ufrag = base64(shard: 2 bytes | peer key: 8 bytes | salt: 5 bytes), 20 characters of `ice-char`. The 40 random bits
//! of salt satisfy RFC 8445 §5.3 (≥ 24); the password carries 144 (≥ 128). Nothing is trusted because of the ufrag: the
//! message integrity under the password is what authenticates a check.

use std::fmt;

use crate::types::PeerKey;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SALT_BYTES: usize = 5;
const PASSWORD_BYTES: usize = 18;
const UFRAG_BYTES: usize = 2 + 8 + SALT_BYTES;
const UFRAG_CHARS: usize = UFRAG_BYTES / 3 * 4;

/// Random bytes one set of credentials is made from.
pub const ENTROPY_BYTES: usize = SALT_BYTES + PASSWORD_BYTES;

/// Where a peer lives, as carried in its ufrag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// Shard that owns the peer.
    pub shard: u16,
    /// The peer on that shard.
    pub peer: PeerKey,
}

impl PeerAddress {
    /// Reads a ufrag made by [`IceCredentials::new`]; `None` for anything else.
    pub fn from_ufrag(ufrag: &str) -> Option<Self> {
        if ufrag.len() != UFRAG_CHARS {
            return None;
        }
        let mut bytes = [0; UFRAG_BYTES];
        for (group, chunk) in ufrag.as_bytes().chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
            let mut word = 0_u32;
            for &char in group {
                word = word << 6 | u32::from(sextet(char)?);
            }
            chunk.copy_from_slice(&word.to_be_bytes()[1..]);
        }
        let shard = u16::from_be_bytes([bytes[0], bytes[1]]);
        let peer = u64::from_be_bytes(bytes[2..10].try_into().ok()?);
        Some(Self { shard, peer: PeerKey(peer) })
    }
}

/// Our ufrag and password for one ICE session. A restart needs new ones with the same [`PeerAddress`].
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub(crate) address: PeerAddress,
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl IceCredentials {
    /// Credentials for `address`. `entropy` must come from a cryptographic generator and be used once.
    pub fn new(address: PeerAddress, entropy: [u8; ENTROPY_BYTES]) -> Self {
        let (salt, password) = entropy.split_at(SALT_BYTES);
        let mut bytes = [0; UFRAG_BYTES];
        bytes[..2].copy_from_slice(&address.shard.to_be_bytes());
        bytes[2..10].copy_from_slice(&address.peer.0.to_be_bytes());
        bytes[10..].copy_from_slice(salt);
        Self { address, ufrag: base64(&bytes), password: base64(password) }
    }

    /// The peer these belong to.
    pub fn address(&self) -> PeerAddress {
        self.address
    }

    /// The username fragment, as in the answer's `a=ice-ufrag`.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Base64 without padding; the length of `bytes` must be a multiple of three.
fn base64(bytes: &[u8]) -> String {
    debug_assert!(bytes.len().is_multiple_of(3));
    let mut text = String::with_capacity(bytes.len() / 3 * 4);
    for group in bytes.chunks_exact(3) {
        let word = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for shift in [18, 12, 6, 0] {
            text.push(char::from(ALPHABET[(word >> shift & 0x3f) as usize]));
        }
    }
    text
}

fn sextet(char: u8) -> Option<u8> {
    match char {
        b'A'..=b'Z' => Some(char - b'A'),
        b'a'..=b'z' => Some(char - b'a' + 26),
        b'0'..=b'9' => Some(char - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_ufrag_leads_back_to_its_peer(shard: u16, peer: u64, entropy: [u8; ENTROPY_BYTES]) {
            let address = PeerAddress { shard, peer: PeerKey(peer) };
            let credentials = IceCredentials::new(address, entropy);
            prop_assert_eq!(PeerAddress::from_ufrag(credentials.ufrag()), Some(address));
            prop_assert_eq!(credentials.ufrag().len(), 20);
            prop_assert_eq!(credentials.password.len(), 24);
        }

        #[test]
        fn a_foreign_ufrag_is_refused_or_read_without_panic(text in ".{0,40}") {
            let _ = PeerAddress::from_ufrag(&text);
        }
    }

    #[test]
    fn a_ufrag_of_another_length_or_alphabet_is_not_ours() {
        assert_eq!(PeerAddress::from_ufrag("MMX4"), None);
        assert_eq!(PeerAddress::from_ufrag("AAAAAAAAAAAAAAAAAAA-"), None);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let address = PeerAddress { shard: 1, peer: PeerKey(2) };
        let credentials = IceCredentials::new(address, [7; ENTROPY_BYTES]);
        let shown = format!("{credentials:?}");
        assert!(!shown.contains(&credentials.password) && !shown.contains(&credentials.ufrag));
    }
}
