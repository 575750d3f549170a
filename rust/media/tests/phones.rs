//! Phones in a room: what each hears, and what the engine tells.

mod common;

use std::net::SocketAddr;

use common::World;
use common::phone::Phone;
use dialroom_audio::rtp::rtcp::RtcpItem;
use dialroom_media::latch::CONSISTENT_PACKETS;
use dialroom_media::outbox::Tap;
use dialroom_protocol::{CodecName, Command, Direction, Event, PlayItem, PlaybackEnd, RecordingDirection, RefusalCode};

const LOUD: f64 = 2500.0;
const QUIET: f64 = 150.0;

const CODECS: [CodecName; 4] = [CodecName::Pcmu, CodecName::Pcma, CodecName::G722, CodecName::Opus];

fn two_phones() -> (World, usize, usize) {
    let mut world = World::new();
    world.open_bridge("room");
    let one = world.call_into("room", Phone::new(1, 400.0));
    let two = world.call_into("room", Phone::new(2, 1000.0));
    world.run(500);
    (world, one, two)
}

#[test]
fn each_phone_hears_the_other_and_not_itself_whatever_their_codecs() {
    for first in CODECS {
        for second in CODECS {
            let mut world = World::new();
            world.open_bridge("room");
            let one = world.call_into("room", Phone::with_codec(1, 400.0, first));
            let two = world.call_into("room", Phone::with_codec(2, 1000.0, second));
            world.run(600);
            world.listen(1000);
            let pair = format!("{first:?} with {second:?}");
            for (listener, speaker) in [(one, two), (two, one)] {
                let heard = &world.phones[listener];
                let (other, own) = (heard.hears(world.phones[speaker].frequency), heard.hears(heard.frequency));
                assert!(other > LOUD, "{pair}: the other is heard at {other}");
                assert!(own < QUIET, "{pair}: the own voice is heard at {own}");
            }
        }
    }
}

#[test]
fn phones_of_every_packet_duration_hear_each_other() {
    let mut world = World::new();
    world.open_bridge("room");
    let durations = [10, 20, 30, 40, 50, 60];
    let speaker = world.call_into("room", Phone::new(1, 400.0));
    for (index, ptime) in durations.into_iter().enumerate() {
        world.call_into("room", Phone::new(10 + index as u16, 1000.0).ptime(ptime).silent());
    }
    let talker = world.call_into("room", Phone::new(2, 1500.0).ptime(30));
    world.run(600);
    world.listen(1200);
    for (phone, ptime) in world.phones[1..7].iter().zip(durations) {
        assert!(phone.hears(400.0) > LOUD && phone.hears(1500.0) > LOUD, "{ptime} ms");
        assert!(phone.packets.iter().all(|(bytes, _, _)| *bytes == ptime as usize * 8), "{ptime} ms");
        let steps = phone.packets.windows(2).map(|pair| pair[1].2.wrapping_sub(pair[0].2));
        assert!(steps.into_iter().all(|step| step == ptime * 8), "{ptime} ms: the timestamps have no gap");
    }
    assert!(world.phones[speaker].hears(1500.0) > LOUD);
    assert!(world.phones[talker].hears(400.0) > LOUD);
}

#[test]
fn in_a_room_of_two_hundred_everybody_hears_the_three_who_speak() {
    let mut world = World::new();
    world.open_bridge("room");
    let tones = [400.0, 700.0, 1500.0];
    for number in 0..200u16 {
        let phone = Phone::new(number, tones[usize::from(number) % 3]);
        world.call_into("room", if number < 3 { phone } else { phone.silent() });
        world.run(10);
    }
    // Who never speaks is never latched, and keeps a port to itself: the speakers share.
    world.run(600);
    world.listen(1000);
    for phone in &world.phones {
        for tone in tones {
            let own = phone.speaking && phone.frequency == tone;
            let power = phone.hears(tone);
            assert!(if own { power < QUIET } else { power > 1500.0 }, "{} hears {tone} Hz at {power}", phone.leg);
        }
    }
    assert!(world.has_event(|event| matches!(event, Event::SpeakersChanged { speakers, .. } if speakers.len() == 3)));
}

#[test]
fn a_hundred_legs_share_a_few_ports() {
    let mut world = World::new();
    world.open_bridge("room");
    for number in 0..100 {
        world.call_into("room", Phone::new(number, 400.0));
        world.run(60);
    }
    assert!(world.ports.opened <= 2, "{} ports are open", world.ports.opened);
}

#[test]
fn sound_survives_loss_and_the_loss_is_told() {
    let (mut world, _, two) = two_phones();
    world.loss_percent = 10;
    world.run(4000);
    world.listen(2000);
    assert!(world.phones[two].hears(400.0) > 1500.0);
    let statistics = world.statistics("leg 1");
    assert!((0.04..0.16).contains(&statistics.loss), "{statistics:?}");
    assert!(statistics.mos.is_some_and(|mos| mos > 2.0));
}

#[test]
fn a_re_invite_moves_the_port_and_the_old_one_is_a_stranger() {
    let (mut world, one, two) = two_phones();
    world.run_until_arrived();
    let old = world.phones[one].address;
    world.phones[one].address = SocketAddr::new(old.ip(), 4600);
    world.phones[one].ssrc += 77;
    let media = world.phones[one].media();
    world.configure("leg 1", media);
    world.run(500);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD);
    assert!(world.phones[two].hears(400.0) > LOUD);
    let (_, server, bytes) = world.phones[one].packet(0, 0, &[0xff; 160]);
    world.send(old, server, bytes);
    world.run(50);
    assert!(world.has_event(|event| matches!(
        event, Event::SourceRejected { address, .. } if *address == old.to_string()
    )));
}

#[test]
fn a_re_invite_changes_the_codec_without_losing_the_call() {
    let (mut world, one, two) = two_phones();
    for codec in [CodecName::G722, CodecName::Opus, CodecName::Pcma, CodecName::Pcmu] {
        world.run_until_arrived();
        world.phones[one].change_codec(codec);
        let media = world.phones[one].media();
        world.configure("leg 1", media);
        // What is on its way is still of the old codec.
        world.run(20);
        world.phones[one].heard.clear();
        world.run(500);
        world.listen(600);
        assert!(world.phones[one].hears(1000.0) > LOUD, "{codec:?}");
        assert!(world.phones[two].hears(400.0) > LOUD, "{codec:?}");
    }
}

#[test]
fn a_phone_behind_a_nat_is_learnt_and_cannot_be_robbed() {
    let mut world = World::new();
    let mut phone = Phone::new(1, 400.0);
    phone.said = Some(SocketAddr::from(([10, 0, 0, 7], 4000)));
    let one = world.call(phone);
    world.perform(Command::Play {
        leg: "leg 1".into(),
        playback: "p".into(),
        items: vec![PlayItem::Tone { frequency: 1000.0, duration: 60_000, level: -15.0 }],
        repeat: true,
    });
    world.run(u64::from(CONSISTENT_PACKETS) * 20 + 100);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD, "it hears us where it really is");
    let thief = SocketAddr::from(([203, 0, 113, 66], 9));
    for _ in 0..50 {
        let (_, server, bytes) = world.phones[one].packet(0, 0, &[0x80; 160]);
        world.send(thief, server, bytes);
        world.run(20);
    }
    assert_eq!(
        world.count_events(|e| matches!(e, Event::SourceRejected { address, .. } if *address == thief.to_string())),
        1,
        "told once"
    );
    assert!(world.statistics("leg 1").packets_rejected >= 50);
}

fn behind_nat(number: u16, frequency: f64) -> Phone {
    let mut phone = Phone::new(number, frequency);
    phone.said = Some(SocketAddr::from(([10, 0, 0, 7], 4000)));
    phone.signalling = Some(phone.address.ip());
    phone
}

#[test]
fn a_stranger_who_sends_before_a_phone_behind_a_nat_does_not_get_its_leg() {
    for packets in [3, 10, 60] {
        let mut world = World::new();
        world.open_bridge("room");
        let listener = world.call_into("room", Phone::new(2, 1000.0).silent());
        let one = world.call_into("room", behind_nat(1, 400.0).silent());
        let mut stranger = Phone::new(9, 1600.0);
        stranger.server = world.phones[one].server;
        for _ in 0..packets {
            let (source, server, bytes) = stranger.packet(0, 0, &[0x80; 160]);
            world.send(source, server, bytes);
            world.run(20);
        }
        world.phones[one].speaking = true;
        world.run(300);
        world.listen(500);
        assert!(!world.phones[one].heard.is_empty(), "after {packets} packets of a stranger it is sent to");
        assert!(world.phones[listener].hears(400.0) > LOUD, "after {packets} packets of a stranger it is heard");
    }
}

#[test]
fn a_phone_behind_a_nat_that_uses_the_ssrc_of_another_leg_of_its_port_is_heard() {
    let mut world = World::new();
    world.open_bridge("room");
    let one = world.call_into("room", Phone::new(1, 400.0));
    world.run(300);
    let mut second = behind_nat(900, 1000.0);
    second.ssrc = world.phones[one].ssrc;
    let two = world.call_into("room", second);
    assert_eq!(world.phones[one].server, world.phones[two].server, "they share a port");
    world.run(500);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD);
    assert!(world.phones[two].hears(400.0) > LOUD);
}

#[test]
fn on_hold_nothing_is_sent_or_mixed_and_afterwards_the_call_goes_on() {
    let (mut world, one, two) = two_phones();
    world.phones[one].direction = Direction::Inactive;
    let media = world.phones[one].media();
    world.configure("leg 1", media);
    world.run(300);
    world.listen(2000);
    assert_eq!(world.phones[one].heard.len(), 0, "nothing is sent to a phone on hold");
    assert!(world.phones[two].hears(400.0) < QUIET, "nor heard of it");
    world.phones[one].direction = Direction::SendRecv;
    let media = world.phones[one].media();
    world.configure("leg 1", media);
    world.run(500);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD);
    assert!(world.phones[two].hears(400.0) > LOUD);
    assert!(!world.has_event(|event| matches!(event, Event::LegEnded { .. })));
}

#[test]
fn a_phone_that_falls_silent_is_told_of_but_not_ended() {
    let (mut world, one, _) = two_phones();
    world.phones[one].speaking = false;
    world.run(41_500);
    let silences: Vec<u64> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::LegSilent { leg, silence } if leg == "leg 1" => Some(*silence / 1000),
            _ => None,
        })
        .collect();
    assert_eq!(silences, [20, 30, 40]);
    world.phones[one].speaking = true;
    world.run(500);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD);
    assert!(!world.has_event(|event| matches!(event, Event::LegEnded { .. })));
}

#[test]
fn each_key_press_is_told_once_even_if_packets_are_lost() {
    let (mut world, one, _) = two_phones();
    for key in [1u8, 1, 11] {
        for (index, (source, destination, bytes)) in world.phones[one].press(key).into_iter().enumerate() {
            if index % 3 != 2 {
                world.send(source, destination, bytes);
            }
            world.run(20);
        }
        world.run(300);
    }
    let digits: Vec<&str> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::DigitReceived { digit, .. } => Some(digit.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(digits, ["1", "1", "#"]);
}

#[test]
fn digits_are_sent_as_events_and_the_voice_goes_on_afterwards() {
    for (codec, ptime) in [(CodecName::Pcmu, 20), (CodecName::Opus, 20), (CodecName::Pcma, 40)] {
        let mut world = World::new();
        let one = world.call(Phone::with_codec(1, 400.0, codec).ptime(ptime));
        world.run(200);
        let (leg, digits) = ("leg 1".to_owned(), "42".to_owned());
        world.perform(Command::SendDigits { leg, digits, duration: 120, gap: 80 });
        world.run_until(|world| world.has_event(|event| matches!(event, Event::DigitsSent { .. })));
        let ends: Vec<u8> = world.phones[one].events.iter().filter(|(_, end)| *end).map(|(event, _)| *event).collect();
        assert_eq!(ends, [4, 4, 4, 2, 2, 2], "{codec:?}");
        world.listen(200);
        assert!(!world.phones[one].heard.is_empty());
    }
}

#[test]
fn what_is_played_to_one_leg_is_not_heard_by_others_and_the_room_goes_on_quieter() {
    let (mut world, one, two) = two_phones();
    world.perform(Command::Play {
        leg: "leg 1".into(),
        playback: "p".into(),
        items: vec![
            PlayItem::Tone { frequency: 2200.0, duration: 990, level: -15.0 },
            PlayItem::Silence { duration: 10 },
        ],
        repeat: false,
    });
    world.run(100);
    world.listen(800);
    let (prompt, room) = (world.phones[one].hears(2200.0), world.phones[one].hears(1000.0));
    assert!(prompt > LOUD, "the prompt is heard at {prompt}");
    assert!((300.0..2500.0).contains(&room), "the room is heard at {room}");
    assert!(world.phones[two].hears(2200.0) < QUIET);
    world.run(300);
    let ended = |event: &Event| matches!(event, Event::PlaybackEnded { reason: PlaybackEnd::Finished, .. });
    assert_eq!(world.count_events(ended), 1);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD, "the room is as loud as before");
}

#[test]
fn what_was_announced_to_nobody_is_not_heard_by_who_comes_later() {
    let mut world = World::new();
    world.open_bridge("room");
    for _ in 0..20 {
        world.perform(Command::PlayToBridge {
            bridge: "room".into(),
            items: vec![PlayItem::Tone { frequency: 2200.0, duration: 2000, level: -15.0 }],
            except_participant: None,
        });
    }
    world.run(100);
    let late = world.call_into("room", Phone::new(1, 400.0));
    world.run(500);
    assert!(world.phones[late].hears(2200.0) < QUIET);
}

#[test]
fn an_announcement_ends_with_the_last_who_could_hear_it() {
    let mut world = World::new();
    world.open_bridge("room");
    let first = world.call_into("room", Phone::new(2, 1000.0));
    world.perform(Command::PlayToBridge {
        bridge: "room".into(),
        items: vec![PlayItem::Tone { frequency: 2200.0, duration: 5000, level: -15.0 }],
        except_participant: None,
    });
    world.run(300);
    assert!(world.phones[first].hears(2200.0) > LOUD / 2.0);
    world.perform(Command::CloseLeg { leg: "leg 2".into() });
    let late = world.call_into("room", Phone::new(1, 400.0));
    world.run(500);
    assert!(world.phones[late].hears(2200.0) < QUIET);
}

#[test]
fn a_loud_prompt_over_a_loud_room_is_not_cut_off_at_full_scale() {
    let mut world = World::new();
    world.open_bridge("room");
    for (number, tone) in [(1, 400.0), (2, 700.0), (3, 1300.0)] {
        world.call_into("room", Phone::new(number, tone));
    }
    world.call_into("room", Phone::new(4, 1900.0).silent());
    world.perform(Command::SetLegGain { leg: "leg 4".into(), gain: 20.0 });
    world.perform(Command::Play {
        leg: "leg 4".into(),
        playback: "p".into(),
        items: vec![PlayItem::Tone { frequency: 1000.0, duration: 60_000, level: -4.0 }],
        repeat: true,
    });
    world.run(600);
    world.perform(Command::StartRecording {
        recording: "r".into(),
        leg: "leg 4".into(),
        path: "unused".into(),
        direction: RecordingDirection::Told,
    });
    world.run(1000);
    let told: Vec<i16> = world
        .taps
        .iter()
        .filter_map(|tap| match tap {
            Tap::Frame { length, samples, .. } => Some(&samples[..*length]),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    assert!(told.len() >= 7500, "{} samples", told.len());
    assert!(common::tone_power(&told, 1000.0, 8000.0) > 8000.0, "the prompt is heard");
    assert!(common::tone_power(&told, 700.0, 8000.0) > 2000.0, "and so is the room");
    let full = |sample: &i16| sample.unsigned_abs() > 32_500;
    assert!(!told.windows(2).any(|pair| pair.iter().all(full)), "nothing is cut off");
}

#[test]
fn a_caller_can_have_the_room_louder_or_quieter() {
    let (mut world, one, _) = two_phones();
    world.listen(500);
    let normal = world.phones[one].hears(1000.0);
    world.perform(Command::SetLegGain { leg: "leg 1".into(), gain: -12.0 });
    world.run(100);
    world.listen(500);
    let quieter = world.phones[one].hears(1000.0);
    assert!((3.0..5.5).contains(&(normal / quieter)), "{normal} became {quieter}");
}

#[test]
fn reports_go_both_ways_and_tell_loss_and_round_trip() {
    let (mut world, one, _) = two_phones();
    world.run(12_000);
    let senders = world.phones[one].reports.iter().filter(|item| matches!(item, RtcpItem::Sender { .. })).count();
    assert!((2..=3).contains(&senders), "a report each five seconds, {senders} came");
    let about_us = world.phones[one].reports.iter().any(|item| {
        matches!(
            item, RtcpItem::Reception { block, .. } if block.ssrc == world.phones[one].ssrc
        )
    });
    assert!(about_us, "it says how the phone's stream arrives");
    assert!(world.has_event(|event| matches!(event, Event::StatisticsReported { leg, .. } if leg == "leg 1")));
}

#[test]
fn a_leg_moves_between_bridges_and_is_heard_only_where_it_is() {
    let (mut world, one, two) = two_phones();
    world.open_bridge("other");
    let three = world.call_into("other", Phone::new(3, 1600.0));
    let participant = "p".to_owned();
    world.perform(Command::JoinLeg { leg: "leg 1".into(), bridge: "other".into(), participant, muted: false });
    world.run(500);
    world.listen(500);
    assert!(world.phones[three].hears(400.0) > LOUD);
    assert!(world.phones[one].hears(1600.0) > LOUD);
    assert!(world.phones[one].hears(1000.0) < QUIET);
    assert!(world.phones[two].hears(400.0) < QUIET);
    world.perform(Command::CloseBridge { bridge: "other".into() });
    world.run(200);
    world.listen(300);
    assert!(world.phones[one].hears(1600.0) < QUIET);
    assert!(!world.phones[one].heard.is_empty(), "a leg in no bridge hears silence, not nothing");
}

#[test]
fn commands_can_be_repeated_and_wrong_ones_change_nothing() {
    let (mut world, _, _) = two_phones();
    world.open_bridge("room");
    let join =
        Command::JoinLeg { leg: "leg 1".into(), bridge: "room".into(), participant: "of leg 1".into(), muted: false };
    world.perform(join.clone());
    world.perform(join);
    let clip = PlayItem::Clip { clip: "nowhere".into() };
    let play = Command::Play { leg: "leg 1".into(), playback: "p".into(), items: vec![clip], repeat: false };
    assert_eq!(world.request(play).unwrap_err().code, RefusalCode::UnknownClip);
    let digits = Command::SendDigits { leg: "leg 1".into(), digits: "hello".into(), duration: 100, gap: 100 };
    assert_eq!(world.request(digits).unwrap_err().code, RefusalCode::BadValue);
    let mut media = world.phones[0].media();
    media.remote_address = "example.org".into();
    let configure = Command::ConfigureLeg { leg: "leg 1".into(), media };
    assert_eq!(world.request(configure).unwrap_err().code, RefusalCode::BadValue);
    world.perform(Command::CloseLeg { leg: "leg 1".into() });
    let again = world.request(Command::CloseLeg { leg: "leg 1".into() });
    assert_eq!(again.unwrap_err().code, RefusalCode::UnknownLeg);
}

#[test]
fn noise_from_anywhere_ends_nothing() {
    let (mut world, one, _) = two_phones();
    let (address, server) = (world.phones[one].address, world.phones[one].server);
    for length in 0..200usize {
        for first in [0x00, 0x80, 0x90, 0xb0, 0x8f] {
            let mut bytes: Vec<u8> = (0..length).map(|i| (i * 31 + length) as u8).collect();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            world.send(address, server, bytes.clone());
            world.send(SocketAddr::from(([203, 0, 113, 9], 7)), server, bytes);
        }
        world.run(1);
    }
    world.run(500);
    world.listen(500);
    assert!(world.phones[one].hears(1000.0) > LOUD);
    assert!(!world.has_event(|event| matches!(event, Event::LegEnded { .. })));
}

#[test]
fn a_digit_of_a_stream_that_began_anew_counts_although_its_timestamps_are_behind() {
    let mut world = World::new();
    let phone = world.call(Phone::new(1, 400.0));
    world.run(1000);
    let mut packets = world.phones[phone].press(5);
    world.phones[phone].ssrc = 0x7777;
    for (duration, end) in [(160u16, 0u8), (320, 0x80)] {
        let [high, low] = duration.to_be_bytes();
        packets.push(world.phones[phone].packet(common::phone::EVENT_PAYLOAD_TYPE, 40, &[6, end | 10, high, low]));
    }
    for (source, destination, bytes) in packets {
        world.send(source, destination, bytes);
    }
    world.run(100);
    for wanted in ["5", "6"] {
        let pressed = |event: &Event| matches!(event, Event::DigitReceived { digit, .. } if digit == wanted);
        assert_eq!(world.count_events(pressed), 1, "{wanted}");
    }
}

#[test]
fn who_keeps_a_seat_in_silence_is_not_told_as_a_speaker() {
    let (mut world, _, two) = two_phones();
    for _ in 0..10 {
        world.phones[two].speaking = false;
        world.run(550);
        world.phones[two].speaking = true;
        world.run(150);
    }
    let levels = world.events.iter().flat_map(|event| match event {
        Event::SpeakersChanged { speakers, .. } => speakers.iter().map(|speaker| speaker.level).collect(),
        _ => Vec::new(),
    });
    let levels: Vec<i32> = levels.collect();
    assert!(levels.len() > 10 && levels.iter().all(|level| *level > -60), "{levels:?}");
}
