//! A virtual world: the engine, phones and browsers, and an in-memory network that delays and loses as told.

#![allow(dead_code, missing_docs)]

pub mod browser;
pub mod phone;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dialroom_media::outbox::Tap;
use dialroom_media::{PortId, PortOpener, PortPair, Shard, ShardConfig, Socket, Token};
use dialroom_protocol::{Answer, Command, Event, LegMedia, Refusal, Statistics};
use dialroom_rtc::{Certificate, PeerConfig, Protocol};

use browser::Browser;
use phone::Phone;

pub const SERVER: [u8; 4] = [192, 0, 2, 1];
pub const WEB_PORT: u16 = 7882;
const FIRST_PORT: u16 = 20_000;
const DELAY: Duration = Duration::from_millis(5);

/// Opens ports without a system.
#[derive(Default)]
pub struct SimPorts {
    pub opened: u16,
}

impl PortOpener for SimPorts {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        self.opened = self.opened.max(id.0 + 1);
        Some(PortPair { rtp: FIRST_PORT + 2 * id.0, rtcp: FIRST_PORT + 2 * id.0 + 1 })
    }
}

struct Datagram {
    due: Instant,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

pub struct World {
    pub now: Instant,
    pub shard: Shard,
    pub ports: SimPorts,
    pub phones: Vec<Phone>,
    pub browsers: Vec<Browser>,
    pub events: Vec<Event>,
    pub taps: Vec<Tap>,
    /// Share of phones' packets that get lost on their way to us, percent.
    pub loss_percent: u64,
    random: u64,
    network: VecDeque<Datagram>,
}

impl World {
    pub fn new() -> Self {
        let now = Instant::now();
        let mut peers = PeerConfig::new(Certificate::generate().expect("a certificate"));
        peers.udp = vec![SocketAddr::from((SERVER, WEB_PORT))];
        peers.disconnect_grace = Duration::from_secs(600);
        let mut seed = 0u8;
        let config = ShardConfig {
            addresses: vec![SERVER.into()],
            peers,
            cname: "test".into(),
            unix: Duration::from_secs(1_700_000_000),
            entropy: Box::new(move |bytes| {
                for byte in bytes {
                    seed = seed.wrapping_mul(167).wrapping_add(13);
                    *byte = seed;
                }
            }),
        };
        Self {
            now,
            shard: Shard::new(config, now),
            ports: SimPorts::default(),
            phones: Vec::new(),
            browsers: Vec::new(),
            events: Vec::new(),
            taps: Vec::new(),
            loss_percent: 0,
            random: 1,
            network: VecDeque::new(),
        }
    }

    pub fn request(&mut self, command: Command) -> Result<Option<Answer>, Refusal> {
        let token = Token { connection: 0, request: 0 };
        let answer = self.shard.command(self.now, token, command, &mut self.ports);
        self.flush();
        match answer {
            Some(Answer::Refused(refusal)) => Err(refusal),
            answer => Ok(answer),
        }
    }

    pub fn perform(&mut self, command: Command) {
        self.request(command).expect("a command that is carried out");
    }

    pub fn open_bridge(&mut self, bridge: &str) {
        self.perform(Command::OpenBridge { bridge: bridge.into(), tag: String::new() });
    }

    /// Puts a phone on the line, speaking; its index.
    pub fn call(&mut self, phone: Phone) -> usize {
        let index = self.phones.len();
        let leg = phone.leg.clone();
        let announced = phone.announced();
        let answer = self.request(Command::OpenLeg {
            leg: leg.clone(),
            tag: String::new(),
            remote_address: Some(announced.ip().to_string()),
            remote_rtp_port: Some(announced.port()),
            signalling_address: phone.signalling.map(|address| address.to_string()),
        });
        let Ok(Some(Answer::LegOpened { rtp_port, .. })) = answer else {
            panic!("no leg was opened: {answer:?}");
        };
        let media = phone.media();
        self.phones.push(phone);
        self.phones[index].server = SocketAddr::from((SERVER, rtp_port));
        self.configure(&leg, media);
        index
    }

    pub fn configure(&mut self, leg: &str, media: LegMedia) {
        self.perform(Command::ConfigureLeg { leg: leg.into(), media });
    }

    /// Puts a phone on the line and into a bridge.
    pub fn call_into(&mut self, bridge: &str, phone: Phone) -> usize {
        let index = self.call(phone);
        let leg = self.phones[index].leg.clone();
        let participant = format!("of {leg}");
        self.perform(Command::JoinLeg { leg, bridge: bridge.into(), participant, muted: false });
        index
    }

    pub fn statistics(&mut self, leg: &str) -> Statistics {
        match self.request(Command::GetStatistics { leg: leg.into() }) {
            Ok(Some(Answer::LegStatistics { statistics })) => statistics,
            other => panic!("no statistics: {other:?}"),
        }
    }

    /// One millisecond.
    pub fn step(&mut self) {
        self.now += Duration::from_millis(1);
        self.deliver();
        for index in 0..self.phones.len() {
            for (source, destination, bytes) in self.phones[index].speak(self.now) {
                self.send(source, destination, bytes);
            }
        }
        for index in 0..self.browsers.len() {
            for (source, destination, bytes) in self.browsers[index].drive(self.now) {
                if !self.browsers[index].cut {
                    self.send(source, destination, bytes);
                }
            }
        }
        self.shard.advance(self.now);
        self.flush();
    }

    pub fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.step();
        }
    }

    /// Runs until something is so; panics after ten seconds of virtual time.
    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("it did not come to be in ten seconds");
    }

    /// Runs until nothing is on its way to a phone.
    pub fn run_until_arrived(&mut self) {
        let server = std::net::IpAddr::from(SERVER);
        self.run_until(|world| world.network.iter().all(|datagram| datagram.destination.ip() == server));
    }

    /// Runs so long and forgets what phones heard before.
    pub fn listen(&mut self, milliseconds: u64) {
        for phone in &mut self.phones {
            phone.heard.clear();
        }
        for browser in &mut self.browsers {
            browser.forget();
        }
        self.run(milliseconds);
    }

    /// Like [`Self::listen`]; forgets which packets came before, too.
    pub fn listen_for_packets(&mut self, milliseconds: u64) {
        for phone in &mut self.phones {
            phone.packets.clear();
        }
        self.listen(milliseconds);
    }

    pub fn has_event(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    pub fn count_events(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    pub fn send(&mut self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let to_phones_port = destination.port() != WEB_PORT && destination.ip() == std::net::IpAddr::from(SERVER);
        if to_phones_port && (self.random >> 33) % 100 < self.loss_percent {
            return;
        }
        self.network.push_back(Datagram { due: self.now + DELAY, source, destination, bytes });
    }

    fn deliver(&mut self) {
        while self.network.front().is_some_and(|datagram| datagram.due <= self.now) {
            let Some(Datagram { source, destination, bytes, .. }) = self.network.pop_front() else {
                return;
            };
            if destination.ip() == std::net::IpAddr::from(SERVER) {
                self.arrive(source, destination, &bytes);
            } else if let Some(phone) = self.phones.iter_mut().find(|phone| phone.owns(destination)) {
                phone.receive(&bytes);
            } else if let Some(browser) = self.browsers.iter_mut().find(|b| b.address == destination && !b.cut) {
                browser.receive(self.now, source, &bytes);
            }
        }
    }

    fn arrive(&mut self, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        if destination.port() == WEB_PORT {
            return self.shard.receive_web(self.now, Protocol::Udp, source, destination, bytes);
        }
        let offset = destination.port() - FIRST_PORT;
        let id = PortId(offset / 2);
        let socket = if offset.is_multiple_of(2) { Socket::Rtp(id) } else { Socket::Rtcp(id) };
        self.shard.receive(self.now, socket, source, bytes);
    }

    fn flush(&mut self) {
        let mut sent = Vec::new();
        self.shard.outbox.drain_datagrams(|socket, datagrams| {
            let port = match socket {
                Socket::Rtp(id) => FIRST_PORT + 2 * id.0,
                Socket::Rtcp(id) => FIRST_PORT + 2 * id.0 + 1,
                Socket::WebRtc => WEB_PORT,
            };
            let source = SocketAddr::from((SERVER, port));
            sent.extend(datagrams.map(|(destination, bytes)| (source, destination, bytes.to_vec())));
        });
        self.shard.outbox.clear_datagrams();
        for (source, destination, bytes) in sent {
            self.send(source, destination, bytes);
        }
        self.events.append(&mut self.shard.outbox.events);
        self.taps.append(&mut self.shard.outbox.taps);
    }
}

/// Amplitude of one frequency in samples.
pub fn tone_power(samples: &[i16], frequency: f64, rate: f64) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * frequency * i as f64 / rate;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    2.0 * (re * re + im * im).sqrt() / samples.len() as f64
}
