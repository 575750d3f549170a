//! The packet path allocates nothing: counted by the allocator itself.
#![allow(unsafe_code)]

mod common;

use common::{Dice, Phone, Sent, speech};
use dialroom_audio::audio::clip::Clip;
use dialroom_audio::audio::codec::{Codec, Encoder};
use dialroom_audio::audio::frame::{Frame, Rate};
use dialroom_audio::audio::gain::Gain;
use dialroom_audio::audio::mix::{Limiter, Mix};
use dialroom_audio::audio::opus::OpusSettings;
use dialroom_audio::audio::play::{Player, Sound};
use dialroom_audio::audio::playout::{Carries, Playout};
use dialroom_audio::audio::resample::Resampler;
use dialroom_audio::audio::speaker::{Loudness, Speakers};
use dialroom_audio::audio::tone::Tone;
use dialroom_audio::rtp::dtmf::{Digit, DtmfReceiver, DtmfSender};
use dialroom_audio::rtp::stats::ReceiveStats;
use dialroom_audio::rtp::view::RtpView;
use dialroom_audio::rtp::write::RtpHeader;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system allocator unchanged; counting touches only a thread-local `Cell` that
// needs neither allocation nor destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and releases that `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// Ten seconds of speech over a network that loses, delays and reorders.
fn packets(codec: Codec) -> Vec<Sent> {
    let mut dice = Dice::new(2);
    let mut phone = Phone::new(codec, 20);
    let mut packets: Vec<Sent> = (0..500).map(|_| phone.packet(speech(codec.rate().hz()))).collect();
    packets.retain(|_| !dice.chance(5));
    packets.iter_mut().for_each(|packet| packet.arrival_us += dice.below(50_000));
    packets.sort_by_key(|packet| packet.arrival_us);
    packets
}

/// One leg's whole way: receive, count, hold, decode, rank, mix, encode, write.
fn run_leg(codec: Codec) -> u64 {
    let rate = codec.rate();
    let packets = packets(codec);
    let mut playout = Playout::new(codec).unwrap();
    let mut encoder = Encoder::new(codec, OpusSettings::default()).unwrap();
    let mut stats = ReceiveStats::new(codec.rtp_clock());
    let (mut mix, mut limiter) = (Mix::new(rate.frame_len()), Limiter::default());
    let (mut speakers, mut loudness) = (Speakers::<u32, 3>::default(), Loudness::default());
    let mut resampler = Resampler::new(rate.hz(), 48_000).unwrap();
    let mut frame = Frame::silent(rate);
    let mut sent = 0;
    let count = allocations(|| {
        let (mut payload, mut datagram) = ([0; 1275], [0; 1500]);
        let (mut out, mut high) = ([0; 320], [0; 960]);
        let mut next = 0;
        for tick in 0..500u64 {
            let now_us = tick * 20_000;
            while let Some(packet) = packets.get(next).filter(|packet| packet.arrival_us <= now_us) {
                let view = RtpView::parse(&packet.bytes).unwrap();
                stats.receive(view.ssrc, view.sequence, view.timestamp, true, packet.arrival_us);
                playout.insert(&view, Carries::Voice, packet.arrival_us);
                next += 1;
            }
            let heard = playout.pull(now_us, &mut frame);
            speakers.offer(1, loudness.update(heard.level, heard.active));
            speakers.settle();
            mix.clear();
            mix.add(frame.samples());
            mix.add(&[12_000; 320][..rate.frame_len()]);
            mix.render(None, Gain::from_db(9), &mut limiter, &mut out[..rate.frame_len()]);
            resampler.process(frame.samples(), &mut high);
            let len = encoder.encode(&out[..rate.frame_len()], &mut payload);
            let header = RtpHeader { payload_type: 0, marker: false, sequence: 1, timestamp: 2, ssrc: 3 };
            sent += usize::from(header.write_packet(&payload[..len], &mut datagram).is_some());
        }
    });
    assert!(sent == 500 && stats.snapshot(0, 20.0).packets_received > 400);
    count
}

#[test]
fn a_leg_allocates_nothing_per_packet_with_any_codec() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus(Rate::Narrow), Codec::Opus(Rate::Wide)] {
        assert_eq!(run_leg(codec), 0, "{codec:?}");
    }
}

#[test]
fn digits_and_prompts_allocate_nothing_either() {
    let clip = Arc::new(Clip::from_samples(8_000, &[100; 8_000]).unwrap());
    let mut player = Player::new(Rate::Narrow);
    let mut frame = Frame::silent(Rate::Narrow);
    let (mut sender, mut receiver) = (DtmfSender::new(160, 800, 400), DtmfReceiver::default());
    let count = allocations(|| {
        player.play([Sound::Clip(clip.clone()), Sound::Tone(Tone::ENTRY), Sound::Silence(100)], true);
        "0123456789#".chars().filter_map(Digit::from_char).for_each(|digit| assert!(sender.push(digit)));
        let mut pressed = 0;
        for tick in 0..500u32 {
            player.fill(&mut frame);
            if let Some(packet) = sender.next_packet(tick * 160) {
                let change = receiver.receive(packet.timestamp, &packet.payload, u64::from(tick) * 20_000);
                pressed += u32::from(change.pressed.is_some());
            }
        }
        assert_eq!(pressed, 11);
        player.stop();
    });
    assert_eq!(count, 0);
}

#[test]
fn the_allocator_does_count() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 10]))), 2);
}
