//! Telephone events from sender to receiver, over good and bad networks.

mod common;

use common::Dice;
use dialroom_audio::rtp::dtmf::{Digit, DtmfPacket, DtmfReceiver, DtmfSender, Released};
use proptest::prelude::*;

const PACKET: u32 = 160;
const TICK_US: u64 = 20_000;

fn digit(c: char) -> Digit {
    Digit::from_char(c).unwrap()
}

/// Sends digits; what leaves in each 20 ms, with the time it leaves.
fn send(digits: &str, tone: u32, pause: u32) -> Vec<(u64, DtmfPacket)> {
    let mut sender = DtmfSender::new(PACKET, tone, pause);
    digits.chars().for_each(|c| assert!(sender.push(digit(c))));
    let mut packets = Vec::new();
    let (mut timestamp, mut now_us) = (u32::MAX - 1000, 0);
    while sender.is_busy() {
        if let Some(packet) = sender.next_packet(timestamp) {
            packets.push((now_us, packet));
        }
        timestamp = timestamp.wrapping_add(PACKET);
        now_us += TICK_US;
    }
    packets
}

/// What the receiver makes of packets in order of arrival, polled every 20 ms.
fn receive(packets: &[(u64, DtmfPacket)]) -> (String, Vec<Released>) {
    let mut receiver = DtmfReceiver::default();
    let (mut pressed, mut released) = (String::new(), Vec::new());
    let mut now_us = 0;
    for (at_us, packet) in packets {
        while now_us < *at_us {
            now_us += TICK_US;
            released.extend(receiver.poll(now_us));
        }
        let change = receiver.receive(packet.timestamp, &packet.payload, *at_us);
        released.extend(change.released);
        pressed.extend(change.pressed.map(Digit::as_char));
    }
    for _ in 0..50 {
        now_us += TICK_US;
        released.extend(receiver.poll(now_us));
    }
    assert!(!receiver.is_held());
    (pressed, released)
}

#[test]
fn digits_arrive_once_with_their_duration() {
    let (pressed, released) = receive(&send("0123456789*#ABCD", 800, 400));
    assert_eq!(pressed, "0123456789*#ABCD");
    assert_eq!(released.len(), 16);
    assert!(released.iter().all(|r| r.duration == 800));
}

#[test]
fn an_event_is_one_marker_packet_updates_and_three_ends_under_one_timestamp() {
    let packets: Vec<DtmfPacket> = send("5", 480, 400).into_iter().map(|(_, packet)| packet).collect();
    assert_eq!(packets.iter().map(|p| p.marker).collect::<Vec<_>>(), [true, false, false, false, false]);
    assert!(packets.iter().all(|p| p.timestamp == packets[0].timestamp && p.payload[0] == 5));
    let ends: Vec<_> = packets.iter().filter(|p| p.payload[1] & 0x80 != 0).map(|p| p.payload).collect();
    assert_eq!(ends, [[5, 0x8a, 1, 0xe0]; 3]);
}

#[test]
fn the_same_key_pressed_twice_is_two_digits() {
    assert_eq!(receive(&send("77", 400, 320)).0, "77");
    let mut without_ends = send("77", 400, 320);
    without_ends.retain(|(_, packet)| packet.payload[1] & 0x80 == 0);
    let (pressed, released) = receive(&without_ends);
    assert_eq!((pressed.as_str(), released.len()), ("77", 2));
}

#[test]
fn any_single_packet_of_an_event_is_enough() {
    let packets = send("9", 800, 0);
    for packet in &packets {
        let (pressed, released) = receive(std::slice::from_ref(packet));
        assert_eq!((pressed.as_str(), released.len()), ("9", 1));
    }
}

#[test]
fn a_digit_whose_ends_are_lost_is_released_when_nothing_more_comes() {
    let mut packets = send("3", 800, 0);
    packets.truncate(3);
    let (pressed, released) = receive(&packets);
    assert_eq!(pressed, "3");
    assert_eq!(released, [Released { digit: digit('3'), duration: 480 }]);
}

#[test]
fn a_key_held_for_longer_than_the_duration_field_can_say_is_one_digit() {
    let mut packets = Vec::new();
    let start = 5000u32;
    for n in 1..=1000u32 {
        let held = n * 160;
        let (segment, duration) = (held / 0xffff, held % 0xffff);
        let [high, low] = (duration as u16).to_be_bytes();
        let end = u8::from(n == 1000) << 7;
        let timestamp = start.wrapping_add(segment * 0xffff);
        packets.push((
            u64::from(n) * TICK_US,
            DtmfPacket { timestamp, marker: n == 1, payload: [1, end | 10, high, low] },
        ));
    }
    let (pressed, released) = receive(&packets);
    assert_eq!((pressed.as_str(), released.len()), ("1", 1));
    assert!(released[0].duration.abs_diff(160_000) <= 0xffff / 100);
}

#[test]
fn a_sender_that_advances_the_timestamp_with_every_packet_sends_one_digit() {
    let packets: Vec<_> = (2..=8u16)
        .map(|n| {
            let [high, low] = (n * 160).to_be_bytes();
            let payload = [4, if n == 8 { 0x8a } else { 10 }, high, low];
            (u64::from(n) * TICK_US, DtmfPacket { timestamp: u32::from(n) * 160, marker: n == 2, payload })
        })
        .collect();
    assert_eq!(receive(&packets).0, "4");
}

#[test]
fn events_that_are_no_digits_and_short_payloads_are_ignored() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.receive(1, &[16, 0x80, 0, 160], 0).pressed, None);
    assert_eq!(receiver.receive(1, &[5, 0x80, 0], 0).pressed, None);
    assert_eq!(receiver.receive(1, &[5, 0x80, 0, 160], 0).pressed, Some(digit('5')));
}

#[test]
fn the_queue_is_bounded_and_can_be_cleared() {
    let mut sender = DtmfSender::new(PACKET, 800, 400);
    assert_eq!((0..100).filter(|_| sender.push(digit('1'))).count(), DtmfSender::QUEUE);
    sender.next_packet(0);
    sender.clear();
    let left = (1..100).filter(|n| sender.next_packet(n * PACKET).is_some()).count();
    assert_eq!(left, 6, "the digit that had begun is finished");
    assert!(!sender.is_busy());
}

/// Right entries of 11 digits of 100 ms, out of `entries`, at a seeded loss, with some packets late and doubled.
fn right_entries(loss: u64, entries: u64) -> u64 {
    let mut dice = Dice::new(loss);
    (0..entries)
        .filter(|_| {
            let digits: String = (0..11).map(|_| char::from(b"0123456789*#"[dice.below(12) as usize])).collect();
            let mut arrived = Vec::new();
            for (at_us, packet) in send(&digits, 800, 400) {
                if dice.chance(loss) {
                    continue;
                }
                let late = if dice.chance(5) { 30_000 } else { 0 };
                arrived.push((at_us + late, packet));
                if dice.chance(5) {
                    arrived.push((at_us + 5000, packet));
                }
            }
            arrived.sort_by_key(|(at_us, _)| *at_us);
            receive(&arrived).0 == digits
        })
        .count() as u64
}

#[test]
fn eleven_digits_arrive_right_in_999_of_1000_entries_at_20_percent_loss() {
    let right = right_entries(20, 10_000);
    assert!(right >= 9_990, "{right} of 10,000");
}

#[test]
fn eleven_digits_arrive_right_in_995_of_1000_entries_at_30_percent_loss() {
    let right = right_entries(30, 10_000);
    assert!(right >= 9_950, "{right} of 10,000");
}

proptest! {
    #[test]
    fn any_payload_at_any_time_is_survived(
        packets in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..8), any::<u32>()), 0..100),
    ) {
        let mut receiver = DtmfReceiver::default();
        let (mut pressed, mut released) = (0, 0);
        for (timestamp, payload, now_us) in packets {
            let change = receiver.receive(timestamp, &payload, u64::from(now_us));
            pressed += usize::from(change.pressed.is_some());
            released += usize::from(change.released.is_some());
            released += usize::from(receiver.poll(u64::from(now_us)).is_some());
        }
        prop_assert!(released <= pressed);
    }
}
