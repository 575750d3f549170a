//! The media of one session: who is in it, who is heard, and what each hears.

mod announcement;
mod browser;
mod group;
mod mixer;
mod voice;

use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayVec;
use dialroom_audio::audio::speaker::Speakers;
use dialroom_protocol::{Event, Speaker};
use dialroom_rtc::{PeerKey, Router};
use slotmap::new_key_type;

pub use announcement::MAX_ANNOUNCEMENTS;
pub use browser::{Microphone, is_announcement, track_name};
pub use mixer::{Legs, Tick, Workspace, tick_alone};

use crate::bridge::announcement::Announcement;
use crate::bridge::browser::Injection;
use crate::bridge::group::ListenerGroup;
use crate::bridge::voice::Voice;
use crate::ports::LegKey;

new_key_type! {
    /// A bridge of a shard.
    pub struct BridgeKey;
}

/// Voices in the mix at a time.
pub const MAX_VOICES: usize = 5;

/// A member that can be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberKey {
    /// A phone.
    Leg(LegKey),
    /// A browser's microphone.
    Peer(PeerKey),
}

/// One session's media.
pub struct Bridge {
    /// Its id.
    pub id: String,
    /// Opaque to us.
    pub tag: String,
    /// The slot of each 20 ms in which it is mixed, while anybody is in it.
    pub phase: u8,
    /// Phones in it.
    pub legs: Vec<LegKey>,
    /// How many browsers are in it.
    pub peers: usize,
    /// What they say.
    pub microphones: Vec<Microphone>,
    /// Forwards between browsers.
    pub router: Router,
    speakers: Speakers<MemberKey, MAX_VOICES>,
    voices: ArrayVec<Voice, MAX_VOICES>,
    announcements: Vec<Announcement>,
    groups: Vec<ListenerGroup>,
    injections: Vec<Injection>,
    told: Vec<Speaker>,
    ticks: u64,
    last_told: u64,
    /// Ticks that were lost by a bug.
    pub bugs: u64,
}

/// Ticks between two events about speakers, unless who is heard changed: 1 s.
const TELL_LEVELS_EVERY: u64 = 50;

impl Bridge {
    /// An empty bridge.
    pub fn new(id: String, tag: String) -> Self {
        Self {
            id,
            tag,
            phase: 0,
            legs: Vec::new(),
            peers: 0,
            microphones: Vec::new(),
            router: Router::new(),
            speakers: Speakers::default(),
            voices: ArrayVec::new(),
            announcements: Vec::new(),
            groups: Vec::new(),
            injections: Vec::new(),
            told: Vec::new(),
            ticks: 0,
            last_told: 0,
            bugs: 0,
        }
    }

    /// Adds a phone.
    pub fn add_leg(&mut self, key: LegKey, participant: Arc<str>, now: Instant) {
        self.legs.push(key);
        self.publish_phone(key, participant, now);
    }

    /// Takes a phone out.
    pub fn remove_leg(&mut self, key: LegKey, now: Instant) {
        self.legs.retain(|leg| *leg != key);
        self.silence(MemberKey::Leg(key));
        self.unpublish_phone(key, now);
        self.end_unheard_announcements(now);
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.peers == 0
    }

    /// A member is not heard from now on: it left or was muted.
    pub fn silence(&mut self, member: MemberKey) {
        self.speakers.remove(member);
        self.voices.retain(|voice| voice.member != member);
    }

    /// The event with who is heard now, for a control plane that does not know.
    pub fn speakers_event(&self) -> Event {
        Event::SpeakersChanged { bridge: self.id.clone(), speakers: self.told.clone() }
    }

    /// Tells who is heard if that changed, and levels now and then.
    fn tell_speakers(&mut self, mut heard: ArrayVec<(Arc<str>, i32), MAX_VOICES>, events: &mut Vec<Event>) {
        let told = |participant: &str| self.told.iter().any(|speaker| speaker.participant == participant);
        let same = heard.len() == self.told.len() && heard.iter().all(|(participant, _)| told(participant));
        let due = !heard.is_empty() && self.ticks - self.last_told >= TELL_LEVELS_EVERY;
        if same && !due {
            return;
        }
        heard.sort_by_key(|(_, level)| -level);
        let speaker =
            |(participant, level): &(Arc<str>, i32)| Speaker { participant: participant.to_string(), level: *level };
        self.last_told = self.ticks;
        self.told = heard.iter().map(speaker).collect();
        events.push(self.speakers_event());
    }
}
