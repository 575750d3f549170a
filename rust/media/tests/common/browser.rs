//! A browser: offers a microphone, a camera and receive slots; sends an Opus tone and decodes what it receives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dialroom_audio::audio::opus::{OpusDecoder, OpusEncoder};
use dialroom_protocol::{Answer, Command, Publication, TrackSource};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::World;

pub struct Browser {
    pub peer: String,
    pub address: SocketAddr,
    pub frequency: f64,
    pub speaking: bool,
    pub microphone: String,
    pub camera: String,
    pub audio_slots: Vec<String>,
    pub video_slots: Vec<String>,
    pub connected: bool,
    /// Its network is down.
    pub cut: bool,
    pub video: HashMap<String, usize>,
    pub keyframe_requests: usize,
    /// Decoded audio per slot, 16 kHz.
    heard: HashMap<String, (OpusDecoder, Vec<i16>)>,
    mids: HashMap<u32, String>,
    rtc: Rtc,
    timeout: Instant,
    encoder: OpusEncoder,
    sequence: u64,
    sample: u64,
    due: Instant,
    frame: u32,
}

impl World {
    /// A browser joins a bridge, connects and speaks; its index.
    pub fn join(&mut self, bridge: &str, number: u8, frequency: f64) -> usize {
        self.join_as(bridge, Browser::new(self.now, number, frequency))
    }

    /// A browser joins a bridge and connects, but never says anything.
    pub fn join_silently(&mut self, bridge: &str, number: u8) -> usize {
        let mut browser = Browser::new(self.now, number, 0.0);
        browser.speaking = false;
        self.join_as(bridge, browser)
    }

    fn join_as(&mut self, bridge: &str, mut browser: Browser) -> usize {
        let (offer, pending) = browser.offer();
        let peer = browser.peer.clone();
        let answer = self.request(Command::OpenPeer {
            peer: peer.clone(),
            tag: String::new(),
            offer,
            publish: browser.publications(),
            audio_slots: browser.audio_slots.clone(),
            video_slots: browser.video_slots.clone(),
        });
        let Ok(Some(Answer::PeerOpened { answer })) = answer else {
            panic!("no peer was opened: {answer:?}");
        };
        browser.take_answer(pending, &answer);
        let participant = format!("of {peer}");
        self.perform(Command::JoinPeer { peer, bridge: bridge.into(), participant });
        let index = self.browsers.len();
        self.browsers.push(browser);
        self.run_until(|world| world.browsers[index].connected);
        index
    }
}

impl Browser {
    fn new(now: Instant, number: u8, frequency: f64) -> Self {
        let address = SocketAddr::from(([203, 0, 113, number], 5000));
        let mut rtc = RtcConfig::new().set_rtp_mode(true).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        Self {
            peer: format!("peer {number}"),
            address,
            frequency,
            speaking: true,
            microphone: String::new(),
            camera: String::new(),
            audio_slots: Vec::new(),
            video_slots: Vec::new(),
            connected: false,
            cut: false,
            video: HashMap::new(),
            keyframe_requests: 0,
            heard: HashMap::new(),
            mids: HashMap::new(),
            rtc,
            timeout: now,
            encoder: OpusEncoder::new(16_000, super::phone::steady()).expect("an encoder"),
            sequence: 1000 * u64::from(number),
            sample: 0,
            due: now,
            frame: 0,
        }
    }

    fn offer(&mut self) -> (String, SdpPendingOffer) {
        let mut change = self.rtc.sdp_api();
        let mut add = |kind, direction| change.add_media(kind, direction, None, None, None).to_string();
        self.microphone = add(MediaKind::Audio, Direction::SendOnly);
        self.camera = add(MediaKind::Video, Direction::SendOnly);
        self.audio_slots = (0..3).map(|_| add(MediaKind::Audio, Direction::RecvOnly)).collect();
        self.video_slots = (0..2).map(|_| add(MediaKind::Video, Direction::RecvOnly)).collect();
        let (offer, pending) = change.apply().expect("an offer");
        (offer.to_sdp_string(), pending)
    }

    /// An offer that restarts ICE.
    pub fn restart(&mut self) -> (String, SdpPendingOffer) {
        let mut change = self.rtc.sdp_api();
        change.ice_restart(true);
        let (offer, pending) = change.apply().expect("an offer");
        (offer.to_sdp_string(), pending)
    }

    pub fn publications(&self) -> Vec<Publication> {
        vec![
            Publication { mid: self.microphone.clone(), source: TrackSource::Microphone },
            Publication { mid: self.camera.clone(), source: TrackSource::Camera },
        ]
    }

    pub fn take_answer(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("an answer that can be read");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an answer that can be taken");
    }

    pub fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if let Ok(receive) = Receive::new(Protocol::Udp, source, self.address, datagram) {
            self.rtc.handle_input(Input::Receive(now, receive)).expect("a datagram that can be taken");
            self.timeout = now;
        }
    }

    pub fn drive(&mut self, now: Instant) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        if self.connected && now >= self.due {
            self.due += Duration::from_millis(20);
            self.speak(now);
        }
        if self.timeout <= now {
            self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        }
        let mut sent = Vec::new();
        loop {
            match self.rtc.poll_output().expect("a connection that works") {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return sent;
                }
                Output::Transmit(transmit) => {
                    sent.push((transmit.source, transmit.destination, Vec::from(transmit.contents)));
                }
                Output::Event(Event::Connected) => {
                    self.connected = true;
                    self.due = now;
                }
                Output::Event(Event::RtpPacket(packet)) => self.hear(&packet),
                Output::Event(Event::KeyframeRequest(_)) => self.keyframe_requests += 1,
                Output::Event(_) => {}
            }
        }
    }

    fn speak(&mut self, now: Instant) {
        let first = self.sample;
        self.sample += 320;
        self.sequence += 1;
        if !self.speaking {
            return;
        }
        let pcm: Vec<i16> = (first..first + 320)
            .map(|i| (6000.0 * (std::f64::consts::TAU * self.frequency * i as f64 / 16_000.0).sin()) as i16)
            .collect();
        let mut payload = vec![0; 1275];
        let length = self.encoder.encode(&pcm, &mut payload).expect("a packet");
        payload.truncate(length);
        let extensions = ExtensionValues { audio_level: Some(-17), voice_activity: Some(true), ..Default::default() };
        self.write(now, &self.microphone.clone(), Codec::Opus, first as u32 * 3, true, payload, extensions);
    }

    /// One VP8 frame in one packet.
    pub fn show(&mut self, now: Instant, keyframe: bool) {
        self.frame += 1;
        let [high, low] = (0x8000 | self.frame as u16).to_be_bytes();
        let mut payload = vec![0x90, 0xf0, high, low, self.frame as u8, 0x20, u8::from(!keyframe)];
        payload.extend_from_slice(&[7; 300]);
        let extensions = ExtensionValues::default();
        self.sequence += 1;
        self.write(now, &self.camera.clone(), Codec::Vp8, self.frame * 3000, true, payload, extensions);
    }

    #[allow(clippy::too_many_arguments)]
    fn write(
        &mut self,
        now: Instant,
        mid: &str,
        codec: Codec,
        timestamp: u32,
        marker: bool,
        payload: Vec<u8>,
        extensions: ExtensionValues,
    ) {
        let pt = self.rtc.codec_config().find(|params| params.spec().codec == codec).expect("the codec").pt();
        let packet = RtpWrite::new(pt, self.sequence.into(), timestamp, now, payload);
        let stream = self.rtc.direct_api();
        let mut stream = stream;
        let stream = stream.stream_tx_by_mid(Mid::from(mid), None).expect("the line");
        stream.write_rtp(packet.marker(marker).ext_vals(extensions));
        self.timeout = now;
    }

    fn hear(&mut self, packet: &RtpPacket) {
        if let Some(mid) = packet.header.ext_vals.mid {
            self.mids.insert(*packet.header.ssrc, mid.to_string());
        }
        let mid = self.mids.get(&packet.header.ssrc).cloned().unwrap_or_default();
        if self.video_slots.contains(&mid) {
            *self.video.entry(mid).or_default() += 1;
            return;
        }
        let (decoder, pcm) =
            self.heard.entry(mid).or_insert_with(|| (OpusDecoder::new(16_000).expect("a decoder"), Vec::new()));
        let mut out = [0; 1920];
        let length = decoder.decode(&packet.payload, &mut out).expect("Opus");
        pcm.extend_from_slice(&out[..length]);
    }

    pub fn forget(&mut self) {
        self.heard.values_mut().for_each(|(_, pcm)| pcm.clear());
        self.video.clear();
    }

    /// Amplitude of a tone in the slot where it is loudest.
    pub fn hears(&self, frequency: f64) -> f64 {
        let slots = self.heard.values().map(|(_, pcm)| super::tone_power(pcm, frequency, 16_000.0));
        slots.fold(0.0, f64::max)
    }

    /// Samples heard in all slots.
    pub fn heard_samples(&self) -> usize {
        self.heard.values().map(|(_, pcm)| pcm.len()).sum()
    }
}
