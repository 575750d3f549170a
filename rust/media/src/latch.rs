//! Where a phone's media really comes from (symmetric RTP).
//!
//! A phone behind a NAT announces an address it does not send from. What it announced is believed at once; a stranger
//! is believed only after [`CONSISTENT_PACKETS`] packets of one stream in sequence. The first that is believed stays:
//! from then on nobody else's packets count, so that a call cannot be stolen by sending to our port. One exception:
//! the announced address, of which signalling told, takes a leg back from a stranger who was quicker.

use std::net::SocketAddr;

use arrayvec::ArrayVec;

/// Packets of one SSRC in sequence after which an unannounced source is believed.
pub const CONSISTENT_PACKETS: u8 = 3;
/// Strangers told of per leg.
pub const MAX_STRANGERS: usize = 8;
/// Packets of others after which a source that began and stopped is no candidate any more.
const MAX_RIVALS: u8 = 8;
/// Sequence numbers may be missing between consistent packets, but not more than so many.
const MAX_GAP: u16 = 16;

/// What a packet from a source means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the phone's.
    Accept,
    /// It is the phone's, and from now on only this source is.
    Latch,
    /// It may turn out to be the phone's; do not use it.
    Learning,
    /// It is a stranger's, of whom nothing was told yet.
    NewStranger,
    /// It is a stranger's.
    Stranger,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    count: u8,
    /// Packets of other sources since its last one.
    rivals: u8,
}

/// The source of one leg's media.
#[derive(Debug, Default)]
pub struct Latch {
    announced: Option<SocketAddr>,
    latched: Option<SocketAddr>,
    candidate: Option<Candidate>,
    strangers: ArrayVec<SocketAddr, MAX_STRANGERS>,
}

impl Latch {
    /// A latch that believes `announced` at once.
    pub fn new(announced: Option<SocketAddr>) -> Self {
        Self { announced, ..Self::default() }
    }

    /// Notes the announced address of a new offer or answer. Another one than before starts anew; whether it did.
    pub fn announce(&mut self, address: SocketAddr) -> bool {
        if self.announced == Some(address) {
            return false;
        }
        *self = Self::new(Some(address));
        true
    }

    /// Where to send: to the source that is believed, before that to what was announced.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.latched.or(self.announced)
    }

    /// The announced address.
    pub fn announced(&self) -> Option<SocketAddr> {
        self.announced
    }

    /// The believed source.
    pub fn latched(&self) -> Option<SocketAddr> {
        self.latched
    }

    /// Judges a valid RTP packet.
    pub fn judge(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        match self.latched {
            Some(latched) if latched == source => Verdict::Accept,
            _ if self.announced == Some(source) => self.latch(source),
            Some(_) => self.reject(source),
            None => self.learn(source, ssrc, sequence),
        }
    }

    fn latch(&mut self, source: SocketAddr) -> Verdict {
        self.latched = Some(source);
        self.candidate = None;
        Verdict::Latch
    }

    fn learn(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        let count = match &mut self.candidate {
            Some(known) if known.source == source && known.ssrc == ssrc => {
                match sequence.wrapping_sub(known.sequence) {
                    1..=MAX_GAP => known.count + 1,
                    _ => 1,
                }
            }
            // A second source must not keep the first from being learnt; it begins when the first fails or stops.
            Some(known) if known.count > 1 && known.source != source && known.rivals < MAX_RIVALS => {
                known.rivals += 1;
                return Verdict::Learning;
            }
            _ => 1,
        };
        if count >= CONSISTENT_PACKETS {
            return self.latch(source);
        }
        self.candidate = Some(Candidate { source, ssrc, sequence, count, rivals: 0 });
        Verdict::Learning
    }

    fn reject(&mut self, source: SocketAddr) -> Verdict {
        if self.strangers.contains(&source) || self.strangers.try_push(source).is_err() {
            return Verdict::Stranger;
        }
        Verdict::NewStranger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_announced_address_is_believed_with_its_first_packet() {
        let mut latch = Latch::new(Some(at(1)));
        assert_eq!(latch.judge(at(1), 7, 100), Verdict::Latch);
        assert_eq!(latch.judge(at(1), 7, 101), Verdict::Accept);
    }

    #[test]
    fn another_address_is_believed_after_three_packets_in_sequence() {
        let mut latch = Latch::new(Some(at(1)));
        assert_eq!(latch.destination(), Some(at(1)));
        assert_eq!(latch.judge(at(2), 7, 65_535), Verdict::Learning);
        assert_eq!(latch.judge(at(2), 7, 0), Verdict::Learning);
        assert_eq!(latch.judge(at(2), 7, 2), Verdict::Latch);
        assert_eq!(latch.destination(), Some(at(2)));
    }

    #[test]
    fn packets_that_do_not_belong_together_are_never_believed() {
        let mut latch = Latch::new(None);
        for i in 0..50u16 {
            assert_eq!(latch.judge(at(2), u32::from(i), i), Verdict::Learning, "each has another SSRC");
        }
        for i in 0..50u16 {
            assert_eq!(latch.judge(at(2), 1, i.wrapping_mul(1000)), Verdict::Learning, "the sequence jumps");
        }
    }

    #[test]
    fn a_latched_leg_cannot_be_stolen() {
        let mut latch = Latch::new(Some(at(1)));
        latch.judge(at(1), 7, 0);
        assert_eq!(latch.judge(at(2), 7, 1), Verdict::NewStranger);
        for sequence in 2..20 {
            assert_eq!(latch.judge(at(2), 7, sequence), Verdict::Stranger);
        }
        assert_eq!(latch.destination(), Some(at(1)));
        for port in 10..40 {
            latch.judge(at(port), 7, 1);
        }
        assert_eq!(latch.strangers.len(), MAX_STRANGERS);
    }

    #[test]
    fn who_begins_and_stops_does_not_keep_the_phone_from_being_learnt() {
        let mut latch = Latch::new(Some(at(1)));
        latch.judge(at(9), 3, 1);
        latch.judge(at(9), 3, 2);
        let verdicts: Vec<Verdict> = (0..20).map(|sequence| latch.judge(at(2), 7, sequence)).collect();
        assert!(verdicts.contains(&Verdict::Latch));
        assert_eq!(latch.latched(), Some(at(2)));
    }

    #[test]
    fn the_announced_address_takes_a_leg_back_from_a_stranger_who_was_quicker() {
        let mut latch = Latch::new(Some(at(1)));
        (0..3).for_each(|sequence| _ = latch.judge(at(66), 9, sequence));
        assert_eq!(latch.latched(), Some(at(66)));
        assert_eq!(latch.judge(at(1), 7, 0), Verdict::Latch);
        assert_eq!(latch.judge(at(66), 9, 3), Verdict::NewStranger);
        assert_eq!(latch.destination(), Some(at(1)));
    }

    #[test]
    fn a_new_announced_address_starts_anew_and_the_same_one_does_not() {
        let mut latch = Latch::new(Some(at(1)));
        latch.judge(at(1), 7, 0);
        assert!(!latch.announce(at(1)));
        assert_eq!(latch.latched(), Some(at(1)));
        assert!(latch.announce(at(3)));
        assert_eq!(latch.destination(), Some(at(3)));
        assert_eq!(latch.judge(at(3), 7, 1), Verdict::Latch);
    }
}
