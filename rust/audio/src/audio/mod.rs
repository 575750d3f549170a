//! Audio: codecs, playout, mixing, prompts.

mod arena;
pub mod clip;
pub mod codec;
pub mod delay;
pub mod frame;
pub mod g711;
pub mod g722;
pub mod gain;
pub mod gate;
pub mod jitter;
pub mod level;
pub mod mix;
pub mod noise;
pub mod opus;
pub mod play;
pub mod playout;
pub mod plc;
pub mod resample;
pub mod speaker;
pub mod stretch;
mod timeline;
pub mod tone;
pub mod wav;
