//! The secret that a control plane on another machine has to know.
//!
//! It is never sent: the control plane proves that it knows it by the HMAC of a number that is drawn for each
//! connection (RFC 2104).

use std::fmt;

use aws_lc_rs::{hmac, rand};

/// Shortest secret, bytes.
pub const SHORTEST: usize = 16;
/// Keeps the proof from being of use for anything else.
const PURPOSE: &[u8] = b"dialroom control link";
const NONCE_BYTES: usize = 32;

/// A secret; it cannot be read again.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    /// None if it is too short to be worth the name.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= SHORTEST).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())))
    }

    /// Whether `proof` is the HMAC of a challenge, in hexadecimal; in constant time.
    pub fn is_known_by(&self, challenge: &str, proof: &str) -> bool {
        let message = [PURPOSE, challenge.as_bytes()].concat();
        from_hex(proof).is_some_and(|tag| hmac::verify(&self.0, &message, &tag).is_ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// A number nobody has seen before, in hexadecimal; None if the system has no randomness.
pub fn challenge() -> Option<String> {
    let mut bytes = [0; NONCE_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HMAC-SHA256 of "dialroom control link" and "00ff" under "a secret of ours", as Python has it.
    const PROOF: &str = "8283eb2f83d0ea5f23280891f21cb21fbccea2f45712e80cf51b94ec530ec733";

    #[test]
    fn only_the_hmac_of_the_challenge_proves_that_one_knows_the_secret() {
        let secret = Secret::new("a secret of ours").unwrap();
        assert!(secret.is_known_by("00ff", PROOF));
        assert!(!secret.is_known_by("00fe", PROOF));
        assert!(!Secret::new("a secret of hers").unwrap().is_known_by("00ff", PROOF));
        for wrong in ["", "00", "zz", &"é".repeat(32), &"0".repeat(64), &PROOF[..62]] {
            assert!(!secret.is_known_by("00ff", wrong));
        }
    }

    #[test]
    fn a_short_secret_is_none_and_no_secret_is_shown() {
        assert!(Secret::new("fifteen letters").is_none());
        assert_eq!(format!("{:?}", Secret::new("a secret of ours")), "Some(Secret)");
    }

    #[test]
    fn each_challenge_is_another() {
        assert_ne!(challenge().unwrap(), challenge().unwrap());
    }
}
