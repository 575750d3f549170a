//! A phone: sends a tone in its codec, decodes what it hears.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use dialroom_audio::audio::codec::{Codec, Decoder, Encoder};
use dialroom_audio::audio::frame::Rate;
use dialroom_audio::audio::opus::OpusSettings;
use dialroom_audio::rtp::rtcp::{self, RtcpItem};
use dialroom_audio::rtp::view::{DatagramKind, RtpView, classify};
use dialroom_audio::rtp::write::RtpHeader;
use dialroom_protocol::{CodecName, Direction, LegMedia, OpusParameters, TelephoneEvent};

pub const EVENT_PAYLOAD_TYPE: u8 = 101;

pub struct Phone {
    pub leg: String,
    pub frequency: f64,
    pub speaking: bool,
    pub codec_name: CodecName,
    pub ptime: u32,
    /// What its `fmtp` asks of our Opus.
    pub opus: Option<OpusParameters>,
    pub direction: Direction,
    /// Where packets come from.
    pub address: SocketAddr,
    /// Where the SDP says they come from, if that is elsewhere.
    pub said: Option<SocketAddr>,
    /// Where its signalling comes from, if the engine is told.
    pub signalling: Option<IpAddr>,
    pub server: SocketAddr,
    /// Decoded, in order of arrival.
    pub heard: Vec<i16>,
    /// Payload bytes and marker of audio packets.
    pub packets: Vec<(usize, bool, u32)>,
    /// Event codes and end bits.
    pub events: Vec<(u8, bool)>,
    pub reports: Vec<RtcpItem>,
    pub ssrc: u32,
    encoder: Encoder,
    decoder: Decoder,
    sequence: u16,
    sample: u64,
    due: Option<Instant>,
    last_sequence: Option<u16>,
}

pub fn codec(name: CodecName) -> Codec {
    match name {
        CodecName::Pcmu => Codec::Pcmu,
        CodecName::Pcma => Codec::Pcma,
        CodecName::G722 => Codec::G722,
        CodecName::Opus => Codec::Opus(Rate::Wide),
    }
}

/// Opus that does not take a steady tone for silence.
pub fn steady() -> OpusSettings {
    OpusSettings { dtx: false, ..OpusSettings::default() }
}

impl Phone {
    /// A phone with a number of its own; its tone is `frequency` Hz.
    pub fn new(number: u16, frequency: f64) -> Self {
        Self::with_codec(number, frequency, CodecName::Pcmu)
    }

    pub fn with_codec(number: u16, frequency: f64, name: CodecName) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            leg: format!("leg {number}"),
            frequency,
            speaking: true,
            codec_name: name,
            ptime: 20,
            opus: None,
            direction: Direction::SendRecv,
            address: SocketAddr::from(([198, 51, high, low], 4000)),
            said: None,
            signalling: None,
            server: SocketAddr::from(([0, 0, 0, 0], 0)),
            heard: Vec::new(),
            packets: Vec::new(),
            events: Vec::new(),
            reports: Vec::new(),
            ssrc: 0x1000 + u32::from(number),
            encoder: Encoder::new(codec(name), steady()).expect("an encoder"),
            decoder: Decoder::new(codec(name)).expect("a decoder"),
            sequence: number,
            sample: 0,
            due: None,
            last_sequence: None,
        }
    }

    pub fn ptime(mut self, ptime: u32) -> Self {
        self.ptime = ptime;
        self
    }

    pub fn asks(mut self, opus: OpusParameters) -> Self {
        self.opus = Some(opus);
        self
    }

    pub fn silent(mut self) -> Self {
        self.speaking = false;
        self
    }

    pub fn rate(&self) -> f64 {
        f64::from(codec(self.codec_name).rate().hz())
    }

    pub fn announced(&self) -> SocketAddr {
        self.said.unwrap_or(self.address)
    }

    pub fn media(&self) -> LegMedia {
        LegMedia {
            remote_address: self.announced().ip().to_string(),
            remote_rtp_port: self.announced().port(),
            remote_rtcp_port: self.announced().port() + 1,
            rtcp_mux: false,
            codec: dialroom_protocol::Codec {
                name: self.codec_name,
                payload_type: self.payload_type(),
                ptime: self.ptime,
                opus: self.opus,
            },
            telephone_event: Some(TelephoneEvent { payload_type: EVENT_PAYLOAD_TYPE, clock_rate: 8000 }),
            comfort_noise_payload_type: None,
            direction: self.direction,
        }
    }

    fn payload_type(&self) -> u8 {
        match self.codec_name {
            CodecName::Pcmu => 0,
            CodecName::Pcma => 8,
            CodecName::G722 => 9,
            CodecName::Opus => 111,
        }
    }

    pub fn owns(&self, destination: SocketAddr) -> bool {
        destination.ip() == self.address.ip() && destination.port().abs_diff(self.address.port()) <= 1
    }

    /// Changes the codec, as a re-INVITE does.
    pub fn change_codec(&mut self, name: CodecName) {
        self.codec_name = name;
        self.encoder = Encoder::new(codec(name), steady()).expect("an encoder");
        self.decoder = Decoder::new(codec(name)).expect("a decoder");
    }

    /// The packets that are due.
    pub fn speak(&mut self, now: Instant) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let due = *self.due.get_or_insert(now + Duration::from_millis(u64::from(self.ssrc) % 20));
        if now < due || self.server.port() == 0 {
            return Vec::new();
        }
        self.due = Some(due + Duration::from_millis(u64::from(self.ptime)));
        let codec = codec(self.codec_name);
        let length = codec.rate().samples(self.ptime);
        let timestamp = codec.ticks_of(self.sample as usize);
        let first = self.sample;
        self.sample += length as u64;
        if !self.speaking {
            return Vec::new();
        }
        let pcm: Vec<i16> = (first..first + length as u64)
            .map(|i| (6000.0 * (std::f64::consts::TAU * self.frequency * i as f64 / self.rate()).sin()) as i16)
            .collect();
        let mut payload = [0; 1500];
        let length = self.encoder.encode(&pcm, &mut payload);
        vec![self.packet(self.payload_type(), timestamp, &payload[..length])]
    }

    /// All packets of one key press of 100 ms, three of them its end.
    pub fn press(&mut self, event: u8) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let timestamp = codec(self.codec_name).ticks_of(self.sample as usize);
        (1..=7u16)
            .map(|i| {
                let duration = (160 * i.min(5)).to_be_bytes();
                let end = if i >= 5 { 0x80 } else { 0 };
                self.packet(EVENT_PAYLOAD_TYPE, timestamp, &[event, end | 10, duration[0], duration[1]])
            })
            .collect()
    }

    pub fn packet(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) -> (SocketAddr, SocketAddr, Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let header = RtpHeader { payload_type, marker: false, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        let mut out = vec![0; 12 + payload.len()];
        header.write_packet(payload, &mut out).expect("room for the packet");
        (self.address, self.server, out)
    }

    pub fn receive(&mut self, datagram: &[u8]) {
        if classify(datagram) == DatagramKind::Rtcp {
            rtcp::read(datagram, |item| self.reports.push(item)).expect("a report that can be read");
            return;
        }
        let view = RtpView::parse(datagram).expect("an RTP packet");
        if let Some(last) = self.last_sequence.replace(view.sequence) {
            assert_eq!(view.sequence, last.wrapping_add(1), "{}: no number is left out", self.leg);
        }
        if view.payload_type == EVENT_PAYLOAD_TYPE {
            self.events.push((view.payload[0], view.payload[1] & 0x80 != 0));
            return;
        }
        assert_eq!(view.payload_type, self.payload_type(), "{}", self.leg);
        let mut pcm = [0; 1920];
        let length = self.decoder.decode(view.payload, &mut pcm);
        self.heard.extend_from_slice(&pcm[..length]);
        self.packets.push((view.payload.len(), view.marker, view.timestamp));
    }

    /// Amplitude of a tone in what was heard.
    pub fn hears(&self, frequency: f64) -> f64 {
        super::tone_power(&self.heard, frequency, self.rate())
    }
}
