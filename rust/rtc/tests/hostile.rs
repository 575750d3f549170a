//! Datagrams nobody should send: no effect beyond a counter, on a peer that is up.

mod common;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Join, Room, SERVER};
use dialroom_rtc::{Codec, Output, Protocol, Route, RtpOut, WriteError};
use proptest::prelude::*;

fn feed(room: &mut Room, datagram: &[u8]) {
    let (key, source) = (room.browsers[0].key, room.browsers[0].address);
    let destination: SocketAddr = SERVER.parse().unwrap();
    let _ = room.demux.route(Protocol::Udp, source, datagram);
    let peer = room.peers.get_mut(&key).unwrap();
    peer.handle_datagram(room.now, Protocol::Udp, source, destination, datagram);
    while !matches!(peer.poll(room.now), Output::Timeout(_)) {}
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0_u8), Just(1), 20_u8..=63, 128_u8..=191, any::<u8>()];
    (first, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(first, rest)| {
        let mut datagram = vec![first];
        datagram.extend(rest);
        datagram
    })
}

#[test]
fn no_datagram_ends_a_connected_peer() {
    let mut room = Room::new();
    let ann = room.join_connected(&Join::named("ann"));
    let bob = room.join_connected(&Join::named("bob"));
    let room = RefCell::new(room);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let outcome = runner.run(&prop::collection::vec(datagram(), 1..40), |datagrams| {
        let mut room = room.borrow_mut();
        for datagram in &datagrams {
            feed(&mut room, datagram);
        }
        let key = room.browsers[ann].key;
        prop_assert!(room.peers[&key].is_connected());
        Ok(())
    });
    outcome.unwrap();
    let mut room = room.into_inner();
    assert!(room.peers[&room.browsers[ann].key].counters().refused_datagrams > 0);
    room.browsers[bob].received.clear();
    room.speak(ann, -20, 20);
    room.run(Duration::from_millis(100));
    assert_eq!(room.browsers[bob].received.len(), 20, "media still flows");
}

#[test]
fn damaged_copies_of_genuine_packets_do_no_harm() {
    let mut room = Room::new();
    let ann = room.join(&Join::named("ann"));
    let mut genuine: Vec<Vec<u8>> = Vec::new();
    for _ in 0..400 {
        genuine.extend(room.in_flight_to_server());
        room.tick();
    }
    assert!(room.is_connected(ann));
    room.browsers[ann].send_audio(room.now, -20);
    room.tick();
    genuine.extend(room.in_flight_to_server());
    assert!(genuine.len() > 5, "{} packets seen", genuine.len());
    for _ in 0..3000 {
        let pick = room.random() as usize % genuine.len();
        let mut bytes = genuine[pick].clone();
        let at = room.random() as usize % bytes.len();
        bytes[at] ^= 1 << (room.random() % 8);
        let keep = bytes.len() - room.random() as usize % 3;
        feed(&mut room, &bytes[..keep]);
    }
    room.run(Duration::from_secs(1));
    assert!(room.is_connected(ann));
}

/// A STUN attribute: one that ICE knows, or any.
fn attribute(username: Vec<u8>) -> impl Strategy<Value = (u16, Vec<u8>)> {
    const KNOWN: [u16; 12] =
        [0x0001, 0x0008, 0x0009, 0x000a, 0x000d, 0x0012, 0x0016, 0x0020, 0x0024, 0x0025, 0x8028, 0x8029];
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        Just((0x0006, username)),
        prop::collection::vec(any::<u8>(), 20).prop_map(|value| (0x0008, value)),
        prop::collection::vec(any::<u8>(), 4).prop_map(|value| (0x0024, value)),
        (prop::sample::select(KNOWN.as_slice()), bytes(24)),
        (any::<u16>(), bytes(40)),
    ]
}

/// A STUN message that is well-formed: any class and method, any attributes (RFC 8489 §5).
fn message(username: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![Just(0x0001_u16), Just(0x0101), Just(0x0111), Just(0x0011), 0_u16..0x4000];
    (kind, any::<[u8; 12]>(), prop::collection::vec(attribute(username), 0..6)).prop_map(|(kind, id, attributes)| {
        let mut body = Vec::new();
        for (number, value) in attributes {
            body.extend(number.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(0x2112_a442_u32.to_be_bytes());
        message.extend(id);
        message.extend(body);
        message
    })
}

/// The value of USERNAME in a STUN message.
fn username_in(message: &[u8]) -> Option<Vec<u8>> {
    let mut rest = message.get(20..)?;
    while let [0, number, high, low, value @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *number == 6 {
            return Some(value.get(..length)?.to_vec());
        }
        rest = value.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[test]
fn no_stun_message_without_our_password_ends_a_connected_peer() {
    let mut room = Room::new();
    let ann = room.join(&Join::named("ann"));
    let mut username = Vec::new();
    for _ in 0..400 {
        for datagram in room.in_flight_to_server().iter().filter(|bytes| bytes[0] == 0) {
            username = username_in(datagram).unwrap_or(username);
        }
        room.tick();
    }
    assert!(room.is_connected(ann) && !username.is_empty());
    let room = RefCell::new(room);
    let config = ProptestConfig::with_cases(2000);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let outcome = runner.run(&prop::collection::vec(message(username), 1..8), |messages| {
        let mut room = room.borrow_mut();
        for message in &messages {
            feed(&mut room, message);
        }
        prop_assert!(room.is_connected(ann));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_stranger_with_a_copied_ufrag_gets_no_answer_and_no_address() {
    let mut room = Room::new();
    room.join(&Join::named("ann"));
    let mut checks: Vec<Vec<u8>> = Vec::new();
    for _ in 0..20 {
        checks.extend(room.in_flight_to_server().into_iter().filter(|bytes| bytes[0] == 0));
        room.tick();
    }
    let mut forged = checks.first().expect("ann sends checks").clone();
    let last = forged.len() - 9;
    forged[last] ^= 0xff;
    let stranger: SocketAddr = "203.0.113.66:6666".parse().unwrap();
    let Route::Peer(key) = room.demux.route(Protocol::Udp, stranger, &forged) else {
        panic!("the ufrag names the peer");
    };
    let now = room.now;
    let peer = room.peers.get_mut(&key).unwrap();
    peer.handle_datagram(now, Protocol::Udp, stranger, SERVER.parse().unwrap(), &forged);
    loop {
        match peer.poll(now) {
            Output::Timeout(_) => break,
            Output::Transmit(transmit) => assert_ne!(transmit.destination, stranger),
            Output::Event(event) => {
                assert!(!format!("{event:?}").contains("203.0.113.66"), "{event:?}");
            }
        }
    }
}

#[test]
fn a_peer_nobody_drains_holds_a_bounded_number_of_packets() {
    let mut room = Room::new();
    let ann = room.join_connected(&Join::named("ann"));
    let (key, slot, now) = (room.browsers[ann].key, room.browsers[ann].audio_slots[0], room.now);
    let peer = room.peers.get_mut(&key).unwrap();
    for seq in 0..10_000_u32 {
        let packet = RtpOut {
            codec: Codec::Opus,
            seq: seq.into(),
            timestamp: seq * 960,
            marker: false,
            level: None,
            voice: None,
            rotation: None,
            payload: vec![1; 40].into(),
            vp8: None,
            wallclock: now,
        };
        peer.write(now, slot, packet).unwrap();
    }
    let dropped = peer.counters().dropped_packets;
    let mut queued = 0;
    while !matches!(peer.poll(now), Output::Timeout(_)) {
        queued += 1;
    }
    assert!(queued <= 4096 + 64, "{queued} outputs were held");
    assert!(dropped >= 5_000, "{dropped} dropped");
    assert!(peer.is_connected());
}

#[test]
fn what_cannot_be_written_is_refused_with_its_reason() {
    let mut room = Room::new();
    let ann = room.join(&Join::named("ann"));
    let (key, slot, now) = (room.browsers[ann].key, room.browsers[ann].audio_slots[0], room.now);
    let packet = |codec| RtpOut {
        codec,
        seq: 1,
        timestamp: 0,
        marker: false,
        level: None,
        voice: None,
        rotation: None,
        payload: vec![1].into(),
        vp8: None,
        wallclock: now,
    };
    let peer = room.peers.get_mut(&key).unwrap();
    assert_eq!(peer.write(now, slot, packet(Codec::Opus)), Err(WriteError::NotConnected));
    room.run_until(Duration::from_secs(5), |room| room.is_connected(ann));
    let peer = room.peers.get_mut(&key).unwrap();
    assert_eq!(peer.write(now, slot, packet(Codec::Vp8)), Err(WriteError::CodecNotNegotiated));
    assert_eq!(peer.write(now, "nope".into(), packet(Codec::Opus)), Err(WriteError::NoSuchSlot));
}
