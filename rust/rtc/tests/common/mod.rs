//! A room on a virtual clock: browsers played by str0m as offerers, our peers, demultiplexer and router between them,
//! and an in-memory network that loses datagrams as told.

#![allow(dead_code, missing_docs)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dialroom_rtc::{
    Certificate, Demux, ENTROPY_BYTES, IceCredentials, Line, LineDirection, MediaKind, Mid, Origin, Output, Peer,
    PeerAddress, PeerConfig, PeerEvent, PeerKey, Protocol, Route, Router, RouterOutput, RtpIn, SlotView, Source,
    TrackDescription, TrackKey, Transmit, tcp,
};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind as StrKind, Pt};
use str0m::net::{Protocol as NetProtocol, Receive, TcpType};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, VideoOrientation};
use str0m::{Candidate, Event, Input, Output as RtcOutput, Rtc, RtcConfig};

pub const SERVER: &str = "192.0.2.1:7882";
pub const DELAY: Duration = Duration::from_millis(5);

struct Datagram {
    due: Instant,
    protocol: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

pub struct Browser {
    pub name: &'static str,
    pub rtc: Rtc,
    pub key: PeerKey,
    pub address: SocketAddr,
    protocol: Protocol,
    timeout: Instant,
    pub received: Vec<RtpPacket>,
    pub keyframe_requests: usize,
    pub closed: bool,
    pub publish: Vec<Mid>,
    pub audio_slots: Vec<Mid>,
    pub video_slots: Vec<Mid>,
    seq: BTreeMap<Mid, u64>,
    framer: tcp::Framer,
}

pub struct Room {
    pub now: Instant,
    pub start: Instant,
    pub config: PeerConfig,
    pub demux: Demux,
    pub router: Router,
    pub peers: BTreeMap<PeerKey, Peer>,
    pub browsers: Vec<Browser>,
    pub slots: BTreeMap<PeerKey, Vec<SlotView>>,
    pub speaking: Vec<(String, bool)>,
    pub events: Vec<(PeerKey, PeerEvent)>,
    pub to_mixer: Vec<RtpIn>,
    pub loss_percent: u64,
    pub lost: usize,
    pub cut: bool,
    random: u64,
    network: VecDeque<Datagram>,
    entropy: u8,
    server_framers: BTreeMap<SocketAddr, tcp::Framer>,
}

pub struct Join {
    pub name: &'static str,
    pub protocol: Protocol,
    pub audio_slots: usize,
    pub video_slots: usize,
}

impl Join {
    pub fn named(name: &'static str) -> Self {
        Self { name, protocol: Protocol::Udp, audio_slots: 3, video_slots: 2 }
    }
}

impl Room {
    pub fn new() -> Self {
        let now = Instant::now();
        let mut config = PeerConfig::new(Certificate::generate().unwrap());
        config.udp = vec![SERVER.parse().unwrap()];
        config.tcp = vec![SERVER.parse().unwrap()];
        Self {
            now,
            start: now,
            config,
            demux: Demux::new(1),
            router: Router::new(),
            peers: BTreeMap::new(),
            browsers: Vec::new(),
            slots: BTreeMap::new(),
            speaking: Vec::new(),
            events: Vec::new(),
            to_mixer: Vec::new(),
            loss_percent: 0,
            lost: 0,
            cut: false,
            random: 1,
            network: VecDeque::new(),
            entropy: 0,
            server_framers: BTreeMap::new(),
        }
    }

    pub fn credentials(&mut self, key: PeerKey) -> IceCredentials {
        self.entropy += 1;
        IceCredentials::new(PeerAddress { shard: 1, peer: key }, [self.entropy; ENTROPY_BYTES])
    }

    /// A browser joins with one offer; its tracks are published as `<name>/mic`, `/cam` and `/screen`.
    pub fn join(&mut self, join: &Join) -> usize {
        let index = self.browsers.len();
        let key = PeerKey(index as u64 + 1);
        let address = SocketAddr::from(([198, 51, 100, index as u8 + 1], 5000 + index as u16));
        let (rtc, offer, pending) = offer(self.now, join, address);
        let credentials = self.credentials(key);
        let (peer, answer) = Peer::accept(self.now, &offer, credentials, &self.config).unwrap();
        let mut browser = Browser::new(join, rtc, key, address, self.now);
        browser.take_answer(pending, &answer);
        browser.read_lines(peer.lines());
        let lines = peer.lines().to_vec();
        let publish = browser.publish.clone();
        self.peers.insert(key, peer);
        self.browsers.push(browser);
        self.router.subscribe(key, join.name.into(), &lines);
        let kinds = [
            ("mic", MediaKind::Audio, Source::Microphone),
            ("cam", MediaKind::Video, Source::Camera),
            ("screen", MediaKind::Video, Source::Screen),
        ];
        for (mid, (suffix, kind, source)) in publish.into_iter().zip(kinds) {
            let track = TrackDescription {
                id: format!("{}/{suffix}", join.name).into(),
                participant: join.name.into(),
                kind,
                source,
                origin: Origin::Peer { peer: key, mid },
            };
            self.router.publish(self.now, track).unwrap();
        }
        index
    }

    pub fn join_connected(&mut self, join: &Join) -> usize {
        let index = self.join(join);
        self.run_until(Duration::from_secs(5), |room| room.is_connected(index));
        index
    }

    pub fn is_connected(&self, index: usize) -> bool {
        let browser = &self.browsers[index];
        browser.rtc.is_connected() && self.peers[&browser.key].is_connected()
    }

    pub fn publish_phone(&mut self, id: &str) -> TrackKey {
        let track = TrackDescription {
            id: id.into(),
            participant: id.into(),
            kind: MediaKind::Audio,
            source: Source::Microphone,
            origin: Origin::Injected,
        };
        self.router.publish(self.now, track).unwrap()
    }

    /// One tick of a millisecond.
    pub fn tick(&mut self) {
        self.now += Duration::from_millis(1);
        self.deliver();
        for index in 0..self.browsers.len() {
            if self.browsers[index].timeout <= self.now {
                let now = self.now;
                self.browsers[index].input(Input::Timeout(now));
            }
            self.drain_browser(index);
        }
        let keys: Vec<_> = self.peers.keys().copied().collect();
        for key in keys {
            self.drive_peer(key, true);
        }
        self.router.handle_timeout(self.now);
        self.drain_router();
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.now < end, "did not happen within {limit:?} of virtual time");
            self.tick();
        }
    }

    fn drive_peer(&mut self, key: PeerKey, timers: bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let mut ticked = !timers;
        loop {
            match peer.poll(self.now) {
                Output::Transmit(transmit) => {
                    let Transmit { protocol, source, destination, bytes } = transmit;
                    let due = self.now + DELAY;
                    self.network.push_back(Datagram { due, protocol, source, destination, bytes });
                }
                Output::Event(event) => {
                    match &event {
                        PeerEvent::RemoteAddress { protocol, address } => self.demux.learn(key, *protocol, *address),
                        PeerEvent::Rtp(packet) => {
                            self.router.handle_rtp(self.now, key, packet);
                            if packet.codec == dialroom_rtc::Codec::Opus {
                                self.to_mixer.push(packet.clone());
                            }
                            continue;
                        }
                        PeerEvent::KeyframeRequest { mid } => {
                            self.router.handle_keyframe_request(self.now, key, *mid);
                        }
                        _ => {}
                    }
                    self.events.push((key, event));
                }
                Output::Timeout(at) if at <= self.now && !ticked => {
                    ticked = true;
                    peer.handle_timeout(self.now);
                }
                Output::Timeout(_) => break,
            }
        }
    }

    pub fn drain_router(&mut self) {
        while let Some(output) = self.router.poll() {
            match output {
                RouterOutput::Write { peer, mid, packet } => {
                    if let Some(peer) = self.peers.get_mut(&peer) {
                        let _ = peer.write(self.now, mid, packet);
                    }
                }
                RouterOutput::RequestKeyframe { peer, mid } => {
                    self.peers.get_mut(&peer).unwrap().request_keyframe(self.now, mid);
                }
                RouterOutput::SlotsChanged { peer, slots } => {
                    self.slots.insert(peer, slots);
                }
                RouterOutput::Speaking { track, speaking, .. } => self.speaking.push((track.to_string(), speaking)),
            }
        }
    }

    fn drain_browser(&mut self, index: usize) {
        let now = self.now;
        for transmit in self.browsers[index].drain() {
            let protocol = if transmit.proto == NetProtocol::Tcp { Protocol::Tcp } else { Protocol::Udp };
            self.network.push_back(Datagram {
                due: now + DELAY,
                protocol,
                source: transmit.source,
                destination: transmit.destination,
                bytes: Vec::from(transmit.contents),
            });
        }
    }

    fn deliver(&mut self) {
        while self.network.front().is_some_and(|datagram| datagram.due <= self.now) {
            let datagram = self.network.pop_front().unwrap();
            if self.cut || datagram.protocol == Protocol::Udp && self.random() % 100 < self.loss_percent {
                self.lost += 1;
                continue;
            }
            match datagram.protocol {
                Protocol::Udp => self.arrive(&datagram, &datagram.bytes),
                Protocol::Tcp => self.stream(&datagram),
            }
        }
    }

    /// TCP: the packet is framed, arrives in two pieces, and is cut out again.
    fn stream(&mut self, datagram: &Datagram) {
        let mut stream = Vec::new();
        assert!(tcp::write_frame(&datagram.bytes, &mut stream));
        let framer = match self.browsers.iter_mut().find(|browser| browser.address == datagram.destination) {
            Some(browser) => &mut browser.framer,
            None => self.server_framers.entry(datagram.source).or_default(),
        };
        let (head, tail) = stream.split_at(stream.len() / 2);
        framer.push(head);
        assert_eq!(framer.next_frame(), Ok(None));
        framer.push(tail);
        let frame = framer.next_frame().unwrap().unwrap().to_vec();
        self.arrive(datagram, &frame);
    }

    fn arrive(&mut self, datagram: &Datagram, bytes: &[u8]) {
        let (now, source, destination) = (self.now, datagram.source, datagram.destination);
        if let Some(index) = self.browsers.iter().position(|browser| browser.address == destination) {
            let proto = if datagram.protocol == Protocol::Tcp { NetProtocol::Tcp } else { NetProtocol::Udp };
            if let Ok(receive) = Receive::new(proto, source, destination, bytes) {
                self.browsers[index].input(Input::Receive(now, receive));
            }
            self.drain_browser(index);
            return;
        }
        if let Route::Peer(key) = self.demux.route(datagram.protocol, source, bytes)
            && let Some(peer) = self.peers.get_mut(&key)
        {
            peer.handle_datagram(now, datagram.protocol, source, destination, bytes);
            self.drive_peer(key, false);
            self.drain_router();
        }
    }

    /// Copies of the datagrams on their way to the server.
    pub fn in_flight_to_server(&self) -> Vec<Vec<u8>> {
        let server: SocketAddr = SERVER.parse().unwrap();
        self.network.iter().filter(|datagram| datagram.destination == server).map(|d| d.bytes.clone()).collect()
    }

    /// What a browser would send now, not put on the network.
    pub fn take_datagrams_of(&mut self, index: usize) -> Vec<Vec<u8>> {
        let now = self.now;
        self.browsers[index].input(Input::Timeout(now));
        self.browsers[index].drain().into_iter().map(|transmit| Vec::from(transmit.contents)).collect()
    }

    pub fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// `frames` Opus frames of 20 ms from a browser, each with `level`, while the room runs.
    pub fn speak(&mut self, index: usize, level: i8, frames: usize) {
        for _ in 0..frames {
            self.browsers[index].send_audio(self.now, level);
            self.run(Duration::from_millis(20));
        }
    }

    pub fn view(&self, index: usize) -> &[SlotView] {
        &self.slots[&self.browsers[index].key]
    }

    pub fn slot_of(&self, index: usize, track: &str) -> Option<Mid> {
        self.view(index).iter().find(|slot| slot.track.as_deref() == Some(track)).map(|slot| slot.mid)
    }
}

/// A browser's offer: microphone, camera, screen, and receive slots.
fn offer(now: Instant, join: &Join, address: SocketAddr) -> (Rtc, String, SdpPendingOffer) {
    let mut rtc = RtcConfig::new().set_rtp_mode(true).build(now);
    let candidate = match join.protocol {
        Protocol::Udp => Candidate::builder().udp().host(address).build(),
        Protocol::Tcp => Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build(),
    };
    rtc.add_local_candidate(candidate.unwrap());
    let mut change = rtc.sdp_api();
    change.add_media(StrKind::Audio, Direction::SendOnly, None, None, None);
    change.add_media(StrKind::Video, Direction::SendOnly, None, None, None);
    change.add_media(StrKind::Video, Direction::SendOnly, None, None, None);
    for _ in 0..join.audio_slots {
        change.add_media(StrKind::Audio, Direction::RecvOnly, None, None, None);
    }
    for _ in 0..join.video_slots {
        change.add_media(StrKind::Video, Direction::RecvOnly, None, None, None);
    }
    let (offer, pending) = change.apply().unwrap();
    (rtc, offer.to_sdp_string(), pending)
}

impl Browser {
    fn new(join: &Join, rtc: Rtc, key: PeerKey, address: SocketAddr, now: Instant) -> Self {
        Self {
            name: join.name,
            rtc,
            key,
            address,
            protocol: join.protocol,
            timeout: now,
            received: Vec::new(),
            keyframe_requests: 0,
            closed: false,
            publish: Vec::new(),
            audio_slots: Vec::new(),
            video_slots: Vec::new(),
            seq: BTreeMap::new(),
            framer: tcp::Framer::new(),
        }
    }

    pub fn take_answer(&mut self, pending: SdpPendingOffer, answer: &str) {
        self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(answer).unwrap()).unwrap();
    }

    fn read_lines(&mut self, lines: &[Line]) {
        let mids = |keep: &dyn Fn(&Line) -> bool| lines.iter().filter(|line| keep(line)).map(|line| line.mid).collect();
        self.publish = mids(&|line| line.direction == LineDirection::Receive);
        self.audio_slots = mids(&|line| line.direction == LineDirection::Send && line.kind == MediaKind::Audio);
        self.video_slots = mids(&|line| line.direction == LineDirection::Send && line.kind == MediaKind::Video);
    }

    pub fn input(&mut self, input: Input<'_>) {
        if self.rtc.handle_input(input).is_err() {
            self.closed = true;
        }
    }

    fn drain(&mut self) -> Vec<str0m::net::Transmit> {
        let mut transmits = Vec::new();
        loop {
            let Ok(output) = self.rtc.poll_output() else {
                self.closed = true;
                self.timeout += Duration::from_secs(3600);
                return transmits;
            };
            match output {
                RtcOutput::Timeout(at) => {
                    self.timeout = at;
                    return transmits;
                }
                RtcOutput::Transmit(transmit) => transmits.push(transmit),
                RtcOutput::Event(Event::RtpPacket(packet)) => self.received.push(packet),
                RtcOutput::Event(Event::Closed) => self.closed = true,
                RtcOutput::Event(Event::KeyframeRequest(_)) => self.keyframe_requests += 1,
                RtcOutput::Event(_) => {}
            }
        }
    }

    fn mid(mid: Mid) -> str0m::media::Mid {
        mid.as_str().into()
    }

    fn pt(&self, codec: str0m::format::Codec) -> Pt {
        self.rtc.codec_config().find(|params| params.spec().codec == codec).unwrap().pt()
    }

    fn next(&mut self, mid: Mid) -> u64 {
        let next = self.seq.entry(mid).or_insert(1000 * self.key.0);
        *next += 1;
        *next
    }

    pub fn send_audio(&mut self, now: Instant, level: i8) {
        let mid = self.publish[0];
        let seq = self.next(mid);
        let pt = self.pt(str0m::format::Codec::Opus);
        let mut payload = vec![0x78; 80];
        payload[1..9].copy_from_slice(&seq.to_be_bytes());
        payload[9] = self.key.0 as u8;
        let extensions = ExtensionValues { audio_level: Some(level), voice_activity: Some(true), ..Default::default() };
        let packet = RtpWrite::new(pt, seq.into(), seq as u32 * 960, now, payload).ext_vals(extensions);
        self.write(now, mid, packet);
    }

    /// One VP8 frame of `packets` packets on line `line` (1 camera, 2 screen).
    pub fn send_video(&mut self, now: Instant, line: usize, frame: u32, keyframe: bool, packets: usize) {
        let mid = self.publish[line];
        let pt = self.pt(str0m::format::Codec::Vp8);
        let extensions = ExtensionValues { video_orientation: Some(VideoOrientation::Deg90), ..Default::default() };
        for part in 0..packets {
            let seq = self.next(mid);
            let payload = vp8(self.key.0 as u8, frame as u16 + 511 * self.key.0 as u16, keyframe, part == 0);
            let packet = RtpWrite::new(pt, seq.into(), frame * 3000, now, payload)
                .marker(part + 1 == packets)
                .nackable(true)
                .ext_vals(extensions.clone());
            self.write(now, mid, packet);
        }
    }

    fn write(&mut self, now: Instant, mid: Mid, packet: RtpWrite) {
        self.rtc.direct_api().stream_tx_by_mid(Self::mid(mid), None).unwrap().write_rtp(packet);
        self.timeout = now;
    }

    /// Sends a PLI for what is received on a slot.
    pub fn ask_for_keyframe(&mut self, now: Instant, mid: Mid) {
        let stream = self.rtc.direct_api().stream_rx_by_mid(Self::mid(mid), None).map(|stream| stream.ssrc());
        let ssrc = stream.expect("something was received on the slot");
        self.rtc.direct_api().stream_rx(&ssrc).unwrap().request_keyframe(KeyframeRequestKind::Pli);
        self.timeout = now;
    }

    /// Media received on one slot, in order of arrival.
    pub fn on(&self, mid: Mid) -> Vec<&RtpPacket> {
        let ours = |packet: &&RtpPacket| self.ssrc_mid(packet) == Some(mid);
        self.received.iter().filter(ours).collect()
    }

    fn ssrc_mid(&self, packet: &RtpPacket) -> Option<Mid> {
        packet.header.ext_vals.mid.map(|mid| Mid::from(&*mid)).or_else(|| {
            let known = self
                .received
                .iter()
                .find(|other| other.header.ssrc == packet.header.ssrc && other.header.ext_vals.mid.is_some())?;
            known.header.ext_vals.mid.map(|mid| Mid::from(&*mid))
        })
    }

    pub fn restart_ice(&mut self) -> (String, SdpPendingOffer) {
        let mut change = self.rtc.sdp_api();
        change.ice_restart(true);
        let (offer, pending) = change.apply().unwrap();
        (offer.to_sdp_string(), pending)
    }
}

/// VP8 payload with 15-bit PictureID, TL0PICIDX and KEYIDX, filled with the sender's mark.
pub fn vp8(mark: u8, picture: u16, keyframe: bool, first: bool) -> Vec<u8> {
    let [high, low] = (0x8000 | picture).to_be_bytes();
    let mut payload = vec![if first { 0x90 } else { 0x80 }, 0xf0, high, low, picture as u8, 0x20];
    payload.push(u8::from(!keyframe));
    payload.extend_from_slice(&[mark; 400]);
    payload
}

/// PictureID and TL0PICIDX of a payload made by [`vp8`].
pub fn picture(payload: &[u8]) -> (u16, u8) {
    (u16::from_be_bytes([payload[2] & 0x7f, payload[3]]), payload[4])
}
