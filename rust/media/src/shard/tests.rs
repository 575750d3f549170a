//! What only the inside can show: a bug in one leg is the end of that leg alone.

use std::time::{Duration, Instant};

use dialroom_protocol::{Answer, Codec, CodecName, Command, Direction, Event, LegMedia};
use dialroom_rtc::{Certificate, PeerConfig};

use crate::outbox::{Socket, Token};
use crate::ports::{PortId, PortOpener, PortPair};
use crate::shard::{PHASES, Shard, ShardConfig};

struct Ports;

impl PortOpener for Ports {
    fn open(&mut self, id: PortId) -> Option<PortPair> {
        (id.0 < 4).then(|| PortPair { rtp: 20_000 + 2 * id.0, rtcp: 20_001 + 2 * id.0 })
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

#[test]
fn meetings_are_spread_over_all_slots_however_many_phones_each_has() {
    for phones in 0..=4 {
        let now = Instant::now();
        let mut shard = shard(now);
        for meeting in 0..2 * PHASES {
            let leg = |n| format!("leg {meeting} {n}");
            for n in 0..phones {
                let (leg, tag) = (leg(n), String::new());
                let (remote_address, remote_rtp_port, signalling_address) = (None, None, None);
                let open = Command::OpenLeg { leg, tag, remote_address, remote_rtp_port, signalling_address };
                assert!(matches!(perform(&mut shard, now, open), Answer::LegOpened { .. }));
            }
            perform(&mut shard, now, Command::OpenBridge { bridge: format!("b{meeting}"), tag: String::new() });
            for n in 0..phones {
                perform(&mut shard, now, Command::CloseLeg { leg: leg(n) });
            }
        }
        assert!(shard.bridges_by_phase.iter().all(|bridges| bridges.len() == 2), "{phones} phones each");
    }
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
    assert!(shard.metrics()["dialroom_media_skipped_slots_total"] > 2_000.0);
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
