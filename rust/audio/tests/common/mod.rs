//! A phone, a network and a listener in virtual time.
#![allow(dead_code)]

use dialroom_audio::audio::codec::{Codec, Encoder};
use dialroom_audio::audio::frame::{FRAME_US, Frame};
use dialroom_audio::audio::opus::OpusSettings;
use dialroom_audio::audio::playout::{Carries, Heard, Playout};
use dialroom_audio::rtp::view::RtpView;
use dialroom_audio::rtp::write::RtpHeader;

/// Seeded pseudo-random numbers.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A packet on its way.
#[derive(Clone)]
pub struct Sent {
    pub arrival_us: u64,
    pub carries: Carries,
    pub bytes: Vec<u8>,
}

/// A telephone that sends what `source` gives it, by sample index.
pub struct Phone {
    pub codec: Codec,
    pub ptime_ms: u32,
    pub header: RtpHeader,
    encoder: Encoder,
    sample: usize,
    clock_us: f64,
    drift: f64,
}

impl Phone {
    pub fn new(codec: Codec, ptime_ms: u32) -> Self {
        let settings = OpusSettings { dtx: false, ..OpusSettings::default() };
        Self::with_settings(codec, ptime_ms, settings)
    }

    pub fn with_settings(codec: Codec, ptime_ms: u32, settings: OpusSettings) -> Self {
        let header =
            RtpHeader { payload_type: 0, marker: false, sequence: 65_500, timestamp: u32::MAX - 5000, ssrc: 7 };
        let encoder = Encoder::new(codec, settings).unwrap();
        Self { codec, ptime_ms, header, encoder, sample: 0, clock_us: 0.0, drift: 1.0 }
    }

    /// A clock that runs so many parts per million fast.
    pub fn drifting(mut self, ppm: f64) -> Self {
        self.drift = 1.0 / (1.0 + ppm * 1e-6);
        self
    }

    /// The next packet, leaving at its own time.
    pub fn packet(&mut self, source: impl Fn(usize) -> i16) -> Sent {
        let samples = self.codec.rate().samples(self.ptime_ms);
        let pcm: Vec<i16> = (self.sample..self.sample + samples).map(source).collect();
        let mut payload = [0; 1275];
        let len = self.encoder.encode(&pcm, &mut payload);
        let sent = self.emit(Carries::Voice, &payload[..len]);
        self.pass(samples);
        sent
    }

    /// A packet with a payload of one's own, without passing time.
    pub fn emit(&mut self, carries: Carries, payload: &[u8]) -> Sent {
        let mut bytes = vec![0; payload.len() + 12];
        self.header.write_packet(payload, &mut bytes).unwrap();
        self.header.sequence = self.header.sequence.wrapping_add(1);
        Sent { arrival_us: self.clock_us as u64, carries, bytes }
    }

    /// Says nothing for a packet's time.
    pub fn pause(&mut self) {
        self.pass(self.codec.rate().samples(self.ptime_ms));
    }

    fn pass(&mut self, samples: usize) {
        self.sample += samples;
        self.header.timestamp = self.header.timestamp.wrapping_add(self.codec.ticks_of(samples));
        self.clock_us += f64::from(self.ptime_ms) * 1000.0 * self.drift;
    }
}

/// What a listener heard.
#[derive(Default)]
pub struct Heardlog {
    pub pcm: Vec<i16>,
    pub frames: Vec<Heard>,
    pub delays_ms: Vec<u32>,
}

impl Heardlog {
    pub fn concealed(&self) -> usize {
        self.frames.iter().filter(|h| h.origin == dialroom_audio::audio::playout::Origin::Concealed).count()
    }

    /// The steepest step between samples from a frame on.
    pub fn steepest_after(&self, frame: usize) -> u16 {
        let len = self.pcm.len() / self.frames.len().max(1);
        self.pcm[frame * len..].windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap_or(0)
    }
}

/// Pulls a frame every 20 ms, `phase_us` after the phone's packets leave, until the last packet has arrived.
pub fn listen(playout: &mut Playout, mut packets: Vec<Sent>, phase_us: u64) -> Heardlog {
    packets.sort_by_key(|packet| packet.arrival_us);
    let end = packets.last().map_or(0, |packet| packet.arrival_us);
    let mut packets = packets.into_iter().peekable();
    let mut frame = Frame::silent(playout.rate());
    let mut log = Heardlog::default();
    let mut now_us = phase_us;
    while now_us <= end {
        while let Some(packet) = packets.next_if(|packet| packet.arrival_us <= now_us) {
            let view = RtpView::parse(&packet.bytes).unwrap();
            playout.insert(&view, packet.carries, packet.arrival_us);
        }
        log.frames.push(playout.pull(now_us, &mut frame));
        log.pcm.extend_from_slice(frame.samples());
        log.delays_ms.push(playout.stats().delay_ms);
        now_us += FRAME_US;
    }
    log
}

/// A steady 400 Hz tone.
pub fn tone(hz: u32) -> impl Fn(usize) -> i16 {
    move |i| ((i as f64 * 400.0 / f64::from(hz) * std::f64::consts::TAU).sin() * 8000.0) as i16
}

/// Syllables of 300 ms with pauses of 200 ms: harmonics of 140 Hz.
pub fn speech(hz: u32) -> impl Fn(usize) -> i16 {
    move |i| {
        let t = i as f64 / f64::from(hz);
        let in_syllable = t % 0.5;
        if in_syllable > 0.3 {
            return 0;
        }
        let envelope = (in_syllable / 0.3 * std::f64::consts::PI).sin();
        let voice: f64 = (1..10).map(|h| (t * 140.0 * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h)).sum();
        (voice * envelope * 6000.0) as i16
    }
}
