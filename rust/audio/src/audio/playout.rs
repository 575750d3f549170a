//! What a leg hears: jitter buffer, decoder, concealment and comfort noise behind one `pull` per 20 ms room tick.
//!
//! Decoded sound waits in a small FIFO, so that packets of any length meet the 20 ms tick. *Slack* is how much later
//! than the fastest packet allows a packet is decoded; the delay estimator says how much of it the network's jitter
//! needs. Slack that is missing is added, and slack that is too much is taken away, in silence by whole frames; in a
//! long talk spurt an empty buffer adds it, and pitch periods are cut out to take it away. Clock drift is nothing but
//! slack that changes slowly.

use std::hint::black_box;

use super::codec::{Codec, Decoder};
use super::frame::{FRAME_MS, Frame, Rate};
use super::gate::Gate;
use super::jitter::{Content, Discards, Inserted, JitterBuffer, Next, Packet};
use super::noise::NoiseSource;
use super::opus::OpusError;
use super::plc::Concealer;
use super::{level, stretch};
use crate::rtp::cn;
use crate::rtp::view::RtpView;

/// What an RTP packet carries, by the payload type that was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Sound of the leg's codec.
    Voice,
    /// Comfort noise (RFC 3389).
    ComfortNoise,
    /// A telephone event: only its sequence number matters here.
    Event,
}

/// Where a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Decoded packets.
    Voice,
    /// At least part of it stands for packets that are missing.
    Concealed,
    /// The sender was silent: comfort noise or nothing.
    Silence,
}

/// What `pull` put into the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Loudness in −dBov.
    pub level: u8,
    /// Whether somebody speaks.
    pub active: bool,
    /// Where the sound came from.
    pub origin: Origin,
}

/// Counts of a leg's playout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlayoutStats {
    /// Frames put out.
    pub frames: u64,
    /// Frames that were concealed, at least in part.
    pub concealed: u64,
    /// Frames recovered from the copy in the packet after (Opus FEC).
    pub recovered: u64,
    /// Packets that never were played.
    pub discards: Discards,
    /// How long packets are held, ms.
    pub delay_ms: u32,
    /// How long the network's jitter asks for, ms.
    pub target_ms: u32,
}

/// Receiving side of one leg. Its fields lie in this order, what each packet and frame needs side by side, so that few
/// lines of the caches are touched.
#[derive(Debug)]
#[repr(C)]
pub struct Playout {
    codec: Codec,
    origin: Origin,
    has_spoken: bool,
    /// What the sender's comfort noise packets say.
    noise_level: Option<u8>,
    gate: Gate,
    noise: NoiseSource,
    decoder: Decoder,
    filled: usize,
    /// Samples concealed in a row because nothing came.
    starved: usize,
    /// Slack of the last two packets when they were decoded, µs. Packets that do not last whole ticks are decoded at
    /// two distances from the tick.
    slacks_us: [i64; 2],
    frames: u64,
    jitter: JitterBuffer,
    concealer: Option<Concealer>,
    fifo: Box<[i16]>,
    concealed: u64,
    recovered: u64,
}

impl Playout {
    /// Slack this far below the target is added in silence, µs: ticks are not quite punctual.
    const SHORTAGE_US: i64 = 3_000;
    /// Slack beyond the target that is taken away in silence, µs: one frame and some hysteresis.
    const SURPLUS_US: i64 = 22_000;
    /// Slack beyond the target that is taken away even while somebody speaks, and by force, µs.
    const SPEECH_SURPLUS_US: i64 = 40_000;
    const FORCED_SURPLUS_US: i64 = 100_000;

    /// The receiving side for a codec. Allocates; nothing after this does.
    pub fn new(codec: Codec) -> Result<Self, OpusError> {
        let rate = codec.rate();
        let fifo_ms = codec.max_packet_ms() + 2 * FRAME_MS;
        Ok(Self {
            codec,
            decoder: Decoder::new(codec)?,
            jitter: JitterBuffer::new(codec.rtp_clock()),
            concealer: (!codec.conceals_itself()).then(|| Concealer::new(rate)),
            noise: NoiseSource::default(),
            noise_level: None,
            has_spoken: false,
            gate: Gate::default(),
            fifo: vec![0; rate.samples(fifo_ms)].into_boxed_slice(),
            filled: 0,
            origin: Origin::Silence,
            starved: 0,
            slacks_us: [0; 2],
            frames: 0,
            concealed: 0,
            recovered: 0,
        })
    }

    /// The codec this side decodes.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Sample rate of the frames.
    pub fn rate(&self) -> Rate {
        self.codec.rate()
    }

    /// Fetches the memory that the next packet and the next [`pull`](Self::pull) need, without waiting for it.
    pub fn prefetch(&self) {
        black_box((self.codec, self.slacks_us));
        self.jitter.prefetch();
        if let Some(concealer) = &self.concealer {
            concealer.prefetch();
        }
    }

    /// Takes a packet that arrived at `arrival_us`. A payload that cannot be of this codec is refused as too long.
    pub fn insert(&mut self, view: &RtpView<'_>, carries: Carries, arrival_us: u64) -> Inserted {
        let (content, ticks) = match carries {
            Carries::Event => (Content::Event, 0),
            Carries::ComfortNoise => (Content::Noise, 0),
            Carries::Voice => match self.codec.payload_ticks(view.payload) {
                // RFC 6716 §2.1.9: at most two bytes (a table of contents and nothing) begin or continue a DTX silence.
                Some(ticks) if self.codec.conceals_itself() && view.payload.len() <= 2 => (Content::LastVoice, ticks),
                Some(ticks) => (Content::Voice, ticks),
                None => return Inserted::TooLong,
            },
        };
        let packet = Packet {
            ssrc: view.ssrc,
            sequence: view.sequence,
            timestamp: view.timestamp,
            ticks,
            content,
            payload: view.payload,
        };
        self.jitter.insert(&packet, arrival_us)
    }

    /// Fills `frame`, which must have this side's rate, with the next 20 ms. `now_us` is best the time the tick was due,
    /// which is more regular than the time it happened.
    ///
    /// # Panics
    /// When the frame has another rate.
    pub fn pull(&mut self, now_us: u64, frame: &mut Frame) -> Heard {
        assert_eq!(frame.rate(), self.rate(), "the frame's rate must be the codec's");
        let len = frame.samples().len();
        self.origin = Origin::Silence;
        if self.wants_more_slack(now_us) {
            self.noise.fill(self.background(), frame.samples_mut());
        } else {
            let whole = self.decode_whole(now_us, frame);
            if !whole || self.has_surplus() {
                if whole {
                    self.fifo[..len].copy_from_slice(frame.samples());
                    self.filled = len;
                }
                self.pull_fifo(now_us, frame);
            }
        }
        self.account(frame)
    }

    /// Most packets are a frame: decodes the next one straight into it, if nothing waits in the FIFO.
    fn decode_whole(&mut self, now_us: u64, frame: &mut Frame) -> bool {
        if self.filled > 0 {
            return false;
        }
        let Some(payload) = self.jitter.next_whole(now_us, self.codec.ticks_per_frame()) else {
            return false;
        };
        let len = frame.samples().len();
        if self.decoder.decode(payload, frame.samples_mut()) != len {
            self.conceal(len);
            return false;
        }
        self.note_packet();
        if let Some(concealer) = &mut self.concealer {
            concealer.heard(frame.samples_mut());
        }
        self.note_voice();
        true
    }

    fn pull_fifo(&mut self, now_us: u64, frame: &mut Frame) {
        let len = frame.samples().len();
        while self.filled < len {
            self.decode_next(now_us);
        }
        self.take_surplus(now_us, len);
        frame.samples_mut().copy_from_slice(&self.fifo[..len]);
        self.fifo.copy_within(len..self.filled, 0);
        self.filled -= len;
    }

    fn account(&mut self, frame: &Frame) -> Heard {
        let level = level::level(frame.samples());
        let active = self.gate.update(level);
        self.frames += 1;
        self.concealed += u64::from(self.origin == Origin::Concealed);
        Heard { level, active, origin: self.origin }
    }

    /// In silence, a frame of noise that takes no media time adds 20 ms of slack.
    fn wants_more_slack(&self, now_us: u64) -> bool {
        self.jitter.is_playing()
            && self.gate.is_pause()
            && self.filled == 0
            && self.jitter.held_us(now_us) - self.phase_us() < self.jitter.target_us() - Self::SHORTAGE_US
    }

    fn slack_us(&self) -> i64 {
        self.slacks_us[0].min(self.slacks_us[1])
    }

    /// How much earlier than the tick needs it the second packet of a tick is decoded: 10 ms when packets do not last
    /// whole ticks.
    fn phase_us(&self) -> i64 {
        if self.jitter.packet_ticks().is_multiple_of(self.codec.ticks_per_frame()) { 0 } else { 10_000 }
    }

    /// Appends what comes next in the stream to the FIFO.
    fn decode_next(&mut self, now_us: u64) {
        let frame = self.rate().frame_len();
        let Self { jitter, decoder, fifo, filled, .. } = self;
        match jitter.next(now_us) {
            Next::Voice { payload } => {
                let samples = decoder.decode(payload, &mut fifo[*filled..]);
                if samples == 0 {
                    return self.conceal(frame);
                }
                self.note_packet();
                self.append_voice(samples);
            }
            Next::Noise { payload } => self.noise_level = cn::read(payload),
            Next::Lost { ticks, following } => {
                let samples = self.codec.samples_of(ticks).clamp(1, frame * 6).min(fifo.len() - *filled);
                let recovered = match following {
                    Some(next) => decoder.decode_fec(next, &mut fifo[*filled..*filled + samples]),
                    None => 0,
                };
                if recovered == 0 {
                    return self.conceal(samples);
                }
                self.recovered += 1;
                self.append_voice(recovered);
            }
            Next::Silence { ticks } => {
                let samples = self.codec.samples_of(ticks).clamp(1, frame);
                self.keep_silent(samples);
            }
            Next::Empty { expected: true } => {
                self.jitter.pause();
                self.keep_silent(frame - self.filled);
            }
            Next::Empty { expected: false } => self.starve(now_us, frame),
        }
    }

    fn append_voice(&mut self, samples: usize) {
        let decoded = &mut self.fifo[self.filled..self.filled + samples];
        if let Some(concealer) = &mut self.concealer {
            concealer.heard(decoded);
        }
        self.filled += samples;
        self.note_voice();
    }

    /// A packet was decoded.
    fn note_packet(&mut self) {
        self.starved = 0;
        self.slacks_us = [self.jitter.last_held_us(), self.slacks_us[0]];
    }

    /// Decoded sound is played.
    fn note_voice(&mut self) {
        self.noise.reset();
        self.has_spoken = true;
        if self.origin == Origin::Silence {
            self.origin = Origin::Voice;
        }
    }

    /// Nothing came in time. What is concealed passes media time, unless slack is missing anyway: then the late packet
    /// is still played.
    fn starve(&mut self, now_us: u64, samples: usize) {
        if self.jitter.held_us(now_us) >= self.jitter.target_us() {
            self.jitter.advance(self.codec.ticks_of(samples));
        }
        self.starved += samples;
        self.conceal(samples);
        if self.starved >= self.rate().samples(Concealer::LIMIT_MS) {
            self.starved = 0;
            self.jitter.pause();
        }
    }

    fn conceal(&mut self, samples: usize) {
        let samples = samples.min(self.fifo.len() - self.filled);
        self.origin = Origin::Concealed;
        let out = &mut self.fifo[self.filled..self.filled + samples];
        match &mut self.concealer {
            Some(concealer) => concealer.conceal(out),
            None => conceal_by_codec(&mut self.decoder, out, self.codec.rate()),
        }
        self.filled += samples;
    }

    fn keep_silent(&mut self, samples: usize) {
        let samples = samples.min(self.fifo.len() - self.filled);
        let background = self.background();
        let out = &mut self.fifo[self.filled..self.filled + samples];
        self.noise.fill(background, out);
        self.filled += samples;
    }

    /// Level of comfort noise: what the sender said, else the noise heard between its words.
    fn background(&self) -> u8 {
        match self.noise_level {
            Some(level) => level,
            None if self.has_spoken => self.gate.floor(),
            None => level::SILENCE,
        }
    }

    fn surplus_us(&self) -> i64 {
        self.slack_us() - self.jitter.target_us()
    }

    /// Whether there is slack that is to be taken away now.
    fn has_surplus(&self) -> bool {
        let bearable_us = if self.gate.is_pause() { Self::SURPLUS_US } else { Self::SPEECH_SURPLUS_US };
        self.jitter.is_playing() && self.surplus_us() >= bearable_us
    }

    /// Takes away slack nobody needs, as long as a whole frame stays.
    fn take_surplus(&mut self, now_us: u64, len: usize) {
        let rate = self.rate();
        let silent = self.gate.is_pause();
        let residue = self.filled % len;
        if silent && residue > 0 && self.phase_us() == 0 {
            // What an earlier cut left over delays everything and serves nobody.
            self.filled = stretch::cut_front(&mut self.fifo[..self.filled], residue, rate);
            return;
        }
        if !self.has_surplus() {
            return;
        }
        let forced = self.surplus_us() > Self::FORCED_SURPLUS_US;
        if self.filled < 2 * len && self.jitter.stored_us() >= i64::from(FRAME_MS) * 1000 {
            self.decode_next(now_us);
        }
        if self.filled < 2 * len {
            return;
        }
        let before = self.filled;
        let pcm = &mut self.fifo[..self.filled];
        self.filled = if silent { stretch::cut_front(pcm, len, rate) } else { stretch::shorten(pcm, rate, forced) };
        if before > self.filled {
            let cut_us = (before - self.filled) as i64 * 1_000_000 / i64::from(rate.hz());
            self.slacks_us = self.slacks_us.map(|slack| slack - cut_us);
        }
    }

    /// Figures so far.
    pub fn stats(&self) -> PlayoutStats {
        let ms = |us: i64| (us.max(0) / 1000).min(i64::from(u32::MAX)) as u32;
        let ahead_us = self.filled as i64 * 1_000_000 / i64::from(self.rate().hz());
        PlayoutStats {
            frames: self.frames,
            concealed: self.concealed,
            recovered: self.recovered,
            discards: self.jitter.discards(),
            delay_ms: ms(self.slack_us() + ahead_us),
            target_ms: ms(self.jitter.target_us()),
        }
    }
}

/// libopus conceals multiples of 2.5 ms: the remainder, which only a cut frame leaves, is silence.
fn conceal_by_codec(decoder: &mut Decoder, out: &mut [i16], rate: Rate) {
    let whole = out.len() - out.len() % (rate.samples(5) / 2);
    let done = decoder.conceal(&mut out[..whole]);
    out[done..].fill(0);
}
