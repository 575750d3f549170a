//! Listeners that hear the same: mixed and encoded once for all of them.

use dialroom_audio::audio::codec::Codec;
use dialroom_audio::audio::frame::Frame;
use dialroom_audio::audio::gain::Gain;
use dialroom_audio::audio::mix::{Limiter, Mix};
use dialroom_audio::audio::opus::{OpusError, OpusSettings};

use crate::leg::packetizer::Packetizer;

/// Ticks after which a group nobody listens in is dropped: 2 s.
const UNUSED_TICKS: u64 = 100;

/// What makes listeners hear the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Codec.
    pub codec: Codec,
    /// Packet duration, ms.
    pub ptime: u32,
    /// What each of their decoders asks of an Opus encoder.
    pub opus: OpusSettings,
    /// Loudness.
    pub gain: Gain,
}

/// One group.
#[derive(Debug)]
pub struct ListenerGroup {
    kind: Kind,
    limiter: Limiter,
    /// The sound of this tick.
    pub frame: Frame,
    /// Its packets.
    pub packetizer: Packetizer,
    rendered: u64,
}

impl ListenerGroup {
    /// Whether it is the group of a kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }
}

/// The group of a kind, with the sound of tick `tick`, which is rendered for its first listener. Allocates when a kind
/// is heard for the first time.
pub fn find<'a>(
    groups: &'a mut Vec<ListenerGroup>,
    kind: Kind,
    tick: u64,
    mix: &Mix,
) -> Result<&'a ListenerGroup, OpusError> {
    let index = match groups.iter().position(|group| group.kind == kind) {
        Some(index) => index,
        None => {
            groups.push(ListenerGroup {
                kind,
                limiter: Limiter::default(),
                frame: Frame::silent(kind.codec.rate()),
                packetizer: Packetizer::new(kind.codec, kind.ptime, kind.opus)?,
                rendered: u64::MAX,
            });
            groups.len() - 1
        }
    };
    let group = &mut groups[index];
    if group.rendered != tick {
        group.rendered = tick;
        mix.render(None, kind.gain, &mut group.limiter, group.frame.samples_mut());
        group.packetizer.push(&group.frame);
    }
    Ok(group)
}

/// Drops groups that nobody has listened in for a while.
pub fn drop_unused(groups: &mut Vec<ListenerGroup>, tick: u64) {
    groups.retain(|group| tick.saturating_sub(group.rendered) < UNUSED_TICKS);
}
