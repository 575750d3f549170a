//! What a phone leg costs in the engine, without the kernel:
//! `cargo run --release -p dialroom-media --example shard_cost [LEGS [ROOM_SIZE [SECONDS]]]`.
//!
//! G.711, 20 ms, 3 of 10 speak. Packets come in as the packet thread hands them over, every 4 ms. Prints nanoseconds per
//! leg and 20 ms, the median of the seconds: first with the caches as the engine leaves them, then with caches that
//! others used in between, as the kernel does. Under `valgrind --tool=callgrind` one second is enough.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dialroom_audio::audio::g711;
use dialroom_audio::rtp::write::RtpHeader;
use dialroom_media::{PortId, PortOpener, PortPair, Shard, ShardConfig, Socket, Token};
use dialroom_protocol::{Answer, Codec, CodecName, Command, Direction, LegMedia};
use dialroom_rtc::{Certificate, PeerConfig};

const FIRST_PORT: u16 = 20_000;
const PAYLOAD: usize = 160;
const WAKE: Duration = Duration::from_millis(4);
const WAKES_PER_SECOND: usize = 250;
/// Wakes in which each phone sends once.
const ROUND: usize = 5;
/// What others use of the caches between two wakes, bytes: about all that there is.
const OTHERS: usize = 64 << 20;

struct Opener;

impl PortOpener for Opener {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        Some(PortPair { rtp: FIRST_PORT + 2 * id.0, rtcp: FIRST_PORT + 2 * id.0 + 1 })
    }
}

struct Phone {
    source: SocketAddr,
    port: PortId,
    header: RtpHeader,
    speaks: bool,
    said: usize,
}

struct World {
    shard: Shard,
    now: Instant,
    phones: Vec<Phone>,
    speech: Vec<u8>,
    noise: Vec<u8>,
    datagram: [u8; 172],
    wake: usize,
    sent: usize,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let peers = PeerConfig::new(Certificate::generate().expect("a certificate"));
        let mut seed = 1u32;
        let entropy = Box::new(move |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (seed >> 24) as u8;
            }
        });
        let unix = Duration::from_secs(1_700_000_000);
        let addresses = vec![[127, 0, 0, 1].into()];
        let config = ShardConfig { addresses, peers, cname: "cost".into(), unix, entropy };
        Self {
            shard: Shard::new(config, now),
            now,
            phones: Vec::new(),
            speech: speech(),
            noise: noise(),
            datagram: [0; 172],
            wake: 0,
            sent: 0,
        }
    }

    fn perform(&mut self, command: Command) -> Answer {
        let token = Token { connection: 0, request: 0 };
        match self.shard.command(self.now, token, command, &mut Opener) {
            Some(Answer::Refused(refusal)) => panic!("{refusal:?}"),
            answer => answer.expect("an answer at once"),
        }
    }

    fn call(&mut self, number: usize, room_size: usize) {
        let (leg, bridge) = (format!("leg {number}"), format!("room {}", number / room_size));
        let source = SocketAddr::from(([127, 0, 0, 1], 30_000 + number as u16));
        let address = source.ip().to_string();
        self.perform(Command::OpenBridge { bridge: bridge.clone(), tag: String::new() });
        let opened = self.perform(Command::OpenLeg {
            leg: leg.clone(),
            tag: String::new(),
            remote_address: Some(address.clone()),
            remote_rtp_port: Some(source.port()),
            signalling_address: None,
        });
        let Answer::LegOpened { rtp_port, .. } = opened else { panic!("{opened:?}") };
        let media = LegMedia {
            remote_address: address,
            remote_rtp_port: source.port(),
            remote_rtcp_port: source.port(),
            rtcp_mux: true,
            codec: Codec { name: CodecName::Pcmu, payload_type: 0, ptime: 20, opus: None },
            telephone_event: None,
            comfort_noise_payload_type: None,
            direction: Direction::SendRecv,
        };
        self.perform(Command::ConfigureLeg { leg: leg.clone(), media });
        self.perform(Command::JoinLeg { leg, bridge, participant: format!("of {number}"), muted: false });
        let ssrc = (number as u32 + 1).wrapping_mul(0x9e37_79b1);
        self.phones.push(Phone {
            source,
            port: PortId((rtp_port - FIRST_PORT) / 2),
            header: RtpHeader { payload_type: 0, marker: false, sequence: number as u16, timestamp: ssrc, ssrc },
            speaks: number % 10 < 3,
            said: number * 37 * PAYLOAD,
        });
    }

    /// Takes the packets of 4 ms and works on that time; how long it took.
    fn wake(&mut self) -> Duration {
        self.now += WAKE;
        self.wake += 1;
        let Self { shard, phones, now, datagram, speech, noise, .. } = self;
        let mut spent = Duration::ZERO;
        // 13 and 10 have no common divisor: of the ten phones of a room, two send in each turn.
        for (number, phone) in phones.iter_mut().enumerate() {
            if number * 13 % (2 * ROUND) / 2 != self.wake % ROUND {
                continue;
            }
            let said = if phone.speaks { &*speech } else { &*noise };
            let from = phone.said % (said.len() - PAYLOAD);
            let length = phone.header.write_packet(&said[from..from + PAYLOAD], datagram).expect("it fits");
            phone.said += PAYLOAD;
            phone.header.sequence = phone.header.sequence.wrapping_add(1);
            phone.header.timestamp = phone.header.timestamp.wrapping_add(PAYLOAD as u32);
            let began = Instant::now();
            shard.receive(*now, Socket::Rtp(phone.port), phone.source, &datagram[..length]);
            spent += began.elapsed();
        }
        let began = Instant::now();
        shard.advance(*now);
        let mut sent = 0;
        shard.outbox.drain_datagrams(|_, datagrams| sent += datagrams.map(black_box).count());
        shard.outbox.clear_datagrams();
        spent += began.elapsed();
        shard.outbox.events.clear();
        self.sent += sent;
        spent
    }

    fn second(&mut self, others: &mut [u64]) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..WAKES_PER_SECOND {
            others.iter_mut().step_by(8).for_each(|word| *word = black_box(*word + 1));
            spent += self.wake();
        }
        spent
    }

    fn measure(&mut self, seconds: usize, others: &mut [u64]) -> u128 {
        let mut costs: Vec<u128> = (0..seconds.max(1)).map(|_| self.second(others).as_nanos()).collect();
        costs.sort_unstable();
        costs[costs.len() / 2] / (50 * self.phones.len() as u128)
    }
}

/// Syllables without pauses between them.
fn speech() -> Vec<u8> {
    let value = |i: usize| {
        let t = i as f64 / 8000.0;
        let loudness = 0.2 + (t % 0.25 / 0.25 * std::f64::consts::PI).sin();
        let voice: f64 = (1..10).map(|h| (t * 140.0 * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h)).sum();
        g711::encode_ulaw((voice * loudness * 3000.0) as i16)
    };
    (0..80_000).map(value).collect()
}

/// A quiet line.
fn noise() -> Vec<u8> {
    let mut state = 1u32;
    let mut value = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        g711::encode_ulaw((state >> 27) as i16 - 16)
    };
    (0..80_000).map(|_| value()).collect()
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (legs, room_size, seconds) = (number(0, 500), number(1, 10), number(2, 11));
    let mut world = World::new();
    for number in 0..legs {
        world.call(number, room_size.max(1));
        (0..ROUND).for_each(|_| _ = world.wake());
    }
    world.measure(2, &mut []);
    world.sent = 0;
    let warm = world.measure(seconds, &mut []);
    assert!(world.sent >= legs * 49 * seconds, "{} packets were sent", world.sent);
    let cold = world.measure(seconds, &mut vec![0; OTHERS / 8]);
    println!("{legs} legs in rooms of {room_size}: {warm} ns per leg and 20 ms, {cold} ns with cold caches");
}
