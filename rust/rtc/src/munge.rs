//! Facts about a video payload that forwarding needs, read once per received packet: where a keyframe starts (VP8, RFC
//! 7741 §4.3; H.264, RFC 6184 §5), and the VP8 picture numbers that must go on without a break when the source changes.

use str0m::rtp::{Vp8Descriptor, Vp8Patch};

use crate::types::{Codec, MediaKind};

const NAL_TYPE: u8 = 0x1f;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;
const FU_START: u8 = 0x80;

impl Codec {
    /// Audio or video.
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::H264 => MediaKind::Video,
        }
    }

    /// RTP clock in Hz.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Vp8 | Self::H264 => 90_000,
        }
    }
}

/// What one payload tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// This packet is the first of a keyframe: a decoder can start here.
    pub starts_keyframe: bool,
    pub(crate) vp8: Option<Vp8Descriptor>,
}

impl Facts {
    /// Reads a payload. Malformed payloads yield no facts; they are forwarded as they are.
    pub fn read(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::Opus => Self::default(),
            Codec::H264 => Self { starts_keyframe: h264_starts_keyframe(payload), vp8: None },
            Codec::Vp8 => match Vp8Descriptor::parse(payload) {
                Ok(vp8) => Self { starts_keyframe: vp8.starts_keyframe(payload), vp8: Some(vp8) },
                Err(_) => Self::default(),
            },
        }
    }
}

/// True if a decoder that knows nothing can start at this H.264 packet: it holds a sequence parameter set, or is the
/// first packet of an IDR picture.
fn h264_starts_keyframe(payload: &[u8]) -> bool {
    let Some(&header) = payload.first() else {
        return false;
    };
    match header & NAL_TYPE {
        NAL_SPS | NAL_IDR => true,
        NAL_STAP_A => stap_a_starts_keyframe(&payload[1..]),
        NAL_FU_A => payload.get(1).is_some_and(|fu| fu & FU_START != 0 && fu & NAL_TYPE == NAL_IDR),
        _ => false,
    }
}

fn stap_a_starts_keyframe(mut units: &[u8]) -> bool {
    while let [high, low, unit @ ..] = units {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(&header) = unit.first().filter(|_| length > 0) else {
            return false;
        };
        if matches!(header & NAL_TYPE, NAL_SPS | NAL_IDR) {
            return true;
        }
        let Some(rest) = unit.get(length..) else {
            return false;
        };
        units = rest;
    }
    false
}

/// Replacement of VP8 picture numbers, applied while the packet is serialised.
#[derive(Debug, Clone, Copy)]
pub struct Vp8Rewrite(pub(crate) Vp8Patch);

/// Keeps PictureID (15 bits), TL0PICIDX (8) and KEYIDX (5) continuous across the sources of one slot.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vp8Numbers {
    last: Option<Numbers>,
    offset: Numbers,
}

#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    picture: u16,
    tl0: u8,
    key: u8,
}

impl Vp8Numbers {
    /// A new source starts with the packet `facts` belongs to, which begins a keyframe.
    pub fn switch_to(&mut self, facts: &Facts) {
        let (Some(vp8), Some(last)) = (facts.vp8, self.last) else {
            self.offset = Numbers::default();
            return;
        };
        self.offset = Numbers {
            picture: last.picture.wrapping_add(1).wrapping_sub(vp8.picture_id().unwrap_or(0)),
            tl0: last.tl0.wrapping_add(1).wrapping_sub(vp8.tl0_pic_idx().unwrap_or(0)),
            key: last.key.wrapping_add(1).wrapping_sub(vp8.key_idx().unwrap_or(0)),
        };
    }

    /// The replacement for one packet of the current source; `None` if nothing needs replacing.
    pub fn rewrite(&mut self, facts: &Facts) -> Option<Vp8Rewrite> {
        let vp8 = facts.vp8?;
        let out = Numbers {
            picture: vp8.picture_id().unwrap_or(0).wrapping_add(self.offset.picture) & 0x7fff,
            tl0: vp8.tl0_pic_idx().unwrap_or(0).wrapping_add(self.offset.tl0),
            key: vp8.key_idx().unwrap_or(0).wrapping_add(self.offset.key) & 0x1f,
        };
        self.note(out);
        self.patch(&vp8, out).map(Vp8Rewrite)
    }

    fn note(&mut self, out: Numbers) {
        let newer = self.last.is_none_or(|last| out.picture.wrapping_sub(last.picture) & 0x7fff < 0x4000);
        if newer {
            self.last = Some(out);
        }
    }

    fn patch(&self, vp8: &Vp8Descriptor, out: Numbers) -> Option<Vp8Patch> {
        if self.offset.picture & 0x7fff == 0 && self.offset.tl0 == 0 && self.offset.key & 0x1f == 0 {
            return None;
        }
        let fields = |picture: u16| {
            let mut patch = vp8.patch();
            if vp8.picture_id().is_some() {
                patch = patch.picture_id(picture);
            }
            if vp8.tl0_pic_idx().is_some() {
                patch = patch.tl0_pic_idx(out.tl0);
            }
            if vp8.key_idx().is_some() {
                patch = patch.key_idx(out.key);
            }
            patch.build()
        };
        // A 7-bit PictureID holds the low bits only; both ends count modulo 128 then.
        fields(out.picture).or_else(|_| fields(out.picture & 0x7f)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// VP8 payload with 15-bit PictureID, TL0PICIDX and TID|KEYIDX.
    pub(crate) fn vp8(picture: u16, tl0: u8, keyframe: bool) -> Vec<u8> {
        let [high, low] = (0x8000 | picture).to_be_bytes();
        vec![0x90, 0xf0, high, low, tl0, 0x20, u8::from(!keyframe), 0, 0]
    }

    #[test]
    fn the_first_packet_of_a_vp8_keyframe_is_recognised() {
        assert!(Facts::read(Codec::Vp8, &vp8(1, 1, true)).starts_keyframe);
        assert!(!Facts::read(Codec::Vp8, &vp8(1, 1, false)).starts_keyframe);
        assert!(!Facts::read(Codec::Vp8, &[]).starts_keyframe);
    }

    #[test]
    fn an_h264_keyframe_is_recognised_in_every_packetisation() {
        let starts = |payload: &[u8]| Facts::read(Codec::H264, payload).starts_keyframe;
        assert!(starts(&[0x67, 0x42, 0xe0, 0x1f]), "single SPS");
        assert!(starts(&[0x65, 1, 2]), "single IDR");
        assert!(starts(&[0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42]), "STAP-A with SPS second");
        assert!(starts(&[0x7c, 0x85, 1]), "first fragment of an IDR");
        assert!(!starts(&[0x7c, 0x05, 1]), "later fragment of an IDR");
        assert!(!starts(&[0x7c, 0x81, 1]), "first fragment of a P slice");
        assert!(!starts(&[0x61, 1]), "P slice");
        assert!(!starts(&[0x78, 0, 9, 0x61]), "truncated STAP-A");
        assert!(!starts(&[0x78, 0, 0, 0x67]), "empty unit in STAP-A");
    }

    #[test]
    fn picture_numbers_go_on_by_one_when_the_source_changes() {
        let mut numbers = Vp8Numbers::default();
        let first = Facts::read(Codec::Vp8, &vp8(100, 7, true));
        numbers.switch_to(&first);
        assert!(numbers.rewrite(&first).is_none());
        let other = Facts::read(Codec::Vp8, &vp8(0x7ffe, 250, true));
        numbers.switch_to(&other);
        numbers.rewrite(&other).expect("numbers differ");
        let last = numbers.last.unwrap();
        assert_eq!((last.picture, last.tl0), (101, 8));
        numbers.rewrite(&Facts::read(Codec::Vp8, &vp8(0x7fff, 251, false)));
        numbers.rewrite(&Facts::read(Codec::Vp8, &vp8(0, 252, false)));
        let last = numbers.last.unwrap();
        assert_eq!((last.picture, last.tl0), (103, 10));
    }

    #[test]
    fn a_late_packet_does_not_turn_the_numbers_back() {
        let mut numbers = Vp8Numbers::default();
        numbers.rewrite(&Facts::read(Codec::Vp8, &vp8(50, 1, true)));
        numbers.rewrite(&Facts::read(Codec::Vp8, &vp8(49, 1, false)));
        assert_eq!(numbers.last.unwrap().picture, 50);
    }

    proptest! {
        #[test]
        fn any_payload_is_read_and_rewritten_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            for codec in [Codec::Vp8, Codec::H264, Codec::Opus] {
                let facts = Facts::read(codec, &payload);
                let mut numbers = Vp8Numbers { last: Some(Numbers { picture: 9, tl0: 9, key: 9 }), offset: Numbers::default() };
                numbers.switch_to(&facts);
                let _ = numbers.rewrite(&facts);
            }
        }
    }
}
