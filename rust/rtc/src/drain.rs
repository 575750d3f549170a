//! Empties the WebRTC library after one mutation, translating its words into ours.

use std::collections::VecDeque;
use std::time::Instant;

use str0m::media::Pt;
use str0m::net::Protocol as NetProtocol;
use str0m::rtp::{RtpPacket, Ssrc, VideoOrientation};
use str0m::{Event, IceConnectionState, Output as RtcOutput, Rtc, RtcError};

use crate::demux::{Packet, classify};
use crate::event::{IceState, Output, PeerCounters, PeerEvent, PeerStats, SrtpProfile, Transmit};
use crate::peer::MAX_QUEUED;
use crate::types::{Codec, MediaKind, Mid, Protocol, Rotation, RtpIn};

/// Outputs of one mutation after which the library is held to be in an endless loop.
const MAX_PER_STEP: usize = 20_000;

/// SSRCs of a peer whose line is remembered.
const MAX_SSRCS: usize = 16;

/// What has been drained and not yet taken, and what was learnt on the way.
pub(crate) struct Drain {
    pub(crate) queue: VecDeque<Output>,
    pub(crate) timeout: Instant,
    pub(crate) connected: bool,
    pub(crate) ice: IceState,
    pub(crate) payload_types: Vec<(Pt, Codec)>,
    ssrcs: Vec<(Ssrc, Mid)>,
    pub(crate) profile: Option<SrtpProfile>,
    pub(crate) counters: PeerCounters,
    /// Length of the datagram being handled, 0 if none.
    pub(crate) arriving: usize,
}

impl Drain {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            timeout: now,
            connected: false,
            ice: IceState::Checking,
            payload_types: Vec::new(),
            ssrcs: Vec::new(),
            profile: None,
            counters: PeerCounters::default(),
            arriving: 0,
        }
    }

    /// Drains to the library's timeout. False if the connection is closed.
    pub(crate) fn run(&mut self, rtc: &mut Rtc) -> Result<bool, RtcError> {
        for _ in 0..MAX_PER_STEP {
            match rtc.poll_output()? {
                RtcOutput::Timeout(at) => {
                    self.timeout = at;
                    return Ok(rtc.is_alive());
                }
                RtcOutput::Transmit(transmit) => self.transmit(transmit),
                RtcOutput::Event(Event::Closed) => return Ok(false),
                RtcOutput::Event(event) => self.event(rtc, event),
            }
        }
        panic!("more than {MAX_PER_STEP} outputs after one input");
    }

    fn transmit(&mut self, transmit: str0m::net::Transmit) {
        let Some(protocol) = our_protocol(transmit.proto) else {
            return;
        };
        let (destination, bytes) = (transmit.destination, Vec::from(transmit.contents));
        // A success response is sent only to a check whose integrity held (RFC 8445 §7.3).
        if bytes.starts_with(&[0x01, 0x01]) {
            self.queue.push_back(Output::Event(PeerEvent::RemoteAddress { protocol, address: destination }));
        }
        if self.queue.len() >= MAX_QUEUED && classify(&bytes) == Some(Packet::Rtp) {
            self.counters.dropped_packets += 1;
            return;
        }
        let transmit = Transmit { protocol, source: transmit.source, destination, bytes };
        self.queue.push_back(Output::Transmit(transmit));
    }

    fn event(&mut self, rtc: &mut Rtc, event: Event) {
        let event = match event {
            Event::Connected => {
                if std::mem::replace(&mut self.connected, true) {
                    return;
                }
                PeerEvent::Connected
            }
            Event::IceConnectionStateChange(state) => match self.ice_changed(state) {
                Some(state) => PeerEvent::IceStateChanged(state),
                None => return,
            },
            Event::RtpPacket(packet) => match self.received(rtc, packet) {
                Some(packet) => PeerEvent::Rtp(packet),
                None => return,
            },
            Event::KeyframeRequest(request) => PeerEvent::KeyframeRequest { mid: Mid(request.mid) },
            Event::PeerStats(stats) => PeerEvent::Stats(PeerStats {
                rtt: stats.rtt,
                egress_loss: stats.egress_loss_fraction,
                ingress_loss: stats.ingress_loss_fraction,
                bytes_in: stats.peer_bytes_rx,
                bytes_out: stats.peer_bytes_tx,
            }),
            _ => return,
        };
        self.queue.push_back(Output::Event(event));
    }

    fn ice_changed(&mut self, state: IceConnectionState) -> Option<IceState> {
        let state = match state {
            IceConnectionState::New | IceConnectionState::Checking => IceState::Checking,
            IceConnectionState::Connected | IceConnectionState::Completed => IceState::Connected,
            IceConnectionState::Disconnected => IceState::Disconnected,
        };
        (std::mem::replace(&mut self.ice, state) != state).then_some(state)
    }

    fn received(&mut self, rtc: &mut Rtc, packet: RtpPacket) -> Option<RtpIn> {
        let header = packet.header;
        let (_, codec) = *self.payload_types.iter().find(|(pt, _)| *pt == header.payload_type)?;
        if self.profile.is_none() && !header.has_padding {
            self.profile = profile(self.arriving, header.header_len + packet.payload.len());
        }
        if self.queue.len() >= MAX_QUEUED {
            self.counters.dropped_packets += 1;
            return None;
        }
        let is_audio = codec.kind() == MediaKind::Audio;
        Some(RtpIn {
            mid: self.mid(rtc, header.ssrc)?,
            ssrc: *header.ssrc,
            codec,
            seq: *packet.seq_no,
            timestamp: header.timestamp,
            marker: header.marker,
            level: header.ext_vals.audio_level.filter(|_| is_audio),
            voice: header.ext_vals.voice_activity.filter(|_| is_audio),
            rotation: header.ext_vals.video_orientation.map(Rotation::from),
            payload: packet.payload,
            arrival: packet.timestamp,
        })
    }

    /// The line an SSRC belongs to. Senders stop repeating `sdes:mid` once we have acknowledged the SSRC.
    fn mid(&mut self, rtc: &mut Rtc, ssrc: Ssrc) -> Option<Mid> {
        if let Some((_, mid)) = self.ssrcs.iter().find(|(known, _)| *known == ssrc) {
            return Some(*mid);
        }
        let mid = Mid(rtc.direct_api().stream_rx(&ssrc)?.mid());
        if self.ssrcs.len() == MAX_SSRCS {
            self.ssrcs.remove(0);
        }
        self.ssrcs.push((ssrc, mid));
        Some(mid)
    }
}

/// The SRTP profile by the length of its authentication tag: 16 bytes with GCM (RFC 7714), 10 with SHA1_80 (RFC 3711).
fn profile(datagram: usize, plain: usize) -> Option<SrtpProfile> {
    match datagram.checked_sub(plain)? {
        16 => Some(SrtpProfile::AeadAesGcm),
        10 => Some(SrtpProfile::AesCm128HmacSha1),
        _ => None,
    }
}

pub(crate) fn net_protocol(protocol: Protocol) -> NetProtocol {
    match protocol {
        Protocol::Udp => NetProtocol::Udp,
        Protocol::Tcp => NetProtocol::Tcp,
    }
}

fn our_protocol(protocol: NetProtocol) -> Option<Protocol> {
    match protocol {
        NetProtocol::Udp => Some(Protocol::Udp),
        NetProtocol::Tcp => Some(Protocol::Tcp),
        NetProtocol::SslTcp | NetProtocol::Tls => None,
    }
}

impl From<VideoOrientation> for Rotation {
    fn from(orientation: VideoOrientation) -> Self {
        match orientation {
            VideoOrientation::Deg0 => Self::Deg0,
            VideoOrientation::Deg90 => Self::Deg90,
            VideoOrientation::Deg180 => Self::Deg180,
            VideoOrientation::Deg270 => Self::Deg270,
        }
    }
}

impl From<Rotation> for VideoOrientation {
    fn from(rotation: Rotation) -> Self {
        match rotation {
            Rotation::Deg0 => Self::Deg0,
            Rotation::Deg90 => Self::Deg90,
            Rotation::Deg180 => Self::Deg180,
            Rotation::Deg270 => Self::Deg270,
        }
    }
}
