//! What everybody in a bridge hears besides each other: entry tones, spoken notices.

use std::sync::Arc;

use dialroom_audio::audio::frame::Rate;
use dialroom_rtc::TrackKey;

use crate::bridge::Bridge;
use crate::bridge::browser::{RouterVoice, announcement_track};
use crate::bridge::voice::{BothRates, Rates};
use crate::playback::Playback;

/// Announcements that can sound at the same time; further ones are refused.
pub const MAX_ANNOUNCEMENTS: usize = 8;

/// One announcement.
pub(super) struct Announcement {
    pub(super) playback: Playback,
    /// Who does not hear it.
    pub(super) except: Option<Arc<str>>,
    pub(super) sound: BothRates,
    pub(super) ended: bool,
    /// Towards browsers, if there are any.
    pub(super) track: Option<(TrackKey, RouterVoice)>,
    pub(super) name: String,
}

impl Bridge {
    /// Plays to everybody but `except`. False if too much plays already.
    pub fn announce(&mut self, playback: Playback, except: Option<Arc<str>>, now: std::time::Instant) -> bool {
        if self.is_empty() {
            // Nobody is there to hear it, and whoever comes later is not to hear it then.
            return true;
        }
        if self.announcements.len() >= MAX_ANNOUNCEMENTS {
            return false;
        }
        let name = announcement_track(self.ticks, self.announcements.len());
        let track = self.publish_announcement(&name, except.clone(), now);
        let sound = BothRates::new();
        self.announcements.push(Announcement { playback, except, sound, ended: false, track, name });
        true
    }

    /// Takes the next 20 ms of all announcements.
    pub(super) fn advance_announcements(&mut self, wanted: Rates) {
        for announcement in &mut self.announcements {
            // Browsers hear 16 kHz.
            let wide = announcement.track.is_some() || wanted.wide;
            let rate = if wide { Rate::Wide } else { Rate::Narrow };
            announcement.ended = announcement.playback.fill(announcement.sound.at_mut(rate));
            announcement.sound.convert(rate, wanted);
        }
    }

    /// Ends all announcements if nobody is left to hear them.
    pub(super) fn end_unheard_announcements(&mut self, now: std::time::Instant) {
        if self.is_empty() {
            self.announcements.iter_mut().for_each(|announcement| announcement.ended = true);
            self.drop_ended_announcements(now);
        }
    }

    /// Forgets what has come to its end.
    pub(super) fn drop_ended_announcements(&mut self, now: std::time::Instant) {
        let router = &mut self.router;
        self.announcements.retain(|announcement| {
            if announcement.ended && announcement.track.is_some() {
                router.unpublish(now, &announcement.name);
            }
            !announcement.ended
        });
    }
}
