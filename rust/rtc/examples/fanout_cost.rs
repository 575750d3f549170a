//! What a forwarded packet costs, without sockets: `cargo run --release --example fanout_cost`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Join, Room};
use dialroom_rtc::{
    ENTROPY_BYTES, IceCredentials, InjectedAudio, Output, Peer, PeerAddress, PeerConfig, PeerKey, Protocol,
    RouterOutput,
};

const CHROMIUM: &str = include_str!("../tests/data/chromium-156-offer.sdp");
const LISTENERS: usize = 50;
const FRAMES: u32 = 2_000;

fn main() {
    let mut room = Room::new();
    room.config.stats_interval = None;
    for _ in 0..LISTENERS {
        room.join_connected(&Join::named(Box::leak(format!("l{}", room.browsers.len()).into_boxed_str())));
    }
    let speaker = room.join_connected(&Join::named("speaker"));
    let phone = room.publish_phone("phone");
    let (mut routing, mut sending, mut packets, mut datagrams) = (Duration::ZERO, Duration::ZERO, 0_u32, 0_u32);
    for frame in 0..FRAMES {
        room.now += Duration::from_millis(20);
        let now = room.now;
        let payload = vec![0x78; 80].into();
        let audio = InjectedAudio { timestamp: frame * 960, marker: false, level: -20, voice: true, payload };
        let started = Instant::now();
        room.router.inject_audio(now, phone, &audio);
        let outputs: Vec<_> = std::iter::from_fn(|| room.router.poll()).collect();
        routing += started.elapsed();
        let started = Instant::now();
        for output in outputs {
            let RouterOutput::Write { peer, mid, packet } = output else { continue };
            let peer = room.peers.get_mut(&peer).expect("listener is there");
            peer.write(now, mid, packet).expect("listener is connected");
            packets += 1;
            loop {
                match peer.poll(now) {
                    Output::Transmit(_) => datagrams += 1,
                    Output::Event(_) => {}
                    Output::Timeout(_) => break,
                }
            }
        }
        sending += started.elapsed();
    }
    let per_packet = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(packets);
    println!("{LISTENERS} listeners, {packets} audio packets forwarded in {datagrams} datagrams");
    println!("router {:.2} µs per forwarded packet", per_packet(routing));
    println!("peer   {:.2} µs per forwarded packet (write, SRTP, drain)", per_packet(sending));
    receive(&mut room, speaker);
    accept(&room.config);
}

/// Time and resident memory of a peer that has answered Chromium's offer (ten lines) and waits.
fn accept(config: &PeerConfig) {
    const PEERS: u64 = 200;
    let (before, started) = (resident_kib(), Instant::now());
    let peers: Vec<_> = (0..PEERS)
        .map(|peer| {
            let address = PeerAddress { shard: 0, peer: PeerKey(peer) };
            let credentials = IceCredentials::new(address, [1; ENTROPY_BYTES]);
            Peer::accept(Instant::now(), CHROMIUM, credentials, config).expect("Chromium's offer is answered")
        })
        .collect();
    let each = started.elapsed().as_secs_f64() * 1e3 / PEERS as f64;
    let memory = resident_kib().saturating_sub(before) / PEERS;
    println!("accept {each:.2} ms and {memory} KiB per peer ({} peers)", peers.len());
}

/// `VmRSS` of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn receive(room: &mut Room, speaker: usize) {
    let (key, source) = (room.browsers[speaker].key, room.browsers[speaker].address);
    let destination = common::SERVER.parse().expect("an address");
    let (mut spent, mut count) = (Duration::ZERO, 0_u32);
    for _ in 0..FRAMES {
        room.now += Duration::from_millis(20);
        let now = room.now;
        room.browsers[speaker].send_audio(now, -20);
        for datagram in room.take_datagrams_of(speaker) {
            let started = Instant::now();
            let _ = room.demux.route(Protocol::Udp, source, &datagram);
            let peer = room.peers.get_mut(&key).expect("speaker is there");
            peer.handle_datagram(now, Protocol::Udp, source, destination, &datagram);
            while !matches!(peer.poll(now), Output::Timeout(_)) {}
            spent += started.elapsed();
            count += 1;
        }
    }
    let each = spent.as_secs_f64() * 1e6 / f64::from(count.max(1));
    println!("receive {each:.2} µs per datagram of a browser ({count}: demultiplex, SRTP, event)");
    println!("SRTP profile: {:?}", room.peers[&key].srtp_profile());
}
