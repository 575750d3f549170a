//! From 20 ms frames to the packets that were negotiated.

use arrayvec::ArrayVec;
use dialroom_audio::audio::codec::{Codec, Encoder, MAX_ENCODED};
use dialroom_audio::audio::frame::{FRAME_MS, Frame};
use dialroom_audio::audio::opus::{OpusError, OpusSettings};

/// Packets that one frame can complete: two of 10 ms.
const MAX_PACKETS: usize = 2;

/// Encodes frames into packets of one duration.
#[derive(Debug)]
pub struct Packetizer {
    codec: Codec,
    encoder: Encoder,
    samples_per_packet: usize,
    /// Samples that wait for a packet to become full; unused while a packet is a frame.
    pcm: Vec<i16>,
    bytes: Vec<u8>,
    packets: ArrayVec<(usize, usize), MAX_PACKETS>,
}

/// The packet duration nearest to `ptime` that the codec can send, ms.
pub fn packet_duration(codec: Codec, ptime: u32) -> u32 {
    let ptime = (ptime / 10 * 10).clamp(10, 60);
    match (codec, ptime) {
        // RFC 6716 §2.1.4: Opus frames last 10, 20, 40 or 60 ms.
        (Codec::Opus(_), 30) => 20,
        (Codec::Opus(_), 50) => 40,
        _ => ptime,
    }
}

impl Packetizer {
    /// A packetizer for packets of `ptime` ms. Allocates; nothing after this does.
    pub fn new(codec: Codec, ptime: u32, settings: OpusSettings) -> Result<Self, OpusError> {
        let duration = packet_duration(codec, ptime);
        let waiting = if duration == FRAME_MS { 0 } else { codec.rate().samples(duration + FRAME_MS) };
        let packet_bytes = match codec {
            Codec::Opus(_) => MAX_ENCODED,
            _ => codec.rate().samples(duration),
        };
        Ok(Self {
            codec,
            encoder: Encoder::new(codec, settings)?,
            samples_per_packet: codec.rate().samples(duration),
            pcm: Vec::with_capacity(waiting),
            bytes: vec![0; packet_bytes * MAX_PACKETS],
            packets: ArrayVec::new(),
        })
    }

    /// Changes how the next frames are encoded.
    pub fn configure(&mut self, settings: OpusSettings) -> Result<(), OpusError> {
        self.encoder.configure(settings)
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// RTP ticks of a packet.
    pub fn packet_ticks(&self) -> u32 {
        self.codec.ticks_of(self.samples_per_packet)
    }

    /// RTP ticks of the samples that wait.
    pub fn waiting_ticks(&self) -> u32 {
        self.codec.ticks_of(self.pcm.len())
    }

    /// Takes the next frame, which must have the codec's rate; see [`Self::packets`] for what it completed.
    pub fn push(&mut self, frame: &Frame) {
        self.packets.clear();
        if self.samples_per_packet == frame.samples().len() {
            let length = self.encoder.encode(frame.samples(), &mut self.bytes);
            self.packets.push((0, length));
            return;
        }
        self.pcm.extend_from_slice(frame.samples());
        let (mut taken, mut written) = (0, 0);
        while self.pcm.len() - taken >= self.samples_per_packet && !self.packets.is_full() {
            let pcm = &self.pcm[taken..taken + self.samples_per_packet];
            let length = self.encoder.encode(pcm, &mut self.bytes[written..]);
            self.packets.push((written, length));
            taken += self.samples_per_packet;
            written += length;
        }
        self.pcm.drain(..taken);
    }

    /// The packets that the last frame completed; an empty one need not be sent (DTX), but its time passes.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().map(|(start, length)| &self.bytes[*start..*start + *length])
    }

    /// Goes on where another packetizer of the same shape stands, so that no sample is told twice or left out.
    pub fn resume_from(&mut self, other: &Self) {
        if other.samples_per_packet == self.samples_per_packet {
            self.pcm.clear();
            self.pcm.extend_from_slice(&other.pcm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialroom_audio::audio::frame::Rate;

    #[test]
    fn every_duration_comes_out_even_over_time() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus(Rate::Wide)] {
            for ptime in [10, 20, 30, 40, 50, 60] {
                let mut packetizer = Packetizer::new(codec, ptime, OpusSettings::default()).unwrap();
                let frame = Frame::silent(codec.rate());
                let mut ticks = 0;
                for _ in 0..60 {
                    packetizer.push(&frame);
                    ticks += packetizer.packets().count() as u32 * packetizer.packet_ticks();
                }
                assert_eq!(ticks, 60 * codec.ticks_per_frame(), "{codec:?} {ptime} ms");
                assert_eq!(packetizer.waiting_ticks(), 0);
            }
        }
    }

    #[test]
    fn a_g711_packet_has_eight_bytes_per_millisecond() {
        for (ptime, bytes) in [(10, 80), (20, 160), (30, 240), (60, 480)] {
            let mut packetizer = Packetizer::new(Codec::Pcmu, ptime, OpusSettings::default()).unwrap();
            let mut lengths = Vec::new();
            for _ in 0..3 {
                packetizer.push(&Frame::silent(Rate::Narrow));
                lengths.extend(packetizer.packets().map(<[u8]>::len));
            }
            assert!(lengths.iter().all(|l| *l == bytes) && !lengths.is_empty(), "{lengths:?}");
        }
    }

    #[test]
    fn odd_durations_become_the_nearest_possible() {
        assert_eq!(packet_duration(Codec::Pcmu, 5), 10);
        assert_eq!(packet_duration(Codec::Pcmu, 25), 20);
        assert_eq!(packet_duration(Codec::Pcmu, 200), 60);
        assert_eq!(packet_duration(Codec::Opus(Rate::Wide), 30), 20);
    }
}
