//! What one leg costs per 20 ms, without the kernel: `cargo run --release -p dialroom-audio --example leg_cost`.
//!
//! Prints the median of many rounds in nanoseconds, for each codec and for each step of the mix.

use dialroom_audio::audio::codec::{Codec, Encoder};
use dialroom_audio::audio::frame::{FRAME_US, Frame, Rate};
use dialroom_audio::audio::gain::Gain;
use dialroom_audio::audio::gate::Gate;
use dialroom_audio::audio::level;
use dialroom_audio::audio::mix::{Limiter, Mix};
use dialroom_audio::audio::opus::OpusSettings;
use dialroom_audio::audio::playout::{Carries, Playout};
use dialroom_audio::audio::resample::Resampler;
use dialroom_audio::rtp::stats::ReceiveStats;
use dialroom_audio::rtp::view::RtpView;
use dialroom_audio::rtp::write::RtpHeader;
use std::hint::black_box;
use std::time::Instant;

const FRAMES: usize = 500;
const ROUNDS: usize = 41;

/// Median over rounds of the time `work` takes per call, in ns.
fn per_call(mut work: impl FnMut(usize)) -> u128 {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|round| {
            let begin = Instant::now();
            (0..FRAMES).for_each(|n| work(round * FRAMES + n));
            begin.elapsed().as_nanos() / FRAMES as u128
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

/// Syllables with pauses.
fn voice(rate: Rate, frame: usize) -> Vec<i16> {
    let len = rate.frame_len();
    let value = |i: usize| {
        let t = i as f64 / f64::from(rate.hz());
        let loudness = (t % 0.5 / 0.5 * std::f64::consts::PI).sin();
        (1..10).map(|h| (t * 140.0 * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h)).sum::<f64>() * loudness
    };
    (frame * len..(frame + 1) * len).map(|i| (value(i) * 6000.0) as i16).collect()
}

fn leg(name: &str, codec: Codec) {
    let rate = codec.rate();
    let settings = OpusSettings { dtx: false, ..OpusSettings::default() };
    let frames: Vec<Vec<i16>> = (0..FRAMES).map(|n| voice(rate, n)).collect();
    let mut sender = Encoder::new(codec, settings).unwrap();
    let payloads: Vec<Vec<u8>> = frames
        .iter()
        .map(|pcm| {
            let mut payload = vec![0; 1275];
            let len = sender.encode(pcm, &mut payload);
            payload.truncate(len);
            payload
        })
        .collect();
    let mut encoder = Encoder::new(codec, settings).unwrap();
    let mut payload = [0; 1275];
    let encode = per_call(|n| _ = black_box(encoder.encode(&frames[n % FRAMES], &mut payload)));
    let mut playout = Playout::new(codec).unwrap();
    let mut stats = ReceiveStats::new(codec.rtp_clock());
    let (mut frame, mut datagram) = (Frame::silent(rate), [0; 1500]);
    let receive = per_call(|n| {
        let now_us = n as u64 * FRAME_US;
        let (sequence, timestamp) = (n as u16, n as u32 * codec.ticks_per_frame());
        let header = RtpHeader { payload_type: 0, marker: false, sequence, timestamp, ssrc: 1 };
        let len = header.write_packet(&payloads[n % FRAMES], &mut datagram).unwrap();
        let view = RtpView::parse(&datagram[..len]).unwrap();
        stats.receive(view.ssrc, view.sequence, view.timestamp, true, now_us);
        playout.insert(&view, Carries::Voice, now_us);
        black_box(playout.pull(now_us + 7000, &mut frame));
    });
    println!("{name:<24} receive, hold, decode, gate {receive:>7}   encode {encode:>7}");
    assert!(playout.stats().concealed == 0, "the chain was not measured at work");
}

fn steps() {
    for rate in [Rate::Narrow, Rate::Wide] {
        let len = rate.frame_len();
        let pcm = voice(rate, 7);
        let (mut mix, mut limiter, mut out) = (Mix::new(len), Limiter::default(), vec![0; len]);
        let mut gate = Gate::default();
        let rank = per_call(|_| _ = black_box(gate.update(level::level(black_box(&pcm)))));
        let sum = per_call(|_| {
            mix.clear();
            (0..3).for_each(|_| mix.add(black_box(&pcm)));
        });
        let quiet: Vec<i16> = pcm.iter().map(|s| s / 8).collect();
        mix.clear();
        (0..3).for_each(|_| mix.add(&quiet));
        let mut own = Mix::new(len);
        own.add(&quiet);
        let n_minus_1 = per_call(|_| mix.render(Some(black_box(&own)), Gain::UNITY, &mut limiter, black_box(&mut out)));
        mix.clear();
        (0..3).for_each(|_| mix.add(&[20_000; 320][..len]));
        let limited = per_call(|_| mix.render(None, Gain::UNITY, &mut limiter, black_box(&mut out)));
        println!("{:>6} Hz   level+gate {rank}   sum of 3 {sum}   N-1 {n_minus_1}   limited {limited}", rate.hz());
    }
    for (from, to) in [(8_000, 16_000), (16_000, 8_000), (8_000, 48_000), (48_000, 8_000), (16_000, 48_000)] {
        let mut resampler = Resampler::new(from, to).unwrap();
        let (input, mut out) = (vec![1000; from as usize / 50], vec![0; to as usize / 50]);
        let cost = per_call(|_| _ = black_box(resampler.process(&input, &mut out)));
        println!("resample {from} → {to}: {cost}");
    }
}

fn main() {
    println!("ns per 20 ms, median of {ROUNDS} rounds");
    leg("PCMU", Codec::Pcmu);
    leg("PCMA", Codec::Pcma);
    leg("G.722", Codec::G722);
    leg("Opus 8 kHz", Codec::Opus(Rate::Narrow));
    leg("Opus 16 kHz", Codec::Opus(Rate::Wide));
    steps();
    println!("a leg's receiving side: {} bytes in place", size_of::<Playout>());
}
