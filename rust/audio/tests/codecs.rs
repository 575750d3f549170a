//! Codecs: agreement with independent implementations, quality, and survival of bad payloads.

mod common;

use common::{Dice, speech};
use dialroom_audio::audio::codec::{Codec, Decoder, Encoder};
use dialroom_audio::audio::frame::Rate;
use dialroom_audio::audio::g722::{G722Decoder, G722Encoder};
use dialroom_audio::audio::opus::{Bandwidth, OpusDecoder, OpusEncoder, OpusSettings, packet_ticks};
use proptest::prelude::*;

const CODECS: [Codec; 5] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus(Rate::Narrow), Codec::Opus(Rate::Wide)];

fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

struct Congruence(u32);

impl Congruence {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }
}

/// Two seconds of a swept triangle and noise in loudness steps, in integers only, so that any language can make it.
fn test_signal() -> Vec<i16> {
    let mut noise = Congruence(1);
    let mut phase = 0i32;
    (0..32_000i32)
        .map(|i| {
            let white = (noise.next() >> 16) as i32 - 32_768;
            let loudness = i / 800 % 8;
            phase = (phase + (200 + i / 1600 * 350) * 65_536 / 16_000) & 0xffff;
            let triangle = if phase < 32_768 { phase } else { 65_535 - phase } * 2 - 32_768;
            let sum = ((triangle * loudness).div_euclid(8) * 3).div_euclid(4) + (white * (7 - loudness)).div_euclid(64);
            sum.clamp(-32_768, 32_767) as i16
        })
        .collect()
}

/// The hashes are of what FFmpeg 5.1's independent G.722 encoder and decoder make of the same input.
#[test]
fn g722_is_bit_exact_with_an_independent_implementation() {
    let mut encoded = vec![0; 16_000];
    let mut encoder = G722Encoder::default();
    for (pcm, out) in test_signal().chunks(320).zip(encoded.chunks_mut(160)) {
        assert_eq!(encoder.encode(pcm, out), 160);
    }
    assert_eq!(fnv(encoded.iter().copied()), 0x46bb_d27b_84c8_a5ce);
    assert_eq!(decoded_hash(&encoded), 0x499f_4d08_dedb_4a32);
}

#[test]
fn g722_decodes_any_bytes_like_an_independent_implementation() {
    let mut bytes = Congruence(7);
    let payload: Vec<u8> = (0..16_000).map(|_| (bytes.next() >> 24) as u8).collect();
    assert_eq!(decoded_hash(&payload), 0xe5ee_9005_73e4_a25e);
}

fn decoded_hash(payload: &[u8]) -> u64 {
    let mut pcm = vec![0; payload.len() * 2];
    let mut decoder = G722Decoder::default();
    // Odd pieces: the state must not depend on how a stream is cut.
    for (payload, out) in payload.chunks(333).zip(pcm.chunks_mut(666)) {
        assert_eq!(decoder.decode(payload, out), payload.len() * 2);
    }
    fnv(pcm.iter().flat_map(|sample| sample.to_le_bytes()))
}

/// Signal to noise ratio in dB at the best alignment of up to 25 ms.
fn quality(original: &[i16], heard: &[i16], rate: Rate) -> f64 {
    let error = |shift: usize| {
        let pairs = original.iter().zip(&heard[shift..]);
        let (signal, noise) = pairs.fold((0.0, 1.0), |(signal, noise), (&a, &b)| {
            (signal + f64::from(a).powi(2), noise + (f64::from(a) - f64::from(b)).powi(2))
        });
        10.0 * (signal / noise).log10()
    };
    (0..rate.samples(25)).map(error).fold(f64::MIN, f64::max)
}

#[test]
fn every_codec_brings_speech_across() {
    for (codec, least) in CODECS.into_iter().zip([30.0, 30.0, 18.0, 5.0, 5.0]) {
        let rate = codec.rate();
        let original: Vec<i16> = (0..rate.hz() as usize * 3).map(speech(rate.hz())).collect();
        let mut encoder = Encoder::new(codec, OpusSettings { dtx: false, ..OpusSettings::default() }).unwrap();
        let mut decoder = Decoder::new(codec).unwrap();
        let mut heard = Vec::new();
        for pcm in original.chunks(rate.frame_len()) {
            let (mut payload, mut out) = ([0; 1275], vec![0; rate.frame_len()]);
            let len = encoder.encode(pcm, &mut payload);
            assert_eq!(codec.payload_ticks(&payload[..len]), Some(codec.ticks_per_frame()), "{codec:?}");
            assert_eq!(decoder.decode(&payload[..len], &mut out), out.len(), "{codec:?}");
            heard.extend(out);
        }
        let quality = quality(&original, &heard, rate);
        assert!(quality > least, "{codec:?}: {quality:.1} dB");
    }
}

#[test]
fn opus_decodes_to_any_rate_and_sends_nothing_in_silence() {
    let mut encoder = OpusEncoder::new(16_000, OpusSettings::default()).unwrap();
    let mut payload = [0; 1275];
    let pcm: Vec<i16> = (0..320).map(speech(16_000)).collect();
    let len = encoder.encode(&pcm, &mut payload).unwrap();
    for (hz, samples) in [(8_000, 160), (16_000, 320), (48_000, 960)] {
        let mut decoder = OpusDecoder::new(hz).unwrap();
        let mut out = [0; 960];
        assert_eq!(decoder.decode(&payload[..len], &mut out), Ok(samples));
        assert_eq!(decoder.conceal(&mut out[..samples]), Ok(samples));
        assert_eq!(decoder.decode_fec(&payload[..len], &mut out[..samples]), Ok(samples));
        assert!(decoder.decode(&payload[..len], &mut out[..samples - 1]).is_err());
    }
    let mut encoder = Encoder::new(Codec::Opus(Rate::Wide), OpusSettings::default()).unwrap();
    let sent = (0..100).filter(|_| encoder.encode(&[0; 320], &mut payload) > 0).count();
    assert!(sent < 50, "{sent} of 100 silent frames sent");
    assert_eq!(encoder.encode(&[0; 333], &mut payload), 0);
}

/// Lengths of the packets of three seconds of speech in noise, and three of a steady tone, of which libopus alone makes
/// more than it is told to.
fn opus_lengths(settings: OpusSettings, frame_ms: u32) -> Vec<usize> {
    let mut encoder = OpusEncoder::new(16_000, settings).unwrap();
    let (mut dice, voice) = (Dice::new(5), speech(16_000));
    let noisy = (0..48_000).map(|n| voice(n) / 2 + dice.below(8000) as i16 - 4000);
    let tone = (0..48_000).map(|n| (6000.0 * (std::f64::consts::TAU * 400.0 * f64::from(n) / 16_000.0).sin()) as i16);
    let pcm: Vec<i16> = noisy.chain(tone).collect();
    pcm.chunks_exact(Rate::Wide.samples(frame_ms)).map(|frame| encoder.encode(frame, &mut [0; 1275]).unwrap()).collect()
}

#[test]
fn opus_never_goes_over_the_highest_bit_rate_on_average() {
    for bitrate in [6_000, 8_000, 16_000, 24_000] {
        for frame_ms in [10, 20, 40, 60] {
            for (cbr, fec) in [(false, false), (false, true), (true, false)] {
                let settings = OpusSettings {
                    bitrate,
                    max_bitrate: Some(bitrate),
                    cbr,
                    fec,
                    dtx: false,
                    ..OpusSettings::default()
                };
                let lengths = opus_lengths(settings, frame_ms);
                let sent = lengths.iter().sum::<usize>() * 8 / 6;
                assert!(
                    sent <= bitrate as usize,
                    "{sent} bit/s of {bitrate} in packets of {frame_ms} ms: {settings:?}"
                );
                assert!(!cbr || lengths.iter().all(|length| *length == lengths[0]), "{bitrate}: {lengths:?}");
            }
        }
    }
}

#[test]
fn opus_does_not_encode_what_the_listener_cannot_play() {
    // RFC 6716 §3.1: the first five bits tell mode, bandwidth and frame size; SILK at 20 ms here.
    for (hz, configuration) in [(8_000, 1), (11_025, 1), (12_000, 5), (16_000, 9), (48_000, 9)] {
        let settings = OpusSettings { bandwidth: Bandwidth::at(hz), dtx: false, ..OpusSettings::default() };
        let mut encoder = OpusEncoder::new(16_000, settings).unwrap();
        let (voice, mut payload) = (speech(16_000), [0; 1275]);
        for n in 0..50 {
            let pcm: Vec<i16> = (n * 320..n * 320 + 320).map(&voice).collect();
            encoder.encode(&pcm, &mut payload).unwrap();
        }
        assert_eq!(payload[0] >> 3, configuration, "{hz} Hz");
    }
}

#[test]
fn opus_refuses_what_libopus_cannot_do_and_says_what() {
    let error = OpusEncoder::new(44_100, OpusSettings::default()).unwrap_err();
    assert_eq!(error.to_string(), "libopus refused to make an encoder (code -1)");
    assert!(OpusDecoder::new(44_100).is_err());
    let mut encoder = OpusEncoder::new(8_000, OpusSettings::default()).unwrap();
    assert!(encoder.configure(OpusSettings { complexity: 11, ..OpusSettings::default() }).is_err());
    assert!(encoder.encode(&[0; 160], &mut []).is_err());
}

#[test]
fn opus_packet_lengths_are_read_from_the_first_bytes() {
    assert_eq!(packet_ticks(&[0]), Some(480));
    assert_eq!(packet_ticks(&[3 << 3 | 1]), Some(5760));
    assert_eq!(packet_ticks(&[31 << 3]), Some(960));
    assert_eq!(packet_ticks(&[31 << 3 | 3, 6]), Some(5760));
    assert_eq!(packet_ticks(&[31 << 3 | 3, 7]), None);
    assert_eq!(packet_ticks(&[31 << 3 | 3, 0]), None);
    assert_eq!(packet_ticks(&[31 << 3 | 3]), None);
    assert_eq!(packet_ticks(&[]), None);
}

#[test]
fn clocks_and_rates_are_those_of_the_rtp_profile() {
    let facts = CODECS.map(|codec| (codec.rate().hz(), codec.rtp_clock(), codec.ticks_per_frame()));
    let expected =
        [(8_000, 8_000, 160), (8_000, 8_000, 160), (16_000, 8_000, 160), (8_000, 48_000, 960), (16_000, 48_000, 960)];
    assert_eq!(facts, expected);
    assert_eq!((Codec::G722.samples_of(160), Codec::G722.ticks_of(320)), (320, 160));
    assert_eq!(Codec::Pcmu.payload_ticks(&[0; 641]), None);
}

proptest! {
    #[test]
    fn any_payload_is_decoded_or_refused(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        for codec in CODECS {
            let mut decoder = Decoder::new(codec).unwrap();
            let mut out = [0; 1920];
            let samples = decoder.decode(&payload, &mut out);
            prop_assert!(samples <= out.len());
            decoder.decode_fec(&payload, &mut out[..codec.rate().frame_len()]);
            decoder.conceal(&mut out[..codec.rate().frame_len()]);
        }
    }
}

#[test]
fn a_damaged_opus_stream_does_not_upset_the_decoder() {
    let mut dice = Dice::new(3);
    let mut encoder = OpusEncoder::new(16_000, OpusSettings::default()).unwrap();
    let mut decoder = OpusDecoder::new(16_000).unwrap();
    for n in 0..500 {
        let pcm: Vec<i16> = (n * 320..n * 320 + 320).map(speech(16_000)).collect();
        let (mut payload, mut out) = ([0; 1275], [0; 1920]);
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        payload[dice.below(len as u64) as usize] ^= 1 << dice.below(8);
        if let Ok(samples) = decoder.decode(&payload[..len], &mut out) {
            assert!(samples <= out.len());
        }
    }
}
