//! Video: switching at keyframes, unbroken picture numbers, repair of loss, requests towards publishers.

mod common;

use std::time::Duration;

use common::{Join, Room, picture};
use dialroom_rtc::RouterError;

const FRAME: Duration = Duration::from_millis(33);

/// Both cameras send a frame; a publisher that was asked for a keyframe sends one.
fn cameras(room: &mut Room, publishers: &[usize], frame: u32) {
    for &index in publishers {
        let now = room.now;
        let asked = std::mem::take(&mut room.browsers[index].keyframe_requests) > 0;
        room.browsers[index].send_video(now, 1, frame, asked, 3);
    }
    room.run(FRAME);
}

#[test]
fn a_slot_changes_camera_at_a_keyframe_without_a_break_in_any_number() {
    let mut room = Room::new();
    let [ann, bob, viewer] = ["ann", "bob", "viewer"].map(|name| room.join_connected(&Join::named(name)));
    let slot = room.browsers[viewer].video_slots[0];
    let key = room.browsers[viewer].key;
    for frame in 0..10 {
        cameras(&mut room, &[ann, bob], frame);
    }
    assert!(room.browsers[viewer].received.is_empty(), "no video is sent unasked");
    for (turn, track) in ["ann/cam", "bob/cam", "ann/cam"].into_iter().enumerate() {
        let now = room.now;
        room.router.request_video(now, key, slot, Some(track)).unwrap();
        room.drain_router();
        for frame in 0..30 {
            cameras(&mut room, &[ann, bob], 10 + turn as u32 * 30 + frame);
        }
        assert_eq!(room.slot_of(viewer, track), Some(slot));
    }
    let seen = room.browsers[viewer].on(slot);
    let sources: Vec<u8> = seen.iter().map(|packet| packet.payload[20]).collect();
    let switches: Vec<_> = seen.windows(2).filter(|pair| pair[0].payload[20] != pair[1].payload[20]).collect();
    assert_eq!(switches.len(), 2, "{sources:?}");
    for pair in &switches {
        assert_eq!(pair[1].payload[6] & 1, 0, "the new source starts with a keyframe");
        assert!(pair[0].header.marker, "after the old source's whole frame");
    }
    assert!(seen.len() > 200);
    for pair in seen.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        let (from, to) = (picture(&pair[0].payload), picture(&pair[1].payload));
        let same_frame = !pair[0].header.marker;
        let step = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
        assert_eq!(to.0.wrapping_sub(from.0), u16::from(!same_frame), "PictureID");
        assert_eq!(to.1.wrapping_sub(from.1), u8::from(!same_frame), "TL0PICIDX");
        assert!(if same_frame { step == 0 } else { (1..90_000).contains(&step) }, "timestamp advanced by {step}");
    }
}

#[test]
fn an_emptied_slot_receives_nothing() {
    let mut room = Room::new();
    let [ann, viewer] = ["ann", "viewer"].map(|name| room.join_connected(&Join::named(name)));
    let (key, slot) = (room.browsers[viewer].key, room.browsers[viewer].video_slots[1]);
    room.router.request_video(room.now, key, slot, Some("ann/cam")).unwrap();
    for frame in 0..10 {
        cameras(&mut room, &[ann], frame);
    }
    room.router.request_video(room.now, key, slot, None).unwrap();
    room.run(FRAME);
    let before = room.browsers[viewer].received.len();
    assert!(before > 0);
    for frame in 10..20 {
        cameras(&mut room, &[ann], frame);
    }
    assert_eq!(room.browsers[viewer].received.len(), before);
}

#[test]
fn a_request_for_what_is_not_there_is_refused_with_its_reason() {
    let mut room = Room::new();
    let ann = room.join_connected(&Join::named("ann"));
    let (key, slot) = (room.browsers[ann].key, room.browsers[ann].video_slots[0]);
    let audio = room.browsers[ann].audio_slots[0];
    let now = room.now;
    let mut request = |key, mid, track| room.router.request_video(now, key, mid, track);
    assert_eq!(request(key, slot, Some("nobody/cam")), Err(RouterError::NoSuchTrack));
    assert_eq!(request(key, slot, Some("ann/mic")), Err(RouterError::NotVideo));
    assert_eq!(request(key, audio, Some("ann/cam")), Err(RouterError::NoSuchSlot));
    assert_eq!(request(dialroom_rtc::PeerKey(99), slot, None), Err(RouterError::NoSuchSubscriber));
}

#[test]
fn ten_percent_loss_is_repaired_by_retransmission() {
    let mut room = Room::new();
    let [ann, viewer] = ["ann", "viewer"].map(|name| room.join_connected(&Join::named(name)));
    let (key, slot) = (room.browsers[viewer].key, room.browsers[viewer].video_slots[0]);
    room.router.request_video(room.now, key, slot, Some("ann/cam")).unwrap();
    room.drain_router();
    for frame in 0..30 {
        cameras(&mut room, &[ann], frame);
    }
    let settled = room.browsers[viewer].received.len();
    assert!(settled > 60);
    room.loss_percent = 10;
    for frame in 30..330 {
        cameras(&mut room, &[ann], frame);
    }
    assert!(room.lost > 100, "the network lost {}", room.lost);
    room.loss_percent = 0;
    for frame in 330..360 {
        cameras(&mut room, &[ann], frame);
    }
    room.run(Duration::from_secs(1));
    let mut seqs: Vec<u64> = room.browsers[viewer].on(slot).iter().map(|packet| *packet.seq_no).collect();
    let count = seqs.len();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), count, "no packet twice");
    let span = (seqs[seqs.len() - 1] - seqs[0] + 1) as usize;
    assert!(seqs.len() * 1000 >= span * 995, "{} of {span} packets arrived", seqs.len());
}

#[test]
fn many_viewers_asking_at_once_cost_the_publisher_one_keyframe_request() {
    let mut room = Room::new();
    let ann = room.join_connected(&Join::named("ann"));
    let viewers = ["v1", "v2", "v3", "v4", "v5"].map(|name| room.join_connected(&Join::named(name)));
    let now = room.now;
    room.browsers[ann].send_video(now, 1, 0, true, 3);
    room.run(FRAME);
    for viewer in viewers {
        let (key, slot) = (room.browsers[viewer].key, room.browsers[viewer].video_slots[0]);
        room.router.request_video(room.now, key, slot, Some("ann/cam")).unwrap();
        room.drain_router();
    }
    room.run(Duration::from_millis(300));
    assert_eq!(room.browsers[ann].keyframe_requests, 1);
    room.run(Duration::from_secs(2));
    let repeated = room.browsers[ann].keyframe_requests;
    assert!((2..=4).contains(&repeated), "asked {repeated} times while nothing came");
    cameras(&mut room, &[ann], 1);
    room.run(Duration::from_millis(50));
    for viewer in viewers {
        assert_eq!(room.browsers[viewer].received.len(), 3);
    }
}

#[test]
fn a_camera_muted_by_a_moderator_comes_back_with_a_keyframe_and_no_break() {
    let mut room = Room::new();
    let [ann, viewer] = ["ann", "viewer"].map(|name| room.join_connected(&Join::named(name)));
    let (key, slot) = (room.browsers[viewer].key, room.browsers[viewer].video_slots[0]);
    room.router.request_video(room.now, key, slot, Some("ann/cam")).unwrap();
    for frame in 0..20 {
        cameras(&mut room, &[ann], frame);
    }
    room.router.set_muted(room.now, "ann/cam", true);
    room.run(FRAME);
    let before = room.browsers[viewer].received.len();
    for frame in 20..40 {
        cameras(&mut room, &[ann], frame);
    }
    assert_eq!(room.browsers[viewer].received.len(), before);
    assert_eq!(room.slot_of(viewer, "ann/cam"), Some(slot), "the tile stays");
    room.router.set_muted(room.now, "ann/cam", false);
    room.drain_router();
    for frame in 40..60 {
        cameras(&mut room, &[ann], frame);
    }
    let seen = room.browsers[viewer].on(slot);
    assert_eq!(seen[before].payload[6] & 1, 0, "a keyframe comes first");
    assert!(seen.windows(2).all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1));
}

#[test]
fn a_viewers_picture_loss_reaches_the_publisher_and_the_cameras_rotation_the_viewer() {
    let mut room = Room::new();
    let [ann, viewer] = ["ann", "viewer"].map(|name| room.join_connected(&Join::named(name)));
    let (key, slot) = (room.browsers[viewer].key, room.browsers[viewer].video_slots[0]);
    room.router.request_video(room.now, key, slot, Some("ann/cam")).unwrap();
    for frame in 0..60 {
        cameras(&mut room, &[ann], frame);
    }
    let seen = room.browsers[viewer].on(slot);
    assert_eq!(seen[5].header.ext_vals.video_orientation, Some(str0m::rtp::VideoOrientation::Deg90));
    assert_eq!(room.browsers[ann].keyframe_requests, 0);
    let now = room.now;
    room.browsers[viewer].ask_for_keyframe(now, slot);
    room.run(Duration::from_millis(50));
    assert_eq!(room.browsers[ann].keyframe_requests, 1);
}
