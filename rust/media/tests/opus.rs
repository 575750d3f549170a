//! Opus towards phones, as each of them asks for it.

mod common;

use common::World;
use common::phone::Phone;
use dialroom_protocol::{CodecName, OpusParameters};

const LOUD: f64 = 2500.0;

#[test]
fn opus_is_sent_as_each_phone_asks_whether_it_listens_or_speaks() {
    let mut world = World::new();
    world.open_bridge("room");
    let speaker = world.call_into("room", Phone::new(1, 400.0));
    let opus = |number| Phone::with_codec(number, 1000.0, CodecName::Opus);
    let any = world.call_into("room", opus(2).silent());
    let slow = OpusParameters { maxaveragebitrate: 8_000, ..OpusParameters::default() };
    let slow_listener = world.call_into("room", opus(3).asks(slow).silent());
    let slow_talker = world.call_into("room", opus(4).asks(slow));
    let steady = OpusParameters { cbr: true, maxaveragebitrate: 16_000, ..OpusParameters::default() };
    let steady_listener = world.call_into("room", opus(5).asks(steady).silent());
    let pausing = world.call_into("room", opus(6).asks(OpusParameters { usedtx: true, ..slow }).silent());
    world.run(600);
    world.listen_for_packets(3000);
    for phone in &world.phones[any..] {
        assert!(phone.hears(400.0) > LOUD, "{}: {}", phone.leg, phone.hears(400.0));
    }
    let rate = |world: &World, phone: usize| world.phones[phone].packets.iter().map(|p| p.0 * 8).sum::<usize>() / 3;
    assert!(rate(&world, any) > 9_000, "{}", rate(&world, any));
    assert!(rate(&world, slow_listener) <= 8_000 && rate(&world, slow_talker) <= 8_000);
    assert!(world.phones[steady_listener].packets.iter().all(|(bytes, _, _)| *bytes == 40));
    world.phones[speaker].speaking = false;
    world.phones[slow_talker].speaking = false;
    world.run(1500);
    world.listen_for_packets(2000);
    assert_eq!(world.phones[slow_listener].packets.len(), 100);
    assert!(world.phones[pausing].packets.len() < 30, "{}", world.phones[pausing].packets.len());
}

#[test]
fn a_re_invite_changes_only_how_opus_is_sent() {
    let mut world = World::new();
    world.open_bridge("room");
    let one = world.call_into("room", Phone::new(1, 400.0));
    let three = world.call_into("room", Phone::with_codec(3, 1500.0, CodecName::Opus));
    world.run(600);
    world.listen_for_packets(1000);
    let free: usize = world.phones[three].packets.iter().map(|packet| packet.0).sum();
    world.phones[three].opus = Some(OpusParameters { maxaveragebitrate: 6_000, ..OpusParameters::default() });
    let media = world.phones[three].media();
    world.configure("leg 3", media);
    world.run(100);
    world.listen_for_packets(1000);
    let bound: usize = world.phones[three].packets.iter().map(|packet| packet.0).sum();
    // What the first 100 ms left over may be used up, too.
    assert!(bound * 8 <= 6_600 && bound < free, "{bound} bytes a second after {free}");
    assert!(world.phones[three].hears(400.0) > LOUD && world.phones[one].hears(1500.0) > LOUD);
    let steps = world.phones[three].packets.windows(2).map(|pair| pair[1].2.wrapping_sub(pair[0].2));
    assert!(steps.into_iter().all(|step| step == 960), "the timestamps have no gap");
}
