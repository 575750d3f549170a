//! Browsers and phones in one room.

mod common;

use common::World;
use common::phone::Phone;
use dialroom_protocol::{Answer, CodecName, Command, Event, PlayItem, Slot, TrackSource};

const LOUD: f64 = 2000.0;
const QUIET: f64 = 200.0;

#[test]
fn a_phone_and_a_browser_hear_each_other_and_not_themselves() {
    for codec in [CodecName::Pcmu, CodecName::G722, CodecName::Opus] {
        let mut world = World::new();
        world.open_bridge("room");
        let phone = world.call_into("room", Phone::with_codec(1, 400.0, codec));
        let browser = world.join("room", 1, 1000.0);
        world.run(1000);
        world.listen(1000);
        let (there, own) = (world.phones[phone].hears(1000.0), world.phones[phone].hears(400.0));
        assert!(there > LOUD && own < QUIET, "{codec:?}: the phone hears {there}, of itself {own}");
        let (there, own) = (world.browsers[browser].hears(400.0), world.browsers[browser].hears(1000.0));
        assert!(there > LOUD && own < QUIET, "{codec:?}: the browser hears {there}, of itself {own}");
    }
}

#[test]
fn a_browser_is_told_who_is_in_its_slots_and_who_speaks() {
    let mut world = World::new();
    world.open_bridge("room");
    world.join("room", 1, 1000.0);
    world.call_into("room", Phone::new(1, 400.0));
    world.run(1500);
    assert!(world.has_event(|event| matches!(
        event, Event::SlotsChanged { peer, slots }
            if peer == "peer 1" && slots.iter().any(|slot| slot.participant.as_deref() == Some("of leg 1"))
    )));
    assert!(world.has_event(|event| matches!(
        event, Event::SpeakersChanged { speakers, .. } if speakers.len() == 2
    )));
    world.perform(Command::CloseLeg { leg: "leg 1".into() });
    world.run(100);
    let last = world.events.iter().rev().find_map(|event| match event {
        Event::SlotsChanged { slots, .. } => Some(slots.clone()),
        _ => None,
    });
    assert!(last.is_some_and(|slots| slots.iter().all(|slot| slot.participant.is_none())), "the slot is free again");
}

#[test]
fn browsers_hear_and_see_each_other() {
    let mut world = World::new();
    world.open_bridge("room");
    let (ann, bob) = (world.join("room", 1, 400.0), world.join("room", 2, 1000.0));
    let slot = world.browsers[bob].video_slots[0].clone();
    let wanted = Slot { mid: slot.clone(), participant: Some("of peer 1".into()), source: Some(TrackSource::Camera) };
    world.perform(Command::Subscribe { peer: "peer 2".into(), slots: vec![wanted] });
    for frame in 0..50 {
        let now = world.now;
        world.browsers[ann].show(now, frame % 10 == 0);
        world.run(20);
    }
    assert!(world.browsers[bob].video.get(&slot).is_some_and(|packets| *packets > 30), "the camera is shown");
    world.listen(500);
    assert!(world.browsers[bob].hears(400.0) > LOUD);
    assert!(world.browsers[ann].hears(1000.0) > LOUD);
}

#[test]
fn a_video_slot_shows_what_is_published_later() {
    let mut world = World::new();
    world.open_bridge("room");
    let bob = world.join("room", 2, 1000.0);
    let slot = world.browsers[bob].video_slots[1].clone();
    let wanted = Slot { mid: slot.clone(), participant: Some("of peer 1".into()), source: Some(TrackSource::Camera) };
    world.perform(Command::Subscribe { peer: "peer 2".into(), slots: vec![wanted] });
    let ann = world.join("room", 1, 400.0);
    for frame in 0..50 {
        let now = world.now;
        world.browsers[ann].show(now, frame % 10 == 0);
        world.run(20);
    }
    assert!(world.browsers[bob].video.get(&slot).is_some_and(|packets| *packets > 30));
}

#[test]
fn a_blocked_microphone_is_heard_by_nobody() {
    let mut world = World::new();
    world.open_bridge("room");
    let phone = world.call_into("room", Phone::new(1, 400.0).silent());
    world.join("room", 1, 1000.0);
    let bob = world.join("room", 2, 1700.0);
    world.run(1000);
    let block = |blocked| Command::BlockTrack { peer: "peer 1".into(), source: TrackSource::Microphone, blocked };
    world.perform(block(true));
    world.run(500);
    world.listen(500);
    assert!(world.phones[phone].hears(1000.0) < QUIET);
    assert!(world.browsers[bob].hears(1000.0) < QUIET);
    assert!(world.phones[phone].hears(1700.0) > LOUD);
    world.perform(block(false));
    world.run(1000);
    world.listen(500);
    assert!(world.phones[phone].hears(1000.0) > LOUD);
    assert!(world.browsers[bob].hears(1000.0) > LOUD);
}

#[test]
fn a_muted_phone_is_not_heard_by_browsers() {
    let mut world = World::new();
    world.open_bridge("room");
    world.call_into("room", Phone::new(1, 400.0));
    let browser = world.join("room", 1, 1000.0);
    world.run(1000);
    world.perform(Command::MuteLeg { leg: "leg 1".into(), muted: true });
    world.run(100);
    world.listen(500);
    assert_eq!(world.browsers[browser].heard_samples(), 0);
}

#[test]
fn an_announcement_is_heard_by_browsers_and_phones_but_not_by_whom_it_is_about() {
    let mut world = World::new();
    world.open_bridge("room");
    let phone = world.call_into("room", Phone::new(1, 400.0).silent());
    let (ann, bob) = (world.join_silently("room", 1), world.join_silently("room", 2));
    world.run(200);
    world.perform(Command::PlayToBridge {
        bridge: "room".into(),
        items: vec![PlayItem::Tone { frequency: 900.0, duration: 800, level: -15.0 }],
        except_participant: Some("of peer 2".into()),
    });
    world.run(100);
    world.listen(500);
    assert!(world.phones[phone].hears(900.0) > LOUD);
    assert!(world.browsers[ann].hears(900.0) > LOUD);
    assert!(world.browsers[bob].hears(900.0) < QUIET);
    world.run(500);
    let named = |event: &Event| {
        matches!(
            event, Event::SlotsChanged { slots, .. } if slots.iter().any(|slot| slot.participant.is_some())
        )
    };
    assert!(!world.has_event(named), "an announcement is nobody's voice");
}

#[test]
fn a_browser_that_moves_to_another_bridge_hears_the_new_one() {
    let mut world = World::new();
    world.open_bridge("room");
    world.open_bridge("other");
    let here = world.call_into("room", Phone::new(1, 400.0));
    let there = world.call_into("other", Phone::new(2, 700.0));
    let browser = world.join("room", 1, 1500.0);
    world.run(1000);
    let participant = "of peer 1 again".to_owned();
    world.perform(Command::JoinPeer { peer: "peer 1".into(), bridge: "other".into(), participant });
    world.run(1000);
    world.listen(1000);
    assert!(world.browsers[browser].hears(700.0) > LOUD);
    assert!(world.browsers[browser].hears(400.0) < QUIET);
    assert!(world.browsers[browser].hears(1500.0) < QUIET);
    assert!(world.phones[there].hears(1500.0) > LOUD);
    assert!(world.phones[here].hears(1500.0) < QUIET);
}

#[test]
fn a_closed_peer_leaves_nothing_behind() {
    let mut world = World::new();
    world.open_bridge("room");
    let phone = world.call_into("room", Phone::new(1, 400.0));
    world.join("room", 1, 1000.0);
    world.run(500);
    world.perform(Command::ClosePeer { peer: "peer 1".into() });
    world.perform(Command::ClosePeer { peer: "peer 1".into() });
    world.browsers.clear();
    world.run(300);
    world.listen(500);
    assert!(world.phones[phone].hears(1000.0) < QUIET);
    assert_eq!(world.shard.metrics()["dialroom_media_peers"], 0.0);
}

#[test]
fn a_browser_that_lost_its_connection_comes_back_without_leaving() {
    let mut world = World::new();
    world.open_bridge("room");
    let phone = world.call_into("room", Phone::new(1, 400.0));
    let browser = world.join("room", 1, 1000.0);
    world.run(500);
    world.browsers[browser].cut = true;
    world.run(30_000);
    assert!(world.has_event(|event| matches!(event, Event::PeerDisconnected { .. })));
    world.browsers[browser].cut = false;
    let (offer, pending) = world.browsers[browser].restart();
    let answer = world.request(Command::RestartPeer { peer: "peer 1".into(), offer });
    let Ok(Some(Answer::PeerOpened { answer })) = answer else {
        panic!("the restart is answered by {answer:?}");
    };
    world.browsers[browser].take_answer(pending, &answer);
    let told = |world: &World| world.count_events(|event| matches!(event, Event::PeerConnected { .. }));
    world.run_until(|world| told(world) == 2);
    world.run(1000);
    world.listen(1000);
    assert!(world.phones[phone].hears(1000.0) > LOUD);
    assert!(world.browsers[browser].hears(400.0) > LOUD);
    assert!(!world.has_event(|event| matches!(event, Event::PeerEnded { .. })));
}
