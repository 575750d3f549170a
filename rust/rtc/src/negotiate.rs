//! Offer in, answer out (RFC 3264, RFC 8829). We are ICE-lite and only ever answer: a browser makes one offer with all
//! the lines it will ever use, later offers only restart ICE.

use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::config::DtlsCert;
use str0m::media::{Direction, MediaKind as StrKind};
use str0m::net::TcpType;
use str0m::{Candidate, IceCreds, Rtc, RtcConfig, RtcError};

use crate::credentials::IceCredentials;
use crate::peer::Peer;
use crate::types::{Codec, Line, LineDirection, MediaKind, Mid, Protocol};

/// Longest offer read, in bytes. A browser's offer with forty lines is about 130 kB.
pub const MAX_OFFER_BYTES: usize = 256 * 1024;
/// Most m-lines an offer may have.
pub const MAX_LINES: usize = 64;

/// The process's DTLS certificate. Make one at start and clone it into every [`PeerConfig`].
#[derive(Clone)]
pub struct Certificate(DtlsCert);

impl Certificate {
    /// A new self-signed certificate (ECDSA P-256); `None` if the cryptographic library failed.
    pub fn generate() -> Option<Self> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate().map(Self)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(..)")
    }
}

/// Which video codecs are answered, VP8 first. Opus always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecPolicy {
    /// Accept VP8.
    pub vp8: bool,
    /// Accept H.264 constrained baseline, packetization-mode 1.
    pub h264: bool,
}

impl Default for CodecPolicy {
    fn default() -> Self {
        Self { vp8: true, h264: true }
    }
}

/// Bounds of the packets kept per video slot to answer NACKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtxCache {
    /// Most packets.
    pub packets: usize,
    /// Oldest packet.
    pub age: Duration,
}

/// Everything about a peer that is the same for all peers of a shard.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// UDP addresses offered as host candidates: where browsers reach this shard, not wildcard addresses.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses offered as passive candidates (RFC 6544).
    pub tcp: Vec<SocketAddr>,
    /// Shared by the process.
    pub certificate: Certificate,
    /// Video codecs.
    pub codecs: CodecPolicy,
    /// What a browser may send per video line, in bit/s (`b=TIAS`, RFC 3890). The fixed cap until layers are chosen by
    /// bandwidth.
    pub max_video_bitrate: u32,
    /// Packets kept for retransmission.
    pub rtx: RtxCache,
    /// A peer that is not connected this long after its offer ends.
    pub connect_timeout: Duration,
    /// A peer whose connectivity checks have stopped ends after this; until then an ICE restart revives it.
    pub disconnect_grace: Duration,
    /// How often [`crate::PeerEvent::Stats`] is told; `None` for never.
    pub stats_interval: Option<Duration>,
}

impl PeerConfig {
    /// Defaults: no candidates yet, VP8 and H.264, 2.5 Mbit/s per video line, 600 packets or 2 s of retransmission,
    /// 30 s to connect, 30 s of grace, statistics every 5 s.
    pub fn new(certificate: Certificate) -> Self {
        Self {
            udp: Vec::new(),
            tcp: Vec::new(),
            certificate,
            codecs: CodecPolicy::default(),
            max_video_bitrate: 2_500_000,
            rtx: RtxCache { packets: 600, age: Duration::from_secs(2) },
            connect_timeout: Duration::from_secs(30),
            disconnect_grace: Duration::from_secs(30),
            stats_interval: Some(Duration::from_secs(5)),
        }
    }
}

/// What is wrong with an offer, or with our configuration. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferError {
    /// Longer than [`MAX_OFFER_BYTES`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Not a session description.
    Malformed {
        /// Where the parser gave up.
        detail: String,
    },
    /// A session description that cannot be answered (no `a=fingerprint`, changed m-lines, …).
    Unacceptable {
        /// The reason.
        detail: String,
    },
    /// No audio or video line.
    NoMedia,
    /// More than [`MAX_LINES`] m-lines.
    TooManyLines {
        /// How many.
        lines: usize,
    },
    /// No `a=ice-ufrag` and `a=ice-pwd`.
    NoIceCredentials,
    /// The other end is ICE-lite too: nobody would start.
    IceLite,
    /// A line offers no codec we have.
    NoCommonCodec {
        /// The line.
        mid: Mid,
        /// Audio or video.
        kind: MediaKind,
    },
    /// Our own candidate address cannot be used: the server's configuration is wrong, not the offer.
    BadCandidate {
        /// The address.
        address: SocketAddr,
        /// Why not.
        detail: String,
    },
    /// A restart was offered to a peer that has ended: join again.
    PeerEnded,
    /// The WebRTC library failed on this offer.
    Internal,
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "offer has {bytes} bytes, more than {MAX_OFFER_BYTES}"),
            Self::Malformed { detail } => write!(f, "offer is not a session description: {detail}"),
            Self::Unacceptable { detail } => write!(f, "offer cannot be answered: {detail}"),
            Self::NoMedia => f.write_str("offer has no audio or video line"),
            Self::TooManyLines { lines } => write!(f, "offer has {lines} m-lines, more than {MAX_LINES}"),
            Self::NoIceCredentials => f.write_str("offer has no a=ice-ufrag and a=ice-pwd"),
            Self::IceLite => f.write_str("offer comes from an ICE-lite endpoint; we are ICE-lite ourselves"),
            Self::NoCommonCodec { mid, kind } => {
                let wanted = if *kind == MediaKind::Audio { "Opus" } else { "VP8 or H.264 constrained baseline" };
                write!(f, "line with mid {mid} offers no codec we have: offer {wanted}")
            }
            Self::BadCandidate { address, detail } => {
                write!(f, "our media address {address} cannot be offered: {detail}; correct the server's configuration")
            }
            Self::PeerEnded => f.write_str("this connection has ended: join again"),
            Self::Internal => f.write_str("the WebRTC library failed on this offer"),
        }
    }
}

impl std::error::Error for OfferError {}

impl Peer {
    /// Answers a browser's offer: the peer, and the answer to send back.
    ///
    /// The answer holds our candidates, so nothing is trickled. Costs some 5 ms for an offer of ten lines (parsing it):
    /// call it on another thread than the one that moves packets, and hand the peer over.
    ///
    /// # Errors
    /// [`OfferError`], saying what is wrong with the offer or with our candidates.
    pub fn accept(
        now: Instant,
        offer: &str,
        credentials: IceCredentials,
        config: &PeerConfig,
    ) -> Result<(Self, String), OfferError> {
        let (mids, offer) = (mids(offer), parse(offer)?);
        guarded(|| {
            let mut rtc = build(now, &credentials, config)?;
            let candidates = add_candidates(&mut rtc, config)?;
            let answer = rtc.sdp_api().accept_offer(offer).map_err(refused)?.to_sdp_string();
            let peer = Self::new(now, rtc, credentials.address(), candidates, &mids, config)?;
            check_codecs(peer.lines())?;
            let answer = finish(&answer, config.max_video_bitrate);
            Ok((peer, answer))
        })
    }
}

/// Reads an offer and checks what the WebRTC library would not tell apart.
pub(crate) fn parse(offer: &str) -> Result<SdpOffer, OfferError> {
    if offer.len() > MAX_OFFER_BYTES {
        return Err(OfferError::TooLong { bytes: offer.len() });
    }
    let has = |prefix: &str| offer.lines().any(|line| line.starts_with(prefix));
    let lines = offer.lines().filter(|line| line.starts_with("m=")).count();
    if lines > MAX_LINES {
        return Err(OfferError::TooManyLines { lines });
    }
    let parsed = guarded(|| {
        SdpOffer::from_sdp_string(offer).map_err(|error| OfferError::Malformed { detail: error.to_string() })
    })?;
    if !has("m=audio ") && !has("m=video ") {
        return Err(OfferError::NoMedia);
    }
    if !has("a=ice-ufrag:") || !has("a=ice-pwd:") {
        return Err(OfferError::NoIceCredentials);
    }
    if has("a=ice-lite") {
        return Err(OfferError::IceLite);
    }
    Ok(parsed)
}

/// Runs library code on input from outside; a panic in it is the library's failure, not the process's end.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T, OfferError>) -> Result<T, OfferError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(Err(OfferError::Internal))
}

pub(crate) fn refused(error: RtcError) -> OfferError {
    OfferError::Unacceptable { detail: error.to_string() }
}

pub(crate) fn ice_creds(credentials: &IceCredentials) -> IceCreds {
    IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.password.clone() }
}

fn build(now: Instant, credentials: &IceCredentials, config: &PeerConfig) -> Result<Rtc, OfferError> {
    let mut rtc = RtcConfig::new()
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .set_local_ice_credentials(ice_creds(credentials))
        .set_dtls_cert(config.certificate.0.clone())
        .set_stats_interval(config.stats_interval)
        .clear_codecs()
        .enable_opus(true, false)
        .enable_vp8(config.codecs.vp8);
    if config.codecs.h264 {
        // Payload types are the offerer's; these only seed the match. 42e01f: constrained baseline, level 3.1.
        rtc.codec_config().add_h264(108.into(), Some(109.into()), true, 0x42e01f);
    }
    Ok(rtc.build(now))
}

fn add_candidates(rtc: &mut Rtc, config: &PeerConfig) -> Result<Vec<(Protocol, SocketAddr)>, OfferError> {
    let udp = config.udp.iter().map(|address| (Protocol::Udp, *address));
    let tcp = config.tcp.iter().map(|address| (Protocol::Tcp, *address));
    let candidates: Vec<_> = udp.chain(tcp).collect();
    for &(protocol, address) in &candidates {
        let candidate = match protocol {
            Protocol::Udp => Candidate::builder().udp().host(address).build(),
            Protocol::Tcp => Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build(),
        };
        let candidate = candidate.map_err(|error| OfferError::BadCandidate { address, detail: error.to_string() })?;
        rtc.add_local_candidate(candidate);
    }
    Ok(candidates)
}

/// The negotiated line for `mid`.
pub(crate) fn line(rtc: &Rtc, mid: str0m::media::Mid) -> Option<Line> {
    let media = rtc.media(mid)?;
    let kind = match media.kind() {
        StrKind::Audio => MediaKind::Audio,
        StrKind::Video => MediaKind::Video,
    };
    let direction = match media.direction() {
        Direction::SendOnly => LineDirection::Send,
        Direction::RecvOnly => LineDirection::Receive,
        Direction::SendRecv => LineDirection::Both,
        Direction::Inactive => LineDirection::Inactive,
    };
    let codecs = payload_types(rtc, mid).into_iter().map(|(_, codec)| codec).collect();
    Some(Line { mid: Mid(mid), kind, direction, codecs })
}

/// Payload types negotiated on a line, retransmission excluded.
pub(crate) fn payload_types(rtc: &Rtc, mid: str0m::media::Mid) -> Vec<(str0m::media::Pt, Codec)> {
    let Some(media) = rtc.media(mid) else {
        return Vec::new();
    };
    let negotiated = |params: &&str0m::format::PayloadParams| media.remote_pts().contains(&params.pt());
    rtc.codec_config().params().iter().filter(negotiated).filter_map(|p| Some((p.pt(), codec(p)?))).collect()
}

fn codec(params: &str0m::format::PayloadParams) -> Option<Codec> {
    match params.spec().codec {
        str0m::format::Codec::Opus => Some(Codec::Opus),
        str0m::format::Codec::Vp8 => Some(Codec::Vp8),
        str0m::format::Codec::H264 => Some(Codec::H264),
        _ => None,
    }
}

fn check_codecs(lines: &[Line]) -> Result<(), OfferError> {
    let without = |line: &&Line| line.direction != LineDirection::Inactive && line.codecs.is_empty();
    match lines.iter().find(without) {
        Some(line) => Err(OfferError::NoCommonCodec { mid: line.mid, kind: line.kind }),
        None => Ok(()),
    }
}

/// The mids of an offer, in its order.
fn mids(offer: &str) -> Vec<str0m::media::Mid> {
    let mut mids: Vec<str0m::media::Mid> = Vec::new();
    for mid in offer.lines().filter_map(|line| line.strip_prefix("a=mid:")) {
        let mid = mid.trim_end().into();
        if mids.len() < MAX_LINES && !mids.contains(&mid) {
            mids.push(mid);
        }
    }
    mids
}

/// The answer as it is sent: `b=TIAS` in the video sections on which the browser sends (RFC 8866 §9: `b=` follows `c=`),
/// and candidates without their optional `ufrag`, which the library leaves stale when a restart uses our credentials.
pub(crate) fn finish(answer: &str, bits_per_second: u32) -> String {
    let mut finished = String::with_capacity(answer.len() + 256);
    for section in split_sections(answer) {
        let published =
            section.starts_with("m=video ") && section.lines().any(|line| line == "a=recvonly" || line == "a=sendrecv");
        for line in section.split_inclusive('\n') {
            match line.split_once(" ufrag ") {
                Some((candidate, _)) if line.starts_with("a=candidate:") => {
                    finished.push_str(candidate);
                    finished.push_str("\r\n");
                }
                _ => finished.push_str(line),
            }
            if published && line.starts_with("c=") {
                finished.push_str(&format!("b=TIAS:{bits_per_second}\r\n"));
            }
        }
    }
    finished
}

fn split_sections(description: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = description.match_indices("\nm=").map(|(at, _)| at + 1).collect();
    starts.insert(0, 0);
    starts.push(description.len());
    starts.windows(2).map(|pair| &description[pair[0]..pair[1]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_stands_only_where_the_browser_sends_video() {
        let answer = "v=0\r\nm=video 9 X 96\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n\
                      m=video 9 X 96\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\n\
                      m=audio 9 X 111\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n";
        let capped = finish(answer, 1000);
        assert_eq!(capped.matches("b=TIAS:1000\r\n").count(), 1);
        assert!(capped.contains("m=video 9 X 96\r\nc=IN IP4 0.0.0.0\r\nb=TIAS:1000\r\na=recvonly"));
        assert_eq!(capped.replace("b=TIAS:1000\r\n", ""), answer);
    }

    #[test]
    fn candidates_carry_no_ufrag_of_their_own() {
        let answer =
            "v=0\r\nm=audio 9 X 111\r\na=candidate:1 1 udp 2 192.0.2.1 7882 typ host ufrag abcd\r\na=mid:0\r\n";
        assert_eq!(finish(answer, 1), answer.replace(" ufrag abcd", ""));
    }
}
