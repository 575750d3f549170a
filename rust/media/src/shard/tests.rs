//! What only the inside can show: a bug in one leg is the end of that leg alone.

use std::time::{Duration, Instant};

use dialroom_protocol::{Answer, Codec, CodecName, Command, Direction, Event, LegMedia};
use dialroom_rtc::{Certificate, PeerConfig};

use crate::outbox::{Socket, Token};
use crate::ports::{PortId, PortOpener, PortPair};
use crate::shard::slots::Slot;
use crate::shard::{PHASES, Shard, ShardConfig};

struct Ports;

impl PortOpener for Ports {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        (id.0 < 4).then(|| PortPair { rtp: 20_000 + 2 * id.0, rtcp: 20_001 + 2 * id.0 })
    }
}

/// Has a port for every leg.
struct Many;

impl PortOpener for Many {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        Some(PortPair { rtp: 20_000 + 2 * id.0, rtcp: 20_001 + 2 * id.0 })
    }
}

const TOKEN: Token = Token { connection: 0, request: 0 };

fn shard(now: Instant) -> Shard {
    let mut next = 0u8;
    let config = ShardConfig {
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        peers: PeerConfig::new(Certificate::generate().unwrap()),
        cname: "test".into(),
        unix: Duration::from_secs(1_700_000_000),
        entropy: Box::new(move |bytes| {
            for byte in bytes {
                next = next.wrapping_add(101);
                *byte = next;
            }
        }),
    };
    Shard::new(config, now)
}

fn perform(shard: &mut Shard, now: Instant, command: Command) -> Answer {
    shard.command(now, TOKEN, command, &mut Ports).expect("an answer at once")
}

fn call(shard: &mut Shard, now: Instant, leg: &str, port: u16) {
    let remote_address = Some("198.51.100.1".to_owned());
    let open = Command::OpenLeg {
        leg: leg.into(),
        tag: String::new(),
        remote_address,
        remote_rtp_port: Some(port),
        signalling_address: None,
    };
    assert!(matches!(perform(shard, now, open), Answer::LegOpened { .. }));
    let media = LegMedia {
        remote_address: "198.51.100.1".into(),
        remote_rtp_port: port,
        remote_rtcp_port: port + 1,
        rtcp_mux: false,
        codec: Codec { name: CodecName::Pcmu, payload_type: 0, ptime: 20, opus: None },
        telephone_event: None,
        comfort_noise_payload_type: None,
        direction: Direction::SendRecv,
    };
    assert_eq!(perform(shard, now, Command::ConfigureLeg { leg: leg.into(), media }), Answer::Done {});
    let join = Command::JoinLeg { leg: leg.into(), bridge: "b".into(), participant: leg.into(), muted: false };
    assert_eq!(perform(shard, now, join), Answer::Done {});
}

#[test]
fn a_bug_in_one_leg_ends_that_leg_and_no_other() {
    let mut now = Instant::now();
    let mut shard = shard(now);
    perform(&mut shard, now, Command::OpenBridge { bridge: "b".into(), tag: String::new() });
    call(&mut shard, now, "good", 4000);
    call(&mut shard, now, "bad", 4002);
    let key = shard.leg_ids["bad"];
    shard.legs[key].panics = true;
    for _ in 0..100 {
        now += Duration::from_millis(1);
        shard.advance(now);
    }
    let ended: Vec<&Event> = shard.outbox.events.iter().filter(|e| matches!(e, Event::LegEnded { .. })).collect();
    assert!(matches!(ended.as_slice(), [Event::LegEnded { leg, .. }] if leg == "bad"));
    assert_eq!(shard.legs.len(), 1);
    shard.outbox.clear_datagrams();
    for _ in 0..100 {
        now += Duration::from_millis(1);
        shard.advance(now);
    }
    let mut sent = 0;
    shard.outbox.drain_datagrams(|socket, datagrams| {
        if matches!(socket, Socket::Rtp(_)) {
            sent += datagrams.count();
        }
    });
    assert_eq!(sent, 5, "the other leg is still sent to");
    assert_eq!(shard.metrics()["dialroom_media_panics_total"], 1.0);
}

#[test]
fn when_no_port_is_left_a_leg_is_refused_and_nothing_of_it_stays() {
    let now = Instant::now();
    let mut shard = shard(now);
    let open = |n: u16| Command::OpenLeg {
        leg: format!("leg {n}"),
        tag: String::new(),
        remote_address: None,
        remote_rtp_port: None,
        signalling_address: None,
    };
    for n in 0..4 {
        assert!(matches!(perform(&mut shard, now, open(n)), Answer::LegOpened { .. }));
    }
    let refused = perform(&mut shard, now, open(4));
    assert!(matches!(refused, Answer::Refused(r) if r.code == dialroom_protocol::RefusalCode::NoPort));
    assert_eq!(shard.legs.len(), 4);
    perform(&mut shard, now, Command::CloseLeg { leg: "leg 2".into() });
    assert!(matches!(perform(&mut shard, now, open(4)), Answer::LegOpened { rtp_port: 20_004, .. }));
}

#[test]
fn a_phone_is_told_an_address_of_its_own_family() {
    let now = Instant::now();
    let mut shard = shard(now);
    for (leg, remote, ours) in [("a", "198.51.100.1", "192.0.2.1"), ("b", "2001:db8::9", "2001:db8::1")] {
        let remote_address = Some(remote.to_owned());
        let open = Command::OpenLeg {
            leg: leg.into(),
            tag: String::new(),
            remote_address,
            remote_rtp_port: Some(4000),
            signalling_address: None,
        };
        assert!(matches!(perform(&mut shard, now, open), Answer::LegOpened { address, .. } if address == ours));
    }
}

#[test]
fn a_slot_that_began_while_the_one_before_was_worked_on_is_not_waited_for() {
    let now = Instant::now();
    let mut shard = shard(now);
    perform(&mut shard, now, Command::OpenBridge { bridge: "b".into(), tag: String::new() });
    call(&mut shard, now, "a", 4000);
    shard.advance(now);
    let due = shard.next_slot(now);
    assert!(due > now);
    assert_eq!(shard.next_slot(due + Duration::from_millis(1)), due);
}

/// Phones that join meetings of ten, without media; how many are in each slot that is used.
fn members_by_slot(phones: usize) -> Vec<usize> {
    let now = Instant::now();
    let mut shard = shard(now);
    for meeting in 0..phones.div_ceil(10) {
        perform(&mut shard, now, Command::OpenBridge { bridge: format!("b{meeting}"), tag: String::new() });
    }
    for phone in 0..phones {
        let (leg, bridge, tag) = (format!("leg {phone}"), format!("b{}", phone / 10), String::new());
        let (remote_address, remote_rtp_port) = (Some("192.0.2.9".to_owned()), Some(4000 + phone as u16));
        let open = Command::OpenLeg { leg, tag, remote_address, remote_rtp_port, signalling_address: None };
        let opened = shard.command(now, TOKEN, open, &mut Many);
        assert!(matches!(opened, Some(Answer::LegOpened { .. })), "{opened:?}");
        let (leg, participant) = (format!("leg {phone}"), format!("phone {phone}"));
        perform(&mut shard, now, Command::JoinLeg { leg, bridge, participant, muted: false });
    }
    let members = |slot: &Slot| slot.bridges.iter().map(|key| shard.bridges[*key].legs.len()).sum();
    shard.slots.iter().map(members).filter(|members| *members > 0).collect()
}

#[test]
fn few_phones_share_a_slot_and_many_are_spread_over_all() {
    assert_eq!(members_by_slot(1), [1]);
    assert_eq!(members_by_slot(50), [50]);
    assert_eq!(members_by_slot(100), [50, 50]);
    assert_eq!(members_by_slot(500), [100; PHASES]);
}

#[test]
fn slots_with_nothing_to_do_are_slept_through() {
    let mut now = Instant::now();
    let mut shard = shard(now);
    perform(&mut shard, now, Command::OpenBridge { bridge: "b".into(), tag: String::new() });
    call(&mut shard, now, "a", 4000);
    let mut due = Vec::new();
    for _ in 0..3 {
        now = shard.next_slot(now);
        shard.advance(now);
        due.push(now);
    }
    assert_eq!(due[1] - due[0], Duration::from_millis(20));
    assert_eq!(due[2] - due[1], Duration::from_millis(20));
    let mut sent = 0;
    shard.outbox.drain_datagrams(|_, datagrams| sent += datagrams.count());
    assert_eq!(sent, 3, "something was sent each time");
    now = shard.next_slot(now) + Duration::from_millis(4);
    shard.advance(now);
    for figure in ["late_slots", "skipped_slots"] {
        assert_eq!(
            shard.metrics()[&format!("dialroom_media_{figure}_total")],
            0.0,
            "{figure}: nothing was due in them"
        );
    }
}

#[test]
fn a_packet_is_taken_in_the_slot_of_its_leg_with_the_time_it_arrived() {
    let mut now = Instant::now();
    let mut shard = shard(now);
    perform(&mut shard, now, Command::OpenBridge { bridge: "b".into(), tag: String::new() });
    call(&mut shard, now, "a", 4000);
    let received = |shard: &mut Shard| {
        let key = shard.leg_ids["a"];
        shard.legs[key].statistics()
    };
    let mut jitter = 0.0;
    for number in 0..200u16 {
        now = shard.next_slot(now);
        // Each phone's packet waits for another time.
        let arrived = now - Duration::from_micros(u64::from(number % 2) * 9_000);
        let mut packet = [0xff; 172];
        let header = [0x80, 0, (number >> 8) as u8, number as u8];
        packet[..4].copy_from_slice(&header);
        packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
        packet[8..12].copy_from_slice(&7u32.to_be_bytes());
        shard.receive(arrived, Socket::Rtp(PortId(0)), "198.51.100.1:4000".parse().unwrap(), &packet);
        assert_eq!(received(&mut shard).packets_received, u64::from(number), "it waits");
        shard.advance(now);
        assert_eq!(received(&mut shard).packets_received, u64::from(number) + 1);
        jitter = received(&mut shard).jitter;
        shard.outbox.clear_datagrams();
    }
    assert!((8.0..10.0).contains(&jitter), "{jitter} ms");
}

#[test]
fn a_long_stall_is_counted_and_not_made_up_for() {
    let mut now = Instant::now();
    let mut shard = shard(now);
    perform(&mut shard, now, Command::OpenBridge { bridge: "b".into(), tag: String::new() });
    call(&mut shard, now, "leg", 4000);
    now += Duration::from_secs(10);
    shard.advance(now);
    let mut sent = 0;
    shard.outbox.drain_datagrams(|_, datagrams| sent += datagrams.count());
    assert!(sent <= 2, "{sent} packets at once");
    let skipped = shard.metrics()["dialroom_media_skipped_slots_total"];
    assert!((490.0..500.0).contains(&skipped), "{skipped} of the one slot that is used in 20 ms");
}

#[test]
fn a_bug_in_one_peer_ends_that_peer_and_no_other() {
    let mut now = Instant::now();
    let mut shard = shard(now);
    for peer in ["good", "bad"] {
        let open = Command::OpenPeer {
            peer: peer.into(),
            tag: String::new(),
            offer: include_str!("../../../rtc/tests/data/chromium-156-offer.sdp").into(),
            publish: Vec::new(),
            audio_slots: Vec::new(),
            video_slots: Vec::new(),
        };
        assert!(matches!(perform(&mut shard, now, open), Answer::PeerOpened { .. }));
    }
    let id = shard.peer_ids["bad"];
    shard.peers[id].panics = true;
    shard.mark_peer(id);
    now += Duration::from_millis(1);
    shard.advance(now);
    let ended: Vec<&Event> = shard.outbox.events.iter().filter(|e| matches!(e, Event::PeerEnded { .. })).collect();
    assert!(matches!(ended.as_slice(), [Event::PeerEnded { peer, .. }] if peer == "bad"));
    assert_eq!(shard.peer_ids.keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(shard.metrics()["dialroom_media_panics_total"], 1.0);
}
