//! Offers, as Chromium makes them and as it never would.

mod common;

use std::time::Instant;

use dialroom_rtc::{
    Certificate, Codec, CodecPolicy, ENTROPY_BYTES, IceCredentials, LineDirection, MediaKind, Mid, OfferError, Peer,
    PeerAddress, PeerConfig, PeerKey,
};
use proptest::prelude::*;

const CHROMIUM: &str = include_str!("data/chromium-156-offer.sdp");

fn config() -> PeerConfig {
    let mut config = PeerConfig::new(Certificate::generate().unwrap());
    config.udp = vec!["192.0.2.1:7882".parse().unwrap(), "[2001:db8::1]:7882".parse().unwrap()];
    config.tcp = vec!["192.0.2.1:7882".parse().unwrap()];
    config
}

fn credentials() -> IceCredentials {
    IceCredentials::new(PeerAddress { shard: 2, peer: PeerKey(9) }, [5; ENTROPY_BYTES])
}

fn accept(offer: &str) -> Result<(Peer, String), OfferError> {
    Peer::accept(Instant::now(), offer, credentials(), &config())
}

/// The m-sections of a description, without the session part.
fn sections(description: &str) -> Vec<&str> {
    description.split("\r\nm=").skip(1).collect()
}

#[test]
fn chromiums_offer_is_answered_line_by_line_with_the_direction_mirrored() {
    let (peer, answer) = accept(CHROMIUM).unwrap();
    let shape: Vec<_> = peer.lines().iter().map(|line| (line.mid, line.kind, line.direction)).collect();
    let mut expected = vec![
        (Mid::from("0"), MediaKind::Audio, LineDirection::Receive),
        (Mid::from("1"), MediaKind::Video, LineDirection::Receive),
        (Mid::from("2"), MediaKind::Video, LineDirection::Receive),
    ];
    expected.extend(["3", "4", "5"].map(|mid| (Mid::from(mid), MediaKind::Audio, LineDirection::Send)));
    expected.extend(["6", "7", "8", "9"].map(|mid| (Mid::from(mid), MediaKind::Video, LineDirection::Send)));
    assert_eq!(shape, expected);
    for line in peer.lines() {
        let codecs: &[Codec] = if line.kind == MediaKind::Audio { &[Codec::Opus] } else { &[Codec::Vp8, Codec::H264] };
        assert_eq!(line.codecs, codecs, "{}", line.mid);
    }
    assert_eq!(answer.matches("\r\na=recvonly\r\n").count(), 3);
    assert_eq!(answer.matches("\r\na=sendonly\r\n").count(), 7);
    assert_eq!(sections(&answer).len(), 10);
}

#[test]
fn the_answer_is_ice_lite_with_our_credentials_and_candidates_of_both_protocols() {
    let (_, answer) = accept(CHROMIUM).unwrap();
    assert!(answer.contains("\r\na=ice-lite\r\n"));
    assert!(answer.contains(&format!("\r\na=ice-ufrag:{}\r\n", credentials().ufrag())));
    assert!(answer.contains("\r\na=setup:passive\r\n"));
    let candidates: Vec<_> = answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert_eq!(candidates.len(), 3, "{candidates:?}");
    assert!(candidates.iter().any(|line| line.contains(" udp ") && line.contains(" 192.0.2.1 7882 typ host")));
    assert!(candidates.iter().any(|line| line.contains(" udp ") && line.contains(" 2001:db8::1 7882 typ host")));
    assert!(candidates.iter().any(|line| line.contains(" tcp ") && line.ends_with("typ host tcptype passive")));
}

#[test]
fn the_answer_has_the_codecs_feedback_and_extensions_that_forwarding_needs() {
    let (_, answer) = accept(CHROMIUM).unwrap();
    let sections = sections(&answer);
    let (microphone, camera, slot) = (sections[0], sections[1], sections[6]);
    assert!(microphone.starts_with("audio 9 UDP/TLS/RTP/SAVPF 111\r\n"), "Opus alone");
    for expected in ["a=fmtp:111 minptime=10;useinbandfec=1", "urn:ietf:params:rtp-hdrext:ssrc-audio-level"] {
        assert!(microphone.contains(expected), "{expected}");
    }
    for section in [camera, slot] {
        assert!(section.starts_with("video 9 UDP/TLS/RTP/SAVPF 96 97 "), "VP8 first: {section}");
        for expected in [
            "a=rtcp-fb:96 nack\r\n",
            "a=rtcp-fb:96 nack pli\r\n",
            "a=rtcp-fb:96 transport-cc\r\n",
            "a=fmtp:97 apt=96",
            "packetization-mode=1;profile-level-id=42e01f",
            "transport-wide-cc-extensions-01",
            "urn:ietf:params:rtp-hdrext:sdes:mid",
            "abs-send-time",
            "urn:3gpp:video-orientation",
        ] {
            assert!(section.contains(expected), "{expected} is missing in\n{section}");
        }
        assert_eq!(section.matches("a=rtpmap:").count(), 4, "VP8, H.264 and their RTX, nothing else");
    }
    assert!(camera.contains("b=TIAS:2500000\r\n") && !slot.contains("b=TIAS"));
    assert!(slot.contains("a=ssrc-group:FID "), "a slot announces its retransmission stream");
}

#[test]
fn a_policy_without_a_codec_leaves_it_out() {
    let config = PeerConfig { codecs: CodecPolicy { vp8: true, h264: false }, ..config() };
    let (_, answer) = Peer::accept(Instant::now(), CHROMIUM, credentials(), &config).unwrap();
    assert!(answer.contains("VP8/90000") && !answer.contains("H264"));
}

#[test]
fn what_is_wrong_with_an_offer_is_said() {
    let without = |prefix: &str| {
        let kept = CHROMIUM.split_inclusive('\n').filter(|line| !line.starts_with(prefix));
        accept(&kept.collect::<String>()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(accept("hello").unwrap_err(), OfferError::Malformed { .. }));
    assert!(matches!(accept(&"x".repeat(300_000)).unwrap_err(), OfferError::TooLong { bytes: 300_000 }));
    assert_eq!(without("a=ice-ufrag"), OfferError::NoIceCredentials);
    assert!(matches!(without("a=fingerprint"), OfferError::Unacceptable { .. }));
    let opus_gone = CHROMIUM.replace("opus/48000", "speex/48000");
    let refused = accept(&opus_gone).map(|_| ()).unwrap_err();
    assert_eq!(refused, OfferError::NoCommonCodec { mid: Mid::from("0"), kind: MediaKind::Audio });
    assert!(refused.to_string().contains("offer Opus"));
    let lite = CHROMIUM.replacen("a=extmap-allow-mixed", "a=ice-lite", 1);
    assert_eq!(accept(&lite).map(|_| ()).unwrap_err(), OfferError::IceLite);
    let many = format!("{CHROMIUM}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(70));
    assert!(matches!(accept(&many).unwrap_err(), OfferError::TooManyLines { lines: 80 }));
}

#[test]
fn a_wildcard_address_as_candidate_is_our_fault_and_said_so() {
    let config = PeerConfig { udp: vec!["0.0.0.0:7882".parse().unwrap()], ..config() };
    let refused = Peer::accept(Instant::now(), CHROMIUM, credentials(), &config).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OfferError::BadCandidate { .. }));
    assert!(refused.to_string().contains("server's configuration"));
}

#[test]
fn an_offer_of_other_lines_for_a_living_peer_is_refused_and_the_peer_goes_on() {
    let (mut peer, _) = accept(CHROMIUM).unwrap();
    let other = CHROMIUM.replace("a=mid:1\r\n", "a=mid:77\r\n");
    assert!(matches!(
        peer.accept_restart(Instant::now(), &other, &credentials()).unwrap_err(),
        OfferError::Unacceptable { .. }
    ));
    assert_eq!(peer.ended(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_damaged_offer_is_answered_or_refused_but_never_ends_the_process(
        cuts in prop::collection::vec((0_usize..32_000, 0_usize..300, any::<u8>()), 1..4),
    ) {
        let mut offer = CHROMIUM.as_bytes().to_vec();
        for (at, length, byte) in cuts {
            let at = at.min(offer.len());
            let end = (at + length).min(offer.len());
            offer.splice(at..end, [byte & 0x7f]);
        }
        let offer = String::from_utf8(offer).unwrap();
        if let Err(error) = accept(&offer) {
            prop_assert!(error != OfferError::Internal, "{error}");
        }
    }
}
