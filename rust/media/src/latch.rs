//! Where a phone's media really comes from (symmetric RTP).
//!
//! A phone behind a NAT announces an address it does not send from. Three kinds of sources, by how far they are trusted:
//!
//! 1. the announced address and port, of which signalling told: a carrier whose media has addresses of its own;
//! 2. another port at the announced address, or any at the address that the signalling comes from: a phone behind a NAT;
//! 3. any other: a stranger, or a phone whose NAT has several public addresses.
//!
//! The first two are believed with their first packet. The third only after [`CONSISTENT_PACKETS`] packets of one
//! stream in sequence, and after [`FOREIGN_PACKETS`] where the address of the signalling is known, because the phone's
//! own media nearly always comes sooner. Who is believed stays: from then on nobody else's packets count, so that a
//! call cannot be stolen by sending to our port. Only a source that is trusted further takes a leg back from one that
//! was quicker.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

/// Packets of one SSRC in sequence after which a foreign source is believed, if only the announced address is known.
pub const CONSISTENT_PACKETS: u8 = 3;
/// The same where the address of the signalling is known too: half a second of voice.
pub const FOREIGN_PACKETS: u8 = 25;
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

/// How far a source is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    Foreign,
    Expected,
    Announced,
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
    signalling: Option<IpAddr>,
    latched: Option<SocketAddr>,
    /// Where it came from before a new address was announced: packets on their way say nothing about the new one.
    former: Option<SocketAddr>,
    candidate: Option<Candidate>,
    strangers: ArrayVec<SocketAddr, MAX_STRANGERS>,
}

impl Latch {
    /// A latch that believes `announced`, and what comes from the host the `signalling` comes from, at once.
    pub fn new(announced: Option<SocketAddr>, signalling: Option<IpAddr>) -> Self {
        Self { announced, signalling, ..Self::default() }
    }

    /// Notes the announced address of a new offer or answer. Another one than before starts anew; whether it did.
    pub fn announce(&mut self, address: SocketAddr) -> bool {
        if self.announced == Some(address) {
            return false;
        }
        *self = Self { former: self.latched, ..Self::new(Some(address), self.signalling) };
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

    /// Whether the believed source is a foreign one, from which the phone may still take the leg back.
    pub fn is_doubtful(&self) -> bool {
        self.signalling.is_some() && self.latched.is_some_and(|latched| self.trust(latched) == Trust::Foreign)
    }

    /// Judges a valid RTP packet.
    pub fn judge(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        if self.latched == Some(source) {
            return Verdict::Accept;
        }
        let trust = self.trust(source);
        match self.latched {
            Some(latched) if trust <= self.trust(latched) => self.reject(source),
            _ if trust > Trust::Foreign => self.latch(source),
            _ => self.learn(source, ssrc, sequence),
        }
    }

    fn trust(&self, source: SocketAddr) -> Trust {
        let announced = self.announced.map(|address| address.ip());
        if self.announced == Some(source) {
            Trust::Announced
        } else if self.former != Some(source) && [announced, self.signalling].contains(&Some(source.ip())) {
            Trust::Expected
        } else {
            Trust::Foreign
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
        let needed = if self.signalling.is_some() { FOREIGN_PACKETS } else { CONSISTENT_PACKETS };
        if count >= needed {
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

    fn abroad(port: u16) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 66], port))
    }

    /// A phone behind a NAT: it announces a private address and signals from 203.0.113.5.
    fn behind_nat() -> (Latch, SocketAddr) {
        let nat = SocketAddr::from(([203, 0, 113, 5], 61_000));
        (Latch::new(Some(SocketAddr::from(([192, 168, 1, 7], 4000))), Some(nat.ip())), nat)
    }

    fn spray(latch: &mut Latch, source: SocketAddr, packets: u8) -> Vec<Verdict> {
        (0..packets).map(|sequence| latch.judge(source, 9, u16::from(sequence))).collect()
    }

    #[test]
    fn the_announced_address_is_believed_with_its_first_packet() {
        let mut latch = Latch::new(Some(at(1)), None);
        assert_eq!(latch.judge(at(1), 7, 100), Verdict::Latch);
        assert_eq!(latch.judge(at(1), 7, 101), Verdict::Accept);
    }

    #[test]
    fn another_address_is_believed_after_three_packets_in_sequence() {
        let mut latch = Latch::new(Some(at(1)), None);
        assert_eq!(latch.destination(), Some(at(1)));
        assert_eq!(latch.judge(abroad(2), 7, 65_535), Verdict::Learning);
        assert_eq!(latch.judge(abroad(2), 7, 0), Verdict::Learning);
        assert_eq!(latch.judge(abroad(2), 7, 2), Verdict::Latch);
        assert_eq!(latch.destination(), Some(abroad(2)));
    }

    #[test]
    fn another_port_of_the_announced_host_is_believed_with_its_first_packet() {
        let mut latch = Latch::new(Some(at(1)), None);
        assert_eq!(latch.judge(at(2), 7, 0), Verdict::Latch);
    }

    #[test]
    fn a_phone_behind_a_nat_is_believed_with_its_first_packet_and_a_strangers_few_packets_before_it_are_not() {
        let (mut latch, nat) = behind_nat();
        assert!(spray(&mut latch, abroad(2), FOREIGN_PACKETS - 1).iter().all(|verdict| *verdict == Verdict::Learning));
        assert_eq!(latch.judge(nat, 7, 0), Verdict::Latch);
        assert_eq!(latch.judge(abroad(2), 9, u16::from(FOREIGN_PACKETS)), Verdict::NewStranger);
        assert!(!latch.is_doubtful());
    }

    #[test]
    fn a_phone_behind_a_nat_takes_its_leg_back_from_a_stranger_who_was_quicker_and_nobody_takes_it_again() {
        let (mut latch, nat) = behind_nat();
        assert_eq!(spray(&mut latch, abroad(2), FOREIGN_PACKETS).last(), Some(&Verdict::Latch));
        assert!(latch.is_doubtful());
        assert_eq!(latch.judge(nat, 7, 0), Verdict::Latch);
        let beside = SocketAddr::new(nat.ip(), 61_001);
        assert_eq!(latch.judge(beside, 8, 0), Verdict::NewStranger, "somebody else behind the same NAT");
        assert_eq!(latch.destination(), Some(nat));
    }

    #[test]
    fn a_phone_whose_nat_has_several_addresses_is_believed_in_the_end() {
        let (mut latch, nat) = behind_nat();
        let pool = SocketAddr::from(([203, 0, 113, 77], 5000));
        assert_eq!(spray(&mut latch, pool, FOREIGN_PACKETS).last(), Some(&Verdict::Latch));
        assert_eq!(latch.destination(), Some(pool));
        assert_ne!(pool.ip(), nat.ip());
    }

    #[test]
    fn a_carriers_media_address_is_believed_before_that_of_its_signalling() {
        let signalling = SocketAddr::from(([203, 0, 113, 5], 7000));
        let mut latch = Latch::new(Some(at(1)), Some(signalling.ip()));
        assert_eq!(latch.judge(signalling, 9, 0), Verdict::Latch);
        assert_eq!(latch.judge(at(1), 7, 0), Verdict::Latch);
        assert_eq!(latch.judge(signalling, 9, 1), Verdict::NewStranger);
    }

    #[test]
    fn packets_that_were_on_their_way_when_a_new_address_was_announced_do_not_hold_the_leg_at_the_old_one() {
        let (mut latch, nat) = behind_nat();
        latch.judge(nat, 7, 0);
        assert!(latch.announce(SocketAddr::from(([192, 168, 1, 7], 4600))));
        assert_eq!(latch.judge(nat, 7, 1), Verdict::Learning);
        assert_eq!(latch.judge(SocketAddr::new(nat.ip(), 62_000), 8, 0), Verdict::Latch);
        assert_eq!(latch.judge(nat, 7, 2), Verdict::NewStranger);
    }

    #[test]
    fn a_phone_that_announces_another_address_but_goes_on_sending_from_the_same_one_is_believed_again() {
        let (mut latch, nat) = behind_nat();
        latch.judge(nat, 7, 0);
        latch.announce(at(1));
        assert_eq!(spray(&mut latch, nat, FOREIGN_PACKETS).last(), Some(&Verdict::Latch));
    }

    #[test]
    fn packets_that_do_not_belong_together_are_never_believed() {
        let mut latch = Latch::new(None, None);
        for i in 0..50u16 {
            assert_eq!(latch.judge(at(2), u32::from(i), i), Verdict::Learning, "each has another SSRC");
        }
        for i in 0..50u16 {
            assert_eq!(latch.judge(at(2), 1, i.wrapping_mul(1000)), Verdict::Learning, "the sequence jumps");
        }
    }

    #[test]
    fn a_latched_leg_cannot_be_stolen() {
        let mut latch = Latch::new(Some(at(1)), None);
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
        let mut latch = Latch::new(Some(at(1)), None);
        latch.judge(abroad(9), 3, 1);
        latch.judge(abroad(9), 3, 2);
        let verdicts: Vec<Verdict> = (0..20).map(|sequence| latch.judge(abroad(2), 7, sequence)).collect();
        assert!(verdicts.contains(&Verdict::Latch));
        assert_eq!(latch.latched(), Some(abroad(2)));
    }

    #[test]
    fn the_announced_address_takes_a_leg_back_from_a_stranger_who_was_quicker() {
        let mut latch = Latch::new(Some(at(1)), None);
        (0..3).for_each(|sequence| _ = latch.judge(abroad(66), 9, sequence));
        assert_eq!(latch.latched(), Some(abroad(66)));
        assert_eq!(latch.judge(at(1), 7, 0), Verdict::Latch);
        assert_eq!(latch.judge(abroad(66), 9, 3), Verdict::NewStranger);
        assert_eq!(latch.destination(), Some(at(1)));
    }

    #[test]
    fn a_new_announced_address_starts_anew_and_the_same_one_does_not() {
        let mut latch = Latch::new(Some(at(1)), None);
        latch.judge(at(1), 7, 0);
        assert!(!latch.announce(at(1)));
        assert_eq!(latch.latched(), Some(at(1)));
        assert!(latch.announce(at(3)));
        assert_eq!(latch.destination(), Some(at(3)));
        assert_eq!(latch.judge(at(3), 7, 1), Verdict::Latch);
    }
}
