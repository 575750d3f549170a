//! One tick of a bridge: pull, rank, mix, send.
//!
//! Everybody is pulled, the loudest few are mixed, the mix is encoded once per kind of listener, and only who is in
//! the mix, or hears something of its own, gets an encode of its own. So a listener costs the same in a room of ten
//! and in a room of a thousand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use arrayvec::ArrayVec;
use dialroom_audio::audio::frame::{Frame, Rate};
use dialroom_audio::audio::mix::Mix;
use dialroom_protocol::PlaybackEnd;
use slotmap::SlotMap;

use crate::bridge::announcement::Announcement;
use crate::bridge::group::{self, Kind, ListenerGroup};
use crate::bridge::voice::{Rates, Voice};
use crate::bridge::{Bridge, MemberKey};
use crate::leg::Leg;
use crate::outbox::{Outbox, TAP_SAMPLES, Tap, TapId};
use crate::ports::LegKey;

/// How much quieter the room is while something is played to one leg, dB.
const DUCK_DB: i8 = -14;
/// Ticks between clean-ups: 10 s.
const CLEAN_EVERY: u64 = 500;

/// The legs of a shard.
pub type Legs = SlotMap<LegKey, Box<Leg>>;

/// What a tick works with.
pub struct Tick<'a> {
    /// All legs of the shard.
    pub legs: &'a mut Legs,
    /// Where packets and events go.
    pub outbox: &'a mut Outbox,
    /// Legs in which a bug came up.
    pub broken: &'a mut Vec<LegKey>,
    /// Now.
    pub now: Instant,
    /// Now, in µs.
    pub micros: u64,
}

/// Sums at both rates.
#[derive(Debug)]
struct Sums {
    narrow: Mix,
    wide: Mix,
}

impl Default for Sums {
    fn default() -> Self {
        Self { narrow: Mix::new(Rate::Narrow.frame_len()), wide: Mix::new(Rate::Wide.frame_len()) }
    }
}

impl Sums {
    fn at(&mut self, rate: Rate) -> &mut Mix {
        if rate == Rate::Narrow { &mut self.narrow } else { &mut self.wide }
    }
}

/// Where a tick adds up: one place for all bridges, because memory used again and again is near.
#[derive(Debug, Default)]
pub struct Workspace {
    /// What all say.
    mix: Sums,
    /// What one leg must not hear: its own voice, and announcements that are not for it.
    own: Sums,
}

impl Bridge {
    /// Mixes and sends the next 20 ms.
    pub fn tick(&mut self, tick: &mut Tick<'_>, workspace: &mut Workspace) {
        self.ticks += 1;
        let wanted = self.pull_legs(tick);
        self.offer_microphones(tick.micros);
        self.speakers.settle();
        self.collect_voices(tick, wanted);
        self.advance_announcements(wanted);
        self.mix(wanted, &mut workspace.mix);
        for index in 0..self.legs.len() {
            let key = self.legs[index];
            guarded(key, tick, |leg, tick| self.send_to(key, leg, workspace, tick.outbox));
        }
        self.inject(tick);
        self.drop_ended_announcements(tick.now);
        self.tell(tick);
        if self.ticks.is_multiple_of(CLEAN_EVERY) {
            group::drop_unused(&mut self.groups, self.ticks);
        }
    }

    /// Pulls every phone and offers who speaks; which rates are heard.
    fn pull_legs(&mut self, tick: &mut Tick<'_>) -> Rates {
        let mut wanted = Rates::default();
        // One frame for all: most of what is pulled is not for the mix, and needs no place of its own.
        let mut sound = Frame::silent(Rate::Narrow);
        for &key in &self.legs {
            let (speakers, micros) = (&mut self.speakers, tick.micros);
            guarded(key, tick, |leg, tick| {
                leg.pull(micros, &mut sound);
                tap(leg.heard_tap, leg.stream.as_ref().map(|_| &sound), tick.outbox);
                wanted.add(leg.rate());
                let speaks = leg.speaks();
                let level = leg.stream.as_ref().map_or(127, |stream| stream.last.level);
                let loudness = leg.loudness.update(level, speaks);
                if speaks || speakers.is_seated(MemberKey::Leg(key)) {
                    leg.keep(&sound);
                }
                if speaks {
                    speakers.offer(MemberKey::Leg(key), loudness);
                }
            });
        }
        wanted
    }

    /// Puts the sound of the seated into their voices.
    fn collect_voices(&mut self, tick: &mut Tick<'_>, wanted: Rates) {
        self.pull_unseated(tick.micros);
        let speakers = &self.speakers;
        self.voices.retain(|voice| speakers.is_seated(voice.member));
        for member in self.speakers.seated() {
            if !self.voices.iter().any(|voice| voice.member == member) {
                self.voices.push(Voice::new(member));
            }
        }
        for voice in &mut self.voices {
            match voice.member {
                MemberKey::Leg(key) => {
                    if let Some(stream) = tick.legs.get(key).and_then(|leg| leg.stream.as_ref()) {
                        let rate = stream.codec.rate();
                        voice.sound.at_mut(rate).copy_from(&stream.heard);
                        voice.note(stream.last.level);
                        voice.sound.convert(rate, wanted);
                    }
                }
                MemberKey::Peer(peer) => {
                    let heard = self.microphones.iter_mut().find(|microphone| microphone.peer == peer);
                    if let Some(microphone) = heard {
                        let level = microphone.pull(tick.micros, voice.sound.at_mut(Rate::Wide));
                        voice.note(level);
                        voice.sound.convert(Rate::Wide, wanted);
                    }
                }
            }
        }
    }

    fn mix(&self, wanted: Rates, sums: &mut Sums) {
        let Sums { narrow, wide } = sums;
        narrow.clear();
        wide.clear();
        let voices = self.voices.iter().map(|voice| &voice.sound);
        for sound in voices.chain(self.announcements.iter().map(|announcement| &announcement.sound)) {
            if wanted.narrow {
                narrow.add(sound.at(Rate::Narrow).samples());
            }
            if wanted.wide {
                wide.add(sound.at(Rate::Wide).samples());
            }
        }
    }

    fn send_to(&mut self, key: LegKey, leg: &mut Leg, workspace: &mut Workspace, outbox: &mut Outbox) {
        let Some(stream) = &leg.stream else {
            return;
        };
        let kind = Kind { codec: stream.codec, ptime: stream.ptime, opus: stream.opus, gain: leg.gain };
        let Self { voices, announcements, groups, ticks, .. } = self;
        let Workspace { mix, own } = workspace;
        let mix = &*mix.at(kind.codec.rate());
        let own = collect_own(key, leg, voices, announcements, own);
        if own.is_none() && leg.playback.is_none() {
            match group::find(groups, kind, *ticks, mix) {
                Ok(group) => {
                    tap(leg.told_tap, Some(&group.frame), outbox);
                    leg.shared = true;
                    leg.send_shared(&group.packetizer, outbox);
                    return;
                }
                Err(error) => tracing::error!(leg = leg.id, %error, "no encoder for the listeners of a bridge"),
            }
        }
        if std::mem::take(&mut leg.shared) {
            resume(leg, groups, kind);
        }
        render_own(leg, mix, own, outbox);
        tap(leg.told_tap, leg.stream.as_ref().map(|stream| &stream.told), outbox);
        leg.send_own(outbox);
    }

    fn tell(&mut self, tick: &mut Tick<'_>) {
        let mut heard = ArrayVec::new();
        for voice in &self.voices {
            let Some(level) = voice.audible() else {
                continue;
            };
            let participant = match voice.member {
                MemberKey::Leg(key) => {
                    tick.legs.get(key).and_then(|leg| leg.membership.as_ref()).map(|m| &m.participant)
                }
                MemberKey::Peer(peer) => self.microphones.iter().find(|m| m.peer == peer).map(|m| &m.participant),
            };
            if let Some(participant) = participant.filter(|_| !heard.is_full()) {
                heard.push((participant.clone(), -i32::from(level)));
            }
        }
        self.tell_speakers(heard, &mut tick.outbox.events);
    }
}

/// Adds up what a leg must not hear. None for most: who only listens hears all.
fn collect_own<'a>(
    key: LegKey,
    leg: &Leg,
    voices: &[Voice],
    announcements: &[Announcement],
    own: &'a mut Sums,
) -> Option<&'a Mix> {
    let participant = leg.membership.as_ref().map(|membership| &membership.participant);
    let voice = voices.iter().find(|voice| voice.member == MemberKey::Leg(key)).map(|voice| &voice.sound);
    let not_for_it = |a: &&Announcement| a.except.is_some() && a.except.as_ref() == participant;
    let mut parts = voice.into_iter().chain(announcements.iter().filter(not_for_it).map(|a| &a.sound)).peekable();
    parts.peek()?;
    let rate = leg.rate();
    let own = own.at(rate);
    own.clear();
    parts.for_each(|part| own.add(part.at(rate).samples()));
    Some(own)
}

/// Makes the leg's own packets begin where the shared ones stopped.
fn resume(leg: &mut Leg, groups: &[ListenerGroup], kind: Kind) {
    if let (Some(stream), Some(group)) = (&mut leg.stream, groups.iter().find(|group| group.is(kind))) {
        stream.packetizer.resume_from(&group.packetizer);
    }
}

/// Mixes what only this leg hears into its `told` frame.
fn render_own(leg: &mut Leg, mix: &Mix, own: Option<&Mix>, outbox: &mut Outbox) {
    let Some(stream) = &mut leg.stream else {
        return;
    };
    let Some(playback) = &mut leg.playback else {
        return mix.render(own, leg.gain, &mut stream.limiter, stream.told.samples_mut());
    };
    let mut prompt = Frame::silent(stream.told.rate());
    let ended = playback.fill(&mut prompt);
    let ducked = leg.gain.step(DUCK_DB);
    mix.render_under(prompt.samples(), own, ducked, &mut stream.limiter, stream.told.samples_mut());
    if ended {
        leg.end_playback(PlaybackEnd::Finished, &mut outbox.events);
    }
}

/// One tick of a leg in no bridge: what is played to it, or silence.
pub fn tick_alone(key: LegKey, tick: &mut Tick<'_>) {
    let micros = tick.micros;
    guarded(key, tick, |leg, tick| {
        let mut sound = Frame::silent(leg.rate());
        leg.pull(micros, &mut sound);
        leg.shared = false;
        tap(leg.heard_tap, leg.stream.as_ref().map(|_| &sound), tick.outbox);
        let mut ended = false;
        if let Some(stream) = &mut leg.stream {
            match &mut leg.playback {
                Some(playback) => ended = playback.fill(&mut stream.told),
                None => stream.told.silence(),
            }
        }
        if ended {
            leg.end_playback(PlaybackEnd::Finished, &mut tick.outbox.events);
        }
        tap(leg.told_tap, leg.stream.as_ref().map(|stream| &stream.told), tick.outbox);
        leg.send_own(tick.outbox);
    });
}

/// Works on a leg; a panic is that leg's end and nobody else's.
fn guarded(key: LegKey, tick: &mut Tick<'_>, work: impl FnOnce(&mut Leg, &mut Guarded<'_>)) {
    let Some(leg) = tick.legs.get_mut(key) else {
        return;
    };
    let mut inner = Guarded { outbox: tick.outbox };
    if catch_unwind(AssertUnwindSafe(|| work(leg, &mut inner))).is_err() {
        tick.broken.push(key);
    }
}

/// What work on one leg may touch besides the leg.
struct Guarded<'a> {
    outbox: &'a mut Outbox,
}

/// Hands a frame to the recorder.
fn tap(tap: Option<TapId>, frame: Option<&Frame>, outbox: &mut Outbox) {
    if let (Some(tap), Some(frame)) = (tap, frame) {
        let mut samples = [0; TAP_SAMPLES];
        let length = frame.samples().len();
        samples[..length].copy_from_slice(frame.samples());
        outbox.taps.push(Tap::Frame { tap, length, samples });
    }
}
