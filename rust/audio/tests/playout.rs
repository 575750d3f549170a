//! What a leg hears over good and bad networks, in virtual time.

mod common;

use common::{Dice, Phone, Sent, listen, speech, tone};
use dialroom_audio::audio::codec::Codec;
use dialroom_audio::audio::frame::Rate;
use dialroom_audio::audio::g711;
use dialroom_audio::audio::opus::OpusSettings;
use dialroom_audio::audio::playout::{Carries, Origin, Playout};
use dialroom_audio::rtp::view::RtpView;

const CODECS: [Codec; 5] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus(Rate::Narrow), Codec::Opus(Rate::Wide)];

fn talk(phone: &mut Phone, ms: u32, source: impl Fn(usize) -> i16) -> Vec<Sent> {
    (0..ms / phone.ptime_ms).map(|_| phone.packet(&source)).collect()
}

#[test]
fn every_sample_of_a_clean_stream_is_heard_once_whatever_the_packet_length() {
    for ptime_ms in [10, 20, 30, 40, 50, 60] {
        for phase_us in [0, 7_000, 19_000] {
            let source = |i: usize| g711::decode_ulaw(!((i * 7 % 100) as u8));
            let mut phone = Phone::new(Codec::Pcmu, ptime_ms);
            let packets = talk(&mut phone, 6000, source);
            let mut playout = Playout::new(Codec::Pcmu).unwrap();
            let log = listen(&mut playout, packets, phase_us);
            let start = log.pcm.iter().position(|&s| s != 0).unwrap();
            // The source begins with a zero sample.
            let heard = &log.pcm[start - 1..];
            let expected: Vec<i16> = (0..heard.len()).map(source).collect();
            assert!(heard == expected, "ptime {ptime_ms}, phase {phase_us}");
            assert!(log.concealed() == 0 && start < 160 * 5);
        }
    }
}

#[test]
fn every_codec_carries_a_tone_without_concealment() {
    for codec in CODECS {
        for ptime_ms in [20, 40, 60] {
            let mut phone = Phone::new(codec, ptime_ms);
            let packets = talk(&mut phone, 6000, tone(codec.rate().hz()));
            let log = listen(&mut Playout::new(codec).unwrap(), packets, 3000);
            assert_eq!(log.concealed(), 0, "{codec:?} {ptime_ms}");
            assert!(log.frames[20..].iter().all(|h| h.active && h.level.abs_diff(15) <= 1), "{codec:?} {ptime_ms}");
        }
    }
}

#[test]
fn without_jitter_the_added_delay_is_at_most_30_ms() {
    for phase_us in (0..20_000).step_by(1000) {
        let packets = talk(&mut Phone::new(Codec::Pcmu, 20), 5000, speech(8000));
        let log = listen(&mut Playout::new(Codec::Pcmu).unwrap(), packets, phase_us);
        let settled = &log.delays_ms[150..];
        assert!(settled.iter().all(|&delay| delay <= 30), "{phase_us}: {:?}", settled.iter().max());
    }
}

#[test]
fn unpunctual_ticks_are_not_taken_for_drift() {
    let mut dice = Dice::new(8);
    let mut packets = talk(&mut Phone::new(Codec::Pcmu, 20), 60_000, speech(8000)).into_iter().peekable();
    let mut playout = Playout::new(Codec::Pcmu).unwrap();
    let mut frame = dialroom_audio::audio::frame::Frame::silent(Rate::Narrow);
    let mut silent = 0;
    for tick in 0..2990 {
        let now_us = 7000 + tick * 20_000 + dice.below(3000);
        while let Some(packet) = packets.next_if(|packet| packet.arrival_us <= now_us) {
            let view = RtpView::parse(&packet.bytes).unwrap();
            playout.insert(&view, Carries::Voice, packet.arrival_us);
        }
        silent += u32::from(playout.pull(now_us, &mut frame).origin != Origin::Voice);
    }
    assert!(silent <= 3, "{silent} frames put in or missing");
}

#[test]
fn the_buffer_grows_with_jitter_and_shrinks_within_ten_seconds() {
    let mut dice = Dice::new(1);
    let mut phone = Phone::new(Codec::Pcma, 20);
    let calm = talk(&mut phone, 5000, speech(8000));
    let mut jittery = talk(&mut phone, 20_000, speech(8000));
    jittery.iter_mut().for_each(|packet| packet.arrival_us += dice.below(100_000));
    let after = talk(&mut phone, 15_000, speech(8000));
    let mut playout = Playout::new(Codec::Pcma).unwrap();
    let log = listen(&mut playout, [calm, jittery, after].concat(), 5000);
    assert!(log.delays_ms[150..250].iter().all(|&d| d <= 30));
    let during = &log.delays_ms[350..1250];
    assert!(during.iter().all(|&d| d <= 95 + 40), "{:?}", during.iter().max());
    let concealed = log.frames[350..1250].iter().filter(|h| h.origin == Origin::Concealed).count();
    assert!(concealed <= 45, "{concealed} of 900 frames concealed");
    assert!(log.delays_ms[1250 + 500..].iter().all(|&d| d <= 35), "{:?}", log.delays_ms[1750..].iter().max());
}

#[test]
fn a_network_stall_is_caught_up_with() {
    let mut phone = Phone::new(Codec::Pcmu, 20);
    let mut packets = talk(&mut phone, 30_000, tone(8000));
    for packet in &mut packets {
        if (10_000_000..10_400_000).contains(&packet.arrival_us) {
            packet.arrival_us = 10_400_000;
        }
    }
    let log = listen(&mut Playout::new(Codec::Pcmu).unwrap(), packets, 5000);
    let silent = log.frames[10..].iter().filter(|h| h.level > 40).count();
    assert!(silent <= 22, "{silent} frames without sound");
    let settled = log.delays_ms[1100..].iter().max().unwrap();
    assert!(*settled <= 75, "{settled} ms a second and a half later");
}

#[test]
fn a_second_of_nothing_does_not_leave_a_second_of_delay() {
    let mut phone = Phone::new(Codec::Pcmu, 20);
    let mut packets = talk(&mut phone, 20_000, speech(8000));
    for packet in &mut packets {
        if (8_000_000..9_000_000).contains(&packet.arrival_us) {
            packet.arrival_us = 9_000_000 + packet.arrival_us % 20_000;
        }
    }
    let log = listen(&mut Playout::new(Codec::Pcmu).unwrap(), packets, 5000);
    assert!(log.delays_ms[700..].iter().all(|&d| d <= 60), "{:?}", log.delays_ms[700..].iter().max());
}

#[test]
fn a_route_that_grows_and_shrinks_by_400_ms_is_followed() {
    let mut phone = Phone::new(Codec::Pcmu, 20);
    let mut packets = talk(&mut phone, 60_000, speech(8000));
    for packet in &mut packets {
        let ms = packet.arrival_us as i64 / 1000;
        // Ten seconds up from 10 s on, ten seconds down from 30 s on.
        let delay_ms = ((ms - 10_000) / 25).clamp(0, 400) - ((ms - 30_000) / 25).clamp(0, 400);
        packet.arrival_us += delay_ms as u64 * 1000;
    }
    let log = listen(&mut Playout::new(Codec::Pcmu).unwrap(), packets, 5000);
    assert!(log.concealed() <= 60, "{} concealed", log.concealed());
    assert!(log.delays_ms[1500..].iter().all(|&d| d <= 90), "{:?}", log.delays_ms[1500..].iter().max());
    assert!(log.delays_ms[2500..].iter().all(|&d| d <= 35), "{:?}", log.delays_ms[2500..].iter().max());
}

#[test]
fn bursts_of_loss_are_concealed_and_the_stream_goes_on() {
    let mut dice = Dice::new(6);
    let (mut arrived, mut bad) = (Vec::new(), false);
    for packet in talk(&mut Phone::new(Codec::G722, 20), 60_000, speech(16_000)) {
        bad = if bad { !dice.chance(25) } else { dice.chance(3) };
        if !bad {
            arrived.push(packet);
        }
    }
    let lost = 3000 - arrived.len();
    let log = listen(&mut Playout::new(Codec::G722).unwrap(), arrived, 5000);
    let voice = log.frames.iter().filter(|h| h.origin == Origin::Voice).count();
    assert!(lost > 200 && voice.abs_diff(3000 - lost) <= 12, "{voice} frames of voice, {lost} lost");
    assert!(log.delays_ms[150..].iter().all(|&d| d <= 50), "{:?}", log.delays_ms.iter().max());
}

#[test]
fn clock_drift_is_absorbed_over_minutes() {
    for (codec, ppm) in [
        (Codec::Pcmu, -500.0),
        (Codec::Pcmu, -100.0),
        (Codec::Pcmu, 100.0),
        (Codec::Pcmu, 500.0),
        (Codec::G722, -500.0),
        (Codec::G722, 500.0),
    ] {
        let mut phone = Phone::new(codec, 20).drifting(ppm);
        let packets = talk(&mut phone, 240_000, speech(codec.rate().hz()));
        let log = listen(&mut Playout::new(codec).unwrap(), packets, 5000);
        assert!(log.delays_ms[100..].iter().all(|&d| d < 60), "{codec:?} {ppm}: {:?}", log.delays_ms.iter().max());
        assert_eq!(log.concealed(), 0, "{codec:?} {ppm}");
    }
}

#[test]
fn drift_is_absorbed_without_a_click_even_if_nobody_ever_pauses() {
    for ppm in [-500.0, 500.0] {
        let mut phone = Phone::new(Codec::Pcma, 20).drifting(ppm);
        let packets = talk(&mut phone, 300_000, tone(8000));
        let log = listen(&mut Playout::new(Codec::Pcma).unwrap(), packets, 5000);
        assert!(log.delays_ms[100..].iter().all(|&d| d < 60), "{ppm}: {:?}", log.delays_ms.iter().max());
        assert!(log.frames[100..].iter().all(|h| h.level <= 17), "{ppm}");
        let clean = 2700;
        assert!(log.steepest_after(100) < clean * 3 / 2, "{ppm}: a step of {}", log.steepest_after(100));
    }
}

#[test]
fn duplicates_and_reordering_are_never_heard() {
    let mut dice = Dice::new(5);
    let mut phone = Phone::new(Codec::Pcmu, 20);
    let mut packets = talk(&mut phone, 60_000, speech(8000));
    let doubles: Vec<Sent> = packets.iter().filter(|_| dice.chance(5)).cloned().collect();
    for packet in &mut packets {
        if dice.chance(5) {
            packet.arrival_us += 25_000;
        }
    }
    packets.extend(doubles.into_iter().map(|p| Sent { arrival_us: p.arrival_us + 9000, ..p }));
    let mut playout = Playout::new(Codec::Pcmu).unwrap();
    let log = listen(&mut playout, packets, 5000);
    assert!(playout.stats().discards.duplicate + playout.stats().discards.late > 100);
    assert!(log.concealed() <= 20, "{}", log.concealed());
}

#[test]
fn losses_are_concealed_and_nothing_else_is() {
    for codec in CODECS {
        let mut dice = Dice::new(9);
        let mut phone = Phone::new(codec, 20);
        let packets = talk(&mut phone, 20_000, tone(codec.rate().hz()));
        let count = packets.len();
        let arrived: Vec<Sent> = packets.into_iter().filter(|_| !dice.chance(10)).collect();
        let lost = count - arrived.len();
        let mut playout = Playout::new(codec).unwrap();
        let log = listen(&mut playout, arrived, 5000);
        let (concealed, recovered) = (log.concealed(), playout.stats().recovered as usize);
        assert!(
            (lost - 6..=lost + 6).contains(&(concealed + recovered)),
            "{codec:?}: {concealed} + {recovered}, {lost} lost"
        );
        if codec.conceals_itself() {
            continue;
        }
        let holes = log.frames[20..].iter().filter(|h| h.level > 35).count();
        assert!(holes <= 3, "{codec:?}: concealment has {holes} holes");
    }
}

#[test]
fn opus_recovers_most_single_losses_from_the_packet_after() {
    let mut dice = Dice::new(4);
    let settings = OpusSettings { expected_loss: 20, dtx: false, ..OpusSettings::default() };
    let mut phone = Phone::with_settings(Codec::Opus(Rate::Wide), 20, settings);
    let packets = talk(&mut phone, 20_000, speech(16_000));
    let arrived: Vec<Sent> = packets.into_iter().filter(|_| !dice.chance(10)).collect();
    let mut playout = Playout::new(Codec::Opus(Rate::Wide)).unwrap();
    let log = listen(&mut playout, arrived, 5000);
    let recovered = playout.stats().recovered as usize;
    assert!(recovered > 2 * log.concealed(), "{recovered} recovered, {} concealed", log.concealed());
}

#[test]
fn a_restart_of_the_sender_costs_at_most_60_ms() {
    let jumps: [fn(&mut Phone); 6] = [
        |phone| phone.header.ssrc += 1,
        |phone| phone.header.sequence = phone.header.sequence.wrapping_add(20_000),
        |phone| phone.header.sequence = phone.header.sequence.wrapping_sub(500),
        |phone| phone.header.timestamp = phone.header.timestamp.wrapping_add(123_456_789),
        |phone| phone.header.timestamp = phone.header.timestamp.wrapping_sub(80_000),
        |phone| {
            phone.header.ssrc += 1;
            phone.header.sequence = 3;
            phone.header.timestamp = 77;
        },
    ];
    for (n, jump) in jumps.into_iter().enumerate() {
        let mut phone = Phone::new(Codec::Pcmu, 20);
        let mut packets = talk(&mut phone, 5000, tone(8000));
        jump(&mut phone);
        packets.extend(talk(&mut phone, 5000, tone(8000)));
        let log = listen(&mut Playout::new(Codec::Pcmu).unwrap(), packets, 5000);
        let missing = log.frames[10..].iter().filter(|h| h.origin != Origin::Voice).count();
        assert!(missing <= 3, "jump {n}: {missing} frames");
        assert!(log.delays_ms.iter().all(|&d| d <= 60), "jump {n}: {:?}", log.delays_ms.iter().max());
    }
}

#[test]
fn a_change_of_the_packet_length_costs_no_more_than_the_longer_packet() {
    let mut phone = Phone::new(Codec::Pcma, 20);
    let mut packets = Vec::new();
    for ptime_ms in [20, 60, 10, 30, 20] {
        phone.ptime_ms = ptime_ms;
        packets.extend(talk(&mut phone, 6000, speech(8000)));
    }
    let log = listen(&mut Playout::new(Codec::Pcma).unwrap(), packets, 5000);
    let missing = log.frames[10..].iter().filter(|h| h.origin == Origin::Concealed).count();
    assert!(missing <= 5, "{missing} frames concealed");
    assert!(log.delays_ms.last().is_some_and(|&d| d <= 35), "{:?}", log.delays_ms.last());
}

#[test]
fn silence_suppression_is_no_loss() {
    for with_noise in [false, true] {
        let mut phone = Phone::new(Codec::Pcmu, 20);
        let mut packets = Vec::new();
        for _ in 0..40 {
            packets.extend(talk(&mut phone, 600, tone(8000)));
            if with_noise {
                packets.push(phone.emit(Carries::ComfortNoise, &[50]));
            }
            (0..35).for_each(|_| phone.pause());
        }
        packets.extend(talk(&mut phone, 600, tone(8000)));
        let mut playout = Playout::new(Codec::Pcmu).unwrap();
        let log = listen(&mut playout, packets, 5000);
        let allowed = if with_noise { 0 } else { 41 * 3 };
        assert!(log.concealed() <= allowed, "{} concealed", log.concealed());
        let voice = log.frames.iter().filter(|h| h.origin == Origin::Voice).count();
        assert!((40 * 30..=41 * 30).contains(&voice), "{voice} frames of voice");
        assert_eq!(playout.stats().discards.late, 0);
        if with_noise {
            let noise = log.frames.iter().filter(|h| h.origin == Origin::Silence && h.level.abs_diff(50) <= 2).count();
            assert!(noise > 40 * 30, "{noise} frames of comfort noise");
        }
    }
}

#[test]
fn opus_silence_is_no_loss() {
    let codec = Codec::Opus(Rate::Wide);
    let mut phone = Phone::with_settings(codec, 20, OpusSettings::default());
    let mut packets = Vec::new();
    for n in 0..1500 {
        let speaking = n % 150 < 75;
        let sent = phone.packet(|i| if speaking { speech(16_000)(i) } else { 0 });
        // The encoder has nothing to send for most of a silence; the packet number is not used up then.
        if sent.bytes.len() > 12 {
            packets.push(sent);
        } else {
            phone.header.sequence = phone.header.sequence.wrapping_sub(1);
        }
    }
    assert!(packets.len() < 1200, "DTX never set in");
    let log = listen(&mut Playout::new(codec).unwrap(), packets, 5000);
    assert!(log.concealed() <= 10 * 4 * 3, "{} concealed", log.concealed());
}

#[test]
fn telephone_events_leave_a_silence_and_not_a_stutter() {
    let mut phone = Phone::new(Codec::Pcmu, 20);
    let mut packets = talk(&mut phone, 2000, tone(8000));
    for n in 0..8 {
        packets.push(phone.emit(Carries::Event, &[5, 10, 0, n]));
        phone.pause();
    }
    packets.extend(talk(&mut phone, 2000, tone(8000)));
    let log = listen(&mut Playout::new(Codec::Pcmu).unwrap(), packets, 5000);
    assert_eq!(log.concealed(), 0);
    let silent = log.frames[10..].iter().filter(|h| h.origin == Origin::Silence).count();
    assert!((7..=10).contains(&silent), "{silent} silent frames");
}

#[test]
fn a_packet_that_is_not_of_the_codec_is_refused() {
    let mut phone = Phone::new(Codec::Opus(Rate::Wide), 20);
    let mut playout = Playout::new(Codec::Opus(Rate::Wide)).unwrap();
    let packets = vec![phone.emit(Carries::Voice, &[]), phone.emit(Carries::Voice, &[0xff, 0xff, 0xff, 0xff])];
    let log = listen(&mut playout, packets, 0);
    assert!(log.frames.iter().all(|h| h.origin == Origin::Silence));
}
