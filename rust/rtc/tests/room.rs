//! Two and more browsers in a room: what one sends, the others receive.

mod common;

use std::time::Duration;

use common::{Join, Room};
use dialroom_rtc::{IceState, InjectedAudio, PeerEvent, Protocol, SrtpProfile};

const SECOND: Duration = Duration::from_secs(1);

fn marks(packets: &[&str0m::rtp::RtpPacket]) -> Vec<u8> {
    packets.iter().map(|packet| packet.payload[9]).collect()
}

#[test]
fn a_browser_connects_over_udp_with_gcm_and_its_audio_is_heard_in_anothers_slot() {
    let mut room = Room::new();
    let (ann, bob) = (room.join_connected(&Join::named("ann")), room.join_connected(&Join::named("bob")));
    room.speak(ann, -20, 100);
    let slot = room.slot_of(bob, "ann/mic").expect("ann is in one of bob's slots");
    let heard = room.browsers[bob].on(slot);
    assert_eq!(heard.len(), 100);
    for (index, pair) in heard.windows(2).enumerate() {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1, "packet {index}");
        assert_eq!(pair[1].header.timestamp, pair[0].header.timestamp.wrapping_add(960));
    }
    assert_eq!(heard[50].header.ext_vals.audio_level, Some(-20));
    assert_eq!(heard[50].header.ext_vals.voice_activity, Some(true));
    assert!(room.browsers[ann].received.is_empty(), "nobody hears itself");
    assert_eq!(room.speaking, [("ann/mic".to_string(), true)]);
    assert_eq!(room.peers[&room.browsers[ann].key].srtp_profile(), Some(SrtpProfile::AeadAesGcm));
}

#[test]
fn a_browser_that_reaches_us_by_tcp_only_connects_and_hears() {
    let mut room = Room::new();
    let ann = room.join_connected(&Join::named("ann"));
    let bob = room.join_connected(&Join { protocol: Protocol::Tcp, ..Join::named("bob") });
    room.speak(ann, -20, 50);
    room.speak(bob, -20, 50);
    assert_eq!(room.browsers[bob].received.len(), 50);
    assert_eq!(room.browsers[ann].received.len(), 50);
    let by_tcp = |event: &PeerEvent| matches!(event, PeerEvent::RemoteAddress { protocol: Protocol::Tcp, .. });
    let bobs = room.browsers[bob].key;
    assert!(room.events.iter().any(|(key, event)| *key == bobs && by_tcp(event)));
}

#[test]
fn with_more_talkers_than_slots_the_speakers_are_heard_and_each_slot_stays_one_stream() {
    let mut room = Room::new();
    let listener = room.join_connected(&Join { audio_slots: 2, ..Join::named("listener") });
    let names = ["a", "b", "c", "d"];
    let talkers: Vec<_> = names.iter().map(|name| room.join_connected(&Join::named(name))).collect();
    for turn in 0..8 {
        let loud = [talkers[turn % 4], talkers[(turn + 1) % 4]];
        for _ in 0..60 {
            for talker in &talkers {
                let level = if loud.contains(talker) { -20 } else { -90 };
                let now = room.now;
                room.browsers[*talker].send_audio(now, level);
            }
            room.run(Duration::from_millis(20));
        }
        for talker in loud {
            let track = format!("{}/mic", room.browsers[talker].name);
            assert!(room.slot_of(listener, &track).is_some(), "{track} speaks in turn {turn} and has no slot");
        }
    }
    for slot in room.browsers[listener].audio_slots.clone() {
        let heard = room.browsers[listener].on(slot);
        assert!(heard.len() > 300);
        assert!(marks(&heard).windows(2).filter(|pair| pair[0] != pair[1]).count() >= 2, "the slot changed source");
        for pair in heard.windows(2) {
            assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
            let step = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
            assert!((1..48_000).contains(&step), "timestamp advanced by {step}");
        }
    }
}

#[test]
fn a_phones_voice_is_a_track_like_any_other() {
    let mut room = Room::new();
    let bob = room.join_connected(&Join::named("bob"));
    let phone = room.publish_phone("phone-1");
    for frame in 0..50_u32 {
        let audio = InjectedAudio {
            timestamp: frame * 960,
            marker: frame == 0,
            level: -25,
            voice: true,
            payload: vec![0x70; 60].into(),
        };
        room.router.inject_audio(room.now, phone, &audio);
        room.drain_router();
        room.run(Duration::from_millis(20));
    }
    let slot = room.slot_of(bob, "phone-1").expect("the phone is in a slot");
    let heard = room.browsers[bob].on(slot);
    assert_eq!(heard.len(), 50);
    assert!(heard.windows(2).all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1));
    assert_eq!(heard[10].header.ext_vals.audio_level, Some(-25));
    assert_eq!(&heard[10].payload[..], &[0x70; 60]);
    assert!(room.router.is_speaking("phone-1"));
    assert!(room.router.unpublish(room.now, "phone-1"));
    room.drain_router();
    assert_eq!(room.slot_of(bob, "phone-1"), None);
}

#[test]
fn a_moderators_mute_stops_the_audio_at_the_server_and_unmute_brings_it_back() {
    let mut room = Room::new();
    let (ann, bob) = (room.join_connected(&Join::named("ann")), room.join_connected(&Join::named("bob")));
    room.speak(ann, -20, 20);
    room.run(SECOND / 10);
    let before = room.browsers[bob].received.len();
    assert_eq!(before, 20);
    assert!(room.router.set_muted(room.now, "ann/mic", true));
    room.speak(ann, -20, 20);
    assert_eq!(room.browsers[bob].received.len(), before);
    assert_eq!(room.slot_of(bob, "ann/mic"), None);
    assert!(!room.router.is_speaking("ann/mic"));
    assert!(room.router.set_muted(room.now, "ann/mic", false));
    room.speak(ann, -20, 20);
    room.run(SECOND / 10);
    let after = room.browsers[bob].received.iter().collect::<Vec<_>>();
    assert_eq!(after.len(), before + 20);
    assert!(after.windows(2).all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1), "the stream has no break");
}

#[test]
fn who_leaves_is_gone_from_every_slot_and_the_rest_goes_on() {
    let mut room = Room::new();
    let (ann, bob) = (room.join_connected(&Join::named("ann")), room.join_connected(&Join::named("bob")));
    room.speak(ann, -20, 10);
    let key = room.browsers[ann].key;
    let now = room.now;
    room.peers.get_mut(&key).unwrap().close(now);
    room.run(SECOND / 10);
    let ended = room.events.iter().any(|(of, event)| *of == key && matches!(event, PeerEvent::Ended { .. }));
    assert!(ended);
    assert!(room.browsers[ann].closed, "the browser was told");
    room.router.remove_peer(room.now, key);
    room.drain_router();
    assert_eq!(room.slot_of(bob, "ann/mic"), None);
    assert!(room.router.track("ann/cam").is_none());
    assert!(room.is_connected(bob));
}

#[test]
fn after_an_ice_restart_media_goes_on_in_the_same_streams() {
    let mut room = Room::new();
    let (ann, bob) = (room.join_connected(&Join::named("ann")), room.join_connected(&Join::named("bob")));
    room.speak(ann, -20, 20);
    room.cut = true;
    let bobs = room.browsers[bob].key;
    let lost = |room: &Room| {
        let is = |event: &PeerEvent| matches!(event, PeerEvent::IceStateChanged(IceState::Disconnected));
        room.events.iter().any(|(key, event)| *key == bobs && is(event))
    };
    room.run_until(20 * SECOND, lost);
    room.cut = false;
    for index in [ann, bob] {
        let (offer, pending) = room.browsers[index].restart_ice();
        let key = room.browsers[index].key;
        let credentials = room.credentials(key);
        let now = room.now;
        let answer = room.peers.get_mut(&key).unwrap().accept_restart(now, &offer, &credentials).unwrap();
        assert!(answer.contains(&format!("a=ice-ufrag:{}\r\n", credentials.ufrag())));
        room.browsers[index].take_answer(pending, &answer);
    }
    room.run_until(5 * SECOND, |room| room.browsers[bob].rtc.is_connected() && room.browsers[ann].rtc.is_connected());
    room.browsers[bob].received.clear();
    room.speak(ann, -20, 50);
    room.run(SECOND / 10);
    let slot = room.slot_of(bob, "ann/mic").unwrap();
    assert!(room.browsers[bob].received.len() >= 45, "heard {}", room.browsers[bob].received.len());
    assert!(room.browsers[bob].audio_slots.contains(&slot));
    assert!(room.peers.values().all(|peer| peer.ended().is_none()));
}

#[test]
fn a_browser_that_never_connects_or_is_lost_ends_its_peer_in_time() {
    let mut room = Room::new();
    room.cut = true;
    let ann = room.join(&Join::named("ann"));
    let key = room.browsers[ann].key;
    room.run(31 * SECOND);
    assert_eq!(room.peers[&key].ended(), Some(&dialroom_rtc::EndReason::ConnectTimeout));

    let mut room = Room::new();
    let bob = room.join_connected(&Join::named("bob"));
    let key = room.browsers[bob].key;
    room.cut = true;
    room.run(60 * SECOND);
    assert_eq!(room.peers[&key].ended(), Some(&dialroom_rtc::EndReason::ConnectionLost));
}

#[test]
fn a_browser_moved_to_another_room_hears_that_room_in_the_same_streams() {
    let mut room = Room::new();
    let [ann, bob, cat] = ["ann", "bob", "cat"].map(|name| room.join_connected(&Join::named(name)));
    room.speak(ann, -20, 50);
    let (bobs, cats) = (room.browsers[bob].key, room.browsers[cat].key);
    let now = room.now;
    let [bob_seat, cat_seat] = [bobs, cats].map(|key| room.router.remove_peer(now, key).expect("is in the room"));
    let mut breakout = dialroom_rtc::Router::new();
    breakout.seat(bob_seat);
    breakout.seat(cat_seat);
    let mid = room.browsers[cat].publish[0];
    let track = dialroom_rtc::TrackDescription {
        id: "cat/mic".into(),
        participant: "cat".into(),
        kind: dialroom_rtc::MediaKind::Audio,
        source: dialroom_rtc::Source::Microphone,
        origin: dialroom_rtc::Origin::Peer { peer: cats, mid },
    };
    breakout.publish(now, track).unwrap();
    std::mem::swap(&mut room.router, &mut breakout);
    room.speak(cat, -20, 50);
    room.run(SECOND / 10);
    let slot = room.slot_of(bob, "cat/mic").expect("bob hears cat");
    assert_eq!(room.slot_of(bob, "ann/mic"), None);
    let heard = room.browsers[bob].on(slot);
    assert_eq!(heard.len(), 100, "50 of ann, then 50 of cat, in one stream");
    assert!(heard.windows(2).all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1));
    assert_eq!((heard[49].payload[9], heard[50].payload[9]), (1, 3));
}
