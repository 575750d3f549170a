//! One voice of the mix, at each rate that somebody hears it at.

use dialroom_audio::audio::frame::{Frame, Rate};
use dialroom_audio::audio::resample::Resampler;

use crate::bridge::MemberKey;

/// Which rates are heard in a bridge in this tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Somebody hears 8 kHz.
    pub narrow: bool,
    /// Somebody hears 16 kHz.
    pub wide: bool,
}

impl Rates {
    /// Adds a listener.
    pub fn add(&mut self, rate: Rate) {
        match rate {
            Rate::Narrow => self.narrow = true,
            Rate::Wide => self.wide = true,
        }
    }
}

/// The same 20 ms at both rates, as far as they are needed.
#[derive(Debug)]
pub struct BothRates {
    narrow: Frame,
    wide: Frame,
    converter: Option<(Rate, Resampler)>,
}

impl BothRates {
    /// Silence.
    pub fn new() -> Self {
        Self { narrow: Frame::silent(Rate::Narrow), wide: Frame::silent(Rate::Wide), converter: None }
    }

    /// The sound at a rate.
    pub fn at(&self, rate: Rate) -> &Frame {
        match rate {
            Rate::Narrow => &self.narrow,
            Rate::Wide => &self.wide,
        }
    }

    /// Where the sound is to be written to at a rate; [`Self::convert`] then makes the other one.
    pub fn at_mut(&mut self, rate: Rate) -> &mut Frame {
        match rate {
            Rate::Narrow => &mut self.narrow,
            Rate::Wide => &mut self.wide,
        }
    }

    /// Makes the rate that `from` is not, if anybody hears it. Allocates when that is wanted for the first time.
    pub fn convert(&mut self, from: Rate, wanted: Rates) {
        let to = match from {
            Rate::Narrow => Rate::Wide,
            Rate::Wide => Rate::Narrow,
        };
        let needed = match to {
            Rate::Narrow => wanted.narrow,
            Rate::Wide => wanted.wide,
        };
        if !needed {
            return;
        }
        if self.converter.as_ref().is_none_or(|(rate, _)| *rate != from) {
            self.converter = Resampler::new(from.hz(), to.hz()).map(|resampler| (from, resampler));
        }
        let Some((_, resampler)) = &mut self.converter else {
            return;
        };
        match from {
            Rate::Narrow => resampler.process(self.narrow.samples(), self.wide.samples_mut()),
            Rate::Wide => resampler.process(self.wide.samples(), self.narrow.samples_mut()),
        };
    }
}

/// At or below this level nothing is heard, −dBov.
const SILENT: u8 = 60;
/// Silent ticks after which a voice is told of no more: a pause between two words is shorter.
const PAUSE_TICKS: u8 = 15;

/// One seated speaker.
#[derive(Debug)]
pub struct Voice {
    /// Who it is.
    pub member: MemberKey,
    /// What it says.
    pub sound: BothRates,
    /// Level while it was last to be heard, −dBov.
    level: u8,
    /// Ticks since then.
    silent: u8,
}

impl Voice {
    /// A voice that has said nothing yet.
    pub fn new(member: MemberKey) -> Self {
        Self { member, sound: BothRates::new(), level: SILENT, silent: PAUSE_TICKS }
    }

    /// Notes the level of its next 20 ms, −dBov.
    pub fn note(&mut self, level: u8) {
        if level < SILENT {
            (self.level, self.silent) = (level, 0);
        } else {
            self.silent = self.silent.saturating_add(1);
        }
    }

    /// How loud it is, −dBov; `None` while it keeps its seat in silence.
    pub fn audible(&self) -> Option<u8> {
        (self.silent < PAUSE_TICKS).then_some(self.level)
    }
}
