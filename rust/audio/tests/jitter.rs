//! The jitter buffer under any order of arrival.

use dialroom_audio::audio::jitter::{Content, Inserted, JitterBuffer, Next, Packet};
use proptest::prelude::*;

fn packet(number: u64, payload: &[u8]) -> Packet<'_> {
    Packet {
        ssrc: 1,
        sequence: number as u16,
        timestamp: (number * 160) as u32,
        ticks: 160,
        content: Content::Voice,
        payload,
    }
}

/// Payload that names its packet.
fn named(number: u64, len: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(len.max(8), number as u8);
    payload
}

fn name(payload: &[u8]) -> u64 {
    let (head, rest) = payload.split_first_chunk::<8>().unwrap();
    let number = u64::from_be_bytes(*head);
    assert!(rest.iter().all(|&byte| byte == number as u8), "the payload was overwritten");
    number
}

#[derive(Debug, Clone)]
struct Trip {
    lost: bool,
    delay_us: u64,
    copies: u8,
    len: usize,
}

fn trip() -> impl Strategy<Value = Trip> {
    let len = prop_oneof![Just(160usize), 8usize..200, 8usize..1275];
    (prop::bool::weighted(0.1), prop_oneof![3 => 0u64..30_000, 1 => 0u64..700_000], 1u8..3, len)
        .prop_map(|(lost, delay_us, copies, len)| Trip { lost, delay_us, copies, len })
}

/// Taking a whole packet, or what comes next if there is none, is the same as asking what comes next.
fn taken_whole_or_not_it_is_the_same(buffer: &JitterBuffer, now_us: u64) {
    let (mut one, mut other) = (buffer.clone(), buffer.clone());
    let expected = one.next(now_us);
    match other.next_whole(now_us, 160) {
        Some(payload) => assert_eq!(Next::Voice { payload }, expected),
        None => assert_eq!(other.next(now_us), expected),
    }
    let state = |b: &JitterBuffer| (b.is_playing(), b.held_us(now_us), b.last_held_us(), b.stored_us(), b.discards());
    assert_eq!(state(&other), state(&one));
}

/// Sends `trips` and pulls a frame every 20 ms; the numbers played, in order.
fn play(buffer: &mut JitterBuffer, trips: &[Trip]) -> Vec<u64> {
    let mut arrivals: Vec<(u64, u64, usize)> = Vec::new();
    for (n, trip) in trips.iter().enumerate().filter(|(_, trip)| !trip.lost) {
        let sent_us = n as u64 * 20_000;
        for copy in 0..u64::from(trip.copies) {
            arrivals.push((sent_us + trip.delay_us + copy * 3000, n as u64 + 65_530, trip.len));
        }
    }
    arrivals.sort_unstable();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut played = Vec::new();
    let mut empty = 0;
    for tick in 0..trips.len() as u64 + 60 {
        let now_us = tick * 20_000;
        while let Some((at_us, number, len)) = arrivals.next_if(|(at_us, ..)| *at_us <= now_us) {
            buffer.insert(&packet(number, &named(number, len)), at_us);
        }
        assert!(buffer.stored_us() <= 64 * 20_000);
        taken_whole_or_not_it_is_the_same(buffer, now_us);
        match buffer.next(now_us) {
            Next::Voice { payload } => {
                played.push(name(payload));
                empty = 0;
            }
            Next::Empty { expected: false } if empty == 3 => buffer.pause(),
            Next::Empty { expected: false } => {
                buffer.advance(160);
                empty += 1;
            }
            Next::Lost { ticks, .. } | Next::Silence { ticks } => assert!((1..=160).contains(&ticks)),
            Next::Empty { expected: true } | Next::Noise { .. } => {}
        }
    }
    played
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_played_twice_or_out_of_order(trips in prop::collection::vec(trip(), 1..300)) {
        let mut buffer = JitterBuffer::new(8000);
        let played = play(&mut buffer, &trips);
        prop_assert!(played.windows(2).all(|w| w[0] < w[1]), "{:?}", played);
    }

    #[test]
    fn after_any_turmoil_a_calm_stream_is_played_whole(trips in prop::collection::vec(trip(), 1..200)) {
        let calm = Trip { lost: false, delay_us: 700_000, copies: 1, len: 160 };
        let all = [trips.clone(), vec![calm; 100]].concat();
        let mut buffer = JitterBuffer::new(8000);
        let played = play(&mut buffer, &all);
        let last = all.len() as u64 + 65_530;
        prop_assert!((last - 30..last).all(|number| played.contains(&number)), "{:?}", played.last());
    }

    #[test]
    fn any_headers_are_survived(
        packets in prop::collection::vec((any::<u32>(), any::<u16>(), any::<u32>(), 1u32..5760, 0usize..1400, any::<u32>()), 0..200),
    ) {
        let mut buffer = JitterBuffer::new(48_000);
        let bytes = [7; 1400];
        for (ssrc, sequence, timestamp, ticks, len, now_us) in packets {
            let packet = Packet {
                ssrc: ssrc % 2, sequence: sequence % 300, timestamp, ticks, content: Content::Voice, payload: &bytes[..len],
            };
            let inserted = buffer.insert(&packet, u64::from(now_us));
            prop_assert_eq!(inserted == Inserted::TooLong, len > JitterBuffer::MAX_PAYLOAD);
            buffer.next(u64::from(now_us));
        }
    }
}

#[test]
fn a_packet_is_stored_once_and_refused_after_its_time() {
    let mut buffer = JitterBuffer::new(8000);
    let payload = named(5, 160);
    assert_eq!(buffer.insert(&packet(5, &payload), 0), Inserted::Stored);
    assert_eq!(buffer.insert(&packet(5, &payload), 1000), Inserted::Duplicate);
    assert_eq!(buffer.next(40_000), Next::Voice { payload: &payload });
    assert_eq!(buffer.insert(&packet(5, &payload), 50_000), Inserted::Late);
    assert_eq!(buffer.discards().duplicate + buffer.discards().late, 2);
}

#[test]
fn a_lost_packet_comes_with_the_one_after_it() {
    let mut buffer = JitterBuffer::new(8000);
    for n in [1, 2, 4] {
        buffer.insert(&packet(n, &named(n, 160)), n * 20_000);
    }
    assert!(matches!(buffer.next(100_000), Next::Voice { payload } if name(payload) == 1));
    assert!(matches!(buffer.next(100_000), Next::Voice { payload } if name(payload) == 2));
    assert!(matches!(buffer.next(100_000), Next::Lost { ticks: 160, following: Some(next) } if name(next) == 4));
    assert!(matches!(buffer.next(100_000), Next::Voice { payload } if name(payload) == 4));
    assert_eq!(buffer.next(100_000), Next::Empty { expected: false });
}

#[test]
fn one_stray_packet_changes_nothing_and_two_restart_the_stream() {
    let mut buffer = JitterBuffer::new(8000);
    buffer.insert(&packet(1, &named(1, 160)), 20_000);
    assert_eq!(buffer.insert(&packet(9001, &named(9001, 160)), 30_000), Inserted::Stray);
    assert!(matches!(buffer.next(60_000), Next::Voice { payload } if name(payload) == 1));
    assert_eq!(buffer.insert(&packet(9002, &named(9002, 160)), 50_000), Inserted::Stored);
    assert!(matches!(buffer.next(200_000), Next::Voice { payload } if name(payload) == 9002));
}

#[test]
fn a_full_buffer_drops_what_is_oldest() {
    let mut buffer = JitterBuffer::new(8000);
    for n in 1..=100 {
        assert_eq!(buffer.insert(&packet(n, &named(n, 160)), n), Inserted::Stored);
    }
    assert_eq!(buffer.discards().overflow, 68);
    assert!(matches!(buffer.next(10_000_000), Next::Voice { payload } if name(payload) == 69));
}

#[test]
fn largest_opus_packets_fit() {
    let mut buffer = JitterBuffer::new(48_000);
    for n in 1..=3 {
        let payload = named(n, JitterBuffer::MAX_PAYLOAD);
        assert_eq!(buffer.insert(&Packet { ticks: 960, ..packet(n, &payload) }, n * 20_000), Inserted::Stored);
    }
    let too_long = named(4, JitterBuffer::MAX_PAYLOAD + 1);
    assert_eq!(buffer.insert(&packet(4, &too_long), 80_000), Inserted::TooLong);
}

#[test]
fn the_buffer_of_a_leg_is_smaller_than_8_kb() {
    assert!(size_of::<JitterBuffer>() < 8 * 1024, "{}", size_of::<JitterBuffer>());
}

#[test]
fn only_the_very_next_packet_is_taken_whole_and_only_if_it_is_a_frame_of_sound() {
    let mut buffer = JitterBuffer::new(8000);
    for number in [1, 2, 4, 5] {
        buffer.insert(&packet(number, &named(number, 160)), number * 20_000);
    }
    let noise = Packet { content: Content::Noise, ticks: 0, ..packet(6, &[60]) };
    buffer.insert(&noise, 120_000);
    let now_us = 300_000;
    assert_eq!(buffer.next_whole(now_us, 160), None, "nothing is played yet");
    assert!(matches!(buffer.next(now_us), Next::Voice { payload } if name(payload) == 1));
    assert_eq!(buffer.next_whole(now_us, 240), None);
    assert_eq!(buffer.next_whole(now_us, 160).map(name), Some(2));
    assert_eq!(buffer.next_whole(now_us, 160), None, "packet 3 is missing");
    assert!(matches!(buffer.next(now_us), Next::Lost { ticks: 160, .. }));
    assert_eq!(buffer.next_whole(now_us, 160).map(name), Some(4));
    assert_eq!(buffer.next_whole(now_us, 160).map(name), Some(5));
    assert_eq!(buffer.next_whole(now_us, 160), None, "noise is no frame");
    assert!(matches!(buffer.next(now_us), Next::Noise { payload: [60] }));
}
