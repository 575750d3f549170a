//! Recordings that are going on. The files are somebody else's: here only frames are copied out.

use std::collections::HashMap;

use dialroom_protocol::{Answer, RecordingDirection, Refusal, RefusalCode};

use crate::outbox::{Tap, TapId, Token};
use crate::ports::LegKey;
use crate::shard::Shard;
use crate::shard::commands::check_id;

/// What is being recorded.
#[derive(Debug, Default)]
pub struct Recordings {
    by_id: HashMap<String, Recording>,
    last_tap: TapId,
}

#[derive(Debug)]
struct Recording {
    tap: TapId,
    leg: LegKey,
}

impl Shard {
    pub(super) fn start_recording(
        &mut self,
        recording: String,
        leg: &str,
        path: String,
        direction: RecordingDirection,
        token: Token,
    ) -> Result<Option<Answer>, Refusal> {
        let key = self.leg_key(leg)?;
        check_id("recording", &recording)?;
        if self.recordings.by_id.contains_key(&recording) {
            return Ok(Some(Answer::Done {}));
        }
        let tap = self.recordings.last_tap + 1;
        let Some(leg) = self.legs.get_mut(key) else {
            return Ok(None);
        };
        let rate = leg.rate().hz();
        let slot = match direction {
            RecordingDirection::Heard => &mut leg.heard_tap,
            RecordingDirection::Told => &mut leg.told_tap,
        };
        if slot.is_some() {
            let message = format!("Leg {} is being recorded in this direction; stop that recording first", leg.id);
            return Err(Refusal::new(RefusalCode::BadValue, message));
        }
        *slot = Some(tap);
        self.recordings.last_tap = tap;
        self.recordings.by_id.insert(recording, Recording { tap, leg: key });
        self.outbox.taps.push(Tap::Open { tap, path, rate, token });
        Ok(None)
    }

    pub(super) fn stop_recording(&mut self, recording: &str, token: Token) -> Option<Answer> {
        // One that ended with its leg may still be being written: the recorder answers in its order.
        let tap = match self.recordings.by_id.remove(recording) {
            Some(recording) => {
                self.untap(recording.leg, recording.tap);
                recording.tap
            }
            None => 0,
        };
        self.outbox.taps.push(Tap::Close { tap, token: Some(token) });
        None
    }

    /// The recorder could not open or go on with a file.
    pub fn recording_failed(&mut self, tap: TapId) {
        if let Some(leg) = self.recordings.by_id.values().find(|recording| recording.tap == tap).map(|r| r.leg) {
            self.untap(leg, tap);
        }
        self.recordings.by_id.retain(|_, recording| recording.tap != tap);
    }

    /// Completes the recordings of a leg that goes.
    pub(super) fn end_recordings(&mut self, key: LegKey) {
        let taps = &mut self.outbox.taps;
        self.recordings.by_id.retain(|_, recording| {
            if recording.leg == key {
                taps.push(Tap::Close { tap: recording.tap, token: None });
            }
            recording.leg != key
        });
    }

    fn untap(&mut self, key: LegKey, tap: TapId) {
        if let Some(leg) = self.legs.get_mut(key) {
            leg.heard_tap = leg.heard_tap.filter(|t| *t != tap);
            leg.told_tap = leg.told_tap.filter(|t| *t != tap);
        }
    }
}
