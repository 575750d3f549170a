//! Where phones and browsers meet: a speaking phone is encoded to Opus once and forwarded like any track; a browser's
//! microphone is decoded once and mixed for the phones.

use std::sync::Arc;
use std::time::Instant;

use dialroom_audio::audio::codec::{Codec, Encoder, MAX_ENCODED};
use dialroom_audio::audio::frame::{Frame, Rate};
use dialroom_audio::audio::level::{self, SILENCE};
use dialroom_audio::audio::opus::OpusSettings;
use dialroom_audio::audio::playout::{Carries, Playout};
use dialroom_audio::audio::speaker::Loudness;
use dialroom_audio::rtp::view::RtpView;
use dialroom_audio::rtp::write::RtpHeader;
use dialroom_protocol::TrackSource;
use dialroom_rtc::speaker::LOUD;
use dialroom_rtc::{
    InjectedAudio, MediaKind, Mid, Origin, PeerKey, Router, RtpIn, Seat, Source, TrackDescription, TrackKey,
};

use crate::bridge::mixer::Tick;
use crate::bridge::{Bridge, MemberKey};
use crate::outbox::MAX_DATAGRAM;
use crate::ports::LegKey;

/// A microphone that was not loud for so long is not decoded, µs.
const FED_FOR_US: u64 = 2_000_000;
/// A microphone is offered to the mix for so long after a loud packet, µs.
const ACTIVE_FOR_US: u64 = 120_000;
/// RTP ticks of 20 ms of Opus.
const OPUS_FRAME_TICKS: u32 = 960;
/// Level assumed of voice whose packets do not tell one, −dBov.
const ASSUMED_LEVEL: u8 = 30;
/// Opus packets up to this size are silence if no level is told.
const SILENT_PAYLOAD: usize = 10;

/// Name of a participant's track in a bridge.
pub fn track_name(participant: &str, source: TrackSource) -> Arc<str> {
    let source = match source {
        TrackSource::Microphone => "microphone",
        TrackSource::Camera => "camera",
        TrackSource::Screen => "screen",
    };
    format!("{participant}:{source}").into()
}

const ANNOUNCEMENT: &str = "announcement:";

/// Name of the track of an announcement.
pub(super) fn announcement_track(tick: u64, index: usize) -> String {
    format!("{ANNOUNCEMENT}{tick}:{index}")
}

/// Whether a track is an announcement: nobody's voice.
pub fn is_announcement(track: &str) -> bool {
    track.starts_with(ANNOUNCEMENT)
}

/// A browser's microphone on its way into the mix.
pub struct Microphone {
    /// The browser.
    pub peer: PeerKey,
    /// Whose it is.
    pub participant: Arc<str>,
    loudness: Loudness,
    level: u8,
    last_loud: Option<u64>,
    /// Decoder, made when it is first needed.
    playout: Option<Playout>,
    fed: bool,
    /// SSRC towards the playout: a new one for each time it is fed again.
    generation: u32,
}

impl Microphone {
    /// A microphone that has not been heard.
    pub fn new(peer: PeerKey, participant: Arc<str>) -> Self {
        Self {
            peer,
            participant,
            loudness: Loudness::default(),
            level: SILENCE,
            last_loud: None,
            playout: None,
            fed: false,
            generation: 0,
        }
    }

    /// Takes a packet that was not blocked. It is kept for decoding only while somebody speaks and a phone listens.
    pub fn take(&mut self, packet: &RtpIn, phones_listen: bool, micros: u64) {
        self.level = match packet.level {
            Some(level) => level.unsigned_abs().min(SILENCE),
            None if packet.payload.len() > SILENT_PAYLOAD => ASSUMED_LEVEL,
            None => SILENCE,
        };
        if self.level <= LOUD.unsigned_abs() && packet.voice != Some(false) {
            self.last_loud = Some(micros);
        }
        let feed = phones_listen && self.was_loud_within(FED_FOR_US, micros);
        if feed && !self.fed {
            self.generation = self.generation.wrapping_add(1);
        }
        self.fed = feed;
        if feed {
            self.feed(packet, micros);
        }
    }

    fn feed(&mut self, packet: &RtpIn, micros: u64) {
        let playout = match &mut self.playout {
            Some(playout) => playout,
            none => match Playout::new(Codec::Opus(Rate::Wide)) {
                Ok(playout) => none.insert(playout),
                Err(error) => return tracing::error!(%error, "no decoder for a microphone"),
            },
        };
        let header = RtpHeader {
            payload_type: 0,
            marker: packet.marker,
            sequence: packet.seq as u16,
            timestamp: packet.timestamp,
            ssrc: self.generation,
        };
        let mut datagram = [0; MAX_DATAGRAM];
        let Some(length) = header.write_packet(&packet.payload, &mut datagram) else {
            return;
        };
        if let Ok(view) = RtpView::parse(&datagram[..length]) {
            playout.insert(&view, Carries::Voice, micros);
        }
    }

    fn was_loud_within(&self, micros: u64, now: u64) -> bool {
        self.last_loud.is_some_and(|at| now.saturating_sub(at) < micros)
    }

    /// Takes the next 20 ms, at 16 kHz; their level in −dBov.
    pub fn pull(&mut self, micros: u64, frame: &mut Frame) -> u8 {
        match &mut self.playout {
            Some(playout) if self.fed => playout.pull(micros, frame).level,
            // No phone hears it: only its level counts.
            _ => {
                frame.silence();
                self.level
            }
        }
    }
}

/// A voice encoded for browsers.
pub(super) struct RouterVoice {
    encoder: Encoder,
    rate: Rate,
    speaking: bool,
}

impl RouterVoice {
    fn new(rate: Rate) -> Option<Self> {
        let settings = OpusSettings { fec: true, expected_loss: 5, dtx: false, ..OpusSettings::default() };
        match Encoder::new(Codec::Opus(rate), settings) {
            Ok(encoder) => Some(Self { encoder, rate, speaking: false }),
            Err(error) => {
                tracing::error!(%error, "no encoder for a voice towards browsers");
                None
            }
        }
    }

    fn inject(&mut self, frame: &Frame, tick: u64, key: TrackKey, router: &mut Router, now: Instant) {
        let mut bytes = [0; MAX_ENCODED];
        let length = self.encoder.encode(frame.samples(), &mut bytes);
        if length == 0 {
            return;
        }
        let audio = InjectedAudio {
            timestamp: (tick as u32).wrapping_mul(OPUS_FRAME_TICKS),
            marker: !std::mem::replace(&mut self.speaking, true),
            level: -(level::level(frame.samples()).min(SILENCE) as i8),
            voice: true,
            payload: bytes[..length].into(),
        };
        router.inject_audio(now, key, &audio);
    }
}

/// A phone's way to the browsers.
pub(super) struct Injection {
    leg: LegKey,
    name: Arc<str>,
    track: TrackKey,
    /// Made when the phone first speaks.
    voice: Option<RouterVoice>,
}

impl Bridge {
    /// Publishes what a browser sends.
    pub fn publish_browser(
        &mut self,
        peer: PeerKey,
        participant: &Arc<str>,
        mid: Mid,
        source: TrackSource,
        now: Instant,
    ) {
        let (kind, rtc_source) = match source {
            TrackSource::Microphone => (MediaKind::Audio, Source::Microphone),
            TrackSource::Camera => (MediaKind::Video, Source::Camera),
            TrackSource::Screen => (MediaKind::Video, Source::Screen),
        };
        let description = TrackDescription {
            id: track_name(participant, source),
            participant: participant.clone(),
            kind,
            source: rtc_source,
            origin: Origin::Peer { peer, mid },
        };
        if let Err(error) = self.router.publish(now, description) {
            return tracing::warn!(bridge = self.id, %participant, %error, "a browser's track cannot be published");
        }
        if source == TrackSource::Microphone {
            self.microphones.push(Microphone::new(peer, participant.clone()));
        }
    }

    /// Takes a browser out with everything it publishes; its seat is for the next bridge.
    pub fn remove_peer(&mut self, peer: PeerKey, now: Instant) -> Option<Seat> {
        self.microphones.retain(|microphone| microphone.peer != peer);
        self.silence(MemberKey::Peer(peer));
        self.end_unheard_announcements(now);
        self.router.remove_peer(now, peer)
    }

    pub(super) fn publish_phone(&mut self, leg: LegKey, participant: Arc<str>, now: Instant) {
        let name = track_name(&participant, TrackSource::Microphone);
        let description = TrackDescription {
            id: name.clone(),
            participant,
            kind: MediaKind::Audio,
            source: Source::Microphone,
            origin: Origin::Injected,
        };
        match self.router.publish(now, description) {
            Ok(track) => self.injections.push(Injection { leg, name, track, voice: None }),
            Err(error) => tracing::warn!(bridge = self.id, track = %name, %error, "browsers cannot hear a phone"),
        }
    }

    pub(super) fn unpublish_phone(&mut self, leg: LegKey, now: Instant) {
        let router = &mut self.router;
        self.injections.retain(|injection| {
            if injection.leg == leg {
                router.unpublish(now, &injection.name);
            }
            injection.leg != leg
        });
    }

    pub(super) fn publish_announcement(
        &mut self,
        name: &str,
        except: Option<Arc<str>>,
        now: Instant,
    ) -> Option<(TrackKey, RouterVoice)> {
        if self.peers == 0 {
            return None;
        }
        let description = TrackDescription {
            id: name.into(),
            // A participant never gets its own audio back: the way to leave one out.
            participant: except.unwrap_or_else(|| Arc::from("")),
            kind: MediaKind::Audio,
            source: Source::Microphone,
            origin: Origin::Injected,
        };
        let track = self.router.publish(now, description).ok()?;
        Some((track, RouterVoice::new(Rate::Wide)?))
    }

    /// Offers the microphones that are loud to the mix.
    pub(super) fn offer_microphones(&mut self, micros: u64) {
        for microphone in &mut self.microphones {
            let active = microphone.was_loud_within(ACTIVE_FOR_US, micros);
            let loudness = microphone.loudness.update(microphone.level, active);
            if active {
                self.speakers.offer(MemberKey::Peer(microphone.peer), loudness);
            }
        }
    }

    /// Keeps the playouts of microphones going that are fed but not in the mix, so that they are not late when they are.
    pub(super) fn pull_unseated(&mut self, micros: u64) {
        let mut unheard = Frame::silent(Rate::Wide);
        for microphone in &mut self.microphones {
            if microphone.fed && !self.speakers.is_seated(MemberKey::Peer(microphone.peer)) {
                microphone.fed = microphone.was_loud_within(FED_FOR_US, micros);
                microphone.pull(micros, &mut unheard);
            }
        }
    }

    /// Forwards the phones that speak, and announcements, to the browsers.
    pub(super) fn inject(&mut self, tick: &mut Tick<'_>) {
        if self.peers == 0 {
            return;
        }
        let Self { injections, voices, router, announcements, ticks, .. } = self;
        for injection in injections {
            let voice = voices.iter().find(|voice| voice.member == MemberKey::Leg(injection.leg));
            let Some(voice) = voice else {
                if let Some(encoder) = &mut injection.voice {
                    encoder.speaking = false;
                }
                continue;
            };
            let rate = tick.legs.get(injection.leg).map_or(Rate::Narrow, |leg| leg.rate());
            if injection.voice.as_ref().is_none_or(|voice| voice.rate != rate) {
                injection.voice = RouterVoice::new(rate);
            }
            if let Some(encoder) = &mut injection.voice {
                encoder.inject(voice.sound.at(rate), *ticks, injection.track, router, tick.now);
            }
        }
        for announcement in announcements {
            if let Some((track, voice)) = &mut announcement.track {
                voice.inject(announcement.sound.at(Rate::Wide), *ticks, *track, router, tick.now);
            }
        }
    }
}
