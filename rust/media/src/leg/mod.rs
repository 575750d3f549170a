//! One phone leg: where its media comes from and goes to, what it says and what it hears.

pub mod digits;
pub mod packetizer;
mod receive;
mod report;
pub mod sender;
mod watch;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dialroom_audio::audio::codec::Codec;
use dialroom_audio::audio::frame::{Frame, Rate};
use dialroom_audio::audio::gain::Gain;
use dialroom_audio::audio::level;
use dialroom_audio::audio::mix::Limiter;
use dialroom_audio::audio::opus::{Bandwidth, OpusError, OpusSettings};
use dialroom_audio::audio::playout::{Heard, Origin, Playout};
use dialroom_audio::audio::speaker::Loudness;
use dialroom_audio::rtp::dtmf::DtmfReceiver;
use dialroom_audio::rtp::stats::ReceiveStats;
use dialroom_protocol::{
    CodecName, Direction, Event, LegMedia, LegState, OpusParameters, PlaybackEnd, Refusal, RefusalCode, TelephoneEvent,
};

use crate::bridge::BridgeKey;
use crate::latch::Latch;
use crate::leg::digits::DigitQueue;
use crate::leg::packetizer::Packetizer;
use crate::leg::report::Reports;
use crate::leg::sender::{Sender, Shape};
use crate::leg::watch::Watch;
use crate::outbox::{Outbox, Socket, TapId};
use crate::playback::Playback;
use crate::ports::{PortId, PortPair, canonical};

pub use receive::Arrival;

/// Where a leg is a member.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The bridge.
    pub bridge: BridgeKey,
    /// As whom.
    pub participant: Arc<str>,
}

/// The random beginnings of an RTP stream (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy)]
pub struct StreamSeed {
    /// Synchronisation source.
    pub ssrc: u32,
    /// First sequence number.
    pub sequence: u16,
    /// First timestamp.
    pub timestamp: u32,
}

/// What depends on the negotiated media; like [`Leg`], in order of use.
#[derive(Debug)]
#[repr(C)]
pub struct Stream {
    /// The codec both ways.
    pub codec: Codec,
    /// What we send, ms.
    pub ptime: u32,
    /// How Opus is encoded for it.
    pub opus: OpusSettings,
    pub(crate) payload_type: u8,
    pub(crate) comfort_noise: Option<u8>,
    pub(crate) direction: Direction,
    pub(crate) rtcp_mux: bool,
    pub(crate) telephone_event: Option<TelephoneEvent>,
    pub(crate) limiter: Limiter,
    /// What the last 20 ms from the phone were.
    pub last: Heard,
    pub(crate) dtmf: DtmfReceiver,
    pub(crate) stats: ReceiveStats,
    pub(crate) playout: Playout,
    /// The last 20 ms from the phone, while it is a candidate for the mix.
    pub heard: Frame,
    pub(crate) packetizer: Packetizer,
    /// The last 20 ms to the phone.
    pub told: Frame,
    pub(crate) rtcp_destination: SocketAddr,
}

/// One phone leg. Its fields lie in this order: what each packet and each tick needs comes first and together, because
/// a thousand legs do not fit the caches.
#[derive(Debug)]
#[repr(C)]
pub struct Leg {
    pub(crate) port: PortId,
    pub(crate) pair: PortPair,
    /// Whether others do not hear it.
    pub muted: bool,
    /// Whether the last packets were shared with other listeners.
    pub(crate) shared: bool,
    /// Sequence number of the last packet that was the phone's.
    pub(crate) remote_sequence: u16,
    pub(crate) remote_ssrc: Option<u32>,
    pub(crate) gain: Gain,
    /// Smoothed, for ranking.
    pub(crate) loudness: Loudness,
    pub(crate) heard_tap: Option<TapId>,
    pub(crate) told_tap: Option<TapId>,
    pub(crate) watch: Watch,
    pub(crate) sender: Sender,
    pub(crate) reports: Reports,
    pub(crate) membership: Option<Membership>,
    pub(crate) playback: Option<Playback>,
    pub(crate) digits: DigitQueue,
    pub(crate) latch: Latch,
    pub(crate) stream: Option<Stream>,
    pub(crate) rejected: u64,
    /// Its id.
    pub id: String,
    tag: String,
    media: Option<LegMedia>,
    #[cfg(test)]
    pub(crate) panics: bool,
}

impl Leg {
    /// A leg at a reserved port, without media.
    pub fn new(
        id: String,
        tag: String,
        port: PortId,
        pair: PortPair,
        latch: Latch,
        seed: StreamSeed,
        now: u64,
    ) -> Self {
        Self {
            id,
            tag,
            port,
            pair,
            latch,
            media: None,
            stream: None,
            membership: None,
            muted: false,
            gain: Gain::UNITY,
            playback: None,
            digits: DigitQueue::default(),
            sender: Sender::new(seed.ssrc, seed.sequence, seed.timestamp),
            reports: Reports::new(seed.ssrc, now),
            watch: Watch::default(),
            heard_tap: None,
            told_tap: None,
            rejected: 0,
            remote_ssrc: None,
            remote_sequence: 0,
            loudness: Loudness::default(),
            shared: false,
            #[cfg(test)]
            panics: false,
        }
    }

    /// Sets or changes the media. Whether the remote address is another one, so that its source is to be learnt again.
    /// `ssrc` is for a stream that cannot go on under the one it has.
    pub fn configure(&mut self, media: LegMedia, ssrc: u32, now: u64) -> Result<bool, Refusal> {
        let remote = remote_address(&media)?;
        let codec = codec_of(media.codec.name);
        let same_codec = self.stream.as_ref().is_some_and(|s| s.codec == codec && s.ptime == media.codec.ptime);
        if !same_codec {
            let old_clock = self.stream.as_ref().map(|stream| stream.codec.rtp_clock());
            self.stream = Some(Stream::new(codec, &media, remote).map_err(|error| {
                Refusal::new(RefusalCode::Internal, format!("The codec {codec:?} cannot be set up: {error}"))
            })?);
            if old_clock.is_some_and(|clock| clock != codec.rtp_clock()) {
                self.sender.restart(ssrc);
            }
        }
        if let Some(stream) = &mut self.stream {
            stream.apply(&media, remote.ip()).map_err(|error| {
                Refusal::new(RefusalCode::Internal, format!("The codec {codec:?} cannot be changed: {error}"))
            })?;
        }
        self.watch.begin(now);
        self.media = Some(media);
        Ok(self.latch.announce(remote))
    }

    /// The leg as a snapshot shows it; `bridge` is the id of the bridge it is in.
    pub fn state(&self, bridge: Option<String>) -> LegState {
        LegState {
            leg: self.id.clone(),
            tag: self.tag.clone(),
            rtp_port: self.pair.rtp,
            bridge,
            participant: self.membership.as_ref().map(|m| m.participant.to_string()),
            muted: self.muted,
            gain: f64::from(self.gain.db()),
            media: self.media.clone(),
            playback: self.playback.as_ref().map(|playback| playback.id.clone()),
        }
    }

    /// Where and how RTP leaves.
    pub(crate) fn route(&self) -> Option<(Socket, SocketAddr)> {
        Some((Socket::Rtp(self.port), self.latch.destination()?))
    }

    /// Where the phone's RTCP is announced to come from.
    pub(crate) fn rtcp_announced(&self) -> Option<SocketAddr> {
        self.stream.as_ref().map(|stream| stream.rtcp_destination)
    }

    /// Takes the next 20 ms from the phone into `sound`, at the codec's rate.
    pub fn pull(&mut self, now: u64, sound: &mut Frame) {
        #[cfg(test)]
        assert!(!self.panics, "a bug in a leg");
        let Some(stream) = &mut self.stream else {
            return;
        };
        sound.set_rate(stream.codec.rate());
        stream.last = if stream.direction.receives() {
            stream.playout.pull(now, sound)
        } else {
            sound.silence();
            Heard { level: level::SILENCE, active: false, origin: Origin::Silence }
        };
        if stream.dtmf.is_held() {
            // The tone that some phones send along with the event is not for the room.
            sound.silence();
            stream.last.active = false;
        }
    }

    /// Keeps what was pulled for the mix of this tick, in [`Stream::heard`].
    pub fn keep(&mut self, sound: &Frame) {
        if let Some(stream) = &mut self.stream {
            stream.heard.copy_from(sound);
        }
    }

    /// Whether its voice is a candidate for the mix.
    pub fn speaks(&self) -> bool {
        !self.muted && self.stream.as_ref().is_some_and(|stream| stream.last.active)
    }

    /// Whether anything is to be sent to it now.
    pub fn listens(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.direction.sends()) && self.latch.destination().is_some()
    }

    /// Sends [`Stream::told`], encoded for this leg alone.
    pub fn send_own(&mut self, outbox: &mut Outbox) {
        let route = self.route();
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.packetizer.push(&stream.told);
        match route {
            Some(to) if stream.direction.sends() => {
                self.sender.send(stream.shape(), &stream.packetizer, &mut self.digits, to, outbox);
            }
            _ => self.sender.pause(stream.codec.ticks_per_frame()),
        }
    }

    /// Sends what was encoded once for all who only listen.
    pub fn send_shared(&mut self, packetizer: &Packetizer, outbox: &mut Outbox) {
        let route = self.route();
        let Some(stream) = &mut self.stream else {
            return;
        };
        match route {
            Some(to) if stream.direction.sends() => {
                self.sender.send(stream.shape(), packetizer, &mut self.digits, to, outbox);
            }
            _ => self.sender.pause(stream.codec.ticks_per_frame()),
        }
    }

    /// Ends what plays, if anything does, and tells so.
    pub fn end_playback(&mut self, reason: PlaybackEnd, events: &mut Vec<Event>) {
        if let Some(playback) = self.playback.take() {
            events.push(Event::PlaybackEnded { leg: self.id.clone(), playback: playback.id, reason });
        }
    }

    /// The rate of what it hears.
    pub fn rate(&self) -> Rate {
        self.stream.as_ref().map_or(Rate::Narrow, |stream| stream.codec.rate())
    }
}

impl Stream {
    fn new(codec: Codec, media: &LegMedia, remote: SocketAddr) -> Result<Self, OpusError> {
        let opus = phone_opus(codec, media.codec.opus);
        Ok(Self {
            codec,
            ptime: media.codec.ptime,
            opus,
            payload_type: media.codec.payload_type,
            telephone_event: None,
            comfort_noise: None,
            direction: media.direction,
            rtcp_mux: media.rtcp_mux,
            rtcp_destination: SocketAddr::new(remote.ip(), media.remote_rtcp_port),
            playout: Playout::new(codec)?,
            stats: ReceiveStats::new(codec.rtp_clock()),
            dtmf: DtmfReceiver::default(),
            packetizer: Packetizer::new(codec, media.codec.ptime, opus)?,
            heard: Frame::silent(codec.rate()),
            last: Heard { level: level::SILENCE, active: false, origin: Origin::Silence },
            told: Frame::silent(codec.rate()),
            limiter: Limiter::default(),
        })
    }

    fn apply(&mut self, media: &LegMedia, remote: IpAddr) -> Result<(), OpusError> {
        let opus = phone_opus(self.codec, media.codec.opus);
        if opus != self.opus {
            self.packetizer.configure(opus)?;
            self.opus = opus;
        }
        self.payload_type = media.codec.payload_type;
        self.telephone_event.clone_from(&media.telephone_event);
        self.comfort_noise = media.comfort_noise_payload_type;
        self.direction = media.direction;
        self.rtcp_mux = media.rtcp_mux;
        self.rtcp_destination = SocketAddr::new(remote, media.remote_rtcp_port);
        Ok(())
    }

    fn shape(&self) -> Shape {
        Shape {
            payload_type: self.payload_type,
            event_payload_type: self.telephone_event.as_ref().map(|event| event.payload_type),
            frame_ticks: self.codec.ticks_per_frame(),
        }
    }
}

/// Opus towards a phone, within what its decoder asks for; the same for all phones of another codec.
fn phone_opus(codec: Codec, asked: Option<OpusParameters>) -> OpusSettings {
    let asked = asked.filter(|_| matches!(codec, Codec::Opus(_))).unwrap_or_default();
    let settings = OpusSettings::default();
    // Whole kilobits: listeners with nearly the same limit share an encoder.
    let limit = (asked.maxaveragebitrate / 1000 * 1000).max(6_000);
    // A variable bit rate that aims at the limit itself would meet it in the middle of a tone.
    let aim = if asked.cbr { limit } else { limit - limit / 10 };
    OpusSettings {
        bitrate: aim.min(settings.bitrate),
        max_bitrate: (limit < 2 * settings.bitrate).then_some(limit),
        fec: asked.useinbandfec,
        expected_loss: 5,
        dtx: asked.usedtx,
        cbr: asked.cbr,
        bandwidth: Bandwidth::at(asked.maxplaybackrate.min(codec.rate().hz())),
        ..settings
    }
}

/// How a negotiated codec is decoded and encoded.
pub(crate) fn codec_of(name: CodecName) -> Codec {
    match name {
        CodecName::Pcmu => Codec::Pcmu,
        CodecName::Pcma => Codec::Pcma,
        CodecName::G722 => Codec::G722,
        CodecName::Opus => Codec::Opus(Rate::Wide),
    }
}

fn remote_address(media: &LegMedia) -> Result<SocketAddr, Refusal> {
    let bad = |message: String| Refusal::new(RefusalCode::BadValue, message);
    let address = media.remote_address.parse::<IpAddr>();
    let address = address.map_err(|_| bad(format!("remote_address {:?} is no IP address", media.remote_address)))?;
    if media.remote_rtp_port == 0 {
        return Err(bad("remote_rtp_port 0 cannot be sent to; a rejected line has no leg".to_owned()));
    }
    if media.codec.payload_type > 127 {
        return Err(bad(format!("payload_type {} is over 127", media.codec.payload_type)));
    }
    Ok(SocketAddr::new(canonical(address), media.remote_rtp_port))
}
