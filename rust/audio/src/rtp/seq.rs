//! Sequence number arithmetic (RFC 1982 in 16 bits, RFC 3550 A.1).

/// Whether `a` comes after `b` on the 16-bit circle; the antipode counts as before.
pub fn is_newer(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000
}

/// Extends 16-bit sequence numbers to 64 bits across any number of wraps.
///
/// The first number seen lands in cycle 1, so that packets reordered in front of it still have room below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

impl SequenceExtender {
    /// Extends `sequence` to the value nearest to the highest one seen, and remembers it when it is higher.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let extended = self.peek(sequence);
        if self.highest.is_none_or(|highest| extended > highest) {
            self.highest = Some(extended);
        }
        extended
    }

    /// Like [`extend`](Self::extend), without remembering.
    pub fn peek(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return (1 << 16) | u64::from(sequence) };
        let step = sequence.wrapping_sub(highest as u16).cast_signed();
        highest.saturating_add_signed(i64::from(step))
    }

    /// The highest extended number seen.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_go_on_over_the_wrap() {
        let mut extender = SequenceExtender::default();
        let first = extender.extend(65_534);
        assert_eq!(extender.extend(65_535), first + 1);
        assert_eq!(extender.extend(1), first + 3);
        assert_eq!(extender.extend(0), first + 2);
        assert_eq!(extender.highest(), Some(first + 3));
    }

    #[test]
    fn a_number_before_the_first_one_is_lower() {
        let mut extender = SequenceExtender::default();
        let first = extender.extend(0);
        assert_eq!(extender.extend(65_535), first - 1);
    }

    proptest! {
        #[test]
        fn steps_smaller_than_half_the_circle_are_kept(start: u16, steps in prop::collection::vec(-30_000i32..30_000, 1..200)) {
            let mut extender = SequenceExtender::default();
            let mut last = extender.extend(start);
            for step in steps {
                let highest = extender.highest().unwrap();
                let target = highest.saturating_add_signed(i64::from(step));
                prop_assume!(target > 1 << 15);
                last = extender.extend(target as u16);
                prop_assert_eq!(last, target);
            }
            prop_assert!(last <= extender.highest().unwrap());
        }

        #[test]
        fn newer_is_antisymmetric(a: u16, b: u16) {
            prop_assume!(a.wrapping_sub(b) != 0x8000);
            prop_assert_eq!(is_newer(a, b), a != b && !is_newer(b, a));
        }
    }
}
